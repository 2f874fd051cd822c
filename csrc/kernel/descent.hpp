// Cyclic coordinate descent on a penalised quadratic, whatever keeps its gradient.
//
// Include inside the namespace of the level, after math/prox.hpp. A Form is the quadratic at the present beta:
//
//   double curvature(j)                  h_j, the same for all outputs; zero: the coordinate moves nothing
//   void gradient(j, out)                -d/d beta_kj of the quadratic, K numbers
//   void move(j, const double* change)   beta_j changed by K numbers
//
// Passes over all coordinates take turns with passes over those that are not zero.
#pragma once

// Buffers of the driver, per problem.
struct DescentScratch {
  int64_t* active;  // (m,)
  double* z;        // (K,)
  double* change;   // (K,)
};

PYESTIM_INLINE DescentScratch carve_descent(Arena& arena, const Descent& job) {
  DescentScratch s;
  s.active = arena.take<int64_t>(job.m);
  s.z = arena.take<double>(job.n_outputs);
  s.change = arena.take<double>(job.n_outputs);
  return s;
}

PYESTIM_INLINE PenaltyTerm term_of(const Descent& job, int64_t j) {
  constexpr double infinity = __builtin_huge_val();
  return {job.l1[j], job.l2[j], job.lower == nullptr ? -infinity : job.lower[j],
          job.upper == nullptr ? infinity : job.upper[j]};
}

// A coordinate on which the quadratic does not depend goes where the penalty is least.
PYESTIM_INLINE void rest(const Descent& job, int64_t j, const PenaltyTerm& t) {
  for (int32_t k = 0; k < job.n_outputs; ++k) {
    double& b = job.beta[k * job.m + j];
    b = clip(t.l1 > 0 || t.l2 > 0 ? 0.0 : b, t.lower, t.upper);
  }
}

// The K coefficients of coordinate j become the minimum for z = gradient + h beta; s.change receives the differences.
PYESTIM_INLINE void minimise(const Descent& job, int64_t j, double h, const PenaltyTerm& t, DescentScratch& s) {
  double group = 0;
  if (job.penalty == Penalty::group) group = group_factor(t, h, group_norm(s.z, job.n_outputs));
  for (int32_t k = 0; k < job.n_outputs; ++k) {
    double& b = job.beta[k * job.m + j];
    const double next =
        job.penalty == Penalty::group ? group * s.z[k] : penalty_prox(job.penalty, job.shape, t, h, s.z[k]);
    s.change[k] = next - b;
    b = next;
  }
}

// Returns max_k |h_j change_k|.
template <class Form>
PYESTIM_INLINE double visit(Form& form, const Descent& job, int64_t j, DescentScratch& s) {
  const PenaltyTerm t = term_of(job, j);
  const double h = form.curvature(j);
  if (!(h > 0)) {
    rest(job, j, t);
    return 0;
  }
  form.gradient(j, s.z);
  for (int32_t k = 0; k < job.n_outputs; ++k) s.z[k] += h * job.beta[k * job.m + j];
  minimise(job, j, h, t, s);
  double largest = 0;
  for (int32_t k = 0; k < job.n_outputs; ++k) largest = at_least(largest, absolute(s.change[k]));
  if (largest > 0) form.move(j, s.change);
  return h * largest;
}

PYESTIM_INLINE bool is_active(const Descent& job, int64_t j) {
  bool any_set = false;
  for (int32_t k = 0; k < job.n_outputs; ++k) any_set |= job.beta[k * job.m + j] != 0;
  return any_set;
}

template <class Form>
void descend(Form& form, const Descent& job, DescentScratch s) {
  int64_t epoch = 0;
  double change = __builtin_huge_val();
  while (epoch < job.max_epochs) {
    change = 0;
    for (int64_t j = 0; j < job.m; ++j) change = at_least(change, visit(form, job, j, s));
    ++epoch;
    if (change <= job.tol) break;
    int64_t n_active = 0;
    for (int64_t j = 0; j < job.m; ++j)
      if (is_active(job, j)) s.active[n_active++] = j;
    for (double moved = change; moved > job.tol && epoch < job.max_epochs; ++epoch) {
      moved = 0;
      for (int64_t a = 0; a < n_active; ++a) moved = at_least(moved, visit(form, job, s.active[a], s));
    }
  }
  *job.epochs = epoch;
  *job.change = change;
}
