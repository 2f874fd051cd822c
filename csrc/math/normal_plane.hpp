// The bivariate normal law inside a rectangle: log-probability, mean, covariance, also in far tails, narrow rectangles
// and at correlations near 1, where the closed forms of bivariate probabilities cancel.
//
// Include inside the namespace of the instruction level, after truncated_normal.hpp.
//
// One integral over x of phi(x) times what normal_interval says of the other coordinate given x.  The logarithm of that
// integrand is concave: Newton's method finds its top, halved distances from there the range where it is within
// exp(-40) of it, and Gauss-Legendre panels cover the range.  Panels are short where the conditional law crosses an end
// of its interval, which happens within a few s / |rho| of (end / rho), s = sqrt(1 - rho^2).
#pragma once

// Unit variances.
struct Rectangle {
  double a1, b1, a2, b2, width1, width2;
  double rho, s;
};

struct PlaneMoments {
  double log_prob, mean[2], variance[2], covariance;
};

struct PlaneRule {
  static constexpr int order = 16, most_panels = 200, most_steps = 100;
  static constexpr double drop = 38;       // exp(-38): nothing beyond
  static constexpr double most_drop = 80;  // as far as falls are told apart
  static constexpr double shrink = 0x1.6a09e667f3bcdp-1;
  static constexpr double reach = 9;  // a logarithm with curvature <= -1 has dropped by more
  static constexpr double node[order] = {
      -0x1.fa92c264d787ep-1, -0x1.e39f56616f9b0p-1, -0x1.bb3403514e483p-1, -0x1.82c45dda4726bp-1,
      -0x1.3c5a466d5e8b8p-1, -0x1.d50259a43a772p-2, -0x1.205cae642337cp-2, -0x1.852bd6676a9f9p-4,
      0x1.852bd6676a9f9p-4,  0x1.205cae642337cp-2,  0x1.d50259a43a772p-2,  0x1.3c5a466d5e8b8p-1,
      0x1.82c45dda4726bp-1,  0x1.bb3403514e483p-1,  0x1.e39f56616f9b0p-1,  0x1.fa92c264d787ep-1};
  static constexpr double weight[order] = {
      0x1.bcddab4b7c211p-6, 0x1.fdfb1a2c1265dp-5, 0x1.85c4ee79cc258p-4, 0x1.fe7af2bad386ap-4,
      0x1.325f61bca3cbfp-3, 0x1.5a6ebbb5a75fcp-3, 0x1.75f8c77e0c00fp-3, 0x1.83feae80e4dfcp-3,
      0x1.83feae80e4dfcp-3, 0x1.75f8c77e0c00fp-3, 0x1.5a6ebbb5a75fcp-3, 0x1.325f61bca3cbfp-3,
      0x1.fe7af2bad386ap-4, 0x1.85c4ee79cc258p-4, 0x1.fdfb1a2c1265dp-5, 0x1.bcddab4b7c211p-6};
};

// log of the integrand at x and what is inside given x.
template <class V>
PYESTIM_INLINE V rectangle_at(const Rectangle& r, V x, Interval<V>& inside) {
  const double scale = 1 / r.s;
  const V a = (r.a2 - r.rho * x) * scale, b = (r.b2 - r.rho * x) * scale;
  inside = normal_interval(a, b, broadcast(r.width2 * scale));
  return inside.log_prob - 0.5 * (x * x);
}

// The top is between the origin and the crossings of the ends.
inline double rectangle_top(const Rectangle& r, double& height) {
  const double infinity = __builtin_huge_val();
  double low = 0, high = 0;
  const double ends[] = {r.a2, r.b2};
  for (const double end : ends) {
    const double crossing = end / r.rho;
    if (!(crossing > -infinity && crossing < infinity)) continue;
    low = smaller(low, crossing);
    high = larger(high, crossing);
  }
  low = smaller(larger(low, r.a1), r.b1);
  high = larger(smaller(high, r.b1), r.a1);
  const double bend = r.rho / r.s;
  double x = smaller(larger(0, low), high);
  Interval<Pack<double>::V> inside;
  for (int step = 0;; ++step) {
    height = entry(rectangle_at(r, broadcast(x), inside), 0);
    const double slope = bend * entry(inside.mean, 0) - x;
    const double curvature = 1 + bend * bend * (1 - entry(inside.variance, 0));
    (slope > 0 ? low : high) = x;
    double next = x + slope / curvature;
    if (!(next > low && next < high)) {
      const double end = slope > 0 ? high : low;  // the end itself once, then halves
      next = step == 0 ? end : 0.5 * (low + high);
    }
    const double gain = slope * (next - x);  // twice what a full step gains
    if (!(gain > 1e-2) || step == PlaneRule::most_steps) return x;
    x = next;
  }
}

