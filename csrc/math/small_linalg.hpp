// Cholesky factor and inverse of a triangle for matrices that fit in cache.
//
// Include inside the namespace of the instruction level, after pack.hpp.  Matrices are row-major with rows of `wide`
// entries, `wide` a multiple of the vector width, so that whole vectors may be read and written.  Rows are updated a
// few vectors at a time, in registers, by all the rows above: no sums across a vector.
#pragma once

constexpr int linalg_vectors = 4;

// acc_v -= sum_k<n factor[k * wide] * rows[k * wide + v * width ...], v < Count
template <int Count, class T>
PYESTIM_INLINE void subtract_rows(typename Pack<T>::V (&acc)[linalg_vectors], const T* factor, const T* rows, int n,
                                  int wide) {
  for (int k = 0; k < n; ++k, factor += wide, rows += wide) {
    const auto f = broadcast(*factor);
    for (int v = 0; v < Count; ++v) acc[v] -= f * load(rows + v * Pack<T>::width);
  }
}

template <class T>
PYESTIM_INLINE void subtract_rows(int count, typename Pack<T>::V (&acc)[linalg_vectors], const T* factor, const T* rows,
                                  int n, int wide) {
  static_assert(linalg_vectors == 4);
  switch (count) {
    case 1:
      return subtract_rows<1>(acc, factor, rows, n, wide);
    case 2:
      return subtract_rows<2>(acc, factor, rows, n, wide);
    case 3:
      return subtract_rows<3>(acc, factor, rows, n, wide);
    default:
      return subtract_rows<4>(acc, factor, rows, n, wide);
  }
}

// Vectors from column `begin` to `end` that one step works on.
template <class T>
PYESTIM_INLINE int linalg_step(int begin, int end) {
  const int left = (end - begin + Pack<T>::width - 1) / Pack<T>::width;
  return left < linalg_vectors ? left : linalg_vectors;
}

// The upper triangle of A becomes U with A = U' U (Golub & Van Loan, Matrix Computations, 4.2), inverse: 1 / U_jj.
// Returns 0, or the order of the first leading minor that is not positive: NaN and infinity are not.  Below the
// diagonal anything may be left.
template <class T>
PYESTIM_INLINE int cholesky(T* u, T* inverse, int d, int wide) {
  constexpr int w = Pack<T>::width;
  for (int j = 0; j < d; ++j) {
    T* row = u + int64_t(j) * wide;
    for (int c = j / w * w; c < d; c += linalg_vectors * w) {
      const int count = linalg_step<T>(c, d);
      typename Pack<T>::V acc[linalg_vectors];
      for (int v = 0; v < count; ++v) acc[v] = load(row + c + v * w);
      subtract_rows(count, acc, u + j, u + c, j, wide);
      for (int v = 0; v < count; ++v) store(row + c + v * w, acc[v]);
    }
    const T pivot = row[j];
    if (!(pivot > T(0) && pivot < T(__builtin_huge_val()))) return j + 1;
    inverse[j] = T(1) / sqrt_number(pivot);
    for (int c = j / w * w; c < d; c += w) store(row + c, load(row + c) * inverse[j]);
  }
  return 0;
}

// F = (U')^-1, lower triangular with zeros above; inverse: 1 / U_jj.
template <class T>
PYESTIM_INLINE void invert_transpose(const T* u, const T* inverse, T* f, int d, int wide) {
  constexpr int w = Pack<T>::width;
  for (int i = 0; i < d; ++i) {
    T* row = f + int64_t(i) * wide;
    for (int c = 0; c < wide; c += w) store(row + c, broadcast(T(0)));
    for (int c = 0; c < i; c += linalg_vectors * w) {
      const int count = linalg_step<T>(c, i);
      typename Pack<T>::V acc[linalg_vectors];
      for (int v = 0; v < linalg_vectors; ++v) acc[v] = broadcast(T(0));
      // Rows above c have nothing in these columns.
      subtract_rows(count, acc, u + int64_t(c) * wide + i, f + int64_t(c) * wide + c, i - c, wide);
      for (int v = 0; v < count; ++v) store(row + c + v * w, acc[v] * inverse[i]);
    }
    row[i] = inverse[i];
  }
}
