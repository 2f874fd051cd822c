// What the mixture, assign and per-row sweeps share: layout of the packed parameters and of the scratch, and the walk
// over the blocks of a leaf.
//
// Include inside the namespace of the level, after kernel/mixture_sizes.hpp, gate/constant.hpp and the components.
#pragma once

// One line per component.
template <class T>
const ComponentOps<T>& ops_of(Family family) {
  static constexpr ComponentOps<T> table[] = {GaussianFull<T>::ops, GaussianTied<T>::ops, GaussianDiag<T>::ops,
                                              GaussianSpherical<T>::ops};
  return table[int(family)];
}

// Numbers that float32 can hold and square.
PYESTIM_INLINE bool fits_float32(const double* x, int64_t count) {
  for (int64_t i = 0; i < count; ++i) {
    const double size = x[i] < 0 ? -x[i] : x[i];
    if (!(size <= float32_reach) && size < __builtin_huge_val()) return false;
  }
  return true;
}

// Parameters of all candidates, kernel-ready, for one arithmetic type.
template <class T>
struct PackedMixture {
  Working<T> working;
  T* offset;            // (C, K) log_offset
  double* offset_rest;  // (C, K) what rounding took from log_offset
  char* component;      // (C, component_bytes)
  int64_t component_bytes;
};

template <class T>
PackedMixture<T> carve_packed(Arena& arena, Family family, Shape shape, int n_candidates) {
  PackedMixture<T> p;
  const int64_t offsets = int64_t(n_candidates) * shape.n_components;
  p.working = carve_working<T>(arena, shape.d);
  p.offset = arena.take<T>(offsets);
  p.offset_rest = arena.take<double>(offsets);
  p.component_bytes = ops_of<T>(family).packed_bytes(shape);
  p.component = arena.take<char>(n_candidates * p.component_bytes);
  return p;
}

struct MixtureParameters {
  const RowsView& rows;
  Family family;
  Shape shape;
  int n_candidates;
  const double* log_offset;  // null: none
  const double* means;
  const double* factors;  // null: none
};

template <class T>
void pack_mixture(const MixtureParameters& m, const PackedMixture<T>& p) {
  pack_working(m.rows, p.working);
  const int64_t k = m.shape.n_components;
  for (int64_t i = 0; i < m.n_candidates * k; ++i) {
    const double offset = m.log_offset == nullptr ? 0.0 : m.log_offset[i];
    p.offset[i] = T(offset);
    p.offset_rest[i] = offset > -__builtin_huge_val() ? offset - double(p.offset[i]) : 0.0;
  }
  for (int c = 0; c < m.n_candidates; ++c) {
    const double* factors = m.factors == nullptr ? nullptr : m.factors + c * factor_size(m.family, m.shape);
    const Parameters parameters{m.means + c * k * m.shape.d, factors, p.working.shift};
    ops_of<T>(m.family).pack(m.shape, parameters, p.component + c * p.component_bytes);
  }
}

// Buffers of one thread.
template <class T>
struct MixtureScratch {
  Block<T> block;
  T* quad;       // (K, rows)
  T* resp;       // (K, rows); the same buffer as quad where the component allows
  T* log_total;  // (rows,)
  T* share;      // (rows,)
  char* component;
};

template <class T>
MixtureScratch<T> carve_mixture(Arena& arena, const ComponentOps<T>& ops, Shape shape, bool keep_quad) {
  using S = Tile<T>;
  MixtureScratch<T> s;
  carve_block(arena, shape.d, ops.wants_groups(shape), s.block);
  s.quad = arena.take<T>(int64_t(S::stride) * shape.n_components);
  s.resp = keep_quad || ops.keeps_quad ? arena.take<T>(int64_t(S::stride) * shape.n_components) : s.quad;
  s.log_total = arena.take<T>(S::stride);
  s.share = arena.take<T>(S::stride);
  s.component = arena.take<char>(ops.scratch_bytes(shape));
  return s;
}

// Rows of a block: what the component wants, fewer where so many components would push (K, rows) out of the second
// cache.
template <class T>
PYESTIM_INLINE int block_step(const ComponentOps<T>& ops, Shape shape) {
  constexpr int64_t most_bytes = 256 * 1024;
  const int wanted = ops.block_rows(shape), least = 4 * Tile<T>::panel;
  const int64_t fitting = most_bytes / (int64_t(sizeof(T)) * shape.n_components) / Tile<T>::panel * Tile<T>::panel;
  return fitting >= wanted ? wanted : (fitting > least ? int(fitting) : (least < wanted ? least : wanted));
}

