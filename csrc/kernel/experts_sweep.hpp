// Sweep over mixtures of experts: responsibilities, scores and curvatures of every candidate in one pass over the rows.
//
// Include inside the namespace of the level, after kernel/experts_frame.hpp.
//
// Per block: first the columns of all candidates, numbers (columns, rows) by which features and products of features
// are weighed; then the sums, for which the products of a row are formed once.
#pragma once

namespace experts_sweep {

// Where the statistics of one candidate begin, behind log_likelihood and weight_sum.
struct Windows {
  int64_t resp_sum, score, gram, residual, gate_score, gate_curvature, size;
};

PYESTIM_INLINE Windows windows_of(const ExpertsShape& s) {
  const int64_t block = s.family == ExpertFamily::multinomial ? s.n_predictors : 1;
  Windows w;
  w.resp_sum = 2;
  w.score = w.resp_sum + s.n_experts;
  w.gram = w.score + s.coefficients();
  w.residual = w.gram + (s.gram ? s.n_experts * triangle(block * (1 + s.d)) : 0);
  w.gate_score = w.residual + (s.gaussian() ? s.n_experts * triangle(s.n_predictors) : 0);
  w.gate_curvature = w.gate_score + int64_t(s.gate_scores()) * (1 + s.gate_d);
  w.size = w.gate_curvature + (s.gate_products() > 0 ? triangle(int64_t(s.gate_scores()) * (1 + s.gate_d)) : 0);
  return w;
}

int64_t stat_size(const void* job) { return windows_of(shape_of(*static_cast<const ExpertsJob*>(job))).size; }

int64_t packed_bytes(const void* any_job) {
  const auto& job = *static_cast<const ExpertsJob*>(any_job);
  Arena arena = arena_at(nullptr);
  carve_packed(arena, shape_of(job), job.n_candidates);
  return arena.used;
}

// Columns and sums over one matrix of features.
struct Features {
  int d;
  int first_score, n_scores;      // columns of a candidate that weigh features ...
  int first_product, n_products;  // ... and products of features
  Sums64::Scratch scratch;
  double* scores;    // (C, n_scores, wide) sums of the leaf
  double* products;  // (C, n_products, wide_products)
};

struct Scratch {
  ExpertsBlock block;
  int n_scores, n_products;
  double* score;    // (C, n_scores, rows): of the experts, then of the gate
  double* product;  // (C, n_products, rows)
  Features x, z;    // z: nothing where the gate shares the rows
};

void carve_features(Arena& arena, int64_t n_candidates, Features& f) {
  if (f.n_scores == 0) return;
  f.scratch = Sums64::carve(arena, f.d, f.n_products > 0);
  f.scores = arena.take<double>(n_candidates * f.n_scores * Sums64::wide(f.d));
  f.products = arena.take<double>(n_candidates * f.n_products * Sums64::wide_products(f.d));
}

Scratch carve(Arena& arena, const ExpertsJob& job) {
  const ExpertsShape shape = shape_of(job);
  const int scores = shape.expert_scores(), products = shape.expert_products();
  Scratch s;
  s.block = carve_experts_block(arena, job, true);
  s.n_scores = scores + shape.gate_scores();
  s.n_products = products + shape.gate_products();
  s.score = arena.take<double>(int64_t(job.n_candidates) * s.n_scores * Tile64::stride);
  s.product = arena.take<double>(int64_t(job.n_candidates) * s.n_products * Tile64::stride);
  s.x = {shape.d, 0, scores, 0, products, {}, nullptr, nullptr};
  s.z = {shape.gate_d, scores, shape.gate_scores(), products, shape.gate_products(), {}, nullptr, nullptr};
  if (job.shared_rows) {
    s.x.n_scores = s.n_scores;
    s.x.n_products = s.n_products;
    s.z.n_scores = s.z.n_products = 0;
  }
  carve_features(arena, job.n_candidates, s.x);
  carve_features(arena, job.n_candidates, s.z);
  return s;
}

int64_t scratch_bytes(const void* job) {
  Arena arena = arena_at(nullptr);
  carve(arena, *static_cast<const ExpertsJob*>(job));
  return arena.used;
}

// Rows of a block: fewer where the columns would leave the second cache.
int block_step(const ExpertsJob& job, const Scratch& s) {
  constexpr int64_t most_bytes = 256 * 1024;
  const int64_t row = int64_t(job.n_candidates) * (s.n_scores + s.n_products) * int64_t(sizeof(double));
  const int64_t fitting = most_bytes / row / Tile64::panel * Tile64::panel;
  const int least = 4 * Tile64::panel < Tile64::block ? 4 * Tile64::panel : Tile64::block;
  return fitting > Tile64::block ? Tile64::block : (fitting < least ? least : int(fitting));
}

double row_flops(const void* any_job) {
  const auto& job = *static_cast<const ExpertsJob*>(any_job);
  const ExpertsShape s = shape_of(job);
  const double x = 1.0 + s.d, z = 1.0 + s.gate_d;
  const double expert = 4 * s.expert_scores() * x + s.expert_products() * x * x + 40.0 * s.expert_scores();
  const double gate = 4 * s.gate_scores() * z + s.gate_products() * z * z + 40.0 * s.n_experts;
  return job.n_candidates * (expert + gate);
}

Status prepare(const void* job, void* packed) { return prepare_experts(*static_cast<const ExpertsJob*>(job), packed); }

// ---- columns --------------------------------------------------------------------------------------------------------

PYESTIM_INLINE void multiply(const double* by, int padded, double* x) {
  constexpr int w = Pack<double>::width;
  for (int i = 0; i < padded; i += w) store(x + i, load(x + i) * load(by + i));
}

// sum r e e' (packed lower) of one expert with m outputs.
void add_residuals(const double* resp, const double* e, int m, int padded, double* out) {
  constexpr int w = Pack<double>::width;
  for (int a = 0; a < m; ++a) {
    for (int b = 0; b <= a; ++b) {
      const double *left = e + int64_t(a) * Tile64::stride, *right = e + int64_t(b) * Tile64::stride;
      auto sum = broadcast(0.0);
      for (int i = 0; i < padded; i += w) sum += load(resp + i) * load(left + i) * load(right + i);
      *out++ += reduce_add(sum);
    }
  }
}

void weigh_experts(const ExpertsShape& shape, const double* resp, int padded, double* residual, double* score,
                   double* product) {
  const int m = shape.n_predictors, h = shape.curvatures();
  for (int k = 0; k < shape.n_experts; ++k, resp += Tile64::stride) {
    double* e = score + int64_t(k) * m * Tile64::stride;
    if (shape.gaussian()) add_residuals(resp, e, m, padded, residual + k * triangle(m));
    for (int l = 0; l < m; ++l) multiply(resp, padded, e + int64_t(l) * Tile64::stride);
    if (!shape.gram || shape.gaussian()) continue;  // there the responsibilities are the products' weights already
    for (int l = 0; l < h; ++l) multiply(resp, padded, product + (int64_t(k) * h + l) * Tile64::stride);
  }
}

// The gate's weights where they are not the rows': those of absent rows count nothing.  resp (K, rows) follows them.
void load_gate_weights(const ExpertsJob& job, int64_t first, ExpertsBlock& b) {
  for (int i = 0; i < b.x.padded; ++i) {
    const bool counts = i < b.x.rows && b.x.weight[i] > 0;
    b.gate_weight[i] = counts ? job.gate_rows.weight[first + i] : 0.0;
  }
}

// score_k = weight (responsibility - share), k < K - 1.
void gate_scores(const ExpertsShape& shape, const ExpertsBlock& b, const double* weight, const double* resp,
                 double* score) {
  constexpr int w = Pack<double>::width;
  const bool own = weight != b.x.weight;
  for (int64_t k = 0; k < shape.n_experts - 1; ++k) {
    const double *r = resp + k * Tile64::stride, *share = b.share + k * Tile64::stride;
    double* out = score + k * Tile64::stride;
    for (int i = 0; i < b.x.padded; i += w) {
      auto mine = load(r + i);
      if (own) {
        const auto rows = load(b.x.weight + i);
        mine = select(rows > broadcast(0.0), mine * load(weight + i) / rows, broadcast(0.0));
      }
      store(out + i, mine - load(weight + i) * load(share + i));
    }
  }
}

// product = weight share_k share_l, l < k.
void gate_products(const ExpertsShape& shape, const ExpertsBlock& b, const double* weight, double* product) {
  constexpr int w = Pack<double>::width;
  const int padded = b.x.padded;
  for (int64_t k = 1; k < shape.n_experts; ++k) {
    const double* share = b.share + k * Tile64::stride;
    for (int64_t l = 0; l < k; ++l, product += Tile64::stride) {
      const double* other = b.share + l * Tile64::stride;
      for (int i = 0; i < padded; i += w) store(product + i, load(weight + i) * load(share + i) * load(other + i));
    }
  }
}

double responsibilities(const ExpertsJob& job, const ExpertsPacked& packed, int c, int64_t first, const ExpertsBlock& b,
                        double* resp, double* resp_sum) {
  const ExpertsShape shape = shape_of(job);
  if (job.source == Source::posterior) return posterior(shape, packed, c, b, resp, resp_sum, b.x.unit_weights);
  from_elsewhere(job.source, job.from, c, job.n_experts, first, b.x, resp);
  for (int64_t k = 0; k < job.n_experts; ++k) resp_sum[k] += sum_of(resp + k * Tile64::stride, b.x.padded);
  return 0;
}

void candidate(const ExpertsJob& job, const ExpertsPacked& packed, int c, int64_t first, const Scratch& s,
               double* stats) {
  const ExpertsShape shape = shape_of(job);
  const ExpertsBlock& b = s.block;
  const Windows windows = windows_of(shape);
  double* score = s.score + int64_t(c) * s.n_scores * Tile64::stride;
  double* product = s.product + int64_t(c) * s.n_products * Tile64::stride;
  const bool gram_of_resp = shape.gram && shape.gaussian();
  double* resp = gram_of_resp ? product : b.resp;
  predict_experts(shape, packed, c, b, score);
  score_experts(job, c, b, score, shape.gram && !shape.gaussian() ? product : nullptr);
  if (shape.softmax) weigh_by_softmax(shape, packed, c, b);
  stats[0] += responsibilities(job, packed, c, first, b, resp, stats + windows.resp_sum);
  stats[1] += b.x.weight_sum;
  weigh_experts(shape, resp, b.x.padded, stats + windows.residual, score, product);
  if (!shape.softmax) return;
  const double* weight = job.gate_rows.weight == job.rows.weight ? b.x.weight : b.gate_weight;
  gate_scores(shape, b, weight, resp, score + int64_t(shape.expert_scores()) * Tile64::stride);
  if (shape.gate_products() == 0) return;
  gate_products(shape, b, weight, product + int64_t(shape.expert_products()) * Tile64::stride);
}

// ---- sums -----------------------------------------------------------------------------------------------------------

void add_sums(const Scratch& s, const Features& f, const Rows64& block, int n_candidates) {
  if (f.n_scores == 0) return;
  const int step = Sums64::rows_at_once(f.d);
  const int64_t across = Sums64::wide(f.d), triangle = Sums64::wide_products(f.d);
  for (int row = 0; row < block.rows; row += step) {
    const int count = block.rows - row < step ? block.rows - row : step;
    Sums64::put_features(block, row, count, f.scratch);
    if (f.n_products > 0) Sums64::put_products(f.d, count, f.scratch);
    for (int64_t c = 0; c < n_candidates; ++c) {
      const double* score = s.score + (c * s.n_scores + f.first_score) * Tile64::stride + row;
      Sums64::add(score, f.n_scores, f.scratch.features, across, count, f.scores + c * f.n_scores * across);
      const double* product = s.product + (c * s.n_products + f.first_product) * Tile64::stride + row;
      Sums64::add(product, f.n_products, f.scratch.products, triangle, count, f.products + c * f.n_products * triangle);
    }
  }
}

void clear_sums(const Features& f, int64_t n_candidates) {
  if (f.n_scores == 0) return;
  Sums64::clear(f.scratch, f.d);
  for (int64_t i = 0; i < n_candidates * f.n_scores * Sums64::wide(f.d); ++i) f.scores[i] = 0;
  for (int64_t i = 0; i < n_candidates * f.n_products * Sums64::wide_products(f.d); ++i) f.products[i] = 0;
}

// Rows of padded vectors to rows without gaps.
void copy_rows(const double* from, int64_t across, int n, int64_t size, double* out) {
  for (int64_t i = 0; i < n; ++i) {
    for (int64_t j = 0; j < size; ++j) out[i * size + j] = from[i * across + j];
  }
}

PYESTIM_INLINE int64_t at_triangle(int64_t i, int64_t j) { return i >= j ? triangle(i) + j : triangle(j) + i; }

// From sums T_ab = sum p_a p_b x~ x~' of pairs of n classes, p_1 + ... + p_n = 1, to the curvature of a softmax whose
// last class is the reference: blocks sum p_a (delta_ab - p_b) x~ x~', packed lower triangle.  Diagonal blocks are sums
// of positive terms.
void expand_pairs(const double* pairs, int64_t across, int n, int features, double* out) {
  const auto pair = [&](int a, int b) { return pairs + (a > b ? triangle(a - 1) + b : triangle(b - 1) + a) * across; };
  for (int a = 0; a < n - 1; ++a) {
    for (int i = 0; i < features; ++i) {
      for (int b = 0; b < a; ++b) {
        for (int j = 0; j < features; ++j) *out++ = -pair(a, b)[at_triangle(i, j)];
      }
      for (int j = 0; j <= i; ++j) {
        double sum = 0;
        for (int b = 0; b < n; ++b) sum += b == a ? 0.0 : pair(a, b)[triangle(i) + j];
        *out++ = sum;
      }
    }
  }
}

void finish_experts(const ExpertsShape& shape, const double* scores, const double* products, double* stats) {
  const Windows windows = windows_of(shape);
  const int features = 1 + shape.d;
  const int64_t across = Sums64::wide_products(shape.d);
  copy_rows(scores, Sums64::wide(shape.d), shape.expert_scores(), features, stats + windows.score);
  if (!shape.gram) return;
  if (shape.family != ExpertFamily::multinomial) {
    return copy_rows(products, across, shape.n_experts, triangle(features), stats + windows.gram);
  }
  for (int64_t k = 0; k < shape.n_experts; ++k) {
    expand_pairs(products + k * shape.curvatures() * across, across, shape.n_predictors + 1, features,
                 stats + windows.gram + k * triangle(int64_t(shape.n_predictors) * features));
  }
}

void finish_gate(const ExpertsShape& shape, const double* scores, const double* products, double* stats) {
  const Windows windows = windows_of(shape);
  const int features = 1 + shape.gate_d;
  const int64_t across = Sums64::wide_products(shape.gate_d);
  copy_rows(scores, Sums64::wide(shape.gate_d), shape.gate_scores(), features, stats + windows.gate_score);
  if (shape.gate_products() == 0) return;
  expand_pairs(products, across, shape.n_experts, features, stats + windows.gate_curvature);
}

void finish(const ExpertsJob& job, const Scratch& s, int64_t c, double* stats) {
  const ExpertsShape shape = shape_of(job);
  const double* scores = s.x.scores + c * s.x.n_scores * Sums64::wide(s.x.d);
  const double* products = s.x.products + c * s.x.n_products * Sums64::wide_products(s.x.d);
  finish_experts(shape, scores, products, stats);
  if (!shape.softmax || shape.n_experts == 1) return;
  if (job.shared_rows) {
    scores += int64_t(shape.expert_scores()) * Sums64::wide(shape.d);
    products += int64_t(shape.expert_products()) * Sums64::wide_products(shape.d);
  } else {
    scores = s.z.scores + c * s.z.n_scores * Sums64::wide(s.z.d);
    products = s.z.products + c * s.z.n_products * Sums64::wide_products(s.z.d);
  }
  finish_gate(shape, scores, products, stats);
}

Status leaf(const void* any_job, const void* packed, int64_t begin, int64_t end, double* stats, void* scratch) {
  const auto& job = *static_cast<const ExpertsJob*>(any_job);
  const ExpertsShape shape = shape_of(job);
  Arena parameters = arena_at(packed), arena = arena_at(scratch);
  const ExpertsPacked p = carve_packed(parameters, shape, job.n_candidates);
  Scratch s = carve(arena, job);
  const int64_t size = stat_size(any_job);
  const int step = block_step(job, s);
  clear_sums(s.x, job.n_candidates);
  clear_sums(s.z, job.n_candidates);
  for (int64_t row = begin; row < end; row += step) {
    load_experts(job, p, row, int(end - row < step ? end - row : step), s.block);
    if (job.source == Source::labels) {
      ignore_unlabelled(job.from.labels, job.n_experts, job.rows, row, 1.0, s.block.x);
    }
    if (shape.softmax && job.gate_rows.weight != job.rows.weight) load_gate_weights(job, row, s.block);
    for (int c = 0; c < job.n_candidates; ++c) candidate(job, p, c, row, s, stats + c * size);
    add_sums(s, s.x, s.block.x, job.n_candidates);
    add_sums(s, s.z, s.block.z, job.n_candidates);
  }
  for (int64_t c = 0; c < job.n_candidates; ++c) finish(job, s, c, stats + c * size);
  return Status::ok;
}

constexpr SweepOp op = {stat_size, packed_bytes, scratch_bytes, row_flops, prepare, leaf, nullptr};

}  // namespace experts_sweep
