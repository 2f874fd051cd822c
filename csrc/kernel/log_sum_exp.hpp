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
  const T* weight;    // (rows,)
  T* resp;            // (K, rows) weight times responsibility; may be quad itself
  T* log_total;       // (rows,) log-density
  T* share;           // (rows,) scratch
  bool unit_weights;  // only the sum of log_total is wanted, and every weight is 1 (pad rows: 0)

  // ---- rows where every distance stands at the cap ----
  struct Lost {
    int n_rows = 0;
    int row[S::block];
    int best[S::block];
    T quad[S::block];
  };

  // A lost row belongs to its nearest living component, ties to the first.  Before resp overwrites quad.
  void note_lost(int first_row, Lost& lost) const {
    for (int row = first_row; row < first_row + S::panel; ++row) {
      int best = -1;
      for (int k = 0; k < n_components; ++k) {
        if (!gate.alive(k, row)) continue;
        if (best < 0 || quad[int64_t(k) * stride + row] > quad[int64_t(best) * stride + row]) best = k;
      }
      const T top = best < 0 ? -distance_cap<T> : quad[int64_t(best) * stride + row];
      if (top >= lost_below<T>) continue;
      lost.row[lost.n_rows] = row;
      lost.best[lost.n_rows] = best;
      lost.quad[lost.n_rows++] = top;
    }
  }

  void place_lost(const Lost& lost) const {
    for (int i = 0; i < lost.n_rows; ++i) {
      const int row = lost.row[i];
      for (int k = 0; k < n_components; ++k) {
        resp[int64_t(k) * stride + row] = k == lost.best[i] ? weight[row] : T(0);
      }
      log_total[row] = lost.quad[i];
    }
  }

  // ---- three passes over the block, each long enough to keep the processor's pipes full ----
  PYESTIM_INLINE void highest(int row, V (&most)[u]) const {
#pragma GCC unroll 4
    for (int a = 0; a < u; ++a) most[a] = broadcast(-distance_cap<T>);
    for (int k = 0; k < n_components; ++k) {
      const T* q = quad + int64_t(k) * stride + row;
#pragma GCC unroll 4
      for (int a = 0; a < u; ++a) most[a] = max(load(q + a * w) + gate.log_weight(k, row + a * w), most[a]);
    }
  }

  // resp = exp(log-density - highest), log_total = highest, share = sum of resp.
  PYESTIM_INLINE void exponentials(int row, const V (&most)[u]) const {
    V total[u];
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
      store(log_total + row + a * w, most[a]);
      store(share + row + a * w, total[a]);
    }
  }

  PYESTIM_INLINE void logarithms(int padded) const {
    for (int row = 0; row < padded; row += S::panel) {
#pragma GCC unroll 4
      for (int a = 0; a < u; ++a) {
        const int at = row + a * w;
        const V total = load(share + at);
        store(log_total + at, load(log_total + at) + log_pos(total));
        store(share + at, load(weight + at) / total);
      }
    }
  }

  // Scales the components' rows and adds up their responsibilities.
  PYESTIM_INLINE void scale(int padded, double* resp_sum) const {
    for (int k = 0; k < n_components; ++k) {
      T* r = resp + int64_t(k) * stride;
      V sum[u];
#pragma GCC unroll 4
      for (int a = 0; a < u; ++a) sum[a] = broadcast(T(0));
      for (int row = 0; row < padded; row += S::panel) {
#pragma GCC unroll 4
        for (int a = 0; a < u; ++a) {
          const V scaled = load(r + row + a * w) * load(share + row + a * w);
          store(r + row + a * w, scaled);
          sum[a] += scaled;
        }
      }
      for (int a = 1; a < u; ++a) sum[0] += sum[a];
      if (resp_sum != nullptr) resp_sum[k] += double(reduce_add(sum[0]));
    }
  }

  // Where every row counts once, one logarithm of a product serves many rows; log_total is not written.  Sums of the
  // exponentials lie between 1 and K, so products of `many` of them are far from overflow (float32: up to K = 2^15).
  double logarithm_of_products(int padded) const {
    constexpr int many = 8;
    const V one = broadcast(T(1)), zero = broadcast(T(0));
    double sum = 0;
    for (int row = 0; row < padded; row += many * S::panel) {
      const int end = row + many * S::panel < padded ? row + many * S::panel : padded;
      V product[u], most[u];
      for (int a = 0; a < u; ++a) {
        product[a] = one;
        most[a] = zero;
      }
      for (int i = row; i < end; i += S::panel) {
#pragma GCC unroll 4
        for (int a = 0; a < u; ++a) {
          const V counts = load(weight + i + a * w), total = load(share + i + a * w);
          product[a] *= select(counts > zero, total, one);
          most[a] += select(counts > zero, load(log_total + i + a * w), zero);
          store(share + i + a * w, counts / total);
        }
      }
      for (int a = 0; a < u; ++a) sum += double(reduce_add(most[a] + log_pos(product[a])));
    }
    return sum;
  }

  // Adds sum_i w_i r_ik to resp_sum (K,) unless null; returns sum_i w_i log p(z_i).
  double run(int padded, double* resp_sum) const {
    Lost lost;
    for (int row = 0; row < padded; row += S::panel) {
      V most[u];
      highest(row, most);
      auto far = most[0] < broadcast(lost_below<T>);
#pragma GCC unroll 4
      for (int a = 1; a < u; ++a) far = far | (most[a] < broadcast(lost_below<T>));
      if (any(far)) [[unlikely]]
        note_lost(row, lost);
      exponentials(row, most);
    }
    const bool multiply = unit_weights && lost.n_rows == 0 && n_components < (1 << 15);
    double log_likelihood = 0;
    if (multiply) {
      log_likelihood = logarithm_of_products(padded);
    } else {
      logarithms(padded);
    }
    for (int i = 0; i < lost.n_rows; ++i) share[lost.row[i]] = T(0);
    scale(padded, resp_sum);
    place_lost(lost);
    for (int i = 0; i < lost.n_rows && resp_sum != nullptr; ++i) {
      if (lost.best[i] >= 0) resp_sum[lost.best[i]] += double(weight[lost.row[i]]);
    }
    return multiply ? log_likelihood : weighted_sum(padded);
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
