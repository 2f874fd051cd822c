// Products of columns with vectors, X~' R, and weighted sums of their squares.
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

const ColumnSumsJob& as_job(const void* job) { return *static_cast<const ColumnSumsJob*>(job); }

// The piece of the work that is one item.
struct Piece {
  int64_t first_row, rows, first, end;
  double* out;  // (K, m) of its part
};

Piece piece_of(const ColumnSumsJob& job, int64_t index) {
  const int64_t part = index / job.cut.n_blocks, block = index % job.cut.n_blocks;
  const int64_t row = part * job.cut.part_rows, first = block * job.cut.block_columns;
  return {row, smaller(job.cut.part_rows, job.x.n - row), first, smaller(first + job.cut.block_columns, job.m),
          job.out + part * job.n_vectors * job.m};
}

constexpr int together = 4;     // columns that share a reading of the vectors
constexpr int64_t near = 1024;  // rows of them that stay in cache while one vector after the other passes

// Adds rows [begin, begin + rows) of four columns times `Vectors` vectors from k on.
template <ColumnSum Kind, int Vectors, class In>
PYESTIM_INLINE void add_tile(const ColumnSumsJob& job, const In* const* x, const double* centre, int32_t k,
                             int64_t begin, int64_t rows, int count, double* out) {
  const double* r[Vectors];
  for (int v = 0; v < Vectors; ++v) r[v] = job.r + (k + v) * job.x.n + begin;
  double sum[Vectors][together];
  sum_tile<Kind, together, Vectors, Vectors == 1 ? 2 : 1>(x, centre, r, rows, sum);
  for (int v = 0; v < Vectors; ++v)
    for (int c = 0; c < count; ++c) out[(k + v) * job.m + c] += sum[v][c];
}

// Columns in one piece each.
template <ColumnSum Kind, class In>
void sum_by_columns(const ColumnSumsJob& job, const Piece& piece) {
  for (int64_t first = piece.first; first < piece.end; first += together) {
    const int count = int(smaller(together, piece.end - first));
    const In* column[together];
    double centre[together];
    for (int c = 0; c < together; ++c) {
      const int64_t j = column_number(job.columns, first + (c < count ? c : 0));
      column[c] = dense_column<In>(job.x, j);
      centre[c] = job.x.centre[j];
    }
    for (int64_t i = piece.first_row; i < piece.first_row + piece.rows; i += near) {
      const int64_t rows = smaller(near, piece.first_row + piece.rows - i);
      const In* x[together];
      for (int c = 0; c < together; ++c) x[c] = column[c] + i;
      int32_t k = 0;
      for (; k + 3 <= job.n_vectors; k += 3) add_tile<Kind, 3>(job, x, centre, k, i, rows, count, piece.out + first);
      for (; k < job.n_vectors; ++k) add_tile<Kind, 1>(job, x, centre, k, i, rows, count, piece.out + first);
    }
  }
}

// Adds `Rows` rows, `apart` from each other, all columns of the piece, to the sums of vector k.
template <ColumnSum Kind, int Rows, class In>
PYESTIM_INLINE void add_rows(const ColumnSumsJob& job, const Piece& piece, int64_t i, int64_t apart, int32_t k) {
  const In* x[Rows];
  double r[Rows];
  for (int t = 0; t < Rows; ++t) {
    x[t] = dense_row<In>(job.x, i + t * apart);
    r[t] = job.r[k * job.x.n + i + t * apart];
  }
  double* out = piece.out + k * job.m;
  const double* centre = job.x.centre;
  int64_t c = piece.first;
  for (; c + w <= piece.end; c += w) {
    V sum = load(out + c);
    const V middle = load(centre + c);
    for (int t = 0; t < Rows; ++t) sum += Term<Kind>::of(load_as<double>(x[t] + c) - middle, broadcast(r[t]));
    store(out + c, sum);
  }
  for (; c < piece.end; ++c)
    for (int t = 0; t < Rows; ++t) out[c] += Term<Kind>::of(double(x[t][c]) - centre[c], r[t]);
}

