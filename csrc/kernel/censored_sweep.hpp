// Sweep over censored rows: log-likelihood, gradient and curvature of every candidate in one pass.
//
// Include inside the namespace of the level, after kernel/censored_frame.hpp.
//
//   log_likelihood, weight_sum, sum k, sum kk, sum a x~ (1 + p), sum ak x~ (1 + p), sum aa x~ x~' (packed lower)
#pragma once

namespace censored_sweep {

constexpr int n_numbers = 4, n_scores = 2;

int64_t stat_size(const void* any_job) {
  const int64_t features = 1 + static_cast<const CensoredJob*>(any_job)->rows.d;
  return n_numbers + n_scores * features + triangle(features);
}

int64_t packed_bytes(const void* job) { return censored_packed_bytes(*static_cast<const CensoredJob*>(job)); }

struct Scratch {
  CensoredBlock block;
  Sums64::Scratch features;
  double* columns;   // (C, 3, rows): a, ak, aa, times the weights
  double* scores;    // (C, 2, wide) sums of the leaf
  double* products;  // (C, wide_products)
};

Scratch carve(Arena& arena, const CensoredJob& job) {
  const int64_t c = job.n_candidates;
  Scratch s;
  s.block = carve_censored_block(arena, job, true);
  s.features = Sums64::carve(arena, job.rows.d, true);
  s.columns = arena.take<double>(c * (n_scores + 1) * Tile64::stride);
  s.scores = arena.take<double>(c * n_scores * Sums64::wide(job.rows.d));
  s.products = arena.take<double>(c * Sums64::wide_products(job.rows.d));
  return s;
}

int64_t scratch_bytes(const void* job) {
  Arena arena = arena_at(nullptr);
  carve(arena, *static_cast<const CensoredJob*>(job));
  return arena.used;
}

double row_flops(const void* any_job) {
  const auto& job = *static_cast<const CensoredJob*>(any_job);
  const double features = 1.0 + job.rows.d;
  return job.n_candidates * (100.0 + 6.0 * features + features * features);
}

Status prepare(const void* job, void* packed) {
  return prepare_censored(*static_cast<const CensoredJob*>(job), packed);
}

// sum of weight times column; the products go to `out` where there is one.
PYESTIM_INLINE double weigh(const CensoredBlock& b, DerivativeColumn column, double* out) {
  const double* from = column_of(b, column);
  auto sum = broadcast(0.0);
  for (int i = 0; i < b.x.padded; i += Tile64::width) {
    const Numbers product = load(b.x.weight + i) * load(from + i);
    if (out != nullptr) store(out + i, product);
    sum += product;
  }
  return reduce_add(sum);
}

void candidate(const CensoredJob& job, const CensoredPacked& packed, int64_t c, const Scratch& s, double* stats) {
  const CensoredBlock& b = s.block;
  double* columns = s.columns + c * (n_scores + 1) * Tile64::stride;
  censored_columns(job, packed, c, b);
  stats[0] += weigh(b, column_log_prob, nullptr);
  stats[1] += b.x.weight_sum;
  stats[2] += weigh(b, column_k, nullptr);
  stats[3] += weigh(b, column_kk, nullptr);
  weigh(b, column_a, columns);
  weigh(b, column_ak, columns + Tile64::stride);
  weigh(b, column_aa, columns + 2 * Tile64::stride);
}

void add_sums(const CensoredJob& job, const Scratch& s) {
  const int d = job.rows.d, step = Sums64::rows_at_once(d);
  const int64_t across = Sums64::wide(d), products = Sums64::wide_products(d);
  for (int row = 0; row < s.block.x.rows; row += step) {
    const int count = s.block.x.rows - row < step ? s.block.x.rows - row : step;
    Sums64::put_features(s.block.x, row, count, s.features);
    Sums64::put_products(d, count, s.features);
    for (int64_t c = 0; c < job.n_candidates; ++c) {
      const double* columns = s.columns + c * (n_scores + 1) * Tile64::stride + row;
      Sums64::add(columns, n_scores, s.features.features, across, count, s.scores + c * n_scores * across);
      Sums64::add(columns + n_scores * Tile64::stride, 1, s.features.products, products, count,
                  s.products + c * products);
    }
  }
}

void clear(const CensoredJob& job, const Scratch& s) {
  const int64_t c = job.n_candidates;
  Sums64::clear(s.features, job.rows.d);
  for (int64_t i = 0; i < c * n_scores * Sums64::wide(job.rows.d); ++i) s.scores[i] = 0;
  for (int64_t i = 0; i < c * Sums64::wide_products(job.rows.d); ++i) s.products[i] = 0;
}

void finish(const CensoredJob& job, const Scratch& s, int64_t c, double* stats) {
  const int64_t features = 1 + job.rows.d, across = Sums64::wide(job.rows.d);
  const double *scores = s.scores + c * n_scores * across,
               *products = s.products + c * Sums64::wide_products(job.rows.d);
  double* out = stats + n_numbers;
  for (int64_t k = 0; k < n_scores; ++k) {
    for (int64_t j = 0; j < features; ++j) *out++ = scores[k * across + j];
  }
  for (int64_t i = 0; i < triangle(features); ++i) *out++ = products[i];
}

Status leaf(const void* any_job, const void* packed, int64_t begin, int64_t end, double* stats, void* scratch) {
  const auto& job = *static_cast<const CensoredJob*>(any_job);
  const int64_t size = stat_size(any_job);
  Arena parameters = arena_at(packed), arena = arena_at(scratch);
  const CensoredPacked p = carve_censored_packed(parameters, job);
  Scratch s = carve(arena, job);
  clear(job, s);
  for (int64_t row = begin; row < end; row += Tile64::block) {
    load_censored(job, p, row, int(end - row < Tile64::block ? end - row : Tile64::block), s.block);
    for (int64_t c = 0; c < job.n_candidates; ++c) candidate(job, p, c, s, stats + c * size);
    add_sums(job, s);
  }
  for (int64_t c = 0; c < job.n_candidates; ++c) finish(job, s, c, stats + c * size);
  return Status::ok;
}

constexpr SweepOp op = {stat_size, packed_bytes, scratch_bytes, row_flops, prepare, leaf, nullptr};

}  // namespace censored_sweep

