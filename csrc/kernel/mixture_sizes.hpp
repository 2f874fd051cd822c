// Sizes of what a sweep over a mixture of a family takes and leaves.
//
// Include inside the namespace of the level, after kernel/mixture.hpp.
#pragma once

PYESTIM_INLINE int64_t second_size(Family family, Shape shape) {
  switch (family) {
    case Family::full:
      return shape.n_components * shape.triangle();
    case Family::tied:
      return shape.triangle();
    case Family::diag:
      return int64_t(shape.n_components) * shape.d;
    default:
      return shape.n_components;
  }
}

PYESTIM_INLINE int64_t stats_size(Family family, Shape shape) {
  return 2 + shape.n_components + int64_t(shape.n_components) * shape.d + second_size(family, shape);
}

PYESTIM_INLINE int64_t factor_size(Family family, Shape shape) {
  switch (family) {
    case Family::full:
      return int64_t(shape.n_components) * shape.d * shape.d;
    case Family::tied:
      return int64_t(shape.d) * shape.d;
    case Family::diag:
      return int64_t(shape.n_components) * shape.d;
    default:
      return shape.n_components;
  }
}

// Windows of one statistics vector behind log_likelihood and weight_sum.
PYESTIM_INLINE Moments moments_of(double* stats, Shape shape) {
  double* resp_sum = stats + 2;
  double* first = resp_sum + shape.n_components;
  return {resp_sum, first, first + int64_t(shape.n_components) * shape.d};
}

PYESTIM_INLINE Shape shape_of(const MixtureJob& job) { return {job.n_components, job.rows.d}; }
