// Normal laws inside boxes, one item per box: math/normal_box.hpp for Python.
#include <stdint.h>
#if !defined(__GNUC__)
#include <math.h>
#endif

#include "kernel/ops.hpp"

namespace pyestim::PYESTIM_ISA {
namespace {

#include "math/pack.hpp"
//
#include "math/exp_log.hpp"
//
#include "math/erfcx.hpp"
//
#include "math/truncated_normal.hpp"
//
#include "math/normal_lattice.hpp"
#include "math/normal_plane.hpp"
//
#include "math/normal_space.hpp"
//
#include "math/normal_box.hpp"

int64_t scratch_bytes(const void* job) {
  return box_work(static_cast<const BoxJob*>(job)->d) * int64_t(sizeof(double));
}

double item_flops(const void* job) {
  const double d = static_cast<const BoxJob*>(job)->d;
  return d < 2.5 ? 2e4 : d * LatticeRule::shifts * LatticeRule::points * (100 + d);
}

Status item(const void* any_job, int64_t index, void* scratch) {
  const auto& job = *static_cast<const BoxJob*>(any_job);
  const int64_t d = job.d, at = index * d, square = at * d;
  const NormalBox box = {job.d, job.means + at, job.covariances + square, job.lower + at, job.upper + at};
  const BoxMoments out = {job.log_prob + index, job.inside + at, job.inside_cov + square, job.error + index};
  const BoxStatus status = normal_box(box, static_cast<double*>(scratch), out);
  job.status[index] = int64_t(status);
  if (status == BoxStatus::ok) return Status::ok;
  const double nan = __builtin_nan("0");
  *out.log_prob = *out.error = nan;
  for (int64_t i = 0; i < d; ++i) out.mean[i] = nan;
  for (int64_t i = 0; i < d * d; ++i) out.covariance[i] = nan;
  return Status::ok;
}

}  // namespace

extern const ItemOp box_apply_op = {scratch_bytes, item_flops, item};

}  // namespace pyestim::PYESTIM_ISA
