// Cholesky factor and inverse of a triangle for matrices that fit in cache, row-major.
//
// Include inside the namespace of the instruction level, after pack.hpp.  Only lower triangles are read and written.
#pragma once

// sum_i a_i b_i
template <class T>
PYESTIM_INLINE T dot(const T* a, const T* b, int n) {
  constexpr int w = Pack<T>::width;
  auto even = broadcast(T(0)), odd = broadcast(T(0));
  int i = 0;
  for (; i + 2 * w <= n; i += 2 * w) {
    even += load(a + i) * load(b + i);
    odd += load(a + i + w) * load(b + i + w);
  }
  T sum = 0;
  if (i > 0) sum = reduce_add(even + odd);
  for (; i < n; ++i) sum += a[i] * b[i];
  return sum;
}

// y += alpha x
template <class T>
PYESTIM_INLINE void add_scaled(T alpha, const T* x, T* y, int n) {
  constexpr int w = Pack<T>::width;
  int i = 0;
  for (; i + w <= n; i += w) store(y + i, load(y + i) + alpha * load(x + i));
  for (; i < n; ++i) y[i] += alpha * x[i];
}

// A (d, d) becomes L with A = L L' (Golub & Van Loan, Matrix Computations, 4.2).  Returns 0, or the order of the first
// leading minor that is not positive: a NaN or an infinity counts as not positive.
template <class T>
PYESTIM_INLINE int cholesky(T* a, int d) {
  for (int i = 0; i < d; ++i) {
    T* row = a + int64_t(i) * d;
    for (int j = 0; j < i; ++j) {
      const T* other = a + int64_t(j) * d;
      row[j] = (row[j] - dot(row, other, j)) / other[j];
    }
    const T pivot = row[i] - dot(row, row, i);
    if (!(pivot > T(0) && pivot < T(__builtin_huge_val()))) return i + 1;
    row[i] = sqrt_number(pivot);
  }
  return 0;
}

// L (d, d) becomes L^-1.  row: (d,) scratch.
template <class T>
PYESTIM_INLINE void invert_lower(T* l, int d, T* row) {
  for (int i = 0; i < d; ++i) {
    T* out = l + int64_t(i) * d;
    const T inverse = T(1) / out[i];
    for (int j = 0; j < i; ++j) {
      row[j] = -inverse * out[j];
      out[j] = 0;
    }
    for (int k = 0; k < i; ++k) add_scaled(row[k], l + int64_t(k) * d, out, k + 1);
    out[i] = inverse;
  }
}
