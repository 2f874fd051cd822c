// Reads a block of rows from any strides into the two layouts that the kernels want, in working coordinates.
//
// Include inside the namespace of the level, after kernel/tile.hpp.
//
//   panels [panel][feature][Tile::panel]   rows in vector lanes: E-steps
//   groups [group][row][width]             features in vector lanes, padded features 0: sums of outer products
//
// z = (x - centre) * scale = x * scale - centre * scale, one rounding: scale is a power of two.
#pragma once

template <class T>
struct Block {
  int rows;    // real ones
  int padded;  // up to whole panels; pad rows repeat the last real one and weigh nothing
  int d;
  T* panels;
  T* groups;  // null: nobody asks for them
  T* weight;  // (padded,)
  T weight_max;
  double weight_sum;
  bool unit_weights;
  const char* ahead;      // first row of the next block; null: do not fetch ahead
  ptrdiff_t ahead_panel;  // bytes of one panel of it
};

// Where the arithmetic of a row is cheap, reading it takes as long: E-steps fetch the next block panel by panel.
template <class T>
PYESTIM_INLINE void look_ahead(const RowsView& rows, int64_t next, int64_t end, Block<T>& block) {
  const ptrdiff_t row = rows.d * (rows.dtype == Dtype::float32 ? 4 : 8);
  const bool worth = rows.row_stride >= row && rows.row_stride <= 2 * row && next < end;
  block.ahead = worth ? static_cast<const char*>(rows.data) + next * rows.row_stride : nullptr;
  block.ahead_panel = rows.row_stride * Tile<T>::panel;
}

template <class T>
PYESTIM_INLINE void fetch_ahead([[maybe_unused]] const Block<T>& block, [[maybe_unused]] int row) {
#if defined(__GNUC__)
  if (block.ahead == nullptr) return;
  const char* from = block.ahead + row / Tile<T>::panel * block.ahead_panel;
  for (ptrdiff_t byte = 0; byte < block.ahead_panel; byte += 64) __builtin_prefetch(from + byte);
#endif
}

// What turns x into z, and how far the rounding of the centre to T moved the origin.
template <class T>
struct Working {
  T* scale;       // (padded d,) zeros behind
  T* origin;      // (padded d,) centre * scale
  double* shift;  // (d,) z = z_T + shift
};

template <class T>
PYESTIM_INLINE Working<T> carve_working(Arena& arena, int d) {
  const int wide = padded_features<T>(d);
  Working<T> w;
  w.scale = arena.take<T>(wide);
  w.origin = arena.take<T>(wide);
  w.shift = arena.take<double>(wide);
  return w;
}

template <class T>
void pack_working(const RowsView& rows, Working<T> w) {
  const int wide = padded_features<T>(rows.d);
  for (int j = 0; j < wide; ++j) {
    const bool real = j < rows.d;
    const T centre = real ? T(rows.centre[j]) : T(0);
    w.scale[j] = real ? T(rows.scale[j]) : T(0);
    w.origin[j] = centre * w.scale[j];
    w.shift[j] = real ? (double(centre) - rows.centre[j]) * rows.scale[j] : 0.0;
  }
}

template <class T>
void carve_block(Arena& arena, int d, bool with_groups, Block<T>& block) {
  using S = Tile<T>;
  block.d = d;
  block.panels = arena.take<T>(int64_t(S::block) * d);
  block.groups = with_groups ? arena.take<T>(int64_t(S::block) * padded_features<T>(d)) : nullptr;
  block.weight = arena.take<T>(S::block);
}

// Entries behind `count` become 0, whatever they were.
template <class T>
PYESTIM_INLINE typename Pack<T>::V keep_first(typename Pack<T>::V v, int count) {
#if PYESTIM_HAS_VECTORS
  typename Pack<T>::V number;
  for (int i = 0; i < Pack<T>::width; ++i) number[i] = T(i);
  return select(number < broadcast(T(count)), v, broadcast(T(0)));
#else
  return count > 0 ? v : T(0);
#endif
}

template <class In, class T, bool Groups>
struct RowLoader {
  using V = typename Pack<T>::V;
  using S = Tile<T>;
  static constexpr int w = S::width;

  const RowsView& rows;
  const Working<T>& working;
  Block<T>& block;
  int64_t first;
  V largest;
  // Where w rows begin in the three arrays.
  const char* source;
  T* panel;
  T* group;

