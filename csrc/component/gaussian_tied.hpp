// Gaussian components that share one covariance.
//
// Include inside the namespace of the level, after component/gaussian_full.hpp and component/distances.hpp.
//
// E-step: every row is whitened once, y = F z, then |y - F mean_k|^2, centred.  M-step: the pooled scatter about the
// means is that about the origin, sum w z z', minus what the means explain; the former is common to all candidates.
// Where the means lie many standard deviations from the origin the difference would cancel: the fully centred path.
#pragma once

template <class T>
struct GaussianTied {
  using V = typename Pack<T>::V;
  using S = Tile<T>;
  static constexpr int w = S::width, u = S::vectors;
  // Largest squared distance of a mean from the origin, in standard deviations, where the short way keeps its digits.
  static constexpr double near = sizeof(T) == 8 ? 1e4 : 1e2;

  struct Packed {
    T* factor;         // packed as in GaussianFull
    T* white_mean;     // (K, d) F mean
    T* one;            // (K,) ones: squared scale of the distances
    T* mean;           // (K, padded d)
    double* delta;     // (K, d)
    double* exact;     // (K, d) mean - shift in float64
    int64_t* centred;  // 1: fully centred path
    int wide;
  };

  struct Scratch {
    T* white;         // one panel of y
    double* scatter;  // (P,) sum w z z' of the leaf
    typename OuterProducts<T>::Scratch outer;
  };

  static Packed carve(Arena& arena, Shape shape) {
    const int64_t k = shape.n_components;
    Packed p;
    p.wide = padded_features<T>(shape.d);
    p.factor = arena.take<T>(packed_factor_size(shape.d, S::factor_rows));
    p.white_mean = arena.take<T>(k * shape.d);
    p.one = arena.take<T>(k);
    p.mean = arena.take<T>(k * p.wide);
    p.delta = arena.take<double>(k * shape.d);
    p.exact = arena.take<double>(k * shape.d);
    p.centred = arena.take<int64_t>(1);
    return p;
  }

  static Scratch carve_scratch(Arena& arena, Shape shape) {
    Scratch s;
    s.white = arena.take<T>(int64_t(S::panel) * shape.d);
    s.scatter = arena.take<double>(shape.triangle());
    s.outer = OuterProducts<T>::carve(arena, shape.d);
    return s;
  }

  static int64_t packed_bytes(Shape shape) {
    Arena arena = arena_at(nullptr);
    carve(arena, shape);
    return arena.used;
  }

  static int64_t scratch_bytes(Shape shape) {
    Arena arena = arena_at(nullptr);
    carve_scratch(arena, shape);
    return arena.used;
  }

  static bool wants_groups(Shape) { return true; }
  static int block_rows(Shape) { return S::small_block; }

  static void pack(Shape shape, const Parameters& parameters, void* packed) {
    Arena arena = arena_at(packed);
    const Packed p = carve(arena, shape);
    const int d = shape.d;
    *p.centred = parameters.factors == nullptr;  // no scale to judge the distance by
    if (parameters.factors != nullptr) pack_factor(parameters.factors, d, p.factor);
    for (int k = 0; k < shape.n_components; ++k) {
      pack_mean(shape, parameters, k, p.mean + int64_t(k) * p.wide, p.delta + int64_t(k) * d);
      p.one[k] = T(1);
      double* exact = p.exact + int64_t(k) * d;
      for (int j = 0; j < d; ++j) exact[j] = parameters.means[int64_t(k) * d + j] - parameters.shift[j];
      if (parameters.factors == nullptr) continue;
      double length = 0;
      for (int i = 0; i < d; ++i) {
        double y = 0;
        for (int j = 0; j <= i; ++j) y += parameters.factors[int64_t(i) * d + j] * exact[j];
        p.white_mean[int64_t(k) * d + i] = T(y);
        length += y * y;
      }
      if (!(length <= near)) *p.centred = 1;
    }
  }

  // ---- E-step ----
  template <int F>
  PYESTIM_INLINE static void whiten_rows(const T* x, const T* factor, int i0, T* white) {
    const T zero[F] = {};
    V y[F][u];
    whiten_group<T, F>(x, factor, zero, i0, y);
#pragma GCC unroll 4
    for (int f = 0; f < F; ++f) {
#pragma GCC unroll 4
      for (int a = 0; a < u; ++a) store(white + (i0 + f) * S::panel + a * w, y[f][a]);
    }
  }

