// Poisson experts with the logarithm and binomial experts with the logit as link.
//
// Include inside the namespace of the level, after component/linear_experts.hpp and math/exp_log.hpp.
#pragma once

template <class T>
struct LinearPoisson {
  using V = typename Pack<T>::V;
  using S = Tile<T>;
  static constexpr int w = S::width, u = S::vectors;
  static constexpr T highest = sizeof(T) == 8 ? T(300) : T(40);  // of a predictor: means stay finite when squared

  static void expert(const ExpertBlock<T>& in, int k) {
    T* eta = in.predictor + int64_t(k) * S::stride;
    T* quad = in.quad + int64_t(k) * S::stride;
    T* h = in.curvature == nullptr ? quad : in.curvature + int64_t(k) * S::stride;  // overwritten where nobody asks
    for (int row = 0; row < in.y.padded; row += S::panel) {
      const T* y = response_at(in.y, row, 0);
#pragma GCC unroll 4
      for (int a = 0; a < u; ++a) {
        const int at = row + a * w;
        const V line = min(within<T>(load(eta + at), predictor_cap<T>), opaque(highest));
        const V count = within<T>(load(y + a * w), residual_cap<T>);
        const V mean = exp_full(line);
        store(h + at, mean);
        store(quad + at, count * line - mean);
        store(eta + at, count - mean);
      }
    }
  }

  static void run(const ExpertBlock<T>& in) {
    for (int k = 0; k < in.n_experts; ++k) expert(in, k);
  }
};

template <class T>
struct LinearBinomial {
  using V = typename Pack<T>::V;
  using S = Tile<T>;
  static constexpr int w = S::width, u = S::vectors;

  // With t = exp(-|eta|): log-density = -(failures or successes) |eta| - n log(1 + t), nothing cancels.
  static void expert(const ExpertBlock<T>& in, int k) {
    T* eta = in.predictor + int64_t(k) * S::stride;
    T* quad = in.quad + int64_t(k) * S::stride;
    T* h = in.curvature == nullptr ? quad : in.curvature + int64_t(k) * S::stride;
    const V zero = broadcast(T(0)), one = broadcast(T(1));
    for (int row = 0; row < in.y.padded; row += S::panel) {
      const T* y = response_at(in.y, row, 0);
#pragma GCC unroll 4
      for (int a = 0; a < u; ++a) {
        const int at = row + a * w;
        const V line = within<T>(load(eta + at), predictor_cap<T>), size = abs(line);
        const V successes = within<T>(load(y + a * w), residual_cap<T>);
        const V failures = within<T>(load(y + S::panel + a * w), residual_cap<T>);
        const V t = exp_neg(zero - size), sum = one + t, share = one / sum, n = successes + failures;
        const auto likely = line > zero;
        const V small = t * share;  // the smaller one of the two probabilities
        store(h + at, n * small * share);
        store(quad + at, zero - select(likely, failures, successes) * size - n * log_pos(sum));
        store(eta + at,
              select(likely, successes, zero - failures) * small + select(likely, zero - failures, successes) * share);
      }
    }
  }

  static void run(const ExpertBlock<T>& in) {
    for (int k = 0; k < in.n_experts; ++k) expert(in, k);
  }
};
