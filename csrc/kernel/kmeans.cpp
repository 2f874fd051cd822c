// One Lloyd sweep: every row meets the centres of every candidate, and leaves w (z - c) and w |z - c|^2 at the nearest.
//
// Rows are in vector lanes while the nearest centre is sought, features are while the sums are taken.
#include <stdint.h>
#if !defined(__GNUC__)
#include <math.h>
#endif

#include "kernel/ops.hpp"

namespace pyestim::PYESTIM_ISA {
namespace {

#include "math/pack.hpp"
//
#include "kernel/tile.hpp"
//
#include "kernel/rows.hpp"
//
#include "kernel/nearest.hpp"

// Sums of one candidate over a leaf, float64.  Several copies in turn, because a row that adds to the place where the
// row before it has just stored waits for that store; one copy where a row is long or the copies would leave the cache.
struct Sums {
  int copies;
  double* counts;   // (copies, K)
  double* first;    // (copies, K, wide)
  double* inertia;  // (copies, width)
};

constexpr int most_copies = 4;
constexpr int64_t most_copied = 1024;  // doubles of one copy: 32 KiB in all

int copies_for(const KmeansJob& job) {
  return int64_t(job.n_clusters) * padded_features<double>(job.rows.d) <= most_copied ? most_copies : 1;
}

Sums carve_sums(Arena& arena, const KmeansJob& job, int wide) {
  Sums s;
  s.copies = copies_for(job);
  s.counts = arena.take<double>(int64_t(s.copies) * job.n_clusters);
  s.first = arena.take<double>(int64_t(s.copies) * job.n_clusters * wide);
  s.inertia = arena.take<double>(s.copies * Pack<double>::width);
  return s;
}

void clear_sums(const KmeansJob& job, int wide, const Sums& s) {
  const int64_t n = int64_t(s.copies) * job.n_clusters;
  for (int64_t i = 0; i < n; ++i) s.counts[i] = 0;
  for (int64_t i = 0; i < n * wide; ++i) s.first[i] = 0;
  for (int i = 0; i < s.copies * Pack<double>::width; ++i) s.inertia[i] = 0;
}

// Adds the rows of a block to the sums of their nearest centres.  Chunks: vectors of T in a row, 0 if not known here.
template <int Copies, int Chunks, class T>
struct RowAdder {
  static constexpr int w = Pack<T>::width, w2 = Pack<double>::width;
  using Doubles = Pack<double>::V;

  const Block<T>& block;
  const Centres<T>& centres;
  const Sums& sums;
  const T* label;
  const double* weight;  // of the first row of the block, or null
  Doubles inertia[Copies];

  PYESTIM_INLINE void add(int row, int copy) {
    const int64_t k = int64_t(label[row]), place = copy * int64_t(centres.n) + k;
    const double mass = weight == nullptr ? 1.0 : weight[row];
    sums.counts[place] += mass;
    const int chunks = Chunks > 0 ? Chunks : round_up(block.d, w) / w;
    const double* c = centres.exact + k * centres.wide;
    double* sum = sums.first + place * centres.wide;
    const T* z = block.groups + row * w;
    for (int g = 0; g < chunks; ++g, z += int64_t(Tile<T>::block) * w) {
      for (int h = 0; h < w; h += w2, c += w2, sum += w2) {
        const Doubles t = load_as<double>(z + h) - load(c), weighted = broadcast(mass) * t;
        store(sum, load(sum) + weighted);
        inertia[copy] += weighted * t;
      }
    }
  }

