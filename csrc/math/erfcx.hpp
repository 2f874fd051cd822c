// One-sided normal tails of vectors of double: erfcx, log Phi and the hazard, a few ulp over the whole range.
//
// Include inside the namespace of the instruction level, after exp_log.hpp.
//
// Everything comes from two functions of x >= 0, for N(0, 1) given that it exceeds x: by how much its mean exceeds x,
// e(x) = phi(x) / Phi(-x) - x, and its variance v(x).  e falls like 1/x and v like 1/x^2 where the closed forms cancel,
// so both are approximated: (x + 3) e and (x + 3)^2 v are polynomials of t = (x - 3) / (x + 3), which maps the half
// line to [-1, 1].  Chebyshev coefficients from 60-digit values; what is cut off is below 1e-16.
#pragma once

struct HalfNormal {
  static constexpr double pole = 3;
  static constexpr double excess[28] = {
      0x1.b2d6ebb2ce8ffp+0,   -0x1.aede2c42fdfbep-1,  0x1.19337485e350ap-6,   0x1.7c500fb505de3p-3,
      -0x1.a0b9138b8c7a2p-6,  -0x1.bf9976337a6fbp-5,  0x1.f89c93295e299p-8,   0x1.2dfa290b39455p-6,
      -0x1.ee57ee58246eap-11, -0x1.a190bf8559b72p-8,  -0x1.4c66ce288b69cp-11, 0x1.0bd91d0b27c0bp-9,
      0x1.40f03c59f94b8p-11,  -0x1.1c3a4dcea6ed9p-11, -0x1.529e3d29edd47p-12, 0x1.80df09477f82cp-14,
      0x1.009f5ebaa372bp-13,  0x1.7a4c74ccf5878p-18,  -0x1.15336a799a1c4p-15, -0x1.6cd10f65b1377p-17,
      0x1.61516cfe99013p-18,  0x1.14b24fa80fbbap-18,  0x1.c59f996123ea0p-26,  -0x1.b62a1596317adp-21,
      -0x1.c9a0f4e76cbc2p-23, 0x1.1a2837002f16ap-24,  0x1.228d33dac1b22p-25,  0x1.1dc59991be67fp-29};

  static constexpr double variance[32] = {
      0x1.452300ea26c71p+1,   -0x1.b7a7c7e72d21ap+0,  -0x1.02df38db37bc1p-1,  0x1.b067322683246p-1,
      0x1.2b0c2789c18d4p-3,   -0x1.7f01c6761a760p-2,  -0x1.33b1479069c44p-4,  0x1.3d6ce9030e98ep-3,
      0x1.903e7d13229dcp-5,   -0x1.d604f4c669820p-5,  -0x1.e28e1026d3da9p-6,  0x1.196cad4e8af09p-6,
      0x1.ebb491b199afdp-7,   -0x1.925cfa03a4995p-9,  -0x1.97b7267dfbd2cp-8,  -0x1.fdf9f56e9978cp-12,
      0x1.04659c54742e2p-9,   0x1.695e785dee6f2p-11,  -0x1.be49bd9d863abp-12, -0x1.478d4e0431fabp-12,
      0x1.f99cd55ffd2a3p-16,  0x1.4d23039bf23d2p-14,  0x1.b24593dca1303p-17,  -0x1.d4a96123f8392p-18,
      -0x1.208c6cb4a9fdap-19, -0x1.4ee3f9eabe86dp-19, -0x1.abcba9313ea57p-20, 0x1.ca9ff4cc64d17p-21,
      0x1.968738e1367c8p-21,  -0x1.b0bdc73696d8ep-25, -0x1.cc07c24b694a8p-24, -0x1.6a05f40a1f2b2p-27};
  static constexpr double sqrt_2 = 0x1.6a09e667f3bcdp+0;
  static constexpr double sqrt_2_over_pi = 0x1.9884533d43651p-1;
  static constexpr double one_over_sqrt_2pi = 0x1.9884533d43651p-2;
  static constexpr double far = 64;  // phi is 0 from 39 on, erfcx(-x) infinite from 27 on
};

