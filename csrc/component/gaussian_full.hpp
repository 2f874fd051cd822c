// Gaussian components with full covariances of their own.
//
// Include inside the namespace of the level, after kernel/mixture.hpp and component/outer_products.hpp.
//
// E-step: y = F z - F mean with rows in lanes; F is packed in groups of Tile::factor_rows rows, [column][row], so that
// one tile keeps vectors x factor_rows sums in registers.  d <= 4: y = F (z - mean), unrolled, nothing leaves
// registers.
#pragma once

// Rows i0.. of a packed lower triangular factor: [column][group row], columns 0 .. i0 + rows.
PYESTIM_INLINE int64_t packed_factor_size(int d, int group) {
  int64_t size = 0;
  for (int i0 = 0; i0 < d; i0 += group) {
    const int rows = d - i0 < group ? d - i0 : group;
    size += int64_t(i0 + rows) * rows;
  }
  return size;
}

template <class T>
void pack_factor(const double* factor, int d, T* packed) {
  constexpr int group = Tile<T>::factor_rows;
  for (int i0 = 0; i0 < d; i0 += group) {
    const int rows = d - i0 < group ? d - i0 : group;
    for (int j = 0; j < i0 + rows; ++j) {
      for (int f = 0; f < rows; ++f) *packed++ = j <= i0 + f ? T(factor[int64_t(i0 + f) * d + j]) : T(0);
    }
  }
}

// y[f][a] = start_f + sum_j F_fj x_j for one group of F factor rows and one panel.
template <class T, int F>
PYESTIM_INLINE void whiten_group(const T* x, const T* factor, const T* start, int i0,
                                 typename Pack<T>::V (&y)[F][Tile<T>::vectors]) {
  using V = typename Pack<T>::V;
  using S = Tile<T>;
  constexpr int u = S::vectors;
#pragma GCC unroll 4
  for (int f = 0; f < F; ++f) {
#pragma GCC unroll 4
    for (int a = 0; a < u; ++a) y[f][a] = broadcast(start[f]);
  }
  for (int j = 0; j < i0; ++j, x += S::panel, factor += F) {
    V row[u];
#pragma GCC unroll 4
    for (int a = 0; a < u; ++a) row[a] = load(x + a * S::width);
#pragma GCC unroll 4
    for (int f = 0; f < F; ++f) {
      const V c = broadcast(factor[f]);
#pragma GCC unroll 4
      for (int a = 0; a < u; ++a) y[f][a] += c * row[a];
    }
  }
#pragma GCC unroll 4
  for (int j = 0; j < F; ++j, x += S::panel, factor += F) {
    V row[u];
#pragma GCC unroll 4
    for (int a = 0; a < u; ++a) row[a] = load(x + a * S::width);
#pragma GCC unroll 4
    for (int f = j; f < F; ++f) {
      const V c = broadcast(factor[f]);
#pragma GCC unroll 4
      for (int a = 0; a < u; ++a) y[f][a] += c * row[a];
    }
  }
}

template <class T>
struct GaussianFull {
  using V = typename Pack<T>::V;
  using S = Tile<T>;
  static constexpr int w = S::width, u = S::vectors;
  // Up to here the M-step keeps its sums in registers, rows in lanes; beyond, outer products are as fast and can leave
  // out rows.  They waste least where two vectors hold eight features.
  static constexpr int registers_d = w == 4 ? 7 : 8;

  struct Packed {
    T* factor;      // (K, packed)
    T* start;       // (K, d) - F (mean - shift)
    T* mean;        // (K, padded d) mean - shift, rounded
    double* delta;  // (K, d) what the rounding changed
    int64_t factor_size;
    int wide;
  };

