// Proximal steps of a vector of coordinates: how Python reaches math/prox.hpp at every level.
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

}  // namespace

Status apply_prox(const ProxJob* job) {
  for (int64_t i = 0; i < job->m; ++i) {
    const PenaltyTerm t = {job->l1[i], job->l2[i], job->lower[i], job->upper[i]};
    const double* z = job->z + i * job->group;
    double* out = job->out + i * job->group;
    if (job->penalty == Penalty::group) {
      const double factor = group_factor(t, job->h[i], group_norm(z, job->group));
      for (int32_t k = 0; k < job->group; ++k) out[k] = factor > 0 ? factor * z[k] : 0.0;
      job->value[i] = penalty_value(Penalty::l1, 0, t, group_norm(out, job->group));
    } else {
      *out = penalty_prox(job->penalty, job->shape, t, job->h[i], *z);
      job->value[i] = penalty_value(job->penalty, job->shape, t, *out);
    }
  }
  return Status::ok;
}

}  // namespace pyestim::PYESTIM_ISA
