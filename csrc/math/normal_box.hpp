// A normal law inside a box with sides along the axes: log-probability, mean and covariance of what is inside.
//
// Include inside the namespace of the instruction level, after normal_space.hpp and normal_lattice.hpp.
//
// Coordinates without limits follow from the others by regression, so only limited ones are integrated: one or
// uncorrelated ones by normal_interval, two or three by quadrature, more on the lattice.  No limits at all: the law as
// it came, bit for bit.
#pragma once

struct NormalBox {
  int d;
  const double* mean;        // (d,)
  const double* covariance;  // (d, d)
  const double* lower;       // (d,)
  const double* upper;       // (d,)
};

struct BoxMoments {
  double* log_prob;
  double* mean;        // (d,)
  double* covariance;  // (d, d) about that mean
  double* error;       // estimated relative error of the probability; 0 up to three limited coordinates
};

enum class BoxStatus : int {
  ok = 0,
  not_positive_definite = 1,
  empty = 2,
  beyond = 3
};  // empty, or a number that is none; beyond: too far away for doubles

// Doubles of scratch.
PYESTIM_INLINE int64_t box_work(int d) { return 4 * int64_t(d) * d + 6 * int64_t(d) + lattice_work(d); }

struct BoxWork {
  int m;               // limited coordinates, first in the order
  double* order;       // (d,)
  double* sd;          // (d,)
  double* a;           // (m,)
  double* b;           // (m,)
  double* width;       // (m,)
  double* inside;      // (m,) mean in units of sd, from the uncut one
  double* corr;        // (d, d) ordered correlations
  double* factor;      // (d, d) their Cholesky factor, then regressions on the limited ones
  double* limited;     // (m, m) correlations of the limited ones
  double* inside_cov;  // (m, m)
  double* rest;
};

inline BoxWork carve_box(int d, double* work) {
  const int64_t square = int64_t(d) * d;
  BoxWork k{};
  k.order = work;
  k.sd = k.order + d;
  k.a = k.sd + d;
  k.b = k.a + d;
  k.width = k.b + d;
  k.inside = k.width + d;
  k.corr = k.inside + d;
  k.factor = k.corr + square;
  k.limited = k.factor + square;
  k.inside_cov = k.limited + square;
  k.rest = k.inside_cov + square;
  return k;
}

PYESTIM_INLINE bool unlimited(const NormalBox& box, int i) {
  return box.lower[i] == -__builtin_huge_val() && box.upper[i] == __builtin_huge_val();
}

// Order, standardised limits and correlations.
inline BoxStatus standardise_box(const NormalBox& box, BoxWork& k) {
  const int d = box.d;
  for (int i = 0; i < d; ++i) {
    if (!(box.lower[i] < box.upper[i])) return BoxStatus::empty;
    if (!unlimited(box, i)) k.order[k.m++] = i;
  }
  for (int i = 0, at = k.m; i < d; ++i) {
    if (unlimited(box, i)) k.order[at++] = i;
  }
  for (int i = 0; i < d; ++i) {
    const int at = int(k.order[i]);
    const double variance = box.covariance[int64_t(at) * (d + 1)];
    if (!(variance > 0 && variance < __builtin_huge_val())) return BoxStatus::not_positive_definite;
    if (!(box.mean[at] > -__builtin_huge_val() && box.mean[at] < __builtin_huge_val())) return BoxStatus::empty;
    k.sd[i] = sqrt_number(variance);
    if (i >= k.m) continue;
    k.a[i] = (box.lower[at] - box.mean[at]) / k.sd[i];
    k.b[i] = (box.upper[at] - box.mean[at]) / k.sd[i];
    k.width[i] = (box.upper[at] - box.lower[at]) / k.sd[i];
    if (!(k.a[i] <= k.b[i])) return BoxStatus::empty;
  }
  for (int i = 0; i < d; ++i) {
    for (int j = 0; j <= i; ++j) {
      const double cov = box.covariance[int64_t(k.order[i]) * d + int64_t(k.order[j])];
      k.corr[i * d + j] = k.corr[j * d + i] = i == j ? 1 : cov / k.sd[i] / k.sd[j];
    }
  }
  return BoxStatus::ok;
}

