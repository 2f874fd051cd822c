// Counting transitions at every level against the definition, on memory without a byte to spare.
#include <algorithm>
#include <map>
#include <random>
#include <vector>

#include "check.hpp"
#include "core/sweep.hpp"
#include "kernel/dispatch.hpp"

using namespace pyestim;

namespace {

constexpr CodeType types[] = {CodeType::int8, CodeType::int16, CodeType::int32, CodeType::int64};

// States that repeat with a probability; a few are missing.
struct Chain {
  std::vector<int64_t> states, offsets;
  std::vector<char> bytes;
  CodesView view{};

  Chain(int64_t n, int64_t k, double stay, CodeType type, unsigned seed) {
    std::mt19937 random(seed);
    std::uniform_real_distribution<double> uniform;
    int64_t state = 0;
    for (int64_t i = 0; i < n; ++i) {
      if (uniform(random) >= stay) state = static_cast<int64_t>(random() % static_cast<uint64_t>(k));
      states.push_back(uniform(random) < 1e-4 ? -1 : state);
    }
    offsets = {0, 0, n / 3, n / 3 + 1, n / 2, n};
    std::sort(offsets.begin(), offsets.end());
    if (type == CodeType::int8) store<int8_t>(type);
    if (type == CodeType::int16) store<int16_t>(type);
    if (type == CodeType::int32) store<int32_t>(type);
    if (type == CodeType::int64) store<int64_t>(type);
  }

  template <class Int>
  void store(CodeType type) {
    bytes = std::vector<char>(states.size() * sizeof(Int));
    Int* codes = reinterpret_cast<Int*>(bytes.data());
    for (size_t i = 0; i < states.size(); ++i) codes[i] = static_cast<Int>(states[i]);
    view = {codes, static_cast<int64_t>(states.size()), type};
  }

