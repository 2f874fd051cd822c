// What the sweep over censored rows and their per-row outputs share: loading of a block, and the way from coefficients
// to the log-likelihood of every row with its gradient and curvature.
//
// Include inside the namespace of the level, after component/censored_ends.hpp and kernel/rows.hpp.
//
// All rows of a block are first taken as exact, in straight loops; those that are not are gathered by kind, so that a
// block of exact rows costs no probability.  Arithmetic is in float64 whatever the rows are.
#pragma once

using Rows64 = Block<double>;
using Tile64 = Tile<double>;
using Sums64 = WeightedSums<double>;

PYESTIM_INLINE int64_t triangle(int64_t n) { return n * (n + 1) / 2; }

// Columns of what a row leaves, each a (rows) array `Tile64::stride` apart: the order of Derivatives.
constexpr int n_derivatives = 6;
enum DerivativeColumn { column_log_prob = 0, column_a = 1, column_ak = 2, column_aa = 3, column_k = 4, column_kk = 5 };

struct CensoredBlock {
  Rows64 x;
  int n_one_sided, n_interval, n_unseen;
  int32_t* one_sided;  // numbers of the rows of each kind
  int32_t* interval;
  int32_t* unseen;  // no limit, or weight zero
  double* y;        // exact rows, and the finite end of one-sided ones or the lower one of intervals; else 0
  double* sign;     // 1: above y, -1: below it
  double* width;    // of intervals
  double* predictor;
  double* columns;  // (6, rows)
};

struct CensoredPacked {
  Working<double> x;
  double* coef;  // (C, 1 + p)
};

PYESTIM_INLINE CensoredPacked carve_censored_packed(Arena& arena, const CensoredJob& job) {
  CensoredPacked p;
  p.x = carve_working<double>(arena, job.rows.d);
  p.coef = arena.take<double>(int64_t(job.n_candidates) * (1 + job.rows.d));
  return p;
}

int64_t censored_packed_bytes(const CensoredJob& job) {
  Arena arena = arena_at(nullptr);
  carve_censored_packed(arena, job);
  return arena.used;
}

Status prepare_censored(const CensoredJob& job, void* packed) {
  Arena arena = arena_at(packed);
  const CensoredPacked p = carve_censored_packed(arena, job);
  pack_working(job.rows, p.x);
  for (int64_t c = 0; c < job.n_candidates; ++c) {
    const int64_t first = c * (1 + job.rows.d);
    LinearPredictors<double>::pack(job.coef + first, 1, job.rows.d, p.coef + first);
  }
  return Status::ok;
}

CensoredBlock carve_censored_block(Arena& arena, const CensoredJob& job, bool with_groups) {
  CensoredBlock b;
  carve_block(arena, job.rows.d, with_groups, b.x);
  b.x.ahead = nullptr;
  b.one_sided = arena.take<int32_t>(Tile64::stride);
  b.interval = arena.take<int32_t>(Tile64::stride);
  b.unseen = arena.take<int32_t>(Tile64::stride);
  b.y = arena.take<double>(Tile64::stride);
  b.sign = arena.take<double>(Tile64::stride);
  b.width = arena.take<double>(Tile64::stride);
  b.predictor = arena.take<double>(Tile64::stride);
  b.columns = arena.take<double>(int64_t(n_derivatives) * Tile64::stride);
  return b;
}

// ---- responses of a block -------------------------------------------------------------------------------------------

PYESTIM_INLINE void sort_row(const CensoredJob& job, int64_t row, int i, CensoredBlock& b) {
  const double infinity = __builtin_huge_val();
  const double lower = job.lower[row], upper = job.upper[row];
  const double shift = job.offset == nullptr ? 0.0 : job.offset[row] * job.y_scale;
  const bool open_below = lower == -infinity, open_above = upper == infinity;
  b.y[i] = 0;
  b.width[i] = 0;
  b.sign[i] = open_above ? 1 : -1;
  if ((open_below && open_above) || b.x.weight[i] == 0) {
    b.unseen[b.n_unseen++] = i;
    return;
  }
  b.y[i] = ((open_below ? upper : lower) - job.y_centre) * job.y_scale - shift;
  if (lower == upper) return;
  if (open_below || open_above) {
    b.one_sided[b.n_one_sided++] = i;
  } else {
    b.width[i] = (upper - lower) * job.y_scale;
    b.interval[b.n_interval++] = i;
  }
}

// Lists are filled up to whole vectors by repeating their last row.
PYESTIM_INLINE void fill_up(int32_t* list, int count) {
  for (int i = count; count > 0 && i % Tile64::width != 0; ++i) list[i] = list[count - 1];
}

