// The trivariate normal law inside a box: one integral over x of phi(x) times what rectangle_moments says of the other
// two coordinates given x, by the top, the reach and the panels of normal_plane.hpp.
//
// Include inside the namespace of the instruction level, after normal_plane.hpp.
#pragma once

// Unit variances; the outer coordinate is the one least correlated with the others.
struct SpaceBox {
  double a, b;  // of the outer coordinate
  double lower[2], upper[2], width[2];
  double rho[2], s[2];    // correlations of the inner ones with it, and sqrt(1 - rho^2)
  double inner, inner_s;  // their partial correlation, and sqrt(1 - inner^2)
};

struct SpaceAt {
  double log_value;         // of the integrand
  double mean[2];           // of the inner coordinates given x
  double covariance[3];     // (0, 0), (0, 1), (1, 1)
  double slope, curvature;  // of log_value, curvature with its sign turned
};

inline SpaceAt space_at(const SpaceBox& box, double x) {
  Rectangle r{};
  r.rho = box.inner;
  r.s = box.inner_s;
  r.a1 = (box.lower[0] - box.rho[0] * x) / box.s[0];
  r.b1 = (box.upper[0] - box.rho[0] * x) / box.s[0];
  r.a2 = (box.lower[1] - box.rho[1] * x) / box.s[1];
  r.b2 = (box.upper[1] - box.rho[1] * x) / box.s[1];
  r.width1 = box.width[0] / box.s[0];
  r.width2 = box.width[1] / box.s[1];
  const PlaneMoments p = rectangle_moments(r);
  SpaceAt at;
  at.log_value = p.log_prob - 0.5 * x * x;
  for (int i = 0; i < 2; ++i) at.mean[i] = box.rho[i] * x + box.s[i] * p.mean[i];
  at.covariance[0] = box.s[0] * box.s[0] * p.variance[0];
  at.covariance[1] = box.s[0] * box.s[1] * p.covariance;
  at.covariance[2] = box.s[1] * box.s[1] * p.variance[1];
  // The law of the inner coordinates moves by t = rho / s: precision times it is c.
  const double t0 = box.rho[0] / box.s[0], t1 = box.rho[1] / box.s[1], det = r.s * r.s;
  const double c0 = (t0 - r.rho * t1) / det, c1 = (t1 - r.rho * t0) / det;
  at.slope = c0 * p.mean[0] + c1 * p.mean[1] - x;
  const double kept = c0 * c0 * p.variance[0] + 2 * c0 * c1 * p.covariance + c1 * c1 * p.variance[1];
  at.curvature = larger(1, 1 + (c0 * t0 + c1 * t1) - kept);
  return at;
}

// Newton's method inside a bracket, both ends infinite at first where the box has none.
inline double space_top(const SpaceBox& box, SpaceAt& at) {
  double low = box.a, high = box.b, x = smaller(larger(0, low), high);
  for (int step = 0;; ++step) {
    at = space_at(box, x);
    (at.slope > 0 ? low : high) = x;
    double next = x + at.slope / at.curvature;
    if (!(next > low && next < high)) {
      const double end = at.slope > 0 ? high : low;
      next = step == 0 || end == x ? end : 0.5 * (low + high);
    }
    const double gain = at.slope * (next - x);
    if (!(gain > 1e-2) || step == PlaneRule::most_steps) return x;
    x = next;
  }
}

// As rectangle_reach, one value at a time: distances shrink by half until the integrand matters.
inline double space_reach(const SpaceBox& box, double top, double height, double sign, double reach, double& drop) {
  double found = reach;
  drop = 0;
  for (int turn = 0; turn < PlaneRule::most_steps && reach > 0; ++turn, reach *= 0.6) {
    const double fall = height - space_at(box, top + sign * reach).log_value;
    if (turn > 0 && !(fall > PlaneRule::drop)) return found;
    found = reach;
    drop = larger(0, smaller(fall, PlaneRule::most_drop));
    if (!(fall > PlaneRule::drop)) return found;
  }
  return found;
}

struct SpaceSums {
  double weight;
  double first[3];
  double second[6];  // (0, 0), (1, 0), (1, 1), (2, 0), (2, 1), (2, 2): outer coordinate first
};

inline void add_space_panel(const SpaceBox& box, double top, const SpaceAt& there, double from, double to,
                            SpaceSums& sums) {
  const double half = 0.5 * (to - from), middle = 0.5 * (to + from);
  for (int i = 0; i < PlaneRule::order; ++i) {
    const double u = middle + half * PlaneRule::node[i];
    const SpaceAt at = space_at(box, top + u);
    const double weight = half * PlaneRule::weight[i] * entry(exp_full(broadcast(at.log_value - there.log_value)), 0);
    const double x[3] = {u, at.mean[0] - there.mean[0], at.mean[1] - there.mean[1]};
    sums.weight += weight;
    for (int a = 0, k = 0; a < 3; ++a) {
      sums.first[a] += weight * x[a];
      for (int b = 0; b <= a; ++b, ++k) sums.second[k] += weight * x[a] * x[b];
    }
    sums.second[2] += weight * at.covariance[0];
    sums.second[4] += weight * at.covariance[1];
    sums.second[5] += weight * at.covariance[2];
  }
}

inline void add_space_panels(const SpaceBox& box, double top, const SpaceAt& there, double left, double right,
                             double longest, SpaceSums& sums) {
  double at = -left;
  for (int panel = 0; panel < PlaneRule::most_panels && at < right; ++panel) {
    double length = longest;
    for (int i = 0; i < 2; ++i) {
      const double ends[] = {box.lower[i], box.upper[i]};
      for (const double end : ends) {
        const double gap = (end - box.rho[i] * (top + at)) / box.rho[i];
        length = smaller(length, larger(5 * box.s[i] * box.inner_s, 0.8 * (gap < 0 ? -gap : gap)));
      }
    }
    const bool last = panel + 1 == PlaneRule::most_panels || at + 1.2 * length >= right;
    const double next = last ? right : at + length;
    add_space_panel(box, top, there, at, next, sums);
    at = next;
  }
}

// Log-probability; mean (3) and covariance (3, 3) with the outer coordinate first.
inline double space_moments(const SpaceBox& box, double* mean, double* covariance) {
  const double log_sqrt_2pi = 0x1.d67f1c864beb5p-1;
  SpaceAt there;
  const double top = space_top(box, there);
  double drop_left, drop_right;
  const double reach = PlaneRule::reach;
  const double left = space_reach(box, top, there.log_value, -1, smaller(top - box.a, reach), drop_left);
  const double right = space_reach(box, top, there.log_value, 1, smaller(box.b - top, reach), drop_right);
  const double longest = smaller(6.0, (left + right) / (1 + (drop_left + drop_right) / 26));
  SpaceSums sums{};
  add_space_panels(box, top, there, left, right, longest, sums);
  double from[3];
  for (int a = 0, k = 0; a < 3; ++a) {
    from[a] = sums.first[a] / sums.weight;
    mean[a] = (a == 0 ? top : there.mean[a - 1]) + from[a];
    for (int b = 0; b <= a; ++b, ++k)
      covariance[3 * a + b] = covariance[3 * b + a] = sums.second[k] / sums.weight - from[a] * from[b];
  }
  return there.log_value + entry(log_pos(broadcast(sums.weight)), 0) - log_sqrt_2pi;
}
