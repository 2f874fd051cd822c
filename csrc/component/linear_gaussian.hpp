// Gaussian experts: y = A x~ + noise of covariance (F' F)^-1.
//
// Include inside the namespace of the level, after component/linear_experts.hpp.
#pragma once

template <class T>
struct LinearGaussian {
  using V = typename Pack<T>::V;
  using S = Tile<T>;
  static constexpr int w = S::width, u = S::vectors;

  // Residuals y - prediction in the place of the predictions.
  static void residuals(const ExpertBlock<T>& in, int k) {
    for (int r = 0; r < in.n_predictors; ++r) {
      T* e = in.predictor + int64_t(k * in.n_predictors + r) * S::stride;
      for (int row = 0; row < in.y.padded; row += S::panel) {
        const T* y = response_at(in.y, row, r);
#pragma GCC unroll 4
        for (int a = 0; a < u; ++a) {
          store(e + row + a * w, within<T>(load(y + a * w) - load(e + row + a * w), residual_cap<T>));
        }
      }
    }
  }

  static void log_density(const ExpertBlock<T>& in, int k) {
    const int m = in.n_predictors;
    const T* factor = in.factor + int64_t(k) * m * m;
    const T* e = in.predictor + int64_t(k) * m * S::stride;
    T* quad = in.quad + int64_t(k) * S::stride;
    const V norm = broadcast(in.log_norm[k]);
    for (int row = 0; row < in.y.padded; row += w) {
      V distance = broadcast(T(0));
      for (int i = 0; i < m; ++i) {
        V white = broadcast(factor[i * m]) * load(e + row);
        for (int j = 1; j <= i; ++j) white += broadcast(factor[i * m + j]) * load(e + int64_t(j) * S::stride + row);
        distance += white * white;
      }
      store(quad + row, norm + capped_quad<T>(distance));
    }
  }

  static void run(const ExpertBlock<T>& in) {
    for (int k = 0; k < in.n_experts; ++k) {
      residuals(in, k);
      if (in.factor != nullptr) log_density(in, k);
    }
  }
};
