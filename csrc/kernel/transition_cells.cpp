// Transitions between more states than a table has room for: the cells that occur, sorted, with their counts. A cell is
// the number that the states of a window form in base n_states.
//
// Keys of windows are collected, sorted by their digits and counted. Where the first rows meet the same cells again and
// again, a small cache in front holds counters of the cells in use, and only what it lets go of is sorted.
#include <stdint.h>

#include "kernel/ops.hpp"

namespace pyestim::PYESTIM_ISA {
namespace {

#include "math/pack.hpp"
//
#include "kernel/codes.hpp"

constexpr int block_rows = 1024;
constexpr int cache_bits = 11;
constexpr int64_t sample_rows = 4096;
constexpr int digit_bits = 9, n_digits = 1 << digit_bits;

const TransitionCellsJob& job_of(const void* job) { return *static_cast<const TransitionCellsJob*>(job); }

uint64_t mixed(uint64_t key) { return (key * UINT64_C(0x9e3779b97f4a7c15)) >> (64 - cache_bits); }

// Number of the last cell.
uint64_t largest_key(const TransitionCellsJob& job) {
  uint64_t size = 1;
  for (int i = 0; i <= job.order; ++i) size *= uint64_t(job.n_states);
  return size - 1;
}

// ---- keys of the windows that count, block by block
// ------------------------------------------------------------------

// Rows [row, row + n): all states, and no border among them or the rows before; false if not so.
template <class In, class Key>
bool keys_of_whole(const In* __restrict x, const TransitionCellsJob& job, int n, Key* __restrict key) {
  const Key k = Key(job.n_states);
  uint64_t low = 0, high = 0;
  for (int i = -job.order; i < n; ++i) {
    const uint64_t state = uint64_t(int64_t(x[i]));
    low = uint32_t(state) > low ? uint32_t(state) : low;
    high |= state >> 32;
  }
  if (high != 0 || low >= uint64_t(job.n_states)) return false;
  for (int i = 0; i < n; ++i) key[i] = Key(x[i - job.order]);
  for (int lag = job.order - 1; lag >= 0; --lag)
    for (int i = 0; i < n; ++i) key[i] = key[i] * k + Key(x[i - lag]);
  return true;
}

// Any rows. Returns how many keys there are, or -1 - bad_row.
template <class In, class Key>
int64_t keys_of_any(const In* x, const TransitionCellsJob& job, int64_t row, int64_t end, int64_t next, Key* key) {
  int64_t found = 0, begin = row > job.order ? row - job.order : 0;
  if (next > 0 && job.offsets[next - 1] > begin) begin = job.offsets[next - 1];
  int present = 0;
  for (int64_t i = begin; i < end; ++i) {
    if (int64_t(x[i]) >= job.n_states) return -1 - i;
    for (; next < job.n_offsets && job.offsets[next] == i; ++next) present = 0;
    present = x[i] < 0 ? 0 : present + (present <= job.order);
    if (present <= job.order || i < row) continue;
    Key number = Key(x[i - job.order]);
    for (int lag = job.order - 1; lag >= 0; --lag) number = number * Key(job.n_states) + Key(x[i - lag]);
    key[found++] = number;
  }
  return found;
}

// Calls sink(keys, n) for the blocks of [begin, end); returns -1 or the first row whose code is no state.
template <class Key, class In, class Sink>
int64_t each_block(const In* x, const TransitionCellsJob& job, int64_t begin, int64_t end, Sink sink) {
  alignas(alignment) Key key[block_rows];
  int64_t next = job.offsets == nullptr ? 0 : offset_from(job.offsets, job.n_offsets, begin);
  for (int64_t row = begin, n; row < end; row += n) {
    n = end - row < block_rows ? end - row : block_rows;
    while (next < job.n_offsets && job.offsets[next] < row) ++next;
    const bool inside = next == 0 || row - job.offsets[next - 1] >= job.order;
    const bool whole = row >= job.order && inside && (next >= job.n_offsets || job.offsets[next] >= row + n);
    int64_t found = n;
    if (!whole || !keys_of_whole(x + row, job, int(n), key)) found = keys_of_any(x, job, row, row + n, next, key);
    if (found < 0) return -1 - found;
    sink(key, found);
  }
  return -1;
}

// ---- counters of the cells in use
// --------------------------------------------------------------------------------------

template <class Key>
struct Cache {
  Key* key;
  uint32_t* count;
};

// Lists of keys and counts; counts are null where every key counts one.
template <class Key>
struct List {
  Key* key;
  uint32_t* count;
  int64_t n;
};

template <class Key>
PYESTIM_INLINE void count_cached(const Cache<Key>& cache, const Key* key, int64_t n, List<Key>& out) {
  for (int64_t i = 0; i < n; ++i) {
    const uint64_t slot = mixed(key[i]);
    if (cache.key[slot] == key[i]) {
      ++cache.count[slot];
      continue;
    }
    out.key[out.n] = cache.key[slot];
    out.count[out.n] = cache.count[slot];
    out.n += cache.count[slot] != 0;
    cache.key[slot] = key[i];
    cache.count[slot] = 1;
  }
}

// Does the sample come back to its cells?
template <class In>
bool comes_back(const In* x, const TransitionCellsJob& job) {
  uint64_t seen[1 << cache_bits];
  for (uint64_t& key : seen) key = UINT64_MAX;
  int64_t hits = 0, keys = 0;
  const int64_t end = job.stop - job.start < sample_rows ? job.stop : job.start + sample_rows;
  each_block<uint64_t>(x, job, job.start, end, [&](const uint64_t* key, int64_t n) {
    for (int64_t i = 0; i < n; ++i) {
      hits += seen[mixed(key[i])] == key[i];
      seen[mixed(key[i])] = key[i];
    }
    keys += n;
  });
  return 2 * hits > keys;
}

// ---- sorting
// -------------------------------------------------------------------------------------------------------------

template <class Key>
void sort_by_digit(const List<Key>& from, List<Key>& to, int shift) {
  int64_t place[n_digits] = {}, total = 0;
  for (int64_t i = 0; i < from.n; ++i) ++place[(from.key[i] >> shift) & (n_digits - 1)];
  for (int64_t& p : place) {
    const int64_t count = p;
    p = total;
    total += count;
  }
  for (int64_t i = 0; i < from.n; ++i) {
    const int64_t p = place[(from.key[i] >> shift) & (n_digits - 1)]++;
    to.key[p] = from.key[i];
    if (from.count != nullptr) to.count[p] = from.count[i];
  }
  to.n = from.n;
}

template <class Key>
void sort_and_count(const TransitionCellsJob& job, List<Key> list, List<Key> spare) {
  const uint64_t largest = largest_key(job);
  for (int shift = 0; shift < int(8 * sizeof(Key)) && largest >> shift != 0; shift += digit_bits) {
    sort_by_digit(list, spare, shift);
    const List<Key> sorted = spare;
    spare = list;
    list = sorted;
  }
  int64_t cell = -1;
  for (int64_t i = 0; i < list.n; ++i) {
    const int64_t count = list.count == nullptr ? 1 : list.count[i];
    if (i > 0 && list.key[i] == list.key[i - 1]) {
      job.counts[cell] += count;
    } else {
      job.cells[++cell] = int64_t(list.key[i]);
      job.counts[cell] = count;
    }
  }
  job.result[0] = cell + 1;
}

// ---- the operation
// -------------------------------------------------------------------------------------------------------

template <class Key>
List<Key> carve_list(char*& at, int64_t capacity, bool counted) {
  List<Key> list{reinterpret_cast<Key*>(at), nullptr, 0};
  at += capacity * int64_t(sizeof(Key));
  if (counted) list.count = reinterpret_cast<uint32_t*>(at);
  if (counted) at += capacity * int64_t(sizeof(uint32_t));
  return list;
}

// Room for the keys of the rows, and for the vectors that end behind them.
int64_t capacity_of(const TransitionCellsJob& job) {
  return (job.stop - job.start + (1 << cache_bits) + alignment) / alignment * alignment;
}

// For lists with counts, whether they will be needed or not: the rows may be in memory that others write, and a second
// look at them might tell something else.
int64_t scratch_bytes(const void* job) {
  const int64_t key = largest_key(job_of(job)) >> 32 == 0 ? 4 : 8;
  return 2 * capacity_of(job_of(job)) * (key + 4);
}

double item_flops(const void* job) { return 64.0 * double(job_of(job).stop - job_of(job).start); }

template <class Key, class In>
void count_cells(const In* x, const TransitionCellsJob& job, void* scratch) {
  const bool counted = comes_back(x, job);
  char* at = static_cast<char*>(scratch);
  List<Key> list = carve_list<Key>(at, capacity_of(job), counted);
  const List<Key> spare = carve_list<Key>(at, capacity_of(job), counted);
  Key cached[1 << cache_bits];
  uint32_t count[1 << cache_bits] = {};
  for (Key& key : cached) key = 0;
  const Cache<Key> cache{cached, count};
  job.result[1] = each_block<Key>(x, job, job.start, job.stop, [&](const Key* key, int64_t n) {
    if (counted) return count_cached(cache, key, n, list);
    __builtin_memcpy(list.key + list.n, key, size_t(n) * sizeof(Key));
    list.n += n;
  });
  for (int slot = 0; counted && slot < 1 << cache_bits; ++slot) {
    if (count[slot] == 0) continue;
    list.key[list.n] = cached[slot];
    list.count[list.n++] = count[slot];
  }
  if (job.result[1] < 0) sort_and_count(job, list, spare);
}

Status item(const void* job, int64_t, void* scratch) {
  const TransitionCellsJob& j = job_of(job);
  with_codes(j.codes, [&](const auto* x) {
    if (largest_key(j) >> 32 == 0)
      count_cells<uint32_t>(x, j, scratch);
    else
      count_cells<uint64_t>(x, j, scratch);
    return 0;
  });
  return Status::ok;
}

// ---- merging
// -------------------------------------------------------------------------------------------------------------

int64_t no_bytes(const void*) { return 0; }

double merge_flops(const void*) { return 1; }

Status merge(const void* job, int64_t, void*) {
  const MergeCellsJob& j = *static_cast<const MergeCellsJob*>(job);
  int64_t a = 0, b = 0, n = 0;
  while (a < j.n_a && b < j.n_b) {
    const int64_t left = j.cells_a[a], right = j.cells_b[b];
    j.cells[n] = left < right ? left : right;
    j.counts[n++] = (left <= right ? j.counts_a[a] : 0) + (right <= left ? j.counts_b[b] : 0);
    a += left <= right;
    b += right <= left;
  }
  for (; a < j.n_a; ++a, ++n) j.cells[n] = j.cells_a[a], j.counts[n] = j.counts_a[a];
  for (; b < j.n_b; ++b, ++n) j.cells[n] = j.cells_b[b], j.counts[n] = j.counts_b[b];
  *j.n_cells = n;
  return Status::ok;
}

}  // namespace

extern const ItemOp transition_cells_op = {scratch_bytes, item_flops, item};
extern const ItemOp merge_cells_op = {no_bytes, merge_flops, merge};

}  // namespace pyestim::PYESTIM_ISA
