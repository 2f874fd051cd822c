// Counts of transitions, exact: pairs are counted straight through the borders of sequences, and the pairs that cross a
// border are taken back at the end.
#include <stdint.h>

#include "kernel/ops.hpp"

namespace pyestim::PYESTIM_ISA {
namespace {

#include "math/pack.hpp"
//
#include "kernel/codes.hpp"

const TransitionJob& job_of(const void* job) { return *static_cast<const TransitionJob*>(job); }

int64_t table_bytes(const void*, int64_t) { return 0; }

double row_flops(const void*) { return 8; }

int64_t n_cells(const void* job) { return job_of(job).n_states * job_of(job).n_states; }

void begin_table(const void*, void*) {}

// The definition: pairs of rows into [begin, end), without regard to sequences.
template <class In>
int64_t count_plainly(const In* x, int64_t k, int64_t begin, int64_t end, int64_t* counts) {
  int64_t source = begin > 0 ? int64_t(x[begin - 1]) : -1;
  if (source >= k) return begin - 1;
  for (int64_t row = begin; row < end; ++row) {
    const int64_t target = int64_t(x[row]);
    if (target >= k) return row;
    if (source >= 0 && target >= 0) ++counts[source * k + target];
    source = target;
  }
  return -1;
}

int64_t stretch(const void* job, void*, int64_t begin, int64_t end) {
  const TransitionJob& j = job_of(job);
  return with_codes(j.codes, [&](const auto* x) { return count_plainly(x, j.n_states, begin, end, j.counts); });
}

void flush(const void*, const void*, int64_t, int64_t) {}

void finish(const void* job, int64_t begin, int64_t end) {
  const TransitionJob& j = job_of(job);
  if (j.offsets == nullptr) return;
  with_codes(j.codes, [&](const auto* x) {
    int64_t last = 0;  // no pair leads into row 0
    for (int64_t i = offset_from(j.offsets, j.n_offsets, begin); i < j.n_offsets && j.offsets[i] < end; ++i) {
      const int64_t row = j.offsets[i];
      if (row == last) continue;
      last = row;
      if (x[row - 1] >= 0 && x[row] >= 0) --j.counts[int64_t(x[row - 1]) * j.n_states + int64_t(x[row])];
    }
    return 0;
  });
}

}  // namespace

extern const TallyOp transitions_op = {table_bytes, row_flops, n_cells, begin_table, stretch, flush, finish};

int64_t first_out_of_range(const CodesView* codes, int64_t n_states, int64_t begin, int64_t end) {
  return with_codes(*codes, [&](const auto* x) {
    for (int64_t row = begin; row < end; ++row)
      if (int64_t(x[row]) >= n_states) return row;
    return int64_t(-1);
  });
}

}  // namespace pyestim::PYESTIM_ISA
