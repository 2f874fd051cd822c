// What the sweep over experts and their per-row outputs share: shapes, packed parameters, loading of a block, and the
// way from coefficients to log-densities and log-weights.
//
// Include inside the namespace of the level, after the components, the gates and kernel/rows.hpp.
//
// Arithmetic is in float64 whatever the rows are: rounded coefficients would move the statistics by more than the rows'
// own digits.
#pragma once

using Rows64 = Block<double>;
using Tile64 = Tile<double>;
using Sums64 = WeightedSums<double>;

struct ExpertsShape {
  ExpertFamily family;
  int n_experts, n_predictors, d, gate_d, n_responses;
  bool softmax, gram, curvature;

  PYESTIM_INLINE int64_t coefficients() const { return int64_t(n_experts) * n_predictors * (1 + d); }
  PYESTIM_INLINE int64_t gate_coefficients() const { return int64_t(n_experts) * (1 + gate_d); }
  PYESTIM_INLINE bool gaussian() const { return family == ExpertFamily::gaussian; }
  // Weights under which products of features are summed.
  PYESTIM_INLINE int curvatures() const {
    return family == ExpertFamily::multinomial ? n_predictors * (n_predictors + 1) / 2 : 1;
  }
  PYESTIM_INLINE int expert_products() const { return gram ? n_experts * curvatures() : 0; }
  PYESTIM_INLINE int gate_products() const { return softmax && curvature ? n_experts * (n_experts - 1) / 2 : 0; }
  PYESTIM_INLINE int expert_scores() const { return n_experts * n_predictors; }
  PYESTIM_INLINE int gate_scores() const { return softmax ? n_experts - 1 : 0; }
};

PYESTIM_INLINE ExpertsShape shape_of(const ExpertsJob& job) {
  const bool softmax = job.gate_rows.data != nullptr;
  const int gate_d = softmax ? job.gate_rows.d : 0;
  return {job.family,      job.n_experts, job.n_predictors, job.rows.d,   gate_d,
          job.responses.d, softmax,       job.gram,         job.curvature};
}

PYESTIM_INLINE int64_t triangle(int64_t n) { return n * (n + 1) / 2; }

// ---- parameters, kernel-ready ---------------------------------------------------------------------------------------

struct ExpertsPacked {
  Working<double> x, z, y;
  double* expert;   // (C, K L (1 + p))
  double* gate;     // (C, K (1 + q))
  double* dropped;  // (C, K) 0, or -infinity
  double* offset;   // (C, K) log-weights of a constant gate
};

PYESTIM_INLINE ExpertsPacked carve_packed(Arena& arena, const ExpertsShape& shape, int64_t n_candidates) {
  ExpertsPacked p;
  p.x = carve_working<double>(arena, shape.d);
  p.z = carve_working<double>(arena, shape.gate_d);
  p.y = carve_working<double>(arena, shape.n_responses);
  p.expert = arena.take<double>(n_candidates * shape.coefficients());
  p.gate = arena.take<double>(n_candidates * shape.gate_coefficients());
  p.dropped = arena.take<double>(n_candidates * shape.n_experts);
  p.offset = arena.take<double>(n_candidates * shape.n_experts);
  return p;
}

// offset = log softmax of the intercepts.
void pack_constant_gate(const double* intercept, int n, double* offset) {
  double most = -1e300, sum = 0;
  for (int k = 0; k < n; ++k) most = intercept[k] > most ? intercept[k] : most;
  for (int k = 0; k < n; ++k) sum += reduce_max(exp_neg(broadcast(intercept[k] - most)));
  const double log_sum = reduce_max(log_pos(broadcast(sum)));
  for (int k = 0; k < n; ++k) offset[k] = intercept[k] - most - log_sum;
}

void pack_gate(const ExpertsShape& shape, const double* coef, double* gate, double* dropped) {
  const int wide = 1 + shape.gate_d;
  for (int k = 0; k < shape.n_experts; ++k) {
    const double intercept = coef[int64_t(k) * wide];
    dropped[k] = intercept > -__builtin_huge_val() ? 0.0 : intercept;
  }
  LinearPredictors<double>::pack(coef, shape.n_experts - 1, shape.gate_d, gate);
}

Status prepare_experts(const ExpertsJob& job, void* packed) {
  Arena arena = arena_at(packed);
  const ExpertsShape shape = shape_of(job);
  const ExpertsPacked p = carve_packed(arena, shape, job.n_candidates);
  pack_working(job.rows, p.x);
  if (shape.softmax) pack_working(job.gate_rows, p.z);
  if (job.responses.data != nullptr) pack_working(job.responses, p.y);
  for (int64_t c = 0; c < job.n_candidates; ++c) {
    LinearPredictors<double>::pack(job.expert_coef + c * shape.coefficients(), shape.expert_scores(), shape.d,
                                   p.expert + c * shape.coefficients());
    const double* gate = job.gate_coef + c * shape.gate_coefficients();
    const int64_t first = c * shape.n_experts;
    if (shape.softmax) pack_gate(shape, gate, p.gate + c * shape.gate_coefficients(), p.dropped + first);
    if (!shape.softmax) pack_constant_gate(gate, shape.n_experts, p.offset + first);
  }
  return Status::ok;
}

// ---- one block of rows ----------------------------------------------------------------------------------------------

