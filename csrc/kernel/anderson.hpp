// Anderson extrapolation of coordinate descent (Bertrand & Massias 2021, arXiv:2011.10065): after five passes over the
// same coordinates, the combination of the last five iterates whose differences combine to the least.
//
// Include inside the namespace of the level, after math/prox.hpp and kernel/tile.hpp.
#pragma once

constexpr int anderson_window = 5;

struct Anderson {
  double* iterate;  // (window + 1, K m) beta of the active coordinates
  double* trial;    // (K m,)
  int count;        // iterates kept
};

PYESTIM_INLINE Anderson carve_anderson(Arena& arena, int64_t size) {
  Anderson a;
  a.iterate = arena.take<double>((anderson_window + 1) * size);
  a.trial = arena.take<double>(size);
  a.count = 0;
  return a;
}

// Solves A c = 1 for a symmetric positive definite A (window, window), overwritten; false if it is singular.
inline bool solve_ones(double (&a)[anderson_window][anderson_window], double (&c)[anderson_window]) {
  constexpr int n = anderson_window;
  for (int i = 0; i < n; ++i) c[i] = 1;
  for (int k = 0; k < n; ++k) {
    if (!(a[k][k] > 0)) return false;
    for (int i = k + 1; i < n; ++i) {
      const double factor = a[i][k] / a[k][k];
      for (int j = k; j < n; ++j) a[i][j] -= factor * a[k][j];
      c[i] -= factor * c[k];
    }
  }
  for (int k = n - 1; k >= 0; --k) {
    for (int j = k + 1; j < n; ++j) c[k] -= a[k][j] * c[j];
    c[k] /= a[k][k];
  }
  return true;
}

// trial = sum_t c_t iterate_t+1, sum c = 1, least |sum_t c_t (iterate_t+1 - iterate_t)|; false if there is no such one.
inline bool extrapolate(const Anderson& a, int64_t size) {
  constexpr int n = anderson_window;
  double products[n][n], c[n], trace = 0, total = 0;
  for (int s = 0; s < n; ++s) {
    for (int t = s; t < n; ++t) {
      double sum = 0;
      for (int64_t i = 0; i < size; ++i)
        sum += (a.iterate[(s + 1) * size + i] - a.iterate[s * size + i]) *
               (a.iterate[(t + 1) * size + i] - a.iterate[t * size + i]);
      products[s][t] = products[t][s] = sum;
    }
    trace += products[s][s];
  }
  // Enough that rounding cannot make the system indefinite, too little to matter for the rest.
  for (int s = 0; s < n; ++s) products[s][s] += 1e-13 * trace;
  if (!(trace > 0) || !solve_ones(products, c)) return false;
  for (int t = 0; t < n; ++t) total += c[t];
  if (!(absolute(total) > 0 && absolute(total) < __builtin_huge_val())) return false;
  for (int64_t i = 0; i < size; ++i) {
    double sum = 0;
    for (int t = 0; t < n; ++t) sum += c[t] / total * a.iterate[(t + 1) * size + i];
    a.trial[i] = sum;
  }
  return true;
}
