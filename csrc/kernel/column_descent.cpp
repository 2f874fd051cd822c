// Coordinate descent on columns: sum_ki d_i r_ki^2 / 2 + penalty, the weighted residual s = d r kept.
//
// An intercept is not visited but eliminated: at any beta its best value makes sum_i s_i zero, and with columns centred
// at their means under d it stays so. Slopes and intercept are then independent of each other.
#include <stdint.h>
#if !defined(__GNUC__)
#include <math.h>
#endif

#include "kernel/ops.hpp"

namespace pyestim::PYESTIM_ISA {
namespace {

#include "math/pack.hpp"
//
#include "math/prox.hpp"
//
#include "kernel/tile.hpp"
//
#include "kernel/column.hpp"
//
#include "kernel/descent.hpp"

const ColumnDescentJob& as_job(const void* job) { return *static_cast<const ColumnDescentJob*>(job); }

// What is known of the chosen columns before the first pass.
struct Chosen {
  double* centre;     // (m,) the means under d with an intercept, else the design's
  double* curvature;  // (m,)
  double* sum;        // (m,) sparse: sum_i d_i (x_ij - centre_j) factor_j
  double* start;      // (K, m) beta before the first pass
};

Chosen carve_chosen(Arena& arena, const Descent& job) {
  Chosen c;
  c.centre = arena.take<double>(job.m);
  c.curvature = arena.take<double>(job.m);
  c.sum = arena.take<double>(job.m);
  c.start = arena.take<double>(job.n_outputs * job.m);
  return c;
}

double* carve_residual(Arena& arena, const ColumnDescentJob& job) {
  return arena.take<double>(job.descent.n_outputs * job.x.n);
}

double sum_of(const double* a, int64_t n) {
  double sum = 0;
  for (int64_t i = 0; i < n; ++i) sum += a[i];
  return sum;
}

// s_i += step d_i (x_i - centre)
template <class In>
PYESTIM_INLINE void weighted_step(const In* x, double centre, double step, const double* d, double* s, int64_t n) {
  const V middle = broadcast(centre), size = broadcast(step);
  int64_t i = 0;
  for (; i + w <= n; i += w) store(s + i, load(s + i) + (load_as<double>(x + i) - middle) * size * load(d + i));
  for (; i < n; ++i) s[i] += (double(x[i]) - centre) * step * d[i];
}

template <class In>
struct DenseForm {
  const ColumnDescentJob& job;
  Chosen chosen;
  double* s;  // (K, n)

  template <ColumnSum Kind>
  PYESTIM_INLINE double sum(int64_t j, double centre, const double* r) const {
    if (by_columns(job.x)) {
      const In* x = dense_column<In>(job.x, job.columns[j]);
      double total;
      sum_columns<Kind, 1, 4>(&x, &centre, r, job.x.n, &total);
      return total;
    }
    double total = 0;
    for (int64_t i = 0; i < job.x.n; ++i)
      total += Term<Kind>::of(dense_entry<In>(job.x, i, job.columns[j]) - centre, r[i]);
    return total;
  }

  void measure(int64_t j, double d_sum) {
    const double design = job.x.centre[job.columns[j]], factor = job.x.factor[job.columns[j]];
    const bool centred = job.intercept != nullptr && d_sum > 0;
    chosen.centre[j] = centred ? design + sum<ColumnSum::dot>(j, design, job.d) / d_sum : design;
    chosen.curvature[j] = sum<ColumnSum::square>(j, chosen.centre[j], job.d) * factor * factor;
  }

  PYESTIM_INLINE double curvature(int64_t j) const { return chosen.curvature[j]; }

  PYESTIM_INLINE void gradient(int64_t j, double* out) const {
    const double factor = job.x.factor[job.columns[j]];
    for (int32_t k = 0; k < job.descent.n_outputs; ++k)
      out[k] = factor * sum<ColumnSum::dot>(j, chosen.centre[j], s + k * job.x.n);
  }

