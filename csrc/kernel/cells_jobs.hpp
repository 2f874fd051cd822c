// Jobs on mixtures whose cells are partly known by bounds only, beside those of table.hpp and by its rules.  Included
// by it behind MixtureJob.
#pragma once

namespace pyestim {

enum class CellState : int8_t { exact = 0, censored = 1, missing = 2 };

// Bounds of the censored cells of rows that are sorted by their pattern.  Cell c of a pattern (c counts its censored
// columns) and row i lie at cell_start + c * rows of the pattern + i - first row of the pattern.
struct CellsView {
  int64_t n_rows;
  int64_t n_patterns;
  const int32_t* pattern;        // (n_rows,) ascending
  const int64_t* pattern_start;  // (n_patterns + 1,) first row of each pattern
  const int8_t* state;           // (n_patterns, d) CellState
  const int64_t* cell_start;     // (n_patterns,)
  const double* lower;           // (n_cells,) working coordinates
  const double* upper;           // (n_cells,) above lower
  const double* width;           // (n_cells,) upper - lower, which narrow cells need in full precision
  int64_t n_exact;               // rows in front that are exact in every column
  int32_t max_censored;          // most censored cells of a row
};

struct CellsJob {
  MixtureJob mixture;  // rows hold the exact cells; what they hold elsewhere is not read.  accurate
  CellsView cells;
  CellsView boxes;     // sets outside of which a row is not seen: its rows, with no exact cell
  const int64_t* box;  // (n,) which of them holds for each row, -1: none; null: rows are seen wherever they are
};

struct CellsRowsJob {
  CellsJob cells;     // one candidate
  int64_t first_row;  // outputs are indexed by row - first_row
  double* log_prob;   // (m,) or null
  double* resp;       // (m, K) or null
  int64_t* labels;    // (m,) or null
  double* expected;   // (m, d) or null: mean of every cell given what is known of its row
};

}  // namespace pyestim
