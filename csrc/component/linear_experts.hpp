// What an expert is to the kernels: one function over a block of rows, from linear predictors to log-densities,
// residuals and curvatures.
//
// Include inside the namespace of the level, after kernel/log_sum_exp.hpp.
#pragma once

// One candidate on one block.  Constants of the response alone (log y!, binomial coefficients) are left out.
template <class T>
struct ExpertBlock {
  const Block<T>& y;
  int n_experts;
  int n_predictors;   // L
  const T* factor;    // (K, m, m), null: no densities
  const T* log_norm;  // (K,)
  T* predictor;       // (K L, rows) in: linear predictors, out: residuals
  T* quad;            // (K, rows) out: log-densities
  T* curvature;       // (K n_curvatures, rows) out, null: nobody asks
};

// Beyond these numbers nothing is computed: a row out there is lost anyway, and infinities would become NaN.
template <class T>
constexpr T residual_cap = sizeof(T) == 8 ? T(1e150) : T(1e18);
template <class T>
constexpr T predictor_cap = sizeof(T) == 8 ? T(1e100) : T(1e12);

// Within -cap .. cap; NaN gives -cap.
template <class T>
PYESTIM_INLINE typename Pack<T>::V within(typename Pack<T>::V x, T cap) {
  return min(max(x, opaque(-cap)), opaque(cap));
}

// Where the response r of row `row` (a multiple of the panel) stands.
template <class T>
PYESTIM_INLINE const T* response_at(const Block<T>& y, int row, int r) {
  return y.panels + int64_t(row) * y.d + int64_t(r) * Tile<T>::panel;
}
