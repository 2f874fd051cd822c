// Jobs on chains of states, beside those of table.hpp and by its rules.
#pragma once

#include <cstdint>

namespace pyestim {

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

}  // namespace pyestim
