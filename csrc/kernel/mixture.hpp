// What a component of a mixture is to the kernels: six functions over a block of rows.
//
// Include inside the namespace of the level, after kernel/rows.hpp and kernel/log_sum_exp.hpp.
//
// A component never sees the gate: it writes quad (K, rows) = -|F_k (z - mean_k)|^2 / 2, gets back resp (K, rows) =
// weight times responsibility, and adds weighted moments centred at its means.  A call per block is free.
#pragma once

struct Shape {
  int n_components;
  int d;
  PYESTIM_INLINE int64_t triangle() const { return int64_t(d) * (d + 1) / 2; }
};

// Parameters of one candidate as the caller holds them, in float64.
struct Parameters {
  const double* means;    // (K, d)
  const double* factors;  // null: only the means matter (moments for responsibilities from elsewhere)
  const double* shift;    // (d,) of Working
};

// The mean of component k rounded to T, about the rounded origin; delta (d,): rounded mean - mean.
template <class T>
void pack_mean(Shape shape, const Parameters& parameters, int k, T* mean, double* delta) {
  const double* exact = parameters.means + int64_t(k) * shape.d;
  for (int j = 0; j < padded_features<T>(shape.d); ++j) {
    mean[j] = j < shape.d ? T(exact[j] - parameters.shift[j]) : T(0);
    if (j < shape.d) delta[j] = double(mean[j]) - (exact[j] - parameters.shift[j]);
  }
}

// Windows of the statistics of one candidate.
struct Moments {
  double* resp_sum;  // (K,)
  double* first;     // (K, d)
  double* second;    // full (K, P), tied (P,), diag (K, d), spherical (K,)
};

template <class T>
struct ComponentOps {
  int64_t (*packed_bytes)(Shape shape);  // per candidate
  int64_t (*scratch_bytes)(Shape shape);
  bool (*wants_groups)(Shape shape);
  int (*block_rows)(Shape shape);
  bool keeps_quad;  // accumulate reads quad: resp must be another buffer
  void (*pack)(Shape shape, const Parameters& parameters, void* packed);
  void (*quad)(const Block<T>& block, Shape shape, const void* packed, T* quad, void* scratch);
  // Once per leaf, before its first block; then once per block, for all candidates.  Null: nothing is shared.
  void (*begin_leaf)(Shape shape, void* scratch);
  void (*share)(const Block<T>& block, Shape shape, void* scratch);
  void (*accumulate)(const Block<T>& block, Shape shape, const void* packed, const T* quad, const T* resp,
                     const Moments& moments, void* scratch);
  // End of the leaf: moves moments to the float64 means.
  void (*finish)(Shape shape, const void* packed, const Moments& moments, void* scratch);
};

// Below this share of the largest weight a responsibility changes no statistic.
template <class T>
constexpr T negligible = sizeof(T) == 8 ? T(1e-20) : T(1e-12);

// Every real row above the threshold?
template <class T>
PYESTIM_INLINE bool all_above(const T* resp, int rows, T threshold) {
  constexpr int w = Pack<T>::width;
  auto least = broadcast(T(1e30));
  int i = 0;
  for (; i + w <= rows; i += w) least = min(load(resp + i), least);
  bool all = reduce_min(least) > threshold;
  for (; i < rows; ++i) all &= resp[i] > threshold;
  return all;
}

// Sum of a contiguous array of `padded` numbers, in float64; padded is a multiple of the panel.
template <class T>
PYESTIM_INLINE double sum_of(const T* x, int padded) {
  constexpr int w = Pack<T>::width, u = Tile<T>::vectors;
  typename Pack<T>::V sum[u];
  for (int a = 0; a < u; ++a) sum[a] = broadcast(T(0));
  for (int i = 0; i < padded; i += u * w) {
#pragma GCC unroll 4
    for (int a = 0; a < u; ++a) sum[a] += load(x + i + a * w);
  }
  for (int a = 1; a < u; ++a) sum[0] += sum[a];
  return double(reduce_add(sum[0]));
}

// The component with the largest of resp (K, rows), the first of equals.
template <class T>
int most_likely(const T* resp, int n_components) {
  int best = 0;
  for (int k = 1; k < n_components; ++k) {
    if (resp[int64_t(k) * Tile<T>::stride] > resp[int64_t(best) * Tile<T>::stride]) best = k;
  }
  return best;
}
