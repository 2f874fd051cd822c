// Penalties: value and proximal step of one coordinate or one group, written once.
//
// Include inside the namespace of the instruction level, after pack.hpp (for sqrt_number).
//
//   value(b) = l1 p(|b|) + l2 b^2 / 2      p depends on the penalty; l1 = infinity keeps b at 0
//   prox(z)  = argmin over lower <= b <= upper of h b^2 / 2 - z b + value(b),  h > 0: the exact minimum, also where the
//              sum is not convex
#pragma once

struct PenaltyTerm {
  double l1, l2, lower, upper;
};

PYESTIM_INLINE double absolute(double x) { return x < 0 ? -x : x; }
PYESTIM_INLINE double soft_threshold(double z, double t) { return z > t ? z - t : z < -t ? z + t : 0.0; }
PYESTIM_INLINE double clip(double b, double lower, double upper) { return b < lower ? lower : b > upper ? upper : b; }
PYESTIM_INLINE double at_least(double a, double b) { return a > b ? a : b; }
PYESTIM_INLINE double at_most(double a, double b) { return a < b ? a : b; }

// The part of the penalty that l1 multiplies or scales, at b >= 0.
// MCP: Zhang (2010), doi:10.1214/09-AOS729.  SCAD: Fan & Li (2001), doi:10.1198/016214501753382273.
PYESTIM_INLINE double concave_value(Penalty kind, double shape, double l1, double b) {
  if (kind == Penalty::mcp) return b <= shape * l1 ? l1 * b - b * b / (2 * shape) : shape * l1 * l1 / 2;
  if (kind == Penalty::scad) {
    if (b <= l1) return l1 * b;
    if (b <= shape * l1) return (2 * shape * l1 * b - b * b - l1 * l1) / (2 * (shape - 1));
    return l1 * l1 * (shape + 1) / 2;
  }
  return l1 * b;
}

PYESTIM_INLINE double penalty_value(Penalty kind, double shape, const PenaltyTerm& t, double b) {
  if (b == 0) return 0;  // infinity times zero
  return concave_value(kind, shape, t.l1, absolute(b)) + t.l2 * b * b / 2;
}

// Candidates for the minimum over b >= 0 of h b^2 / 2 - z b + p(b), z >= 0, at the ends and the stationary points of
// the pieces of p; the value decides.  `h` includes l2.
struct Candidates {
  double b[5];
  int count;
};

PYESTIM_INLINE Candidates mcp_candidates(double shape, double l1, double h, double z) {
  const double slope = h - 1 / shape, edge = shape * l1;
  const double inner = slope > 0 ? clip((z - l1) / slope, 0, edge) : edge;
  return {{0, inner, at_least(z / h, edge)}, 3};
}

PYESTIM_INLINE Candidates scad_candidates(double shape, double l1, double h, double z) {
  const double slope = h - 1 / (shape - 1), edge = shape * l1;
  const double middle = slope > 0 ? clip((z - edge / (shape - 1)) / slope, l1, edge) : edge;
  return {{0, clip((z - l1) / h, 0, l1), middle, at_least(z / h, edge)}, 4};
}

inline double concave_prox(Penalty kind, double shape, const PenaltyTerm& t, double h, double z) {
  if (!(t.l1 < __builtin_huge_val())) return clip(0, t.lower, t.upper);
  const double total = h + t.l2, size = absolute(z), sign = z < 0 ? -1 : 1;
  const Candidates found =
      kind == Penalty::mcp ? mcp_candidates(shape, t.l1, total, size) : scad_candidates(shape, t.l1, total, size);
  double best = 0, least = __builtin_huge_val();
  const auto consider = [&](double b) {
    const double value = total * b * b / 2 - z * b + concave_value(kind, shape, t.l1, absolute(b));
    if (value < least) least = value, best = b;
  };
  // The bounds are ends of pieces too.  The smallest candidate wins ties: the first one is zero.
  for (int i = 0; i < found.count; ++i) consider(clip(sign * found.b[i], t.lower, t.upper));
  if (t.lower > -__builtin_huge_val()) consider(t.lower);
  if (t.upper < __builtin_huge_val()) consider(t.upper);
  return best;
}

PYESTIM_INLINE double penalty_prox(Penalty kind, double shape, const PenaltyTerm& t, double h, double z) {
  if (kind == Penalty::mcp || kind == Penalty::scad) return concave_prox(kind, shape, t, h, z);
  return clip(soft_threshold(z, t.l1) / (h + t.l2), t.lower, t.upper);
}

// l1 |b|_2 + l2 |b|^2 / 2 over a group of `count` coefficients with one curvature: b = factor z.
// Yuan & Lin (2006), doi:10.1111/j.1467-9868.2005.00532.x.
PYESTIM_INLINE double group_norm(const double* b, int64_t count) {
  double largest = 0, sum = 0;
  for (int64_t k = 0; k < count; ++k) largest = at_least(largest, absolute(b[k]));
  if (!(largest > 0)) return 0;
  for (int64_t k = 0; k < count; ++k) sum += (b[k] / largest) * (b[k] / largest);
  return largest * sqrt_number(sum);
}

PYESTIM_INLINE double group_factor(const PenaltyTerm& t, double h, double norm_z) {
  return norm_z > t.l1 ? (1 - t.l1 / norm_z) / (h + t.l2) : 0;
}
