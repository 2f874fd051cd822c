// Every kernel of every level that this machine runs against the slow definition, on memory without a byte to spare.
#include <algorithm>

#include "cases.hpp"
#include "check.hpp"
#include "core/sweep.hpp"
#include "kernel/dispatch.hpp"

using namespace cases;

namespace {

constexpr Family families[] = {Family::full, Family::tied, Family::diag, Family::spherical};
constexpr int64_t row_counts[] = {1, 13, 130, 1027};
constexpr int32_t dimensions[] = {1, 2, 3, 4, 7, 16, 19, 33};

double tolerance(const Data& data) { return data.view.dtype == Dtype::float32 ? 2e-5 : 1e-11; }

// Largest difference relative to the scale of the vector.
bool close(const std::vector<double>& got, const std::vector<double>& want, double tolerance) {
  double scale = 1, difference = 0;
  for (const double value : want) scale = std::max(scale, std::abs(value));
  for (size_t i = 0; i < want.size(); ++i) {
    if (!std::isfinite(got[i])) return false;
    difference = std::max(difference, std::abs(got[i] - want[i]));
  }
  return difference <= tolerance * scale;
}

template <class Body>
void for_each_case(Body body) {
  unsigned seed = 0;
  for (const KernelTable* table : available_tables())
    for (const int64_t n : row_counts)
      for (const int32_t d : dimensions) {
        const auto layout = static_cast<Layout>(++seed % 4);
        const Dtype dtype = seed % 3 ? Dtype::float64 : Dtype::float32;
        body(*table, Data(n, d, layout, dtype, seed % 2, seed), seed);
      }
}

std::vector<double> run(const KernelTable& table, const SweepOp& op, const void* job, const Data& data,
                        int64_t n_candidates) {
  Pool pool(2, 2);
  std::vector<double> out(static_cast<size_t>(n_candidates * op.stat_size(job)), NAN);
  CHECK(run_sweep(pool, op, job, table.vector_bytes, 0, data.n, n_candidates, out.data()) == Status::ok);
  return out;
}

MixtureJob job_of(const Data& data, const Mixture& mixture) {
  return {data.view,
          mixture.family,
          mixture.n_candidates,
          mixture.n_components,
          mixture.log_offset.data(),
          mixture.means.data(),
          mixture.factors.data(),
          false,
          nullptr};
}

TEST(mixture_sweeps_are_right) {
  for_each_case([](const KernelTable& table, const Data& data, unsigned seed) {
    for (const Family family : families) {
      const Mixture mixture(family, 1 + seed % 2, 1 + seed % 6, data.d, seed);
      const MixtureJob job = job_of(data, mixture);
      CHECK(table.mixture->stat_size(&job) == mixture.stat_size());
      std::vector<double> want(static_cast<size_t>(mixture.n_candidates * mixture.stat_size())), resp;
      for (int32_t c = 0; c < mixture.n_candidates; ++c)
        for (int64_t i = 0; i < data.n; ++i) {
          double* stats = want.data() + c * mixture.stat_size();
          const double total = mixture.log_prob(data, i, c, resp);
          stats[0] += data.w(i) * total;
          for (double& value : resp) value = std::exp(value - total);
          mixture.add(data, i, c, resp, stats);
        }
      CHECK(close(run(table, *table.mixture, &job, data, mixture.n_candidates), want, tolerance(data)));
    }
  });
}

TEST(rows_of_a_mixture_are_right) {
  for_each_case([](const KernelTable& table, const Data& data, unsigned seed) {
    for (const Family family : families) {
      const Mixture mixture(family, 1, 1 + seed % 5, data.d, seed);
      const size_t n = static_cast<size_t>(data.n), k = static_cast<size_t>(mixture.n_components);
      std::vector<double> log_prob(n, NAN), resp(n * k, NAN), want_log_prob, want_resp, log_density;
      std::vector<int64_t> labels(n, -1);
      const MixtureRowsJob job = {job_of(data, mixture), 0, log_prob.data(), resp.data(), labels.data(), false};
      run(table, *table.mixture_rows, &job, data, 1);
      for (int64_t i = 0; i < data.n; ++i) {
        want_log_prob.push_back(mixture.log_prob(data, i, 0, log_density));
        for (const double value : log_density) want_resp.push_back(std::exp(value - want_log_prob.back()));
        const double* own = &resp[static_cast<size_t>(i) * k];
        CHECK(own[labels[static_cast<size_t>(i)]] == *std::max_element(own, own + k));
      }
      CHECK(close(log_prob, want_log_prob, tolerance(data)));
      CHECK(close(resp, want_resp, 10 * tolerance(data)));
    }
  });
}

// Responsibilities of a row by source, the slow way; random ones are checked by their sums only.
std::vector<double> assigned(const Mixture& mixture, const Data& data, const AssignJob& job, int64_t i, int32_t c,
                             double* distance) {
  std::vector<double> resp(static_cast<size_t>(mixture.n_components));
  double best = INFINITY;
  int32_t nearest = 0;
  for (int32_t k = 0; k < mixture.n_components; ++k) {
    double sum = 0;
    for (int32_t j = 0; j < data.d; ++j) sum += std::pow(mixture.centred(data, i, c, k, j), 2);
    if (sum < best) best = sum, nearest = k;
    if (job.source == Source::given) resp[static_cast<size_t>(k)] = job.from.resp[i * mixture.n_components + k];
  }
  *distance = job.source == Source::nearest ? best : 0;
  if (job.source == Source::nearest) resp[static_cast<size_t>(nearest)] = 1;
  if (job.source == Source::labels && job.from.labels[i] >= 0 && job.from.labels[i] < mixture.n_components)
    resp[static_cast<size_t>(job.from.labels[i])] = 1;
  return resp;
}

void check_assign(const KernelTable& table, const Data& data, const Mixture& mixture, const AssignJob& job) {
  std::vector<double> want(static_cast<size_t>(mixture.n_candidates * mixture.stat_size()));
  for (int32_t c = 0; c < mixture.n_candidates; ++c)
    for (int64_t i = 0; i < data.n; ++i) {
      double distance = 0, *stats = want.data() + c * mixture.stat_size();
      const std::vector<double> resp = assigned(mixture, data, job, i, c, &distance);
      const bool ignored = job.source == Source::labels && std::count(resp.begin(), resp.end(), 1) == 0;
      if (ignored) continue;
      stats[0] -= data.w(i) * distance;
      mixture.add(data, i, c, resp, stats);
    }
  CHECK(close(run(table, *table.assign, &job, data, mixture.n_candidates), want, tolerance(data)));
}

TEST(assign_sweeps_are_right) {
  for_each_case([](const KernelTable& table, const Data& data, unsigned seed) {
    for (const Family family : families) {
      const Mixture mixture(family, 1 + seed % 2, 1 + seed % 5, data.d, seed);
      std::vector<int32_t> labels;
      std::vector<double> resp;
      const std::vector<uint64_t> seeds(static_cast<size_t>(mixture.n_candidates), seed);
      for (int64_t i = 0; i < data.n; ++i) labels.push_back(static_cast<int32_t>(i % 8) - 1);
      for (int64_t i = 0; i < data.n * mixture.n_components; ++i) resp.push_back(0.1 * static_cast<double>(i % 7));
      AssignJob job{data.view,
                    family,
                    Source::nearest,
                    mixture.n_candidates,
                    mixture.n_components,
                    mixture.means.data(),
                    labels.data(),
                    resp.data(),
                    mixture.n_components * ptrdiff_t{sizeof(double)},
                    sizeof(double),
                    seeds.data(),
                    false,
                    nullptr};
      for (const Source source : {Source::nearest, Source::labels, Source::given}) {
        job.source = source;
        check_assign(table, data, mixture, job);
      }
      job.source = Source::random;
      const std::vector<double> stats = run(table, *table.assign, &job, data, mixture.n_candidates);
      double sum = 0;
      for (int32_t k = 0; k < mixture.n_components; ++k) sum += stats[static_cast<size_t>(2 + k)];
      CHECK(std::abs(sum - stats[1]) <= tolerance(data) * (1 + stats[1]));
    }
  });
}

TEST(kmeans_sweeps_are_right) {
  for_each_case([](const KernelTable& table, const Data& data, unsigned seed) {
    const Mixture mixture(Family::spherical, 1 + seed % 2, 1 + seed % 7, data.d, seed);
    const KmeansJob job = {data.view, mixture.n_candidates, mixture.n_components, mixture.means.data(), false};
    const int64_t size = 2 + mixture.n_components * (1 + int64_t{data.d});
    CHECK(table.kmeans->stat_size(&job) == size);
    AssignJob nearest{};
    nearest.source = Source::nearest;
    std::vector<double> want(static_cast<size_t>(mixture.n_candidates * size)), with_second;
    for (int32_t c = 0; c < mixture.n_candidates; ++c) {
      with_second.assign(static_cast<size_t>(mixture.stat_size()), 0);
      for (int64_t i = 0; i < data.n; ++i) {
        double distance = 0;
        const std::vector<double> resp = assigned(mixture, data, nearest, i, c, &distance);
        with_second[0] += data.w(i) * distance;
        mixture.add(data, i, c, resp, with_second.data());
      }
      std::copy_n(with_second.begin(), size, want.begin() + c * size);
    }
    CHECK(close(run(table, *table.kmeans, &job, data, mixture.n_candidates), want, tolerance(data)));
  });
}

TEST(column_moments_are_right) {
  for_each_case([](const KernelTable& table, const Data& data, unsigned) {
    const MomentsJob job = {data.view};
    const size_t d = static_cast<size_t>(data.d);
    std::vector<double> want(1 + 4 * d);
    std::fill_n(want.begin() + 1 + static_cast<int64_t>(2 * d), d, INFINITY);
    std::fill_n(want.begin() + 1 + static_cast<int64_t>(3 * d), d, -INFINITY);
    for (int64_t i = 0; i < data.n; ++i) {
      want[0] += data.w(i);
      for (size_t j = 0; j < d; ++j) {
        const double z = data.z(i, static_cast<int32_t>(j));
        want[1 + j] += data.w(i) * z;
        want[1 + d + j] += data.w(i) * z * z;
        if (data.w(i) == 0) continue;
        want[1 + 2 * d + j] = std::min(want[1 + 2 * d + j], z);
        want[1 + 3 * d + j] = std::max(want[1 + 3 * d + j], z);
      }
    }
    CHECK(close(run(table, *table.moments, &job, data, 1), want, tolerance(data)));
  });
}

}  // namespace