  std::map<int64_t, int64_t> cells(int64_t k, int order) const {
    std::map<int64_t, int64_t> found;
    for (size_t s = 0; s + 1 < offsets.size(); ++s)
      for (int64_t row = offsets[s] + order; row < offsets[s + 1]; ++row) {
        int64_t cell = 0;
        bool present = true;
        for (int64_t i = row - order; i <= row; ++i) {
          cell = cell * k + states[static_cast<size_t>(i)];
          present = present && states[static_cast<size_t>(i)] >= 0;
        }
        if (present) ++found[cell];
      }
    return found;
  }
};

TransitionJob job_of(const Chain& chain, int64_t k, int32_t order, std::vector<int64_t>& counts) {
  TransitionJob job{};
  job.codes = chain.view;
  job.n_states = k;
  job.order = order;
  job.offsets = chain.offsets.data();
  job.n_offsets = static_cast<int64_t>(chain.offsets.size());
  job.counts = counts.data();
  job.flush_after = int64_t{1} << 31;
  return job;
}

void check_counts(const KernelTable& table, const Chain& chain, int64_t k, int32_t order, int64_t flush_after) {
  int64_t n_cells = k;
  for (int i = 0; i < order; ++i) n_cells *= k;
  std::vector<int64_t> counts(static_cast<size_t>(n_cells)), want(counts);
  for (const auto& [cell, count] : chain.cells(k, order)) want[static_cast<size_t>(cell)] = count;
  TransitionJob job = job_of(chain, k, order, counts);
  job.flush_after = flush_after;
  Pool pool(2, 2);
  int64_t bad_row = 0;
  CHECK(run_tally(pool, *table.transitions, &job, table.vector_bytes, 0, chain.view.n, bad_row) == Status::ok);
  CHECK(bad_row == -1);
  CHECK(counts == want);
}

TEST(transitions_are_counted_exactly) {
  unsigned seed = 0;
  for (const KernelTable* table : available_tables())
    for (const int64_t k : {1, 5, 6, 20, 40, 120})
      for (const double stay : {0.0, 0.6, 0.99}) {
        ++seed;
        const Chain chain(k == 6 ? 140'000 : 70'000, k, stay, types[seed % 4], seed);
        check_counts(*table, chain, k, 1, int64_t{1} << 31);
        if (k <= 20) check_counts(*table, chain, k, 2, int64_t{1} << 31);
      }
}

TEST(tables_are_flushed_before_their_counters_overflow) {
  for (const KernelTable* table : available_tables())
    for (const int64_t k : {5, 10, 40})
      for (const double stay : {0.0, 0.6}) check_counts(*table, Chain(400'000, k, stay, CodeType::int8, 1), k, 1, 1);
}

TEST(few_rows_are_counted) {
  for (const KernelTable* table : available_tables())
    for (int64_t n = 0; n < 40; ++n)
      for (int32_t order = 1; order < 4; ++order)
        check_counts(*table, Chain(n, 2, 0, types[n % 4], static_cast<unsigned>(n)), 2, order, 1);
}

TEST(cells_are_sorted_and_counted) {
  unsigned seed = 0;
  for (const KernelTable* table : available_tables())
    for (const int64_t k : {3, 100, 30'000, 2'000'000})
      for (const double stay : {0.0, 0.9})
        for (int32_t order = 1; order < 3; ++order) {
          const CodeType type = k > 30'000 ? types[2 + ++seed % 2]
                                : k > 100  ? types[1 + ++seed % 3]
                                           : types[++seed % 4];
          const Chain chain(5000, k, stay, type, seed);
          std::vector<int64_t> cells(5000), counts(5000), result(2);
          TransitionCellsJob job{};
          job.codes = chain.view;
          job.n_states = k;
          job.order = order;
          job.offsets = chain.offsets.data();
          job.n_offsets = static_cast<int64_t>(chain.offsets.size());
          job.stop = chain.view.n;
          job.cells = cells.data();
          job.counts = counts.data();
          job.result = result.data();
          Pool pool(1, 1);
          CHECK(run_items(pool, *table->transition_cells, &job, table->vector_bytes, 1) == Status::ok);
          const auto want = chain.cells(k, order);
          CHECK(result[1] == -1 && result[0] == static_cast<int64_t>(want.size()));
          size_t i = 0;
          for (const auto& [cell, count] : want) {
            CHECK(cells[i] == cell && counts[i] == count);
            ++i;
          }
        }
}

// Codes may lie in memory that others write while they are counted: here after every check of them.

TEST(sums_of_what_is_no_state_by_now_stay_inside) {
  for (const KernelTable* table : available_tables())
    for (const int64_t late : {7, 1000, 2'000'000'000}) {
      Chain chain(5000, 7, 0, CodeType::int32, 1);
      int32_t* codes = reinterpret_cast<int32_t*>(chain.bytes.data());
      codes[17] = codes[4999] = static_cast<int32_t>(late);
      const std::vector<double> weight(5000, 1.0);
      std::vector<double> sums(7 * 7);
      const WeightedTransitionJob job{chain.view, 7, nullptr, 0, weight.data()};
      CHECK(table->weighted_transitions->leaf(&job, nullptr, 0, 5000, sums.data(), nullptr) == Status::ok);
      double total = 0;
      for (const double sum : sums) total += sum;
      int64_t want = 0;
      for (int64_t row = 1; row < 5000; ++row)
        want += codes[row] >= 0 && codes[row] < 7 && codes[row - 1] >= 0 && codes[row - 1] < 7;
      CHECK(total == static_cast<double>(want));
    }
}

TEST(windows_of_what_is_no_state_by_now_are_not_taken_back) {
  for (const KernelTable* table : available_tables()) {
    Chain chain(5000, 7, 0, CodeType::int32, 1);
    int32_t* codes = reinterpret_cast<int32_t*>(chain.bytes.data());
    for (const int64_t row : chain.offsets)
      if (row < 5000) codes[row] = 2'000'000'000;
    std::vector<int64_t> counts(7 * 7);
    const TransitionJob job = job_of(chain, 7, 1, counts);
    table->transitions->finish(&job, 0, 5000);
    CHECK(counts == std::vector<int64_t>(7 * 7));
  }
}

TEST(room_for_cells_does_not_depend_on_the_rows) {
  for (const KernelTable* table : available_tables()) {
    const Chain spread(5000, 30'000, 0, CodeType::int32, 1), steady(5000, 30'000, 1, CodeType::int32, 1);
    TransitionCellsJob job{};
    job.n_states = 30'000;
    job.order = 1;
    job.stop = 5000;
    job.codes = spread.view;
    const int64_t bytes = table->transition_cells->scratch_bytes(&job);
    job.codes = steady.view;
    CHECK(table->transition_cells->scratch_bytes(&job) == bytes);
  }
}

}  // namespace
