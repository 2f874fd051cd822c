// Drives kernels over rows: leaves of 4096 rows, merged in a tree that depends on row numbers alone.
#pragma once

#include "core/lanes.hpp"

namespace pyestim {

// Rows [start, stop) through op; out receives (n_candidates, op.stat_size(job)). The same bits for any number of
// threads.
Status run_sweep(Pool& pool, const SweepOp& op, const void* job, int vector_bytes, int64_t start, int64_t stop,
                 int64_t n_candidates, double* out);

// Items 0 .. n_items - 1 through op.
Status run_items(Pool& pool, const ItemOp& op, const void* job, int vector_bytes, int64_t n_items);

// Rows [start, stop) through op, into the result that the job names; `bad_row` receives the first row whose code is no
// state, or -1.
Status run_tally(Pool& pool, const TallyOp& op, void* job, int vector_bytes, int64_t start, int64_t stop,
                 int64_t& bad_row);

}  // namespace pyestim
