// exp and log of vectors of double or float, at most 2 ulp from the truth over the whole range.
//
// Include inside the namespace of the instruction level, after pack.hpp.  No table, no gather, one division (log).
//
//   exp_full  every argument: subnormal results are right, overflow gives infinity, -infinity gives 0, NaN stays NaN
//   exp_neg   for x <= 0 (in truth up to 709, float 88): results below the smallest normal number or so are 0, NaN
//   stays log_full  every argument: log(0) = -infinity, negative gives NaN, subnormals are right, NaN stays NaN log_pos
//   for positive normal finite numbers only
//
// exp: x = n ln 2 + r, |r| <= ln 2 / 2.  exp(x) = 2^n (1 + r + r^2 q(r)), q minimax.
// log: x = 2^k (1 + f), 1 + f in [sqrt(1/2), sqrt 2).  s = f / (2 + f), log(1 + f) = f - f^2/2 + s (f^2/2 + R(s^2)),
//      the shape of fdlibm's e_log.c.
// One vector at a time is bound by latency: give the callers' loops two to four independent vectors.
#pragma once

template <class T>
struct ExpLog;

template <>
struct ExpLog<double> {
  static constexpr int mantissa_bits = 52;
  static constexpr double log2_e = 0x1.71547652b82fep+0;
  static constexpr double ln2_hi = 0x1.62e42fefa3800p-1;  // trailing zeros: n * ln2_hi is exact without fma too
  static constexpr double ln2_lo = 0x1.ef35793c76730p-45;
  static constexpr double shift = 0x1.8p52;  // adding it leaves the nearest integer in the low bits
  static constexpr double two_mantissa = 0x1p52;
  static constexpr double bias = 1023;
  static constexpr double exp_lowest = -746, exp_highest = 710;  // beyond: zero, infinity
  static constexpr double exp_neg_lowest = -708;
  static constexpr double smallest_normal = 0x1p-1022, rescale = 0x1p54, rescale_log2 = 54;
  static constexpr uint64_t fraction_mask = UINT64_C(0x000fffffffffffff);
  static constexpr uint64_t one_bits = UINT64_C(0x3ff0000000000000);
  static constexpr uint64_t sqrt_half_bits = UINT64_C(0x3fe6a09e667f3bcd);

  template <class V>
  PYESTIM_INLINE static V exp_q(V r) {
    const V r2 = r * r, r4 = r2 * r2;
    const V low =
        (0x1.000000000000ap-1 + r * 0x1.55555555554f9p-3) + r2 * (0x1.55555555507fap-5 + r * 0x1.1111111127e7cp-7);
    const V mid =
        (0x1.6c16c18448fcbp-10 + r * 0x1.a01a0129b0c3dp-13) + r2 * (0x1.a01999b34f69cp-16 + r * 0x1.71df2640f69d5p-19);
    const V high = 0x1.28adc96a754fap-22 + r * 0x1.ad7ed072d97a1p-26;
    return low + r4 * (mid + r4 * high);
  }
  template <class V>
  PYESTIM_INLINE static V log_r(V z) {
    const V z2 = z * z;
    const V odd =
        0x1.5555555555593p-1 + z2 * (0x1.249249423fddcp-2 + z2 * (0x1.74664da5bd344p-3 + z2 * 0x1.2f15e158dd13ap-3));
    const V even = 0x1.999999997f884p-2 + z2 * (0x1.c71c51c561a17p-3 + z2 * 0x1.39a02ab6d02b7p-3);
    return z * odd + z2 * even;
  }
};

template <>
struct ExpLog<float> {
  static constexpr int mantissa_bits = 23;
  static constexpr float log2_e = 0x1.715476p+0f;
  static constexpr float ln2_hi = 0x1.62e4p-1f;
  static constexpr float ln2_lo = 0x1.7f7d1cp-20f;
  static constexpr float shift = 0x1.8p23f;
  static constexpr float two_mantissa = 0x1p23f;
  static constexpr float bias = 127;
  static constexpr float exp_lowest = -104, exp_highest = 89;
  static constexpr float exp_neg_lowest = -87;
  static constexpr float smallest_normal = 0x1p-126f, rescale = 0x1p25f, rescale_log2 = 25;
  static constexpr uint32_t fraction_mask = UINT32_C(0x007fffff);
  static constexpr uint32_t one_bits = UINT32_C(0x3f800000);
  static constexpr uint32_t sqrt_half_bits = UINT32_C(0x3f3504f3);