// sum_i c_i t^i in four chains, which hide each other's latency.
template <int N, class V>
PYESTIM_INLINE V in_four_chains(const double (&c)[N], V t) {
  static_assert(N % 4 == 0);
  const V t2 = t * t, t4 = t2 * t2;
  V p0 = broadcast(c[N - 4]), p1 = broadcast(c[N - 3]), p2 = broadcast(c[N - 2]), p3 = broadcast(c[N - 1]);
#pragma GCC unroll 8
  for (int i = N - 8; i >= 0; i -= 4) {
    p0 = p0 * t4 + c[i];
    p1 = p1 * t4 + c[i + 1];
    p2 = p2 * t4 + c[i + 2];
    p3 = p3 * t4 + c[i + 3];
  }
  return (p0 + t * p1) + t2 * (p2 + t * p3);
}

template <class V>
struct Tail {
  V excess, variance;
};

// Of N(0, 1) above x >= 0, infinity included.
template <class V>
PYESTIM_INLINE Tail<V> normal_tail(V x) {
  const V inverse = 1.0 / (x + HalfNormal::pole);
  const V t = 1.0 - (2 * HalfNormal::pole) * inverse;
  return {in_four_chains(HalfNormal::excess, t) * inverse, in_four_chains(HalfNormal::variance, t) * inverse * inverse};
}

template <class V>
PYESTIM_INLINE V tail_excess(V x) {
  const V inverse = 1.0 / (x + HalfNormal::pole);
  return in_four_chains(HalfNormal::excess, 1.0 - (2 * HalfNormal::pole) * inverse) * inverse;
}

// exp(sign x^2 / divisor) for |x| <= 64 and the sign and divisor in `factor`: the square in two pieces, because exp
// turns an absolute error of its argument into a relative one.
template <class V>
PYESTIM_INLINE V exp_square(V x, double factor) {
  const V high = bits<V>(bits<UintOf<V>>(x) & UINT64_C(0xfffffffff8000000));  // its square is exact
  const V low = factor * ((x - high) * (x + high));                           // at most 64^2 2^-26
  return exp_full(factor * (high * high)) * (1.0 + low * (1.0 + low * (0.5 + low * (1.0 / 6))));
}

// log(1 - p) for p <= 0.9, with the last digits of p: log_pos(1 - p) plus this.
template <class V>
PYESTIM_INLINE V log1m_rest(V p, V rounded) {
  return ((1.0 - rounded) - p) / rounded;
}

template <class V>
PYESTIM_INLINE V erfcx(V x) {
  const V z = HalfNormal::sqrt_2 * abs(x);
  const V right = HalfNormal::sqrt_2_over_pi / (z + tail_excess(z));
  const V left = 2.0 * exp_square(min(opaque(HalfNormal::far), abs(x)), 1.0) - right;
  return select(x < 0.0, left, right);
}

template <class V>
PYESTIM_INLINE V log_ndtr(V x) {
  const V size = abs(x);
  const V mills = HalfNormal::one_over_sqrt_2pi / (size + tail_excess(size));  // Phi(-size) / exp(-size^2 / 2)
  const V p = exp_square(min(opaque(HalfNormal::far), size), -0.5) * mills;
  const V rounded = 1.0 - p;
  const auto right = x > 0.0;
  return log_pos(select(right, rounded, mills)) + select(right, log1m_rest(p, rounded), -0.5 * (x * x));
}

// phi(x) / Phi(-x)
template <class V>
PYESTIM_INLINE V inverse_mills(V x) {
  const V size = abs(x), hazard = size + tail_excess(size);
  const V phi = HalfNormal::one_over_sqrt_2pi * exp_square(min(opaque(HalfNormal::far), size), -0.5);
  return select(x < 0.0, phi / (1.0 - phi / hazard), hazard);
}
