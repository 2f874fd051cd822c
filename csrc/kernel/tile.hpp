// Shapes of everything that is blocked, in one place, from the register count of the level.
//
// Include inside the namespace of the level, after math/pack.hpp.
#pragma once

#if PYESTIM_VECTOR_BYTES == 64 || defined(__aarch64__)
constexpr bool many_registers = true;  // 32 vector registers
#else
constexpr bool many_registers = false;  // 16
#endif

template <class T>
struct Tile {
  static constexpr int width = Pack<T>::width;
  static constexpr int vectors = many_registers ? 4 : 3;     // vectors of rows that one E-step tile works on
  static constexpr int panel = vectors * width;              // rows of a panel
  static constexpr int factor_rows = 4;                      // rows of the packed factor that one tile works on
  static constexpr int outer_rows = many_registers ? 8 : 4;  // tile of sums of outer products: entries broadcast ...
  static constexpr int outer_vectors = 3;                    // ... times vectors of columns
  static constexpr int distance_components = many_registers ? 4 : 3;  // tile of squared distances: x `vectors`
  static constexpr int block = (many_registers ? 256 : 192) * 8 / int(sizeof(T)) / panel * panel;  // rows of a block
  static constexpr int small_block = block / 2 / panel * panel;  // where a row is cheap, panels should stay in L1
  // Distance between the components of a (K, rows) buffer: one cache line beyond the block, so that the components do
  // not fall on the same sets of the cache.
  static constexpr int stride = block + 64 / int(sizeof(T));
  // Features are padded to whole vectors and whole outer-product tiles.
  static constexpr int feature_step = width > outer_rows ? width : outer_rows;
};

constexpr int round_up(int n, int step) { return (n + step - 1) / step * step; }

template <class T>
PYESTIM_INLINE int padded_features(int d) {
  return round_up(d, Tile<T>::feature_step);
}

// Hands out 64-byte aligned pieces of one buffer; from address 0 on it measures how much a layout needs.
struct Arena {
  uintptr_t start;
  int64_t used;

  template <class T>
  PYESTIM_INLINE T* take(int64_t count) {
    T* piece = reinterpret_cast<T*>(start + uintptr_t(used));
    used += (count * int64_t(sizeof(T)) + alignment - 1) / alignment * alignment;
    return piece;
  }
};

PYESTIM_INLINE Arena arena_at(const void* start) { return {reinterpret_cast<uintptr_t>(start), 0}; }

// out[0..count) += v, count <= width.
template <class T>
PYESTIM_INLINE void add_to(double* out, typename Pack<T>::V v, int count) {
  constexpr int w = Pack<T>::width, wide = Pack<double>::width;
  alignas(alignment) T entries[w];
  store(entries, v);
  if (count >= w) {
    for (int i = 0; i < w; i += wide) store(out + i, load(out + i) + load_as<double>(entries + i));
  } else {
    for (int i = 0; i < count; ++i) out[i] += double(entries[i]);
  }
}
