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
//
#include "kernel/gram_form.hpp"

const GramDescentJob& as_job(const void* job) { return *static_cast<const GramDescentJob*>(job); }

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
  fill_gradient(form);
  descend(form, descent, work);
  return Status::ok;
}

}  // namespace

extern const ItemOp gram_descent_op = {scratch_bytes, item_flops, item};

}  // namespace pyestim::PYESTIM_ISA
