// Sums of the weights of transitions, leaf by leaf in the order of the rows.
#include <stdint.h>

#include "kernel/ops.hpp"

namespace pyestim::PYESTIM_ISA {
namespace {

#include "math/pack.hpp"
//
#include "kernel/codes.hpp"

const WeightedTransitionJob& job_of(const void* job) { return *static_cast<const WeightedTransitionJob*>(job); }

int64_t stat_size(const void* job) { return job_of(job).n_states * job_of(job).n_states; }

int64_t no_bytes(const void*) { return 0; }

double row_flops(const void*) { return 16; }

Status prepare(const void*, void*) { return Status::ok; }

// Rows [begin, end) of one sequence that has rows before `begin`. All codes were looked at before, but they may lie in
// memory that others write meanwhile: what is no state by now is not counted.
template <class In>
void add_rows(const In* x, const double* weight, int64_t k, int64_t begin, int64_t end, double* sums) {
  uint64_t source = begin < end ? uint64_t(int64_t(x[begin - 1])) : 0;
  for (int64_t row = begin; row < end; ++row) {
    const uint64_t target = uint64_t(int64_t(x[row]));
    if (source < uint64_t(k) && target < uint64_t(k)) sums[source * uint64_t(k) + target] += weight[row];
    source = target;
  }
}

Status leaf(const void* job, const void*, int64_t begin, int64_t end, double* sums, void*) {
  const WeightedTransitionJob& j = job_of(job);
  with_codes(j.codes, [&](const auto* x) {
    int64_t from = begin > 0 ? begin : 1;
    int64_t next = j.offsets == nullptr ? j.n_offsets : offset_from(j.offsets, j.n_offsets, begin);
    for (; next < j.n_offsets && j.offsets[next] < end; ++next) {
      add_rows(x, j.weight, j.n_states, from, j.offsets[next], sums);
      from = j.offsets[next] + 1;
    }
    add_rows(x, j.weight, j.n_states, from, end, sums);
    return 0;
  });
  return Status::ok;
}

}  // namespace

extern const SweepOp weighted_transitions_op = {stat_size, no_bytes, no_bytes, row_flops, prepare, leaf, nullptr};

}  // namespace pyestim::PYESTIM_ISA
