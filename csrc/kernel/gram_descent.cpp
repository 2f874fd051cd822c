// Coordinate descent on a Gram matrix: sum_k (beta_k' G beta_k / 2 - q_k' beta_k) + penalty.
#include <stdint.h>
#if !defined(__GNUC__)
#include <math.h>
#endif

#include "kernel/ops.hpp"

namespace pyestim::PYESTIM_ISA {
namespace {

#include "math/pack.hpp"
//
#include "math/prox.hpp"
//
#include "kernel/tile.hpp"
//
#include "kernel/column.hpp"
//
#include "kernel/anderson.hpp"
//
#include "kernel/descent.hpp"

const GramDescentJob& as_job(const void* job) { return *static_cast<const GramDescentJob*>(job); }

// The gradient q - G beta of every coordinate is kept.
struct GramForm {
  const double* gram;
  const double* linear;
  const double* beta;
  double* left;   // (K, m)
  double* saved;  // (K, m)
  int64_t m;
  int32_t n_outputs;

  PYESTIM_INLINE double curvature(int64_t j) const { return gram[j * m + j]; }
  PYESTIM_INLINE void gradient(int64_t j, double* out) const {
    for (int32_t k = 0; k < n_outputs; ++k) out[k] = left[k * m + j];
  }
  PYESTIM_INLINE void move(int64_t j, const double* change) {
    for (int32_t k = 0; k < n_outputs; ++k)
      if (change[k] != 0) step_along(gram + j * m, 0.0, -change[k], left + k * m, m);
  }

  // beta' G beta / 2 - q' beta = -beta' (q + left) / 2
  double loss() const {
    double sum = 0;
    for (int64_t i = 0; i < n_outputs * m; ++i) sum -= beta[i] * (linear[i] + left[i]);
    return sum / 2;
  }
  void save() {
    for (int64_t i = 0; i < n_outputs * m; ++i) saved[i] = left[i];
  }
  void restore() {
    for (int64_t i = 0; i < n_outputs * m; ++i) left[i] = saved[i];
  }
};

GramForm carve_form(Arena& arena, const GramDescentJob& job) {
  const int64_t size = job.descent.n_outputs * job.descent.m;
  double* left = arena.take<double>(size);
  double* saved = arena.take<double>(size);
  return {job.gram, job.linear, job.descent.beta, left, saved, job.descent.m, job.descent.n_outputs};
}

int64_t scratch_bytes(const void* job) {
  Arena arena = arena_at(nullptr);
  carve_descent(arena, as_job(job).descent);
  carve_form(arena, as_job(job));
  return arena.used;
}

double item_flops(const void*) { return 0; }

Status item(const void* any_job, int64_t, void* scratch) {
  const GramDescentJob& job = as_job(any_job);
  const Descent& descent = job.descent;
  Arena arena = arena_at(scratch);
  const DescentScratch work = carve_descent(arena, descent);
  GramForm form = carve_form(arena, job);
  for (int64_t i = 0; i < descent.n_outputs * descent.m; ++i) form.left[i] = job.linear[i];
  for (int64_t j = 0; j < descent.m; ++j)
    for (int32_t k = 0; k < descent.n_outputs; ++k)
      if (const double b = descent.beta[k * descent.m + j]; b != 0)
        step_along(job.gram + j * descent.m, 0.0, -b, form.left + k * descent.m, descent.m);
  descend(form, descent, work);
  return Status::ok;
}

}  // namespace

extern const ItemOp gram_descent_op = {scratch_bytes, item_flops, item};

}  // namespace pyestim::PYESTIM_ISA
