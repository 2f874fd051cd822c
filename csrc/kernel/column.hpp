// Reading columns: where they are, their sums with vectors, and steps along them.
//
// Include inside the namespace of the level, after math/pack.hpp. Everything is computed in double precision; the
// centre is subtracted entry by entry where columns are dense, so that a common offset costs no digits.
#pragma once

using V = Pack<double>::V;
constexpr int w = Pack<double>::width;

PYESTIM_INLINE int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }

PYESTIM_INLINE int64_t item_bytes(const ColumnsView& x) { return x.dtype == Dtype::float32 ? 4 : 8; }
PYESTIM_INLINE bool by_columns(const ColumnsView& x) { return x.row_stride == item_bytes(x) || x.n <= 1; }
PYESTIM_INLINE bool by_rows(const ColumnsView& x) { return x.col_stride == item_bytes(x) || x.p <= 1; }
PYESTIM_INLINE int64_t column_number(const int64_t* columns, int64_t c) { return columns == nullptr ? c : columns[c]; }

template <class In>
PYESTIM_INLINE const In* dense_column(const ColumnsView& x, int64_t j) {
  return reinterpret_cast<const In*>(static_cast<const char*>(x.data) + j * x.col_stride);
}

template <class In>
PYESTIM_INLINE const In* dense_row(const ColumnsView& x, int64_t i) {
  return reinterpret_cast<const In*>(static_cast<const char*>(x.data) + i * x.row_stride);
}

// Neighbours in memory are neighbours in a row.
PYESTIM_INLINE bool row_major(const ColumnsView& x) {
  const ptrdiff_t row = x.row_stride < 0 ? -x.row_stride : x.row_stride;
  const ptrdiff_t col = x.col_stride < 0 ? -x.col_stride : x.col_stride;
  return col < row;
}

// Rows that pass at the same time. Short ones are taken far from each other: each is then a stream of its own that the
// hardware fetches ahead, and eight streams arrive twice as fast as one. Long rows are streams already.
constexpr int rows_together = 8;
PYESTIM_INLINE int64_t rows_apart(const ColumnsView& x, int64_t rows) {
  constexpr int64_t long_row = 32768;  // bytes
  return x.p * item_bytes(x) >= long_row || rows < rows_together ? 1 : rows / rows_together;
}

template <class In>
PYESTIM_INLINE double dense_entry(const ColumnsView& x, int64_t i, int64_t j) {
  return double(*reinterpret_cast<const In*>(static_cast<const char*>(x.data) + i * x.row_stride + j * x.col_stride));
}

template <class In, class Index>
struct SparseColumn {
  const In* value;
  const Index* row;
  int64_t count;
};

template <class In, class Index>
PYESTIM_INLINE SparseColumn<In, Index> sparse_column(const ColumnsView& x, int64_t j) {
  const Index* starts = static_cast<const Index*>(x.starts);
  const int64_t begin = int64_t(starts[j]);
  return {static_cast<const In*>(x.data) + begin, static_cast<const Index*>(x.entry_row) + begin,
          int64_t(starts[j + 1]) - begin};
}

// Calls body(In, Index) with a value of the type of the entries and one of the type of the row numbers.
template <class Body>
PYESTIM_INLINE auto with_types(const ColumnsView& x, Body body) {
  if (!x.sparse) return x.dtype == Dtype::float32 ? body(float(), int32_t()) : body(double(), int32_t());
  if (x.index_bytes == 4) return x.dtype == Dtype::float32 ? body(float(), int32_t()) : body(double(), int32_t());
  return x.dtype == Dtype::float32 ? body(float(), int64_t()) : body(double(), int64_t());
}

// What is summed over the rows: r z, or r z^2.
template <ColumnSum Kind>
struct Term {
  template <class T>
  PYESTIM_INLINE static T of(T z, T r) {
    return Kind == ColumnSum::square ? z * z * r : z * r;
  }
};

