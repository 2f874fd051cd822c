// Squared distances of rows to centres, and first moments: what the spherical and the tied component share.
//
// Include inside the namespace of the level, after kernel/mixture.hpp.
#pragma once

template <class T>
struct Distances {
  using V = typename Pack<T>::V;
  using S = Tile<T>;
  static constexpr int w = S::width, u = S::vectors;
  static constexpr int moment_components = many_registers ? 6 : 4;  // tile of first moments: x moment_groups
  static constexpr int moment_groups = 3;

  // |x - centre|^2 of one panel to C centres, `spread` entries apart.
  template <int C>
  PYESTIM_INLINE static void tile(const T* x, const T* centre, int spread, int d, V (&distance)[C][u]) {
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
        const V m = broadcast(centre[int64_t(c) * spread + j]);
#pragma GCC unroll 4
        for (int a = 0; a < u; ++a) {
          const V t = row[a] - m;
          distance[c][a] += t * t;
        }
      }
    }
  }

  template <int C>
  PYESTIM_INLINE static void put(const T* x, const T* centre, int spread, int d, const T* square, T* quad) {
    V distance[C][u];
    tile<C>(x, centre, spread, d, distance);
#pragma GCC unroll 4
    for (int c = 0; c < C; ++c) {
      const V s = broadcast(square[c]);
#pragma GCC unroll 4
      for (int a = 0; a < u; ++a) store(quad + int64_t(c) * S::stride + a * w, capped_quad<T>(s * distance[c][a]));
    }
  }

  // quad (K, rows of one panel) = -square_k |x - centre_k|^2 / 2.
  PYESTIM_INLINE static void panel(const T* x, const T* centres, int spread, int d, const T* square, int n_components,
                                   T* quad) {
    constexpr int most = S::distance_components;
    int k = 0;
    for (; k + most <= n_components; k += most) {
      put<most>(x, centres + int64_t(k) * spread, spread, d, square + k, quad + int64_t(k) * S::stride);
    }
    for (; k < n_components; ++k) {
      put<1>(x, centres + int64_t(k) * spread, spread, d, square + k, quad + int64_t(k) * S::stride);
    }
  }

  // first (K, d) += sum_i resp_ik (z_i - mean_k) for C components and G vectors of features.
  template <int C, int G>
  static void moment_tile(const Block<T>& block, const T* resp, const T* mean, int wide, int j, double* first) {
    V sum[C][G];
#pragma GCC unroll 8
    for (int c = 0; c < C; ++c) {
#pragma GCC unroll 3
      for (int g = 0; g < G; ++g) sum[c][g] = broadcast(T(0));
    }
    const T* z = block.groups + int64_t(j) * S::block;
    for (int i = 0; i < block.rows; ++i) {
      V row[G];
#pragma GCC unroll 3
      for (int g = 0; g < G; ++g) row[g] = load(z + (int64_t(g) * S::block + i) * w);
#pragma GCC unroll 8
      for (int c = 0; c < C; ++c) {
        const V r = broadcast(resp[int64_t(c) * S::stride + i]);
#pragma GCC unroll 3
        for (int g = 0; g < G; ++g) {
          // float32 has no digits to spare: centred before the sum.  float64 subtracts N mean at the end.
          if constexpr (sizeof(T) == 4) {
            sum[c][g] += r * (row[g] - load(mean + int64_t(c) * wide + j + g * w));
          } else {
            sum[c][g] += r * row[g];
          }
        }
      }
    }
    for (int c = 0; c < C; ++c) {
      for (int g = 0; g < G; ++g) add_to<T>(first + int64_t(c) * block.d + j + g * w, sum[c][g], block.d - j - g * w);
    }
  }

  // C components; the vectors of features in chunks of nearly equal size, so that none is left alone.
  template <int C>
  static void moments_of_components(const Block<T>& block, const T* resp, const T* mean, int wide, double* first) {
    const int groups = round_up(block.d, w) / w;
    const int chunks = (groups + moment_groups - 1) / moment_groups;
    int g = 0;
    for (int c = 0; c < chunks; ++c) {
      const int size = (groups - g + chunks - c - 1) / (chunks - c);
      if (size == 3) moment_tile<C, 3>(block, resp, mean, wide, g * w, first);
      if (size == 2) moment_tile<C, 2>(block, resp, mean, wide, g * w, first);
      if (size == 1) moment_tile<C, 1>(block, resp, mean, wide, g * w, first);
      g += size;
    }
  }

  template <int C>
  static int components_from(int k, const Block<T>& block, Shape shape, const T* resp, const T* mean, int wide,
                             double* first) {
    for (; k + C <= shape.n_components; k += C) {
      moments_of_components<C>(block, resp + int64_t(k) * S::stride, mean + int64_t(k) * wide, wide,
                               first + int64_t(k) * block.d);
    }
    return k;
  }

  // All components.  In float64 the sums are about the origin until finish_first.
  static void first_moments(const Block<T>& block, Shape shape, const T* resp, const T* mean, int wide, double* first) {
    int k = components_from<moment_components>(0, block, shape, resp, mean, wide, first);
    k = components_from<2>(k, block, shape, resp, mean, wide, first);
    components_from<1>(k, block, shape, resp, mean, wide, first);
  }

  static void finish_first(Shape shape, const T* mean, int wide, const double* delta, const Moments& moments) {
    for (int k = 0; k < shape.n_components; ++k) {
      double* first = moments.first + int64_t(k) * shape.d;
      for (int j = 0; j < shape.d; ++j) {
        const double moved = sizeof(T) == 4 ? delta[int64_t(k) * shape.d + j] : -double(mean[int64_t(k) * wide + j]);
        first[j] += moments.resp_sum[k] * moved;
      }
    }
  }
};