// float32 weights are brought near 1 by a power of two per leaf, so that none overflows.
PYESTIM_INLINE double weight_factor(const RowsView& rows, int64_t begin, int64_t end) {
  if (rows.weight == nullptr) return 1.0;
  double most = 0;
  for (int64_t i = begin; i < end; ++i) most = rows.weight[i] > most ? rows.weight[i] : most;
  if (most == 0 || (most < 1e6 && most > 1e-6)) return 1.0;
  // From exponent field to exponent field; both ends stay finite and normal.
  const int64_t field = 2046 - int64_t(bits<uint64_t>(most) >> 52);
  return bits<double>(uint64_t(field < 1 ? 1 : field) << 52);
}

// End of a leaf: moments to float64 means, weights to their own scale.
template <class T>
void finish_leaf(const ComponentOps<T>& ops, Family family, Shape shape, const void* packed, double factor,
                 double* stats, void* scratch) {
  ops.finish(shape, packed, moments_of(stats, shape), scratch);
  if (factor == 1.0) return;
  for (int64_t i = 0; i < stats_size(family, shape); ++i) stats[i] /= factor;
}

// float32 rows: arithmetic in float32, unless `accurate`.  Both arithmetics are packed then, because a leaf with
// numbers out of the reach of float32 is done in float64.
PYESTIM_INLINE bool in_float32(const RowsView& rows, bool accurate) {
  return rows.dtype == Dtype::float32 && !accurate;
}

PYESTIM_INLINE bool parameters_fit_float32(const MixtureParameters& m) {
  const int64_t c = m.n_candidates, kd = int64_t(m.shape.n_components) * m.shape.d;
  bool fit = fits_float32(m.means, c * kd);
  if (m.factors != nullptr) fit = fit && fits_float32(m.factors, c * factor_size(m.family, m.shape));
  if (m.factors != nullptr && m.family == Family::spherical) {
    for (int64_t i = 0; i < c * m.shape.n_components; ++i)
      fit = fit && m.factors[i] * float32_reach >= 1;  // its square
  }
  if (m.log_offset != nullptr) fit = fit && fits_float32(m.log_offset, c * m.shape.n_components);
  for (int j = 0; j < m.shape.d; ++j) {
    fit = fit && m.rows.scale[j] < 1e30 && m.rows.scale[j] > 1e-30 && fits_float32(m.rows.centre + j, 1);
  }
  return fit;
}

PYESTIM_INLINE int64_t mixture_scratch_bytes(Family family, Shape shape, const RowsView& rows, bool accurate,
                                             bool keep_quad) {
  Arena wide = arena_at(nullptr), narrow = arena_at(nullptr);
  carve_mixture<double>(wide, ops_of<double>(family), shape, keep_quad);
  if (in_float32(rows, accurate)) carve_mixture<float>(narrow, ops_of<float>(family), shape, keep_quad);
  return wide.used > narrow.used ? wide.used : narrow.used;
}

// Multiply-adds count two; an exp counts twenty.
PYESTIM_INLINE double mixture_row_flops(Family family, Shape shape) {
  const double k = shape.n_components, d = shape.d;
  switch (family) {
    case Family::full:
      return k * (2 * d * (d + 1) + 6 * d + 40);
    case Family::tied:
      return 2 * d * (d + 1) + k * (5 * d + 40);
    case Family::diag:
      return k * (8 * d + 40);
    default:
      return k * (5 * d + 40);
  }
}

// float64 parameters always: a leaf out of the reach of float32 needs them.
struct BothPacked {
  PackedMixture<double> wide;
  PackedMixture<float> narrow;  // float32 rows only
  int64_t* has_narrow;          // 0: float64 rows, accurate, or parameters out of the reach of float32

  PYESTIM_INLINE bool use_float32() const { return *has_narrow != 0; }
};

PYESTIM_INLINE BothPacked carve_both(Arena& arena, const MixtureParameters& m, bool accurate) {
  BothPacked p{};
  p.has_narrow = arena.take<int64_t>(1);
  p.wide = carve_packed<double>(arena, m.family, m.shape, m.n_candidates);
  if (in_float32(m.rows, accurate)) p.narrow = carve_packed<float>(arena, m.family, m.shape, m.n_candidates);
  return p;
}

PYESTIM_INLINE void pack_both(const MixtureParameters& m, bool accurate, void* packed) {
  Arena arena = arena_at(packed);
  const BothPacked p = carve_both(arena, m, accurate);
  pack_mixture(m, p.wide);
  *p.has_narrow = in_float32(m.rows, accurate) && parameters_fit_float32(m);
  if (p.use_float32()) pack_mixture(m, p.narrow);
}

PYESTIM_INLINE MixtureParameters parameters_of(const MixtureJob& job) {
  return {job.rows, job.family, shape_of(job), job.n_candidates, job.log_offset, job.means, job.factors};
}
