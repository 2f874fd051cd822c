// N(0, 1) inside an interval: log-probability, mean, variance, to a few ulp wherever the ends are.
//
// Include inside the namespace of the instruction level, after erfcx.hpp.
//
// Reflected so that x <= 0 or not, y >= |x|.  Three formulas, none of which subtracts nearly equal numbers where it is
// used:
//   wide, x < 0    1 - Phi(x) - Phi(-y) and the textbook moments
//   wide, x >= 0   the law above x is a mixture of the law inside and of the law above y with the small share
//                  rho = P(above y | above x); its moments are solved for the inside ones
//   narrow         width < 2 and (y^2 - x^2) / 4 < 2.5: Gauss-Legendre quadrature about the midpoint
// Both wide ones are computed in every lane when a lane asks for one of them, and so is the narrow one.
#pragma once

template <class V>
struct Interval {
  V log_prob, mean, variance;
  V excess;  // mean - a, with more digits than the difference has
};

struct IntervalLimits {
  static constexpr double narrow_width = 2, narrow_slope = 2.5;
  static constexpr double infinite = 0x1p500;  // in the place of infinity, so that 0 times it is 0
  static constexpr double smallest = 0x1p-1022;
  // Gauss-Legendre, twelve points: on narrow intervals right to 1e-17
  static constexpr double node[6] = {0x1.007a5f8f630e4p-3, 0x1.78a8d20a8b19dp-2, 0x1.2cb4f05c077f9p-1,
                                     0x1.8a30aeed88f36p-1, 0x1.cee874ffb88b4p-1, 0x1.f68f1d8e42e81p-1};
  static constexpr double weight[6] = {0x1.fe40ce6d4f025p-3, 0x1.de3155c256ab5p-3, 0x1.a0163e6b1ab72p-3,
                                       0x1.47d7258f22d8fp-3, 0x1.b60602bce6181p-4, 0x1.8275d9dea6d8fp-5};
};

// About the midpoint, in units of half the width: weights exp(-slope s - half^2 s^2 / 2) on (-1, 1).
template <class V>
void narrow_interval(const V& midpoint, const V& width, Interval<V>& out) {
  using L = IntervalLimits;
  const V half = 0.5 * width, slope = midpoint * half;
  V left[6], right[6];
  V sum = broadcast(0.0), first = broadcast(0.0), second = broadcast(0.0);
  for (int i = 0; i < 6; ++i) {
    const V bend = (-0.5 * L::node[i] * L::node[i]) * (half * half), tilt = L::node[i] * slope;
    left[i] = L::weight[i] * exp_neg(bend + tilt);
    right[i] = L::weight[i] * exp_neg(bend - tilt);
    sum += left[i] + right[i];
    first += L::node[i] * (right[i] - left[i]);
  }
  const V centre = first / sum;
  for (int i = 0; i < 6; ++i) {
    const V to_left = L::node[i] + centre, to_right = L::node[i] - centre;
    second += left[i] * (to_left * to_left) + right[i] * (to_right * to_right);
  }
  out.log_prob = (log_full(width) + log_pos(0.5 * HalfNormal::one_over_sqrt_2pi * sum)) - 0.5 * (midpoint * midpoint);
  out.mean = midpoint + half * centre;
  out.variance = (half * half) * (second / sum);
  out.excess = half + half * centre;
}

// x < 0 <= -x <= y; below, above: exp(-x^2 / 2), exp(-y^2 / 2); hazards of -x and of y.  log_prob holds what is to be
// added to log(share).
template <class V>
PYESTIM_INLINE Interval<V> wide_across(V x, V y, V below, V above, V hazard_x, V hazard_y, V& share) {
  const V at_x = HalfNormal::one_over_sqrt_2pi * below, at_y = HalfNormal::one_over_sqrt_2pi * above;
  const V outside = at_x / hazard_x + at_y / hazard_y;
  share = 1.0 - outside;
  const V mean = (at_x - at_y) / share;
  return {log1m_rest(outside, share), mean, (1.0 + (x * at_x - y * at_y) / share) - mean * mean, mean - x};
}

