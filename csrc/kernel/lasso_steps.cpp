// Penalised steps on the packed Gram matrices that sweeps leave: slopes by coordinate descent, scales in closed form.
#include <stdint.h>
#if !defined(__GNUC__)
#include <math.h>
#endif

#include "kernel/ops.hpp"

namespace pyestim::PYESTIM_ISA {
namespace {

#include "math/pack.hpp"
//
#include "math/prox.hpp"
//
#include "kernel/tile.hpp"
//
#include "kernel/column.hpp"
//
#include "kernel/anderson.hpp"
//
#include "kernel/descent.hpp"
//
#include "kernel/gram_form.hpp"

const LassoStepsJob& as_job(const void* job) { return *static_cast<const LassoStepsJob*>(job); }

// One problem, and what it needs beside the buffers of its descent.
struct Problem {
  const double* packed;
  const double* score;
  const double* old;
  double* coef;
  double* gram;    // (m, m)
  double* linear;  // (m,) score + G b_old
  double* l1;      // (m,) times weight and scale
  double* l2;      // (m,) times weight
  double* moved;   // (m,) G (b - b_old)
  int64_t epochs;
  double change;
};

Problem carve_problem(Arena& arena, int64_t m) {
  Problem p{};
  p.gram = arena.take<double>(m * m);
  p.linear = arena.take<double>(m);
  p.l1 = arena.take<double>(m);
  p.l2 = arena.take<double>(m);
  p.moved = arena.take<double>(m);
  return p;
}

// The descent of a problem; `linear` is that of the problem.
GramDescentJob descent_of(const LassoStepsJob& job, Problem& p) {
  GramDescentJob d{};
  d.descent.m = job.m;
  d.descent.n_outputs = 1;
  d.descent.penalty = Penalty::l1;
  d.descent.l1 = p.l1;
  d.descent.l2 = p.l2;
  d.descent.max_epochs = job.max_epochs;
  d.descent.beta = p.coef;
  d.descent.epochs = &p.epochs;
  d.descent.change = &p.change;
  d.gram = p.gram;
  d.linear = p.linear;
  return d;
}

int64_t scratch_bytes(const void* any_job) {
  const LassoStepsJob& job = as_job(any_job);
  Arena arena = arena_at(nullptr);
  Problem p = carve_problem(arena, job.m);
  const GramDescentJob d = descent_of(job, p);
  carve_descent(arena, d.descent);
  carve_form(arena, d);
  return arena.used;
}

double item_flops(const void* any_job) {
  constexpr double passes = 10;
  return passes * double(as_job(any_job).m) * double(as_job(any_job).m);
}

void unpack(const LassoStepsJob& job, Problem& p) {
  const int64_t m = job.m;
  for (int64_t i = 0, at = 0; i < m; ++i)
    for (int64_t j = 0; j <= i; ++j, ++at) p.gram[i * m + j] = p.gram[j * m + i] = p.packed[at];
  for (int64_t i = 0; i < m; ++i) {
    double sum = p.score[i];
    for (int64_t j = 0; j < m; ++j) sum += p.gram[i * m + j] * p.old[j];
    p.linear[i] = sum;
    p.l2[i] = job.weight * job.l2[i];
    p.coef[i] = p.old[i];
  }
}

// d' G d and score' d of d = b - b_old.
struct Moved {
  double curve, slope;
};

Moved moved(const LassoStepsJob& job, Problem& p) {
  const int64_t m = job.m;
  for (int64_t i = 0; i < m; ++i) p.moved[i] = 0;
  for (int64_t j = 0; j < m; ++j)
    if (const double d = p.coef[j] - p.old[j]; d != 0) step_along(p.gram + j * m, 0.0, d, p.moved, m);
  Moved sums{0, 0};
  for (int64_t i = 0; i < m; ++i) {
    const double d = p.coef[i] - p.old[i];
    sums.curve += p.moved[i] * d;
    sums.slope += p.score[i] * d;
  }
  return sums;
}

// weight sum l1 |b| and weight sum l2 b^2.
struct Sizes {
  double linear, square;
};

Sizes sizes(const LassoStepsJob& job, const double* b) {
  Sizes sums{0, 0};
  for (int64_t i = 0; i < job.m; ++i) {
    sums.linear += job.l1[i] * absolute(b[i]);
    sums.square += job.l2[i] * b[i] * b[i];
  }
  return {job.weight * sums.linear, job.weight * sums.square};
}

void minimise_at(const LassoStepsJob& job, Problem& p, double scale, void* scratch) {
  double largest = 0;
  for (int64_t i = 0; i < job.m; ++i) {
    p.l1[i] = scale * job.weight * job.l1[i];
    largest = at_least(largest, absolute(p.linear[i]));
  }
  Arena arena = arena_at(scratch);
  carve_problem(arena, job.m);
  GramDescentJob d = descent_of(job, p);
  d.descent.tol = job.tol * largest;
  const DescentScratch work = carve_descent(arena, d.descent);
  GramForm form = carve_form(arena, d);
  fill_gradient(form);
  descend(form, d.descent, work);
}

double best_scale(const LassoStepsJob& job, Problem& p, int64_t b) {
  const Moved step = moved(job, p);
  const Sizes size = sizes(job, p.coef);
  const double squares = at_least(job.square[b] + step.curve - 2 * step.slope + size.square, 0.0);
  const double root = sqrt_number(size.linear * size.linear + 4 * job.count[b] * squares);
  return at_least((size.linear + root) / (2 * job.count[b]), job.floor);
}

Status item(const void* any_job, int64_t b, void* scratch) {
  const LassoStepsJob& job = as_job(any_job);
  Arena arena = arena_at(scratch);
  Problem p = carve_problem(arena, job.m);
  p.packed = job.gram + b * (job.m * (job.m + 1) / 2);
  p.score = job.score + b * job.m;
  p.old = job.old + b * job.m;
  p.coef = job.coef + b * job.m;
  unpack(job, p);
  if (job.scale == nullptr) minimise_at(job, p, 1, scratch);
  for (int32_t turn = 0; job.scale != nullptr && turn < job.alternations; ++turn) {
    const double before = job.scale[b];
    minimise_at(job, p, before, scratch);
    job.scale[b] = best_scale(job, p, b);
    if (absolute(job.scale[b] - before) <= job.scale_tol * job.scale[b]) break;
  }
  if (job.gain != nullptr) {
    const Moved step = moved(job, p);
    const Sizes here = sizes(job, p.coef), there = sizes(job, p.old);
    job.gain[2 * b] = step.slope - (here.linear - there.linear) - (here.square - there.square) / 2;
    job.gain[2 * b + 1] = step.curve;
  }
  return Status::ok;
}

}  // namespace

extern const ItemOp lasso_steps_op = {scratch_bytes, item_flops, item};

}  // namespace pyestim::PYESTIM_ISA
