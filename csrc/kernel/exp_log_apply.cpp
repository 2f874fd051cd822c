// exp and log over arrays: how the tests and the benchmarks reach csrc/math/exp_log.hpp at every level.
#include <stdint.h>
#if !defined(__GNUC__)
#include <math.h>
#endif

#include "kernel/ops.hpp"

namespace pyestim::PYESTIM_ISA {
namespace {

#include "math/pack.hpp"
//
#include "math/exp_log.hpp"

struct ExpFull {
  template <class V>
  PYESTIM_INLINE static V of(V x) {
    return exp_full(x);
  }
};
struct ExpNeg {
  template <class V>
  PYESTIM_INLINE static V of(V x) {
    return exp_neg(x);
  }
};
struct LogFull {
  template <class V>
  PYESTIM_INLINE static V of(V x) {
    return log_full(x);
  }
};
struct LogPos {
  template <class V>
  PYESTIM_INLINE static V of(V x) {
    return log_pos(x);
  }
};

template <class F, class T>
PYESTIM_INLINE void apply_four(const T* x, T* out) {
  constexpr int w = Pack<T>::width;
  const auto a = load(x), b = load(x + w), c = load(x + 2 * w), d = load(x + 3 * w);
  store(out, F::of(a));
  store(out + w, F::of(b));
  store(out + 2 * w, F::of(c));
  store(out + 3 * w, F::of(d));
}

template <class F, class T>
void apply(const MathJob& job, int64_t begin, int64_t end) {
  constexpr int step = 4 * Pack<T>::width;  // four independent chains hide the latency of one
  const T* x = static_cast<const T*>(job.x);
  T* out = static_cast<T*>(job.out);
  int64_t i = begin;
  for (; i + step <= end; i += step) apply_four<F>(x + i, out + i);
  if (i == end) return;
  T edge[step];
  for (int j = 0; j < step; ++j) edge[j] = i + j < end ? x[i + j] : T(1);
  apply_four<F>(edge, edge);
  for (int j = 0; i + j < end; ++j) out[i + j] = edge[j];
}

template <class T>
Status apply_typed(const MathJob& job, int64_t begin, int64_t end) {
  switch (job.function) {
    case MathFunction::exp_full:
      apply<ExpFull, T>(job, begin, end);
      return Status::ok;
    case MathFunction::exp_neg:
      apply<ExpNeg, T>(job, begin, end);
      return Status::ok;
    case MathFunction::log_full:
      apply<LogFull, T>(job, begin, end);
      return Status::ok;
    case MathFunction::log_pos:
      apply<LogPos, T>(job, begin, end);
      return Status::ok;
  }
  return Status::unsupported;
}

}  // namespace

Status apply_math(const MathJob* job, int64_t begin, int64_t end) {
  return job->dtype == Dtype::float32 ? apply_typed<float>(*job, begin, end) : apply_typed<double>(*job, begin, end);
}

}  // namespace pyestim::PYESTIM_ISA
