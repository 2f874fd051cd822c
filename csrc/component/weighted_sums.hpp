// Sums over rows, under many weights of any sign at once, of the features x~ = (1, x) and of their products x~ x~'.
//
// Include inside the namespace of the level, after kernel/rows.hpp.
//
// Both are one matrix product, weights (columns, rows) times features (rows, entries): the products of a row are formed
// once for all weights, a few rows at a time, so that they stay in cache.  No row is left out, and no square root is
// taken of a weight.
#pragma once

template <class T>
struct WeightedSums {
  using V = typename Pack<T>::V;
  using S = Tile<T>;
  static constexpr int w = S::width;
  static constexpr int most_columns = many_registers ? 8 : 4;  // tile of weights ...
  static constexpr int most_vectors = 3;                       // ... times vectors of entries
  static constexpr int known_features = 16;

  // Entries of a row of features and of the packed lower triangle of its products, whole vectors.
  PYESTIM_INLINE static int wide(int d) { return round_up(1 + d, w); }
  PYESTIM_INLINE static int64_t wide_products(int d) { return (int64_t(1 + d) * (2 + d) / 2 + w - 1) / w * w; }

  // Rows at a time: their products fit in the first cache beside the weights, or, where these would be few rows, in a
  // part of the second one.
  static int rows_at_once(int d) {
    constexpr int64_t first_cache = 20 * 1024, second_cache = 128 * 1024;
    const int64_t bytes = wide_products(d) * int64_t(sizeof(T));
    if (first_cache / bytes >= 32) return first_cache / bytes > 64 ? 64 : int(first_cache / bytes);
    return second_cache / bytes > 32 ? 32 : (second_cache / bytes < 8 ? 8 : int(second_cache / bytes));
  }

  struct Scratch {
    T* features;  // (rows_at_once, wide) and a vector behind
    T* products;  // (rows_at_once, wide_products) and a row of features behind
  };

  static Scratch carve(Arena& arena, int d, bool with_products) {
    Scratch s;
    s.features = arena.take<T>(int64_t(rows_at_once(d)) * wide(d) + 2 * w);
    s.products = with_products ? arena.take<T>(rows_at_once(d) * wide_products(d) + wide(d)) : nullptr;
    return s;
  }

  // Entries behind the last feature and the last product are read, so they must be numbers.
  static void clear(const Scratch& s, int d) {
    for (int64_t i = 0; i < int64_t(rows_at_once(d)) * wide(d) + 2 * w; ++i) s.features[i] = T(0);
    if (s.products == nullptr) return;
    for (int64_t i = 0; i < rows_at_once(d) * wide_products(d) + wide(d); ++i) s.products[i] = T(0);
  }

  // (1, x) of `count` rows.  What is stored beyond a row is overwritten by the next one.
  static void put_features(const Block<T>& block, int first, int count, const Scratch& s) {
    const int across = wide(block.d);
    for (int i = 0; i < count; ++i) {
      T* out = s.features + int64_t(i) * across;
      out[0] = T(1);
      const T* x = block.groups + int64_t(first + i) * w;
      for (int j = 0; j < block.d; j += w, x += int64_t(S::block) * w) store(out + 1 + j, load(x));
    }
  }

  // Row by row of the triangle: what is stored beyond one of its rows is overwritten by the next.
  PYESTIM_INLINE static void put_triangle(const T* x, int n, T* out) {
#pragma GCC unroll 16
    for (int a = 0; a < n; ++a) {
      const V entry = broadcast(x[a]);
#pragma GCC unroll 4
      for (int b = 0; b <= a; b += w) store(out + a * (a + 1) / 2 + b, entry * load(x + b));
    }
  }

  // 1 + d features, few enough to be known at compile time: straight code.
  template <int N>
  static void put_products_of(int d, int count, const Scratch& s) {
    if constexpr (N > 1) {
      if (1 + d < N) return put_products_of<N - 1>(d, count, s);
    }
    for (int i = 0; i < count; ++i)
      put_triangle(s.features + int64_t(i) * wide(N - 1), N, s.products + i * wide_products(N - 1));
  }

  static void put_products(int d, int count, const Scratch& s) {
    if (1 + d <= known_features) return put_products_of<known_features>(d, count, s);
    const int across = wide(d);
    const int64_t triangle = wide_products(d);
    for (int i = 0; i < count; ++i) put_triangle(s.features + int64_t(i) * across, 1 + d, s.products + i * triangle);
  }

  // sums (C, G vectors) += weights (C, rows) times entries (rows, G vectors).
  template <int C, int G>
  static void tile(const T* weight, const T* entries, int64_t across, int count, T* sums) {
    V sum[C][G];
#pragma GCC unroll 8
    for (int c = 0; c < C; ++c) {
#pragma GCC unroll 3
      for (int g = 0; g < G; ++g) sum[c][g] = load(sums + c * across + g * w);
    }
    for (int i = 0; i < count; ++i, entries += across) {
      V x[G];
#pragma GCC unroll 3
      for (int g = 0; g < G; ++g) x[g] = load(entries + g * w);
#pragma GCC unroll 8
      for (int c = 0; c < C; ++c) {
        const V r = broadcast(weight[int64_t(c) * S::stride + i]);
#pragma GCC unroll 3
        for (int g = 0; g < G; ++g) sum[c][g] += r * x[g];
      }
    }
#pragma GCC unroll 8
    for (int c = 0; c < C; ++c) {
#pragma GCC unroll 3
      for (int g = 0; g < G; ++g) store(sums + c * across + g * w, sum[c][g]);
    }
  }

  // The entries in chunks of nearly equal size, so that none is left alone.
  template <int C>
  static void all_entries(const T* weight, const T* entries, int64_t across, int count, T* sums) {
    const int64_t vectors = across / w, chunks = (vectors + most_vectors - 1) / most_vectors;
    int64_t g = 0;
    for (int64_t chunk = 0; chunk < chunks; ++chunk) {
      const int64_t size = (vectors - g + chunks - chunk - 1) / (chunks - chunk);
      if (size == 3) tile<C, 3>(weight, entries + g * w, across, count, sums + g * w);
      if (size == 2) tile<C, 2>(weight, entries + g * w, across, count, sums + g * w);
      if (size == 1) tile<C, 1>(weight, entries + g * w, across, count, sums + g * w);
      g += size;
    }
  }

  template <int C>
  PYESTIM_INLINE static void columns(int size, const T* weight, const T* entries, int64_t across, int count, T* sums) {
    if (size == C) return all_entries<C>(weight, entries, across, count, sums);
    if constexpr (C > 1) columns<C - 1>(size, weight, entries, across, count, sums);
  }

  // sums (n, across) += weights (n, rows) times entries (rows, across).
  static void add(const T* weight, int n, const T* entries, int64_t across, int count, T* sums) {
    const int chunks = (n + most_columns - 1) / most_columns;
    int done = 0;
    for (int chunk = 0; chunk < chunks; ++chunk) {
      const int size = (n - done + chunks - chunk - 1) / (chunks - chunk);
      columns<most_columns>(size, weight + int64_t(done) * S::stride, entries, across, count, sums + done * across);
      done += size;
    }
  }
};