  static void whiten_panel(const T* x, const T* factor, int d, T* white) {
    constexpr int group = S::factor_rows;
    int i0 = 0;
    for (; i0 + group <= d; factor += (i0 + group) * group, i0 += group) whiten_rows<group>(x, factor, i0, white);
    if (d - i0 == 1) whiten_rows<1>(x, factor, i0, white);
    if (d - i0 == 2) whiten_rows<2>(x, factor, i0, white);
    if (d - i0 == 3) whiten_rows<3>(x, factor, i0, white);
  }

  static void quad(const Block<T>& block, Shape shape, const void* packed, T* quad, void* scratch) {
    Arena arena = arena_at(packed), work = arena_at(scratch);
    const Packed p = carve(arena, shape);
    const Scratch s = carve_scratch(work, shape);
    for (int row = 0; row < block.padded; row += S::panel) {
      fetch_ahead(block, row);
      whiten_panel(block.panels + int64_t(row) * block.d, p.factor, block.d, s.white);
      Distances<T>::panel(s.white, p.white_mean, block.d, block.d, p.one, shape.n_components, quad + row);
    }
  }

  // ---- M-step ----
  static void begin_leaf(Shape shape, void* scratch) {
    Arena work = arena_at(scratch);
    const Scratch s = carve_scratch(work, shape);
    for (int64_t i = 0; i < shape.triangle(); ++i) s.scatter[i] = 0;
  }

  // scatter += sum w z z'.
  static void share(const Block<T>& block, Shape shape, void* scratch) {
    Arena work = arena_at(scratch);
    const Scratch s = carve_scratch(work, shape);
    if (block.unit_weights) {
      OuterTriangle<T>::add(block.groups, block.rows, shape.d, s.scatter);
      return;
    }
    for (int i = 0; i < block.rows; i += w) store(s.outer.root + i, sqrt(load(block.weight + i)));
    for (int j = 0; j < padded_features<T>(shape.d); j += w) {
      const T* z = block.groups + int64_t(j) * S::block;
      T* scaled = s.outer.scaled + int64_t(j) * S::block;
      for (int i = 0; i < block.rows; ++i) store(scaled + i * w, broadcast(s.outer.root[i]) * load(z + i * w));
    }
    OuterTriangle<T>::add(s.outer.scaled, block.rows, shape.d, s.scatter);
  }

  static void accumulate(const Block<T>& block, Shape shape, const void* packed, const T*, const T* resp,
                         const Moments& moments, void* scratch) {
    Arena arena = arena_at(packed), work = arena_at(scratch);
    const Packed p = carve(arena, shape);
    const Scratch s = carve_scratch(work, shape);
    if (!*p.centred) {
      Distances<T>::first_moments(block, shape, resp, p.mean, p.wide, moments.first);
      return;
    }
    for (int k = 0; k < shape.n_components; ++k) {
      OuterProducts<T>::accumulate(block, resp + int64_t(k) * S::stride, p.mean + int64_t(k) * p.wide, s.outer,
                                   moments.first + int64_t(k) * shape.d, moments.second);
    }
  }

  // second += scatter about the origin - sum_k (first mean' + mean first' + n mean mean').
  static void finish_short(Shape shape, const Packed& p, const Moments& moments, const Scratch& s) {
    const int d = shape.d;
    Distances<T>::finish_first(shape, p.mean, p.wide, p.delta, moments);
    for (int64_t at = 0; at < shape.triangle(); ++at) moments.second[at] += s.scatter[at];
    for (int k = 0; k < shape.n_components; ++k) {
      const double n = moments.resp_sum[k];
      const double* first = moments.first + int64_t(k) * d;
      const double* mean = p.exact + int64_t(k) * d;
      for (int i = 0; i < d; ++i) {
        double* row = moments.second + int64_t(i) * (i + 1) / 2;
        for (int j = 0; j <= i; ++j) row[j] -= first[i] * mean[j] + mean[i] * first[j] + n * mean[i] * mean[j];
      }
    }
  }

  static void finish(Shape shape, const void* packed, const Moments& moments, void* scratch) {
    Arena arena = arena_at(packed), work = arena_at(scratch);
    const Packed p = carve(arena, shape);
    if (!*p.centred) return finish_short(shape, p, moments, carve_scratch(work, shape));
    if (sizeof(T) == 8) return;  // nothing was rounded
    for (int k = 0; k < shape.n_components; ++k) {
      recentre_triangle(moments.resp_sum[k], p.delta + int64_t(k) * shape.d, shape.d,
                        moments.first + int64_t(k) * shape.d, moments.second);
    }
  }

  static constexpr ComponentOps<T> ops = {packed_bytes, scratch_bytes, wants_groups, block_rows, false, pack,
                                          quad,         begin_leaf,    share,        accumulate, finish};
};
