// Normal laws in boxes of three and more dimensions: separation of variables (Genz 1992) on a lattice that is the same
// in every call, so that probabilities are smooth in the parameters.
//
// Include inside the namespace of the instruction level, after truncated_normal.hpp.
//
// Coordinates are ordered by their conditional probability, the smallest first.  Given the ones before, a coordinate is
// drawn from a density near the truncated normal one whose distribution function inverts in closed form, and weighted
// by the ratio; the last coordinate is integrated.  Points: a rank-1 lattice
// (Richtmyer's sqrt(prime) i from coordinate 33 on) with the baker's transform, under shifts whose spread is the error.
#pragma once

struct LatticeRule {
  static constexpr int shifts = 8, points = 1024;  // points of a shift
  // Generating vector of the rank-1 lattice, component by component for smooth integrands whose coordinates matter less
  // and less, judged at 256 to 1024 points.
  static constexpr int known = 32;
  static constexpr int16_t generator[known] = {1,   363, 225, 323, 383, 155, 401, 315, 407, 11,  457,
                                               291, 81,  171, 271, 103, 13,  199, 249, 439, 275, 455,
                                               459, 329, 109, 359, 141, 125, 495, 163, 289, 267};
};

// lower: limits and widths in units of the standard deviations; correlation (m, m) row-major.  Outputs: mean (m),
// covariance (m, m).  `work` has lattice_work(m) doubles.
struct LatticeBox {
  int m;
  const double* a;
  const double* b;
  const double* width;
  const double* correlation;
  double* mean;
  double* covariance;
};

PYESTIM_INLINE int64_t lattice_work(int m) {
  const int64_t w = Pack<double>::width;
  return 2 * int64_t(m) * m + 6 * int64_t(m) + w * (m + int64_t(m) * (m + 1) / 2 + m);
}

// Where the pieces of `work` are.
struct LatticeWork {
  double* factor;   // (m, m) Cholesky factor of the ordered correlations
  double* typical;  // (m,) means given the ones before, about which moments are taken
  double* step;     // (m,) of the lattice
  double* order;    // (m,) which coordinate
  double* a;        // (m,) ordered
  double* b;
  double* width;
  double* y;     // (m, w) one vector of points
  double* sums;  // (m + m (m + 1) / 2, w) first and second moments
};

inline LatticeWork carve_lattice(int m, double* work) {
  const int64_t w = Pack<double>::width, square = int64_t(m) * m;
  LatticeWork out;
  out.factor = work;
  out.typical = out.factor + 2 * square;
  out.step = out.typical + m;
  out.order = out.step + m;
  out.a = out.order + m;
  out.b = out.a + m;
  out.width = out.b + m;
  out.y = out.width + m;
  out.sums = out.y + w * m;
  return out;
}

PYESTIM_INLINE double fraction(double x) { return x - double(int64_t(x)); }

// Uniform in (0, 1), the same in every call.
PYESTIM_INLINE double shift_of(int shift, int coordinate) {
  uint64_t z = (uint64_t(shift) << 32) + uint64_t(coordinate) + UINT64_C(0x9e3779b97f4a7c15);
  z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
  z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
  return (double((z ^ (z >> 31)) >> 12) + 0.5) * 0x1p-52;
}

inline void lattice_steps(int m, double* step) {
  int found = 0;
  for (int candidate = 2; found < m; ++candidate) {
    bool prime = true;
    for (int q = 2; q * q <= candidate && prime; ++q) prime = candidate % q != 0;
    if (prime) step[found++] = fraction(sqrt_number(double(candidate)));
  }
  for (int j = 0; j < m && j < LatticeRule::known; ++j)
    step[j] = double(LatticeRule::generator[j]) / LatticeRule::points;
}

PYESTIM_INLINE void exchange_numbers(double& x, double& y) {
  const double kept = x;
  x = y;
  y = kept;
}

