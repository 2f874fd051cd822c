// Greedy k-means++ (Arthur & Vassilvitskii 2007, section 3; the greedy variant of their code): each further centre is
// the best of several rows drawn with probability proportional to weight times squared distance from the nearest
// centre. One item per candidate. All draws of a centre are tried in one pass over the rows.
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

using S = Tile<double>;
using V = Pack<double>::V;
constexpr int block_rows = S::small_block;
constexpr double infinity = __builtin_huge_val();

const KmeansPlusPlusJob& as_job(const void* job) { return *static_cast<const KmeansPlusPlusJob*>(job); }

int64_t blocks_of(const KmeansPlusPlusJob& job) { return (job.m + block_rows - 1) / block_rows; }

struct Search {
  const KmeansPlusPlusJob& job;
  RowsView rows;
  Working<double> working;  // z as it is
  Block<double> block;
  Centres<double> trials;
  double* closest;    // (blocks, block_rows) squared distance from the nearest centre so far
  double* mass;       // (blocks,) weight times closest, summed
  double* potential;  // (trials padded, width) what the mass would become
  int64_t* drawn;     // (trials,)
  int64_t* chosen;    // (K,)

  double weight(int64_t row) const { return job.weight == nullptr ? 1.0 : job.weight[row]; }

  void load_rows(int64_t b) {
    const int64_t first = b * block_rows, left = job.m - first;
    load_block<double, double>(rows, working, first, left < block_rows ? int(left) : block_rows, 1.0, block);
  }

  const double* panel(int row) const { return block.panels + int64_t(row / S::panel) * block.d * S::panel; }

  void set_trial(int trial, int64_t row) {
    for (int j = 0; j < trials.wide; ++j) {
      trials.exact[int64_t(trial) * trials.wide + j] = j < job.d ? job.z[row * job.d + j] : 0.0;
    }
  }

  void try_block(const double* near) {
    for (int row = 0; row < block.padded; row += S::panel) {
      for (int t = 0; t < trials.n; t += centred_tile) {
        const double* tile = trials.tiles + int64_t(t) * job.d;
        V distance[centred_tile][S::vectors];
        tile_distances<false>(panel(row), tile, trials.start + t, job.d, distance);
        for (int f = 0; f < centred_tile; ++f) {
          double* place = potential + (t + f) * S::width;
          V sum = load(place);
          for (int r = 0; r < S::vectors; ++r) {
            const int i = row + r * S::width;
            sum += load(block.weight + i) * min(distance[f][r], load(near + i));
          }
          store(place, sum);
        }
      }
    }
  }

  // The trial that leaves the least mass; ties go to the first.
  int best_trial() {
    fill_tiles(trials);
    for (int i = 0; i < (trials.n + most_padding) * S::width; ++i) potential[i] = 0;
    for (int64_t b = 0; b < blocks_of(job); ++b) {
      load_rows(b);
      try_block(closest + b * block_rows);
    }
    int best = 0;
    double least = infinity;
    for (int t = 0; t < trials.n; ++t) {
      const double left = reduce_add(load(potential + t * S::width));
      if (left < least) {
        least = left;
        best = t;
      }
    }
    return best;
  }

  // Row `row` becomes a centre.
  void add_centre(int k, int64_t row) {
    chosen[k] = row;
    if (k + 1 == job.n_clusters) return;
    set_trial(0, row);
    fill_tiles(trials);
    for (int64_t b = 0; b < blocks_of(job); ++b) {
      load_rows(b);
      double* near = closest + b * block_rows;
      V sum = broadcast(0.0);
      for (int i = 0; i < block.padded; i += S::panel) {
        V distance[1][S::vectors];
        tile_distances<false>(panel(i), trials.tiles, trials.start, job.d, distance);
        for (int r = 0; r < S::vectors; ++r) {
          const int place = i + r * S::width;
          const V nearest = min(distance[0][r], load(near + place));
          store(near + place, nearest);
          sum += load(block.weight + place) * nearest;
        }
      }
      mass[b] = reduce_add(sum);
    }
  }

  double total_mass() const {
    double total = 0;
    for (int64_t b = 0; b < blocks_of(job); ++b) total += mass[b];
    return total;
  }