// Lower triangle; false where a pivot is not positive.
inline bool factor_box(const double* corr, double* factor, int d) {
  for (int j = 0; j < d; ++j) {
    for (int i = j; i < d; ++i) {
      double entry = corr[i * d + j];
      for (int c = 0; c < j; ++c) entry -= factor[i * d + c] * factor[j * d + c];
      if (i == j && !(entry > 0)) return false;
      factor[i * d + j] = i == j ? sqrt_number(entry) : entry / factor[j * d + j];
    }
  }
  return true;
}

inline bool uncorrelated(const double* corr, int m, int stride) {
  for (int i = 1; i < m; ++i) {
    for (int j = 0; j < i; ++j) {
      if (corr[i * stride + j] != 0) return false;
    }
  }
  return true;
}

inline double inside_product(const BoxWork& k) {
  double log_prob = 0;
  for (int i = 0; i < k.m; ++i) {
    const OneInterval one = normal_interval_of(k.a[i], k.b[i], k.width[i]);
    log_prob += one.log_prob;
    k.inside[i] = one.mean;
    for (int j = 0; j < k.m; ++j) k.inside_cov[i * k.m + j] = i == j ? one.variance : 0;
  }
  return log_prob;
}

inline double inside_plane(const BoxWork& k, int d) {
  const double rho = k.corr[d];
  const Rectangle r = {k.a[0], k.b[0], k.a[1], k.b[1], k.width[0], k.width[1], rho, k.factor[d + 1]};
  const PlaneMoments plane = rectangle_moments(r);
  for (int i = 0; i < 2; ++i) {
    k.inside[i] = plane.mean[i];
    k.inside_cov[3 * i] = plane.variance[i];
  }
  k.inside_cov[1] = k.inside_cov[2] = plane.covariance;
  return plane.log_prob;
}

// Three limited coordinates, corr (d, d) of the ordered ones; the outer one has the smallest largest correlation.
inline double inside_space(const BoxWork& k, int d) {
  int outer = 0;
  double least = 2;
  for (int i = 0; i < 3; ++i) {
    const double one = k.corr[i * d + (i + 1) % 3], two = k.corr[i * d + (i + 2) % 3];
    const double largest = larger(larger(one, -one), larger(two, -two));
    if (largest < least) {
      least = largest;
      outer = i;
    }
  }
  const int at[3] = {outer, (outer + 1) % 3, (outer + 2) % 3};
  SpaceBox box{};
  box.a = k.a[outer];
  box.b = k.b[outer];
  for (int i = 0; i < 2; ++i) {
    box.lower[i] = k.a[at[i + 1]];
    box.upper[i] = k.b[at[i + 1]];
    box.width[i] = k.width[at[i + 1]];
    box.rho[i] = k.corr[outer * d + at[i + 1]];
    box.s[i] = sqrt_number((1 - box.rho[i]) * (1 + box.rho[i]));
  }
  box.inner = (k.corr[at[1] * d + at[2]] - box.rho[0] * box.rho[1]) / (box.s[0] * box.s[1]);
  box.inner_s = k.factor[0] * k.factor[d + 1] * k.factor[2 * d + 2] / (box.s[0] * box.s[1]);  // det^(1/2)
  double mean[3], covariance[9];
  const double log_prob = space_moments(box, mean, covariance);
  for (int i = 0; i < 3; ++i) {
    k.inside[at[i]] = mean[i];
    for (int j = 0; j < 3; ++j) k.inside_cov[3 * at[i] + at[j]] = covariance[3 * i + j];
  }
  return log_prob;
}

inline double inside_limited(const BoxWork& k, int d, double& error) {
  error = 0;
  if (uncorrelated(k.corr, k.m, d)) return inside_product(k);
  if (k.m == 2) return inside_plane(k, d);
  if (k.m == 3) return inside_space(k, d);
  for (int i = 0; i < k.m; ++i) {
    for (int j = 0; j < k.m; ++j) k.limited[i * k.m + j] = k.corr[i * d + j];
  }
  const LatticeBox lattice = {k.m, k.a, k.b, k.width, k.limited, k.inside, k.inside_cov};
  return lattice_moments_of(lattice, k.rest, error);
}

