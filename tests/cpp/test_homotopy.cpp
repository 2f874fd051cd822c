// Lasso paths on Gram matrices whose memory is exactly as large as the job says, to and past the full rank.
#include <cmath>
#include <cstdint>
#include <random>
#include <vector>

#include "check.hpp"
#include "core/sweep.hpp"
#include "kernel/dispatch.hpp"

using namespace pyestim;

namespace {

// Gram matrix and correlations of n rows and m columns, the last of which repeats the first.
struct Problem {
  int64_t m;
  std::vector<double> gram, linear;

  Problem(int64_t n, int64_t m_, unsigned seed) : m(m_), gram(static_cast<size_t>(m_ * m_)) {
    std::mt19937 random(seed);
    std::normal_distribution<double> normal;
    std::vector<double> x(static_cast<size_t>(n * m)), y(static_cast<size_t>(n));
    for (double& value : x) value = normal(random);
    for (double& value : y) value = normal(random);
    for (int64_t i = 0; i < n; ++i) x[static_cast<size_t>((m - 1) * n + i)] = x[static_cast<size_t>(i)];
    const auto dot = [n](const double* a, const double* b) {
      double sum = 0;
      for (int64_t i = 0; i < n; ++i) sum += a[i] * b[i];
      return sum / static_cast<double>(n);
    };
    for (int64_t i = 0; i < m; ++i) {
      linear.push_back(dot(&x[static_cast<size_t>(i * n)], y.data()));
      for (int64_t j = 0; j < m; ++j)
        gram[static_cast<size_t>(i * m + j)] = dot(&x[static_cast<size_t>(i * n)], &x[static_cast<size_t>(j * n)]);
    }
  }

  // Largest unmet first-order condition.
  double unmet(const std::vector<double>& coef, double alpha) const {
    double worst = 0;
    for (int64_t i = 0; i < m; ++i) {
      double corr = linear[static_cast<size_t>(i)];
      for (int64_t j = 0; j < m; ++j) corr -= gram[static_cast<size_t>(i * m + j)] * coef[static_cast<size_t>(j)];
      const double b = coef[static_cast<size_t>(i)];
      worst = std::fmax(worst, b == 0 ? std::fabs(corr) - alpha : std::fabs(corr - std::copysign(alpha, b)));
    }
    return worst;
  }
};

struct Path {
  const Problem& problem;
  int64_t capacity, n_active = 0, kinks = 0;
  std::vector<double> gram, inverse, state;
  std::vector<int64_t> column;
  HomotopyEnd end{};
  double reached = 0, miss = 0;

  Path(const Problem& given, int64_t capacity_)
      : problem(given),
        capacity(capacity_),
        gram(given.gram),
        inverse(static_cast<size_t>(capacity_ * capacity_)),
        state(static_cast<size_t>(5 * given.m)) {
    const auto m = static_cast<size_t>(given.m);
    for (size_t i = 0; i < m; ++i) {
      column.push_back(static_cast<int64_t>(i));
      state[m + i] = state[2 * m + i] = given.linear[i];
      state[3 * m + i] = 1;
    }
  }

  Status follow(const KernelTable& table, double alpha_from, double alpha_to) {
    const HomotopyJob job = {gram.data(), inverse.data(), state.data(), column.data(), problem.m,
                             problem.m,   capacity,       alpha_from,   alpha_to,      10'000,
                             &n_active,   &kinks,         &end,         &reached,      &miss};
    Pool pool(1, 1);
    return run_items(pool, *table.homotopy, &job, table.vector_bytes, 1);
  }

  std::vector<double> coef() const {
    std::vector<double> out(static_cast<size_t>(problem.m));
    for (int64_t i = 0; i < n_active; ++i)
      out[static_cast<size_t>(column[static_cast<size_t>(i)])] = state[static_cast<size_t>(i)];
    return out;
  }
};

TEST(paths_meet_their_conditions) {
  for (const KernelTable* table : available_tables())
    for (const int64_t m : {1, 2, 5, 13, 40}) {
      const Problem problem(16, m, static_cast<unsigned>(m));
      Path path(problem, m);
      double alpha = 10;
      for (const double next : {1.0, 0.3, 0.1, 0.01, 1e-5}) {
        CHECK(path.follow(*table, alpha, next) == Status::ok);
        CHECK(path.end == HomotopyEnd::reached && path.reached == next);
        CHECK(path.n_active <= 16 && problem.unmet(path.coef(), next) < 1e-12);
        alpha = next;
      }
    }
}

TEST(any_point_is_a_start) {
  for (const KernelTable* table : available_tables()) {
    const Problem problem(30, 20, 3);
    Path path(problem, 20);
    // Zero is not the solution there: what it misses of the conditions is taken away along the way.
    CHECK(path.follow(*table, 0.05, 0.05) == Status::ok);
    CHECK(path.end == HomotopyEnd::reached && problem.unmet(path.coef(), 0.05) < 1e-12);
  }
}

TEST(a_full_inverse_ends_the_path) {
  for (const KernelTable* table : available_tables()) {
    const Problem problem(30, 20, 4);
    Path path(problem, 3);
    CHECK(path.follow(*table, 10, 1e-3) == Status::ok);
    CHECK(path.end == HomotopyEnd::full && path.n_active == 3 && path.reached > 1e-3);
  }
}

}  // namespace
