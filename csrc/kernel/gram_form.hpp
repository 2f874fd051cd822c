// The quadratic of a Gram matrix, for coordinate descent: sum_k (beta_k' G beta_k / 2 - q_k' beta_k).
//
// Include inside the namespace of the level, after kernel/column.hpp and kernel/descent.hpp.
#pragma once

// Rows of G and what they change, of all coordinates or of a few.
struct Part {
  const double* gram;  // (m, m)
  double* left;        // (K, m) the gradient q - G beta
  int64_t m;
};

// The gradient is kept of every coordinate; while only a few are asked for, of these, from a copy of their products.
struct GramForm {
  const GramDescentJob& job;
  Part whole;
  Part few;  // m zero: not in use
  Part now;
  double* products;       // (m / 2, m / 2) room for few.gram
  double* saved;          // (K, m)
  double* start;          // (K, m / 2) beta when the form was narrowed
  int64_t* place;         // (m,) of a coordinate in `now`
  const int64_t* active;  // (few.m,)

  int32_t n_outputs() const { return job.descent.n_outputs; }
  double& beta(int64_t j, int32_t k) const { return job.descent.beta[k * whole.m + j]; }

  PYESTIM_INLINE double curvature(int64_t j) const { return job.gram[j * whole.m + j]; }
  PYESTIM_INLINE void gradient(int64_t j, double* out) const {
    for (int32_t k = 0; k < n_outputs(); ++k) out[k] = now.left[k * now.m + place[j]];
  }
  PYESTIM_INLINE void move(int64_t j, const double* change) {
    for (int32_t k = 0; k < n_outputs(); ++k)
      if (change[k] != 0) step_along(now.gram + place[j] * now.m, 0.0, -change[k], now.left + k * now.m, now.m);
  }

  // beta' G beta / 2 - q' beta = -beta' (q + left) / 2; where few are asked for, the others are zero.
  double loss() const {
    double sum = 0;
    for (int32_t k = 0; k < n_outputs(); ++k) {
      for (int64_t a = 0; a < now.m; ++a) {
        const int64_t j = few.m > 0 ? active[a] : a;
        sum -= beta(j, k) * (job.linear[k * whole.m + j] + now.left[k * now.m + a]);
      }
    }
    return sum / 2;
  }
  void save() { copy(now.left, saved); }
  void restore() { copy(saved, now.left); }
  void copy(const double* from, double* to) const {
    for (int64_t i = 0; i < n_outputs() * now.m; ++i) to[i] = from[i];
  }

  void narrow(const int64_t* coordinates, int64_t count) {
    if (count == 0 || 2 * count > whole.m) return;
    active = coordinates;
    few.m = count;
    for (int64_t a = 0; a < count; ++a) {
      for (int64_t b = 0; b < count; ++b) products[a * count + b] = job.gram[active[a] * whole.m + active[b]];
      for (int32_t k = 0; k < n_outputs(); ++k) {
        few.left[k * count + a] = whole.left[k * whole.m + active[a]];
        start[k * count + a] = beta(active[a], k);
      }
      place[active[a]] = a;
    }
    now = few;
  }

  // The gradient of the others catches up.
  void widen() {
    if (few.m == 0) return;
    for (int64_t a = 0; a < few.m; ++a) {
      for (int32_t k = 0; k < n_outputs(); ++k) {
        const double change = beta(active[a], k) - start[k * few.m + a];
        if (change != 0) step_along(job.gram + active[a] * whole.m, 0.0, -change, whole.left + k * whole.m, whole.m);
      }
      place[active[a]] = active[a];
    }
    few.m = 0;
    now = whole;
  }
};

GramForm carve_form(Arena& arena, const GramDescentJob& job) {
  const int64_t m = job.descent.m, size = job.descent.n_outputs * m, half = m / 2;
  double* left = arena.take<double>(size);
  double* few_left = arena.take<double>(job.descent.n_outputs * half);
  double* products = arena.take<double>(half * half);
  double* saved = arena.take<double>(size);
  double* start = arena.take<double>(job.descent.n_outputs * half);
  int64_t* place = arena.take<int64_t>(m);
  const Part whole = {job.gram, left, m};
  return {job, whole, {products, few_left, 0}, whole, products, saved, start, place, nullptr};
}

// The gradient at beta, from nothing.
PYESTIM_INLINE void fill_gradient(const GramForm& form) {
  const GramDescentJob& job = form.job;
  const int64_t m = job.descent.m;
  for (int64_t i = 0; i < job.descent.n_outputs * m; ++i) form.whole.left[i] = job.linear[i];
  for (int64_t j = 0; j < m; ++j) {
    form.place[j] = j;
    for (int32_t k = 0; k < job.descent.n_outputs; ++k)
      if (const double b = form.beta(j, k); b != 0) step_along(job.gram + j * m, 0.0, -b, form.whole.left + k * m, m);
  }
}