// Rows in one piece each, all columns: the sums stay in cache while the rows pass.
template <ColumnSum Kind, class In>
void sum_by_rows(const ColumnSumsJob& job, const Piece& piece) {
  const int64_t end = piece.first_row + piece.rows, apart = rows_apart(job.x, piece.rows);
  int64_t i = piece.first_row;
  for (; i + rows_together * apart <= end; i += rows_together * apart)
    for (int64_t row = i; row < i + apart; ++row)
      for (int32_t k = 0; k < job.n_vectors; ++k) add_rows<Kind, rows_together, In>(job, piece, row, apart, k);
  for (; i < end; ++i)
    for (int32_t k = 0; k < job.n_vectors; ++k) add_rows<Kind, 1, In>(job, piece, i, 1, k);
}

// Chosen columns of rows, or any strides: entry by entry, in the order of the memory.
template <ColumnSum Kind, class In>
void sum_anyhow(const ColumnSumsJob& job, const Piece& piece) {
  const ColumnsView& x = job.x;
  const int64_t begin = piece.first_row, end = begin + piece.rows;
  for (int32_t k = 0; k < job.n_vectors; ++k) {
    double* out = piece.out + k * job.m;
    const double* r = job.r + k * x.n;
    for (int64_t c = piece.first; c < piece.end && !row_major(x); ++c) {
      const int64_t j = column_number(job.columns, c);
      out[c] = sum_strided<Kind, In>(x, j, x.centre[j], r, begin, end);
    }
    for (int64_t i = begin; i < end && row_major(x); ++i) {
      for (int64_t c = piece.first; c < piece.end; ++c) {
        const int64_t j = column_number(job.columns, c);
        out[c] += Term<Kind>::of(dense_entry<In>(x, i, j) - x.centre[j], r[i]);
      }
    }
  }
}

// sum r (x - m) = sum r x - m sum r;  sum r (x - m)^2 over the entries, and m^2 for each row without one.
template <ColumnSum Kind, class In, class Index>
void sum_sparse(const ColumnSumsJob& job, const Piece& piece) {
  for (int64_t c = piece.first; c < piece.end; ++c) {
    const int64_t j = column_number(job.columns, c);
    const double centre = job.x.centre[j];
    const auto column = sparse_column<In, Index>(job.x, j);
    for (int32_t k = 0; k < job.n_vectors; ++k) {
      const double* r = job.r + k * job.x.n;
      piece.out[k * job.m + c] = Kind == ColumnSum::dot ? sum_entries<ColumnSum::dot>(column, r) - centre * job.r_sum[k]
                                                        : square_sparse(column, centre, r, job.r_sum[k], job.x.n);
    }
  }
}

template <ColumnSum Kind, class In, class Index>
void sum_piece(const ColumnSumsJob& job, const Piece& piece) {
  if (job.x.sparse) {
    sum_sparse<Kind, In, Index>(job, piece);
  } else if (by_columns(job.x)) {
    sum_by_columns<Kind, In>(job, piece);
  } else if (by_rows(job.x) && job.columns == nullptr) {
    sum_by_rows<Kind, In>(job, piece);
  } else {
    sum_anyhow<Kind, In>(job, piece);
  }
}

int64_t scratch_bytes(const void*) { return 0; }

double item_flops(const void* any_job) {
  const ColumnSumsJob& job = as_job(any_job);
  // Entries come from memory: each costs as much as eight operations.
  return 8.0 * job.n_vectors * double(job.cut.part_rows) * double(job.cut.block_columns);
}

Status item(const void* any_job, int64_t index, void*) {
  const ColumnSumsJob& job = as_job(any_job);
  const Piece piece = piece_of(job, index);
  const bool square = job.sum == ColumnSum::square;
  for (int32_t k = 0; k < job.n_vectors; ++k)
    for (int64_t c = piece.first; c < piece.end; ++c) piece.out[k * job.m + c] = 0;
  with_types(job.x, [&](auto in, auto row) {
    using In = decltype(in);
    using Index = decltype(row);
    if (square) {
      sum_piece<ColumnSum::square, In, Index>(job, piece);
    } else {
      sum_piece<ColumnSum::dot, In, Index>(job, piece);
    }
  });
  for (int32_t k = 0; k < job.n_vectors; ++k) {
    for (int64_t c = piece.first; c < piece.end; ++c) {
      const double factor = job.x.factor[column_number(job.columns, c)];
      piece.out[k * job.m + c] *= square ? factor * factor : factor;
    }
  }
  return Status::ok;
}

}  // namespace

extern const ItemOp column_sums_op = {scratch_bytes, item_flops, item};

}  // namespace pyestim::PYESTIM_ISA