  PYESTIM_INLINE void move_to(int row) {
    source = static_cast<const char*>(rows.data) + (first + row) * rows.row_stride;
    panel = block.panels + int64_t(row / S::panel) * block.d * S::panel + row % S::panel;
    if constexpr (Groups) group = block.groups + int64_t(row) * w;
  }

  PYESTIM_INLINE void watch(V z) {
    if constexpr (sizeof(T) == 4) largest += abs(z);  // a sum: infinity and NaN stay in it
  }

  // v[i]: features j..j+w of row i, raw.  The first `features` of them exist.
  PYESTIM_INLINE void put_rows(V (&v)[w], int j, int features) {
    const V scale = load(working.scale + j), origin = load(working.origin + j);
#pragma GCC unroll 16
    for (int i = 0; i < w; ++i) {
      v[i] = v[i] * scale - origin;
      watch(v[i]);
      if constexpr (Groups) store(group + int64_t(j) * S::block + i * w, v[i]);
    }
    transpose<T>(v);
    T* out = panel + int64_t(j) * S::panel;
#pragma GCC unroll 16
    for (int f = 0; f < w; ++f) {
      if (f < features) store(out + f * S::panel, v[f]);
    }
  }

  // v[f]: feature j + f of the rows, raw.
  PYESTIM_INLINE void put_columns(V (&v)[w], int j, int features) {
    T* out = panel + int64_t(j) * S::panel;
#pragma GCC unroll 16
    for (int f = 0; f < w; ++f) {
      v[f] = v[f] * broadcast(working.scale[j + f]) - broadcast(working.origin[j + f]);
      watch(v[f]);
      if (f < features) store(out + f * S::panel, v[f]);
    }
    if constexpr (Groups) {
      transpose<T>(v);
#pragma GCC unroll 16
      for (int i = 0; i < w; ++i) store(group + int64_t(j) * S::block + i * w, v[i]);
    }
  }

  // Any strides, and the last rows: one number at a time.
  void gather(int row) {
    for (int j = 0; j < block.d; j += w) {
      alignas(alignment) T buffer[w * w] = {};
      const int features = block.d - j < w ? block.d - j : w;
      for (int i = 0; i < w; ++i) {
        const char* x = source + (row + i < block.rows ? i : block.rows - 1 - row) * rows.row_stride;
        for (int f = 0; f < features; ++f) {
          buffer[i * w + f] = T(*reinterpret_cast<const In*>(x + (j + f) * rows.col_stride));
        }
      }
      V v[w];
      for (int i = 0; i < w; ++i) v[i] = load(buffer + i * w);
      put_rows(v, j, features);
    }
  }

  // A whole vector may be read behind a row as long as later rows lie there.
  PYESTIM_INLINE bool may_read_on(int row) const {
    return rows.row_stride > 0 && (rows.n - first - row - w) * rows.row_stride >= ptrdiff_t(w * sizeof(In));
  }

  PYESTIM_INLINE void by_rows(int row) {
    if (block.d % w != 0 && !may_read_on(row)) return gather(row);
    int j = 0;
    for (; j + w <= block.d; j += w) {
      V v[w];
#pragma GCC unroll 16
      for (int i = 0; i < w; ++i) {
        v[i] = load_as<T>(reinterpret_cast<const In*>(source + i * rows.row_stride) + j);
      }
      put_rows(v, j, w);
    }
    if (j == block.d) return;
    V v[w];
#pragma GCC unroll 16
    for (int i = 0; i < w; ++i) {
      v[i] = load_as<T>(reinterpret_cast<const In*>(source + i * rows.row_stride) + j);
      v[i] = keep_first<T>(v[i], block.d - j);
    }
    put_rows(v, j, block.d - j);
  }

  PYESTIM_INLINE void by_columns() {
    for (int j = 0; j < block.d; j += w) {
      V v[w];
#pragma GCC unroll 16
      for (int f = 0; f < w; ++f) {
        const char* x = source + (j + f) * rows.col_stride;
        v[f] = j + f < block.d ? load_as<T>(reinterpret_cast<const In*>(x)) : broadcast(T(0));
      }
      put_columns(v, j, block.d - j);
    }
  }

