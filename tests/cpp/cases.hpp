// Rows in awkward memory, mixtures on them, and the slow definition of their statistics.
#pragma once

#include <cmath>
#include <cstring>
#include <random>
#include <vector>

#include "kernel/table.hpp"

namespace cases {

using namespace pyestim;

enum class Layout { c_order, f_order, reversed, gaps };

// n rows whose memory is exactly as large as the layout needs: reading beyond it is an error that the sanitizer sees.
struct Data {
  int64_t n;
  int32_t d;
  std::vector<float> singles;
  std::vector<double> doubles, weight, centre, scale;
  RowsView view{};

  Data(int64_t n_, int32_t d_, Layout layout, Dtype dtype, bool weighted, unsigned seed) : n(n_), d(d_) {
    std::mt19937 random(seed);
    std::normal_distribution<double> normal;
    const int64_t gap = layout == Layout::gaps ? 3 : 0;
    const int64_t row = layout == Layout::f_order ? 1 : d + gap, col = layout == Layout::f_order ? n : 1;
    const int64_t size = n == 0 ? 0 : (n - 1) * row + (d - 1) * col + 1;
    const auto item = static_cast<ptrdiff_t>(dtype == Dtype::float32 ? sizeof(float) : sizeof(double));
    for (int64_t i = 0; i < size; ++i) doubles.push_back(static_cast<float>(2 * normal(random) + 1));
    singles.assign(doubles.begin(), doubles.end());
    for (int64_t i = 0; weighted && i < n; ++i) weight.push_back(i % 5 == 3 ? 0 : 0.5 + static_cast<double>(i % 3));
    for (int32_t j = 0; j < d; ++j) centre.push_back(0.25 * j), scale.push_back(j % 2 ? 0.5 : 1);
    view = {dtype == Dtype::float32 ? static_cast<const void*>(singles.data()) : doubles.data(),
            row * item,
            col * item,
            n,
            d,
            dtype,
            weighted ? weight.data() : nullptr,
            centre.data(),
            scale.data()};
    if (layout == Layout::reversed && n > 0) {
      view.data = static_cast<const char*>(view.data) + (n - 1) * view.row_stride;
      view.row_stride = -view.row_stride;
    }
  }
  Data(const Data&) = delete;
  Data& operator=(const Data&) = delete;

  double z(int64_t i, int32_t j) const {
    const char* at = static_cast<const char*>(view.data) + i * view.row_stride + j * view.col_stride;
    double x;
    if (view.dtype == Dtype::float32) {
      float single;
      std::memcpy(&single, at, sizeof single);
      x = static_cast<double>(single);
    } else {
      std::memcpy(&x, at, sizeof x);
    }
    return (x - centre[static_cast<size_t>(j)]) * scale[static_cast<size_t>(j)];
  }
  double w(int64_t i) const { return view.weight ? view.weight[i] : 1; }
};

// C candidates of K components with means about the data and factors near the identity.
struct Mixture {
  Family family;
  int32_t n_candidates, n_components, d;
  std::vector<double> log_offset, means, factors;

  Mixture(Family family_, int32_t c, int32_t k, int32_t d_, unsigned seed)
      : family(family_), n_candidates(c), n_components(k), d(d_) {
    std::mt19937 random(seed);
    std::normal_distribution<double> normal;
    for (int32_t i = 0; i < c * k; ++i) log_offset.push_back(-1 - 0.1 * (i % 3));
    for (int32_t i = 0; i < c * k * d; ++i) means.push_back(1.5 * normal(random));
    const bool matrices = family == Family::full || family == Family::tied;
    const int32_t count = family == Family::tied ? c : c * k;
    for (int32_t m = 0; m < count; ++m) {
      const int32_t rows = matrices ? d : 1, cols = family == Family::spherical ? 1 : d;
      for (int32_t i = 0; i < rows; ++i)
        for (int32_t j = 0; j < cols; ++j)
          factors.push_back(!matrices || i == j ? 0.8 + 0.05 * ((m + j) % 4) : i > j ? 0.2 * normal(random) : 0);
    }
  }

  int64_t second_size() const {
    const int64_t packed = int64_t{d} * (d + 1) / 2, k = n_components;
    return family == Family::full ? k * packed : family == Family::tied ? packed : family == Family::diag ? k * d : k;
  }
  int64_t stat_size() const { return 2 + n_components + int64_t{n_components} * d + second_size(); }

  double centred(const Data& data, int64_t i, int32_t c, int32_t k, int32_t j) const {
    return data.z(i, j) - means[static_cast<size_t>((c * n_components + k) * d + j)];
  }
  double mahalanobis(const Data& data, int64_t i, int32_t c, int32_t k) const {
    const int32_t ck = c * n_components + k;
    double sum = 0;
    for (int32_t a = 0; a < d; ++a) {
      double y = 0;
      if (family == Family::spherical) y = factors[static_cast<size_t>(ck)] * centred(data, i, c, k, a);
      if (family == Family::diag) y = factors[static_cast<size_t>(ck * d + a)] * centred(data, i, c, k, a);
      const int32_t matrix = family == Family::tied ? c : ck;
      if (family == Family::full || family == Family::tied)
        for (int32_t b = 0; b <= a; ++b)
          y += factors[static_cast<size_t>((matrix * d + a) * d + b)] * centred(data, i, c, k, b);
      sum += y * y;
    }
    return sum;
  }
  // log-densities of a row under one candidate; returns the log of their sum.
  double log_prob(const Data& data, int64_t i, int32_t c, std::vector<double>& log_density) const {
    log_density.assign(static_cast<size_t>(n_components), 0);
    double largest = -INFINITY, sum = 0;
    for (int32_t k = 0; k < n_components; ++k) {
      double& value = log_density[static_cast<size_t>(k)];
      value = log_offset[static_cast<size_t>(c * n_components + k)] - mahalanobis(data, i, c, k) / 2;
      largest = std::max(largest, value);
    }
    for (const double value : log_density) sum += std::exp(value - largest);
    return largest + std::log(sum);
  }

  // Adds a row with the given responsibilities (times its weight) to the statistics of candidate c.
  void add(const Data& data, int64_t i, int32_t c, const std::vector<double>& resp, double* stats) const {
    stats[1] += data.w(i);
    double *counts = stats + 2, *first = counts + n_components, *second = first + n_components * d;
    for (int32_t k = 0; k < n_components; ++k) {
      const double r = data.w(i) * resp[static_cast<size_t>(k)];
      counts[k] += r;
      for (int32_t a = 0; a < d; ++a) {
        const double t = centred(data, i, c, k, a);
        first[k * d + a] += r * t;
        if (family == Family::diag) second[k * d + a] += r * t * t;
        if (family == Family::spherical) second[k] += r * t * t;
        double* packed = second + (family == Family::full ? k * (d * (d + 1) / 2) : 0) + a * (a + 1) / 2;
        if (family == Family::full || family == Family::tied)
          for (int32_t b = 0; b <= a; ++b) packed[b] += r * t * centred(data, i, c, k, b);
      }
    }
  }
};

}  // namespace cases