void load_censored(const CensoredJob& job, const CensoredPacked& packed, int64_t first, int count, CensoredBlock& b) {
  if (job.rows.dtype == Dtype::float32) {
    load_block<float, double>(job.rows, packed.x, first, count, 1.0, b.x);
  } else {
    load_block<double, double>(job.rows, packed.x, first, count, 1.0, b.x);
  }
  b.n_one_sided = b.n_interval = b.n_unseen = 0;
  for (int i = 0; i < count; ++i) sort_row(job, first + i, i, b);
  for (int i = count; i < b.x.padded; ++i) {
    b.y[i] = 0;
    b.unseen[b.n_unseen++] = i;
  }
  fill_up(b.one_sided, b.n_one_sided);
  fill_up(b.interval, b.n_interval);
}

// ---- one candidate on a block ---------------------------------------------------------------------------------------

PYESTIM_INLINE Numbers gather(const double* from, const int32_t* rows) {
  alignas(alignment) double entries[Tile64::width];
  for (int i = 0; i < Tile64::width; ++i) entries[i] = from[rows[i]];
  return load(entries);
}

PYESTIM_INLINE void scatter(Numbers v, const int32_t* rows, double* to) {
  alignas(alignment) double entries[Tile64::width];
  store(entries, v);
  for (int i = 0; i < Tile64::width; ++i) to[rows[i]] = entries[i];
}

PYESTIM_INLINE double* column_of(const CensoredBlock& b, DerivativeColumn column) {
  return b.columns + int64_t(column) * Tile64::stride;
}

PYESTIM_INLINE void scatter_all(const Derivatives& d, const int32_t* rows, const CensoredBlock& b) {
  scatter(d.log_prob, rows, column_of(b, column_log_prob));
  scatter(d.a, rows, column_of(b, column_a));
  scatter(d.ak, rows, column_of(b, column_ak));
  scatter(d.aa, rows, column_of(b, column_aa));
  scatter(d.k, rows, column_of(b, column_k));
  scatter(d.kk, rows, column_of(b, column_kk));
}

template <class Law>
void exact_rows(const Law& law, const CensoredBlock& b, double inverse_scale, double log_inverse_scale) {
  for (int i = 0; i < b.x.padded; i += Tile64::width) {
    const Derivatives d = exact_row(law, inverse_scale * load(b.y + i) - load(b.predictor + i));
    store(column_of(b, column_log_prob) + i, d.log_prob + log_inverse_scale);
    store(column_of(b, column_a) + i, d.a);
    store(column_of(b, column_ak) + i, d.ak);
    store(column_of(b, column_aa) + i, d.aa);
    store(column_of(b, column_k) + i, d.k);
    store(column_of(b, column_kk) + i, d.kk);
  }
}

template <class Law>
void all_rows(const Law& law, const CensoredBlock& b, double inverse_scale) {
  const double log_inverse_scale = reduce_max(log_pos(broadcast(inverse_scale)));
  exact_rows(law, b, inverse_scale, log_inverse_scale);
  for (int i = 0; i < b.n_one_sided; i += Tile64::width) {
    const int32_t* rows = b.one_sided + i;
    const Numbers z = inverse_scale * gather(b.y, rows) - gather(b.predictor, rows);
    scatter_all(one_sided_row(law, z, gather(b.sign, rows)), rows, b);
  }
  for (int i = 0; i < b.n_interval; i += Tile64::width) {
    const int32_t* rows = b.interval + i;
    const Numbers z = inverse_scale * gather(b.y, rows) - gather(b.predictor, rows);
    scatter_all(interval_row(law, z, inverse_scale * gather(b.width, rows)), rows, b);
  }
  for (int c = 0; c < n_derivatives; ++c) {
    for (int i = 0; i < b.n_unseen; ++i) b.columns[int64_t(c) * Tile64::stride + b.unseen[i]] = 0;
  }
}

void censored_columns(const CensoredJob& job, const CensoredPacked& packed, int64_t c, const CensoredBlock& b) {
  LinearPredictors<double>::run(b.x, packed.coef + c * (1 + job.rows.d), 1, b.predictor);
  const double* shape = job.shape + c * job.n_shape;
  switch (job.law) {
    case ErrorLaw::normal:
      return all_rows(NormalError{shape, job.n_shape}, b, job.inverse_scale[c]);
    case ErrorLaw::logistic:
      return all_rows(LogisticError{shape, job.n_shape}, b, job.inverse_scale[c]);
    case ErrorLaw::student:
      return all_rows(StudentError{shape, job.n_shape}, b, job.inverse_scale[c]);
  }
}
