#include "core/columns.hpp"

#include <algorithm>
#include <cstdlib>
#include <numeric>
#include <vector>

#include "core/sweep.hpp"

namespace pyestim {
namespace {

// Items that share the work well among threads.
constexpr int64_t wanted_items = 32;
// Numbers that all copies of a result may take together.
constexpr int64_t most_numbers = int64_t{1} << 22;

int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

// Copies of a result of `size` numbers that are worth their memory.
int64_t most_copies(int64_t size) { return std::max<int64_t>(1, most_numbers / std::max<int64_t>(1, size)); }

// Parts of the rows, each of `least` rows at least, where blocks of columns alone are too few.
void cut_rows(Cut& cut, const ColumnsView& x, int64_t least, int64_t size) {
  const int64_t most = x.sparse ? 1 : std::clamp<int64_t>(x.n / least, 1, most_copies(size));
  const int64_t parts = std::min(most, ceil_div(wanted_items, std::max<int64_t>(1, cut.n_blocks)));
  cut.part_rows = std::max<int64_t>(8, ceil_div(ceil_div(x.n, parts), 8) * 8);
  cut.part_rows = std::min(cut.part_rows, std::max<int64_t>(1, x.n));
  cut.n_parts = std::max<int64_t>(1, ceil_div(x.n, cut.part_rows));
}

bool row_major(const ColumnsView& x) { return !x.sparse && std::abs(x.col_stride) < std::abs(x.row_stride); }

int64_t entries_per_column(const ColumnsView& x) {
  if (x.p == 0) return 0;
  const int64_t entries =
      x.index_bytes == 4 ? static_cast<const int32_t*>(x.starts)[x.p] : static_cast<const int64_t*>(x.starts)[x.p];
  return entries / x.p;
}

// Runs the items of a job that leaves `copies` results of `size` numbers, one behind the other, and adds these in
// order.
template <class Job>
Status run_cut(Pool& pool, const ItemOp& op, int vector_bytes, Job& job, int64_t size, int64_t copies) {
  if (size == 0) return Status::ok;
  double* out = job.out;
  std::vector<double> results;
  if (copies > 1) {
    results.resize(static_cast<size_t>(size * copies));
    job.out = results.data();
  }
  const Status status = run_items(pool, op, &job, vector_bytes, job.cut.n_parts * job.cut.n_blocks);
  job.out = out;
  if (status != Status::ok || copies == 1) return status;
  std::copy_n(results.begin(), size, out);
  for (int64_t copy = 1; copy < copies; ++copy)
    for (int64_t i = 0; i < size; ++i) out[i] += results[static_cast<size_t>(copy * size + i)];
  return Status::ok;
}

// Whether the products of columns with themselves are summed row by row: columns must be few enough for their triangle
// to stay in cache, and rows many enough to be cut for the threads.
bool wants_rows(const ColumnGramJob& job) {
  constexpr int64_t most_columns = 512, least_rows = 8192;
  return job.symmetric && !job.x.sparse && job.m_left <= most_columns && job.x.n >= least_rows &&
         std::all_of(job.d, job.d + job.x.n, [](double d) { return d >= 0; });
}

}  // namespace

Status run_column_sums(Pool& pool, const KernelTable& kernels, ColumnSumsJob job) {
  const int64_t m = std::max<int64_t>(1, job.m);
  const bool by_rows = row_major(job.x);
  job.cut.block_columns = by_rows ? 1 << 15 : std::clamp<int64_t>(ceil_div(m, 4 * wanted_items) * 4, 4, 512);
  job.cut.n_blocks = ceil_div(m, job.cut.block_columns);
  // Adding the parts must not cost: a part of rows is many times as large as its sums.
  cut_rows(job.cut, job.x, by_rows ? 48 : 4096, job.n_vectors * job.m);
  std::vector<double> sums;
  if (job.x.sparse) {
    for (int32_t k = 0; k < job.n_vectors; ++k)
      sums.push_back(std::accumulate(job.r + k * job.x.n, job.r + (k + 1) * job.x.n, 0.0));
    job.r_sum = sums.data();
  }
  return run_cut(pool, *kernels.column_sums, kernels.vector_bytes, job, job.n_vectors * job.m, job.cut.n_parts);
}

Status run_column_times(Pool& pool, const KernelTable& kernels, ColumnTimesJob job) {
  const int64_t n = std::max<int64_t>(1, job.x.n), m = std::max<int64_t>(1, job.m);
  int64_t blocks = 1;
  if (job.x.sparse) {
    job.cut.part_rows = n;
    // Each block writes all rows: worth it only where its entries are more.
    blocks = std::clamp<int64_t>(m * entries_per_column(job.x) / (4 * n), 1, wanted_items);
  } else if (row_major(job.x)) {
    job.cut.part_rows = std::clamp<int64_t>(ceil_div(ceil_div(n, wanted_items), 8) * 8, 64, 2048);
  } else {
    job.cut.part_rows = 2048;
    blocks = std::clamp<int64_t>(wanted_items / ceil_div(n, job.cut.part_rows), 1, ceil_div(m, 64));
  }
  blocks = std::min(blocks, most_copies(job.n_vectors * n));
  job.cut.n_parts = ceil_div(n, job.cut.part_rows);
  job.cut.block_columns = ceil_div(ceil_div(m, blocks), 4) * 4;
  job.cut.n_blocks = ceil_div(m, job.cut.block_columns);
  return run_cut(pool, *kernels.column_times, kernels.vector_bytes, job, job.n_vectors * job.x.n, job.cut.n_blocks);
}

Status run_column_gram(Pool& pool, const KernelTable& kernels, ColumnGramJob job) {
  job.cut.block_columns = 192;
  const int64_t panels = ceil_div(job.m_left, gram_panel), blocks = ceil_div(job.m_right, job.cut.block_columns);
  job.by_rows = wants_rows(job);
  job.cut.n_blocks = job.by_rows ? 1 : panels * blocks;
  cut_rows(job.cut, job.x, 4096, job.m_left * job.m_right);
  std::vector<double> weight_sum(static_cast<size_t>(job.x.sparse ? job.m_right : 0));
  std::vector<double> zero, one;
  if (job.x.sparse && job.m_right > 0) {
    // Sums of the entries themselves: coordinates without centre and factor.
    zero.assign(static_cast<size_t>(job.x.p), 0), one.assign(static_cast<size_t>(job.x.p), 1);
    ColumnSumsJob sums{ColumnSum::dot, job.x, job.right, job.m_right, 1, job.d, nullptr, weight_sum.data(), {}};
    sums.x.centre = zero.data(), sums.x.factor = one.data();
    if (const Status status = run_column_sums(pool, kernels, sums); status != Status::ok) return status;
    job.weight_sum = weight_sum.data();
    job.d_sum = std::accumulate(job.d, job.d + job.x.n, 0.0);
  }
  const int64_t m = job.m_right;
  const Status status = run_cut(pool, *kernels.column_gram, kernels.vector_bytes, job, job.m_left * m, job.cut.n_parts);
  for (int64_t a = 0; job.symmetric && a < m; ++a)
    for (int64_t b = 0; b < a; ++b) job.out[a * m + b] = job.out[b * m + a];
  return status;
}

}  // namespace pyestim
