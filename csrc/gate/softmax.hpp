// A gate whose log-weights differ by row: softmax of linear functions.
//
// Include inside the namespace of the level, after kernel/tile.hpp, math/exp_log.hpp and component/linear_experts.hpp.
#pragma once

template <class T>
struct SoftmaxGate {
  const T* log_share;  // (K, rows)

  PYESTIM_INLINE typename Pack<T>::V log_weight(int k, int row) const {
    return load(log_share + int64_t(k) * Tile<T>::stride + row);
  }
  PYESTIM_INLINE bool alive(int k, int row) const {
    return log_share[int64_t(k) * Tile<T>::stride + row] > T(-__builtin_huge_val());
  }
};

template <class T>
struct Softmax {
  using V = typename Pack<T>::V;
  using S = Tile<T>;
  static constexpr int w = S::width, u = S::vectors, stride = S::stride;

  // Predictors of one panel within bounds, those of dropped experts at -infinity; their maximum.
  PYESTIM_INLINE static void bounded(int n, const T* dropped, T* line, V (&most)[u]) {
#pragma GCC unroll 4
    for (int a = 0; a < u; ++a) most[a] = broadcast(-residual_cap<T>);
    for (int k = 0; k < n; ++k) {
      const V offset = broadcast(dropped[k]);
      T* at = line + int64_t(k) * stride;
#pragma GCC unroll 4
      for (int a = 0; a < u; ++a) {
        const V value = within<T>(load(at + a * w), predictor_cap<T>) + offset;
        store(at + a * w, value);
        most[a] = max(most[a], value);
      }
    }
  }

  // line (K, rows): predictors in, log-shares out; share (K, rows): shares.  dropped (K,): 0, or -infinity.
  static void run(int padded, int n, const T* dropped, T* line, T* share) {
    for (int row = 0; row < padded; row += S::panel) {
      V most[u], sum[u];
      bounded(n, dropped, line + row, most);
#pragma GCC unroll 4
      for (int a = 0; a < u; ++a) sum[a] = broadcast(T(0));
      for (int k = 0; k < n; ++k) {
#pragma GCC unroll 4
        for (int a = 0; a < u; ++a) {
          const int64_t at = int64_t(k) * stride + row + a * w;
          const V moved = load(line + at) - most[a], e = exp_neg(moved);
          store(line + at, moved);
          store(share + at, e);
          sum[a] += e;
        }
      }
      V log_sum[u];
#pragma GCC unroll 4
      for (int a = 0; a < u; ++a) {
        log_sum[a] = log_pos(sum[a]);
        sum[a] = broadcast(T(1)) / sum[a];
      }
      for (int k = 0; k < n; ++k) {
#pragma GCC unroll 4
        for (int a = 0; a < u; ++a) {
          const int64_t at = int64_t(k) * stride + row + a * w;
          store(line + at, load(line + at) - log_sum[a]);
          store(share + at, load(share + at) * sum[a]);
        }
      }
    }
  }
};
