// Assign sweep: weighted centred moments for responsibilities that do not come from the mixture itself.
//
// Include inside the namespace of the level, after kernel/mixture_frame.hpp.
#pragma once

namespace mixture_assign {

MixtureParameters parameters_of(const AssignJob& job) {
  return {job.rows, job.family, {job.n_components, job.rows.d}, job.n_candidates, nullptr, job.means, nullptr};
}

// Spherical components without factors measure |z - mean|^2: for the nearest mean, and for spherical second moments.
MixtureParameters distances_of(const AssignJob& job) {
  MixtureParameters m = parameters_of(job);
  m.family = Family::spherical;
  return m;
}

struct Packed {
  BothPacked moments;
  BothPacked distances;
};

Packed carve(Arena& arena, const AssignJob& job) {
  Packed p;
  p.moments = carve_both(arena, parameters_of(job), job.accurate);
  p.distances = carve_both(arena, distances_of(job), job.accurate);
  return p;
}

int64_t stat_size(const void* job) {
  const auto& a = *static_cast<const AssignJob*>(job);
  return stats_size(a.family, parameters_of(a).shape);
}

int64_t packed_bytes(const void* job) {
  Arena arena = arena_at(nullptr);
  carve(arena, *static_cast<const AssignJob*>(job));
  return arena.used;
}

int64_t scratch_bytes(const void* job) {
  const auto& a = *static_cast<const AssignJob*>(job);
  return mixture_scratch_bytes(a.family, parameters_of(a).shape, a.rows, a.accurate, true);
}

double row_flops(const void* job) {
  const auto& a = *static_cast<const AssignJob*>(job);
  return a.n_candidates * mixture_row_flops(a.family, parameters_of(a).shape);
}

Status prepare(const void* any_job, void* packed) {
  const auto& job = *static_cast<const AssignJob*>(any_job);
  Arena arena = arena_at(packed);
  const Packed p = carve(arena, job);
  pack_both(parameters_of(job), job.accurate, p.moments.has_narrow);
  pack_both(distances_of(job), job.accurate, p.distances.has_narrow);
  return Status::ok;
}

// ---- responsibilities of one block, each times the weight of its row ------------------------------------------------

// Returns -sum w |z - mean|^2 of the nearest means; ties go to the lowest component.
template <class T>
double nearest(const MixtureScratch<T>& s, int n_components) {
  constexpr int stride = Tile<T>::stride;
  double objective = 0;
  for (int i = 0; i < s.block.padded; ++i) {
    int best = 0;
    for (int k = 1; k < n_components; ++k) {
      if (s.quad[int64_t(k) * stride + i] > s.quad[int64_t(best) * stride + i]) best = k;
    }
    objective += 2 * double(s.block.weight[i]) * double(s.quad[int64_t(best) * stride + i]);
    for (int k = 0; k < n_components; ++k) {
      s.resp[int64_t(k) * stride + i] = k == best ? s.block.weight[i] : T(0);
    }
  }
  return objective;
}

template <class T>
double responsibilities(const AssignJob& job, int c, int64_t first, const MixtureScratch<T>& s) {
  if (job.source == Source::nearest) return nearest(s, job.n_components);
  from_elsewhere(job.source, job.from, c, job.n_components, first, s.block, s.resp);
  return 0;
}

// False: some row is out of the reach of T.
template <class In, class T>
bool leaf_in(const AssignJob& job, const PackedMixture<T>& packed, const PackedMixture<T>& distances, int64_t begin,
             int64_t end, double* stats, void* scratch) {
  const ComponentOps<T>& ops = ops_of<T>(job.family);
  const ComponentOps<T>& distance_ops = ops_of<T>(Family::spherical);
  const Shape shape{job.n_components, job.rows.d};
  const int64_t size = stats_size(job.family, shape);
  const bool measure = job.source == Source::nearest || job.family == Family::spherical;
  Arena arena = arena_at(scratch);
  MixtureScratch<T> s = carve_mixture(arena, ops, shape, true);
  const double factor = sizeof(T) == 4 ? weight_factor(job.rows, begin, end) : 1.0;
  const int step = block_step(ops, shape);
  for (int64_t row = begin; row < end; row += step) {
    const int count = int(end - row < step ? end - row : step);
    look_ahead(job.rows, row + count, end, s.block);
    if (!load_block<In, T>(job.rows, packed.working, row, count, factor, s.block)) return false;
    if (job.source == Source::labels)
      ignore_unlabelled(job.from.labels, job.n_components, job.rows, row, factor, s.block);
    for (int c = 0; c < job.n_candidates; ++c) {
      if (measure)
        distance_ops.quad(s.block, shape, distances.component + c * distances.component_bytes, s.quad, nullptr);
      stats[c * size] += responsibilities(job, c, row, s);
      stats[c * size + 1] += s.block.weight_sum;
      const Moments moments = moments_of(stats + c * size, shape);
      for (int k = 0; k < shape.n_components; ++k) {
        moments.resp_sum[k] += sum_of(s.resp + int64_t(k) * Tile<T>::stride, s.block.padded);
      }
      ops.accumulate(s.block, shape, packed.component + c * packed.component_bytes, s.quad, s.resp, moments,
                     s.component);
    }
  }
  for (int c = 0; c < job.n_candidates; ++c) {
    const void* component = packed.component + c * packed.component_bytes;
    finish_leaf(ops, job.family, shape, component, factor, stats + c * size, s.component);
  }
  return true;
}

Status leaf(const void* any_job, const void* packed, int64_t begin, int64_t end, double* stats, void* scratch) {
  const auto& job = *static_cast<const AssignJob*>(any_job);
  Arena arena = arena_at(packed);
  const Packed p = carve(arena, job);
  const BothPacked &m = p.moments, &d = p.distances;
  if (job.rows.dtype == Dtype::float64) {
    leaf_in<double>(job, m.wide, d.wide, begin, end, stats, scratch);
    return Status::ok;
  }
  if (m.use_float32()) {
    if (leaf_in<float>(job, m.narrow, d.narrow, begin, end, stats, scratch)) return Status::ok;
    for (int64_t i = 0; i < job.n_candidates * stat_size(any_job); ++i) stats[i] = 0;
  }
  leaf_in<float>(job, m.wide, d.wide, begin, end, stats, scratch);
  return Status::ok;
}

constexpr SweepOp op = {stat_size, packed_bytes, scratch_bytes, row_flops, prepare, leaf, nullptr};

}  // namespace mixture_assign