  // The row where the cumulated mass passes `target`; rounding may push it behind the last row with mass.
  int64_t row_at(double target) const {
    int64_t b = 0, last = 0;
    for (double sum = 0; b < blocks_of(job); sum += mass[b], ++b) {
      if (mass[b] > 0) last = b;
      if (sum + mass[b] > target) {
        target -= sum;
        break;
      }
    }
    const bool passed = b == blocks_of(job);
    if (passed) b = last;
    const int64_t first = b * block_rows, end = first + block_rows < job.m ? first + block_rows : job.m;
    double sum = 0;
    int64_t found = first;
    for (int64_t row = first; row < end; ++row) {
      const double own = weight(row) * closest[row];
      if (!(own > 0)) continue;
      found = row;
      sum += own;
      if (!passed && sum > target) break;
    }
    return found;
  }

  // A row drawn by weight alone: all distances count as one.
  int64_t first_row(double uniform) {
    for (int64_t b = 0; b < blocks_of(job); ++b) {
      mass[b] = 0;
      for (int i = 0; i < block_rows; ++i) {
        const int64_t row = b * block_rows + i;
        closest[row] = 1;
        if (row < job.m) mass[b] += weight(row);
      }
    }
    const int64_t row = row_at(uniform * total_mass());
    for (int64_t i = 0; i < blocks_of(job) * block_rows; ++i) closest[i] = infinity;
    return row;
  }

  bool is_chosen(int k, int64_t row) const {
    for (int i = 0; i < k; ++i) {
      if (chosen[i] == row) return true;
    }
    return false;
  }

  // Fewer distinct rows than clusters: the first row that is no centre yet, one of positive weight if there is any.
  int64_t unused_row(int k) const {
    for (int64_t row = 0; row < job.m; ++row) {
      if (weight(row) > 0 && !is_chosen(k, row)) return row;
    }
    for (int64_t row = 0; row < job.m; ++row) {
      if (!is_chosen(k, row)) return row;
    }
    return 0;  // more clusters than rows
  }

  void run(const double* uniforms) {
    add_centre(0, first_row(uniforms[0]));
    for (int k = 1; k < job.n_clusters; ++k) {
      const double total = total_mass();
      if (!(total > 0)) {
        chosen[k] = unused_row(k);
        continue;
      }
      for (int t = 0; t < job.n_trials; ++t) {
        drawn[t] = row_at(uniforms[int64_t(k) * job.n_trials + t] * total);
        set_trial(t, drawn[t]);
      }
      add_centre(k, drawn[job.n_trials > 1 ? best_trial() : 0]);
    }
  }
};

Search carve_search(Arena& arena, const KmeansPlusPlusJob& job) {
  const int64_t row_bytes = job.d * int64_t(sizeof(double));
  Search s{job, {}, carve_working<double>(arena, job.d), {}, {}, nullptr, nullptr, nullptr, nullptr, nullptr};
  s.rows = {job.z, row_bytes, sizeof(double), job.m, job.d, Dtype::float64, job.weight, nullptr, nullptr};
  carve_block(arena, job.d, false, s.block);
  s.trials = carve_centres<double>(arena, job.n_trials, job.d);
  s.closest = arena.take<double>(blocks_of(job) * block_rows);
  s.mass = arena.take<double>(blocks_of(job));
  s.drawn = arena.take<int64_t>(job.n_trials);
  s.potential = arena.take<double>((job.n_trials + most_padding) * S::width);
  return s;
}

int64_t scratch_bytes(const void* any_job) {
  Arena arena = arena_at(nullptr);
  carve_search(arena, as_job(any_job));
  return arena.used;
}

double item_flops(const void* any_job) {
  const KmeansPlusPlusJob& job = as_job(any_job);
  return 3.0 * double(job.m) * job.d * job.n_clusters * (job.n_trials + 1.0);
}

Status item(const void* any_job, int64_t candidate, void* scratch) {
  const KmeansPlusPlusJob& job = as_job(any_job);
  Arena arena = arena_at(scratch);
  Search s = carve_search(arena, job);
  for (int j = 0; j < padded_features<double>(job.d); ++j) {
    s.working.scale[j] = 1;
    s.working.origin[j] = 0;
  }
  *s.trials.expand = false;
  s.chosen = job.out_index + candidate * job.n_clusters;
  s.run(job.uniforms + candidate * job.n_clusters * job.n_trials);
  return Status::ok;
}

}  // namespace

extern const ItemOp kmeans_plusplus_op = {scratch_bytes, item_flops, item};

}  // namespace pyestim::PYESTIM_ISA