// The rest of the j-th pivot: what is left of the variance of coordinate i, and where its limits are.
PYESTIM_INLINE OneInterval conditional_interval(const LatticeWork& k, int m, int i, int j, double& sd) {
  const double* row = k.factor + int64_t(i) * m;
  double left = row[i], centre = 0;
  for (int c = 0; c < j; ++c) {
    left -= row[c] * row[c];
    centre += row[c] * k.typical[c];
  }
  sd = left > 0 ? sqrt_number(left) : 0;
  const double scale = 1 / sd;
  return normal_interval_of((k.a[i] - centre) * scale, (k.b[i] - centre) * scale, k.width[i] * scale);
}

// Rows and columns i and j of the symmetric matrix whose lower triangle is factor, the first j columns being the
// factor's.
inline void exchange_coordinates(const LatticeWork& k, int m, int i, int j) {
  if (i == j) return;
  double* const lists[] = {k.order, k.a, k.b, k.width};
  for (double* list : lists) exchange_numbers(list[i], list[j]);
  double* f = k.factor;
  for (int c = 0; c < j; ++c) exchange_numbers(f[int64_t(i) * m + c], f[int64_t(j) * m + c]);
  exchange_numbers(f[int64_t(i) * m + i], f[int64_t(j) * m + j]);
  for (int c = j + 1; c < m; ++c) {
    if (c == i) continue;
    double& with_i = c < i ? f[int64_t(i) * m + c] : f[int64_t(c) * m + i];
    exchange_numbers(f[int64_t(c) * m + j], with_i);
  }
}

// Cholesky factor with the least probable coordinate next; the log-probability at typical values, or NaN where a pivot
// vanishes.
inline double order_coordinates(const LatticeWork& k, int m) {
  double log_typical = 0;
  for (int j = 0; j < m; ++j) {
    int best = j;
    double lowest = __builtin_huge_val();
    for (int i = j; i < m; ++i) {
      double sd;
      const OneInterval inside = conditional_interval(k, m, i, j, sd);
      if (!(sd > 0)) return __builtin_nan("0");
      if (inside.log_prob < lowest) {
        lowest = inside.log_prob;
        best = i;
      }
    }
    exchange_coordinates(k, m, best, j);
    double sd;
    const OneInterval inside = conditional_interval(k, m, j, j, sd);
    k.typical[j] = inside.mean;
    log_typical += inside.log_prob;
    double* f = k.factor;
    f[int64_t(j) * m + j] = sd;
    for (int i = j + 1; i < m; ++i) {
      double entry = f[int64_t(i) * m + j];
      for (int c = 0; c < j; ++c) entry -= f[int64_t(i) * m + c] * f[int64_t(j) * m + c];
      f[int64_t(i) * m + j] = entry / sd;
    }
  }
  return log_typical;
}

