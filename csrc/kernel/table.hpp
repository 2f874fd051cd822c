// The seam between the kernels and the rest: plain structs of pointers, safe to include from files of every instruction
// level.
//
// A kernel never sees numpy, threads or an allocator. It gets a job (what to compute), a packed copy of the parameters,
// a range of rows and scratch, and returns a Status. Nothing here has a constructor, a template or an inline function:
// such code would be emitted once per level and the linker would keep an arbitrary copy of it (csrc/README.md, "the ODR
// trap").
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernel/chain_jobs.hpp"
#include "kernel/normal_jobs.hpp"

namespace pyestim {

enum class Status : int32_t {
  ok = 0,
  not_positive_definite = 1,  // a matrix that must be positive definite is not
  unsupported = 2,            // the job asks for something that this kernel does not have
  out_of_memory = 3,          // reported by the lanes, never by a kernel
};

enum class Dtype : int32_t { float32 = 0, float64 = 1 };

enum class Family : int32_t { full = 0, tied = 1, diag = 2, spherical = 3 };

// Where responsibilities come from.  nearest: assign sweeps only; posterior: experts only.
enum class Source : int32_t { nearest = 0, labels = 1, given = 2, random = 3, posterior = 4 };

// Responsibilities that are not computed from parameters: what their source needs.
struct Elsewhere {
  const int32_t* labels;      // (n,) for Source::labels; outside 0 .. K - 1: the row is ignored
  const double* resp;         // (n, K) for Source::given
  ptrdiff_t resp_row_stride;  // bytes
  ptrdiff_t resp_col_stride;  // bytes
  const uint64_t* seeds;      // (C,) for Source::random
};

// Rows of a matrix anywhere in memory. Working coordinates are z_ij = (x_ij - centre_j) * scale_j.
struct RowsView {
  const void* data;      // (n, d) of dtype
  ptrdiff_t row_stride;  // bytes, any sign
  ptrdiff_t col_stride;  // bytes, any sign
  int64_t n;
  int32_t d;
  Dtype dtype;
  const double* weight;  // (n,) or null: every row counts once
  const double* centre;  // (d,)
  const double* scale;   // (d,) powers of two, exact
};

// SciPy's BLAS and LAPACK behind signatures of our own: arguments by value, 64-bit integers, whatever the library's
// integer width is. Column-major as in Fortran. `self` is the table itself. Single-threaded inside lanes
// (pyestim/_threads.py sees to that).
struct Blas {
  int32_t integer_bits;  // 32 or 64: width of the library's integers
  void (*dgemm)(const Blas* self, char trans_a, char trans_b, int64_t m, int64_t n, int64_t k, double alpha,
                const double* a, int64_t lda, const double* b, int64_t ldb, double beta, double* c, int64_t ldc);
  void (*sgemm)(const Blas* self, char trans_a, char trans_b, int64_t m, int64_t n, int64_t k, float alpha,
                const float* a, int64_t lda, const float* b, int64_t ldb, float beta, float* c, int64_t ldc);
  void (*dsyrk)(const Blas* self, char uplo, char trans, int64_t n, int64_t k, double alpha, const double* a,
                int64_t lda, double beta, double* c, int64_t ldc);
  void (*ssyrk)(const Blas* self, char uplo, char trans, int64_t n, int64_t k, float alpha, const float* a, int64_t lda,
                float beta, float* c, int64_t ldc);
  void (*dtrmm)(const Blas* self, char side, char uplo, char trans, char diag, int64_t m, int64_t n, double alpha,
                const double* a, int64_t lda, double* b, int64_t ldb);
  void (*strmm)(const Blas* self, char side, char uplo, char trans, char diag, int64_t m, int64_t n, float alpha,
                const float* a, int64_t lda, float* b, int64_t ldb);
  int64_t (*dpotrf)(const Blas* self, char uplo, int64_t n, double* a, int64_t lda);             // info
  int64_t (*dtrtri)(const Blas* self, char uplo, char diag, int64_t n, double* a, int64_t lda);  // info
  void* routine[8];  // the library's entries, in the order of the members above
};

// ---- jobs: what a sweep computes. C candidates share one pass over the rows.
// ----------------------------------------------------

struct MixtureJob {
  RowsView rows;
  Family family;
  int32_t n_candidates;
  int32_t n_components;
  const double* log_offset;  // (C, K) log weight + log|det F| - d/2 log(2 pi)
  const double* means;       // (C, K, d)
  const double* factors;     // full (C, K, d, d) lower, tied (C, d, d) lower, diag (C, K, d), spherical (C, K)
  bool accurate;             // float32 rows: compute in float64
  const Blas* blas;          // null where SciPy offers none
};

struct MixtureRowsJob {
  MixtureJob mixture;  // one candidate
  int64_t first_row;   // outputs are indexed by row - first_row
  double* log_prob;    // (m,) or null
  double* resp;        // (m, K) or null
  int64_t* labels;     // (m,) or null
  bool log_resp;       // resp receives logarithms
};

struct AssignJob {
  RowsView rows;
  Family family;  // shape of the second moments
  Source source;
  int32_t n_candidates;
  int32_t n_components;
  const double* means;  // (C, K, d) what the statistics are centred at
  Elsewhere from;
  bool accurate;
  const Blas* blas;
};

}  // namespace pyestim

