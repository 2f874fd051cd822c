// The sweep over mixtures of experts on memory without a byte to spare, against its formulas row by row.
#include <algorithm>

#include "cases.hpp"
#include "check.hpp"
#include "core/sweep.hpp"
#include "kernel/dispatch.hpp"

using namespace cases;

namespace {

using Vector = std::vector<double>;

constexpr ExpertFamily families[] = {ExpertFamily::gaussian, ExpertFamily::poisson, ExpertFamily::binomial,
                                     ExpertFamily::multinomial};

size_t at(int64_t i) { return static_cast<size_t>(i); }

Vector with_one(const Data& data, int64_t i) {
  Vector x{1};
  for (int32_t j = 0; j < data.d; ++j) x.push_back(data.z(i, j));
  return x;
}

double dot(const double* a, const Vector& x) {
  double sum = 0;
  for (size_t j = 0; j < x.size(); ++j) sum += a[j] * x[j];
  return sum;
}

Vector softmax(Vector lines) {
  const double most = *std::max_element(lines.begin(), lines.end());
  double sum = 0;
  for (double& line : lines) sum += line = std::exp(line - most);
  for (double& line : lines) line /= sum;
  return lines;
}

// Statistics in the order of the kernel, appended window by window.
struct Slow {
  const ExpertsJob& job;
  const Data &x, &z, &y;
  int32_t c;
  double log_likelihood = 0, weight_sum = 0;
  Vector resp_sum, score, gram, residual, gate_score, gate_curvature;

  int32_t k() const { return job.n_experts; }
  int32_t l() const { return job.n_predictors; }

  // Log-density, residuals and curvatures (L, L) of one expert.
  double expert(int64_t i, int32_t expert, const Vector& row, Vector& e, Vector& h) const {
    const double* coef = job.expert_coef + int64_t{c * k() + expert} * l() * (1 + x.d);
    Vector eta;
    for (int32_t a = 0; a < l(); ++a) eta.push_back(dot(coef + a * (1 + x.d), row));
    e.assign(at(l()), 0);
    h.assign(at(l() * l()), 0);
    if (job.family == ExpertFamily::gaussian) {
      double density = job.log_norm[c * k() + expert];
      for (int32_t a = 0; a < l(); ++a) {
        e[at(a)] = y.z(i, a) - eta[at(a)];
        const double* factor = job.factor + (int64_t{c * k() + expert} * l() + a) * l();
        density -= std::pow(dot(factor, Vector(e.begin(), e.begin() + a + 1)), 2) / 2;
      }
      h[0] = 1;
      return density;
    }
    if (job.family == ExpertFamily::poisson) {
      h[0] = std::exp(eta[0]);
      e[0] = y.z(i, 0) - h[0];
      return y.z(i, 0) * eta[0] - h[0];
    }
    if (job.family == ExpertFamily::binomial) {
      const double mean = 1 / (1 + std::exp(-eta[0])), n = y.z(i, 0) + y.z(i, 1);
      h[0] = n * mean * (1 - mean);
      e[0] = y.z(i, 0) - n * mean;
      return y.z(i, 0) * eta[0] - n * std::log1p(std::exp(eta[0]));
    }
    eta.push_back(0);
    const Vector mean = softmax(eta);
    for (int32_t a = 0; a < l(); ++a) {
      e[at(a)] = (y.z(i, 0) == a) - mean[at(a)];
      for (int32_t b = 0; b < l(); ++b) h[at(a * l() + b)] = mean[at(a)] * ((a == b) - mean[at(b)]);
    }
    return std::log(mean[at(static_cast<int64_t>(y.z(i, 0)))]);
  }

  // out (packed lower) += kron(h, x x').
  static void add_blocks(const Vector& h, int32_t blocks, const Vector& row, double weight, double* out) {
    const auto size = static_cast<int32_t>(row.size());
    for (int32_t a = 0; a < blocks * size; ++a)
      for (int32_t b = 0; b <= a; ++b)
        *out++ += weight * h[at(a / size * blocks + b / size)] * row[at(a % size)] * row[at(b % size)];
  }