// A number inside (a, b) from a point in (0, 1), and log(normal density / density of the draw).
//   tail (0 <= x < y)   exponential with the hazard of x, cut at the width
//   across (x < 0)      logistic with scale 1 / 1.7 cut at both ends; uniform where that is narrow
template <class V>
PYESTIM_INLINE V draw_inside(V a, V b, V width, V point, V& log_ratio) {
  const double log_sqrt_2pi = 0x1.d67f1c864beb5p-1, slope = 1.7;
  const V infinite = opaque(IntervalLimits::infinite);
  const auto turned = b < -a;
  // Draws grow with the point either way: where an interval is turned or not, there must be no jump for the lattice.
  const V u = select(turned, 1.0 - point, point);
  const V x = max(-infinite, select(turned, -b, a)), y = min(infinite, select(turned, -a, b));
  const auto across = x < 0.0;
  const V near = abs(x), apart = min(infinite, width);
  // t beyond x with density rate exp(-rate t) / (1 - exp(-rate width)).  With a small product it is uniform.
  const V hazard = near + tail_excess(near);
  const V covered_rate = 1.0 - exp_neg(-hazard * apart);
  const auto flat = (hazard * apart < 1e-3) | (across & (apart < 0.5));
  const V t = -log_pos(1.0 - u * covered_rate) / hazard;
  const V from_rate = log_pos(select(flat, broadcast(1.0), covered_rate / hazard)) + (hazard - near) * t - 0.5 * t * t -
                      0.5 * (near * near);
  // logistic distribution function 1 / (1 + exp(-slope z)); -x <= y, so the lower end is the one with digits
  const V low = 1.0 / (1.0 + exp_full(-slope * x)), high_rest = 1.0 / (1.0 + exp_full(slope * y));
  const V covered = (1.0 - low) - high_rest;
  const V p = low + u * covered, q = high_rest + (1.0 - u) * covered;
  const V z = (log_pos(p) - log_pos(q)) / slope;
  const V from_logistic = log_pos(max(broadcast(1e-300), covered / (slope * (p * q)))) - 0.5 * (z * z);
  const V even = x + u * apart;
  const V from_even = log_pos(select(flat, max(broadcast(1e-300), apart), broadcast(1.0))) - 0.5 * (even * even);
  const V value = select(flat, even, select(across, z, x + t));
  log_ratio = select(flat, from_even, select(across, from_logistic, from_rate)) - log_sqrt_2pi;
  return select(turned, -value, value);
}

// Sums of one shift; everything is relative to exp(scale).
struct LatticeSums {
  double scale, total[LatticeRule::shifts];
  double last_variance;
};

// One vector of points: y (m, w) and the logarithm of the weight.
inline typename Pack<double>::V lattice_points(const LatticeWork& k, int m, int shift, int first,
                                               typename Pack<double>::V& last_variance) {
  using V = typename Pack<double>::V;
  constexpr int w = Pack<double>::width;
  V log_weight = broadcast(0.0);
  for (int j = 0; j < m; ++j) {
    const double* row = k.factor + int64_t(j) * m;
    V centre = broadcast(0.0);
    for (int c = 0; c < j; ++c) centre += row[c] * load(k.y + int64_t(c) * w);
    const double scale = 1 / row[j];
    const V a = (k.a[j] - centre) * scale, b = (k.b[j] - centre) * scale, width = broadcast(k.width[j] * scale);
    if (j + 1 == m) {
      const Interval<V> inside = normal_interval(a, b, width);
      store(k.y + int64_t(j) * w, inside.mean);
      last_variance = inside.variance;
      return log_weight + inside.log_prob;
    }
    double u[w];
    for (int i = 0; i < w; ++i) {
      const double point = 2 * fraction((first + i + 1) * k.step[j] + shift_of(shift, j)) - 1;  // the baker's transform
      u[i] = smaller(larger(point < 0 ? -point : point, 1e-12), 1 - 1e-12);
    }
    V log_ratio;
    store(k.y + int64_t(j) * w, draw_inside(a, b, width, load(u), log_ratio));
    log_weight += log_ratio;
  }
  return log_weight;
}

inline void rescale_lattice(const LatticeWork& k, int m, LatticeSums& sums, double scale) {
  const double factor = entry(exp_neg(broadcast(sums.scale - scale)), 0);
  const int64_t n = (m + int64_t(m) * (m + 1) / 2) * Pack<double>::width;
  for (int64_t i = 0; i < n; ++i) k.sums[i] *= factor;
  for (double& total : sums.total) total *= factor;
  sums.last_variance *= factor;
  sums.scale = scale;
}

