// Log-probability of an interval of a response, with gradient and curvature, for any law of error_laws.hpp.
//
// Include inside the namespace of the level, after component/error_laws.hpp.
//
// An end y of the data is at z = (y - location) / scale.  Rows leave derivatives by a and k, which move it to k z - a:
// a is a change of the linear predictor in units of the scale, k = 1 a factor of the inverse scale at the same
// location. Both are linear coordinates of (location / scale, 1 / scale), in which the log-likelihood of a log-concave
// law is concave; and these two lose no digits where the scale is small.
#pragma once

struct Derivatives {
  Numbers log_prob, a, k, aa, ak, kk;
};

// Exactly z: log f plus log k.
template <class Law>
PYESTIM_INLINE Derivatives exact_row(const Law& law, Numbers z) {
  const Numbers r = law.slope(z), c = -law.curve(z);
  return {law.log_density(z), r, 1.0 - r * z, c, -c * z, c * z * z - 1.0};
}

// Beyond z: above it where `sign` is 1, below it where it is -1.
template <class Law>
PYESTIM_INLINE Derivatives one_sided_row(const Law& law, Numbers z, Numbers sign) {
  const Numbers t = sign * z, size = abs(t);
  const auto above = t > broadcast(0.0);
  const Numbers log_f = law.log_density(t), gap = law.gap(size), beyond = law.slope(size) + gap;
  const Numbers f = exp_neg(log_f), mills = 1.0 / beyond, most = 1.0 - f * mills;
  const Numbers log_prob = log_pos(select(above, mills, most)) + select(above, log_f, broadcast(0.0));
  const Numbers hazard = select(above, beyond, f / most);
  const Numbers r = sign * hazard;
  Numbers c = -hazard * select(above, gap, hazard - law.slope(t));
  if constexpr (Law::log_concave) c = min(c, broadcast(0.0));
  return {log_prob, r, -r * z, c, -c * z, c * z * z};
}

// P(Z > t) / f(t), t >= 0.
template <class Law>
PYESTIM_INLINE Numbers mills_of(const Law& law, Numbers t) {
  return 1.0 / (law.slope(t) + law.gap(t));
}

// Between the ends at z and z + width, by what the density is at them relative to the probability between them.
template <class Law>
PYESTIM_INLINE Derivatives wide_row(const Law& law, Numbers z, Numbers width) {
  const Numbers other = z + width;
  // Turned so that the end near zero comes first: near + far >= 0.
  const auto turned = z + other < broadcast(0.0);
  const Numbers near = select(turned, -other, z), far = select(turned, -z, other);
  const Numbers log_near = law.log_density(near), ratio = exp_neg(min(law.log_ratio(near, width), broadcast(0.0)));
  const Numbers mills_near = mills_of(law, abs(near)), mills_far = mills_of(law, abs(far));
  const Numbers f = exp_neg(log_near), tail = mills_near - ratio * mills_far;
  const Numbers middle = 1.0 - f * mills_near - exp_neg(law.log_density(far)) * mills_far;
  const auto beyond = near > broadcast(0.0);
  const Numbers log_prob =
      log_pos(max(select(beyond, tail, middle), broadcast(1e-300))) + select(beyond, log_near, broadcast(0.0));
  const Numbers p_near = select(beyond, 1.0 / tail, f / middle);
  const Numbers p_far = select(beyond, ratio / tail, exp_neg(law.log_density(far)) / middle);
  const Numbers p = select(turned, p_far, p_near), q = select(turned, p_near, p_far);
  const Numbers p_slope = p * law.slope(z), q_slope = q * law.slope(other);
  const Numbers r = p - q, s = q * other - p * z;
  Numbers c = p_slope - q_slope - r * r;
  if constexpr (Law::log_concave) c = min(c, broadcast(0.0));
  return {log_prob, r, s, c, q_slope * other - p_slope * z - r * s, p_slope * z * z - q_slope * other * other - s * s};
}

// Nodes and weights of Gauss and Legendre's rule of ten points, the half above zero.
constexpr int half_rule = 5;
constexpr double rule_node[half_rule] = {0.14887433898163121088, 0.43339539412924719080, 0.67940956829902440623,
                                         0.86506336668898451073, 0.97390652851717172008};
constexpr double rule_weight[half_rule] = {0.29552422471475287017, 0.26926671930999635509, 0.21908636251598204400,
                                           0.14945134915058059315, 0.06667134430868813759};

// Means, under the law given the interval, of what an exact row leaves, and the covariance of its gradient.
struct InsideSums {
  Numbers total, r, s, c, ck, kk, rr, rs, ss;

  // A point `step` from the middle, where an exact row leaves `centre`.
  template <class Law>
  PYESTIM_INLINE void add(const Law& law, double weight, Numbers step, Numbers middle, const Derivatives& centre) {
    const Derivatives row = exact_row(law, middle + step);
    const Numbers mass = weight * exp_full(law.log_ratio(middle, step));
    const Numbers r_gap = row.a - centre.a, s_gap = row.k - centre.k;
    total += mass;
    r += mass * r_gap;
    s += mass * s_gap;
    c += mass * row.aa;
    ck += mass * row.ak;
    kk += mass * row.kk;
    rr += mass * r_gap * r_gap;
    rs += mass * r_gap * s_gap;
    ss += mass * s_gap * s_gap;
  }
};

// The same where ends are so near to each other that their difference would lose digits: by quadrature about the
// middle. Curvature: mean of the curvature of the rows inside plus the covariance of their gradients.
template <class Law>
PYESTIM_INLINE Derivatives narrow_row(const Law& law, Numbers z, Numbers width) {
  const Numbers half = 0.5 * width, middle = z + half;
  const Derivatives centre = exact_row(law, middle);
  const Numbers zero = broadcast(0.0);
  InsideSums sums = {zero, zero, zero, zero, zero, zero, zero, zero, zero};
  for (int i = 0; i < half_rule; ++i) {
    sums.add(law, rule_weight[i], half * rule_node[i], middle, centre);
    sums.add(law, rule_weight[i], -half * rule_node[i], middle, centre);
  }
  const Numbers part = 1.0 / sums.total, r = sums.r * part, s = sums.s * part;
  return {centre.log_prob + log_full(half * sums.total),
          centre.a + r,
          centre.k + s,
          sums.c * part + (sums.rr * part - r * r),
          sums.ck * part + (sums.rs * part - r * s),
          sums.kk * part + (sums.ss * part - s * s)};
}

template <class Law>
PYESTIM_INLINE Derivatives interval_row(const Law& law, Numbers z, Numbers width) {
  const auto narrow = width * law.steepness(z + 0.5 * width) < broadcast(1.0);
  if (!any(narrow)) return wide_row(law, z, width);
  const Derivatives few = narrow_row(law, z, width);
  if (!any(!narrow)) return few;
  const Derivatives many = wide_row(law, z, width);
  return {select(narrow, few.log_prob, many.log_prob),
          select(narrow, few.a, many.a),
          select(narrow, few.k, many.k),
          select(narrow, few.aa, many.aa),
          select(narrow, few.ak, many.ak),
          select(narrow, few.kk, many.kk)};
}
