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
#include "kernel/anderson.hpp"
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

// The weighted residual. Sparse columns are centred outside of it: s_i = stored_i + shift d_i, and its sum is known.
struct Residual {
  double* s;        // (K, n)
  double* shift;    // (K,)
  double* sum;      // (K,)
  double* saved;    // the three, one behind the other
  double* r_shift;  // (K,) what is still to be added to r
  double d_sum;
  double even;  // the row weight that all rows have, else zero
};

Residual carve_residual(Arena& arena, const ColumnDescentJob& job) {
  const int64_t k = job.descent.n_outputs, size = k * (job.x.n + 2);
  Residual a{};
  a.s = arena.take<double>(size);
  a.shift = a.s + k * job.x.n;
  a.sum = a.shift + k;
  a.saved = arena.take<double>(size);
  a.r_shift = arena.take<double>(k);
  return a;
}

void copy(const double* from, int64_t count, double* to) {
  for (int64_t i = 0; i < count; ++i) to[i] = from[i];
}

// sum_ki s_i^2 / d_i / 2
double loss_of(const ColumnDescentJob& job, const Residual& a) {
  double total = 0;
  for (int32_t k = 0; k < job.descent.n_outputs; ++k) {
    const double *s = a.s + k * job.x.n, shift = a.shift[k];
    V sum = broadcast(0.0);
    int64_t i = 0;
    for (; i + w <= job.x.n; i += w) {
      const V d = load(job.d + i), counts = select(d > broadcast(0.0), d, broadcast(1.0));
      const V whole = load(s + i) + broadcast(shift) * d;
      sum += whole * whole / counts;
    }
    total += reduce_add(sum);
    for (; i < job.x.n; ++i) {
      const double whole = s[i] + shift * job.d[i];
      if (job.d[i] > 0) total += whole * whole / job.d[i];
    }
  }
  return total / 2;
}

double sum_of(const double* a, int64_t n) {
  double sum = 0;
  for (int64_t i = 0; i < n; ++i) sum += a[i];
  return sum;
}

double even_weight(const double* d, int64_t n) {
  for (int64_t i = 0; i < n; ++i)
    if (d[i] != d[0]) return 0;
  return n > 0 ? d[0] : 0;
}

// s_i += step d_i (x_i - centre)
template <class In>
PYESTIM_INLINE void weighted_step(const In* x, double centre, double step, const double* d, double* s, int64_t n) {
  const V middle = broadcast(centre), size = broadcast(step);
  int64_t i = 0;
  for (; i + w <= n; i += w) store(s + i, load(s + i) + (load_as<double>(x + i) - middle) * size * load(d + i));
  for (; i < n; ++i) s[i] += (double(x[i]) - centre) * step * d[i];
}

// What both forms share.
struct ColumnForm {
  const ColumnDescentJob& job;
  Chosen chosen;
  Residual residual;

  // Zero instead of what rounding the mean leaves of a column of equal numbers.
  double varying(double square, int64_t j, double d_sum) const {
    constexpr double rounding = 1e-13;
    const double nothing = rounding * chosen.centre[j];
    return square > nothing * nothing * d_sum ? square : 0;
  }

  double curvature(int64_t j) const { return chosen.curvature[j]; }
  double loss() const { return loss_of(job, residual); }
  void save() { copy(residual.s, job.descent.n_outputs * (job.x.n + 2), residual.saved); }
  void narrow(const int64_t*, int64_t) {}
  void widen() {}
  void restore() { copy(residual.saved, job.descent.n_outputs * (job.x.n + 2), residual.s); }
};

template <class In>
struct DenseForm : ColumnForm {
  template <ColumnSum Kind>
  PYESTIM_INLINE double sum(int64_t j, double centre, const double* r) const {
    if (by_columns(job.x)) return sum_column<Kind>(dense_column<In>(job.x, job.columns[j]), centre, r, job.x.n);
    return sum_strided<Kind, In>(job.x, job.columns[j], centre, r, 0, job.x.n);
  }

  void measure(int64_t j, double d_sum) {
    const double design = job.x.centre[job.columns[j]], factor = job.x.factor[job.columns[j]];
    const bool centred = job.intercept != nullptr && d_sum > 0;
    chosen.centre[j] = centred ? design + sum<ColumnSum::dot>(j, design, job.d) / d_sum : design;
    chosen.curvature[j] = varying(sum<ColumnSum::square>(j, chosen.centre[j], job.d), j, d_sum) * factor * factor;
  }

  PYESTIM_INLINE void gradient(int64_t j, double* out) const {
    const double factor = job.x.factor[job.columns[j]];
    for (int32_t k = 0; k < job.descent.n_outputs; ++k)
      out[k] = factor * sum<ColumnSum::dot>(j, chosen.centre[j], residual.s + k * job.x.n);
  }