  // Few features, rows without gaps, nobody asks for groups: straight loops over d known at compile time.
  template <int D>
  PYESTIM_INLINE void narrow() {
    alignas(alignment) T column[D][w];
    const In* x = reinterpret_cast<const In*>(source);
#pragma GCC unroll 64
    for (int i = 0; i < w; ++i) {
#pragma GCC unroll 4
      for (int f = 0; f < D; ++f) column[f][i] = T(x[i * D + f]);
    }
#pragma GCC unroll 4
    for (int f = 0; f < D; ++f) {
      const V z = load(column[f]) * broadcast(working.scale[f]) - broadcast(working.origin[f]);
      watch(z);
      store(panel + f * S::panel, z);
    }
  }

  void zero_groups_behind() {
    for (int j = round_up(block.d, w); j < padded_features<T>(block.d); j += w) {
      for (int row = 0; row < block.padded; ++row) {
        store(block.groups + (int64_t(j / w) * S::block + row) * w, broadcast(T(0)));
      }
    }
  }

  void load_all() {
    const bool row_major = rows.col_stride == ptrdiff_t(sizeof(In)) || block.d == 1;
    const bool column_major = rows.row_stride == ptrdiff_t(sizeof(In));
    const bool gapless = row_major && rows.row_stride == ptrdiff_t(block.d * sizeof(In));
    for (int row = 0; row < block.padded; row += w) {
      move_to(row);
      if (row + w > block.rows) {
        gather(row);
      } else if (!Groups && gapless && block.d == 2) {
        narrow<2>();
      } else if (!Groups && gapless && block.d == 3) {
        narrow<3>();
      } else if (column_major) {
        by_columns();
      } else if (row_major) {
        by_rows(row);
      } else {
        gather(row);
      }
    }
    if constexpr (Groups) zero_groups_behind();
  }
};

// Weights of the rows times `factor` (a power of two); pad rows weigh nothing.
template <class T>
void load_weights(const RowsView& rows, int64_t first, double factor, Block<T>& block) {
  double sum = 0, most = 0;
  if (rows.weight == nullptr) {
    for (int i = 0; i < block.rows; ++i) block.weight[i] = T(1);
    sum = block.rows;
    most = 1;
  } else {
    for (int i = 0; i < block.rows; ++i) {
      const double weight = rows.weight[first + i] * factor;
      sum += weight;
      most = weight > most ? weight : most;
      block.weight[i] = T(weight);
    }
  }
  for (int i = block.rows; i < block.padded; ++i) block.weight[i] = T(0);
  block.weight_sum = sum;
  block.unit_weights = rows.weight == nullptr;
  block.weight_max = T(most);
}

// Rows of weight zero are absent whatever they hold: infinity times zero would be NaN.
template <class T>
void blank_absent(const RowsView& rows, int64_t first, Block<T>& block) {
  constexpr int w = Tile<T>::width, panel = Tile<T>::panel;
  for (int i = 0; i < block.padded; ++i) {
    if (rows.weight[first + (i < block.rows ? i : block.rows - 1)] != 0) continue;
    for (int j = 0; j < block.d; ++j) {
      block.panels[(int64_t(i / panel) * block.d + j) * panel + i % panel] = T(0);
      if (block.groups != nullptr) block.groups[(int64_t(j / w) * Tile<T>::block + i) * w + j % w] = T(0);
    }
  }
}

// float32 squares of larger numbers than this leave its range or its digits: such leaves are done in float64.
constexpr double float32_reach = 1e12;

// Rows [first, first + count) of `rows`. False: too large for arithmetic in T.
template <class In, class T>
bool load_block(const RowsView& rows, const Working<T>& working, int64_t first, int count, double weight_factor,
                Block<T>& block) {
  block.rows = count;
  block.padded = round_up(count, Tile<T>::panel);
  load_weights(rows, first, weight_factor, block);
  const auto fits = [&](auto loader) {
    loader.load_all();
    if (rows.weight != nullptr) blank_absent(rows, first, block);
    return sizeof(T) == 8 || !any(!(loader.largest <= broadcast(T(float32_reach))));
  };
  if (block.groups == nullptr) {
    return fits(RowLoader<In, T, false>{rows, working, block, first, broadcast(T(0)), nullptr, nullptr, nullptr});
  }
  return fits(RowLoader<In, T, true>{rows, working, block, first, broadcast(T(0)), nullptr, nullptr, nullptr});
}
