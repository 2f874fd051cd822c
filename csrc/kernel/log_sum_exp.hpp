// From log-densities to responsibilities: rows in vector lanes, several vectors at once.
//
// Include inside the namespace of the level, after kernel/tile.hpp and math/exp_log.hpp.
#pragma once

// Squared distances are capped, so that no row overflows; a row where every component stands at the cap is lost.
template <class T>
constexpr T distance_cap = sizeof(T) == 8 ? T(1e300) : T(1e37);
template <class T>
constexpr T lost_below = T(-0.4) * distance_cap<T>;

template <class T>
PYESTIM_INLINE typename Pack<T>::V capped_quad(typename Pack<T>::V distance) {
  return T(-0.5) * min(distance, broadcast(distance_cap<T>));  // NaN gives the cap
}

template <class T, class Gate>
struct LogSumExp {
  using V = typename Pack<T>::V;
  using S = Tile<T>;
  static constexpr int w = S::width, u = S::vectors, stride = S::stride;

  const T* quad;  // (K, rows) -|F_k (z - mean_k)|^2 / 2
  Gate gate;
  int n_components;
  const T* weight;  // (rows,)
  T* resp;          // (K, rows) weight times responsibility; may be quad itself
  T* log_total;     // (rows,) log-density

  // A lost row belongs to its nearest living component, ties to the first.
  int nearest(int row) const {
    int best = -1;
    for (int k = 0; k < n_components; ++k) {
      if (!gate.alive(k, row)) continue;
      if (best < 0 || quad[int64_t(k) * stride + row] > quad[int64_t(best) * stride + row]) best = k;
    }
    return best;
  }

  PYESTIM_INLINE void highest(int row, V (&most)[u]) const {
#pragma GCC unroll 4
    for (int a = 0; a < u; ++a) most[a] = broadcast(-distance_cap<T>);
    for (int k = 0; k < n_components; ++k) {
      const T* q = quad + int64_t(k) * stride + row;
#pragma GCC unroll 4
      for (int a = 0; a < u; ++a) most[a] = max(load(q + a * w) + gate.log_weight(k, row + a * w), most[a]);
    }
  }

  PYESTIM_INLINE void panel(int row, const V (&most)[u]) const {
    V total[u], share[u];
#pragma GCC unroll 4
    for (int a = 0; a < u; ++a) total[a] = broadcast(T(0));
    for (int k = 0; k < n_components; ++k) {
      const T* q = quad + int64_t(k) * stride + row;
      T* r = resp + int64_t(k) * stride + row;
#pragma GCC unroll 4
      for (int a = 0; a < u; ++a) {
        const V e = exp_neg(load(q + a * w) + gate.log_weight(k, row + a * w) - most[a]);
        store(r + a * w, e);
        total[a] += e;
      }
    }
#pragma GCC unroll 4
    for (int a = 0; a < u; ++a) {
      store(log_total + row + a * w, most[a] + log_pos(total[a]));
      share[a] = load(weight + row + a * w) / total[a];
    }
    for (int k = 0; k < n_components; ++k) {
      T* r = resp + int64_t(k) * stride + row;
#pragma GCC unroll 4
      for (int a = 0; a < u; ++a) store(r + a * w, load(r + a * w) * share[a]);
    }
  }

  // A panel with lost rows: choose before resp overwrites quad, patch after the ordinary arithmetic.
  void panel_with_lost_rows(int row, const V (&most)[u]) const {
    int best[S::panel];
    T top[S::panel];
    for (int i = 0; i < S::panel; ++i) {
      best[i] = nearest(row + i);
      top[i] = best[i] < 0 ? T(0) : quad[int64_t(best[i]) * stride + row + i];
    }
    panel(row, most);
    for (int i = 0; i < S::panel; ++i) {
      if (best[i] >= 0 && top[i] >= lost_below<T>) continue;
      for (int k = 0; k < n_components; ++k) {
        resp[int64_t(k) * stride + row + i] = k == best[i] ? weight[row + i] : T(0);
      }
      log_total[row + i] = best[i] < 0 ? -distance_cap<T> : top[i];
    }
  }

  // Returns sum_i w_i log p(z_i).
  double run(int padded) const {
    for (int row = 0; row < padded; row += S::panel) {
      V most[u];
      highest(row, most);
      auto lost = most[0] < broadcast(lost_below<T>);
#pragma GCC unroll 4
      for (int a = 1; a < u; ++a) lost = lost | (most[a] < broadcast(lost_below<T>));
      if (any(lost)) [[unlikely]] {
        panel_with_lost_rows(row, most);
      } else {
        panel(row, most);
      }
    }
    return weighted_sum(padded);
  }

  double weighted_sum(int padded) const {
    constexpr int wide = Pack<double>::width;
    auto even = broadcast(0.0), odd = broadcast(0.0);
    int row = 0;
    for (; row + 2 * wide <= padded; row += 2 * wide) {
      even += load_as<double>(weight + row) * load_as<double>(log_total + row);
      odd += load_as<double>(weight + row + wide) * load_as<double>(log_total + row + wide);
    }
    double sum = reduce_add(even + odd);
    for (; row < padded; ++row) sum += double(weight[row]) * double(log_total[row]);
    return sum;
  }
};
