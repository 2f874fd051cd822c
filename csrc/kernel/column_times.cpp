// Combinations of columns, X~ B.
#include <stdint.h>
#if !defined(__GNUC__)
#include <math.h>
#endif

#include "kernel/ops.hpp"

namespace pyestim::PYESTIM_ISA {
namespace {

#include "math/pack.hpp"
//
#include "kernel/column.hpp"

const ColumnTimesJob& as_job(const void* job) { return *static_cast<const ColumnTimesJob*>(job); }

template <class In>
void times_dense(const ColumnTimesJob& job, const double* beta, int64_t begin, int64_t end, double* out) {
  const ColumnsView& x = job.x;
  for (int64_t c = 0; c < job.m; ++c) {
    if (beta[c] == 0) continue;
    const int64_t j = column_number(job.columns, c);
    const double step = beta[c] * x.factor[j];
    if (by_columns(x)) {
      step_along(dense_column<In>(x, j) + begin, x.centre[j], step, out + begin, end - begin);
    } else {
      for (int64_t i = begin; i < end; ++i) out[i] += (dense_entry<In>(x, i, j) - x.centre[j]) * step;
    }
  }
}

// The centre moves every row by the same amount.
template <class In, class Index>
void times_sparse(const ColumnTimesJob& job, const double* beta, double* out) {
  double shift = 0;
  for (int64_t c = 0; c < job.m; ++c) {
    if (beta[c] == 0) continue;
    const int64_t j = column_number(job.columns, c);
    const double step = beta[c] * job.x.factor[j];
    const auto column = sparse_column<In, Index>(job.x, j);
    for (int64_t e = 0; e < column.count; ++e) out[column.row[e]] += step * double(column.value[e]);
    shift -= step * job.x.centre[j];
  }
  if (shift == 0) return;
  for (int64_t i = 0; i < job.x.n; ++i) out[i] += shift;
}

int64_t scratch_bytes(const void*) { return 0; }

double item_flops(const void* any_job) {
  const ColumnTimesJob& job = as_job(any_job);
  return 8.0 * job.n_vectors * double(job.cut.part_rows) * double(job.m);
}

Status item(const void* any_job, int64_t index, void*) {
  const ColumnTimesJob& job = as_job(any_job);
  const int64_t begin = index * job.cut.part_rows, end = smaller(begin + job.cut.part_rows, job.x.n);
  for (int32_t k = 0; k < job.n_vectors; ++k) {
    const double* beta = job.beta + k * job.m;
    double* out = job.out + k * job.x.n;
    for (int64_t i = begin; i < end; ++i) out[i] = 0;
    with_types(job.x, [&](auto in, auto row) {
      using In = decltype(in);
      if (job.x.sparse) {
        times_sparse<In, decltype(row)>(job, beta, out);
      } else {
        times_dense<In>(job, beta, begin, end, out);
      }
    });
  }
  return Status::ok;
}

}  // namespace

extern const ItemOp column_times_op = {scratch_bytes, item_flops, item};

}  // namespace pyestim::PYESTIM_ISA
