// Alias tables, simulated chains and sums over pairs at every level, on memory without a byte to spare.
#include <cmath>
#include <cstdlib>
#include <random>
#include <vector>

#include "check.hpp"
#include "core/sweep.hpp"
#include "kernel/dispatch.hpp"

using namespace pyestim;

namespace {

size_t at(int64_t i) { return static_cast<size_t>(i); }

// R rows of k probabilities; about half the cells are zero, and the first row has one cell alone.
std::vector<double> random_rows(int64_t r, int64_t k, unsigned seed) {
  std::mt19937 random(seed);
  std::uniform_real_distribution<double> uniform;
  std::vector<double> rows(at(r * k));
  for (int64_t i = 0; i < r; ++i) {
    double* row = rows.data() + i * k;
    double sum = 0;
    for (int64_t j = 0; j < k; ++j) sum += row[j] = i > 0 && uniform(random) < 0.5 ? uniform(random) : 0;
    if (sum == 0) sum = row[random() % static_cast<unsigned>(k)] = 1;
    for (int64_t j = 0; j < k; ++j) row[j] /= sum;
  }
  return rows;
}

struct Dense {
  std::vector<double> probability;
  std::vector<uint32_t> hot;
  std::vector<uint64_t> threshold;
  AliasTables tables{};

  Dense(const KernelTable& table, std::vector<double> rows, int64_t k) : probability(std::move(rows)) {
    const size_t n = probability.size();
    hot = std::vector<uint32_t>(n);
    threshold = std::vector<uint64_t>(n);
    tables.n_rows = static_cast<int64_t>(n) / k;
    tables.n_states = static_cast<int32_t>(k);
    tables.hot = hot.data();
    tables.threshold = threshold.data();
    AliasJob job{};
    job.tables = tables;
    job.probability = probability.data();
    Pool pool(2, 2);
    CHECK(run_items(pool, *table.chain_alias, &job, table.vector_bytes, tables.n_rows) == Status::ok);
  }
  Dense(const Dense&) = delete;
  Dense& operator=(const Dense&) = delete;
};

// The cells of a dense matrix that are not zero; every other cell has the probability `others`.
struct Sparse {
  std::vector<int64_t> indptr{0};
  std::vector<int32_t> indices;
  std::vector<double> probability, unseen;
  std::vector<uint64_t> places;
  AliasTables tables{};