#include "kernel/cells_jobs.hpp"
#include "kernel/censored_jobs.hpp"
#include "kernel/experts_jobs.hpp"

namespace pyestim {

struct KmeansJob {
  RowsView rows;
  int32_t n_candidates;
  int32_t n_clusters;
  const double* centres;  // (C, K, d)
  bool accurate;
};

struct MomentsJob {
  RowsView rows;
};

struct KmeansPlusPlusJob {
  const double* z;       // (m, d)
  const double* weight;  // (m,) or null
  int64_t m;
  int32_t d;
  int32_t n_candidates;
  int32_t n_clusters;
  int32_t n_trials;
  const double* uniforms;  // (C, K, n_trials)
  int64_t* out_index;      // (C, K)
};

struct FactoriseJob {
  const double* cov;  // (B, d, d)
  int32_t d;
  double* factor;   // (B, d, d) lower triangular F = L^-1, zeros above
  double* log_det;  // (B,) log|det F|
  int64_t* status;  // (B,) 0, or the order of the leading minor that is not positive
  const Blas* blas;
};

// Why a segment of a Lasso path ended.
enum class HomotopyEnd : int64_t {
  reached = 0,  // the penalty asked for
  full = 1,     // the inverse has no room for another coordinate
  kinks = 2,    // more kinks than allowed
};

// From the solution at alpha_from to that at alpha_to (kernel/homotopy.cpp). Coordinates are permuted: positions
// 0 .. n_active - 1 are the active ones in the order of the inverse.
struct HomotopyJob {
  double* gram;     // (m, stride) lower triangle, permuted in place
  double* inverse;  // (capacity, capacity) lower triangle of the inverse over the active set
  double* state;    // (5, stride) coef, corr = linear - G coef, linear, weight of |coef|, sign where active
  int64_t* column;  // (m,) which coordinate of the caller
  int64_t m;
  int64_t stride;
  int64_t capacity;
  double alpha_from;
  double alpha_to;
  int64_t max_kinks;
  int64_t* n_active;  // in and out
  int64_t* kinks;     // out
  HomotopyEnd* end;   // out
  double* reached;    // out: the penalty of the solution
  double* miss;       // out: largest |corr - alpha weight sign| of an active coordinate
};

enum class MathFunction : int32_t { exp_full = 0, exp_neg = 1, log_full = 2, log_pos = 3 };

struct MathJob {
  MathFunction function;
  Dtype dtype;
  const void* x;  // (n,)
  void* out;      // (n,)
};

// Columns of a matrix anywhere in memory, dense or compressed by columns, in coordinates x~_ij = (x_ij - centre_j) *
// factor_j. The centre stays implicit: nothing is copied, zeros stay absent.
struct ColumnsView {
  Dtype dtype;
  bool sparse;
  int32_t index_bytes;    // 4 or 8, of entry_rows and starts
  const void* data;       // dense: (n, p); sparse: the entries
  ptrdiff_t row_stride;   // bytes, any sign; dense
  ptrdiff_t col_stride;   // bytes, any sign; dense
  const void* entry_row;  // row of each entry, no row twice in a column; sparse
  const void* starts;     // (p + 1,) first entry of each column; sparse
  int64_t n;
  int64_t p;
  const double* centre;  // (p,)
  const double* factor;  // (p,)
};

// How the work on columns is cut into items, from shapes alone: part by part of the rows, block by block of the
// columns; item = part * n_blocks + block. Results of the parts lie one behind the other.
struct Cut {
  int64_t part_rows;
  int64_t n_parts;
  int64_t block_columns;
  int64_t n_blocks;
};

enum class ColumnSum : int32_t { dot = 0, square = 1 };

// dot: out_kc = sum_i r_ki x~_ic;  square: out_kc = sum_i r_ki x~_ic^2, over the chosen columns c.
struct ColumnSumsJob {
  ColumnSum sum;
  ColumnsView x;
  const int64_t* columns;  // (m,) or null: all
  int64_t m;
  int32_t n_vectors;
  const double* r;      // (K, n)
  const double* r_sum;  // (K,) sparse
  double* out;          // (parts, K, m)
  Cut cut;
};

// out_ki = sum_c x~_ic beta_kc
struct ColumnTimesJob {
  ColumnsView x;
  const int64_t* columns;  // (m,) or null: all
  int64_t m;
  int32_t n_vectors;
  const double* beta;  // (K, m)
  double* out;         // (blocks, K, n)
  Cut cut;             // sparse: one part
};

// out_ab = sum_i d_i x~_ia x~_ib. Symmetric: `left` is `right` and one half is computed, then mirrored.
struct ColumnGramJob {
  ColumnsView x;
  const int64_t* left;   // (m_left,)
  const int64_t* right;  // (m_right,)
  int64_t m_left;
  int64_t m_right;
  bool symmetric;
  bool by_rows;              // symmetric, dense, d >= 0: one block of columns, outer products of rows
  const double* d;           // (n,)
  double d_sum;              // sparse
  const double* weight_sum;  // sparse: (m_right,) sum_i d_i x_ib
  double* out;               // (parts, m_left, m_right)
  Cut cut;                   // blocks of `right` for each panel of gram_panel columns of `left`
};

constexpr int64_t gram_panel = 48;

enum class Penalty : int32_t { l1 = 0, mcp = 1, scad = 2, group = 3 };

// One penalised least-squares problem for coordinate descent; K outputs share curvatures and penalties.
// l1: elastic net.  mcp, scad: `shape` is their gamma or a.  group: the K coefficients of a coordinate are one group.
struct Descent {
  int64_t m;
  int32_t n_outputs;
  Penalty penalty;
  double shape;
  const double* l1;     // (m,)
  const double* l2;     // (m,)
  const double* lower;  // (m,) or null
  const double* upper;  // (m,) or null
  double tol;           // on the largest |h_j (change of beta_j)| of a pass over all coordinates
  int64_t max_epochs;
  double* beta;     // (K, m) in and out
  int64_t* epochs;  // passes that were made
  double* change;   // what tol is compared with, of the last pass over all coordinates
};

// sum_k (beta_k' G beta_k / 2 - q_k' beta_k) + penalty
struct GramDescentJob {
  Descent descent;
  const double* gram;    // (m, m) symmetric
  const double* linear;  // (K, m)
};

// sum_ki d_i r_ki^2 / 2 + penalty, where r changes by minus X~ times what beta changes
struct ColumnDescentJob {
  Descent descent;
  ColumnsView x;
  const int64_t* columns;  // (m,)
  const double* d;         // (n,)
  double* r;               // (K, n) in and out
  double* intercept;       // (K,) in and out, or null: none
};

// b = argmin of h_i b^2 / 2 - z_i b + penalty, how the tests reach math/prox.hpp
struct ProxJob {
  Penalty penalty;
  double shape;
  int64_t m;
  int32_t group;        // coefficients of a group, 1 for other penalties
  const double* h;      // (m,)
  const double* z;      // (m, group)
  const double* l1;     // (m,)
  const double* l2;     // (m,)
  const double* lower;  // (m,)
  const double* upper;  // (m,)
  double* out;          // (m, group)
  double* value;        // (m,) penalty at the result
};

// ---- operations: how the lanes drive a kernel. `job` points to the struct that belongs to the operation.
// ------------------------

// A pass over rows that leaves statistics. The lanes call prepare once, then leaf for disjoint ranges from any thread,
// and merge the results in a fixed tree. With stat_size 0 the operation only writes per-row outputs.
struct SweepOp {
  int64_t (*stat_size)(const void* job);      // doubles per candidate
  int64_t (*packed_bytes)(const void* job);   // kernel-ready parameters, shared by all threads
  int64_t (*scratch_bytes)(const void* job);  // per thread
  double (*row_flops)(const void* job);       // cost of one row, all candidates: decides whether threads pay
  Status (*prepare)(const void* job, void* packed);
  // Rows [begin, end) of rows.data, at most one leaf (4096 rows). stats: (C, stat_size), zeroed by the caller. Buffers
  // are 64-byte aligned.
  Status (*leaf)(const void* job, const void* packed, int64_t begin, int64_t end, double* stats, void* scratch);
  void (*merge)(const void* job, double* into, const double* from);  // null: plain addition
};

// Independent items, each with outputs of its own.
struct ItemOp {
  int64_t (*scratch_bytes)(const void* job);
  double (*item_flops)(const void* job);
  Status (*item)(const void* job, int64_t index, void* scratch);
};

// Counting into integers, which no order changes: threads claim stretches of rows and count each into a table of their
// own; at the end the tables are added to the result, ranges of cells in parallel.
struct TallyOp {
  void (*plan)(void* job, int64_t begin, int64_t end);  // chooses for rows [begin, end), and only by them
  int64_t (*table_bytes)(const void* job);              // of each thread; 0: one thread counts into the result
  double (*row_flops)(const void* job);
  int64_t (*n_cells)(const void* job);
  void (*begin)(const void* job, void* table);  // empties a table
  // Rows [begin, end); returns the first row whose code is no state, or -1. What is counted then is of no use.
  int64_t (*stretch)(const void* job, void* table, int64_t begin, int64_t end);
  void (*flush)(const void* job, void* table, int64_t cell_begin, int64_t cell_end);
  void (*finish)(const void* job, int64_t begin, int64_t end);  // after all: what one thread mends in the result
};

// One per instruction level. Data only: reading it runs no code of the level, so a processor that lacks it may look.
struct KernelTable {
  const char* level;
  int32_t vector_bytes;
  const SweepOp* mixture;               // MixtureJob
  const SweepOp* mixture_rows;          // MixtureRowsJob
  const SweepOp* assign;                // AssignJob
  const SweepOp* cells;                 // CellsJob
  const SweepOp* cells_rows;            // CellsRowsJob
  const SweepOp* experts;               // ExpertsJob
  const SweepOp* experts_rows;          // ExpertsRowsJob
  const SweepOp* censored;              // CensoredJob
  const SweepOp* censored_rows;         // CensoredRowsJob
  const SweepOp* kmeans;                // KmeansJob
  const SweepOp* moments;               // MomentsJob
  const ItemOp* kmeans_plusplus;        // KmeansPlusPlusJob, one item per candidate
  const ItemOp* factorise;              // FactoriseJob, one item per matrix
  const ItemOp* box_apply;              // BoxJob, one item per box
  const ItemOp* normal_apply;           // NormalJob, one item per normal_block numbers
  const TallyOp* transitions;           // TransitionJob
  const SweepOp* weighted_transitions;  // WeightedTransitionJob
  const ItemOp* transition_cells;       // TransitionCellsJob, one item
  const ItemOp* merge_cells;            // MergeCellsJob, one item
  // The first row of [begin, end) whose code is n_states or more, or -1.
  int64_t (*first_out_of_range)(const CodesView* codes, int64_t n_states, int64_t begin, int64_t end);
  const ItemOp* chain_alias;     // AliasJob, one item per row
  const ItemOp* chain_walk;      // ChainWalkJob, one item per sequence
  const ItemOp* pair_sums;       // PairJob, one item per pair_rows rows
  const ItemOp* homotopy;        // HomotopyJob, one item
  const ItemOp* column_sums;     // ColumnSumsJob
  const ItemOp* column_times;    // ColumnTimesJob
  const ItemOp* column_gram;     // ColumnGramJob
  const ItemOp* gram_descent;    // GramDescentJob, one item
  const ItemOp* column_descent;  // ColumnDescentJob, one item
  const ItemOp* lasso_steps;     // LassoStepsJob, one item per problem
  Status (*apply_math)(const MathJob* job, int64_t begin, int64_t end);
  Status (*apply_prox)(const ProxJob* job);
};

constexpr int64_t leaf_rows = 4096;
constexpr int64_t pair_rows = 8;  // of an item of pair_sums
constexpr int64_t alignment = 64;

}  // namespace pyestim
