// Per-row outputs of a mixture: log-density, responsibilities, labels.
//
// Include inside the namespace of the level, after kernel/mixture_frame.hpp.
#pragma once

namespace mixture_rows {

const MixtureJob& mixture_of(const void* job) { return static_cast<const MixtureRowsJob*>(job)->mixture; }

int64_t stat_size(const void*) { return 0; }

int64_t packed_bytes(const void* job) {
  const MixtureJob& m = mixture_of(job);
  Arena arena = arena_at(nullptr);
  carve_both(arena, parameters_of(m), m.accurate);
  return arena.used;
}

int64_t scratch_bytes(const void* job) {
  const MixtureJob& m = mixture_of(job);
  return mixture_scratch_bytes(m.family, shape_of(m), m.rows, m.accurate, true);
}

double row_flops(const void* job) {
  const MixtureJob& m = mixture_of(job);
  return mixture_row_flops(m.family, shape_of(m));
}

Status prepare(const void* job, void* packed) {
  const MixtureJob& m = mixture_of(job);
  pack_both(parameters_of(m), m.accurate, packed);
  return Status::ok;
}

// log r of row i, which keeps its digits where r underflows: log-densities relative to that of the best component,
// whose r is 1 / K at least.  (Relative to log_total it would have the digits of a number that may be as large as one
// likes.)
template <class T>
void write_log_resp(const MixtureScratch<T>& s, const T* offset, int n_components, int i, double* out) {
  constexpr int stride = Tile<T>::stride;
  constexpr double infinity = __builtin_huge_val();
  const int best = most_likely(s.resp + i, n_components);
  const auto log_density = [&](int k) { return double(T(s.quad[int64_t(k) * stride + i] + offset[k])); };
  const double share = double(s.resp[int64_t(best) * stride + i]);
  const double top = log_density(best), log_share = reduce_max(log_pos(broadcast(share)));
  const bool lost = s.log_total[i] < lost_below<T>;
  for (int k = 0; k < n_components; ++k) {
    out[k] = offset[k] > T(-infinity) ? log_density(k) - top + log_share : -infinity;
    if (lost) out[k] = k == best && share > 0 ? 0.0 : -infinity;
  }
}

template <class T>
void write_block(const MixtureRowsJob& job, const MixtureScratch<T>& s, const T* offset, int64_t first) {
  constexpr int stride = Tile<T>::stride;
  const int n_components = job.mixture.n_components;
  for (int i = 0; i < s.block.rows; ++i) {
    const int64_t row = first + i - job.first_row;
    if (job.log_prob != nullptr) job.log_prob[row] = double(s.log_total[i]);
    if (job.labels != nullptr) job.labels[row] = most_likely(s.resp + i, n_components);
    if (job.resp == nullptr) continue;
    double* out = job.resp + row * n_components;
    if (job.log_resp) {
      write_log_resp(s, offset, n_components, i, out);
    } else {
      for (int k = 0; k < n_components; ++k) out[k] = double(s.resp[int64_t(k) * stride + i]);
    }
  }
}

// False: some row is out of the reach of T.
template <class In, class T>
bool leaf_in(const MixtureRowsJob& job, const PackedMixture<T>& packed, int64_t begin, int64_t end, void* scratch) {
  const ComponentOps<T>& ops = ops_of<T>(job.mixture.family);
  const Shape shape = shape_of(job.mixture);
  Arena arena = arena_at(scratch);
  MixtureScratch<T> s = carve_mixture(arena, ops, shape, true);
  const int step = block_step(ops, shape);
  RowsView rows = job.mixture.rows;
  rows.weight = nullptr;
  for (int64_t row = begin; row < end; row += step) {
    const int count = int(end - row < step ? end - row : step);
    look_ahead(rows, row + count, end, s.block);
    if (!load_block<In, T>(rows, packed.working, row, count, 1.0, s.block)) return false;
    ops.quad(s.block, shape, packed.component, s.quad, s.component);
    const LogSumExp<T, ConstantGate<T>> soft{
        s.quad, {packed.offset}, shape.n_components, s.block.weight, s.resp, s.log_total, s.share, false};
    soft.run(s.block.padded, nullptr);
    write_block(job, s, packed.offset, row);
  }
  return true;
}

Status leaf(const void* any_job, const void* packed, int64_t begin, int64_t end, double*, void* scratch) {
  const auto& job = *static_cast<const MixtureRowsJob*>(any_job);
  Arena arena = arena_at(packed);
  const BothPacked p = carve_both(arena, parameters_of(job.mixture), job.mixture.accurate);
  if (job.mixture.rows.dtype == Dtype::float64) {
    leaf_in<double>(job, p.wide, begin, end, scratch);
  } else if (!p.use_float32() || !leaf_in<float>(job, p.narrow, begin, end, scratch)) {
    leaf_in<float>(job, p.wide, begin, end, scratch);
  }
  return Status::ok;
}

constexpr SweepOp op = {stat_size, packed_bytes, scratch_bytes, row_flops, prepare, leaf, nullptr};

}  // namespace mixture_rows