  void add_expert(int32_t expert, double r, const Vector& row, const Vector& e, const Vector& h) {
    const bool gaussian = job.family == ExpertFamily::gaussian;
    const int32_t blocks = gaussian ? 1 : l(), size = 1 + x.d, wide = blocks * size;
    resp_sum[at(expert)] += r;
    for (int32_t a = 0; a < l(); ++a)
      for (int32_t j = 0; j < size; ++j) score[at((expert * l() + a) * size + j)] += r * e[at(a)] * row[at(j)];
    add_blocks(gaussian ? Vector{1} : h, blocks, row, r, gram.data() + expert * (wide * (wide + 1) / 2));
    for (int32_t a = 0, place = 0; gaussian && a < l(); ++a)
      for (int32_t b = 0; b <= a; ++b)
        residual[at(expert * (l() * (l() + 1) / 2) + place++)] += r * e[at(a)] * e[at(b)];
  }

  void add_row(int64_t i) {
    const Vector row = with_one(x, i), gate_row = with_one(z, i);
    std::vector<Vector> e(at(k())), h(at(k()));
    Vector lines, joint;
    for (int32_t a = 0; a < k(); ++a) {
      const double* gate = job.gate_coef + int64_t{c * k() + a} * (1 + z.d);
      lines.push_back(a + 1 < k() ? dot(gate, gate_row) : 0);
      joint.push_back(expert(i, a, row, e[at(a)], h[at(a)]) + lines.back());
    }
    const Vector share = softmax(lines), tau = softmax(joint);
    const double w = x.w(i);
    log_likelihood += w * (joint[0] - std::log(tau[0]) - lines[0] + std::log(share[0]));
    weight_sum += w;
    for (int32_t a = 0; a < k(); ++a) add_expert(a, w * tau[at(a)], row, e[at(a)], h[at(a)]);
    Vector blocks;
    for (int32_t a = 0; a + 1 < k(); ++a) {
      for (size_t j = 0; j < gate_row.size(); ++j)
        gate_score[at(a) * gate_row.size() + j] += w * (tau[at(a)] - share[at(a)]) * gate_row[j];
      for (int32_t b = 0; b + 1 < k(); ++b) blocks.push_back(share[at(a)] * ((a == b) - share[at(b)]));
    }
    add_blocks(blocks, k() - 1, gate_row, w, gate_curvature.data());
  }

  Vector run() {
    const int32_t block = job.family == ExpertFamily::gaussian ? 1 : l(), wide = block * (1 + x.d);
    const int32_t gate = (k() - 1) * (1 + z.d), pairs = l() * (l() + 1) / 2;
    resp_sum.assign(at(k()), 0);
    score.assign(at(k() * l() * (1 + x.d)), 0);
    gram.assign(at(k() * (wide * (wide + 1) / 2)), 0);
    residual.assign(job.family == ExpertFamily::gaussian ? at(k() * pairs) : 0, 0);
    gate_score.assign(at(gate), 0);
    gate_curvature.assign(at(gate * (gate + 1) / 2), 0);
    for (int64_t i = 0; i < x.n; ++i)
      if (x.w(i) > 0) add_row(i);
    Vector all{log_likelihood, weight_sum};
    for (const Vector* window : {&resp_sum, &score, &gram, &residual, &gate_score, &gate_curvature})
      all.insert(all.end(), window->begin(), window->end());
    return all;
  }
};

// Parameters of two candidates.
struct Parameters {
  Vector gate, expert, factor, log_norm;