  Sparse(const KernelTable& table, const std::vector<double>& rows, int64_t k, double others) {
    const int64_t r = static_cast<int64_t>(rows.size()) / k;
    for (int64_t i = 0; i < r; ++i) {
      int64_t n_others = 0;
      for (int64_t j = 0; j < k; ++j) n_others += rows[at(i * k + j)] == 0;
      for (int64_t j = 0; j < k; ++j)
        if (rows[at(i * k + j)] > 0) {
          indices.push_back(static_cast<int32_t>(j));
          probability.push_back(rows[at(i * k + j)] * (1 - others * static_cast<double>(n_others)));
        }
      unseen.push_back(others);
      indptr.push_back(static_cast<int64_t>(indices.size()));
    }
    indices.shrink_to_fit(), probability.shrink_to_fit(), unseen.shrink_to_fit(), indptr.shrink_to_fit();
    places = std::vector<uint64_t>(2 * (indices.size() + at(r)));
    tables.n_rows = r;
    tables.n_states = static_cast<int32_t>(k);
    tables.indptr = indptr.data();
    tables.indices = indices.data();
    tables.places = places.data();
    AliasJob job{};
    job.tables = tables;
    job.probability = probability.data();
    job.unseen = unseen.data();
    Pool pool(2, 2);
    CHECK(run_items(pool, *table.chain_alias, &job, table.vector_bytes, r) == Status::ok);
  }
  Sparse(const Sparse&) = delete;
  Sparse& operator=(const Sparse&) = delete;
};

double share_of(uint64_t threshold) { return static_cast<double>(threshold) * 0x1p-64; }

// Each place has a share that is off by a few roundings of numbers below n.
bool same(double got, double want, int64_t n) {
  return want > 0 ? std::abs(got - want) <= static_cast<double>(n) * 0x1p-50 : got == 0;
}

TEST(dense_alias_tables_hold_the_probabilities) {
  for (const KernelTable* table : available_tables())
    for (const int64_t k : {1, 2, 3, 7, 64, 301}) {
      const Dense d(*table, random_rows(3, k, static_cast<unsigned>(k)), k);
      for (int64_t row = 0; row < 3; ++row) {
        std::vector<double> got(at(k));
        for (int64_t j = 0; j < k; ++j) {
          const uint64_t threshold = d.threshold[at(row * k + j)];
          const uint32_t hot = d.hot[at(row * k + j)];
          CHECK(hot >> 16 == threshold >> 48);
          CHECK(static_cast<int64_t>(hot & 0xffff) < k);
          got[at(j)] += share_of(threshold) / static_cast<double>(k);
          got[hot & 0xffff] += (1 - share_of(threshold)) / static_cast<double>(k);
        }
        for (int64_t j = 0; j < k; ++j) CHECK(same(got[at(j)], d.probability[at(row * k + j)], k));
      }
    }
}

TEST(sparse_alias_tables_hold_the_probabilities) {
  for (const KernelTable* table : available_tables())
    for (const int64_t k : {1, 2, 9, 130})
      for (const double others : {0.0, 1e-4}) {
        const std::vector<double> rows = random_rows(4, k, static_cast<unsigned>(k));
        const Sparse s(*table, rows, k, others);
        for (int64_t row = 0; row < 4; ++row) {
          const int64_t begin = s.indptr[at(row)], n = s.indptr[at(row + 1)] - begin + 1;
          std::vector<double> got(at(k + 1));  // the last one: cells that are not stored
          for (int64_t i = 0; i < n; ++i) {
            const uint64_t* place = s.places.data() + 2 * (begin + row + i);
            const double share = share_of(place[1]);
            const auto own = static_cast<uint32_t>(place[0]), alias = static_cast<uint32_t>(place[0] >> 32);
            got[own == ~0u ? at(k) : own] += share / static_cast<double>(n);
            got[alias == ~0u ? at(k) : alias] += (1 - share) / static_cast<double>(n);
          }
          for (int64_t i = begin; i < begin + n - 1; ++i)
            CHECK(same(got[at(s.indices[at(i)])], s.probability[at(i)], n));
          CHECK(same(got[at(k)], others * static_cast<double>(k - n + 1), n));
        }
      }
}

// Sequences of some lengths, none and shorter than the order among them.
std::vector<int32_t> walk(const KernelTable& table, ChainWalkJob job) {
  const std::vector<int64_t> offsets = {0, 0, 1, 3, 4, 300, 301};
  std::vector<double> start(at(job.tables.n_rows));
  for (size_t i = 0; i < start.size(); ++i) start[i] = static_cast<double>(i + 1) / static_cast<double>(start.size());
  std::vector<int32_t> out(at(offsets.back()), -7);
  job.start = start.data();
  job.offsets = offsets.data();
  job.n_sequences = static_cast<int64_t>(offsets.size()) - 1;
  job.seed = 5;
  job.out = out.data();
  Pool pool(2, 2);
  CHECK(run_items(pool, *table.chain_walk, &job, table.vector_bytes, job.n_sequences) == Status::ok);
  for (const int32_t symbol : out) CHECK(symbol >= 0 && symbol < job.tables.n_states);
  return out;
}

// Whether every step of the long sequence has a probability that is not zero.
bool possible(const std::vector<int32_t>& out, const std::vector<double>& rows, int64_t k) {
  for (size_t i = 5; i < 300; ++i)
    if (rows[at(out[i - 1] * k + out[i])] == 0) return false;
  return true;
}

TEST(walks_go_where_they_may_and_alike_at_every_level) {
  for (const int64_t k : {1, 2, 5, 40}) {
    const std::vector<double> rows = random_rows(k, k, static_cast<unsigned>(10 + k));
    std::vector<std::vector<int32_t>> walks[3];
    for (const KernelTable* table : available_tables()) {
      ChainWalkJob job{};
      job.order = 1;
      const Dense dense(*table, rows, k);
      job.tables = dense.tables;
      walks[0].push_back(walk(*table, job));
      CHECK(possible(walks[0].back(), rows, k));
      const Sparse sparse(*table, rows, k, 0.0), spread(*table, rows, k, 0.01 / static_cast<double>(k));
      job.tables = sparse.tables;
      walks[1].push_back(walk(*table, job));
      CHECK(possible(walks[1].back(), rows, k));
      job.tables = spread.tables;
      walks[2].push_back(walk(*table, job));
    }
    for (const auto& levels : walks)
      for (const auto& level : levels) CHECK(level == levels.front());
  }
}

// All pairs of symbols, or those that differ: after the others there is no row.
TEST(walks_of_a_higher_order_find_their_contexts) {
  constexpr int32_t k = 4;
  for (const bool complete : {true, false}) {
    std::vector<int32_t> contexts;
    std::vector<int64_t> successor;
    for (int32_t a = 0; a < k; ++a)
      for (int32_t b = 0; b < k; ++b)
        if (complete || a != b) {
          const int64_t n = complete ? k : k - 1;
          contexts.insert(contexts.end(), {a, b});
          successor.insert(successor.end(), {b * n, n});
        }
    contexts.shrink_to_fit(), successor.shrink_to_fit();
    const auto n_rows = static_cast<int64_t>(contexts.size()) / 2;
    const std::vector<double> rows = random_rows(n_rows, k, 3);
    std::vector<std::vector<int32_t>> walks;
    for (const KernelTable* table : available_tables()) {
      const Dense dense(*table, rows, k);
      ChainWalkJob job{};
      job.tables = dense.tables;
      job.order = 2;
      job.contexts = contexts.data();
      job.successor = successor.data();
      walks.push_back(walk(*table, job));
      const std::vector<int32_t>& out = walks.back();
      CHECK(out == walks.front());
      for (size_t i = 6; i < 300; ++i)
        for (int64_t row = 0; row < n_rows; ++row)
          if (contexts[at(2 * row)] == out[i - 2] && contexts[at(2 * row + 1)] == out[i - 1])
            CHECK(rows[at(row * k + out[i])] > 0);
    }
  }
}

void slow_pair(PairFormula formula, double a, double b, double there, double back, double& term, double& weight) {
  const double both = there + back, p = a / (a + b), q = b / (a + b);
  switch (formula) {
    case PairFormula::compare:
      term = there * q - back * p;
      weight = both * p * q;
      return;
    case PairFormula::exchange:
      term = both / (a + b);
      weight = both / (a + b) / (a + b);
      return;
    case PairFormula::flow:
      term = weight = both / (a + b);
      return;
    case PairFormula::share:
      term = weight = both * p;
      return;
  }
}

void check_pairs(const KernelTable& table, PairFormula formula, int64_t k) {
  std::mt19937 random(static_cast<unsigned>(k));
  std::vector<double> forward(at(k * k)), backward(forward), weights(forward), values(at(k)), sums(at(k));
  for (int64_t i = 0; i < k; ++i) {
    values[at(i)] = std::exp(static_cast<double>(random() % 9) - 4);
    for (int64_t j = 0; j < k; ++j)
      backward[at(j * k + i)] = forward[at(i * k + j)] = static_cast<double>(random() % 5);
  }
  PairJob job{formula, k, forward.data(), backward.data(), values.data(), sums.data(), weights.data()};
  Pool pool(2, 2);
  const int64_t n_items = (k + pair_rows - 1) / pair_rows;
  CHECK(run_items(pool, *table.pair_sums, &job, table.vector_bytes, n_items) == Status::ok);
  for (int64_t i = 0; i < k; ++i) {
    double sum = 0, size = 0;
    for (int64_t j = 0; j < k; ++j) {
      const double there = forward[at(i * k + j)], back = backward[at(i * k + j)];
      double term = 0, weight = 0;
      slow_pair(formula, values[at(i)], values[at(j)], there, back, term, weight);
      sum += term;
      size += formula == PairFormula::compare ? there + back : term;
      CHECK(std::abs(weights[at(i * k + j)] - weight) <= 16 * 0x1p-53 * weight);
    }
    CHECK(std::abs(sums[at(i)] - sum) <= static_cast<double>(k + 16) * 0x1p-53 * size);
  }
}

TEST(sums_over_pairs_follow_their_definitions) {
  for (const KernelTable* table : available_tables())
    for (const PairFormula formula :
         {PairFormula::compare, PairFormula::exchange, PairFormula::flow, PairFormula::share})
      for (const int64_t k : {1, 2, 7, 8, 9, 16, 33}) check_pairs(*table, formula, k);
}

}  // namespace
