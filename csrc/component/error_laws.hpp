// Laws of an error of unit scale, symmetric about zero: log-density, its slope and curvature, and the hazard.
//
// Include inside the namespace of the level, after math/erfcx.hpp.
//
//   log_density(z)    log f
//   slope(z)          -d log f / dz
//   curve(z)          -d^2 log f / dz^2
//   log_ratio(z, d)   log f(z + d) - log f(z), without cancellation where d is small or z is large
//   gap(t)            f(t) / P(Z > t) - slope(t) for t >= 0, so that the hazard is slope + gap: no tail is too far
//   steepness(z)      an interval at z is narrow where its width times this is below one: quadrature is exact there,
//   and
//                     elsewhere the probabilities beyond its two ends differ by a good part of themselves
//
// Everything else about an interval follows from these (censored_ends.hpp).
#pragma once

using Numbers = Pack<double>::V;

// log(1 + x), x > -1: the rounding of 1 + x is made good.
PYESTIM_INLINE Numbers log1p_pos(Numbers x) {
  const Numbers u = 1.0 + x;
  const Numbers rest = select(u < broadcast(1e300), (x - (u - 1.0)) / u, broadcast(0.0));
  return log_pos(max(u, broadcast(1e-300))) + rest;
}

// A smooth function on [0, 1] by its Chebyshev coefficients, Clenshaw's recurrence.
PYESTIM_INLINE Numbers chebyshev(const double* coef, int n, Numbers at) {
  const Numbers twice = 4.0 * at - 2.0;
  Numbers last = broadcast(0.0), sum = broadcast(0.0);
  for (int i = n - 1; i > 0; --i) {
    const Numbers next = twice * sum - last + coef[i];
    last = sum;
    sum = next;
  }
  return 0.5 * twice * sum - last + coef[0];
}

struct NormalError {
  static constexpr bool log_concave = true;
  const double* shape;
  int n;

  PYESTIM_INLINE Numbers log_density(Numbers z) const { return -0.5 * z * z - 0.91893853320467274178; }
  PYESTIM_INLINE Numbers slope(Numbers z) const { return z; }
  PYESTIM_INLINE Numbers curve(Numbers) const { return broadcast(1.0); }
  PYESTIM_INLINE Numbers log_ratio(Numbers z, Numbers d) const { return -d * (z + 0.5 * d); }
  PYESTIM_INLINE Numbers steepness(Numbers z) const { return max(abs(z), broadcast(2.0)); }
  PYESTIM_INLINE Numbers gap(Numbers t) const { return tail_excess(t); }
};

struct LogisticError {
  static constexpr bool log_concave = true;
  const double* shape;
  int n;

  PYESTIM_INLINE Numbers log_density(Numbers z) const {
    const Numbers far = -abs(z);
    return far - 2.0 * log_pos(1.0 + exp_neg(far));
  }
  PYESTIM_INLINE Numbers slope(Numbers z) const {
    const Numbers e = exp_neg(-abs(z)), up = (1.0 - e) / (1.0 + e);
    return select(z < broadcast(0.0), -up, up);
  }
  PYESTIM_INLINE Numbers curve(Numbers z) const {
    const Numbers e = exp_neg(-abs(z)), sum = 1.0 + e;
    return 2.0 * e / (sum * sum);
  }
  PYESTIM_INLINE Numbers log_ratio(Numbers z, Numbers d) const { return log_density(z + d) - log_density(z); }
  PYESTIM_INLINE Numbers steepness(Numbers) const { return broadcast(2.0); }
  PYESTIM_INLINE Numbers gap(Numbers t) const {
    const Numbers e = exp_neg(-t);
    return e / (1.0 + e);
  }
};

// shape: degrees of freedom v, log f(0), k, then the coefficients of (r + k) P(Z > t) / (f(t) R) as a function of
// r (1 + k) / (r + k), where R = sqrt(v + t^2) and r = t / R.
struct StudentError {
  static constexpr bool log_concave = false;
  const double* shape;
  int n;

  PYESTIM_INLINE Numbers spread(Numbers z) const { return shape[0] + z * z; }
  PYESTIM_INLINE Numbers log_density(Numbers z) const {
    return shape[1] - 0.5 * (shape[0] + 1.0) * log1p_pos(z * z / shape[0]);
  }
  PYESTIM_INLINE Numbers slope(Numbers z) const { return (shape[0] + 1.0) * z / spread(z); }
  PYESTIM_INLINE Numbers curve(Numbers z) const {
    const Numbers part = 1.0 / spread(z);
    return (shape[0] + 1.0) * part * ((shape[0] - z * z) * part);
  }
  PYESTIM_INLINE Numbers log_ratio(Numbers z, Numbers d) const {
    return -0.5 * (shape[0] + 1.0) * log1p_pos(d * ((2.0 * z + d) / spread(z)));
  }
  PYESTIM_INLINE Numbers steepness(Numbers z) const {
    return max(abs(slope(z)), 2.0 * sqrt((shape[0] + 1.0) / spread(z)));
  }
  PYESTIM_INLINE Numbers gap(Numbers t) const {
    const Numbers root = sqrt(spread(t)), r = t / root, sum = r + shape[2];
    const Numbers mills = chebyshev(shape + 3, n - 3, r * (1.0 + shape[2]) / sum) * root / sum;
    return 1.0 / mills - slope(t);
  }
};