// out[v][c] = sum_i term(x_ic - centre_c, r_vi) for a tile of columns that lie in one piece each, and vectors; `Unroll`
// chains of additions for each of them.
template <ColumnSum Kind, int Count, int Vectors, int Unroll, class In>
PYESTIM_INLINE void sum_tile(const In* const* x, const double* centre, const double* const* r, int64_t n,
                             double (&out)[Vectors][Count]) {
  V acc[Unroll][Count][Vectors];
  for (int u = 0; u < Unroll; ++u)
    for (int c = 0; c < Count; ++c)
      for (int v = 0; v < Vectors; ++v) acc[u][c][v] = broadcast(0.0);
  int64_t i = 0;
  const auto step = [&](int64_t at, int u) {
    for (int c = 0; c < Count; ++c) {
      const V z = load_as<double>(x[c] + at) - broadcast(centre[c]);
      for (int v = 0; v < Vectors; ++v) acc[u][c][v] += Term<Kind>::of(z, load(r[v] + at));
    }
  };
  for (; i + Unroll * w <= n; i += Unroll * w)
    for (int u = 0; u < Unroll; ++u) step(i + u * w, u);
  for (; i + w <= n; i += w) step(i, 0);
  for (int c = 0; c < Count; ++c) {
    for (int v = 0; v < Vectors; ++v) {
      for (int u = 1; u < Unroll; ++u) acc[0][c][v] += acc[u][c][v];
      double sum = reduce_add(acc[0][c][v]);
      for (int64_t t = i; t < n; ++t) sum += Term<Kind>::of(double(x[c][t]) - centre[c], r[v][t]);
      out[v][c] = sum;
    }
  }
}

// One column and one vector.
template <ColumnSum Kind, class In>
PYESTIM_INLINE double sum_column(const In* x, double centre, const double* r, int64_t n) {
  double sum[1][1];
  sum_tile<Kind, 1, 1, 8>(&x, &centre, &r, n, sum);
  return sum[0][0];
}

// The same for a column with any stride between its rows, in the order of the rows.
template <ColumnSum Kind, class In>
PYESTIM_INLINE double sum_strided(const ColumnsView& x, int64_t j, double centre, const double* r, int64_t begin,
                                  int64_t end) {
  double sum = 0;
  for (int64_t i = begin; i < end; ++i) sum += Term<Kind>::of(dense_entry<In>(x, i, j) - centre, r[i]);
  return sum;
}

// sum over the entries of term(x, r_row); the centre is the caller's business.
template <ColumnSum Kind, class In, class Index>
PYESTIM_INLINE double sum_entries(const SparseColumn<In, Index>& column, const double* r) {
  double even = 0, odd = 0;
  int64_t e = 0;
  for (; e + 2 <= column.count; e += 2) {
    even += Term<Kind>::of(double(column.value[e]), r[column.row[e]]);
    odd += Term<Kind>::of(double(column.value[e + 1]), r[column.row[e + 1]]);
  }
  if (e < column.count) even += Term<Kind>::of(double(column.value[e]), r[column.row[e]]);
  return even + odd;
}

// sum_i r_i (x_i - centre)^2, r not negative: the entries one by one, and the rows without one by what is left of
// r_sum.
template <class In, class Index>
PYESTIM_INLINE double square_sparse(const SparseColumn<In, Index>& column, double centre, const double* r, double r_sum,
                                    int64_t n) {
  double square = 0, present = 0;
  for (int64_t e = 0; e < column.count; ++e) {
    const double z = double(column.value[e]) - centre, weight = r[column.row[e]];
    square += weight * z * z;
    present += weight;
  }
  // What rounding leaves of the difference is nothing: else a column of equal numbers would seem to vary.
  constexpr double rounding = 1e-14;
  const double absent = column.count < n && r_sum - present > rounding * r_sum ? r_sum - present : 0;
  return square + centre * centre * absent;
}

// y_i += step (x_i - centre)
template <class In>
PYESTIM_INLINE void step_along(const In* x, double centre, double step, double* y, int64_t n) {
  const V middle = broadcast(centre), size = broadcast(step);
  int64_t i = 0;
  for (; i + w <= n; i += w) store(y + i, load(y + i) + (load_as<double>(x + i) - middle) * size);
  for (; i < n; ++i) y[i] += (double(x[i]) - centre) * step;
}