  static Packed carve(Arena& arena, Shape shape) {
    Packed p;
    p.factor_size = packed_factor_size(shape.d, S::factor_rows);
    p.wide = padded_features<T>(shape.d);
    p.factor = arena.take<T>(shape.n_components * p.factor_size);
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

  static int64_t scratch_bytes(Shape shape) {
    Arena arena = arena_at(nullptr);
    if (wants_groups(shape)) OuterProducts<T>::carve(arena, shape.d);
    return arena.used;
  }

  static bool wants_groups(Shape shape) { return shape.d > registers_d; }
  // Scaled rows of a few features and the block itself share the first cache; many features want few block ends.
  static int block_rows(Shape shape) { return wants_groups(shape) && shape.d <= 24 ? S::small_block : S::block; }

  static void pack(Shape shape, const Parameters& parameters, void* packed) {
    Arena arena = arena_at(packed);
    const Packed p = carve(arena, shape);
    const int d = shape.d;
    for (int k = 0; k < shape.n_components; ++k) {
      pack_mean(shape, parameters, k, p.mean + int64_t(k) * p.wide, p.delta + int64_t(k) * d);
      if (parameters.factors == nullptr) continue;
      const double* factor = parameters.factors + int64_t(k) * d * d;
      const double* mean = parameters.means + int64_t(k) * d;
      pack_factor(factor, d, p.factor + k * p.factor_size);
      for (int i = 0; i < d; ++i) {
        double start = 0;
        for (int j = 0; j <= i; ++j) start -= factor[int64_t(i) * d + j] * (mean[j] - parameters.shift[j]);
        p.start[int64_t(k) * d + i] = T(start);
      }
    }
  }

  // ---- E-step ----
  template <int D>
  static void quad_in_registers(const Block<T>& block, const T* factor, const T* mean, T* out) {
    for (int row = 0; row < block.padded; row += S::panel) {
      const T* x = block.panels + int64_t(row) * D;
#pragma GCC unroll 4
      for (int a = 0; a < u; ++a) {
        V t[D], distance = broadcast(T(0));
#pragma GCC unroll 4
        for (int j = 0; j < D; ++j) t[j] = load(x + j * S::panel + a * w) - broadcast(mean[j]);
#pragma GCC unroll 4
        for (int i = 0; i < D; ++i) {
          V y = broadcast(factor[i]) * t[0];
#pragma GCC unroll 4
          for (int j = 1; j <= i; ++j) y += broadcast(factor[j * D + i]) * t[j];
          distance += y * y;
        }
        store(out + row + a * w, capped_quad<T>(distance));
      }
    }
  }

  template <int F>
  PYESTIM_INLINE static void add_squares(const T* x, const T* factor, const T* start, int i0, V (&distance)[u]) {
    V y[F][u];
    whiten_group<T, F>(x, factor, start, i0, y);
#pragma GCC unroll 4
    for (int f = 0; f < F; ++f) {
#pragma GCC unroll 4
      for (int a = 0; a < u; ++a) distance[a] += y[f][a] * y[f][a];
    }
  }

  static void quad_by_groups(const Block<T>& block, const T* factor, const T* start, T* out) {
    constexpr int group = S::factor_rows;
    const int d = block.d;
    for (int row = 0; row < block.padded; row += S::panel) {
      const T* x = block.panels + int64_t(row) * d;
      V distance[u];
      for (int a = 0; a < u; ++a) distance[a] = broadcast(T(0));
      const T* f = factor;
      int i0 = 0;
      for (; i0 + group <= d; f += (i0 + group) * group, i0 += group)
        add_squares<group>(x, f, start + i0, i0, distance);
      if (d - i0 == 1) add_squares<1>(x, f, start + i0, i0, distance);
      if (d - i0 == 2) add_squares<2>(x, f, start + i0, i0, distance);
      if (d - i0 == 3) add_squares<3>(x, f, start + i0, i0, distance);
      for (int a = 0; a < u; ++a) store(out + row + a * w, capped_quad<T>(distance[a]));
    }
  }

  static void quad(const Block<T>& block, Shape shape, const void* packed, T* quad, void*) {
    Arena arena = arena_at(packed);
    const Packed p = carve(arena, shape);
    for (int k = 0; k < shape.n_components; ++k) {
      const T* factor = p.factor + k * p.factor_size;
      const T* mean = p.mean + int64_t(k) * p.wide;
      T* out = quad + int64_t(k) * S::stride;
      switch (shape.d) {
        case 1:
          quad_in_registers<1>(block, factor, mean, out);
          break;
        case 2:
          quad_in_registers<2>(block, factor, mean, out);
          break;
        case 3:
          quad_in_registers<3>(block, factor, mean, out);
          break;
        case 4:
          quad_in_registers<4>(block, factor, mean, out);
          break;
        default:
          quad_by_groups(block, factor, p.start + int64_t(k) * shape.d, out);
      }
    }
  }

  // ---- M-step ----
  // Rows of the triangle, from I0 on, whose sums fit in registers together: row i has i + 1 products and a first
  // moment.
  static constexpr int last_row(int d, int i0) {
    constexpr int most = many_registers ? 24 : 12;
    int i = i0, sums = 0;
    while (i < d && (i == i0 || sums + i + 2 <= most)) sums += i++ + 2;
    return i;
  }

  template <int D>
  struct Sums {
    V one[D], two[D][D];

    PYESTIM_INLINE void clear() {
#pragma GCC unroll 8
      for (int i = 0; i < D; ++i) {
        one[i] = broadcast(T(0));
#pragma GCC unroll 8
        for (int j = 0; j <= i; ++j) two[i][j] = broadcast(T(0));
      }
    }
  };

  // One panel, vectors from A on, which take the two chains of sums in turn.  A recursion, not a loop: the compiler
  // keeps sums in registers only where every index is a constant from the start.
  template <int D, int I0, int I1, int A>
  PYESTIM_INLINE static void add_panel(const T* x, const T* resp, const T* mean, Sums<D>& mine, Sums<D>& next) {
    if constexpr (A < u) {
      const V r = load(resp + A * w);
      V t[I1];
#pragma GCC unroll 8
      for (int j = 0; j < I1; ++j) t[j] = load(x + j * S::panel + A * w) - broadcast(mean[j]);
#pragma GCC unroll 8
      for (int i = I0; i < I1; ++i) {
        const V weighted = r * t[i];
        mine.one[i] += weighted;
#pragma GCC unroll 8
        for (int j = 0; j <= i; ++j) mine.two[i][j] += weighted * t[j];
      }
      add_panel<D, I0, I1, A + 1>(x, resp, mean, next, mine);
    }
  }

  // Rows I0 .. I1 of the triangle and of the first moment, then the rest; all sums of a pass in registers.
  template <int D, int I0>
  static void moments_in_registers(const Block<T>& block, const T* resp, const T* mean, double* first,
                                   double* triangle) {
    constexpr int I1 = last_row(D, I0);
    constexpr bool two_chains = D <= 2;  // so few sums would wait for each other
    Sums<D> even, odd;
    even.clear();
    odd.clear();
    for (int row = 0; row < block.padded; row += S::panel) {
      const T* x = block.panels + int64_t(row) * D;
      if constexpr (two_chains) {
        add_panel<D, I0, I1, 0>(x, resp + row, mean, even, odd);
      } else {
        add_panel<D, I0, I1, 0>(x, resp + row, mean, even, even);
      }
    }
#pragma GCC unroll 8
    for (int i = I0; i < I1; ++i) {
      first[i] += double(reduce_add(even.one[i] + odd.one[i]));
#pragma GCC unroll 8
      for (int j = 0; j <= i; ++j) {
        triangle[i * (i + 1) / 2 + j] += double(reduce_add(even.two[i][j] + odd.two[i][j]));
      }
    }
    if constexpr (I1 < D) moments_in_registers<D, I1>(block, resp, mean, first, triangle);
  }

  template <int D>
  static void add_in_registers(const Block<T>& block, Shape shape, const Packed& p, const T* resp,
                               const Moments& moments) {
    for (int k = 0; k < shape.n_components; ++k) {
      const T* r = resp + int64_t(k) * S::stride;
      moments_in_registers<D, 0>(block, r, p.mean + int64_t(k) * p.wide, moments.first + int64_t(k) * D,
                                 moments.second + k * shape.triangle());
    }
  }

  static void add_outer_products(const Block<T>& block, Shape shape, const Packed& p, const T* resp,
                                 const Moments& moments, void* scratch) {
    Arena work = arena_at(scratch);
    const auto outer = OuterProducts<T>::carve(work, shape.d);
    for (int k = 0; k < shape.n_components; ++k) {
      OuterProducts<T>::accumulate(block, resp + int64_t(k) * S::stride, p.mean + int64_t(k) * p.wide, outer,
                                   moments.first + int64_t(k) * shape.d, moments.second + k * shape.triangle());
    }
  }

  static void accumulate(const Block<T>& block, Shape shape, const void* packed, const T*, const T* resp,
                         const Moments& moments, void* scratch) {
    Arena arena = arena_at(packed);
    const Packed p = carve(arena, shape);
    switch (shape.d) {
      case 1:
        return add_in_registers<1>(block, shape, p, resp, moments);
      case 2:
        return add_in_registers<2>(block, shape, p, resp, moments);
      case 3:
        return add_in_registers<3>(block, shape, p, resp, moments);
      case 4:
        return add_in_registers<4>(block, shape, p, resp, moments);
      case 5:
        return add_in_registers<5>(block, shape, p, resp, moments);
      case 6:
        return add_in_registers<6>(block, shape, p, resp, moments);
      case 7:
        return add_in_registers<7>(block, shape, p, resp, moments);
      case 8:
        if constexpr (registers_d == 8) return add_in_registers<8>(block, shape, p, resp, moments);
        [[fallthrough]];
      default:
        return add_outer_products(block, shape, p, resp, moments, scratch);
    }
  }

  static void finish(Shape shape, const void* packed, const Moments& moments, void*) {
    if (sizeof(T) == 8) return;  // nothing was rounded
    Arena arena = arena_at(packed);
    const Packed p = carve(arena, shape);
    for (int k = 0; k < shape.n_components; ++k) {
      recentre_triangle(moments.resp_sum[k], p.delta + int64_t(k) * shape.d, shape.d,
                        moments.first + int64_t(k) * shape.d, moments.second + k * shape.triangle());
    }
  }

  static constexpr ComponentOps<T> ops = {packed_bytes, scratch_bytes, wants_groups, block_rows, false, pack,
                                          quad,         nullptr,       nullptr,      accumulate, finish};
};