  PYESTIM_INLINE void move(int64_t j, const double* change) {
    const int64_t column = job.columns[j], n = job.x.n;
    for (int32_t k = 0; k < job.descent.n_outputs; ++k) {
      const double step = -change[k] * job.x.factor[column];
      if (step == 0) continue;
      if (by_columns(job.x)) {
        weighted_step(dense_column<In>(job.x, column), chosen.centre[j], step, job.d, s + k * n, n);
      } else {
        for (int64_t i = 0; i < n; ++i)
          s[k * n + i] += (dense_entry<In>(job.x, i, column) - chosen.centre[j]) * step * job.d[i];
      }
    }
  }

  // r -= X~ change, columns centred as in the passes.
  void settle(int64_t j, int32_t k, double change) {
    const int64_t column = job.columns[j], n = job.x.n;
    const double step = -change * job.x.factor[column];
    if (by_columns(job.x)) {
      step_along(dense_column<In>(job.x, column), chosen.centre[j], step, job.r + k * n, n);
    } else {
      for (int64_t i = 0; i < n; ++i) job.r[k * n + i] += (dense_entry<In>(job.x, i, column) - chosen.centre[j]) * step;
    }
  }
  void finish() {}
};

// The centres stay outside the vector: s_i = stored_i + shift d_i, and the sum of s is known.
template <class In, class Index>
struct SparseForm {
  const ColumnDescentJob& job;
  Chosen chosen;
  double* s;      // (K, n) stored
  double* shift;  // (K,)
  double* s_sum;  // (K,) sum_i s_i
  double d_sum;

  PYESTIM_INLINE SparseColumn<In, Index> column(int64_t j) const {
    return sparse_column<In, Index>(job.x, job.columns[j]);
  }

  void measure(int64_t j, double total) {
    const double factor = job.x.factor[job.columns[j]];
    const double sum = sum_entries<ColumnSum::dot>(column(j), job.d);
    const bool centred = job.intercept != nullptr && total > 0;
    const double centre = centred ? sum / total : job.x.centre[job.columns[j]];
    chosen.centre[j] = centre;
    chosen.sum[j] = (sum - centre * total) * factor;
    chosen.curvature[j] = square_sparse(column(j), centre, job.d, total, job.x.n) * factor * factor;
  }

  PYESTIM_INLINE double curvature(int64_t j) const { return chosen.curvature[j]; }

  // sum s (x - m) = sum stored x + shift sum d x - m sum s, over entries only.
  PYESTIM_INLINE void gradient(int64_t j, double* out) const {
    const double factor = job.x.factor[job.columns[j]], centre = chosen.centre[j];
    const double weighted = chosen.sum[j] + centre * d_sum * factor;  // sum d x factor
    for (int32_t k = 0; k < job.descent.n_outputs; ++k)
      out[k] =
          factor * (sum_entries<ColumnSum::dot>(column(j), s + k * job.x.n) - centre * s_sum[k]) + shift[k] * weighted;
  }

  PYESTIM_INLINE void move(int64_t j, const double* change) {
    const auto own = column(j);
    for (int32_t k = 0; k < job.descent.n_outputs; ++k) {
      const double step = -change[k] * job.x.factor[job.columns[j]];
      if (step == 0) continue;
      double* to = s + k * job.x.n;
      for (int64_t e = 0; e < own.count; ++e) to[own.row[e]] += step * double(own.value[e]) * job.d[own.row[e]];
      shift[k] -= step * chosen.centre[j];
      s_sum[k] -= change[k] * chosen.sum[j];
    }
  }

