// Simulates Markov chains. The draw of step t of sequence s is a pure function of (seed, s, t), so threads and the
// split of the sequences change nothing.
//
// A step waits for one load, the place that its draw picks in the row of its state. The random bits of later steps do
// not depend on it, and the processor computes them meanwhile: hence one loop, and no branch on the outcome of a draw,
// which it would guess wrong.
#include <stdint.h>

#include "kernel/ops.hpp"

namespace pyestim::PYESTIM_ISA {
namespace {

#include "math/pack.hpp"
//
#include "math/philox.hpp"

const ChainWalkJob& as_job(const void* job) { return *static_cast<const ChainWalkJob*>(job); }

struct Key {
  uint64_t seed, sequence;

  // Block b holds the bits of steps 2 b and 2 b + 1. Stream 1: further bits for the same steps.
  PhiloxWords block(uint64_t b, uint32_t stream) const {
    const uint32_t high = uint32_t(sequence >> 32) | stream << 31;
    return philox({{uint32_t(b), uint32_t(b >> 32), uint32_t(sequence), high}}, uint32_t(seed), uint32_t(seed >> 32));
  }
};

// 64 bits times n: the place in [0, n), and where in it, as a fraction of 2^64.
struct Draw {
  uint64_t place, fraction;
};

PYESTIM_INLINE Draw draw_of(const PhiloxWords& words, int step, uint32_t n) {
  const int w = 2 * (step & 1);
  const uint64_t low = uint64_t(words.word[w]) * n, high = uint64_t(words.word[w + 1]) * n + (low >> 32);
  return {high >> 32, high << 32 | uint32_t(low)};
}

// All bits set where a < b < 2^63, without a branch.
PYESTIM_INLINE uint64_t below(uint64_t a, uint64_t b) { return uint64_t(int64_t(a - b) >> 63); }

PYESTIM_INLINE int32_t choose(uint64_t mask, uint32_t own, uint32_t alias) {
  return int32_t(alias ^ ((alias ^ own) & uint32_t(mask)));
}

struct DenseRows {
  const AliasTables& t;

  PYESTIM_INLINE int32_t symbol(int64_t row, const PhiloxWords& words, const Key&, int64_t step) const {
    const Draw draw = draw_of(words, int(step), uint32_t(t.n_states));
    const int64_t at = row * t.n_states + int64_t(draw.place);
    const uint32_t place = t.hot[at];
    uint64_t own = below(draw.fraction >> 48, place >> 16);
    if (draw.fraction >> 48 == place >> 16) [[unlikely]]
      own = draw.fraction < t.threshold[at] ? ~uint64_t(0) : 0;
    return choose(own, uint32_t(draw.place), place & 0xffff);
  }
};

struct SparseRows {
  const AliasTables& t;

  PYESTIM_INLINE int32_t symbol(int64_t row, const PhiloxWords& words, const Key& key, int64_t step) const {
    const int64_t begin = t.indptr[row], stored = t.indptr[row + 1] - begin;
    const Draw draw = draw_of(words, int(step), uint32_t(stored + 1));
    const uint64_t* place = t.places + 2 * (begin + row + int64_t(draw.place));
    const uint64_t own = below(draw.fraction >> 1, place[1] >> 1);
    const int32_t symbol = choose(own, uint32_t(place[0]), uint32_t(place[0] >> 32));
    return symbol >= 0 ? symbol : unstored(t.indices + begin, stored, key, step);
  }

  // One of the symbols that are not among the stored ones, evenly.
  int32_t unstored(const int32_t* indices, int64_t stored, const Key& key, int64_t step) const {
    const PhiloxWords words = key.block(uint64_t(step) / 2, 1);
    const int64_t rank = int64_t(draw_of(words, int(step), uint32_t(t.n_states - stored)).place);
    int64_t low = 0, high = stored;  // stored symbols below the one of this rank
    while (low < high) {
      const int64_t middle = (low + high) / 2;
      if (indices[middle] - middle <= rank)
        low = middle + 1;
      else
        high = middle;
    }
    return int32_t(rank + low);
  }
};

// Row i is symbol i.
struct OwnSymbols {
  PYESTIM_INLINE int64_t next(int64_t, int32_t symbol, const int32_t*) const { return symbol; }
  static int64_t row_of(const int32_t* symbols) { return *symbols; }
};

// Row -1: a context that has none.
struct ListedContexts {
  const ChainWalkJob& job;