inline void lattice_sum(const LatticeWork& k, int m, LatticeSums& sums) {
  using V = typename Pack<double>::V;
  constexpr int w = Pack<double>::width;
  for (int shift = 0; shift < LatticeRule::shifts; ++shift) {
    for (int first = 0; first < LatticeRule::points; first += w) {
      V last_variance{};
      const V log_weight = lattice_points(k, m, shift, first, last_variance);
      double highest = entry(log_weight, 0);
      for (int i = 1; i < w; ++i) highest = larger(highest, entry(log_weight, i));
      if (highest > sums.scale + 20) rescale_lattice(k, m, sums, highest);
      const V weight = exp_full(log_weight - sums.scale);
      sums.total[shift] += reduce_add(weight);
      sums.last_variance += reduce_add(weight * last_variance);
      double* second = k.sums + int64_t(m) * w;
      for (int i = 0; i < m; ++i) {
        const V from = load(k.y + int64_t(i) * w) - k.typical[i], weighted = weight * from;
        store(k.sums + int64_t(i) * w, load(k.sums + int64_t(i) * w) + weighted);
        for (int j = 0; j <= i; ++j, second += w)
          store(second, load(second) + weighted * (load(k.y + int64_t(j) * w) - k.typical[j]));
      }
    }
  }
}

// Moments of y = F^-1 x to those of x in the caller's order.
inline void lattice_moments(const LatticeBox& box, const LatticeWork& k, double total, double last_variance) {
  constexpr int w = Pack<double>::width;
  const int m = box.m;
  double* cov = k.factor + int64_t(m) * m;  // of y, then F times it
  const double* second = k.sums + int64_t(m) * w;
  for (int i = 0; i < m; ++i) k.step[i] = reduce_add(load(k.sums + int64_t(i) * w)) / total;
  for (int i = 0; i < m; ++i) {
    for (int j = 0; j <= i; ++j, second += w)
      cov[i * m + j] = cov[j * m + i] = reduce_add(load(second)) / total - k.step[i] * k.step[j];
  }
  cov[int64_t(m) * m - 1] += last_variance / total;
  for (int i = m - 1; i >= 0; --i) {  // F cov, from the last row on in place
    for (int j = 0; j < m; ++j) {
      double sum = 0;
      for (int c = 0; c <= i; ++c) sum += k.factor[i * m + c] * cov[c * m + j];
      cov[i * m + j] = sum;
    }
  }
  for (int i = 0; i < m; ++i) {
    double mean = 0;
    for (int c = 0; c <= i; ++c) mean += k.factor[i * m + c] * (k.typical[c] + k.step[c]);
    box.mean[int(k.order[i])] = mean;
    for (int j = 0; j <= i; ++j) {
      double sum = 0;
      for (int c = 0; c <= j; ++c) sum += cov[i * m + c] * k.factor[j * m + c];
      const int at_i = int(k.order[i]), at_j = int(k.order[j]);
      box.covariance[at_i * m + at_j] = box.covariance[at_j * m + at_i] = sum;
    }
  }
}

// The log-probability, with the standard error of the probability relative to it; NaN where the correlations are not
// positive definite.
inline double lattice_moments_of(const LatticeBox& box, double* work, double& error) {
  const int m = box.m;
  const LatticeWork k = carve_lattice(m, work);
  for (int64_t i = 0; i < int64_t(m) * m; ++i) k.factor[i] = box.correlation[i];
  for (int i = 0; i < m; ++i) {
    k.order[i] = i;
    k.a[i] = box.a[i];
    k.b[i] = box.b[i];
    k.width[i] = box.width[i];
  }
  for (int64_t i = 0; i < (m + int64_t(m) * (m + 1) / 2) * Pack<double>::width; ++i) k.sums[i] = 0;
  lattice_steps(m, k.step);
  LatticeSums sums{};
  sums.scale = order_coordinates(k, m);
  if (!(sums.scale <= 0)) return __builtin_nan("0");
  lattice_sum(k, m, sums);
  constexpr int n = LatticeRule::shifts;
  double total = 0, spread = 0;
  for (double one : sums.total) total += one;
  for (double one : sums.total) spread += (one * n / total - 1) * (one * n / total - 1);
  error = sqrt_number(spread / (n * (n - 1)));
  lattice_moments(box, k, total, sums.last_variance);
  return sums.scale + entry(log_full(broadcast(total / (n * LatticeRule::points))), 0);
}
