// Precision factors of a batch of covariance matrices: F = L^-1 with Sigma = L L', and log|det F|.
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
#include "math/small_linalg.hpp"

// From this order on LAPACK's blocked code wins (benchmarks/bench_kernels.py).
constexpr int lapack_from = PYESTIM_VECTOR_BYTES >= 32 ? 192 : 112;

constexpr int w = Pack<double>::width;

int wide_of(int d) { return (d + w - 1) / w * w; }

// scratch: U (d, wide), F (d, wide), 1 / U_jj (wide,)
int64_t factor_own(const double* cov, double* factor, int d, double* scratch) {
  const int wide = wide_of(d);
  double* u = scratch;
  double* f = u + int64_t(d) * wide;
  double* inverse = f + int64_t(d) * wide;
  for (int j = 0; j < d; ++j) {
    for (int i = 0; i < wide; ++i) u[int64_t(j) * wide + i] = i >= j && i < d ? cov[int64_t(i) * d + j] : 0.0;
  }
  if (const int minor = cholesky(u, inverse, d, wide); minor != 0) return minor;
  invert_transpose(u, inverse, f, d, wide);
  for (int i = 0; i < d; ++i) {
    for (int j = 0; j < d; ++j) factor[int64_t(i) * d + j] = j <= i ? f[int64_t(i) * wide + j] : 0.0;
  }
  return 0;
}

// A lower triangle by rows is an upper one by columns.  LAPACK lets NaN and infinity through, to the diagonal of F.
int64_t factor_lapack(const Blas* blas, const double* cov, double* a, int d) {
  for (int i = 0; i < d; ++i) {
    for (int j = 0; j < d; ++j) a[int64_t(i) * d + j] = j <= i ? cov[int64_t(i) * d + j] : 0.0;
  }
  if (const int64_t minor = blas->dpotrf(blas, 'U', d, a, d); minor != 0) return minor;
  if (const int64_t zero = blas->dtrtri(blas, 'U', 'N', d, a, d); zero != 0) return zero;
  for (int i = 0; i < d; ++i) {
    const double entry = a[int64_t(i) * (d + 1)];
    if (!(entry > 0 && entry < __builtin_huge_val())) return i + 1;
  }
  return 0;
}

// sum_i log F_ii
double log_det_of(const double* factor, int d) {
  auto sum = broadcast(0.0);
  for (int i = 0; i < d; i += w) {
    double diagonal[w];
    for (int j = 0; j < w; ++j) diagonal[j] = i + j < d ? factor[int64_t(i + j) * (d + 1)] : 1.0;
    sum += log_full(load(diagonal));
  }
  return reduce_add(sum);
}

int64_t scratch_bytes(const void* job) {
  const int64_t d = static_cast<const FactoriseJob*>(job)->d;
  return (2 * d + 1) * wide_of(int(d)) * int64_t(sizeof(double));
}

double item_flops(const void* job) {
  const double d = static_cast<const FactoriseJob*>(job)->d;
  return d * d * d + 200;  // two triangles of d^3 / 3 each, at less than full speed
}

Status item(const void* any_job, int64_t index, void* scratch) {
  const auto& job = *static_cast<const FactoriseJob*>(any_job);
  const int d = job.d;
  const int64_t size = int64_t(d) * d;
  const double* cov = job.cov + index * size;
  double* factor = job.factor + index * size;
  const bool lapack = d >= lapack_from && job.blas != nullptr;
  const int64_t minor =
      lapack ? factor_lapack(job.blas, cov, factor, d) : factor_own(cov, factor, d, static_cast<double*>(scratch));
  job.status[index] = minor;
  job.log_det[index] = minor == 0 ? log_det_of(factor, d) : __builtin_nan("0");
  return Status::ok;
}

}  // namespace

extern const ItemOp factorise_op = {scratch_bytes, item_flops, item};

}  // namespace pyestim::PYESTIM_ISA
