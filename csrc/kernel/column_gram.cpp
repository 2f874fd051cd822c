// Products of columns with columns, X~_A' diag(d) X~_B.
//
// Dense: a panel of A, times d, and four columns of B at a time are brought into one layout for a block of rows; tiles
// of three by four sums stay in registers. Every layout of X takes the same way. The products of not too many columns
// with themselves over many rows are sums of outer products of rows, as in the mixtures.
#include <stdint.h>
#if !defined(__GNUC__)
#include <math.h>
#endif

#include "kernel/ops.hpp"

namespace pyestim::PYESTIM_ISA {
namespace {

#include "math/pack.hpp"
//
#include "kernel/tile.hpp"
//
#include "kernel/column.hpp"
//
#include "component/outer_triangle.hpp"

constexpr int64_t block_rows = 512;
// Distance between columns in cache: one line more than the block, else all of them fall on the same sets.
constexpr int64_t apart = block_rows + 8;
constexpr int tile_left = 3, tile_right = 4;
static_assert(gram_panel % tile_left == 0);

const ColumnGramJob& as_job(const void* job) { return *static_cast<const ColumnGramJob*>(job); }

struct Piece {
  int64_t first_row, end_row, left, left_end, right, right_end;
  double* out;  // (m_left, m_right) of its part
};

Piece piece_of(const ColumnGramJob& job, int64_t index) {
  if (job.by_rows) {
    const int64_t first = index * job.cut.part_rows;
    return {first,       smaller(first + job.cut.part_rows, job.x.n), 0, job.m_left, 0,
            job.m_right, job.out + index * job.m_left * job.m_right};
  }
  const int64_t n_right = (job.m_right + job.cut.block_columns - 1) / job.cut.block_columns;
  const int64_t part = index / job.cut.n_blocks, block = index % job.cut.n_blocks;
  const int64_t row = part * job.cut.part_rows, left = block / n_right * gram_panel;
  int64_t right = block % n_right * job.cut.block_columns;
  const int64_t right_end = smaller(right + job.cut.block_columns, job.m_right);
  if (job.symmetric && right < left) right = smaller(left, right_end);  // the rest is mirrored
  return {row,       smaller(row + job.cut.part_rows, job.x.n), left, smaller(left + gram_panel, job.m_left), right,
          right_end, job.out + part * job.m_left * job.m_right};
}

// Rows [begin, begin + rows) of a column that lies in one piece, centred, times d unless null.
template <class In>
PYESTIM_INLINE void bring_column(const In* from, double centre, int64_t rows, const double* d, double* to) {
  const V middle = broadcast(centre);
  int64_t i = 0;
  for (; i + w <= rows; i += w) {
    const V z = load_as<double>(from + i) - middle;
    store(to + i, d == nullptr ? z : z * load(d + i));
  }
  for (; i < rows; ++i) to[i] = (double(from[i]) - centre) * (d == nullptr ? 1.0 : d[i]);
}

// The same for some columns, whatever their strides; zeros up to a whole vector. Eight rows at a time: neighbouring
// columns of a matrix by rows share its lines, and a line of the copy is filled at once.
template <class In>
void bring(const ColumnsView& x, const int64_t* columns, int64_t count, int64_t begin, int64_t rows, const double* d,
           double* to) {
  constexpr int64_t strip = 8;
  const double* weight = d == nullptr ? nullptr : d + begin;
  for (int64_t c = 0; c < count && by_columns(x); ++c)
    bring_column(dense_column<In>(x, columns[c]) + begin, x.centre[columns[c]], rows, weight, to + c * apart);
  for (int64_t first = 0; first < rows && !by_columns(x); first += strip) {
    for (int64_t c = 0; c < count; ++c) {
      const double centre = x.centre[columns[c]];
      for (int64_t i = first; i < smaller(first + strip, rows); ++i)
        to[c * apart + i] =
            (dense_entry<In>(x, begin + i, columns[c]) - centre) * (weight == nullptr ? 1.0 : weight[i]);
    }
  }
  for (int64_t c = 0; c < count; ++c)
    for (int64_t i = rows; i < smaller((rows + w - 1) / w * w, block_rows); ++i) to[c * apart + i] = 0;
}

// out_ab += sum over the block of left_a right_b, for a tile of columns.
PYESTIM_INLINE void add_tile(const double* left, const double* right, int64_t rows,
                             double (&out)[tile_left][tile_right]) {
  V acc[tile_left][tile_right];
  for (int a = 0; a < tile_left; ++a)
    for (int b = 0; b < tile_right; ++b) acc[a][b] = broadcast(0.0);
  // Fifteen registers hold the sums and the left side; the right side passes through the last one.
  for (int64_t i = 0; i < rows; i += w) {
    V l[tile_left];
    for (int a = 0; a < tile_left; ++a) l[a] = load(left + a * apart + i);
    for (int b = 0; b < tile_right; ++b) {
      const V r = load(right + b * apart + i);
      for (int a = 0; a < tile_left; ++a) acc[a][b] += l[a] * r;
    }
  }
  for (int a = 0; a < tile_left; ++a)
    for (int b = 0; b < tile_right; ++b) out[a][b] = reduce_add(acc[a][b]);
}

// Four columns of `right`, brought into place, against the whole panel.
void add_stripe(const ColumnGramJob& job, const Piece& piece, int64_t right, int64_t rows, const double* panel,
                const double* stripe) {
  const int64_t count = smaller(tile_right, piece.right_end - right);
  // Where both sides are the same columns, what lies below the diagonal is mirrored.
  const int64_t last = job.symmetric ? smaller(piece.left_end, right + count) : piece.left_end;
  for (int64_t left = piece.left; left < last; left += tile_left) {
    double sums[tile_left][tile_right];
    add_tile(panel + (left - piece.left) * apart, stripe, rows, sums);
    const int64_t n_left = smaller(tile_left, piece.left_end - left);
    for (int64_t a = 0; a < n_left; ++a)
      for (int64_t b = 0; b < count; ++b) piece.out[(left + a) * job.m_right + right + b] += sums[a][b];
  }
}

template <class In>
void gram_dense(const ColumnGramJob& job, const Piece& piece, double* scratch) {
  double *panel = scratch, *stripe = scratch + gram_panel * apart;
  for (int64_t i = 0; i < (gram_panel + tile_right) * apart; ++i) scratch[i] = 0;
  for (int64_t begin = piece.first_row; begin < piece.end_row; begin += block_rows) {
    const int64_t rows = smaller(block_rows, piece.end_row - begin);
    bring<In>(job.x, job.left + piece.left, piece.left_end - piece.left, begin, rows, job.d, panel);
    for (int64_t right = piece.right; right < piece.right_end; right += tile_right) {
      const int64_t count = smaller(tile_right, piece.right_end - right);
      bring<In>(job.x, job.right + right, count, begin, rows, nullptr, stripe);
      add_stripe(job, piece, right, rows, panel, stripe);
    }
  }
}

using Outer = OuterTriangle<double>;

// The columns j .. j + features of the job, where they are.
template <class In>
struct Group {
  const In* column[w];
  double centre[w];
  int features;
  bool side_by_side;  // a whole vector in every row

