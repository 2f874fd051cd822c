// From states to keys of windows: `width` states in a row, read as the digits of a number of base k.
//
// Include inside the namespace of the level, after math/pack.hpp. A key of 3 or 5 states stands for 2 or 4 transitions
// at once: where k^3 or k^5 counters fit in the cache, this divides the additions to memory, which are what counting
// costs. Every function tells whether all states are in 0 .. k - 1; keys of others mean nothing. Others may write to x
// meanwhile: a key of states that were found good is below the number of keys whatever x held at a second look.
#pragma once

constexpr int block_rows = 1024;

// Keys of the windows that end in rows [0, block_rows) of x; there are width - 1 rows before. n_keys is k^width.
template <class In>
bool window_keys(const In* __restrict x, int width, uint32_t k, int64_t n_keys, uint32_t* __restrict key) {
  uint32_t largest = 0, largest_key = 0;
  uint64_t wide = 0;
  for (int lag = 1; lag < width; ++lag) {
    largest = uint32_t(x[-lag]) > largest ? uint32_t(x[-lag]) : largest;
    wide |= uint64_t(x[-lag]);
  }
  const In* first = x - (width - 1);
  if (width == 2) {
    for (int i = 0; i < block_rows; ++i) key[i] = uint32_t(first[i]) * k;
  } else {
    for (int i = 0; i < block_rows; ++i) key[i] = uint32_t(first[i]);
    for (int lag = width - 2; lag > 0; --lag) {
      const In* next = x - lag;
      for (int i = 0; i < block_rows; ++i) key[i] = key[i] * k + uint32_t(next[i]);
    }
    for (int i = 0; i < block_rows; ++i) key[i] *= k;
  }
  for (int i = 0; i < block_rows; ++i) {
    const uint32_t state = uint32_t(x[i]);
    largest = state > largest ? state : largest;
    if constexpr (sizeof(In) == 8) wide |= uint64_t(x[i]);
    key[i] += state;
    largest_key = key[i] > largest_key ? key[i] : largest_key;
  }
  return largest < k && largest_key < n_keys && (sizeof(In) < 8 || wide >> 32 == 0);
}

// The same rows and the one before them as bytes; k is at most 255.
template <class In>
bool as_bytes(const In* __restrict x, uint32_t k, uint8_t* __restrict bytes) {
  if constexpr (sizeof(In) == 1) {
    uint8_t largest_byte = 0;
    __builtin_memcpy(bytes, x - 1, block_rows + 1);
    for (int i = 0; i < block_rows + 1; ++i) largest_byte = bytes[i] > largest_byte ? bytes[i] : largest_byte;
    return largest_byte < k;
  }
  uint32_t largest = 0;
  uint64_t wide = 0;
  for (int i = 0; i < block_rows + 1; ++i) {
    const uint32_t state = uint32_t(x[i - 1]);
    largest = state > largest ? state : largest;
    if constexpr (sizeof(In) == 8) wide |= uint64_t(x[i - 1]);
    bytes[i] = uint8_t(state);
  }
  return largest < k && wide >> 32 == 0;
}

#if PYESTIM_HAS_VECTORS && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
typedef uint16_t Halves __attribute__((vector_size(PYESTIM_VECTOR_BYTES)));
typedef uint32_t Words __attribute__((vector_size(PYESTIM_VECTOR_BYTES)));
typedef uint16_t HalvesAnywhere __attribute__((vector_size(PYESTIM_VECTOR_BYTES), aligned(1), may_alias));

PYESTIM_INLINE Halves load_bytes(const uint8_t* bytes) { return *reinterpret_cast<const HalvesAnywhere*>(bytes); }

// bytes[0] is the state before the first row. Reads 4 bytes behind the last row.
inline void keys_of_5(const uint8_t* bytes, uint32_t k, uint32_t* key) {
  const uint16_t radix = uint16_t(k);
  const Halves weights = __builtin_bit_cast(Halves, Words{} + (k * k * k | k << 16));
  for (int i = 0; i < block_rows; i += PYESTIM_VECTOR_BYTES) {
    const Halves states = load_bytes(bytes + i), pairs = (states & 0xff) * radix + (states >> 8);
    const Words weighted = __builtin_bit_cast(Words, pairs * weights);
    const Words last = __builtin_bit_cast(Words, load_bytes(bytes + i + 4)) & 0xff;
    const Words keys = (weighted + (weighted >> 16) + last) & 0xffff;
    __builtin_memcpy(key + i / 4, &keys, sizeof keys);
  }
}

inline void keys_of_3(const uint8_t* bytes, uint32_t k, uint32_t* key) {
  const uint16_t radix = uint16_t(k), square = uint16_t(k * k);
  for (int i = 0; i < block_rows; i += PYESTIM_VECTOR_BYTES) {
    const Halves states = load_bytes(bytes + i), last = load_bytes(bytes + i + 2) & 0xff;
    const Halves keys = (states & 0xff) * square + (states >> 8) * radix + last;
    uint16_t halves[PYESTIM_VECTOR_BYTES / 2];
    __builtin_memcpy(halves, &keys, sizeof keys);
    for (int j = 0; j < PYESTIM_VECTOR_BYTES / 2; ++j) key[i / 2 + j] = halves[j];
  }
}
#else
inline void keys_of_5(const uint8_t* bytes, uint32_t k, uint32_t* key) {
  for (int i = 0; i < block_rows / 4; ++i, bytes += 4)
    key[i] = (((bytes[0] * k + bytes[1]) * k + bytes[2]) * k + bytes[3]) * k + bytes[4];
}

inline void keys_of_3(const uint8_t* bytes, uint32_t k, uint32_t* key) {
  for (int i = 0; i < block_rows / 2; ++i, bytes += 2) key[i] = (bytes[0] * k + bytes[1]) * k + bytes[2];
}
#endif