// 0 <= x < y; decay: exp((x^2 - y^2) / 2)
template <class V>
PYESTIM_INLINE Interval<V> wide_beside(V x, V width, V decay, V hazard_x, V hazard_y, const Tail<V>& above_x,
                                       const Tail<V>& above_y, V& share) {
  const V rho = decay * (hazard_x / hazard_y), kept = 1.0 - rho, further = width + above_y.excess;
  share = HalfNormal::one_over_sqrt_2pi * (kept / hazard_x);
  const V excess = (above_x.excess - rho * further) / kept;
  const V apart = further - excess;
  return {-0.5 * (x * x), x + excess, (above_x.variance - rho * above_y.variance) / kept - rho * (apart * apart),
          excess};
}

template <class V>
PYESTIM_INLINE Interval<V> wide_interval(V x, V y, V width) {
  const V infinite = opaque(IntervalLimits::infinite), far = opaque(HalfNormal::far);
  const auto across = x < 0.0;
  const V near = min(infinite, abs(x)), distant = min(infinite, y), apart = min(infinite, width);
  const Tail<V> above_x = normal_tail(near), above_y = normal_tail(distant);
  const V hazard_x = near + above_x.excess, hazard_y = distant + above_y.excess;
  const V decay = exp_neg(-0.5 * apart * (near + distant));
  const V at_x = exp_square(min(far, near), -0.5), at_y = exp_square(min(far, distant), -0.5);
  V share_across, share_beside;
  const Interval<V> one = wide_across(-near, distant, at_x, at_y, hazard_x, hazard_y, share_across);
  const Interval<V> other = wide_beside(near, apart, decay, hazard_x, hazard_y, above_x, above_y, share_beside);
  return {log_pos(select(across, share_across, share_beside)) + select(across, one.log_prob, other.log_prob),
          select(across, one.mean, other.mean), select(across, one.variance, other.variance),
          select(across, one.excess, other.excess)};
}

// Inside (a, b), a < b, infinite ends allowed.  `width` is b - a where the caller knows it better than the difference
// of the rounded ends tells.
template <class V>
PYESTIM_INLINE Interval<V> normal_interval(V a, V b, V width) {
  using L = IntervalLimits;
  const auto turned = b < -a;
  const V x = select(turned, -b, a), y = select(turned, -a, b);
  const V midpoint = 0.5 * x + 0.5 * y;
  const auto narrow = (width < L::narrow_width) & (midpoint * (0.5 * width) < L::narrow_slope);
  const V zero = broadcast(0.0);
  Interval<V> inside = {zero, zero, zero, zero};
  if (any(!narrow)) inside = wide_interval(x, y, width);
  if (any(narrow)) {
    Interval<V> exact;
    narrow_interval(midpoint, width, exact);
    inside.log_prob = select(narrow, exact.log_prob, inside.log_prob);
    inside.mean = select(narrow, exact.mean, inside.mean);
    inside.variance = select(narrow, exact.variance, inside.variance);
    inside.excess = select(narrow, exact.excess, inside.excess);
  }
  const V mean = min(y, max(x, inside.mean));
  return {inside.log_prob, select(turned, -mean, mean), max(broadcast(L::smallest), inside.variance),
          select(turned, width - inside.excess, inside.excess)};
}

template <class V>
PYESTIM_INLINE Interval<V> normal_interval(V a, V b) {
  return normal_interval(a, b, b - a);
}

// For one number: the other lanes do the same.
struct OneInterval {
  double log_prob, mean, variance, excess;
};

PYESTIM_INLINE OneInterval normal_interval_of(double a, double b, double width) {
  const auto inside = normal_interval(broadcast(a), broadcast(b), broadcast(width));
  return {entry(inside.log_prob, 0), entry(inside.mean, 0), entry(inside.variance, 0), entry(inside.excess, 0)};
}

PYESTIM_INLINE double smaller(double a, double b) { return a < b ? a : b; }
PYESTIM_INLINE double larger(double a, double b) { return a > b ? a : b; }
