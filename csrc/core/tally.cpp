// Counting: a table for each thread, stretches of rows claimed in any order, tables added up at the end.
#include <algorithm>
#include <atomic>

#include "core/sweep.hpp"

namespace pyestim {
namespace {

// As in sweep.cpp: only decides whether waking threads may pay.
constexpr double flops_per_vector_byte = 0.5e9;
// Rows of a stretch: short enough for balance, long enough that claiming costs nothing.
constexpr int64_t stretch_rows = 32 * leaf_rows;
constexpr int64_t flush_cells = int64_t{1} << 16;

struct Tally {
  const TallyOp& op;
  const void* job;
  Workspace& workspace;
  const int64_t start, stop;
  bool* begun;  // by slot
  std::atomic<int64_t> bad_row{-1};

  static void count(void* self, int64_t item, int slot) {
    Tally& tally = *static_cast<Tally*>(self);
    const int64_t begin = tally.start + item * stretch_rows, end = std::min(tally.stop, begin + stretch_rows);
    int64_t bad = tally.bad_row.load();
    if (bad >= 0 && bad < begin) return;
    void* table = tally.workspace.scratch(slot);
    if (!tally.begun[slot]) tally.op.begin(tally.job, table);
    tally.begun[slot] = true;
    const int64_t found = tally.op.stretch(tally.job, table, begin, end);
    if (found < 0) return;
    while ((bad < 0 || found < bad) && !tally.bad_row.compare_exchange_weak(bad, found)) {
    }
  }
};

struct Flush {
  const TallyOp& op;
  const void* job;
  Workspace& workspace;
  const bool* begun;
  int n_slots;
  int64_t n_cells;

  static void add(void* self, int64_t item, int) {
    Flush& flush = *static_cast<Flush*>(self);
    const int64_t begin = item * flush_cells, end = std::min(flush.n_cells, begin + flush_cells);
    for (int slot = 0; slot < flush.n_slots; ++slot)
      if (flush.begun[slot]) flush.op.flush(flush.job, flush.workspace.scratch(slot), begin, end);
  }
};

}  // namespace

Status run_tally(Pool& pool, const TallyOp& op, void* job, int vector_bytes, int64_t start, int64_t stop,
                 int64_t& bad_row) {
  op.plan(job, start, stop);
  const int64_t n_rows = stop - start, bytes = op.table_bytes(job);
  Pool::Lease lease(pool);
  Workspace& workspace = lease.workspace();
  const double seconds = op.row_flops(job) * static_cast<double>(n_rows) / (flops_per_vector_byte * vector_bytes);
  const int n_threads = bytes == 0 ? 1 : lease.n_threads(seconds);
  Buffer flags;
  if (!flags.reserve(n_threads) || !workspace.prepare(n_threads, bytes, 0)) return Status::out_of_memory;
  bool* begun = static_cast<bool*>(flags.data());
  std::fill_n(begun, n_threads, false);
  Tally tally{op, job, workspace, start, stop, begun};
  lease.run(n_threads, (n_rows + stretch_rows - 1) / stretch_rows, {&Tally::count, &tally});
  bad_row = tally.bad_row;
  if (bad_row >= 0) return Status::ok;
  if (bytes > 0) {
    Flush flush{op, job, workspace, begun, n_threads, op.n_cells(job)};
    lease.run(n_threads, (flush.n_cells + flush_cells - 1) / flush_cells, {&Flush::add, &flush});
  }
  op.finish(job, start, stop);
  return Status::ok;
}

}  // namespace pyestim