// The six numbers of every row, in the order of Derivatives.
namespace censored_rows {

const CensoredJob& censored_of(const void* job) { return static_cast<const CensoredRowsJob*>(job)->censored; }

int64_t stat_size(const void*) { return 0; }

int64_t packed_bytes(const void* job) { return censored_packed_bytes(censored_of(job)); }

int64_t scratch_bytes(const void* job) {
  Arena arena = arena_at(nullptr);
  carve_censored_block(arena, censored_of(job), false);
  return arena.used;
}

double row_flops(const void* job) { return 150.0 + 2.0 * censored_of(job).rows.d; }

Status prepare(const void* job, void* packed) { return prepare_censored(censored_of(job), packed); }

Status leaf(const void* any_job, const void* packed, int64_t begin, int64_t end, double*, void* scratch) {
  const auto& job = *static_cast<const CensoredRowsJob*>(any_job);
  CensoredJob censored = job.censored;
  censored.rows.weight = nullptr;  // every row has outputs
  Arena parameters = arena_at(packed), arena = arena_at(scratch);
  const CensoredPacked p = carve_censored_packed(parameters, censored);
  CensoredBlock b = carve_censored_block(arena, censored, false);
  constexpr DerivativeColumn order[n_derivatives] = {column_log_prob, column_a,  column_k,
                                                     column_aa,       column_ak, column_kk};
  for (int64_t row = begin; row < end; row += Tile64::block) {
    load_censored(censored, p, row, int(end - row < Tile64::block ? end - row : Tile64::block), b);
    censored_columns(censored, p, 0, b);
    double* out = job.out + (row - job.first_row) * n_derivatives;
    for (int i = 0; i < b.x.rows; ++i) {
      for (int c = 0; c < n_derivatives; ++c) *out++ = column_of(b, order[c])[i];
    }
  }
  return Status::ok;
}

constexpr SweepOp op = {stat_size, packed_bytes, scratch_bytes, row_flops, prepare, leaf, nullptr};

}  // namespace censored_rows
