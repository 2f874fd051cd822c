// Counts of transitions, exact: windows are counted straight through the borders of sequences, and those that cross a
// border are taken back at the end.
#include <stdint.h>

#include "kernel/ops.hpp"

namespace pyestim::PYESTIM_ISA {
namespace {

#include "math/pack.hpp"
//
#include "kernel/codes.hpp"
//
#include "kernel/transition_index.hpp"
//
#include "kernel/transition_tally.hpp"

const TransitionJob& job_of(const void* job) { return *static_cast<const TransitionJob*>(job); }

int64_t power(int64_t base, int exponent) {
  int64_t result = 1;
  for (; exponent > 0; --exponent) result *= base;
  return result;
}

int64_t n_cells(const void* job) { return power(job_of(job).n_states, job_of(job).order + 1); }

// Keys that stand for several transitions have tables of their own, and are few enough for the cache.
bool has_own_table(const TransitionJob& job) { return job.plan.width > job.order + 1; }

int64_t n_keys(const TransitionJob& job) { return power(job.n_states, job.plan.width); }

int n_tables(const TransitionJob& job) { return job.plan.order == TallyOrder::streams_by_four ? 4 : 1; }

// What a thread owns: tables of the keys, and counts of what is not counted by keys.
struct Lane {
  int64_t* rows;  // counted since the table was emptied
  uint32_t* keys;
  uint32_t* cells;  // the first table where a key is a transition
};

Lane lane_at(const TransitionJob& job, void* table) {
  uint32_t* keys = static_cast<uint32_t*>(table) + alignment / sizeof(uint32_t);
  return {static_cast<int64_t*>(table), keys, has_own_table(job) ? keys + n_tables(job) * n_keys(job) : keys};
}

int64_t table_words(const TransitionJob& job) {
  return n_tables(job) * n_keys(job) + (has_own_table(job) ? n_cells(&job) : 0);
}

int64_t table_bytes(const void* job) {
  if (job_of(job).plan.direct) return 0;
  return alignment + table_words(job_of(job)) * int64_t(sizeof(uint32_t));
}

void begin_table(const void* job, void* table) {
  if (job_of(job).plan.direct) return;
  const Lane lane = lane_at(job_of(job), table);
  *lane.rows = 0;
  __builtin_memset(lane.keys, 0, size_t(table_words(job_of(job))) * sizeof(uint32_t));
}

double row_flops(const void*) { return 16; }

// ---- the choice of a path ------------------------------------------------------------------------------------------

// A table pays when emptying and adding it costs less than it saves.
constexpr int64_t rows_per_cell = 4;
constexpr int64_t most_states_of_5 = 6, most_states_of_3 = 24;
constexpr int64_t sample_rows = 4096;
// Shares of transitions that repeat the one before.
constexpr double some_repeat = 0.05, many_repeat = 0.2, most_repeat = 0.95;

template <class In>
double share_of_repeats(const In* x, int64_t begin, int64_t end) {
  int64_t repeats = 0, pairs = 0;
  for (int64_t row = begin + 2; row < end && row < begin + sample_rows; ++row, ++pairs)
    repeats += x[row] == x[row - 1] && x[row - 1] == x[row - 2];
  return pairs > 0 ? double(repeats) / double(pairs) : 0.0;
}

void plan(void* job, int64_t begin, int64_t end) {
  TransitionJob& j = *static_cast<TransitionJob*>(job);
  const int64_t k = j.n_states, worth = (end - begin) / rows_per_cell;
  j.plan.direct = worth < n_cells(job) || n_cells(job) > INT64_C(1) << 31;
  j.plan.width = j.order + 1;
  if (j.order == 1 && k <= most_states_of_3 && worth >= k * k * k) j.plan.width = 3;
  if (j.order == 1 && k <= most_states_of_5 && worth >= 4 * power(k, 5)) j.plan.width = 5;
  const double repeats = with_codes(j.codes, [&](const auto* x) { return share_of_repeats(x, begin, end); });
  j.plan.order = TallyOrder::in_order;
  if (repeats >= some_repeat && !has_own_table(j)) j.plan.order = TallyOrder::streams;
  if (repeats >= many_repeat && has_own_table(j)) j.plan.order = TallyOrder::streams_by_four;
  if (repeats >= most_repeat) j.plan.order = TallyOrder::runs;
}

// ---- counting
// --------------------------------------------------------------------------------------------------------

// Pairs into rows [begin, end), one by one.
template <class In, class Count>
int64_t count_pairs(const In* x, int64_t k, int64_t begin, int64_t end, Count* cells) {
  int64_t source = begin > 0 ? int64_t(x[begin - 1]) : -1;
  if (source >= k) return begin - 1;
  for (int64_t row = begin; row < end; ++row) {
    const int64_t target = int64_t(x[row]);
    if (target >= k) return row;
    if ((source | target) >= 0) ++cells[source * k + target];
    source = target;
  }
  return -1;
}

// Any rows, one by one: the definition. Windows into rows [begin, end), without regard to sequences.
template <class In, class Count>
int64_t count_plainly(const In* x, const TransitionJob& job, int64_t begin, int64_t end, Count* cells) {
  if (job.order == 1) return count_pairs(x, job.n_states, begin, end, cells);
  const int64_t k = job.n_states, sources = power(k, job.order);
  int64_t key = 0;
  int present = 0;  // states in a row up to here, at most order + 1
  for (int64_t row = begin > job.order ? begin - job.order : 0; row < end; ++row) {
    const int64_t state = int64_t(x[row]);
    if (state >= k) return row;
    key = key % sources * k + state;
    present = state < 0 ? 0 : present + (present <= job.order);
    if (state < 0) key = 0;
    if (present > job.order && row >= begin) ++cells[key];
  }
  return -1;
}

// A whole block by keys. False: some row needs a closer look, and nothing was counted.
template <class In>
bool count_keys(const In* x, const TransitionJob& job, int64_t row, const Lane& lane) {
  alignas(alignment) uint32_t key[block_rows];
  alignas(alignment) uint8_t buffer[block_rows + 2 * alignment];
  const uint32_t k = uint32_t(job.n_states);
  if (!has_own_table(job)) {
    if (!window_keys(x + row, job.plan.width, k, n_keys(job), key)) return false;
    tally<block_rows>(job.plan.order, key, lane.keys, n_keys(job));
    return true;
  }
  if (!as_bytes(x + row, k, buffer)) return false;
  if (job.plan.width == 3) {
    keys_of_3(buffer, k, key);
    tally<block_rows / 2>(job.plan.order, key, lane.keys, n_keys(job));
  } else {
    keys_of_5(buffer, k, key);
    tally<block_rows / 4>(job.plan.order, key, lane.keys, n_keys(job));
  }
  return true;
}

template <class In>
int64_t count_rows(const In* x, const TransitionJob& job, int64_t begin, int64_t end, const Lane& lane) {
  int64_t row = begin;
  while (row < end) {
    const int64_t left = end - row;
    const bool whole = left >= block_rows && row >= job.order;
    if (whole && count_keys(x, job, row, lane)) {
      row += block_rows;
      continue;
    }
    // The first rows have nothing before them.
    const int64_t few = row < job.order ? job.order - row : block_rows, n = left < few ? left : few;
    const int64_t bad_row = count_plainly(x, job, row, row + n, lane.cells);
    if (bad_row >= 0) return bad_row;
    row += n;
  }
  return -1;
}

// ---- from the tables to the result ---------------------------------------------------------------------------------

#if defined(__GNUC__)
void add_shared(int64_t* cell, int64_t count) { __atomic_fetch_add(cell, count, __ATOMIC_RELAXED); }
#else
extern "C" long long _InterlockedExchangeAdd64(long long volatile*, long long);
void add_shared(int64_t* cell, int64_t count) { _InterlockedExchangeAdd64(cell, count); }
#endif

// Counts of keys become counts of pairs: the last pair of each, and the rest, which is a key of one state less.
void split_keys(const TransitionJob& job, const Lane& lane) {
  const int64_t k = job.n_states;
  int64_t size = n_keys(job);
  for (int table = 1; table < n_tables(job); ++table)
    for (int64_t i = 0; i < size; ++i) lane.keys[i] += lane.keys[table * size + i];
  for (int width = job.plan.width; width >= 2; --width, size /= k) {
    for (int64_t i = 0; i < size; i += k * k)
      for (int64_t j = 0; j < k * k; ++j) lane.cells[j] += lane.keys[i + j];
    for (int64_t i = 0; width > 2 && i < size / k; ++i) {
      uint32_t sum = 0;
      for (int64_t j = 0; j < k; ++j) sum += lane.keys[i * k + j];
      lane.keys[i] = sum;
    }
  }
}

void flush(const void* job, void* table, int64_t begin, int64_t end) {
  const TransitionJob& j = job_of(job);
  const Lane lane = lane_at(j, table);
  if (has_own_table(j)) split_keys(j, lane);  // so few cells are one range
  // A large result is mostly untouched memory; adding nothing to it would make it real.
  constexpr int64_t run = 16;
  for (int64_t i = begin; i < end; i += run) {
    const int64_t stop = end - i < run ? end : i + run;
    uint32_t any_count = 0;
    for (int64_t cell = i; cell < stop; ++cell) any_count |= lane.cells[cell];
    if (any_count == 0) continue;
    for (int64_t cell = i; cell < stop; ++cell) j.counts[cell] += lane.cells[cell];
  }
}

// While others count.
void flush_early(const TransitionJob& job, void* table) {
  const Lane lane = lane_at(job, table);
  if (has_own_table(job)) split_keys(job, lane);
  for (int64_t i = 0, n = n_cells(&job); i < n; ++i)
    if (lane.cells[i] != 0) add_shared(job.counts + i, lane.cells[i]);
  begin_table(&job, table);
}

int64_t stretch(const void* job, void* table, int64_t begin, int64_t end) {
  const TransitionJob& j = job_of(job);
  if (j.plan.direct)
    return with_codes(j.codes, [&](const auto* x) { return count_plainly(x, j, begin, end, j.counts); });
  const Lane lane = lane_at(j, table);
  if (*lane.rows + (end - begin) > j.flush_after) flush_early(j, table);
  *lane.rows += end - begin;
  return with_codes(j.codes, [&](const auto* x) { return count_rows(x, j, begin, end, lane); });
}

// Takes back the window into `row`.
template <class In>
void take_back(const In* x, const TransitionJob& job, int64_t row) {
  int64_t key = 0;
  if (row < job.order) return;
  for (int64_t i = row - job.order; i <= row; ++i) {
    const int64_t state = int64_t(x[i]);
    if (state < 0 || state >= job.n_states) return;
    key = key * job.n_states + state;
  }
  --job.counts[key];
}

void finish(const void* job, int64_t begin, int64_t end) {
  const TransitionJob& j = job_of(job);
  if (j.offsets == nullptr) return;
  with_codes(j.codes, [&](const auto* x) {
    int64_t next = begin;  // rows before are done
    for (int64_t i = offset_from(j.offsets, j.n_offsets, begin - j.order); i < j.n_offsets; ++i) {
      if (j.offsets[i] >= end) break;
      const int64_t behind = j.offsets[i] + j.order;
      for (next = next < j.offsets[i] ? j.offsets[i] : next; next < behind && next < end; ++next) take_back(x, j, next);
    }
    return 0;
  });
}

}  // namespace

extern const TallyOp transitions_op = {plan, table_bytes, row_flops, n_cells, begin_table, stretch, flush, finish};

int64_t first_out_of_range(const CodesView* codes, int64_t n_states, int64_t begin, int64_t end) {
  return with_codes(*codes, [&](const auto* x) {
    for (int64_t row = begin; row < end; ++row)
      if (int64_t(x[row]) >= n_states) return row;
    return int64_t(-1);
  });
}

}  // namespace pyestim::PYESTIM_ISA
