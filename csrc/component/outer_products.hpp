// Sums of outer products of scaled, centred rows: the M-step of a full covariance.
//
// Include inside the namespace of the level, after kernel/mixture.hpp and component/outer_triangle.hpp.
//
// Rows with negligible responsibility are left out through an index list.
#pragma once

template <class T>
struct OuterProducts {
  using V = typename Pack<T>::V;
  using S = Tile<T>;
  static constexpr int w = S::width;

  struct Scratch {
    T* scaled;       // [group][block][width] sqrt(resp) (z - mean)
    T* root;         // (block,) sqrt(resp) of the kept rows
    int32_t* index;  // (block,) kept rows
  };

  static Scratch carve(Arena& arena, int d) {
    Scratch s;
    s.scaled = arena.take<T>(int64_t(S::block) * padded_features<T>(d));
    s.root = arena.take<T>(S::block + w);
    s.index = arena.take<int32_t>(S::block);
    return s;
  }

  // The rows that count, and the square roots of their responsibilities; `dense`: all of them.
  PYESTIM_INLINE static int select_rows(const Block<T>& block, const T* resp, const Scratch& s, bool& dense) {
    const T threshold = negligible<T> * block.weight_max;
    dense = all_above(resp, block.rows, threshold);
    int kept = block.rows;
    const T* chosen = resp;
    if (!dense) {
      kept = 0;
      for (int i = 0; i < block.rows; ++i) {
        s.index[kept] = i;
        s.root[kept] = resp[i];
        kept += resp[i] > threshold;
      }
      chosen = s.root;
    }
    for (int i = 0; i < kept; i += w) store(s.root + i, sqrt(load(chosen + i)));
    return kept;
  }

  static constexpr int64_t group = OuterTriangle<T>::group;

  template <int G>
  PYESTIM_INLINE static void scale_row(const T* z, const V (&mean)[G], T root, T* scaled, V (&sum)[G]) {
    const V r = broadcast(root);
#pragma GCC unroll 4
    for (int g = 0; g < G; ++g) {
      const V u = r * (load(z + g * group) - mean[g]);
      store(scaled + g * group, u);
      sum[g] += r * u;
    }
  }

  // G vectors of features: scaled = sqrt(resp) (z - mean) for the kept rows; first += sum of resp (z - mean).
  template <bool Dense, int G>
  static void scale_groups(const T* z, const T* mean, int kept, const T* root, const int32_t* index, T* scaled,
                           double* first, int features) {
    V m[G], even[G], odd[G];
#pragma GCC unroll 4
    for (int g = 0; g < G; ++g) {
      m[g] = load(mean + g * w);
      even[g] = odd[g] = broadcast(T(0));
    }
    int i = 0;
    for (; i + 2 <= kept; i += 2) {
      scale_row<G>(z + int64_t(Dense ? i : index[i]) * w, m, root[i], scaled + int64_t(i) * w, even);
      scale_row<G>(z + int64_t(Dense ? i + 1 : index[i + 1]) * w, m, root[i + 1], scaled + int64_t(i + 1) * w, odd);
    }
    if (i < kept) scale_row<G>(z + int64_t(Dense ? i : index[i]) * w, m, root[i], scaled + int64_t(i) * w, even);
    for (int g = 0; g < G; ++g) add_to<T>(first + g * w, even[g] + odd[g], features - g * w);
  }

  template <bool Dense>
  static void scale_rows(const Block<T>& block, const T* mean, int kept, const Scratch& s, double* first) {
    const int wide = padded_features<T>(block.d);
    for (int j = 0; j < wide;) {
      const T* z = block.groups + int64_t(j) * S::block;
      T* scaled = s.scaled + int64_t(j) * S::block;
      const int left = block.d - j, groups = (wide - j) / w < 4 ? (wide - j) / w : 4;
      if (groups == 4) scale_groups<Dense, 4>(z, mean + j, kept, s.root, s.index, scaled, first + j, left);
      if (groups == 3) scale_groups<Dense, 3>(z, mean + j, kept, s.root, s.index, scaled, first + j, left);
      if (groups == 2) scale_groups<Dense, 2>(z, mean + j, kept, s.root, s.index, scaled, first + j, left);
      if (groups == 1) scale_groups<Dense, 1>(z, mean + j, kept, s.root, s.index, scaled, first + j, left);
      j += groups * w;
    }
  }

  // One component: first += sum r (z - mean), triangle += sum r (z - mean)(z - mean)'.
  static void accumulate(const Block<T>& block, const T* resp, const T* mean, const Scratch& s, double* first,
                         double* triangle) {
    bool dense;
    const int kept = select_rows(block, resp, s, dense);
    if (kept == 0) return;
    if (dense) {
      scale_rows<true>(block, mean, kept, s, first);
    } else {
      scale_rows<false>(block, mean, kept, s, first);
    }
    OuterTriangle<T>::add(s.scaled, kept, block.d, triangle);
  }
};

// Moves moments of t to moments of t + delta, delta = rounded mean - mean:
// second (packed lower) += delta first' + first delta' + n delta delta', first += n delta.
PYESTIM_INLINE void recentre_triangle(double n, const double* delta, int d, double* first, double* triangle) {
  for (int i = 0; i < d; ++i) {
    double* row = triangle + int64_t(i) * (i + 1) / 2;
    for (int j = 0; j <= i; ++j) row[j] += delta[i] * first[j] + first[i] * delta[j] + n * delta[i] * delta[j];
  }
  for (int j = 0; j < d; ++j) first[j] += n * delta[j];
}