  template <class V>
  PYESTIM_INLINE static V exp_q(V r) {
    const V r2 = r * r;
    return (.49999994f + r * .16666520f) + r2 * ((.041668393f + r * .0083687799f) + r2 * .0013814496f);
  }
  template <class V>
  PYESTIM_INLINE static V log_r(V z) {
    return z * (.66666776f + z * (.39977449f + z * .29874420f));
  }
};

// exp(r) - 1 for x = n ln 2 + r, with shifted = n + shift.
template <class V, class T>
PYESTIM_INLINE V expm1_reduced(V x, V shifted, T shift) {
  using C = ExpLog<T>;
  const V n = shifted - shift;
  const V r = (x - n * C::ln2_hi) - n * C::ln2_lo;
  return r + (r * r) * C::exp_q(r);
}

template <class V>
PYESTIM_INLINE V exp_neg(V x) {
  using T = typename Entry<V>::T;
  using C = ExpLog<T>;
  // The bias rides on the shift, so the low bits of `shifted` are the exponent field of 2^n already.
  constexpr T shift = C::shift + C::bias;
  const V shifted = x * C::log2_e + shift;
  const V scale = bits<V>(bits<UintOf<V>>(shifted) << C::mantissa_bits);
  const V value = scale + scale * expm1_reduced(x, shifted, shift);
  return select(x < C::exp_neg_lowest, broadcast(T(0)), value);
}

template <class V>
PYESTIM_INLINE V exp_full(V x) {
  using T = typename Entry<V>::T;
  using U = UintOf<V>;
  using C = ExpLog<T>;
  x = min(opaque(C::exp_highest), max(opaque(C::exp_lowest), x));  // in this order NaN passes
  // 2^n in two factors, each a normal number: exponent fields m / 2 and m - m / 2 of m = n + 2 bias.
  constexpr T shift = C::shift + 2 * C::bias;
  const V shifted = x * C::log2_e + shift;
  const U m = bits<U>(shifted), half = m >> 1;
  const V first = bits<V>(half << C::mantissa_bits), second = bits<V>((m - half) << C::mantissa_bits);
  return (first + first * expm1_reduced(x, shifted, shift)) * second;
}

// log x + extra ln 2 for positive normal x.
template <class V, class E>
PYESTIM_INLINE V log_scaled(V x, E extra) {
  using T = typename Entry<V>::T;
  using U = UintOf<V>;
  using C = ExpLog<T>;
  const U moved = bits<U>(x) + (C::one_bits - C::sqrt_half_bits);
  const V k =
      (bits<V>((moved >> C::mantissa_bits) | bits<U>(broadcast(C::two_mantissa))) - (C::two_mantissa + C::bias)) +
      extra;
  const V f = bits<V>((moved & C::fraction_mask) + C::sqrt_half_bits) - T(1);
  const V s = f / (T(2) + f);
  const V half_square = T(0.5) * f * f;
  const V rest = s * (half_square + C::log_r(s * s)) + k * C::ln2_lo;
  return k * C::ln2_hi - ((half_square - rest) - f);
}

template <class V>
PYESTIM_INLINE V log_pos(V x) {
  return log_scaled(x, typename Entry<V>::T(0));
}

template <class V>
PYESTIM_INLINE V log_full(V x) {
  using T = typename Entry<V>::T;
  using C = ExpLog<T>;
  const auto tiny = x < C::smallest_normal;
  const V value =
      log_scaled(select(tiny, x * C::rescale, x), select(tiny, broadcast(-C::rescale_log2), broadcast(T(0))));
  const V infinity = broadcast(T(__builtin_huge_val())), nan = broadcast(T(__builtin_nan("0")));
  const V above = select(x < infinity, value, x);  // +infinity and NaN stay
  return select(x > T(0), above, select(x == T(0), -infinity, nan));
}
