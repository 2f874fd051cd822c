// Vectors of numbers, written once for every instruction set.
//
// Include this file inside the namespace of the instruction level (internal linkage, so that the linker
// can never hand AVX code to an old processor).  The including file has included <stdint.h>, <stddef.h> and, for
// compilers without the GCC builtins, <math.h> before, outside every namespace.
//
//   PYESTIM_VECTOR_BYTES  16, 32 or 64; without vector extensions (or 0) a vector is one plain number.
//
// Arithmetic and comparison are the operators of the vector extension.  A comparison gives a mask; combine masks with
// & and |, negate with !, use them in select and any.  Never use ~ on a mask: with one plain number it is a bool.
#pragma once

#ifndef PYESTIM_INLINE
#if defined(__GNUC__)
#define PYESTIM_INLINE [[gnu::always_inline]] inline
#else
#define PYESTIM_INLINE __forceinline
#endif
#endif

#if defined(__GNUC__) && defined(PYESTIM_VECTOR_BYTES) && PYESTIM_VECTOR_BYTES > 0
#define PYESTIM_HAS_VECTORS 1
#else
#define PYESTIM_HAS_VECTORS 0
#endif

// Pack<T>: V a vector of T, I the signed integers of the same size, U the unsigned ones, width the number of entries.
template <class T>
struct Pack;

#if PYESTIM_HAS_VECTORS

template <>
struct Pack<double> {
  static constexpr int width = PYESTIM_VECTOR_BYTES / 8;
  typedef double V __attribute__((vector_size(PYESTIM_VECTOR_BYTES)));
  typedef double Loose __attribute__((vector_size(PYESTIM_VECTOR_BYTES), aligned(8)));  // V anywhere in an array of T
  typedef int64_t I __attribute__((vector_size(PYESTIM_VECTOR_BYTES)));
  typedef uint64_t U __attribute__((vector_size(PYESTIM_VECTOR_BYTES)));
  typedef float Floats __attribute__((vector_size(PYESTIM_VECTOR_BYTES / 2)));  // as many floats as V has doubles
};

template <>
struct Pack<float> {
  static constexpr int width = PYESTIM_VECTOR_BYTES / 4;
  typedef float V __attribute__((vector_size(PYESTIM_VECTOR_BYTES)));
  typedef float Loose __attribute__((vector_size(PYESTIM_VECTOR_BYTES), aligned(4)));  // V anywhere in an array of T
  typedef int32_t I __attribute__((vector_size(PYESTIM_VECTOR_BYTES)));
  typedef uint32_t U __attribute__((vector_size(PYESTIM_VECTOR_BYTES)));
};

#else

template <>
struct Pack<double> {
  static constexpr int width = 1;
  using V = double;
  using I = int64_t;
  using U = uint64_t;
};

template <>
struct Pack<float> {
  static constexpr int width = 1;
  using V = float;
  using I = int32_t;
  using U = uint32_t;
};

#endif

// Traits of a vector type: back from V to its entry type and its integers.
template <class V>
struct Entry;
#if PYESTIM_HAS_VECTORS
template <>
struct Entry<Pack<double>::V> {
  using T = double;
};
template <>
struct Entry<Pack<float>::V> {
  using T = float;
};
#else
template <>
struct Entry<double> {
  using T = double;
};
template <>
struct Entry<float> {
  using T = float;
};
#endif
template <class V>
using IntOf = typename Pack<typename Entry<V>::T>::I;
template <class V>
using UintOf = typename Pack<typename Entry<V>::T>::U;

// The same bits read as another type of the same size.
template <class To, class From>
PYESTIM_INLINE To bits(From v) {
  static_assert(sizeof(To) == sizeof(From));
  return __builtin_bit_cast(To, v);
}

// ---- memory: no alignment is asked for -----------------------------------------------------------------------------
template <class T>
PYESTIM_INLINE typename Pack<T>::V load(const T* p) {
#if PYESTIM_HAS_VECTORS
  return *reinterpret_cast<const typename Pack<T>::Loose*>(p);
#else
  return *p;
#endif
}

// Not memcpy: the compiler would have to believe that it may change every pointer and every size in sight.
template <class T>
PYESTIM_INLINE void store(T* p, typename Pack<T>::V v) {
#if PYESTIM_HAS_VECTORS
  *reinterpret_cast<typename Pack<T>::Loose*>(p) = v;
#else
  *p = v;
#endif
}

// Integers beside the numbers (labels): Pack<T>::width of them.
template <class T, class Int>
PYESTIM_INLINE typename Pack<T>::I load_int(const Int* p) {
  static_assert(sizeof(Int) == sizeof(T));
#if PYESTIM_HAS_VECTORS
  typename Pack<T>::I v;
  __builtin_memcpy(&v, p, sizeof v);
  return v;
#else
  return *p;
#endif
}