struct ExpertsBlock {
  Rows64 x, z, y;       // z is x where the gate shares the rows
  double* gate_weight;  // (rows,) weights in the gate's statistics
  double* quad;         // (K, rows) log-densities of the experts
  double* resp;         // (K, rows) weight times responsibility
  double* log_share;    // (K, rows) log-weights of a softmax gate
  double* share;        // (K, rows)
  double* log_total;    // (rows,)
  double* scratch;      // (rows,)
};

ExpertsBlock carve_experts_block(Arena& arena, const ExpertsJob& job, bool with_groups) {
  const ExpertsShape shape = shape_of(job);
  const int64_t columns = int64_t(Tile64::stride) * shape.n_experts, gate = shape.softmax ? columns : 0;
  ExpertsBlock b;
  carve_block(arena, shape.d, with_groups, b.x);
  b.x.ahead = nullptr;
  b.z = b.x;
  if (shape.softmax && !job.shared_rows) carve_block(arena, shape.gate_d, with_groups, b.z);
  carve_block(arena, shape.n_responses, false, b.y);
  b.gate_weight = arena.take<double>(Tile64::stride);
  b.quad = arena.take<double>(columns);
  b.resp = arena.take<double>(columns);
  b.log_share = arena.take<double>(gate);
  b.share = arena.take<double>(gate);
  b.log_total = arena.take<double>(Tile64::stride);
  b.scratch = arena.take<double>(Tile64::stride);
  return b;
}

PYESTIM_INLINE void load_rows(const RowsView& rows, const Working<double>& working, int64_t first, int count,
                              Rows64& block) {
  if (rows.dtype == Dtype::float32) {
    load_block<float, double>(rows, working, first, count, 1.0, block);
  } else {
    load_block<double, double>(rows, working, first, count, 1.0, block);
  }
}

// The weights of the covariates tell in every matrix which rows are absent.
void load_experts(const ExpertsJob& job, const ExpertsPacked& packed, int64_t first, int count, ExpertsBlock& b) {
  load_rows(job.rows, packed.x, first, count, b.x);
  if (job.shared_rows) {
    b.z = b.x;
  } else if (job.gate_rows.data != nullptr) {
    RowsView rows = job.gate_rows;
    rows.weight = job.rows.weight;
    load_rows(rows, packed.z, first, count, b.z);
  }
  if (job.responses.data == nullptr) return;
  RowsView rows = job.responses;
  rows.weight = job.rows.weight;
  load_rows(rows, packed.y, first, count, b.y);
}

// ---- one candidate on a block ---------------------------------------------------------------------------------------

PYESTIM_INLINE void run_family(ExpertFamily family, const ExpertBlock<double>& block) {
  switch (family) {
    case ExpertFamily::gaussian:
      return LinearGaussian<double>::run(block);
    case ExpertFamily::poisson:
      return LinearPoisson<double>::run(block);
    case ExpertFamily::binomial:
      return LinearBinomial<double>::run(block);
    case ExpertFamily::multinomial:
      return LinearMultinomial<double>::run(block);
  }
}

void predict_experts(const ExpertsShape& shape, const ExpertsPacked& packed, int64_t c, const ExpertsBlock& b,
                     double* predictor) {
  LinearPredictors<double>::run(b.x, packed.expert + c * shape.coefficients(), shape.expert_scores(), predictor);
}

// Log-densities into b.quad, residuals into the place of the predictors.
void score_experts(const ExpertsJob& job, int64_t c, const ExpertsBlock& b, double* predictor, double* curvature) {
  const int64_t k = job.n_experts, m = job.responses.d;
  const double* factor = job.factor == nullptr ? nullptr : job.factor + c * k * m * m;
  const double* log_norm = job.log_norm == nullptr ? nullptr : job.log_norm + c * k;
  run_family(job.family, {b.y, job.n_experts, job.n_predictors, factor, log_norm, predictor, b.quad, curvature});
}

void weigh_by_softmax(const ExpertsShape& shape, const ExpertsPacked& packed, int64_t c, const ExpertsBlock& b) {
  const int last = shape.n_experts - 1;
  LinearPredictors<double>::run(b.z, packed.gate + c * shape.gate_coefficients(), last, b.log_share);
  double* reference = b.log_share + int64_t(last) * Tile64::stride;
  for (int i = 0; i < b.x.padded; ++i) reference[i] = 0;
  Softmax<double>::run(b.x.padded, shape.n_experts, packed.dropped + c * shape.n_experts, b.log_share, b.share);
}

// b.resp from b.quad and the gate; returns the log-likelihood.
double posterior(const ExpertsShape& shape, const ExpertsPacked& packed, int64_t c, const ExpertsBlock& b, double* resp,
                 double* resp_sum, bool sum_only) {
  if (shape.softmax) {
    const LogSumExp<double, SoftmaxGate<double>> soft{b.quad, {b.log_share}, shape.n_experts, b.x.weight,
                                                      resp,   b.log_total,   b.scratch,       sum_only};
    return soft.run(b.x.padded, resp_sum);
  }
  const ConstantGate<double> gate{packed.offset + c * shape.n_experts};
  const LogSumExp<double, ConstantGate<double>> soft{b.quad, gate,        shape.n_experts, b.x.weight,
                                                     resp,   b.log_total, b.scratch,       sum_only};
  return soft.run(b.x.padded, resp_sum);
}
