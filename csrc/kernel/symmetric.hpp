// Products with symmetric matrices of which the lower triangle is stored, and their rearrangement.
//
// Include inside the namespace of the level, after pack.hpp. Matrices are row-major with rows `stride` apart.
#pragma once

constexpr int w = Pack<double>::width;

double absolute(double x) { return x < 0 ? -x : x; }

void swap(double& x, double& y) {
  const double kept = x;
  x = y;
  y = kept;
}

// x' y
double dot(const double* x, const double* y, int64_t n) {
  auto sum = broadcast(0.0), other = broadcast(0.0);
  int64_t i = 0;
  for (; i + 2 * w <= n; i += 2 * w) {
    sum += load(x + i) * load(y + i);
    other += load(x + i + w) * load(y + i + w);
  }
  double tail = 0.0;
  for (; i < n; ++i) tail += x[i] * y[i];
  return reduce_add(sum + other) + tail;
}

// y += f x
void add_multiple(double* y, double f, const double* x, int64_t n) {
  for (int64_t i = 0; i < n; ++i) y[i] += f * x[i];
}

// out[r] = rows[r]' x for four rows
void four_dots(double* out, const double* rows, int64_t stride, const double* x, int64_t n) {
  const double *r0 = rows, *r1 = rows + stride, *r2 = rows + 2 * stride, *r3 = rows + 3 * stride;
  auto s0 = broadcast(0.0), s1 = s0, s2 = s0, s3 = s0;
  int64_t i = 0;
  for (; i + w <= n; i += w) {
    const auto v = load(x + i);
    s0 += load(r0 + i) * v;
    s1 += load(r1 + i) * v;
    s2 += load(r2 + i) * v;
    s3 += load(r3 + i) * v;
  }
  double t0 = 0.0, t1 = 0.0, t2 = 0.0, t3 = 0.0;
  for (; i < n; ++i) {
    t0 += r0[i] * x[i];
    t1 += r1[i] * x[i];
    t2 += r2[i] * x[i];
    t3 += r3[i] * x[i];
  }
  out[0] = reduce_add(s0) + t0;
  out[1] = reduce_add(s1) + t1;
  out[2] = reduce_add(s2) + t2;
  out[3] = reduce_add(s3) + t3;
}

// y = M x, M symmetric with its lower triangle stored: one pass over it, two rows at a time.
void times_symmetric(double* y, const double* matrix, int64_t stride, const double* x, int64_t n) {
  int64_t i = 0;
  for (; i + 2 <= n; i += 2) {
    const double *r0 = matrix + i * stride, *r1 = r0 + stride;
    const auto f0 = broadcast(x[i]), f1 = broadcast(x[i + 1]);
    auto s0 = broadcast(0.0), s1 = s0;
    int64_t k = 0;
    for (; k + w <= i; k += w) {
      const auto v0 = load(r0 + k), v1 = load(r1 + k), u = load(x + k);
      s0 += v0 * u;
      s1 += v1 * u;
      store(y + k, load(y + k) + f0 * v0 + f1 * v1);
    }
    double t0 = reduce_add(s0), t1 = reduce_add(s1);
    for (; k < i; ++k) {
      t0 += r0[k] * x[k];
      t1 += r1[k] * x[k];
      y[k] += x[i] * r0[k] + x[i + 1] * r1[k];
    }
    y[i] = t0 + r0[i] * x[i] + r1[i] * x[i + 1];
    y[i + 1] = t1 + r1[i] * x[i] + r1[i + 1] * x[i + 1];
  }
  if (i < n) {
    const double* row = matrix + i * stride;
    y[i] = dot(row, x, i) + row[i] * x[i];
    add_multiple(y, x[i], row, i);
  }
}

// Exchanges coordinates i < j of a symmetric matrix of n rows whose lower triangle is stored.
void swap_symmetric(double* matrix, int64_t stride, int64_t i, int64_t j, int64_t n) {
  double *row_i = matrix + i * stride, *row_j = matrix + j * stride;
  for (int64_t k = 0; k < i; ++k) swap(row_i[k], row_j[k]);
  for (int64_t k = i + 1; k < j; ++k) swap(matrix[k * stride + i], row_j[k]);
  swap(row_i[i], row_j[j]);
  for (int64_t k = j + 1; k < n; ++k) swap(matrix[k * stride + i], matrix[k * stride + j]);
}
