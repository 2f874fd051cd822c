// Sums of outer products of rows with themselves, the lower triangle of them.
//
// Include inside the namespace of the level, after kernel/tile.hpp.
//
// Features in lanes: for each row the entries of one tile of rows of the triangle are broadcast against vectors of its
// columns.  No horizontal sums.
#pragma once

template <class T>
struct OuterTriangle {
  using V = typename Pack<T>::V;
  using S = Tile<T>;
  static constexpr int w = S::width;
  static constexpr int tile_rows = S::outer_rows;
  static constexpr int64_t group = int64_t(S::block) * w;  // distance between vectors of features

  // Entry (feature f, row i) of `scaled` lies at (f / w, i, f % w).
  template <int J>
  PYESTIM_INLINE static void add_row(const T* left, const T* right, V (&sum)[tile_rows][J]) {
    V column[J];
#pragma GCC unroll 3
    for (int b = 0; b < J; ++b) column[b] = load(right + int64_t(b) * S::block * w);
#pragma GCC unroll 8
    for (int a = 0; a < tile_rows; ++a) {
      const V row = broadcast(left[int64_t(a / w) * S::block * w + a % w]);
#pragma GCC unroll 3
      for (int b = 0; b < J; ++b) sum[a][b] += row * column[b];
    }
  }

  static_assert(S::outer_vectors == 3);

  // One tile: rows i0.. of the triangle, J vectors of columns from column j0 on, summed over `kept` rows.
  template <int J>
  static void tile(const T* scaled, int kept, int d, int i0, int j0, double* triangle) {
    constexpr int chains = J * tile_rows < 8 ? 2 : 1;  // enough independent sums to hide the latency
    V sum[chains][tile_rows][J];
#pragma GCC unroll 2
    for (int c = 0; c < chains; ++c) {
#pragma GCC unroll 8
      for (int a = 0; a < tile_rows; ++a) {
#pragma GCC unroll 3
        for (int b = 0; b < J; ++b) sum[c][a][b] = broadcast(T(0));
      }
    }
    const T* left = scaled + int64_t(i0 / w) * S::block * w + i0 % w;
    const T* right = scaled + int64_t(j0 / w) * S::block * w;
    int i = 0;
    for (; i + chains <= kept; i += chains) {
#pragma GCC unroll 2
      for (int c = 0; c < chains; ++c) add_row<J>(left + (i + c) * w, right + (i + c) * w, sum[c]);
    }
    for (; i < kept; ++i) add_row<J>(left + i * w, right + i * w, sum[0]);
#pragma GCC unroll 8
    for (int a = 0; a < tile_rows; ++a) {
      const int row = i0 + a;
      if (row >= d) continue;
      double* out = triangle + int64_t(row) * (row + 1) / 2;
#pragma GCC unroll 3
      for (int b = 0; b < J; ++b) {
        const V v = chains == 2 ? sum[0][a][b] + sum[chains - 1][a][b] : sum[0][a][b];
        if (j0 + b * w <= row) add_to<T>(out + j0 + b * w, v, row - (j0 + b * w) + 1);
      }
    }
  }

  // triangle (packed lower, by rows) += sum over rows of scaled scaled'. The columns of a tile stay in the first cache
  // while the rows of the triangle pass.
  static void add(const T* scaled, int kept, int d, double* triangle) {
    for (int j = 0; j * w < d; j += S::outer_vectors) {
      for (int i0 = j * w / tile_rows * tile_rows; i0 < d; i0 += tile_rows) {
        const int size = (i0 + tile_rows - 1) / w + 1 - j;
        if (size >= 3) tile<3>(scaled, kept, d, i0, j * w, triangle);
        if (size == 2) tile<2>(scaled, kept, d, i0, j * w, triangle);
        if (size == 1) tile<1>(scaled, kept, d, i0, j * w, triangle);
      }
    }
  }
};
