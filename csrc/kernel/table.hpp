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

namespace pyestim {

enum class Status : int32_t {
  ok = 0,
  not_positive_definite = 1,  // a matrix that must be positive definite is not
  unsupported = 2,            // the job asks for something that this kernel does not have
  out_of_memory = 3,          // reported by the lanes, never by a kernel
};

enum class Dtype : int32_t { float32 = 0, float64 = 1 };

enum class Family : int32_t { full = 0, tied = 1, diag = 2, spherical = 3 };

// Where the responsibilities of an assign sweep come from.
enum class Source : int32_t { nearest = 0, labels = 1, given = 2, random = 3 };

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
  const double* means;        // (C, K, d) what the statistics are centred at
  const int32_t* labels;      // (n,) for Source::labels; outside 0 .. K - 1: the row is ignored
  const double* resp;         // (n, K) for Source::given
  ptrdiff_t resp_row_stride;  // bytes
  ptrdiff_t resp_col_stride;  // bytes
  const uint64_t* seeds;      // (C,) for Source::random
  bool accurate;
  const Blas* blas;
};

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

// Rows of transition probabilities as alias tables (Walker 1977): a row has as many places as cells; a draw picks a
// place evenly and takes its own symbol or its alias. Dense: place j of a row belongs to symbol j. Sparse: one place
// per stored cell and a last one, of symbol -1, for all cells that are not stored.
struct AliasTables {
  int64_t n_rows;
  int32_t n_states;
  const int64_t* indptr;   // (R + 1,) or null: dense
  const int32_t* indices;  // (nnz,) ascending in a row
  uint32_t* hot;           // dense (R, k): upper 16 bits of the threshold, 16 bits of alias. All that most draws read
  uint64_t* threshold;     // dense (R, k)
  uint64_t* places;        // sparse (nnz + R, 2): symbol below and alias above 32 bits; threshold
};

struct AliasJob {
  AliasTables tables;
  const double* probability;  // (R, k) or (nnz,)
  const double* unseen;       // (R,) probability of every cell that is not stored; null when dense
};

struct ChainWalkJob {
  AliasTables tables;
  int32_t order;
  const int32_t* contexts;   // (R, order) in lexicographic order; null: row i is symbol i, order 1
  const int64_t* successor;  // (R, 2): first row whose context continues that of row r, and how many there are
  const double* start;       // (R,) cumulated probabilities of the rows that sequences begin with, or null
  const int32_t* initial;    // (s, order) symbols that they begin with, where start is null
  const int64_t* offsets;    // (s + 1,)
  int64_t n_sequences;
  int64_t first_sequence;  // number of the first one in the keys of the draws
  uint64_t seed;
  int32_t* out;  // (offsets[s],)
};

enum class PairFormula : int32_t { compare = 0, exchange = 1, flow = 2, share = 3 };

// Sums over the partners of every state of a reversible chain. One item per pair_rows rows.
struct PairJob {
  PairFormula formula;
  int64_t k;
  const double* forward;   // (k, k) counts
  const double* backward;  // (k, k) its transpose
  const double* values;    // (k,)
  double* sums;            // (k,)
  double* weights;         // (k, k)
};

enum class MathFunction : int32_t { exp_full = 0, exp_neg = 1, log_full = 2, log_pos = 3 };

struct MathJob {
  MathFunction function;
  Dtype dtype;
  const void* x;  // (n,)
  void* out;      // (n,)
};

// A sequence of states. A negative code is a missing state.
enum class CodeType : int32_t { int8 = 0, int16 = 1, int32 = 2, int64 = 3 };

struct CodesView {
  const void* data;  // (n,) of type, contiguous
  int64_t n;
  CodeType type;
};

// A transition belongs to the row that it leads to; its source is the row before. There is none into the first row of a
// sequence, and none from or to a missing state.

// How keys meet counters, chosen from the first rows; no choice changes a count.
enum class TallyOrder : int32_t { in_order = 0, streams = 1, streams_by_four = 2, runs = 3 };

struct TransitionPlan {
  bool direct;    // too few rows for private tables: straight into the result
  int32_t width;  // states in a key: order + 1, or 3 or 5, which hold 2 or 4 transitions of order 1
  TallyOrder order;
};

struct TransitionJob {
  CodesView codes;
  int64_t n_states;
  int32_t order;
  const int64_t* offsets;  // (n_offsets,) rows where sequences begin, and n; null: one sequence
  int64_t n_offsets;
  int64_t* counts;      // n_states^(order + 1), added into
  int64_t flush_after;  // rows after which a table goes to the result, so that its counters cannot overflow
  TransitionPlan plan;  // filled by the operation
};

// Cells that occur, by their number in base n_states, which is below 2^63.
struct TransitionCellsJob {
  CodesView codes;
  int64_t n_states;
  int32_t order;
  const int64_t* offsets;
  int64_t n_offsets;
  int64_t start, stop;
  int64_t* cells;   // (stop - start,) ascending
  int64_t* counts;  // (stop - start,)
  int64_t* result;  // number of cells; -1, or the first row whose code is no state
};

struct MergeCellsJob {
  const int64_t* cells_a;
  const int64_t* counts_a;
  int64_t n_a;
  const int64_t* cells_b;
  const int64_t* counts_b;
  int64_t n_b;
  int64_t* cells;  // (n_a + n_b,)
  int64_t* counts;
  int64_t* n_cells;
};

struct WeightedTransitionJob {
  CodesView codes;
  int64_t n_states;
  const int64_t* offsets;
  int64_t n_offsets;
  const double* weight;  // (n,) of the transition into that row
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
  const SweepOp* kmeans;                // KmeansJob
  const SweepOp* moments;               // MomentsJob
  const ItemOp* kmeans_plusplus;        // KmeansPlusPlusJob, one item per candidate
  const ItemOp* factorise;              // FactoriseJob, one item per matrix
  const TallyOp* transitions;           // TransitionJob
  const SweepOp* weighted_transitions;  // WeightedTransitionJob
  const ItemOp* transition_cells;       // TransitionCellsJob, one item
  const ItemOp* merge_cells;            // MergeCellsJob, one item
  // The first row of [begin, end) whose code is n_states or more, or -1.
  int64_t (*first_out_of_range)(const CodesView* codes, int64_t n_states, int64_t begin, int64_t end);
  const ItemOp* chain_alias;  // AliasJob, one item per row
  const ItemOp* chain_walk;   // ChainWalkJob, one item per sequence
  const ItemOp* pair_sums;    // PairJob, one item per pair_rows rows
  Status (*apply_math)(const MathJob* job, int64_t begin, int64_t end);
};

constexpr int64_t leaf_rows = 4096;
constexpr int64_t pair_rows = 8;  // of an item of pair_sums
constexpr int64_t alignment = 64;

}  // namespace pyestim