  // Where `symbol` would be among the last symbols of rows [first, first + n), or -1.
  int64_t find(int64_t first, int64_t n, int column, int32_t symbol) const {
    int64_t low = first, high = first + n;
    while (low < high) {
      const int64_t middle = (low + high) / 2;
      if (job.contexts[middle * job.order + column] < symbol)
        low = middle + 1;
      else
        high = middle;
    }
    return low < first + n && job.contexts[low * job.order + column] == symbol ? low : -1;
  }

  // `last` is where `symbol` has been written.
  PYESTIM_INLINE int64_t next(int64_t row, int32_t symbol, const int32_t* last) const {
    if (row < 0) return row_of(last - (job.order - 1));
    const int64_t first = job.successor[2 * row], n = job.successor[2 * row + 1];
    return n == job.tables.n_states ? first + symbol : find(first, n, job.order - 1, symbol);
  }

  int64_t row_of(const int32_t* symbols) const {
    int64_t low = 0, high = job.tables.n_rows;
    while (low < high) {
      const int64_t middle = (low + high) / 2;
      const int order = compare(job.contexts + middle * job.order, symbols);
      if (order == 0) return middle;
      if (order < 0)
        low = middle + 1;
      else
        high = middle;
    }
    return -1;
  }

  int compare(const int32_t* a, const int32_t* b) const {
    int i = 0;
    while (i < job.order - 1 && a[i] == b[i]) ++i;
    return a[i] < b[i] ? -1 : a[i] > b[i];
  }
};

template <class Rows, class Contexts>
void walk(const ChainWalkJob& job, const Rows& rows, const Contexts& contexts, const Key& key, int64_t n,
          int32_t* out) {
  int64_t row = contexts.row_of(out);
  for (int64_t block = job.order / 2; 2 * block < n; ++block) {
    const PhiloxWords words = key.block(uint64_t(block), 0);
    for (int64_t step = 2 * block; step < 2 * block + 2; ++step) {
      if (step < job.order || step >= n) continue;
      out[step] = row >= 0 ? rows.symbol(row, words, key, step)
                           : int32_t(draw_of(words, int(step), uint32_t(job.tables.n_states)).place);
      row = contexts.next(row, out[step], out + step);
    }
  }
}

// The row where the cumulated probability passes a uniform draw.
int64_t start_row(const ChainWalkJob& job, const Key& key) {
  const PhiloxWords words = key.block(0, 0);
  const int64_t n = job.tables.n_rows;
  const double target = uniform_of(words.word[0], words.word[1]) * job.start[n - 1];
  int64_t low = 0, high = n - 1;
  while (low < high) {
    const int64_t middle = (low + high) / 2;
    if (job.start[middle] > target)
      high = middle;
    else
      low = middle + 1;
  }
  return low;
}

// The first symbols, as many as the order.
void begin(const ChainWalkJob& job, const Key& key, int64_t sequence, int64_t n, int32_t* out) {
  const int64_t row = job.start == nullptr ? sequence : start_row(job, key);
  const int32_t* symbols = job.start == nullptr ? job.initial : job.contexts;
  for (int64_t i = 0; i < job.order && i < n; ++i) {
    out[i] = symbols == nullptr ? int32_t(row) : symbols[row * job.order + i];
  }
}

int64_t scratch_bytes(const void*) { return 0; }

double item_flops(const void* any_job) {
  constexpr double per_step = 160;
  const ChainWalkJob& job = as_job(any_job);
  return per_step * double(job.offsets[job.n_sequences]) / double(job.n_sequences);
}

template <class Rows>
void walk_contexts(const ChainWalkJob& job, const Rows& rows, const Key& key, int64_t n, int32_t* out) {
  if (job.contexts == nullptr)
    walk(job, rows, OwnSymbols{}, key, n, out);
  else
    walk(job, rows, ListedContexts{job}, key, n, out);
}

Status item(const void* any_job, int64_t sequence, void*) {
  const ChainWalkJob& job = as_job(any_job);
  const Key key{job.seed, uint64_t(job.first_sequence + sequence)};
  const int64_t n = job.offsets[sequence + 1] - job.offsets[sequence];
  int32_t* out = job.out + job.offsets[sequence];
  begin(job, key, sequence, n, out);
  if (n <= job.order) return Status::ok;
  if (job.tables.indptr == nullptr)
    walk_contexts(job, DenseRows{job.tables}, key, n, out);
  else
    walk_contexts(job, SparseRows{job.tables}, key, n, out);
  return Status::ok;
}

}  // namespace

extern const ItemOp chain_walk_op = {scratch_bytes, item_flops, item};

}  // namespace pyestim::PYESTIM_ISA