  Parameters(int32_t k, int32_t l, int32_t p, int32_t q, unsigned seed) {
    std::mt19937 random(seed);
    std::normal_distribution<double> normal;
    for (int32_t i = 0; i < 2 * k * (1 + q); ++i) gate.push_back(i / (1 + q) % k == k - 1 ? 0 : 0.3 * normal(random));
    for (int32_t i = 0; i < 2 * k * l * (1 + p); ++i) expert.push_back(0.3 / (1 + p) * normal(random));
    for (int32_t i = 0; i < 2 * k * l * l; ++i) {
      const int32_t a = i / l % l, b = i % l;
      factor.push_back(a == b ? 0.8 : a > b ? 0.1 * normal(random) : 0);
    }
    for (int32_t i = 0; i < 2 * k; ++i) log_norm.push_back(-0.1 * i);
  }
};

void compare(const KernelTable& table, const ExpertsJob& job, const Data& x, const Data& z, const Data& y) {
  Pool pool(2, 2);
  const int64_t size = table.experts->stat_size(&job);
  Vector out(at(2 * size), NAN);
  CHECK(run_sweep(pool, *table.experts, &job, table.vector_bytes, 0, x.n, 2, out.data()) == Status::ok);
  for (int32_t c = 0; c < 2; ++c) {
    const Vector want = Slow{job, x, z, y, c, 0, 0, {}, {}, {}, {}, {}, {}}.run();
    CHECK(static_cast<int64_t>(want.size()) == size);
    double scale = 1, difference = 0;
    for (const double value : want) scale = std::max(scale, std::abs(value));
    for (size_t i = 0; i < want.size(); ++i)
      difference = std::max(difference, std::abs(out[at(c * size) + i] - want[i]));
    CHECK(difference <= 1e-11 * scale);
  }
}

TEST(sweeps_over_experts_are_right) {
  unsigned seed = 0;
  for (const KernelTable* table : available_tables())
    for (const ExpertFamily family : families)
      for (const int64_t n : {1, 13, 130, 301})
        for (const int32_t p : {1, 3, 4, 9}) {
          ++seed;
          const bool shared = seed % 3 == 0, classes = family == ExpertFamily::multinomial;
          const int32_t k = 1 + static_cast<int32_t>(seed % 4), l = classes || family == ExpertFamily::gaussian ? 2 : 1;
          const auto layout = [&](unsigned turn) { return static_cast<Layout>((seed + turn) % 4); };
          const Dtype dtype = seed % 2 ? Dtype::float64 : Dtype::float32;
          const Data x(n, p, layout(0), dtype, seed % 2, seed), own(n, 2, layout(1), dtype, false, seed + 1);
          Data y(n, family == ExpertFamily::binomial ? 2 : classes ? 1 : l, layout(2), Dtype::float64, false, seed + 2);
          for (double& value : y.doubles) value = classes ? std::fmod(std::abs(std::floor(value)), 3) : value;
          const Data& z = shared ? x : own;
          const Parameters at_hand(k, l, p, z.d, seed);
          ExpertsJob job{x.view,
                         z.view,
                         y.view,
                         shared,
                         family,
                         Source::posterior,
                         2,
                         k,
                         l,
                         at_hand.gate.data(),
                         at_hand.expert.data(),
                         at_hand.factor.data(),
                         at_hand.log_norm.data(),
                         {},
                         true,
                         true};
          job.gate_rows.weight = x.view.weight;
          compare(*table, job, x, z, y);
        }
}

TEST(rows_of_experts_need_no_responses) {
  for (const KernelTable* table : available_tables()) {
    const Data x(61, 3, Layout::gaps, Dtype::float64, true, 1);
    const Parameters at_hand(3, 1, 3, 3, 1);
    Vector gate(at(x.n * 3), NAN), lines(at(x.n * 3), NAN);
    ExpertsRowsJob job{};
    job.experts.rows = job.experts.gate_rows = x.view;
    job.experts.shared_rows = true;
    job.experts.n_candidates = job.experts.n_predictors = 1;
    job.experts.n_experts = 3;
    job.experts.gate_coef = at_hand.gate.data();
    job.experts.expert_coef = at_hand.expert.data();
    job.gate = gate.data();
    job.predictors = lines.data();
    Pool pool(2, 2);
    CHECK(run_sweep(pool, *table->experts_rows, &job, table->vector_bytes, 0, x.n, 1, nullptr) == Status::ok);
    for (int64_t i = 0; i < x.n; ++i) {
      double sum = 0;
      for (int32_t k = 0; k < 3; ++k) {
        sum += std::exp(gate[at(3 * i + k)]);
        CHECK(std::abs(lines[at(3 * i + k)] - dot(&at_hand.expert[at(4 * k)], with_one(x, i))) < 1e-13);
      }
      CHECK(std::abs(sum - 1) < 1e-14);
    }
  }
}

}  // namespace