// How far from the top, in the direction of `sign` and at most `reach`, the integrand matters.
inline double rectangle_reach(const Rectangle& r, double top, double height, double sign, double reach, double& drop) {
  using V = Pack<double>::V;
  constexpr int w = Pack<double>::width;
  drop = 0;
  double found = reach;
  for (int turn = 0; turn < PlaneRule::most_steps && reach > 0; ++turn) {
    double distance[w];
    for (int i = 0; i < w; ++i, reach *= PlaneRule::shrink) distance[i] = reach;
    Interval<V> inside;
    const V fall = height - rectangle_at(r, top + sign * load(distance), inside);
    for (int i = 0; i < w; ++i) {
      const bool first = turn == 0 && i == 0;
      if (!first && !(entry(fall, i) > PlaneRule::drop)) return found;
      found = distance[i];
      drop = larger(0, smaller(entry(fall, i), PlaneRule::most_drop));
      if (first && !(drop >= PlaneRule::drop)) return found;
    }
  }
  return found;
}

// Sums over the nodes, about the top and a value of the other coordinate.
struct PlaneSums {
  using V = Pack<double>::V;
  V weight, first, second, first_square, second_square, product, variance;
};

struct PlanePanels {
  double top, height, left, right;  // the range is top - left .. top + right
  double longest;
  double second_from;  // where the other coordinate is counted from
  bool from_end;       // that is the lower end of its interval
};

inline void add_panel(const Rectangle& r, const PlanePanels& p, double from, double to, PlaneSums& sums) {
  using V = Pack<double>::V;
  const double half = 0.5 * (to - from), middle = 0.5 * (to + from);
  for (int i = 0; i < PlaneRule::order; i += Pack<double>::width) {
    const V u = middle + half * load(PlaneRule::node + i);
    Interval<V> inside;
    const V log_value = rectangle_at(r, p.top + u, inside) - p.height;
    const V weight = half * load(PlaneRule::weight + i) * exp_full(log_value);
    const V other = p.from_end ? r.s * inside.excess : (r.rho * (p.top + u) + r.s * inside.mean) - p.second_from;
    const V wu = weight * u, wo = weight * other;
    sums.weight += weight;
    sums.first += wu;
    sums.second += wo;
    sums.first_square += wu * u;
    sums.second_square += wo * other;
    sums.product += wu * other;
    sums.variance += weight * inside.variance;
  }
}

// Panels from left to right, shorter near the crossings.
inline void add_panels(const Rectangle& r, const PlanePanels& p, PlaneSums& sums) {
  const double infinity = __builtin_huge_val();
  const double ends[] = {r.a2, r.b2};
  double at = -p.left;
  for (int panel = 0; panel < PlaneRule::most_panels && at < p.right; ++panel) {
    double nearest = infinity;
    for (const double end : ends) {
      const double gap = (end - r.rho * (p.top + at)) / r.rho;
      nearest = smaller(nearest, gap < 0 ? -gap : gap);
    }
    const double length = smaller(p.longest, larger(4 * r.s, 0.7 * nearest));
    const bool last = panel + 1 == PlaneRule::most_panels || at + 1.2 * length >= p.right;
    const double next = last ? p.right : at + length;
    add_panel(r, p, at, next, sums);
    at = next;
  }
}

inline PlaneMoments rectangle_moments(const Rectangle& r) {
  const double log_sqrt_2pi = 0x1.d67f1c864beb5p-1;
  PlanePanels p{};
  p.top = rectangle_top(r, p.height);
  double drop_left, drop_right;
  p.left = rectangle_reach(r, p.top, p.height, -1, smaller(p.top - r.a1, PlaneRule::reach), drop_left);
  p.right = rectangle_reach(r, p.top, p.height, 1, smaller(r.b1 - p.top, PlaneRule::reach), drop_right);
  p.longest = smaller(4.0, (p.left + p.right) / (1 + (drop_left + drop_right) / 20));
  Interval<Pack<double>::V> inside;
  rectangle_at(r, broadcast(p.top), inside);
  p.from_end = r.width2 < r.s;
  p.second_from = p.from_end ? r.a2 : r.rho * p.top + r.s * entry(inside.mean, 0);
  PlaneSums sums{};
  add_panels(r, p, sums);
  const double total = reduce_add(sums.weight);
  const double u = reduce_add(sums.first) / total, o = reduce_add(sums.second) / total;
  PlaneMoments out;
  out.log_prob = p.height + entry(log_pos(broadcast(total)), 0) - log_sqrt_2pi;
  out.mean[0] = p.top + u;
  out.mean[1] = p.second_from + o;
  out.variance[0] = reduce_add(sums.first_square) / total - u * u;
  out.variance[1] = (reduce_add(sums.second_square) / total - o * o) + r.s * r.s * (reduce_add(sums.variance) / total);
  out.covariance = reduce_add(sums.product) / total - u * o;
  return out;
}
