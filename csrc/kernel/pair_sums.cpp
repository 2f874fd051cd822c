// Sums over pairs of states that exchange flow, for reversible chains: one item per few rows of a dense matrix.
#include <stdint.h>
#if !defined(__GNUC__)
#include <math.h>
#endif

#include "kernel/ops.hpp"

namespace pyestim::PYESTIM_ISA {
namespace {

#include "math/pack.hpp"

using P = Pack<double>;
using V = P::V;
constexpr double least = 0x1p-1000;  // keeps 0 / 0 at 0

// Each: from the values of two states and the counts from one to the other and back a term of the sum, and a weight.
// Written once for numbers and packs.

// Flow balance and its derivative; values are q. Where these are similar, the term is the sum of halves that are small
// when states exchange as much as they are seen to: rounding of many mutual counts must not hide a rare exchange.
struct Compare {
  template <class T>
  PYESTIM_INLINE static void of(T a, T b, T there, T back, T& term, T& weight) {
    const T r = 1.0 / (a + b), difference = (b - a) * r;
    const auto similar = (difference < 0.25) & (difference > -0.25);
    term = select(similar, there * difference + (there - back) * (a * r), there * (b * r) - back * (a * r));
    weight = (there + back) * (a * r) * (b * r);
  }
};

// Flows and their derivative; values are multipliers.
struct Exchange {
  template <class T>
  PYESTIM_INLINE static void of(T a, T b, T there, T back, T& term, T& weight) {
    const T total = a + b;
    const T r = 1.0 / (total + least);
    term = (there + back) * r;
    weight = term * r;
  }
};

struct Flow {
  template <class T>
  PYESTIM_INLINE static void of(T a, T b, T there, T back, T& term, T& weight) {
    term = weight = (there + back) / (a + b + least);
  }
};

// Counts as the estimate has them; values are q.
struct Share {
  template <class T>
  PYESTIM_INLINE static void of(T a, T b, T there, T back, T& term, T& weight) {
    term = weight = (there + back) * (a / (a + b));
  }
};

const PairJob& as_job(const void* job) { return *static_cast<const PairJob*>(job); }

template <class Formula>
double row_sum(const PairJob& job, int64_t row) {
  const double* there = job.forward + row * job.k;
  const double* back = job.backward + row * job.k;
  double* out = job.weights + row * job.k;
  const double own = job.values[row];
  V sums = broadcast(0.0);
  int64_t j = 0;
  for (; j + P::width <= job.k; j += P::width) {
    V term, weight;
    Formula::of(broadcast(own), load(job.values + j), load(there + j), load(back + j), term, weight);
    store(out + j, weight);
    sums += term;
  }
  double sum = reduce_add(sums);
  for (; j < job.k; ++j) {
    double term;
    Formula::of(own, job.values[j], there[j], back[j], term, out[j]);
    sum += term;
  }
  return sum;
}

template <class Formula>
void fill(const PairJob& job, int64_t begin, int64_t end) {
  for (int64_t row = begin; row < end; ++row) job.sums[row] = row_sum<Formula>(job, row);
}

int64_t scratch_bytes(const void*) { return 0; }

double item_flops(const void* any_job) { return 20.0 * double(pair_rows) * double(as_job(any_job).k); }

Status item(const void* any_job, int64_t index, void*) {
  const PairJob& job = as_job(any_job);
  const int64_t begin = index * pair_rows;
  const int64_t end = begin + pair_rows < job.k ? begin + pair_rows : job.k;
  switch (job.formula) {
    case PairFormula::compare:
      fill<Compare>(job, begin, end);
      break;
    case PairFormula::exchange:
      fill<Exchange>(job, begin, end);
      break;
    case PairFormula::flow:
      fill<Flow>(job, begin, end);
      break;
    case PairFormula::share:
      fill<Share>(job, begin, end);
      break;
  }
  return Status::ok;
}

}  // namespace

extern const ItemOp pair_sums_op = {scratch_bytes, item_flops, item};

}  // namespace pyestim::PYESTIM_ISA
