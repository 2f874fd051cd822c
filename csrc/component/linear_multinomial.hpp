// Multinomial experts: classes 0 .. L under a softmax whose last class is the reference.
//
// Include inside the namespace of the level, after component/linear_experts.hpp and math/exp_log.hpp.
#pragma once

template <class T>
struct LinearMultinomial {
  using V = typename Pack<T>::V;
  using S = Tile<T>;
  static constexpr int w = S::width, stride = S::stride;

  // One vector of rows.  eta (L, rows): predictors in, probabilities out; returns the log-probability of class y, and
  // the probability of the reference.
  PYESTIM_INLINE static V probabilities(int n_predictors, V y, T* eta, V& reference) {
    const V zero = broadcast(T(0));
    V most = zero, chosen = zero, sum;
    for (int a = 0; a < n_predictors; ++a) {
      const V line = within<T>(load(eta + int64_t(a) * stride), predictor_cap<T>);
      most = max(most, line);
      chosen = select(y == broadcast(T(a)), line, chosen);
    }
    sum = reference = exp_neg(zero - most);
    for (int a = 0; a < n_predictors; ++a) {
      const V e = exp_neg(within<T>(load(eta + int64_t(a) * stride), predictor_cap<T>) - most);
      store(eta + int64_t(a) * stride, e);
      sum += e;
    }
    const V share = broadcast(T(1)) / sum;
    reference *= share;
    for (int a = 0; a < n_predictors; ++a) store(eta + int64_t(a) * stride, load(eta + int64_t(a) * stride) * share);
    return (chosen - most) - log_pos(sum);
  }

  static void expert(const ExpertBlock<T>& in, int k) {
    const int n = in.n_predictors, pairs = n * (n + 1) / 2;
    for (int row = 0; row < in.y.padded; row += w) {
      T* eta = in.predictor + int64_t(k) * n * stride + row;
      const V y = load(response_at(in.y, row / S::panel * S::panel, 0) + row % S::panel);
      V reference;
      store(in.quad + int64_t(k) * stride + row, probabilities(n, y, eta, reference));
      if (in.curvature != nullptr) {
        T* h = in.curvature + int64_t(k) * pairs * stride + row;
        for (int a = 1; a <= n; ++a) {
          const V mine = a < n ? load(eta + int64_t(a) * stride) : reference;
          for (int b = 0; b < a; ++b, h += stride) store(h, mine * load(eta + int64_t(b) * stride));
        }
      }
      for (int a = 0; a < n; ++a) {
        const V mean = load(eta + int64_t(a) * stride);
        store(eta + int64_t(a) * stride, select(y == broadcast(T(a)), broadcast(T(1)), broadcast(T(0))) - mean);
      }
    }
  }

  static void run(const ExpertBlock<T>& in) {
    for (int k = 0; k < in.n_experts; ++k) expert(in, k);
  }
};
