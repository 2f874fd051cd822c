// Several censored cells of one row: a normal vector in a box, some of whose sides may be next to nothing.
//
// Include inside the namespace of the level, after math/normal_box.hpp.
#pragma once

struct CellBox {
  double *lower, *upper, *width;
  double* reach;  // standard deviation of each cell given the others
  double *mean, *cov;
  double *inside, *inside_cov;
  double* work;
  int32_t* index;

  static CellBox carve(Arena& arena, int64_t n) {
    CellBox b;
    double** const bounds[] = {&b.lower, &b.upper, &b.width, &b.reach, &b.mean, &b.inside};
    for (double** bound : bounds) *bound = arena.take<double>(n);
    b.cov = arena.take<double>(n * n);
    b.inside_cov = arena.take<double>(n * n);
    b.work = arena.take<double>(box_work(int(n)));
    b.index = arena.take<int32_t>(n);
    return b;
  }
};

// Shares of `reach` below which a cell is narrow.  It takes part by its own mean then, which its density may bend by
// the square of the share only; the ends of wider ones differ by more than their rounding, so that what is left of a
// box has ten digits either way.
constexpr double narrow_share = 1e-5;
// Rounding may leave nothing of a variance that others explain.
constexpr double least_variance = 1e-15;

PYESTIM_INLINE OneInterval interval_of(const CellBox& b, int i, double mean, double sd) {
  return normal_interval_of((b.lower[i] - mean) / sd, (b.upper[i] - mean) / sd, b.width[i] / sd);
}

// Log-probability of the box, its moments in b.inside and b.inside_cov.
inline double inside_wide_box(const CellBox& b, int n) {
  double log_prob = 0, error = 0;
  const BoxMoments out{&log_prob, b.inside, b.inside_cov, &error};
  if (normal_box({n, b.mean, b.cov, b.lower, b.upper}, b.work, out) == BoxStatus::ok) return log_prob;
  // Covariances without digits: as if the cells were uncorrelated, which is finite.
  log_prob = 0;
  for (int i = 0; i < n; ++i) {
    const double sd = sqrt_number(b.cov[i * (n + 1)]);
    const OneInterval one = interval_of(b, i, b.mean[i], sd);
    log_prob += one.log_prob;
    b.inside[i] = b.mean[i] + sd * one.mean;
    for (int j = 0; j < n; ++j) b.inside_cov[i * n + j] = i == j ? sd * sd * one.variance : 0;
  }
  return log_prob;
}

// Conditions b.inside and b.inside_cov on a narrow cell; returns the logarithm of its probability.
inline double know_cell(const CellBox& b, int n, int i) {
  double* cov = b.inside_cov;
  const double variance = cov[i * (n + 1)], sd = sqrt_number(variance);
  const OneInterval one = interval_of(b, i, b.inside[i], sd);
  double* slope = b.work;
  for (int j = 0; j < n; ++j) slope[j] = cov[j * n + i] / variance;
  for (int j = 0; j < n; ++j) {
    b.inside[j] += slope[j] * sd * one.mean;
    for (int l = 0; l < n; ++l) cov[j * n + l] -= j == i || l == i ? 0.0 : slope[j] * slope[l] * variance;
    const double least = least_variance * b.cov[j * (n + 1)];
    if (j != i && cov[j * (n + 1)] < least) cov[j * (n + 1)] = least;
  }
  for (int j = 0; j < n; ++j) cov[i * n + j] = cov[j * n + i] = j == i ? variance * one.variance : 0.0;
  return one.log_prob;
}

// The same for any box; `rest` holds the cells that are not narrow.
inline double inside_box(const CellBox& b, const CellBox& rest, int n) {
  int m = 0;
  for (int i = 0; i < n; ++i) {
    if (!(b.width[i] < narrow_share * b.reach[i])) rest.index[m++] = i;
  }
  if (m == n) return inside_wide_box(b, n);
  for (int i = 0; i < n; ++i) b.inside[i] = b.mean[i];
  for (int i = 0; i < n * n; ++i) b.inside_cov[i] = b.cov[i];
  double log_prob = 0;
  for (int i = 0; i < n; ++i) {
    if (b.width[i] < narrow_share * b.reach[i]) log_prob += know_cell(b, n, i);
  }
  for (int i = 0; i < m; ++i) {
    const int at = rest.index[i];
    rest.lower[i] = b.lower[at];
    rest.upper[i] = b.upper[at];
    rest.width[i] = b.width[at];
    rest.mean[i] = b.inside[at];
    for (int j = 0; j < m; ++j) rest.cov[i * m + j] = b.inside_cov[at * n + rest.index[j]];
  }
  if (m > 0) log_prob += inside_wide_box(rest, m);
  for (int i = 0; i < m; ++i) {
    b.inside[rest.index[i]] = rest.inside[i];
    for (int j = 0; j < m; ++j) b.inside_cov[rest.index[i] * n + rest.index[j]] = rest.inside_cov[i * m + j];
  }
  return log_prob;
}
