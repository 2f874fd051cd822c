// Batches of small independent problems: factors of matrices, k-means++ starts, exp and log.
#include <numeric>
#include <set>

#include "cases.hpp"
#include "check.hpp"
#include "core/sweep.hpp"
#include "kernel/dispatch.hpp"

using namespace cases;

namespace {

TEST(factors_invert_their_matrices) {
  for (const KernelTable* table : available_tables())
    for (const int32_t d : {1, 2, 3, 5, 8, 17, 40, 130}) {
      constexpr int64_t n_matrices = 3;
      const size_t square = static_cast<size_t>(d) * static_cast<size_t>(d);
      std::vector<double> cov(n_matrices * square), factor(n_matrices * square, NAN), log_det(n_matrices);
      std::vector<int64_t> status(n_matrices, -1);
      for (int64_t m = 0; m < n_matrices; ++m)
        for (int32_t i = 0; i < d; ++i)
          for (int32_t j = 0; j < d; ++j)
            cov[static_cast<size_t>((m * d + i) * d + j)] =
                (i == j ? 2 : 0) + 1 / (1.0 + std::abs(i - j) + static_cast<double>(m));
      cov[2 * square] = -1;  // the last one is not positive definite
      const FactoriseJob job = {cov.data(), d, factor.data(), log_det.data(), status.data(), nullptr};
      Pool pool(2, 2);
      CHECK(run_items(pool, *table->factorise, &job, table->vector_bytes, n_matrices) == Status::ok);
      CHECK(status[0] == 0 && status[1] == 0 && status[2] == 1);
      // F Sigma F' = I, in the first row of every matrix that has factors.
      for (int64_t m = 0; m < 2; ++m) {
        const double *f = &factor[static_cast<size_t>(m) * square], *s = &cov[static_cast<size_t>(m) * square];
        for (int32_t b = 0; b < d; ++b) {
          double sum = 0;
          for (int32_t j = 0; j <= b; ++j) sum += f[0] * s[j] * f[b * d + j];
          CHECK(std::abs(sum - (b == 0)) < 1e-12);
        }
      }
    }
}

TEST(kmeans_plusplus_chooses_distinct_rows) {
  const Data data(200, 3, Layout::c_order, Dtype::float64, true, 5);
  for (const KernelTable* table : available_tables()) {
    constexpr int32_t n_candidates = 3, n_clusters = 9, n_trials = 4;
    std::vector<double> uniforms;
    for (int i = 0; i < n_candidates * n_clusters * n_trials; ++i) uniforms.push_back(std::fmod(0.618 * i, 1));
    std::vector<int64_t> index(n_candidates * n_clusters, -1);
    const KmeansPlusPlusJob job = {data.doubles.data(), data.weight.data(), data.n,          data.d,      n_candidates,
                                   n_clusters,          n_trials,           uniforms.data(), index.data()};
    Pool pool(2, 2);
    CHECK(run_items(pool, *table->kmeans_plusplus, &job, table->vector_bytes, n_candidates) == Status::ok);
    for (int32_t c = 0; c < n_candidates; ++c) {
      const std::set<int64_t> chosen(index.begin() + c * n_clusters, index.begin() + (c + 1) * n_clusters);
      CHECK(chosen.size() == n_clusters && *chosen.begin() >= 0 && *chosen.rbegin() < data.n);
      for (const int64_t i : chosen) CHECK(data.weight[static_cast<size_t>(i)] > 0);
    }
  }
}

TEST(exp_and_log_stay_inside_their_arrays) {
  for (const KernelTable* table : available_tables())
    for (const int64_t n : {1, 3, 8, 17, 100}) {
      std::vector<double> x, out(static_cast<size_t>(n), NAN);
      for (int64_t i = 0; i < n; ++i) x.push_back(-0.3 * static_cast<double>(i));
      const MathJob job = {MathFunction::exp_neg, Dtype::float64, x.data(), out.data()};
      CHECK(table->apply_math(&job, 0, n) == Status::ok);
      for (size_t i = 0; i < x.size(); ++i) CHECK(std::abs(out[i] - std::exp(x[i])) <= 1e-15);
    }
}

TEST(normal_intervals_are_right_at_every_length) {
  for (const KernelTable* table : available_tables()) {
    Pool pool(2, 2);
    for (const int64_t n : {0, 1, 3, 5, 1023, 2050}) {
      const std::vector<double> a(static_cast<size_t>(n), -1.0), b(static_cast<size_t>(n), 1.0);
      std::vector<double> log_prob(a), mean(a), variance(a);
      NormalJob job{};
      job.function = NormalFunction::interval;
      job.n = n;
      job.a = a.data();
      job.b = b.data();
      job.out = log_prob.data();
      job.mean = mean.data();
      job.variance = variance.data();
      const int64_t n_items = (n + normal_block - 1) / normal_block;
      CHECK(run_items(pool, *table->normal_apply, &job, table->vector_bytes, n_items) == Status::ok);
      for (size_t i = 0; i < a.size(); ++i)
        CHECK(std::abs(log_prob[i] + 0.381715146302) <= 1e-12 && mean[i] == 0 &&
              std::abs(variance[i] - 0.291125094773) <= 1e-12);
    }
  }
}

// Independent coordinates on (-1, 1), hidden from the shortcut, and one without limits.
TEST(normal_boxes_of_every_size_are_right) {
  for (const KernelTable* table : available_tables()) {
    Pool pool(1, 1);
    for (int32_t d = 1; d <= 6; ++d) {
      const size_t size = static_cast<size_t>(d);
      std::vector<double> mean(size, 0.0), cov(size * size, 1e-14), lower(size, -1.0), upper(size, 1.0);
      for (size_t i = 0; i < size; ++i) cov[i * (size + 1)] = 1;
      lower[size - 1] = -INFINITY;
      upper[size - 1] = INFINITY;
      std::vector<double> log_prob(1), error(1), inside(size), inside_cov(size * size);
      int64_t status = -1;
      const BoxJob job = {d,
                          mean.data(),
                          cov.data(),
                          lower.data(),
                          upper.data(),
                          log_prob.data(),
                          inside.data(),
                          inside_cov.data(),
                          error.data(),
                          &status};
      CHECK(run_items(pool, *table->box_apply, &job, table->vector_bytes, 1) == Status::ok && status == 0);
      CHECK(std::abs(log_prob[0] + 0.381715146302 * (d - 1)) <= 1e-11 + 6 * error[0]);
      CHECK(std::abs(inside_cov[0] - (d == 1 ? 1 : 0.291125094773)) <= 1e-11 + 100 * error[0]);
      cov[0] = -1;
      CHECK(run_items(pool, *table->box_apply, &job, table->vector_bytes, 1) == Status::ok && status == 1);
    }
  }
}

}  // namespace
