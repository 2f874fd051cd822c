// Columns of every layout against slow sums, and descent against its first-order conditions, on memory without a byte
// to spare.
#include <algorithm>
#include <memory>

#include "cases.hpp"
#include "check.hpp"
#include "core/columns.hpp"
#include "core/sweep.hpp"
#include "kernel/dispatch.hpp"

using namespace cases;

namespace {

// A matrix as the kernels see it, and its entries in working coordinates.
struct Matrix {
  ColumnsView view{};
  std::vector<double> z;  // (n, p)
  std::unique_ptr<Data> dense;
  std::vector<double> centre, factor, doubles;
  std::vector<float> singles;
  std::vector<int32_t> rows4, starts4;
  std::vector<int64_t> rows8, starts8;

  double at(int64_t i, int64_t j) const { return z[static_cast<size_t>(i * view.p + j)]; }
};

std::unique_ptr<Matrix> dense_matrix(int64_t n, int32_t p, Layout layout, Dtype dtype, unsigned seed) {
  auto m = std::make_unique<Matrix>();
  m->dense = std::make_unique<Data>(n, p, layout, dtype, false, seed);
  const RowsView& rows = m->dense->view;
  m->view.dtype = dtype;
  m->view.data = rows.data;
  m->view.row_stride = rows.row_stride;
  m->view.col_stride = rows.col_stride;
  m->view.n = n;
  m->view.p = p;
  m->view.centre = rows.centre;
  m->view.factor = rows.scale;
  for (int64_t i = 0; i < n; ++i)
    for (int32_t j = 0; j < p; ++j) m->z.push_back(m->dense->z(i, j));
  return m;
}

// About every third entry is there; the last column is empty.
std::unique_ptr<Matrix> sparse_matrix(int64_t n, int32_t p, Dtype dtype, bool wide_index, unsigned seed) {
  auto m = std::make_unique<Matrix>();
  std::mt19937 random(seed);
  std::normal_distribution<double> normal;
  m->starts8.push_back(0);
  m->z.assign(static_cast<size_t>(n * p), 0);
  for (int32_t j = 0; j < p; ++j) {
    m->centre.push_back(0.25 * (j % 3)), m->factor.push_back(j % 2 ? 0.5 : 1);
    for (int64_t i = 0; i < n; ++i) {
      double x = 0;
      if (j + 1 < p && random() % 3 == 0) {
        x = static_cast<float>(normal(random) + 1);
        m->doubles.push_back(x);
        m->rows8.push_back(i);
      }
      m->z[static_cast<size_t>(i * p + j)] = (x - m->centre.back()) * m->factor.back();
    }
    m->starts8.push_back(static_cast<int64_t>(m->doubles.size()));
  }
  m->singles.assign(m->doubles.begin(), m->doubles.end());
  for (const int64_t row : m->rows8) m->rows4.push_back(static_cast<int32_t>(row));
  for (const int64_t start : m->starts8) m->starts4.push_back(static_cast<int32_t>(start));
  m->rows8.shrink_to_fit(), m->rows4.shrink_to_fit(), m->doubles.shrink_to_fit();
  m->view.dtype = dtype;
  m->view.sparse = true;
  m->view.index_bytes = wide_index ? 8 : 4;
  m->view.data = dtype == Dtype::float32 ? static_cast<const void*>(m->singles.data()) : m->doubles.data();
  m->view.entry_row = wide_index ? static_cast<const void*>(m->rows8.data()) : m->rows4.data();
  m->view.starts = wide_index ? static_cast<const void*>(m->starts8.data()) : m->starts4.data();
  m->view.n = n;
  m->view.p = p;
  m->view.centre = m->centre.data();
  m->view.factor = m->factor.data();
  return m;
}

// Every level, layout, type and a few shapes, of one and of several parts.
template <class Body>
void for_each_matrix(Body body) {
  constexpr std::pair<int64_t, int32_t> shapes[] = {{1, 1}, {3, 5}, {17, 4}, {130, 19}, {9001, 3}, {70, 260}};
  unsigned seed = 0;
  for (const KernelTable* table : available_tables())
    for (const auto& [n, p] : shapes)
      for (int form = 0; form < 6; ++form) {
        const Dtype dtype = ++seed % 2 ? Dtype::float64 : Dtype::float32;
        body(*table, form < 4 ? *dense_matrix(n, p, static_cast<Layout>(form), dtype, seed)
                              : *sparse_matrix(n, p, dtype, form == 5, seed));
      }
}

std::vector<double> numbers(int64_t count, unsigned seed) {
  std::mt19937 random(seed);
  std::normal_distribution<double> normal;
  std::vector<double> made(static_cast<size_t>(count));
  for (double& value : made) value = normal(random);
  return made;
}

// Every third column, the last one first; null where all are asked for.
std::vector<int64_t> some_columns(const ColumnsView& x) {
  std::vector<int64_t> chosen;
  for (int64_t j = x.p - 1; j >= 0; j -= 3) chosen.push_back(j);
  return chosen;
}

bool close(double got, double want, double size) {
  return std::isfinite(got) && std::abs(got - want) <= 1e-12 * (1 + size);
}

TEST(column_sums_are_right) {
  for_each_matrix([](const KernelTable& table, const Matrix& matrix) {
    const ColumnsView& x = matrix.view;
    Pool pool(2, 2);
    for (const bool all : {true, false})
      for (const ColumnSum sum : {ColumnSum::dot, ColumnSum::square}) {
        constexpr int32_t n_vectors = 4;
        std::vector<double> r = numbers(n_vectors * x.n, 3);
        if (sum == ColumnSum::square)
          for (double& value : r) value *= value;
        std::vector<int64_t> chosen = some_columns(x);
        const int64_t m = all ? x.p : static_cast<int64_t>(chosen.size());
        std::vector<double> out(static_cast<size_t>(n_vectors * m), NAN);
        const ColumnSumsJob job = {sum,        x, all ? nullptr : chosen.data(), m, n_vectors, r.data(), nullptr,
                                   out.data(), {}};
        CHECK(run_column_sums(pool, table, job) == Status::ok);
        for (int32_t k = 0; k < n_vectors; ++k)
          for (int64_t c = 0; c < m; ++c) {
            double want = 0, size = 0;
            for (int64_t i = 0; i < x.n; ++i) {
              const double z = matrix.at(i, all ? c : chosen[static_cast<size_t>(c)]);
              const double term = r[static_cast<size_t>(k * x.n + i)] * (sum == ColumnSum::square ? z * z : z);
              want += term, size += std::abs(term) + 1;
            }
            CHECK(close(out[static_cast<size_t>(k * m + c)], want, size));
          }
      }
  });
}

TEST(column_combinations_are_right) {
  for_each_matrix([](const KernelTable& table, const Matrix& matrix) {
    const ColumnsView& x = matrix.view;
    Pool pool(2, 2);
    for (const bool all : {true, false}) {
      constexpr int32_t n_vectors = 2;
      std::vector<int64_t> chosen = some_columns(x);
      const int64_t m = all ? x.p : static_cast<int64_t>(chosen.size());
      std::vector<double> beta = numbers(n_vectors * m, 4), out(static_cast<size_t>(n_vectors * x.n), NAN);
      const ColumnTimesJob job = {x, all ? nullptr : chosen.data(), m, n_vectors, beta.data(), out.data(), {}};
      CHECK(run_column_times(pool, table, job) == Status::ok);
      for (int32_t k = 0; k < n_vectors; ++k)
        for (int64_t i = 0; i < x.n; ++i) {
          double want = 0;
          for (int64_t c = 0; c < m; ++c)
            want += matrix.at(i, all ? c : chosen[static_cast<size_t>(c)]) * beta[static_cast<size_t>(k * m + c)];
          CHECK(close(out[static_cast<size_t>(k * x.n + i)], want, 10.0 * static_cast<double>(m)));
        }
    }
  });
}

TEST(column_products_are_right) {
  for_each_matrix([](const KernelTable& table, const Matrix& matrix) {
    const ColumnsView& x = matrix.view;
    Pool pool(2, 2);
    std::vector<double> d = numbers(x.n, 5);
    for (double& value : d) value *= value;
    std::vector<int64_t> left = some_columns(x), right;
    for (int64_t j = 0; j < x.p; ++j) right.push_back(j);
    struct Form {
      bool symmetric, by_rows;
    };
    for (const auto [symmetric, by_rows] : {Form{false, false}, Form{true, false}, Form{true, true}}) {
      if (by_rows && x.sparse) continue;
      const std::vector<int64_t>& a = symmetric ? right : left;
      const auto m_a = static_cast<int64_t>(a.size()), m_b = static_cast<int64_t>(right.size());
      std::vector<double> out(static_cast<size_t>(m_a * m_b), NAN);
      const ColumnGramJob job = {x,        a.data(), right.data(), m_a,        m_b, symmetric, by_rows,
                                 d.data(), 0,        nullptr,      out.data(), {}};
      CHECK(run_column_gram(pool, table, job) == Status::ok);
      for (int64_t s = 0; s < m_a; ++s)
        for (int64_t t = 0; t < m_b; t += 1 + t % 7) {
          double want = 0;
          for (int64_t i = 0; i < x.n; ++i)
            want += d[static_cast<size_t>(i)] * matrix.at(i, a[static_cast<size_t>(s)]) * matrix.at(i, t);
          CHECK(close(out[static_cast<size_t>(s * m_b + t)], want, 30.0 * static_cast<double>(x.n)));
          CHECK(!symmetric || out[static_cast<size_t>(s * m_b + t)] == out[static_cast<size_t>(t * m_b + s)]);
        }
    }
  });
}

// Arrays of one problem, none longer than it must be.
struct Problem {
  std::vector<double> l1, l2, lower, upper, beta;
  int64_t epochs = 0;
  double change = 0;