  void add_all() {
    for (int c = 0; c < Copies; ++c) inertia[c] = load(sums.inertia + c * w2);
    int row = 0;
    for (; row + Copies <= block.rows; row += Copies) {
#pragma GCC unroll 4
      for (int c = 0; c < Copies; ++c) add(row + c, c);
    }
    for (int c = 0; c < Copies - 1; ++c) {
      if (row + c < block.rows) add(row + c, c);
    }
    for (int c = 0; c < Copies; ++c) store(sums.inertia + c * w2, inertia[c]);
  }
};

template <int Copies, int Chunks, class T>
void add_rows_of(const Block<T>& block, const double* weight, const T* label, const Centres<T>& centres,
                 const Sums& sums) {
  RowAdder<Copies, Chunks, T> adder{block, centres, sums, label, weight, {}};
  adder.add_all();
}

template <class T>
void add_rows(const Block<T>& block, const double* weight, const T* label, const Centres<T>& centres,
              const Sums& sums) {
  if (sums.copies == 1) return add_rows_of<1, 0>(block, weight, label, centres, sums);
  switch (round_up(block.d, Pack<T>::width) / Pack<T>::width) {
    case 1:
      return add_rows_of<most_copies, 1>(block, weight, label, centres, sums);
    case 2:
      return add_rows_of<most_copies, 2>(block, weight, label, centres, sums);
    case 3:
      return add_rows_of<most_copies, 3>(block, weight, label, centres, sums);
    case 4:
      return add_rows_of<most_copies, 4>(block, weight, label, centres, sums);
    default:
      return add_rows_of<most_copies, 0>(block, weight, label, centres, sums);
  }
}

// stats: inertia, weight_sum, counts (K), first (K, d).
void fold(const KmeansJob& job, int wide, const Sums& sums, double* stats) {
  const int n_clusters = job.n_clusters, d = job.rows.d;
  double* counts = stats + 2;
  double* first = counts + n_clusters;
  for (int copy = 0; copy < sums.copies; ++copy) {
    stats[0] += reduce_add(load(sums.inertia + copy * Pack<double>::width));
    for (int k = 0; k < n_clusters; ++k) {
      const int64_t place = int64_t(copy) * n_clusters + k;
      counts[k] += sums.counts[place];
      for (int j = 0; j < d; ++j) first[int64_t(k) * d + j] += sums.first[place * wide + j];
    }
  }
  for (int k = 0; k < n_clusters; ++k) stats[1] += counts[k];
}

// Arithmetic in T for rows of In.
template <class In, class T>
struct Kmeans {
  struct Packed {
    Working<T> working;
    Centres<T> centres;  // of candidate 0
    int64_t stride;      // bytes from candidate to candidate
  };

  static Packed carve_packed(Arena& arena, const KmeansJob& job) {
    Packed p;
    p.working = carve_working<T>(arena, job.rows.d);
    const int64_t before = arena.used;
    p.centres = carve_centres<T>(arena, job.n_clusters, job.rows.d);
    p.stride = arena.used - before;
    arena.used += p.stride * (job.n_candidates - 1);
    return p;
  }

  static void prepare(const KmeansJob& job, Arena& arena) {
    const Packed p = carve_packed(arena, job);
    pack_working<T>(job.rows, p.working);
    for (int c = 0; c < job.n_candidates; ++c) {
      const double* centres = job.centres + int64_t(c) * job.n_clusters * job.rows.d;
      pack_centres<T>(centres, p.working.shift, moved(p.centres, c * p.stride));
    }
  }

  struct Scratch {
    Block<T> block;
    T* label;
    Sums sums;       // of candidate 0
    int64_t stride;  // bytes from candidate to candidate
  };

  static Scratch carve_scratch(Arena& arena, const KmeansJob& job) {
    Scratch s;
    carve_block<T>(arena, job.rows.d, true, s.block);
    s.label = arena.take<T>(Tile<T>::block);
    const int64_t before = arena.used;
    s.sums = carve_sums(arena, job, padded_features<T>(job.rows.d));
    s.stride = arena.used - before;
    arena.used += s.stride * (job.n_candidates - 1);
    return s;
  }

  static Sums sums_of(const Scratch& s, int candidate) {
    const int64_t step = candidate * s.stride / int64_t(sizeof(double));
    return {s.sums.copies, s.sums.counts + step, s.sums.first + step, s.sums.inertia + step};
  }

