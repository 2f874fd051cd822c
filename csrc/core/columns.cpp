#include "core/columns.hpp"

#include <algorithm>
#include <numeric>
#include <vector>

#include "core/sweep.hpp"

namespace pyestim {
namespace {

// Items that share the work well among threads.
constexpr int64_t wanted_items = 32;
// Rows of a part at least: adding the parts must not cost.
constexpr int64_t least_part_rows = 4096;

int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

// Parts of the rows where blocks of columns alone are too few.
void cut_rows(Cut& cut, const ColumnsView& x) {
  const int64_t most = x.sparse ? 1 : std::max<int64_t>(1, x.n / least_part_rows);
  const int64_t parts = std::min(most, ceil_div(wanted_items, std::max<int64_t>(1, cut.n_blocks)));
  // Whole pages of rows, so that the vectors of all parts lie alike.
  cut.part_rows = std::max<int64_t>(1, ceil_div(ceil_div(x.n, parts), 512) * 512);
  cut.part_rows = std::min(cut.part_rows, std::max<int64_t>(1, x.n));
  cut.n_parts = std::max<int64_t>(1, ceil_div(x.n, cut.part_rows));
}

// The parts, one behind the other, added to the first one's place.
void add_parts(const std::vector<double>& parts, int64_t size, int64_t n_parts, double* out) {
  std::copy_n(parts.begin(), size, out);
  for (int64_t part = 1; part < n_parts; ++part)
    for (int64_t i = 0; i < size; ++i) out[i] += parts[static_cast<size_t>(part * size + i)];
}

// Runs the items of a job whose results are `size` numbers per part.
template <class Job>
Status run_parts(Pool& pool, const ItemOp& op, int vector_bytes, Job& job, int64_t size) {
  if (size == 0) return Status::ok;
  double* out = job.out;
  std::vector<double> parts;
  if (job.cut.n_parts > 1) {
    parts.resize(static_cast<size_t>(size * job.cut.n_parts));
    job.out = parts.data();
  }
  const Status status = run_items(pool, op, &job, vector_bytes, job.cut.n_parts * job.cut.n_blocks);
  if (status == Status::ok && job.cut.n_parts > 1) add_parts(parts, size, job.cut.n_parts, out);
  job.out = out;
  return status;
}

}  // namespace

Status run_column_sums(Pool& pool, const KernelTable& kernels, ColumnSumsJob job) {
  const int64_t m = std::max<int64_t>(1, job.m);
  job.cut.block_columns = std::clamp<int64_t>(ceil_div(m, 4 * wanted_items) * 4, 4, 512);
  job.cut.n_blocks = ceil_div(m, job.cut.block_columns);
  cut_rows(job.cut, job.x);
  std::vector<double> sums;
  if (job.x.sparse) {
    for (int32_t k = 0; k < job.n_vectors; ++k)
      sums.push_back(std::accumulate(job.r + k * job.x.n, job.r + (k + 1) * job.x.n, 0.0));
    job.r_sum = sums.data();
  }
  return run_parts(pool, *kernels.column_sums, kernels.vector_bytes, job, job.n_vectors * job.m);
}

Status run_column_times(Pool& pool, const KernelTable& kernels, ColumnTimesJob job) {
  job.cut.part_rows = job.x.sparse ? std::max<int64_t>(1, job.x.n) : 2048;
  job.cut.n_parts = ceil_div(std::max<int64_t>(1, job.x.n), job.cut.part_rows);
  job.cut.block_columns = job.m;
  job.cut.n_blocks = 1;
  return run_items(pool, *kernels.column_times, &job, kernels.vector_bytes, job.cut.n_parts);
}

Status run_column_gram(Pool& pool, const KernelTable& kernels, ColumnGramJob job) {
  job.cut.block_columns = 192;
  const int64_t panels = ceil_div(job.m_left, gram_panel), blocks = ceil_div(job.m_right, job.cut.block_columns);
  job.cut.n_blocks = panels * blocks;
  cut_rows(job.cut, job.x);
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
  const Status status = run_parts(pool, *kernels.column_gram, kernels.vector_bytes, job, job.m_left * m);
  for (int64_t a = 0; job.symmetric && a < m; ++a)
    for (int64_t b = 0; b < a; ++b) job.out[a * m + b] = job.out[b * m + a];
  return status;
}

}  // namespace pyestim
