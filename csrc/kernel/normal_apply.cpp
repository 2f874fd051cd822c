// Normal tails and intervals over arrays: math/erfcx.hpp and math/truncated_normal.hpp for Python.
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

constexpr int w = Pack<double>::width;
using V = Pack<double>::V;

// The vector of entries [i, end) that are there, 1 in the place of the others.
V load_some(const double* p, int64_t i, int64_t end) {
  if (i + w <= end) return load(p + i);
  double edge[w];
  for (int j = 0; j < w; ++j) edge[j] = i + j < end ? p[i + j] : 1.0;
  return load(edge);
}

void store_some(double* p, int64_t i, int64_t end, V value) {
  if (i + w <= end) return store(p + i, value);
  double edge[w];
  store(edge, value);
  for (int j = 0; i + j < end; ++j) p[i + j] = edge[j];
}

template <class F>
void apply(const NormalJob& job, int64_t begin, int64_t end, F function) {
  for (int64_t i = begin; i < end; i += w) store_some(job.out, i, end, function(load_some(job.a, i, end)));
}

void apply_interval(const NormalJob& job, int64_t begin, int64_t end) {
  for (int64_t i = begin; i < end; i += w) {
    const V a = load_some(job.a, i, end), b = load_some(job.b, i, end);
    const V width = job.width != nullptr ? load_some(job.width, i, end) : b - a;
    const Interval<V> inside = normal_interval(a, b, width);
    store_some(job.out, i, end, inside.log_prob);
    store_some(job.mean, i, end, inside.mean);
    store_some(job.variance, i, end, inside.variance);
  }
}

int64_t scratch_bytes(const void*) { return 0; }

double item_flops(const void*) { return 300.0 * normal_block; }

Status item(const void* any_job, int64_t index, void*) {
  const auto& job = *static_cast<const NormalJob*>(any_job);
  const int64_t begin = index * normal_block;
  const int64_t end = begin + normal_block < job.n ? begin + normal_block : job.n;
  switch (job.function) {
    case NormalFunction::erfcx:
      apply(job, begin, end, [](V x) { return erfcx(x); });
      return Status::ok;
    case NormalFunction::log_ndtr:
      apply(job, begin, end, [](V x) { return log_ndtr(x); });
      return Status::ok;
    case NormalFunction::inverse_mills:
      apply(job, begin, end, [](V x) { return inverse_mills(x); });
      return Status::ok;
    case NormalFunction::interval:
      apply_interval(job, begin, end);
      return Status::ok;
  }
  return Status::unsupported;
}

}  // namespace

extern const ItemOp normal_apply_op = {scratch_bytes, item_flops, item};

}  // namespace pyestim::PYESTIM_ISA