  // False: the rows are too large for arithmetic in T, nothing is written.
  static bool leaf(const KmeansJob& job, Arena packed, Arena scratch, int64_t begin, int64_t end, double* stats) {
    const Packed p = carve_packed(packed, job);
    Scratch s = carve_scratch(scratch, job);
    const int wide = p.centres.wide;
    for (int c = 0; c < job.n_candidates; ++c) clear_sums(job, wide, sums_of(s, c));
    for (int64_t first = begin; first < end; first += Tile<T>::small_block) {
      const int64_t left = end - first;
      const int count = left < Tile<T>::small_block ? int(left) : Tile<T>::small_block;
      look_ahead(job.rows, first + count, end, s.block);
      if (!load_block<In, T>(job.rows, p.working, first, count, 1.0, s.block)) return false;
      for (int c = 0; c < job.n_candidates; ++c) {
        const Centres<T> centres = moved(p.centres, c * p.stride);
        find_nearest<T>(s.block, centres, s.label);
        const double* weight = job.rows.weight == nullptr ? nullptr : job.rows.weight + first;
        add_rows<T>(s.block, weight, s.label, centres, sums_of(s, c));
      }
    }
    const int64_t stat_size = 2 + int64_t(job.n_clusters) * (1 + job.rows.d);
    for (int c = 0; c < job.n_candidates; ++c) fold(job, wide, sums_of(s, c), stats + c * stat_size);
    return true;
  }
};

using Narrow = Kmeans<float, float>;
using Widened = Kmeans<float, double>;  // also where float32 arithmetic gives up
using Wide = Kmeans<double, double>;

const KmeansJob& as_job(const void* job) { return *static_cast<const KmeansJob*>(job); }
bool narrow(const KmeansJob& job) { return job.rows.dtype == Dtype::float32 && !job.accurate; }

int64_t stat_size(const void* any_job) {
  const KmeansJob& job = as_job(any_job);
  return 2 + int64_t(job.n_clusters) * (1 + job.rows.d);
}

int64_t packed_bytes(const void* any_job) {
  const KmeansJob& job = as_job(any_job);
  Arena arena = arena_at(nullptr);
  Wide::carve_packed(arena, job);
  if (narrow(job)) Narrow::carve_packed(arena, job);
  return arena.used;
}

int64_t scratch_bytes(const void* any_job) {
  const KmeansJob& job = as_job(any_job);
  Arena wide = arena_at(nullptr), narrow = arena_at(nullptr);
  Wide::carve_scratch(wide, job);
  Narrow::carve_scratch(narrow, job);
  return wide.used > narrow.used ? wide.used : narrow.used;
}

double row_flops(const void* any_job) {
  const KmeansJob& job = as_job(any_job);
  return job.rows.d * (2.0 + job.n_candidates * (2.0 * job.n_clusters + 5.0));
}

// Packed parameters: float64 first, float32 behind where it is used.
Status prepare(const void* any_job, void* packed) {
  const KmeansJob& job = as_job(any_job);
  Arena arena = arena_at(packed);
  Wide::prepare(job, arena);
  if (narrow(job)) Narrow::prepare(job, arena);
  return Status::ok;
}

Status leaf(const void* any_job, const void* packed, int64_t begin, int64_t end, double* stats, void* scratch) {
  const KmeansJob& job = as_job(any_job);
  const Arena wide = arena_at(packed), work = arena_at(scratch);
  if (job.rows.dtype == Dtype::float64) {
    Wide::leaf(job, wide, work, begin, end, stats);
    return Status::ok;
  }
  if (narrow(job)) {
    Arena behind = wide;
    Wide::carve_packed(behind, job);
    if (Narrow::leaf(job, behind, work, begin, end, stats)) return Status::ok;
  }
  Widened::leaf(job, wide, work, begin, end, stats);
  return Status::ok;
}

}  // namespace

extern const SweepOp kmeans_op = {stat_size, packed_bytes, scratch_bytes, row_flops, prepare, leaf, nullptr};

}  // namespace pyestim::PYESTIM_ISA
