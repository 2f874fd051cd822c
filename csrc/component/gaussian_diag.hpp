// Gaussian components with diagonal covariances.
//
// Include inside the namespace of the level, after kernel/mixture.hpp.
//
// E-step: y = x s - mean s, sum of y^2; never the expanded square, it cancels.  M-step: features in lanes, t = z -
// mean, u = r t, sums of u and u t; rows that count for no component of a tile are left out.
#pragma once

template <class T>
struct GaussianDiag {
  using V = typename Pack<T>::V;
  using S = Tile<T>;
  static constexpr int w = S::width, u = S::vectors;
  static constexpr int moment_components = many_registers ? 4 : 2;  // tile of moments: x moment_groups x 2 sums
  static constexpr int moment_groups = many_registers ? 3 : 2;

  struct Packed {
    T* factor;      // (K, d) 1 / sd
    T* start;       // (K, d) -mean / sd
    T* mean;        // (K, padded d)
    double* delta;  // (K, d)
    int wide;
  };

  static Packed carve(Arena& arena, Shape shape) {
    Packed p;
    p.wide = padded_features<T>(shape.d);
    p.factor = arena.take<T>(int64_t(shape.n_components) * shape.d);
    p.start = arena.take<T>(int64_t(shape.n_components) * shape.d);
    p.mean = arena.take<T>(int64_t(shape.n_components) * p.wide);
    p.delta = arena.take<double>(int64_t(shape.n_components) * shape.d);
    return p;
  }

  static int64_t packed_bytes(Shape shape) {
    Arena arena = arena_at(nullptr);
    carve(arena, shape);
    return arena.used;
  }

  static int64_t scratch_bytes(Shape) { return S::block * int64_t(sizeof(int32_t)); }
  static bool wants_groups(Shape) { return true; }
  static int block_rows(Shape) { return S::block; }

  static void pack(Shape shape, const Parameters& parameters, void* packed) {
    Arena arena = arena_at(packed);
    const Packed p = carve(arena, shape);
    for (int k = 0; k < shape.n_components; ++k) {
      const int64_t at = int64_t(k) * shape.d;
      pack_mean(shape, parameters, k, p.mean + int64_t(k) * p.wide, p.delta + at);
      if (parameters.factors == nullptr) continue;
      for (int j = 0; j < shape.d; ++j) {
        p.factor[at + j] = T(parameters.factors[at + j]);
        p.start[at + j] = T(-parameters.factors[at + j] * (parameters.means[at + j] - parameters.shift[j]));
      }
    }
  }

  // ---- E-step: one panel, C components ----
  template <int C>
  PYESTIM_INLINE static void quad_tile(const T* x, const T* factor, const T* start, int d, T* out) {
    V distance[C][u];
#pragma GCC unroll 4
    for (int c = 0; c < C; ++c) {
#pragma GCC unroll 4
      for (int a = 0; a < u; ++a) distance[c][a] = broadcast(T(0));
    }
    for (int j = 0; j < d; ++j, x += S::panel) {
      V row[u];
#pragma GCC unroll 4
      for (int a = 0; a < u; ++a) row[a] = load(x + a * w);
#pragma GCC unroll 4
      for (int c = 0; c < C; ++c) {
        const V s = broadcast(factor[int64_t(c) * d + j]), b = broadcast(start[int64_t(c) * d + j]);
#pragma GCC unroll 4
        for (int a = 0; a < u; ++a) {
          const V y = b + s * row[a];
          distance[c][a] += y * y;
        }
      }
    }
#pragma GCC unroll 4
    for (int c = 0; c < C; ++c) {
#pragma GCC unroll 4
      for (int a = 0; a < u; ++a) store(out + int64_t(c) * S::stride + a * w, capped_quad<T>(distance[c][a]));
    }
  }

  template <int C>
  static void quad_components(const Block<T>& block, const T* factor, const T* start, T* out) {
    for (int row = 0; row < block.padded; row += S::panel) {
      quad_tile<C>(block.panels + int64_t(row) * block.d, factor, start, block.d, out + row);
    }
  }

  static void quad(const Block<T>& block, Shape shape, const void* packed, T* quad, void*) {
    Arena arena = arena_at(packed);
    const Packed p = carve(arena, shape);
    constexpr int most = S::distance_components;
    int k = 0;
    for (; k + most <= shape.n_components; k += most) {
      const int64_t at = int64_t(k) * shape.d;
      quad_components<most>(block, p.factor + at, p.start + at, quad + int64_t(k) * S::stride);
    }
    for (; k < shape.n_components; ++k) {
      const int64_t at = int64_t(k) * shape.d;
      quad_components<1>(block, p.factor + at, p.start + at, quad + int64_t(k) * S::stride);
    }
  }

