// The step from Python to the lanes: the only place that releases the GIL.
#pragma once

#include "bind/arrays.hpp"
#include "core/context.hpp"

namespace pyestim::bind {

// RuntimeError, MemoryError or ValueError for a status that is not ok.
void raise_status(const char* function, Status status);

// One sweep over rows [start, stop). out: (n_candidates, stat_size) float64, overwritten; ignored by operations without
// statistics.
void sweep(Context& context, const char* function, const SweepOp& op, const void* job, int64_t start, int64_t stop,
           int64_t n_candidates, const py::object& out);

// The same with one candidate and a vector of statistics that has no axis for it.
void sweep_one(Context& context, const char* function, const SweepOp& op, const void* job, int64_t start, int64_t stop,
               const py::object& out);

// Items 0 .. n_items - 1.
void items(Context& context, const char* function, const ItemOp& op, const void* job, int64_t n_items);

// Counts rows [start, stop) into the result of the job; the first row whose code is no state, or -1.
int64_t tally(Context& context, const char* function, const TallyOp& op, void* job, int64_t start, int64_t stop);

// Work on columns that the lanes cut by themselves (core/columns.hpp).
void columns(Context& context, const char* function, const ColumnSumsJob& job);
void columns(Context& context, const char* function, const ColumnTimesJob& job);
void columns(Context& context, const char* function, const ColumnGramJob& job);

// exp or log of n numbers.
void apply_math(Context& context, const char* function, const MathJob& job, int64_t n);
void apply_prox(Context& context, const char* function, const ProxJob& job);

}  // namespace pyestim::bind
