// Per-row outputs of a mixture on partly known cells.
//
// Include inside the namespace of the level, after kernel/cells_sweep.hpp.
#pragma once

namespace cells_rows {

const CellsJob& cells_of(const void* job) { return static_cast<const CellsRowsJob*>(job)->cells; }

int64_t stat_size(const void*) { return 0; }
int64_t packed_bytes(const void* job) { return cells_sweep::packed_bytes(&cells_of(job)); }

int64_t scratch_bytes(const void* job) {
  Arena arena = arena_at(nullptr);
  carve_cells_scratch(arena, cells_of(job));
  return arena.used;
}

double row_flops(const void* job) { return cells_sweep::row_flops(&cells_of(job)); }
Status prepare(const void* job, void* packed) { return prepare_cells(cells_of(job), packed); }

void write_block(const CellsRowsJob& job, const CellParameters& p, int64_t first, const CellsScratch& s) {
  const int64_t k = job.cells.mixture.n_components, d = s.block.d, at = first - job.first_row;
  for (int i = 0; i < s.block.rows; ++i) {
    if (job.log_prob != nullptr) job.log_prob[at + i] = s.log_total[i];
    if (job.labels != nullptr) job.labels[at + i] = most_likely(s.resp + i, int(k));
    if (job.resp == nullptr) continue;
    for (int64_t c = 0; c < k; ++c) job.resp[(at + i) * k + c] = s.resp[c * Tile64::stride + i];
  }
  if (job.expected == nullptr) return;
  double* out = job.expected + at * d;
  for (int64_t i = 0; i < s.block.rows * d; ++i) out[i] = 0;
  if (by_columns(job.cells)) {
    CellsDiag::expect(job.cells, p, s.diag, s.resp, out);
  } else {
    CellsFull::expect(s.block, job.cells, p, s.full, s.resp, out);
  }
}

template <class In>
void leaf_in(const CellsRowsJob& job, const BothCells& packed, int64_t begin, int64_t end, void* scratch) {
  Arena arena = arena_at(scratch);
  CellsScratch s = carve_cells_scratch(arena, job.cells);
  const CellParameters p = parameters_of(job.cells, packed.cells, 0);
  RowsView rows = job.cells.mixture.rows;
  rows.weight = nullptr;
  for (int64_t row = begin; row < end;) {
    const int count = next_count(job.cells, row, end);
    load_block<In, double>(rows, packed.working, row, count, 1.0, s.block);
    s.block.unit_weights = false;  // log_total is wanted
    share_block(job.cells, packed.cells, {&job.cells.cells, nullptr, row, count}, s);
    cells_e_step(job.cells, p, 0, s, nullptr);
    write_block(job, p, row, s);
    row += count;
  }
}

Status leaf(const void* any_job, const void* packed, int64_t begin, int64_t end, double*, void* scratch) {
  const auto& job = *static_cast<const CellsRowsJob*>(any_job);
  Arena arena = arena_at(packed);
  const BothCells p = carve_cells_packed(arena, job.cells);
  if (job.cells.mixture.rows.dtype == Dtype::float64) {
    leaf_in<double>(job, p, begin, end, scratch);
  } else {
    leaf_in<float>(job, p, begin, end, scratch);
  }
  return Status::ok;
}

constexpr SweepOp op = {stat_size, packed_bytes, scratch_bytes, row_flops, prepare, leaf, nullptr};

}  // namespace cells_rows