  Group(const ColumnGramJob& job, int j) : features(int(smaller(w, job.m_left - j))) {
    side_by_side = by_rows(job.x) && features == w;
    for (int f = 0; f < w; ++f) {
      const int64_t number = job.left[j + (f < features ? f : 0)];
      column[f] = dense_column<In>(job.x, number);
      centre[f] = f < features ? job.x.centre[number] : 0.0;
      side_by_side = side_by_side && number == job.left[j] + f;
    }
  }
};

// Rows of a column-wise matrix, a square of width x width at a time; returns how many. The rows of the next block are
// fetched ahead: they lie in as many places as there are columns.
template <class In>
int pack_columns(const Group<In>& from, int64_t begin, int rows, [[maybe_unused]] int64_t left, const double* root,
                 double* to) {
  int i = 0;
  for (; i + w <= rows; i += w) {
    const V weight = load(root + i);
    V v[w];
#pragma GCC unroll 8
    for (int f = 0; f < w; ++f) {
      const In* at = from.column[f] + begin + i;
#if defined(__GNUC__)
      if (i % (64 / int(sizeof(In))) == 0 && i + Tile<double>::block < left)
        __builtin_prefetch(at + Tile<double>::block);
#endif
      v[f] = f < from.features ? (load_as<double>(at) - broadcast(from.centre[f])) * weight : broadcast(0.0);
    }
    transpose<double>(v);
#pragma GCC unroll 8
    for (int f = 0; f < w; ++f) store(to + (i + f) * w, v[f]);
  }
  return i;
}

// Rows [begin, begin + rows) of all columns in groups of vectors, centred, each row times its root.
template <class In>
void pack_rows(const ColumnGramJob& job, int64_t begin, int rows, int64_t left, const double* root, double* groups) {
  for (int j = 0; j < job.m_left; j += w) {
    const Group<In> from(job, j);
    double* to = groups + j / w * Outer::group;
    int i = by_columns(job.x) ? pack_columns(from, begin, rows, left, root, to) : 0;
    for (; i < rows && from.side_by_side; ++i) {
      const In* at = dense_row<In>(job.x, begin + i) + job.left[j];
      store(to + i * w, (load_as<double>(at) - load(from.centre)) * broadcast(root[i]));
    }
    for (; i < rows; ++i)
      for (int f = 0; f < w; ++f)
        to[i * w + f] =
            f < from.features ? (dense_entry<In>(job.x, begin + i, job.left[j + f]) - from.centre[f]) * root[i] : 0.0;
  }
}

// Scratch of gram_rows.
struct RowsScratch {
  double *groups, *root, *triangle;
};

RowsScratch carve_rows(Arena& arena, int m) {
  return {arena.take<double>(int64_t(Tile<double>::block) * padded_features<double>(m)),
          arena.take<double>(Tile<double>::block), arena.take<double>(int64_t(m) * (m + 1) / 2)};
}

template <class In>
void gram_rows(const ColumnGramJob& job, const Piece& piece, RowsScratch s) {
  const int m = int(job.m_left);
  const int64_t numbers = int64_t(m) * (m + 1) / 2;
  for (int64_t i = 0; i < numbers; ++i) s.triangle[i] = 0;
  for (int64_t i = 0; i < int64_t(Tile<double>::block) * padded_features<double>(m); ++i) s.groups[i] = 0;
  for (int64_t begin = piece.first_row; begin < piece.end_row; begin += Tile<double>::block) {
    const int rows = int(smaller(Tile<double>::block, piece.end_row - begin));
    for (int i = 0; i < rows; ++i) s.root[i] = sqrt_number(job.d[begin + i]);
    pack_rows<In>(job, begin, rows, piece.end_row - begin, s.root, s.groups);
    Outer::add(s.groups, rows, m, s.triangle);
  }
  for (int64_t a = 0; a < m; ++a)
    for (int64_t b = 0; b <= a; ++b) piece.out[b * m + a] = s.triangle[a * (a + 1) / 2 + b];
}

// One column of A at a time, spread out; the centres afterwards:
// sum d (x_a - m_a)(x_b - m_b) = sum d x_a x_b - m_a sum d x_b - m_b sum d x_a + m_a m_b sum d.
template <class In, class Index>
void gram_sparse(const ColumnGramJob& job, const Piece& piece, double* spread) {
  const ColumnsView& x = job.x;
  for (int64_t i = 0; i < x.n; ++i) spread[i] = 0;
  for (int64_t a = piece.left; a < piece.left_end; ++a) {
    const auto left = sparse_column<In, Index>(x, job.left[a]);
    const double centre = x.centre[job.left[a]];
    for (int64_t e = 0; e < left.count; ++e) spread[left.row[e]] = double(left.value[e]) * job.d[left.row[e]];
    double left_sum = 0;
    for (int64_t e = 0; e < left.count; ++e) left_sum += spread[left.row[e]];
    for (int64_t b = piece.right; b < piece.right_end; ++b) {
      const double sum = sum_entries<ColumnSum::dot>(sparse_column<In, Index>(x, job.right[b]), spread);
      const double other = x.centre[job.right[b]];
      piece.out[a * job.m_right + b] = sum - centre * job.weight_sum[b] - other * left_sum + centre * other * job.d_sum;
    }
    for (int64_t e = 0; e < left.count; ++e) spread[left.row[e]] = 0;
  }
}

int64_t scratch_bytes(const void* any_job) {
  const ColumnsView& x = as_job(any_job).x;
  if (as_job(any_job).by_rows) {
    Arena arena = arena_at(nullptr);
    carve_rows(arena, int(as_job(any_job).m_left));
    return arena.used;
  }
  return int64_t(sizeof(double)) * (x.sparse ? x.n : (gram_panel + tile_right) * apart);
}

double item_flops(const void* any_job) {
  const ColumnGramJob& job = as_job(any_job);
  return double(gram_panel) * double(job.cut.block_columns) * double(job.x.sparse ? 100 : job.cut.part_rows);
}

Status item(const void* any_job, int64_t index, void* scratch) {
  const ColumnGramJob& job = as_job(any_job);
  const Piece piece = piece_of(job, index);
  for (int64_t a = piece.left; a < piece.left_end; ++a)
    for (int64_t b = piece.right; b < piece.right_end; ++b) piece.out[a * job.m_right + b] = 0;
  if (piece.right == piece.right_end) return Status::ok;
  with_types(job.x, [&](auto in, auto row) {
    using In = decltype(in);
    if (job.x.sparse) {
      gram_sparse<In, decltype(row)>(job, piece, static_cast<double*>(scratch));
    } else if (job.by_rows) {
      Arena arena = arena_at(scratch);
      gram_rows<In>(job, piece, carve_rows(arena, int(job.m_left)));
    } else {
      gram_dense<In>(job, piece, static_cast<double*>(scratch));
    }
  });
  for (int64_t a = piece.left; a < piece.left_end; ++a)
    for (int64_t b = piece.right; b < piece.right_end; ++b)
      piece.out[a * job.m_right + b] *= job.x.factor[job.left[a]] * job.x.factor[job.right[b]];
  return Status::ok;
}

}  // namespace

extern const ItemOp column_gram_op = {scratch_bytes, item_flops, item};

}  // namespace pyestim::PYESTIM_ISA
