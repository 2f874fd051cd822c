#include "core/blas.hpp"

#include <bit>

namespace pyestim {
namespace {

enum Routine { dgemm, sgemm, dsyrk, ssyrk, dtrmm, strmm, dpotrf, dtrtri };

// The functions behind scipy.linalg.cython_blas are C functions: pointers for all arguments, no hidden string lengths.
// Int: the library's integer; T: float or double.
template <class Int, class T, Routine routine>
void gemm(const Blas* self, char trans_a, char trans_b, int64_t m, int64_t n, int64_t k, T alpha, const T* a,
          int64_t lda, const T* b, int64_t ldb, T beta, T* c, int64_t ldc) {
  using Call = void (*)(char*, char*, Int*, Int*, Int*, T*, const T*, Int*, const T*, Int*, T*, T*, Int*);
  Int m_ = Int(m), n_ = Int(n), k_ = Int(k), lda_ = Int(lda), ldb_ = Int(ldb), ldc_ = Int(ldc);
  reinterpret_cast<Call>(self->routine[routine])(&trans_a, &trans_b, &m_, &n_, &k_, &alpha, a, &lda_, b, &ldb_, &beta,
                                                 c, &ldc_);
}

template <class Int, class T, Routine routine>
void syrk(const Blas* self, char uplo, char trans, int64_t n, int64_t k, T alpha, const T* a, int64_t lda, T beta, T* c,
          int64_t ldc) {
  using Call = void (*)(char*, char*, Int*, Int*, T*, const T*, Int*, T*, T*, Int*);
  Int n_ = Int(n), k_ = Int(k), lda_ = Int(lda), ldc_ = Int(ldc);
  reinterpret_cast<Call>(self->routine[routine])(&uplo, &trans, &n_, &k_, &alpha, a, &lda_, &beta, c, &ldc_);
}

template <class Int, class T, Routine routine>
void trmm(const Blas* self, char side, char uplo, char trans, char diag, int64_t m, int64_t n, T alpha, const T* a,
          int64_t lda, T* b, int64_t ldb) {
  using Call = void (*)(char*, char*, char*, char*, Int*, Int*, T*, const T*, Int*, T*, Int*);
  Int m_ = Int(m), n_ = Int(n), lda_ = Int(lda), ldb_ = Int(ldb);
  reinterpret_cast<Call>(self->routine[routine])(&side, &uplo, &trans, &diag, &m_, &n_, &alpha, a, &lda_, b, &ldb_);
}

template <class Int>
int64_t call_dpotrf(const Blas* self, char uplo, int64_t n, double* a, int64_t lda) {
  using Call = void (*)(char*, Int*, double*, Int*, Int*);
  Int n_ = Int(n), lda_ = Int(lda), info = 0;
  reinterpret_cast<Call>(self->routine[dpotrf])(&uplo, &n_, a, &lda_, &info);
  return info;
}

template <class Int>
int64_t call_dtrtri(const Blas* self, char uplo, char diag, int64_t n, double* a, int64_t lda) {
  using Call = void (*)(char*, char*, Int*, double*, Int*, Int*);
  Int n_ = Int(n), lda_ = Int(lda), info = 0;
  reinterpret_cast<Call>(self->routine[dtrtri])(&uplo, &diag, &n_, a, &lda_, &info);
  return info;
}

template <class Int>
Blas make(const std::array<void*, n_blas_routines>& routines) {
  Blas blas{
      .integer_bits = 8 * static_cast<int32_t>(sizeof(Int)),
      .dgemm = gemm<Int, double, dgemm>,
      .sgemm = gemm<Int, float, sgemm>,
      .dsyrk = syrk<Int, double, dsyrk>,
      .ssyrk = syrk<Int, float, ssyrk>,
      .dtrmm = trmm<Int, double, dtrmm>,
      .strmm = trmm<Int, float, strmm>,
      .dpotrf = call_dpotrf<Int>,
      .dtrtri = call_dtrtri<Int>,
      .routine = {},
  };
  for (int i = 0; i < n_blas_routines; ++i) blas.routine[i] = routines[i];
  return blas;
}

}  // namespace

Blas make_blas(const std::array<void*, n_blas_routines>& routines, int integer_bits) {
  return integer_bits == 64 ? make<int64_t>(routines) : make<int32_t>(routines);
}

int probe_integer_bits(void* dscal) {
  if constexpr (std::endian::native != std::endian::little) return 0;
  // Read as 32 bits the length is 1; read as 64 bits it is negative, which level-1 BLAS takes for nothing to do.
  int64_t n = -(int64_t{1} << 32) + 1, stride = 1;
  double factor = 2, x = 1;
  using Call = void (*)(void*, double*, double*, void*);
  reinterpret_cast<Call>(dscal)(&n, &factor, &x, &stride);
  return x == 2 ? 32 : 64;
}

}  // namespace pyestim
