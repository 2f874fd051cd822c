// What the sweeps over partly known cells share: shapes, parameters of a candidate, the rows of a block.
//
// Include inside the namespace of the level, after kernel/mixture_sizes.hpp and math/truncated_normal.hpp.
//
// Arithmetic is in double precision: probabilities of intervals lose the digits of float32 to cancellation.  Everything
// is a deviation t from the mean of a component.  A censored or missing cell takes part with E[t] and E[t t'] given
// what is known of its row, and leaves the statistics that an exact one would.
#pragma once

using Tile64 = Tile<double>;
using Pack64 = Pack<double>::V;

constexpr double least_log_prob = -1e298;                    // of a cell: sums over cells stay finite
constexpr double log_unit_normal = -0.91893853320467274178;  // -log(2 pi) / 2
// Logarithm of the most unseen rows that a seen one stands for: their sums stay in range.
constexpr double most_unseen_log = 600;

PYESTIM_INLINE double log_number(double x) { return reduce_max(log_full(broadcast(x))); }
PYESTIM_INLINE double exp_number(double x) { return reduce_max(exp_full(broadcast(x))); }

PYESTIM_INLINE Shape shape_of(const CellsJob& job) { return shape_of(job.mixture); }
PYESTIM_INLINE CellState state_of(const CellsView& cells, int64_t pattern, int d, int j) {
  return CellState(cells.state[pattern * d + j]);
}

// Place of the first censored cell of a row of `pattern`; the following ones are `pattern_rows` apart.
PYESTIM_INLINE int64_t first_cell(const CellsView& cells, int32_t pattern, int64_t row) {
  return cells.cell_start[pattern] + row - cells.pattern_start[pattern];
}
PYESTIM_INLINE int64_t pattern_rows(const CellsView& cells, int32_t pattern) {
  return cells.pattern_start[pattern + 1] - cells.pattern_start[pattern];
}

// One column at a time: no component has a correlation.
PYESTIM_INLINE bool by_columns(const CellsJob& job) {
  return job.mixture.rows.d == 1 || job.mixture.family == Family::diag || job.mixture.family == Family::spherical;
}

// Where component k and column j lie among the factors and the second moments, if the sweep goes by columns.
struct Strides {
  int64_t k, j;
  PYESTIM_INLINE int64_t at(int component, int column) const { return component * k + column * j; }
};

PYESTIM_INLINE Strides strides_of(const CellsJob& job) {
  switch (job.mixture.family) {
    case Family::diag:
      return {job.mixture.rows.d, 1};
    case Family::tied:
      return {0, 0};
    default:
      return {1, 0};
  }
}

// Parameters of all candidates, and what follows from them.
struct PackedCells {
  double* weight;    // (C, K)
  double* log_unit;  // (C, K, d) by columns: log-density of a cell at its mean
  double* sigma;     // (C, K or 1, d, d) otherwise: covariances
  double* inverse;   // (d, d) scratch of their making
};

PYESTIM_INLINE int64_t matrices_of(const CellsJob& job) {
  return job.mixture.family == Family::tied ? 1 : job.mixture.n_components;
}

PYESTIM_INLINE PackedCells carve_cells(Arena& arena, const CellsJob& job) {
  const MixtureJob& m = job.mixture;
  const int64_t d = m.rows.d, each = int64_t(m.n_candidates) * m.n_components;
  PackedCells p{};
  p.weight = arena.take<double>(each);
  if (by_columns(job)) {
    p.log_unit = arena.take<double>(each * d);
  } else {
    p.sigma = arena.take<double>(m.n_candidates * matrices_of(job) * d * d);
    p.inverse = arena.take<double>(d * d);
  }
  return p;
}

// One candidate of them.
struct CellParameters {
  const double* log_offset;  // (K,)
  const double* means;       // (K, d)
  const double* factors;
  double* weight;    // (K,)
  double* log_unit;  // (K, d)
  double* sigma;     // (K or 1, d, d)
};

PYESTIM_INLINE CellParameters parameters_of(const CellsJob& job, const PackedCells& packed, int c) {
  const MixtureJob& m = job.mixture;
  const int64_t k = m.n_components, d = m.rows.d;
  return {m.log_offset + c * k,  m.means + c * k * d,         m.factors + c * factor_size(m.family, shape_of(m)),
          packed.weight + c * k, packed.log_unit + c * k * d, packed.sigma + c * matrices_of(job) * d * d};
}

// inverse = F^-1 for a lower triangular F, zeros above.
inline void invert_lower(const double* factor, int d, double* inverse) {
  for (int i = 0; i < d; ++i) {
    for (int j = 0; j < d; ++j) {
      double sum = i == j ? 1.0 : 0.0;
      for (int l = j; l < i; ++l) sum -= factor[i * d + l] * inverse[l * d + j];
      inverse[i * d + j] = j <= i ? sum / factor[i * d + i] : 0.0;
    }
  }
}

// sigma = (F'F)^-1 for a lower triangular F; inverse (d, d) is scratch that keeps F^-1.
inline void covariance_of(const double* factor, int d, double* inverse, double* sigma) {
  invert_lower(factor, d, inverse);
  for (int i = 0; i < d; ++i) {
    for (int j = 0; j <= i; ++j) {
      double sum = 0;
      for (int l = 0; l <= j; ++l) sum += inverse[i * d + l] * inverse[j * d + l];
      sigma[i * d + j] = sigma[j * d + i] = sum;
    }
  }
}

// Weights and logarithms of one candidate.
inline void pack_candidate(const CellsJob& job, const CellParameters& p) {
  const int d = job.mixture.rows.d;
  for (int k = 0; k < job.mixture.n_components; ++k) {
    double log_det = 0;
    for (int j = 0; j < d; ++j) {
      const int64_t at = by_columns(job) ? strides_of(job).at(k, j)
                                         : (matrices_of(job) == 1 ? 0 : int64_t(k) * d * d) + int64_t(j) * (d + 1);
      const double log_unit = log_number(p.factors[at]) + log_unit_normal;
      if (by_columns(job)) p.log_unit[int64_t(k) * d + j] = log_unit;
      log_det += log_unit;
    }
    p.weight[k] = exp_number(p.log_offset[k] - log_det);
  }
}

// Which rows a block holds: a stretch, or a list.
struct CellRows {
  const CellsView* cells;
  const int64_t* list;  // null: first, first + 1, ...
  int64_t first;
  int count;

  PYESTIM_INLINE int64_t operator[](int i) const { return list == nullptr ? first + i : list[i]; }
};

// Rows that follow `first` within the same pattern, at most `most`.
inline int same_pattern(const CellsView& cells, int64_t first, int64_t end, int most) {
  const int64_t stop = cells.pattern_start[cells.pattern[first] + 1];
  const int64_t count = (stop < end ? stop : end) - first;
  return count < most ? int(count) : most;
}

// Block of rows without exact cells.
inline void load_boxes(const double* weight, int count, Block<double>& block) {
  block.rows = count;
  block.padded = round_up(count, Tile64::panel);
  block.unit_weights = false;
  block.weight_sum = 0;
  for (int i = 0; i < block.padded; ++i) {
    block.weight[i] = i < count ? weight[i] : 0.0;
    block.weight_sum += block.weight[i];
  }
  for (int64_t i = 0; i < int64_t(block.padded) * block.d; ++i) block.panels[i] = 0;
}
