// Mixture sweep: E-step and weighted centred moments of every candidate in one pass over the rows.
//
// Include inside the namespace of the level, after kernel/mixture_frame.hpp.
#pragma once

namespace mixture_sweep {

int64_t stat_size(const void* job) {
  const auto& m = *static_cast<const MixtureJob*>(job);
  return stats_size(m.family, shape_of(m));
}

int64_t packed_bytes(const void* job) {
  Arena arena = arena_at(nullptr);
  const auto& m = *static_cast<const MixtureJob*>(job);
  carve_both(arena, parameters_of(m), m.accurate);
  return arena.used;
}

int64_t scratch_bytes(const void* job) {
  const auto& m = *static_cast<const MixtureJob*>(job);
  return mixture_scratch_bytes(m.family, shape_of(m), m.rows, m.accurate, false);
}

double row_flops(const void* job) {
  const auto& m = *static_cast<const MixtureJob*>(job);
  return m.n_candidates * mixture_row_flops(m.family, shape_of(m));
}

Status prepare(const void* any_job, void* packed) {
  const auto& job = *static_cast<const MixtureJob*>(any_job);
  pack_both(parameters_of(job), job.accurate, packed);
  return Status::ok;
}

template <class T>
void candidate_block(const MixtureJob& job, const PackedMixture<T>& packed, int c, const MixtureScratch<T>& s,
                     double* stats) {
  const ComponentOps<T>& ops = ops_of<T>(job.family);
  const Shape shape = shape_of(job);
  const void* component = packed.component + c * packed.component_bytes;
  ops.quad(s.block, shape, component, s.quad, s.component);
  const ConstantGate<T> gate{packed.offset + int64_t(c) * shape.n_components};
  const LogSumExp<T, ConstantGate<T>> soft{s.quad,      gate,    shape.n_components,  s.block.weight, s.resp,
                                           s.log_total, s.share, s.block.unit_weights};
  const Moments moments = moments_of(stats, shape);
  stats[0] += soft.run(s.block.padded, moments.resp_sum);
  stats[1] += s.block.weight_sum;
  ops.accumulate(s.block, shape, component, s.quad, s.resp, moments, s.component);
}

// log_likelihood += what rounding took from the offsets, to first order.
template <class T>
void correct_offsets(const PackedMixture<T>& packed, int c, Shape shape, double* stats) {
  if (sizeof(T) == 8) return;
  for (int k = 0; k < shape.n_components; ++k) {
    stats[0] += packed.offset_rest[int64_t(c) * shape.n_components + k] * stats[2 + k];
  }
}

// False: some row is out of the reach of T.
template <class In, class T>
bool leaf_in(const MixtureJob& job, const PackedMixture<T>& packed, int64_t begin, int64_t end, double* stats,
             void* scratch) {
  const ComponentOps<T>& ops = ops_of<T>(job.family);
  const Shape shape = shape_of(job);
  const int64_t size = stats_size(job.family, shape);
  Arena arena = arena_at(scratch);
  MixtureScratch<T> s = carve_mixture(arena, ops, shape, false);
  const double factor = sizeof(T) == 4 ? weight_factor(job.rows, begin, end) : 1.0;
  if (ops.begin_leaf != nullptr) ops.begin_leaf(shape, s.component);
  const int step = block_step(ops, shape);
  for (int64_t row = begin; row < end; row += step) {
    const int count = int(end - row < step ? end - row : step);
    look_ahead(job.rows, row + count, end, s.block);
    if (!load_block<In, T>(job.rows, packed.working, row, count, factor, s.block)) return false;
    if (ops.share != nullptr) ops.share(s.block, shape, s.component);
    for (int c = 0; c < job.n_candidates; ++c) candidate_block(job, packed, c, s, stats + c * size);
  }
  for (int c = 0; c < job.n_candidates; ++c) {
    const void* component = packed.component + c * packed.component_bytes;
    correct_offsets(packed, c, shape, stats + c * size);
    finish_leaf(ops, job.family, shape, component, factor, stats + c * size, s.component);
  }
  return true;
}

Status leaf(const void* any_job, const void* packed, int64_t begin, int64_t end, double* stats, void* scratch) {
  const auto& job = *static_cast<const MixtureJob*>(any_job);
  Arena arena = arena_at(packed);
  const BothPacked p = carve_both(arena, parameters_of(job), job.accurate);
  if (job.rows.dtype == Dtype::float64) {
    leaf_in<double>(job, p.wide, begin, end, stats, scratch);
    return Status::ok;
  }
  if (p.use_float32()) {
    if (leaf_in<float>(job, p.narrow, begin, end, stats, scratch)) return Status::ok;
    for (int64_t i = 0; i < job.n_candidates * stat_size(any_job); ++i) stats[i] = 0;
  }
  leaf_in<float>(job, p.wide, begin, end, stats, scratch);
  return Status::ok;
}

constexpr SweepOp op = {stat_size, packed_bytes, scratch_bytes, row_flops, prepare, leaf, nullptr};

}  // namespace mixture_sweep
