// Cyclic coordinate descent on a penalised quadratic, whatever keeps its gradient.
//
// Include inside the namespace of the level, after kernel/anderson.hpp. A Form is the quadratic at the present beta:
//
//   double curvature(j)                  h_j, the same for all outputs; zero: the coordinate moves nothing
//   void gradient(j, out)                -d/d beta_kj of the quadratic, K numbers
//   void move(j, const double* change)   beta_j changed by K numbers
//   double loss()                        its value, up to a constant
//   void save(), restore()               the state that move changes
//   void narrow(active, count), widen()  from here to there only these coordinates are asked for
//
// Passes over all coordinates take turns with passes over those that are not zero. Every five of the latter are
// extrapolated, which is kept only where the objective falls.
#pragma once

// Buffers of the driver, per problem.
struct DescentScratch {
  int64_t* active;  // (m,)
  double* z;        // (K,)
  double* change;   // (K,)
  double* kept;     // (K, m) beta before an extrapolation
  Anderson anderson;
};

PYESTIM_INLINE DescentScratch carve_descent(Arena& arena, const Descent& job) {
  DescentScratch s;
  s.active = arena.take<int64_t>(job.m);
  s.z = arena.take<double>(job.n_outputs);
  s.change = arena.take<double>(job.n_outputs);
  s.kept = arena.take<double>(job.n_outputs * job.m);
  s.anderson = carve_anderson(arena, job.n_outputs * job.m);
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
    const double next = job.penalty == Penalty::group ? (group > 0 ? group * s.z[k] : 0.0)
                                                      : penalty_prox(job.penalty, job.shape, t, h, s.z[k]);
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

// Penalty of the active coordinates; the others are zero.
inline double active_penalty(const Descent& job, const DescentScratch& s, int64_t n_active) {
  double sum = 0;
  for (int64_t a = 0; a < n_active; ++a) {
    const int64_t j = s.active[a];
    const PenaltyTerm t = term_of(job, j);
    for (int32_t k = 0; k < job.n_outputs; ++k) s.z[k] = job.beta[k * job.m + j];
    if (job.penalty == Penalty::group) {
      sum += penalty_value(Penalty::l1, 0, t, group_norm(s.z, job.n_outputs));
    } else {
      for (int32_t k = 0; k < job.n_outputs; ++k) sum += penalty_value(job.penalty, job.shape, t, s.z[k]);
    }
  }
  return sum;
}

// beta of the active coordinates becomes `to` (n_active, K), within bounds.
template <class Form>
void move_active(Form& form, const Descent& job, const DescentScratch& s, int64_t n_active, const double* to) {
  for (int64_t a = 0; a < n_active; ++a) {
    const int64_t j = s.active[a];
    const PenaltyTerm t = term_of(job, j);
    for (int32_t k = 0; k < job.n_outputs; ++k) {
      double& b = job.beta[k * job.m + j];
      const double next = clip(to[a * job.n_outputs + k], t.lower, t.upper);
      s.change[k] = next - b;
      b = next;
    }
    form.move(j, s.change);
  }
}

// Keeps the active part of beta; after a whole window tries the extrapolated one.
template <class Form>
void accelerate(Form& form, const Descent& job, DescentScratch& s, int64_t n_active) {
  Anderson& anderson = s.anderson;
  const int64_t size = n_active * job.n_outputs;
  double* now = anderson.iterate + anderson.count * size;
  for (int64_t a = 0; a < n_active; ++a)
    for (int32_t k = 0; k < job.n_outputs; ++k) now[a * job.n_outputs + k] = job.beta[k * job.m + s.active[a]];
  if (++anderson.count <= anderson_window) return;
  anderson.count = 0;
  if (!extrapolate(anderson, size)) return;
  const double before = form.loss() + active_penalty(job, s, n_active);
  for (int64_t i = 0; i < size; ++i) s.kept[i] = now[i];
  form.save();
  move_active(form, job, s, n_active, anderson.trial);
  if (form.loss() + active_penalty(job, s, n_active) < before) return;
  for (int64_t a = 0; a < n_active; ++a)
    for (int32_t k = 0; k < job.n_outputs; ++k) job.beta[k * job.m + s.active[a]] = s.kept[a * job.n_outputs + k];
  form.restore();
}

// Passes over the active coordinates until they move by at most tol; returns how many.
template <class Form>
int64_t descend_active(Form& form, const Descent& job, DescentScratch& s, double tol, int64_t most) {
  int64_t n_active = 0, epoch = 0;
  for (int64_t j = 0; j < job.m; ++j)
    if (is_active(job, j)) s.active[n_active++] = j;
  // Passes after which it pays to narrow the form: most problems need fewer.
  constexpr int64_t patience = 4;
  s.anderson.count = 0;
  for (double moved = tol + 1; moved > tol && epoch < most; ++epoch) {
    if (epoch == patience) form.narrow(s.active, n_active);
    accelerate(form, job, s, n_active);
    moved = 0;
    for (int64_t a = 0; a < n_active; ++a) moved = at_least(moved, visit(form, job, s.active[a], s));
  }
  if (epoch > patience) form.widen();
  return epoch;
}

template <class Form>
void descend(Form& form, const Descent& job, DescentScratch s) {
  // The active coordinates are not solved much better than the others at a time.
  constexpr double share = 0.05;
  int64_t epoch = 0;
  double change = __builtin_huge_val();
  while (epoch < job.max_epochs) {
    change = 0;
    for (int64_t j = 0; j < job.m; ++j) change = at_least(change, visit(form, job, j, s));
    ++epoch;
    if (change <= job.tol) break;
    epoch += descend_active(form, job, s, at_least(job.tol, share * change), job.max_epochs - epoch);
  }
  *job.epochs = epoch;
  *job.change = change;
}
