// Linear functions of the rows of a block: rows in lanes, a group of functions in registers.
//
// Include inside the namespace of the level, after kernel/rows.hpp.
#pragma once

template <class T>
struct LinearPredictors {
  using V = typename Pack<T>::V;
  using S = Tile<T>;
  static constexpr int w = S::width, u = S::vectors, group = S::factor_rows;

  // coef (n, 1 + d), intercepts first, by groups of functions, in a group [column][function].
  static void pack(const double* coef, int n, int d, T* packed) {
    for (int i0 = 0; i0 < n; i0 += group) {
      const int count = n - i0 < group ? n - i0 : group;
      for (int j = 0; j <= d; ++j) {
        for (int f = 0; f < count; ++f) *packed++ = T(coef[int64_t(i0 + f) * (1 + d) + j]);
      }
    }
  }

  // `count` functions of one panel; out is `stride` apart.
  template <int F>
  PYESTIM_INLINE static void panel(const T* x, int d, const T* coef, T* out) {
    V sum[F][u];
#pragma GCC unroll 4
    for (int f = 0; f < F; ++f) {
#pragma GCC unroll 4
      for (int a = 0; a < u; ++a) sum[f][a] = broadcast(coef[f]);
    }
    for (int j = 0; j < d; ++j, x += S::panel) {
      coef += F;
      V row[u];
#pragma GCC unroll 4
      for (int a = 0; a < u; ++a) row[a] = load(x + a * w);
#pragma GCC unroll 4
      for (int f = 0; f < F; ++f) {
        const V c = broadcast(coef[f]);
#pragma GCC unroll 4
        for (int a = 0; a < u; ++a) sum[f][a] += c * row[a];
      }
    }
#pragma GCC unroll 4
    for (int f = 0; f < F; ++f) {
#pragma GCC unroll 4
      for (int a = 0; a < u; ++a) store(out + int64_t(f) * S::stride + a * w, sum[f][a]);
    }
  }

  // out (n, rows) = the functions of every row.
  static void run(const Block<T>& block, const T* packed, int n, T* out) {
    const int d = block.d;
    for (int row = 0; row < block.padded; row += S::panel) {
      const T *x = block.panels + int64_t(row) * d, *coef = packed;
      T* to = out + row;
      int left = n;
      for (; left >= group; left -= group, coef += group * (1 + d), to += int64_t(group) * S::stride) {
        panel<group>(x, d, coef, to);
      }
      if (left == 3) panel<3>(x, d, coef, to);
      if (left == 2) panel<2>(x, d, coef, to);
      if (left == 1) panel<1>(x, d, coef, to);
    }
  }
};
