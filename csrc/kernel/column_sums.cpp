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

// Columns in one piece each: four at a time, so that r is read once for them.
template <ColumnSum Kind, class In>
void sum_by_columns(const ColumnSumsJob& job, const Piece& piece) {
  constexpr int together = 4;
  for (int64_t first = piece.first; first < piece.end; first += together) {
    const int count = int(smaller(together, piece.end - first));
    const In* x[together];
    double centre[together], sum[together];
    for (int c = 0; c < together; ++c) {
      const int64_t j = column_number(job.columns, first + (c < count ? c : 0));
      x[c] = dense_column<In>(job.x, j) + piece.first_row;
      centre[c] = job.x.centre[j];
    }
    for (int32_t k = 0; k < job.n_vectors; ++k) {
      sum_columns<Kind, together, 2>(x, centre, job.r + k * job.x.n + piece.first_row, piece.rows, sum);
      for (int c = 0; c < count; ++c) piece.out[k * job.m + first + c] = sum[c];
    }
  }
}

// Rows in one piece each, all columns: the sums of a block of columns stay in cache while the rows pass.
template <ColumnSum Kind, class In>
void sum_by_rows(const ColumnSumsJob& job, const Piece& piece) {
  for (int32_t k = 0; k < job.n_vectors; ++k) {
    double* out = piece.out + k * job.m;
    for (int64_t c = piece.first; c < piece.end; ++c) out[c] = 0;
    for (int64_t i = piece.first_row; i < piece.first_row + piece.rows; ++i) {
      const In* x = &dense_column<In>(job.x, 0)[0];
      x = reinterpret_cast<const In*>(reinterpret_cast<const char*>(x) + i * job.x.row_stride);
      const double r = job.r[k * job.x.n + i];
      int64_t c = piece.first;
      for (; c + w <= piece.end; c += w)
        store(out + c, load(out + c) + Term<Kind>::of(load_as<double>(x + c) - load(job.x.centre + c), broadcast(r)));
      for (; c < piece.end; ++c) out[c] += Term<Kind>::of(double(x[c]) - job.x.centre[c], r);
    }
  }
}

template <ColumnSum Kind, class In>
void sum_anyhow(const ColumnSumsJob& job, const Piece& piece) {
  for (int32_t k = 0; k < job.n_vectors; ++k) {
    double* out = piece.out + k * job.m;
    for (int64_t c = piece.first; c < piece.end; ++c) out[c] = 0;
    for (int64_t i = piece.first_row; i < piece.first_row + piece.rows; ++i) {
      for (int64_t c = piece.first; c < piece.end; ++c) {
        const int64_t j = column_number(job.columns, c);
        out[c] += Term<Kind>::of(dense_entry<In>(job.x, i, j) - job.x.centre[j], job.r[k * job.x.n + i]);
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