  void settle(int64_t j, int32_t k, double change) {
    const auto own = column(j);
    const double step = -change * job.x.factor[job.columns[j]];
    double* to = job.r + k * job.x.n;
    for (int64_t e = 0; e < own.count; ++e) to[own.row[e]] += step * double(own.value[e]);
    r_shift[k] -= step * chosen.centre[j];
  }
  double* r_shift;  // (K,)
  void finish() {
    for (int32_t k = 0; k < job.descent.n_outputs; ++k)
      for (int64_t i = 0; i < job.x.n; ++i) job.r[k * job.x.n + i] += r_shift[k];
  }
};

// With an intercept: r moves to mean zero under d, the intercept takes the mean.
void centre_residuals(const ColumnDescentJob& job, double d_sum) {
  if (job.intercept == nullptr || !(d_sum > 0)) return;
  for (int32_t k = 0; k < job.descent.n_outputs; ++k) {
    double* r = job.r + k * job.x.n;
    double mean = 0;
    for (int64_t i = 0; i < job.x.n; ++i) mean += job.d[i] * r[i];
    mean /= d_sum;
    for (int64_t i = 0; i < job.x.n; ++i) r[i] -= mean;
    job.intercept[k] += mean;
  }
}

// Passes, then the residual and the intercept at the new beta.
template <class Form>
void solve(Form& form, const ColumnDescentJob& job, double d_sum, DescentScratch work) {
  const Descent& descent = job.descent;
  for (int64_t i = 0; i < descent.n_outputs * descent.m; ++i) form.chosen.start[i] = descent.beta[i];
  descend(form, descent, work);
  for (int64_t j = 0; j < descent.m; ++j) {
    const int64_t column = job.columns[j];
    const double moved = (form.chosen.centre[j] - job.x.centre[column]) * job.x.factor[column];
    for (int32_t k = 0; k < descent.n_outputs; ++k) {
      const double change = descent.beta[k * descent.m + j] - form.chosen.start[k * descent.m + j];
      if (change == 0) continue;
      form.settle(j, k, change);
      if (job.intercept != nullptr) job.intercept[k] -= change * moved;
    }
  }
  form.finish();
  centre_residuals(job, d_sum);  // what rounding left
}

int64_t scratch_bytes(const void* any_job) {
  const ColumnDescentJob& job = as_job(any_job);
  Arena arena = arena_at(nullptr);
  carve_descent(arena, job.descent);
  carve_chosen(arena, job.descent);
  carve_residual(arena, job);
  arena.take<double>(3 * job.descent.n_outputs);
  return arena.used;
}

double item_flops(const void*) { return 0; }

Status item(const void* any_job, int64_t, void* scratch) {
  const ColumnDescentJob& job = as_job(any_job);
  const int64_t n = job.x.n, n_outputs = job.descent.n_outputs;
  Arena arena = arena_at(scratch);
  const DescentScratch work = carve_descent(arena, job.descent);
  const Chosen chosen = carve_chosen(arena, job.descent);
  double* s = carve_residual(arena, job);
  double* scalars = arena.take<double>(3 * n_outputs);
  const double d_sum = sum_of(job.d, n);
  centre_residuals(job, d_sum);
  for (int64_t k = 0; k < n_outputs; ++k) {
    for (int64_t i = 0; i < n; ++i) s[k * n + i] = job.d[i] * job.r[k * n + i];
    scalars[k] = scalars[2 * n_outputs + k] = 0;
    scalars[n_outputs + k] = sum_of(s + k * n, n);
  }
  with_types(job.x, [&](auto in, auto row) {
    using In = decltype(in);
    if (job.x.sparse) {
      SparseForm<In, decltype(row)> form = {
          job, chosen, s, scalars, scalars + n_outputs, d_sum, scalars + 2 * n_outputs};
      for (int64_t j = 0; j < job.descent.m; ++j) form.measure(j, d_sum);
      solve(form, job, d_sum, work);
    } else {
      DenseForm<In> form = {job, chosen, s};
      for (int64_t j = 0; j < job.descent.m; ++j) form.measure(j, d_sum);
      solve(form, job, d_sum, work);
    }
  });
  return Status::ok;
}

}  // namespace

extern const ItemOp column_descent_op = {scratch_bytes, item_flops, item};

}  // namespace pyestim::PYESTIM_ISA
