// Per-row outputs of mixtures of experts.
//
// Include inside the namespace of the level, after kernel/experts_frame.hpp.
#pragma once

namespace experts_rows {

const ExpertsJob& experts_of(const void* job) { return static_cast<const ExpertsRowsJob*>(job)->experts; }

int64_t stat_size(const void*) { return 0; }

int64_t packed_bytes(const void* job) {
  Arena arena = arena_at(nullptr);
  carve_packed(arena, shape_of(experts_of(job)), 1);
  return arena.used;
}

struct Scratch {
  ExpertsBlock block;
  double* predictor;  // (K L, rows)
};

Scratch carve(Arena& arena, const ExpertsJob& job) {
  Scratch s;
  s.block = carve_experts_block(arena, job, false);
  s.predictor = arena.take<double>(int64_t(Tile64::stride) * shape_of(job).expert_scores());
  return s;
}

int64_t scratch_bytes(const void* job) {
  Arena arena = arena_at(nullptr);
  carve(arena, experts_of(job));
  return arena.used;
}

double row_flops(const void* job) {
  const ExpertsShape s = shape_of(experts_of(job));
  return 2.0 * s.expert_scores() * (21.0 + s.d) + 2.0 * s.n_experts * (21.0 + s.gate_d);
}

Status prepare(const void* job, void* packed) { return prepare_experts(experts_of(job), packed); }

// out (rows, n) from columns (n, rows).
void write(const double* columns, int n, int64_t row, int rows, double* out) {
  if (out == nullptr) return;
  out += row * n;
  for (int i = 0; i < rows; ++i) {
    for (int64_t k = 0; k < n; ++k) *out++ = columns[k * Tile64::stride + i];
  }
}

void write_gate(const ExpertsRowsJob& job, const ExpertsPacked& packed, const ExpertsBlock& b, int64_t row) {
  const int n = job.experts.n_experts;
  if (job.gate == nullptr) return;
  if (shape_of(job.experts).softmax) return write(b.log_share, n, row, b.x.rows, job.gate);
  for (int64_t i = row; i < row + b.x.rows; ++i) {
    for (int k = 0; k < n; ++k) job.gate[i * n + k] = packed.offset[k];
  }
}

void block_outputs(const ExpertsRowsJob& job, const ExpertsPacked& packed, const Scratch& s, int64_t row) {
  const ExpertsShape shape = shape_of(job.experts);
  const ExpertsBlock& b = s.block;
  const int n = shape.n_experts, rows = b.x.rows;
  predict_experts(shape, packed, 0, b, s.predictor);
  write(s.predictor, shape.expert_scores(), row, rows, job.predictors);
  if (shape.softmax) weigh_by_softmax(shape, packed, 0, b);
  write_gate(job, packed, b, row);
  if (job.log_prob == nullptr && job.resp == nullptr && job.log_density == nullptr) return;
  score_experts(job.experts, 0, b, s.predictor, nullptr);
  write(b.quad, n, row, rows, job.log_density);
  posterior(shape, packed, 0, b, b.resp, nullptr, false);
  write(b.resp, n, row, rows, job.resp);
  write(b.log_total, 1, row, rows, job.log_prob);
}

Status leaf(const void* any_job, const void* packed, int64_t begin, int64_t end, double*, void* scratch) {
  const auto& job = *static_cast<const ExpertsRowsJob*>(any_job);
  ExpertsJob experts = job.experts;
  experts.rows.weight = nullptr;  // every row has outputs
  Arena parameters = arena_at(packed), arena = arena_at(scratch);
  const ExpertsPacked p = carve_packed(parameters, shape_of(experts), 1);
  Scratch s = carve(arena, experts);
  for (int64_t row = begin; row < end; row += Tile64::block) {
    load_experts(experts, p, row, int(end - row < Tile64::block ? end - row : Tile64::block), s.block);
    block_outputs(job, p, s, row - job.first_row);
  }
  return Status::ok;
}

constexpr SweepOp op = {stat_size, packed_bytes, scratch_bytes, row_flops, prepare, leaf, nullptr};

}  // namespace experts_rows