  // ---- M-step: C components, G vectors of features ----
  template <bool Dense, int C, int G>
  static void moment_tile(const Block<T>& block, const T* resp, const int32_t* index, int kept, const T* mean, int wide,
                          int j, double* first, double* second) {
    V one[C][G], two[C][G];
#pragma GCC unroll 4
    for (int c = 0; c < C; ++c) {
#pragma GCC unroll 3
      for (int g = 0; g < G; ++g) one[c][g] = two[c][g] = broadcast(T(0));
    }
    const T* z = block.groups + int64_t(j) * S::block;
    for (int i = 0; i < kept; ++i) {
      const int64_t row = Dense ? i : index[i];
      V x[G];
#pragma GCC unroll 3
      for (int g = 0; g < G; ++g) x[g] = load(z + (int64_t(g) * S::block + row) * w);
#pragma GCC unroll 4
      for (int c = 0; c < C; ++c) {
        const V r = broadcast(resp[int64_t(c) * S::stride + row]);
#pragma GCC unroll 3
        for (int g = 0; g < G; ++g) {
          const V t = x[g] - load(mean + int64_t(c) * wide + j + g * w);
          const V weighted = r * t;
          one[c][g] += weighted;
          two[c][g] += weighted * t;
        }
      }
    }
    for (int c = 0; c < C; ++c) {
      for (int g = 0; g < G; ++g) {
        const int at = j + g * w;
        add_to<T>(first + int64_t(c) * block.d + at, one[c][g], block.d - at);
        add_to<T>(second + int64_t(c) * block.d + at, two[c][g], block.d - at);
      }
    }
  }

  // Rows that count for at least one of C components; `dense`: all of them.
  template <int C>
  static int select_rows(const Block<T>& block, const T* resp, int32_t* index, bool& dense) {
    const T threshold = negligible<T> * block.weight_max;
    dense = false;
    for (int c = 0; c < C && !dense; ++c) dense = all_above(resp + int64_t(c) * S::stride, block.rows, threshold);
    if (dense) return block.rows;
    int kept = 0;
    for (int i = 0; i < block.rows; ++i) {
      bool counts = false;
#pragma GCC unroll 4
      for (int c = 0; c < C; ++c) counts |= resp[int64_t(c) * S::stride + i] > threshold;
      index[kept] = i;
      kept += counts;
    }
    return kept;
  }

  template <bool Dense, int C>
  static void moment_tiles(const Block<T>& block, const T* resp, const int32_t* index, int kept, const T* mean,
                           int wide, double* first, double* second) {
    const int groups = round_up(block.d, w) / w;
    int g = 0;
    for (; g + moment_groups <= groups; g += moment_groups) {
      moment_tile<Dense, C, moment_groups>(block, resp, index, kept, mean, wide, g * w, first, second);
    }
    if (groups - g == 2) moment_tile<Dense, C, 2>(block, resp, index, kept, mean, wide, g * w, first, second);
    if (groups - g == 1) moment_tile<Dense, C, 1>(block, resp, index, kept, mean, wide, g * w, first, second);
  }

  template <int C>
  static void accumulate_components(const Block<T>& block, const T* resp, const T* mean, int wide, double* first,
                                    double* second, int32_t* index) {
    bool dense;
    const int kept = select_rows<C>(block, resp, index, dense);
    if (dense) {
      moment_tiles<true, C>(block, resp, index, kept, mean, wide, first, second);
    } else if (kept > 0) {
      moment_tiles<false, C>(block, resp, index, kept, mean, wide, first, second);
    }
  }

  static void accumulate(const Block<T>& block, Shape shape, const void* packed, const T*, const T* resp,
                         const Moments& moments, void* scratch) {
    Arena arena = arena_at(packed);
    const Packed p = carve(arena, shape);
    auto* index = static_cast<int32_t*>(scratch);
    int k = 0;
    for (; k + moment_components <= shape.n_components; k += moment_components) {
      const int64_t at = int64_t(k) * shape.d;
      accumulate_components<moment_components>(block, resp + int64_t(k) * S::stride, p.mean + int64_t(k) * p.wide,
                                               p.wide, moments.first + at, moments.second + at, index);
    }
    for (; k < shape.n_components; ++k) {
      const int64_t at = int64_t(k) * shape.d;
      accumulate_components<1>(block, resp + int64_t(k) * S::stride, p.mean + int64_t(k) * p.wide, p.wide,
                               moments.first + at, moments.second + at, index);
    }
  }

  static void finish(Shape shape, const void* packed, const Moments& moments, void*) {
    if (sizeof(T) == 8) return;  // nothing was rounded
    Arena arena = arena_at(packed);
    const Packed p = carve(arena, shape);
    for (int k = 0; k < shape.n_components; ++k) {
      const double n = moments.resp_sum[k];
      for (int64_t at = int64_t(k) * shape.d; at < int64_t(k + 1) * shape.d; ++at) {
        const double delta = p.delta[at];
        moments.second[at] += delta * (2 * moments.first[at] + n * delta);
        moments.first[at] += n * delta;
      }
    }
  }

  static constexpr ComponentOps<T> ops = {packed_bytes, scratch_bytes, wants_groups, block_rows, false, pack,
                                          quad,         nullptr,       nullptr,      accumulate, finish};
};
