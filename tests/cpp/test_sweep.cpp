// The merge tree: bits that depend on the rows alone.
#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "check.hpp"
#include "core/sweep.hpp"

using namespace pyestim;

namespace {

// A sweep whose statistics are sensitive to the order of addition: sums of 1 / (row + 1), per candidate.
struct Job {
  int64_t n_candidates = 2;
  int64_t fail_at = std::numeric_limits<int64_t>::max();
  Status failure = Status::unsupported;
  double flops = 1e9;
};

const Job& of(const void* job) { return *static_cast<const Job*>(job); }

Status sum_reciprocals(const void* job, const void* packed, int64_t begin, int64_t end, double* stats, void* scratch) {
  if (begin <= of(job).fail_at && of(job).fail_at < end) return of(job).failure;
  static_cast<double*>(scratch)[15] = *static_cast<const double*>(packed);
  for (int64_t c = 0; c < of(job).n_candidates; ++c)
    for (int64_t row = begin; row < end; ++row) {
      stats[3 * c] += std::sin(static_cast<double>(row * (c + 1)));
      stats[3 * c + 1] += 1 / static_cast<double>(row + 1);
      stats[3 * c + 2] += 1;
    }
  return Status::ok;
}

const SweepOp sum_op = {
    [](const void*) -> int64_t { return 3; },
    [](const void*) -> int64_t { return 8; },
    [](const void*) -> int64_t { return 128; },
    [](const void* job) { return of(job).flops; },
    [](const void*, void* packed) {
      *static_cast<double*>(packed) = 1;
      return Status::ok;
    },
    sum_reciprocals,
    nullptr,
};

std::vector<double> sweep(Pool& pool, int64_t start, int64_t stop, const Job& job = {}) {
  std::vector<double> out(static_cast<size_t>(3 * job.n_candidates), -1);
  CHECK(run_sweep(pool, sum_op, &job, 32, start, stop, job.n_candidates, out.data()) == Status::ok);
  return out;
}

std::vector<double> leaf(int64_t begin, int64_t end) {
  const Job job;
  double packed = 1, scratch[16];
  std::vector<double> out(6);
  sum_reciprocals(&job, &packed, begin, end, out.data(), scratch);
  return out;
}

// The definition of the tree, slow and obvious: node (level, j) of rows [start, stop).
std::vector<double> node(int level, int64_t j, int64_t start, int64_t stop) {
  const int64_t begin = std::max(start, (j << level) * leaf_rows), end = std::min(stop, ((j + 1) << level) * leaf_rows);
  if (begin >= end) return {};
  if (level == 0) return leaf(begin, end);
  std::vector<double> left = node(level - 1, 2 * j, start, stop);
  const std::vector<double> right = node(level - 1, 2 * j + 1, start, stop);
  if (left.empty()) return right;
  for (size_t i = 0; i < right.size(); ++i) left[i] += right[i];
  return left;
}

bool same_bits(const std::vector<double>& a, const std::vector<double>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(double)) == 0;
}

TEST(sweeps_follow_the_tree_for_any_number_of_threads) {
  const int64_t ranges[][2] = {{0, 1},         {0, 4096},  {0, 4097},      {0, 100000},
                               {4096, 300001}, {5, 77777}, {12288, 60000}, {99999, 400000}};
  for (const int n_threads : {1, 2, 3, 7}) {
    Pool pool(n_threads, 2);
    for (const auto& [start, stop] : ranges) CHECK(same_bits(sweep(pool, start, stop), node(10, 0, start, stop)));
  }
}

TEST(chunks_of_whole_nodes_merge_to_the_same_bits) {
  Pool pool(2, 2);
  const int64_t half = 8 * leaf_rows;
  std::vector<double> merged = sweep(pool, 0, half);
  const std::vector<double> right = sweep(pool, half, 2 * half - 100);
  for (size_t i = 0; i < right.size(); ++i) merged[i] += right[i];
  CHECK(same_bits(merged, sweep(pool, 0, 2 * half - 100)));
}

TEST(a_range_without_rows_gives_zeros) {
  Pool pool(2, 2);
  for (const int64_t at : {int64_t{0}, leaf_rows, int64_t{17}})
    CHECK(same_bits(sweep(pool, at, at), std::vector<double>(6)));
}

TEST(a_failing_leaf_fails_the_sweep_and_the_next_one_works) {
  for (const int n_threads : {1, 3}) {
    Pool pool(n_threads, 2);
    const std::vector<double> expected = sweep(pool, 0, 200000);
    Job job;
    job.fail_at = 90000;
    std::vector<double> out(6);
    CHECK(run_sweep(pool, sum_op, &job, 32, 0, 200000, 2, out.data()) == Status::unsupported);
    CHECK(same_bits(sweep(pool, 0, 200000), expected));
  }
}

TEST(the_number_of_candidates_may_change_between_sweeps) {
  Pool pool(3, 2);
  for (const int64_t n_candidates : {1, 5, 2, 400000, 1}) {
    Job job;
    job.n_candidates = n_candidates;
    const int64_t stop = n_candidates > 1000 ? 5 : 100000;
    const std::vector<double> out = sweep(pool, 0, stop, job);
    CHECK(out.back() == static_cast<double>(stop));
  }
}

const SweepOp max_op = {
    [](const void*) -> int64_t { return 1; },
    [](const void*) -> int64_t { return 0; },
    [](const void*) -> int64_t { return 0; },
    [](const void*) { return 1e9; },
    [](const void*, void*) { return Status::ok; },
    [](const void*, const void*, int64_t, int64_t end, double* stats, void*) {
      stats[0] = static_cast<double>(end);
      return Status::ok;
    },
    [](const void*, double* into, const double* from) { *into = std::max(*into, *from); },
};

TEST(an_operation_may_merge_in_its_own_way) {
  Pool pool(3, 2);
  double out = 0;
  CHECK(run_sweep(pool, max_op, nullptr, 32, 0, 123456, 1, &out) == Status::ok);
  CHECK(out == 123456);
}

const ItemOp square_op = {
    [](const void*) -> int64_t { return 64; },
    [](const void*) { return 1e9; },
    [](const void* job, int64_t index, void*) {
      (*static_cast<std::vector<int64_t>* const*>(job))->at(static_cast<size_t>(index)) = index * index;
      return index == 13 ? Status::not_positive_definite : Status::ok;
    },
};

TEST(items_report_the_worst_status) {
  Pool pool(3, 2);
  std::vector<int64_t> out(20);
  std::vector<int64_t>* job = &out;
  CHECK(run_items(pool, square_op, &job, 32, 13) == Status::ok);
  CHECK(run_items(pool, square_op, &job, 32, 20) == Status::not_positive_definite);
  for (int64_t i = 0; i < 20; ++i) CHECK(out[static_cast<size_t>(i)] == i * i);
}

}  // namespace
