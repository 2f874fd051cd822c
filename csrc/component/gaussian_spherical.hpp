// Gaussian components with one variance each.
//
// Include inside the namespace of the level, after component/distances.hpp.
//
// The second moment sum r |z - mean|^2 comes from the squared distances of the E-step, so it is centred at no cost.
#pragma once

template <class T>
struct GaussianSpherical {
  using V = typename Pack<T>::V;
  using S = Tile<T>;
  static constexpr int w = S::width, u = S::vectors;

  struct Packed {
    T* square;         // (K,) 1 / variance; 1 where only the means are known
    double* per_quad;  // (K,) |z - mean|^2 = per_quad * quad
    T* mean;           // (K, padded d)
    double* delta;     // (K, d)
    int wide;
  };

  static Packed carve(Arena& arena, Shape shape) {
    Packed p;
    p.wide = padded_features<T>(shape.d);
    p.square = arena.take<T>(shape.n_components);
    p.per_quad = arena.take<double>(shape.n_components);
    p.mean = arena.take<T>(int64_t(shape.n_components) * p.wide);
    p.delta = arena.take<double>(int64_t(shape.n_components) * shape.d);
    return p;
  }

  static int64_t packed_bytes(Shape shape) {
    Arena arena = arena_at(nullptr);
    carve(arena, shape);
    return arena.used;
  }

  static int64_t scratch_bytes(Shape) { return 0; }
  static bool wants_groups(Shape) { return true; }
  static int block_rows(Shape) { return S::small_block; }

  static void pack(Shape shape, const Parameters& parameters, void* packed) {
    Arena arena = arena_at(packed);
    const Packed p = carve(arena, shape);
    for (int k = 0; k < shape.n_components; ++k) {
      pack_mean(shape, parameters, k, p.mean + int64_t(k) * p.wide, p.delta + int64_t(k) * shape.d);
      const double factor = parameters.factors == nullptr ? 1.0 : parameters.factors[k];
      p.square[k] = T(factor * factor);
      p.per_quad[k] = -2.0 / double(p.square[k]);
    }
  }

  static void quad(const Block<T>& block, Shape shape, const void* packed, T* quad, void*) {
    Arena arena = arena_at(packed);
    const Packed p = carve(arena, shape);
    for (int row = 0; row < block.padded; row += S::panel) {
      fetch_ahead(block, row);
      Distances<T>::panel(block.panels + int64_t(row) * block.d, p.mean, p.wide, block.d, p.square, shape.n_components,
                          quad + row);
    }
  }

  static double weighted_quad(const T* resp, const T* quad, int padded) {
    V sum[u];
    for (int a = 0; a < u; ++a) sum[a] = broadcast(T(0));
    for (int i = 0; i < padded; i += S::panel) {
#pragma GCC unroll 4
      for (int a = 0; a < u; ++a) sum[a] += load(resp + i + a * w) * load(quad + i + a * w);
    }
    for (int a = 1; a < u; ++a) sum[0] += sum[a];
    return double(reduce_add(sum[0]));
  }

  static void accumulate(const Block<T>& block, Shape shape, const void* packed, const T* quad, const T* resp,
                         const Moments& moments, void*) {
    Arena arena = arena_at(packed);
    const Packed p = carve(arena, shape);
    for (int k = 0; k < shape.n_components; ++k) {
      moments.second[k] +=
          p.per_quad[k] * weighted_quad(resp + int64_t(k) * S::stride, quad + int64_t(k) * S::stride, block.padded);
    }
    Distances<T>::first_moments(block, shape, resp, p.mean, p.wide, moments.first);
  }

  static void finish(Shape shape, const void* packed, const Moments& moments, void*) {
    Arena arena = arena_at(packed);
    const Packed p = carve(arena, shape);
    if (sizeof(T) == 4) {
      for (int k = 0; k < shape.n_components; ++k) {
        const double* delta = p.delta + int64_t(k) * shape.d;
        const double* first = moments.first + int64_t(k) * shape.d;
        for (int j = 0; j < shape.d; ++j) {
          moments.second[k] += delta[j] * (2 * first[j] + moments.resp_sum[k] * delta[j]);
        }
      }
    }
    Distances<T>::finish_first(shape, p.mean, p.wide, p.delta, moments);
  }

  static constexpr ComponentOps<T> ops = {packed_bytes, scratch_bytes, wants_groups, block_rows, true,  pack,
                                          quad,         nullptr,       nullptr,      accumulate, finish};
};
