// Weight, sums, sums of squares, minima and maxima of the columns, in working coordinates and float64.
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

using V = Pack<double>::V;
constexpr int w = Pack<double>::width;
constexpr double infinity = __builtin_huge_val();

// Windows of the statistics: weight_sum (), sum (d,), square (d,), least (d,), most (d,).
struct Moments {
  double* weight_sum;
  double* sum;
  double* square;
  double* least;
  double* most;
};

Moments windows(double* stats, int d) {
  return {stats, stats + 1, stats + 1 + d, stats + 1 + 2 * int64_t(d), stats + 1 + 3 * int64_t(d)};
}

const RowsView& rows_of(const void* job) { return static_cast<const MomentsJob*>(job)->rows; }

int64_t stat_size(const void* job) { return 1 + 4 * int64_t(rows_of(job).d); }

int64_t packed_bytes(const void* job) {
  Arena arena = arena_at(nullptr);
  carve_working<double>(arena, rows_of(job).d);
  return arena.used;
}

int64_t scratch_bytes(const void* job) {
  Arena arena = arena_at(nullptr);
  Block<double> block;
  carve_block(arena, rows_of(job).d, false, block);
  return arena.used;
}

double row_flops(const void* job) { return 8.0 * rows_of(job).d; }

Status prepare(const void* job, void* packed) {
  Arena arena = arena_at(packed);
  pack_working<double>(rows_of(job), carve_working<double>(arena, rows_of(job).d));
  return Status::ok;
}

// Adds column j of the block.
void add_column(const Block<double>& block, int j, const Moments& m) {
  constexpr int panel = Tile<double>::panel;
  V sum = broadcast(0.0), square = sum, least = broadcast(infinity), most = -least;
  for (int row = 0; row < block.padded; row += w) {
    const V z = load(block.panels + (int64_t(row / panel) * block.d + j) * panel + row % panel);
    const V weight = load(block.weight + row), weighted = weight * z;
    sum += weighted;
    square += weighted * z;
    const auto counts = weight > broadcast(0.0);
    least = min(select(counts, z, broadcast(infinity)), least);
    most = max(select(counts, z, broadcast(-infinity)), most);
  }
  m.sum[j] += reduce_add(sum);
  m.square[j] += reduce_add(square);
  const double lowest = reduce_min(least), highest = reduce_max(most);
  if (lowest < m.least[j]) m.least[j] = lowest;
  if (highest > m.most[j]) m.most[j] = highest;
}

template <class In>
void leaf_of(const RowsView& rows, const Working<double>& working, int64_t begin, int64_t end, Block<double>& block,
             const Moments& m) {
  for (int64_t first = begin; first < end; first += Tile<double>::small_block) {
    const int64_t left = end - first;
    const int count = left < Tile<double>::small_block ? int(left) : Tile<double>::small_block;
    load_block<In, double>(rows, working, first, count, 1.0, block);
    *m.weight_sum += block.weight_sum;
    for (int j = 0; j < rows.d; ++j) add_column(block, j, m);
  }
}

Status leaf(const void* job, const void* packed, int64_t begin, int64_t end, double* stats, void* scratch) {
  const RowsView& rows = rows_of(job);
  Arena parameters = arena_at(packed), work = arena_at(scratch);
  const Working<double> working = carve_working<double>(parameters, rows.d);
  Block<double> block;
  carve_block(work, rows.d, false, block);
  const Moments m = windows(stats, rows.d);
  for (int j = 0; j < rows.d; ++j) {
    m.least[j] = infinity;
    m.most[j] = -infinity;
  }
  if (rows.dtype == Dtype::float32) {
    leaf_of<float>(rows, working, begin, end, block, m);
  } else {
    leaf_of<double>(rows, working, begin, end, block, m);
  }
  return Status::ok;
}

void merge(const void* job, double* into, const double* from) {
  const int64_t d = rows_of(job).d;
  for (int64_t i = 0; i < 1 + 2 * d; ++i) into[i] += from[i];
  for (int64_t i = 1 + 2 * d; i < 1 + 3 * d; ++i) into[i] = from[i] < into[i] ? from[i] : into[i];
  for (int64_t i = 1 + 3 * d; i < 1 + 4 * d; ++i) into[i] = from[i] > into[i] ? from[i] : into[i];
}

}  // namespace

extern const SweepOp moments_op = {stat_size, packed_bytes, scratch_bytes, row_flops, prepare, leaf, merge};

}  // namespace pyestim::PYESTIM_ISA
