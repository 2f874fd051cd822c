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

constexpr int together = 4;

// The columns of an item, and what each of them contributes: y += (x - centre) step.
struct Terms {
  const int64_t* columns;  // null: all, from `first` on
  int64_t first;
  int64_t count;
  double* centre;  // (count,) dense
  double* step;    // (count,)

  PYESTIM_INLINE int64_t column(int64_t c) const { return columns == nullptr ? first + c : columns[first + c]; }
};

// Columns in one piece each, four at a time, so that y is read and written once for them.
template <class In>
void times_by_columns(const ColumnsView& view, const Terms& terms, int64_t begin, int64_t end, double* out) {
  const auto column = [&](int64_t c) { return dense_column<In>(view, terms.column(c)); };
  int64_t c = 0;
  for (; c + together <= terms.count; c += together) {
    const In* x[together];
    for (int t = 0; t < together; ++t) x[t] = column(c + t);
    const double *centre = terms.centre + c, *step = terms.step + c;
    int64_t i = begin;
    for (; i + w <= end; i += w) {
      V y = load(out + i);
      for (int t = 0; t < together; ++t) y += (load_as<double>(x[t] + i) - broadcast(centre[t])) * broadcast(step[t]);
      store(out + i, y);
    }
    for (; i < end; ++i)
      for (int t = 0; t < together; ++t) out[i] += (double(x[t][i]) - centre[t]) * step[t];
  }
  for (; c < terms.count; ++c) step_along(column(c) + begin, terms.centre[c], terms.step[c], out + begin, end - begin);
}

// `Rows` rows in one piece each, `apart` from each other, all columns.
template <int Rows, class In>
PYESTIM_INLINE void times_rows(const ColumnsView& view, const Terms& terms, int64_t i, int64_t apart, double* out) {
  const In* x[Rows];
  V sum[Rows];
  for (int t = 0; t < Rows; ++t) x[t] = dense_row<In>(view, i + t * apart) + terms.first, sum[t] = broadcast(0.0);
  int64_t c = 0;
  for (; c + w <= terms.count; c += w) {
    const V middle = load(terms.centre + c), step = load(terms.step + c);
    for (int t = 0; t < Rows; ++t) sum[t] += (load_as<double>(x[t] + c) - middle) * step;
  }
  for (int t = 0; t < Rows; ++t) {
    out[i + t * apart] = reduce_add(sum[t]);
    for (int64_t rest = c; rest < terms.count; ++rest)
      out[i + t * apart] += (double(x[t][rest]) - terms.centre[rest]) * terms.step[rest];
  }
}

// Chosen columns of rows, or any strides: entry by entry, in the order of the memory.
template <class In>
void times_anyhow(const ColumnsView& view, const Terms& terms, int64_t begin, int64_t end, double* out) {
  for (int64_t c = 0; c < terms.count && !row_major(view); ++c) {
    const int64_t j = terms.column(c);
    for (int64_t i = begin; i < end; ++i) out[i] += (dense_entry<In>(view, i, j) - terms.centre[c]) * terms.step[c];
  }
  // Four chains of additions for a row.
  for (int64_t i = begin; i < end && row_major(view); ++i) {
    double sum[together] = {};
    for (int64_t c = 0; c < terms.count; ++c)
      sum[c % together] += (dense_entry<In>(view, i, terms.column(c)) - terms.centre[c]) * terms.step[c];
    out[i] = (sum[0] + sum[1]) + (sum[2] + sum[3]);
  }
}

template <class In>
void times_dense(const ColumnsView& view, const Terms& terms, int64_t begin, int64_t end, double* out) {
  for (int64_t c = 0; c < terms.count; ++c) terms.centre[c] = view.centre[terms.column(c)];
  if (by_columns(view)) return times_by_columns<In>(view, terms, begin, end, out);
  if (!by_rows(view) || terms.columns != nullptr) return times_anyhow<In>(view, terms, begin, end, out);
  const int64_t apart = rows_apart(view, end - begin);
  int64_t i = begin;
  for (; i + rows_together * apart <= end; i += rows_together * apart)
    for (int64_t row = i; row < i + apart; ++row) times_rows<rows_together, In>(view, terms, row, apart, out);
  for (; i < end; ++i) times_rows<1, In>(view, terms, i, 1, out);
}

// The centre moves every row by the same amount.
template <class In, class Index>
void times_sparse(const ColumnsView& view, const Terms& terms, double* out) {
  double shift = 0;
  for (int64_t c = 0; c < terms.count; ++c) {
    const double step = terms.step[c];
    if (step == 0) continue;
    const auto column = sparse_column<In, Index>(view, terms.column(c));
    for (int64_t e = 0; e < column.count; ++e) out[column.row[e]] += step * double(column.value[e]);
    shift -= step * view.centre[terms.column(c)];
  }
  if (shift == 0) return;
  for (int64_t i = 0; i < view.n; ++i) out[i] += shift;
}

int64_t scratch_bytes(const void* job) { return 2 * as_job(job).cut.block_columns * int64_t(sizeof(double)); }

double item_flops(const void* any_job) {
  const ColumnTimesJob& job = as_job(any_job);
  const double entries = job.x.sparse ? 100 : double(job.cut.part_rows);
  return 8.0 * job.n_vectors * entries * double(job.cut.block_columns);
}

Status item(const void* any_job, int64_t index, void* scratch) {
  const ColumnTimesJob& job = as_job(any_job);
  const int64_t part = index / job.cut.n_blocks, block = index % job.cut.n_blocks;
  const int64_t begin = part * job.cut.part_rows, end = smaller(begin + job.cut.part_rows, job.x.n);
  const int64_t first = block * job.cut.block_columns, count = smaller(job.cut.block_columns, job.m - first);
  double* centre = static_cast<double*>(scratch);
  const Terms terms = {job.columns, first, count, centre, centre + job.cut.block_columns};
  for (int32_t k = 0; k < job.n_vectors; ++k) {
    double* out = job.out + (block * job.n_vectors + k) * job.x.n;
    for (int64_t i = begin; i < end; ++i) out[i] = 0;
    for (int64_t c = 0; c < count; ++c) terms.step[c] = job.beta[k * job.m + first + c] * job.x.factor[terms.column(c)];
    with_types(job.x, [&](auto in, auto row) {
      using In = decltype(in);
      if (job.x.sparse) {
        times_sparse<In, decltype(row)>(job.x, terms, out);
      } else {
        times_dense<In>(job.x, terms, begin, end, out);
      }
    });
  }
  return Status::ok;
}

}  // namespace

extern const ItemOp column_times_op = {scratch_bytes, item_flops, item};

}  // namespace pyestim::PYESTIM_ISA