  Problem(int64_t m, int32_t n_outputs)
      : l1(static_cast<size_t>(m), 0.02),
        l2(static_cast<size_t>(m), 0.01),
        lower(static_cast<size_t>(m), -0.3),
        upper(static_cast<size_t>(m), 0.2),
        beta(static_cast<size_t>(m * n_outputs), 0) {}
  Descent job(int32_t n_outputs, Penalty penalty) {
    const bool bounded = penalty != Penalty::group;
    return {static_cast<int64_t>(l1.size()),
            n_outputs,
            penalty,
            3.7,
            l1.data(),
            l2.data(),
            bounded ? lower.data() : nullptr,
            bounded ? upper.data() : nullptr,
            1e-10,
            5000,
            beta.data(),
            &epochs,
            &change};
  }
};

TEST(descent_on_columns_and_on_their_products_agree) {
  for_each_matrix([](const KernelTable& table, const Matrix& matrix) {
    const ColumnsView& x = matrix.view;
    if (x.n > 1000 || x.p > 100) return;
    Pool pool(1, 1);
    const int64_t n = x.n, m = x.p;
    std::vector<int64_t> columns;
    for (int64_t j = 0; j < m; ++j) columns.push_back(j);
    std::vector<double> d(static_cast<size_t>(n), 1 / static_cast<double>(n));
    for (const Penalty penalty : {Penalty::l1, Penalty::group}) {
      const int32_t n_outputs = penalty == Penalty::group ? 3 : 1;
      const std::vector<double> y = numbers(n_outputs * n, 6);
      std::vector<double> r = y, gram(static_cast<size_t>(m * m)), linear(static_cast<size_t>(n_outputs * m));
      Problem one(m, n_outputs), other(m, n_outputs);
      const ColumnGramJob products = {x, columns.data(), columns.data(), m, m, true, false, d.data(),
                                      0, nullptr,        gram.data(),    {}};
      CHECK(run_column_gram(pool, table, products) == Status::ok);
      for (int32_t k = 0; k < n_outputs; ++k)
        for (int64_t j = 0; j < m; ++j)
          for (int64_t i = 0; i < n; ++i)
            linear[static_cast<size_t>(k * m + j)] +=
                d[static_cast<size_t>(i)] * matrix.at(i, j) * y[static_cast<size_t>(k * n + i)];
      const GramDescentJob by_gram = {one.job(n_outputs, penalty), gram.data(), linear.data()};
      CHECK(run_items(pool, *table.gram_descent, &by_gram, table.vector_bytes, 1) == Status::ok);
      const ColumnDescentJob by_columns = {
          other.job(n_outputs, penalty), x, columns.data(), d.data(), r.data(), nullptr};
      CHECK(run_items(pool, *table.column_descent, &by_columns, table.vector_bytes, 1) == Status::ok);
      CHECK(one.change <= 1e-10 && other.change <= 1e-10);
      // The ridge makes the minimum one point.
      for (size_t i = 0; i < one.beta.size(); ++i) CHECK(std::abs(one.beta[i] - other.beta[i]) < 1e-7);
      for (int32_t k = 0; k < n_outputs; ++k)
        for (int64_t i = 0; i < n; ++i) {
          double fit = 0;
          for (int64_t j = 0; j < m; ++j) fit += matrix.at(i, j) * other.beta[static_cast<size_t>(k * m + j)];
          const auto at = static_cast<size_t>(k * n + i);
          CHECK(std::abs(y[at] - fit - r[at]) < 1e-11);
        }
    }
  });
}

TEST(an_intercept_takes_the_mean_and_no_more) {
  for (const KernelTable* table : available_tables()) {
    const auto matrix = dense_matrix(40, 6, Layout::f_order, Dtype::float64, 9);
    const auto columns = std::vector<int64_t>{0, 1, 2, 3, 4, 5};
    const std::vector<double> y = numbers(40, 7);
    std::vector<double> r = y, d, intercept = {0.5};
    for (int i = 0; i < 40; ++i) d.push_back(i % 7 ? 0.01 * (1 + i % 3) : 0);
    for (double& value : r) value += 2.5;  // y + 3 with an intercept of one half
    Problem problem(6, 1);
    const ColumnDescentJob job = {
        problem.job(1, Penalty::l1), matrix->view, columns.data(), d.data(), r.data(), intercept.data()};
    Pool pool(1, 1);
    CHECK(run_items(pool, *table->column_descent, &job, table->vector_bytes, 1) == Status::ok);
    double sum = 0;
    for (size_t i = 0; i < 40; ++i) {
      double fit = intercept[0];
      for (size_t j = 0; j < 6; ++j) fit += matrix->z[i * 6 + j] * problem.beta[j];
      CHECK(std::abs(y[i] + 3 - fit - r[i]) < 1e-12);
      sum += d[i] * r[i];
    }
    CHECK(std::abs(sum) < 1e-14);
  }
}

}  // namespace
