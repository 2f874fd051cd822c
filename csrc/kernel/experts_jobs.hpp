// Jobs on mixtures of experts, beside those of table.hpp and by its rules.  Included by it behind RowsView.
#pragma once

namespace pyestim {

// What an expert is: the law of the response given its linear predictors.
//
//   gaussian     y in R^m, L = m means
//   poisson      counts, log link, L = 1
//   binomial     successes and failures, logit link, L = 1
//   multinomial  a code 0 .. L, softmax with the last class as reference
enum class ExpertFamily : int32_t { gaussian = 0, poisson = 1, binomial = 2, multinomial = 3 };

// K experts on rows x, weighed by a softmax of linear functions of z, or by constants.  A coefficient vector begins
// with its intercept.
struct ExpertsJob {
  RowsView rows;       // (n, p) and the weights
  RowsView gate_rows;  // (n, q); data null: constant gate.  Weights of its own count in the gate's statistics
  RowsView responses;  // (n, r); data null: there are none (per-row outputs without densities)
  bool shared_rows;    // gate_rows are rows
  ExpertFamily family;
  Source source;
  int32_t n_candidates;
  int32_t n_experts;
  int32_t n_predictors;       // L
  const double* gate_coef;    // (C, K, 1 + q), of the last expert only the intercept is read; -infinity: dropped
  const double* expert_coef;  // (C, K, L, 1 + p)
  const double* factor;       // (C, K, m, m) lower, gaussian; null: densities are not wanted
  const double* log_norm;     // (C, K) log|det F| - m/2 log(2 pi)
  Elsewhere from;
  bool gram;       // whether the experts' curvatures are summed ...
  bool curvature;  // ... and the gate's
};

struct ExpertsRowsJob {
  ExpertsJob experts;   // one candidate
  int64_t first_row;    // outputs are indexed by row - first_row
  double* log_prob;     // (m,) or null
  double* resp;         // (m, K) or null
  double* log_density;  // (m, K) or null: log f_k
  double* gate;         // (m, K) or null: log pi_k
  double* predictors;   // (m, K, L) or null
};

// From b_old, B problems of m coordinates: the minimum of  (b - b_old)' G (b - b_old) / 2 - score' (b - b_old) + weight
// times (scale sum l1 |b| + sum l2 b^2 / 2).  With scales, these are improved in turn with b: the minimum over b at the
// scale s, then s from  count s^2 - weight (sum l1 |b|) s - (squares at b + weight sum l2 b^2) = 0.
struct LassoStepsJob {
  int64_t m;
  const double* gram;   // (B, m (m + 1) / 2) packed lower triangles
  const double* score;  // (B, m)
  const double* old;    // (B, m)
  const double* l1;     // (m,)
  const double* l2;     // (m,)
  double weight;
  double tol;  // relative to the largest entry of score + G b_old, as that of Descent
  int64_t max_epochs;
  double* scale;         // (B,) in and out, or null: one
  const double* square;  // (B,) squares at b_old
  const double* count;   // (B,)
  double floor;          // least scale
  int32_t alternations;
  double scale_tol;  // relative change of the scale that ends them
  double* coef;      // (B, m) the minimum
  double* gain;      // (B, 2) or null: score' d - the rise of the penalty, and d' G d, for d = b - b_old
};

}  // namespace pyestim