template <class T, class Int>
PYESTIM_INLINE void store_int(Int* p, typename Pack<T>::I v) {
  static_assert(sizeof(Int) == sizeof(T));
#if PYESTIM_HAS_VECTORS
  __builtin_memcpy(p, &v, sizeof v);
#else
  *p = v;
#endif
}

// A vector of T from an array of another floating type: Pack<T>::width numbers from p on.
template <class T, class From>
PYESTIM_INLINE typename Pack<T>::V load_as(const From* p) {
#if PYESTIM_HAS_VECTORS
  if constexpr (sizeof(T) == sizeof(From)) {
    return load(p);
  } else if constexpr (sizeof(T) == 8) {
    typename Pack<double>::Floats f;
    __builtin_memcpy(&f, p, sizeof f);
    return __builtin_convertvector(f, Pack<double>::V);
  } else {
    const auto lo = __builtin_convertvector(load(p), Pack<double>::Floats);
    const auto hi = __builtin_convertvector(load(p + Pack<double>::width), Pack<double>::Floats);
    typename Pack<float>::V v;
    __builtin_memcpy(&v, &lo, sizeof lo);
    __builtin_memcpy(reinterpret_cast<char*>(&v) + sizeof lo, &hi, sizeof hi);
    return v;
  }
#else
  return static_cast<T>(*p);
#endif
}

template <class T>
PYESTIM_INLINE typename Pack<T>::V broadcast(T x) {
#if PYESTIM_HAS_VECTORS
  return x - typename Pack<T>::V{};  // x - 0 keeps every bit of x, the sign of zero included
#else
  return x;
#endif
}

// A constant the compiler cannot see through.  Comparing with a literal makes GCC lose the one-instruction minimum and
// maximum, because it rewrites the comparison before it looks for them.
template <class T>
PYESTIM_INLINE typename Pack<T>::V opaque(T x) {
  auto v = broadcast(x);
#if PYESTIM_HAS_VECTORS &&                                                                                       \
    ((PYESTIM_VECTOR_BYTES == 64 && defined(__AVX512F__)) || (PYESTIM_VECTOR_BYTES == 32 && defined(__AVX__)) || \
     (PYESTIM_VECTOR_BYTES == 16 && defined(__SSE2__)))
  __asm__("" : "+x"(v));
#endif
  return v;
}

// ---- choice --------------------------------------------------------------------------------------------------------
template <class Mask, class V>
PYESTIM_INLINE V select(Mask mask, V a, V b) {
  return mask ? a : b;
}

// A NaN in either argument gives b: the semantics of the x86 instructions.
template <class V>
PYESTIM_INLINE V max(V a, V b) {
  return a > b ? a : b;
}

template <class V>
PYESTIM_INLINE V min(V a, V b) {
  return a < b ? a : b;
}

template <class V>
PYESTIM_INLINE V abs(V a) {
  using U = UintOf<V>;
  if constexpr (sizeof(typename Entry<V>::T) == 8) {
    return bits<V>(bits<U>(a) & UINT64_C(0x7fffffffffffffff));
  } else {
    return bits<V>(bits<U>(a) & UINT32_C(0x7fffffff));
  }
}

template <class T>
PYESTIM_INLINE T sqrt_number(T a) {
#if defined(__GNUC__)
  return sizeof(T) == 8 ? T(__builtin_sqrt(a)) : T(__builtin_sqrtf(float(a)));
#else
  return sizeof(T) == 8 ? T(::sqrt(double(a))) : T(::sqrtf(float(a)));
#endif
}

template <class V>
PYESTIM_INLINE V sqrt(V a) {
#if PYESTIM_HAS_VECTORS
  V root;
  for (int i = 0; i < Pack<typename Entry<V>::T>::width; ++i) root[i] = sqrt_number(a[i]);  // becomes one instruction
  return root;
#else
  return sqrt_number(a);
#endif
}