// Where a box is as narrow as the rounding of its ends, differences of moments have no digits: no variance is below the
// smallest number, no covariance is more than the variances allow.
inline void mend_covariance(const BoxWork& k) {
  const int m = k.m;
  for (int i = 0; i < m; ++i) {
    double& variance = k.inside_cov[i * (m + 1)];
    variance = larger(variance, IntervalLimits::smallest);
    for (int j = 0; j < i; ++j) {
      const double most = sqrt_number(variance) * sqrt_number(k.inside_cov[j * (m + 1)]);
      double& one = k.inside_cov[i * m + j];
      one = k.inside_cov[j * m + i] = larger(-most, smaller(one, most));
    }
  }
}

inline bool finite_box(const BoxMoments& out, int d) {
  double sum = 0 * *out.log_prob;  // NaN if one of them is infinite or NaN
  for (int i = 0; i < d; ++i) sum += 0 * out.mean[i];
  for (int64_t i = 0; i < int64_t(d) * d; ++i) sum += 0 * out.covariance[i];
  return sum == 0;
}

// Rows m .. d of the factor become regressions of the other coordinates on the limited ones: B L = F.
inline void regress_box(const BoxWork& k, int d) {
  for (int i = k.m; i < d; ++i) {
    double* row = k.factor + int64_t(i) * d;
    for (int j = k.m - 1; j >= 0; --j) {
      for (int c = j + 1; c < k.m; ++c) row[j] -= row[c] * k.factor[c * d + j];
      row[j] /= k.factor[j * d + j];
    }
  }
}

// Covariance of ordered coordinates i and j in units of their standard deviations.
inline double inside_pair(const BoxWork& k, int d, int i, int j) {
  const int m = k.m;
  if (i < m) return k.inside_cov[i * m + j];
  double sum = 0;
  const double* row = k.factor + int64_t(i) * d;
  if (j < m) {
    for (int c = 0; c < m; ++c) sum += row[c] * k.inside_cov[c * m + j];
    return sum;
  }
  const double* other = k.factor + int64_t(j) * d;
  for (int c = 0; c < m; ++c) {
    double lost = 0;
    for (int e = 0; e < m; ++e) lost += (k.corr[c * d + e] - k.inside_cov[c * m + e]) * other[e];
    sum += row[c] * lost;
  }
  return k.corr[i * d + j] - sum;
}

inline void expand_box(const NormalBox& box, const BoxWork& k, const BoxMoments& out) {
  const int d = box.d;
  for (int i = 0; i < d; ++i) {
    const int at = int(k.order[i]);
    double moved = i < k.m ? k.inside[i] : 0;
    bool related = i < k.m;
    for (int c = 0; i >= k.m && c < k.m; ++c) {
      moved += k.factor[i * d + c] * k.inside[c];
      related |= k.corr[i * d + c] != 0;
    }
    const double mean = box.mean[at] + k.sd[i] * moved;
    out.mean[at] = smaller(larger(mean, box.lower[at]), box.upper[at]);
    for (int j = 0; j <= i; ++j) {
      const int to = int(k.order[j]);
      const double uncut = box.covariance[int64_t(at) * d + to];
      // A coordinate that knows nothing of the limited ones keeps its bits.
      const double value = related ? k.sd[i] * k.sd[j] * inside_pair(k, d, i, j) : uncut;
      out.covariance[int64_t(at) * d + to] = out.covariance[int64_t(to) * d + at] = value;
    }
  }
}

inline BoxStatus normal_box(const NormalBox& box, double* work, const BoxMoments& out) {
  const int d = box.d;
  BoxWork k = carve_box(d, work);
  if (const BoxStatus status = standardise_box(box, k); status != BoxStatus::ok) return status;
  if (!factor_box(k.corr, k.factor, d)) return BoxStatus::not_positive_definite;
  if (k.m == 0) {
    for (int i = 0; i < d; ++i) out.mean[i] = box.mean[i];
    for (int64_t i = 0; i < int64_t(d) * d; ++i) out.covariance[i] = box.covariance[i];
    *out.log_prob = *out.error = 0;
    return BoxStatus::ok;
  }
  *out.log_prob = inside_limited(k, d, *out.error);
  *out.log_prob = smaller(0, *out.log_prob);  // NaN stays
  mend_covariance(k);
  regress_box(k, d);
  expand_box(box, k, out);
  return finite_box(out, d) ? BoxStatus::ok : BoxStatus::beyond;
}