  PYESTIM_INLINE void move(int64_t j, const double* change) {
    const int64_t column = job.columns[j], n = job.x.n;
    for (int32_t k = 0; k < job.descent.n_outputs; ++k) {
      const double step = -change[k] * job.x.factor[column];
      if (step == 0) continue;
      double* s = residual.s + k * n;
      if (by_columns(job.x) && residual.even > 0) {
        step_along(dense_column<In>(job.x, column), chosen.centre[j], step * residual.even, s, n);
      } else if (by_columns(job.x)) {
        weighted_step(dense_column<In>(job.x, column), chosen.centre[j], step, job.d, s, n);
      } else {
        for (int64_t i = 0; i < n; ++i)
          s[i] += (dense_entry<In>(job.x, i, column) - chosen.centre[j]) * step * job.d[i];
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

template <class In, class Index>
struct SparseForm : ColumnForm {
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
    chosen.curvature[j] = varying(square_sparse(column(j), centre, job.d, total, job.x.n), j, total) * factor * factor;
  }

  // sum s (x - m) = sum stored x + shift sum d x - m sum s, over entries only.
  PYESTIM_INLINE void gradient(int64_t j, double* out) const {
    const double factor = job.x.factor[job.columns[j]], centre = chosen.centre[j];
    const double weighted = chosen.sum[j] + centre * residual.d_sum * factor;  // sum d x factor
    for (int32_t k = 0; k < job.descent.n_outputs; ++k)
      out[k] = factor * (sum_entries<ColumnSum::dot>(column(j), residual.s + k * job.x.n) - centre * residual.sum[k]) +
               residual.shift[k] * weighted;
  }

  PYESTIM_INLINE void move(int64_t j, const double* change) {
    const auto own = column(j);
    for (int32_t k = 0; k < job.descent.n_outputs; ++k) {
      const double step = -change[k] * job.x.factor[job.columns[j]];
      if (step == 0) continue;
      double* to = residual.s + k * job.x.n;
      for (int64_t e = 0; e < own.count; ++e) to[own.row[e]] += step * double(own.value[e]) * job.d[own.row[e]];
      residual.shift[k] -= step * chosen.centre[j];
      residual.sum[k] -= change[k] * chosen.sum[j];
    }
  }

  void settle(int64_t j, int32_t k, double change) {
    const auto own = column(j);
    const double step = -change * job.x.factor[job.columns[j]];
    double* to = job.r + k * job.x.n;
    for (int64_t e = 0; e < own.count; ++e) to[own.row[e]] += step * double(own.value[e]);
    residual.r_shift[k] -= step * chosen.centre[j];
  }
  void finish() {
    for (int32_t k = 0; k < job.descent.n_outputs; ++k)
      for (int64_t i = 0; i < job.x.n; ++i) job.r[k * job.x.n + i] += residual.r_shift[k];
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
void solve(Form form, const ColumnDescentJob& job, DescentScratch work) {
  const Descent& descent = job.descent;
  for (int64_t j = 0; j < descent.m; ++j) form.measure(j, form.residual.d_sum);
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
  centre_residuals(job, form.residual.d_sum);  // what rounding left
}

int64_t scratch_bytes(const void* any_job) {
  const ColumnDescentJob& job = as_job(any_job);
  Arena arena = arena_at(nullptr);
  carve_descent(arena, job.descent);
  carve_chosen(arena, job.descent);
  carve_residual(arena, job);
  return arena.used;
}

double item_flops(const void*) { return 0; }

Status item(const void* any_job, int64_t, void* scratch) {
  const ColumnDescentJob& job = as_job(any_job);
  const int64_t n = job.x.n, n_outputs = job.descent.n_outputs;
  Arena arena = arena_at(scratch);
  const DescentScratch work = carve_descent(arena, job.descent);
  const Chosen chosen = carve_chosen(arena, job.descent);
  Residual residual = carve_residual(arena, job);
  residual.d_sum = sum_of(job.d, n);
  residual.even = even_weight(job.d, n);
  centre_residuals(job, residual.d_sum);
  for (int64_t k = 0; k < n_outputs; ++k) {
    double* s = residual.s + k * n;
    for (int64_t i = 0; i < n; ++i) s[i] = job.d[i] * job.r[k * n + i];
    residual.shift[k] = residual.r_shift[k] = 0;
    residual.sum[k] = sum_of(s, n);
  }
  with_types(job.x, [&](auto in, auto row) {
    using In = decltype(in);
    if (job.x.sparse) {
      solve(SparseForm<In, decltype(row)>{{job, chosen, residual}}, job, work);
    } else {
      solve(DenseForm<In>{{job, chosen, residual}}, job, work);
    }
  });
  return Status::ok;
}

}  // namespace

extern const ItemOp column_descent_op = {scratch_bytes, item_flops, item};

}  // namespace pyestim::PYESTIM_ISA