// ---- across the entries of one vector, in a fixed order: halves first
// ------------------------------------------------
#if PYESTIM_HAS_VECTORS
// The vector turned by `Step` entries; Step is a power of two, at least one and less than the width.
template <int Step, class V>
PYESTIM_INLINE V rotate(V a) {
  constexpr int n = Pack<typename Entry<V>::T>::width, s = Step;
#define PYESTIM_TURN(i) ((i) + s) % n
  if constexpr (n == 2) {
    return __builtin_shufflevector(a, a, PYESTIM_TURN(0), PYESTIM_TURN(1));
  } else if constexpr (n == 4) {
    return __builtin_shufflevector(a, a, PYESTIM_TURN(0), PYESTIM_TURN(1), PYESTIM_TURN(2), PYESTIM_TURN(3));
  } else if constexpr (n == 8) {
    return __builtin_shufflevector(a, a, PYESTIM_TURN(0), PYESTIM_TURN(1), PYESTIM_TURN(2), PYESTIM_TURN(3),
                                   PYESTIM_TURN(4), PYESTIM_TURN(5), PYESTIM_TURN(6), PYESTIM_TURN(7));
  } else {
    static_assert(n == 16);
    return __builtin_shufflevector(a, a, PYESTIM_TURN(0), PYESTIM_TURN(1), PYESTIM_TURN(2), PYESTIM_TURN(3),
                                   PYESTIM_TURN(4), PYESTIM_TURN(5), PYESTIM_TURN(6), PYESTIM_TURN(7), PYESTIM_TURN(8),
                                   PYESTIM_TURN(9), PYESTIM_TURN(10), PYESTIM_TURN(11), PYESTIM_TURN(12),
                                   PYESTIM_TURN(13), PYESTIM_TURN(14), PYESTIM_TURN(15));
  }
#undef PYESTIM_TURN
}

struct AddOp {
  template <class V>
  PYESTIM_INLINE static V of(V a, V b) {
    return a + b;
  }
};
struct MaxOp {
  template <class V>
  PYESTIM_INLINE static V of(V a, V b) {
    return a > b ? a : b;
  }
};
struct MinOp {
  template <class V>
  PYESTIM_INLINE static V of(V a, V b) {
    return a < b ? a : b;
  }
};

template <class Op, class V>
PYESTIM_INLINE typename Entry<V>::T reduce(V a) {
  constexpr int n = Pack<typename Entry<V>::T>::width;
  if constexpr (n >= 16) a = Op::of(a, rotate<8>(a));
  if constexpr (n >= 8) a = Op::of(a, rotate<4>(a));
  if constexpr (n >= 4) a = Op::of(a, rotate<2>(a));
  a = Op::of(a, rotate<1>(a));
  return a[0];
}

template <class V>
PYESTIM_INLINE typename Entry<V>::T reduce_add(V a) {
  return reduce<AddOp>(a);
}
template <class V>
PYESTIM_INLINE typename Entry<V>::T reduce_max(V a) {
  return reduce<MaxOp>(a);
}
template <class V>
PYESTIM_INLINE typename Entry<V>::T reduce_min(V a) {
  return reduce<MinOp>(a);
}

// Is the mask set anywhere?
template <class Mask>
PYESTIM_INLINE bool any(Mask mask) {
  const auto words = bits<Pack<double>::I>(mask);
  int64_t joined = 0;
  for (int i = 0; i < Pack<double>::width; ++i) joined |= words[i];
  return joined != 0;
}

template <class V>
PYESTIM_INLINE typename Entry<V>::T entry(V a, int i) {
  return a[i];
}
#else
template <class V>
PYESTIM_INLINE V reduce_add(V a) {
  return a;
}
template <class V>
PYESTIM_INLINE V reduce_max(V a) {
  return a;
}
template <class V>
PYESTIM_INLINE V reduce_min(V a) {
  return a;
}
PYESTIM_INLINE bool any(bool mask) { return mask; }
template <class V>
PYESTIM_INLINE V entry(V a, int) {
  return a;
}
#endif

// ---- between vectors -----------------------------------------------------------------------------------------------
#if PYESTIM_HAS_VECTORS
template <int... I>
struct Indices {};
template <int N, int... I>
struct CountTo : CountTo<N - 1, N - 1, I...> {};
template <int... I>
struct CountTo<0, I...> {
  using type = Indices<I...>;
};

// Rows a and b, S apart, exchange the S x S blocks off the diagonal.
template <int S, class V, int... I>
PYESTIM_INLINE void exchange(V& a, V& b, Indices<I...>) {
  constexpr int w = int(sizeof...(I));
  const V low = __builtin_shufflevector(a, b, ((I & S) == 0 ? I : w + I - S)...);
  b = __builtin_shufflevector(a, b, ((I & S) == 0 ? I + S : w + I)...);
  a = low;
}

template <int S, class T>
PYESTIM_INLINE void transpose_stage(typename Pack<T>::V (&v)[Pack<T>::width]) {
  constexpr int w = Pack<T>::width;
  if constexpr (S < w) {
#pragma GCC unroll 16
    for (int i = 0; i < w; ++i) {
      if ((i & S) == 0) exchange<S>(v[i], v[i + S], typename CountTo<w>::type{});
    }
    transpose_stage<2 * S, T>(v);
  }
}
#endif

// The transpose of a width x width matrix of vectors, by butterflies.
template <class T>
PYESTIM_INLINE void transpose([[maybe_unused]] typename Pack<T>::V (&v)[Pack<T>::width]) {
#if PYESTIM_HAS_VECTORS
  transpose_stage<1, T>(v);
#endif
}
