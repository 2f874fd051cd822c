// The nearest of K centres for every row of a block: rows in vector lanes, a tile of centres at a time.
//
// Include inside the namespace of the level, after kernel/rows.hpp.  Ties go to the lowest k.
#pragma once

// Squared distances are compared either as |c|^2 - 2 x.c, half the arithmetic, or as |x - c|^2.  The first loses digits
// where the centres lie far from the origin of the working coordinates compared with the spread of the rows (about one
// in each), and float32 has none to lose.
constexpr double expanded_reach = 1e4;

template <class T>
struct Centres {
  int n, d;
  int wide;       // padded features
  bool* expand;   // compare |c|^2 - 2 x.c
  double* exact;  // (K, wide) as the rows see them: minus the shift of the working coordinates
  T* tiles;       // [tile][feature][centre of the tile]: -2 c or c
  T* start;       // (K padded) |c|^2 or 0, infinity behind the last
  T* number;      // (K padded) 0, 1, 2, ...
};

// Centres of a tile, met by `Tile<T>::vectors` vectors of rows: the centred form needs a register more, for the
// difference.
constexpr int expanded_tile = 4;
constexpr int centred_tile = many_registers ? 4 : 3;
constexpr int most_padding = 3;  // centres behind the last one

template <class T>
Centres<T> carve_centres(Arena& arena, int n, int d) {
  Centres<T> c;
  c.n = n;
  c.d = d;
  c.wide = padded_features<T>(d);
  c.expand = arena.take<bool>(1);
  c.exact = arena.take<double>(int64_t(n) * c.wide);
  c.tiles = arena.take<T>(int64_t(n + most_padding) * d);
  c.start = arena.take<T>(n + most_padding);
  c.number = arena.take<T>(n + most_padding);
  return c;
}

// The same layout, `bytes` further on.
template <class T>
PYESTIM_INLINE Centres<T> moved(Centres<T> c, int64_t bytes) {
  c.expand += bytes;
  c.exact += bytes / int64_t(sizeof(double));
  c.tiles += bytes / int64_t(sizeof(T));
  c.start += bytes / int64_t(sizeof(T));
  c.number += bytes / int64_t(sizeof(T));
  return c;
}

// Tiles from `exact` and `expand`.
template <class T>
void fill_tiles(const Centres<T>& c) {
  const bool expand = *c.expand;
  const int size = expand ? expanded_tile : centred_tile;
  for (int k = 0; k < round_up(c.n, size); ++k) {
    T square = k < c.n ? T(0) : T(__builtin_huge_val());
    for (int j = 0; j < c.d; ++j) {
      const T z = k < c.n ? T(c.exact[int64_t(k) * c.wide + j]) : T(0);
      c.tiles[(int64_t(k / size) * c.d + j) * size + k % size] = expand ? T(-2) * z : z;
      if (expand) square += z * z;
    }
    c.start[k] = square;
    c.number[k] = T(k);
  }
}

// centres: (K, d) in working coordinates.
template <class T>
void pack_centres(const double* centres, const double* shift, const Centres<T>& c) {
  double largest = 0;
  for (int k = 0; k < c.n; ++k) {
    double square = 0;
    for (int j = 0; j < c.wide; ++j) {
      const double z = j < c.d ? centres[int64_t(k) * c.d + j] - shift[j] : 0.0;
      c.exact[int64_t(k) * c.wide + j] = z;
      square += z * z;
    }
    largest = square > largest ? square : largest;
  }
  *c.expand = sizeof(T) == 8 && largest <= expanded_reach * c.d;
  fill_tiles(c);
}

// Distances of `Vectors` vectors of rows to the centres first..first + Count of one tile.
template <bool Expand, int Count, int Vectors, class T>
PYESTIM_INLINE void tile_distances(const T* panel, const T* tile, const T* start, int d,
                                   typename Pack<T>::V (&distance)[Count][Vectors]) {
  constexpr int w = Pack<T>::width;
  for (int f = 0; f < Count; ++f) {
    for (int r = 0; r < Vectors; ++r) distance[f][r] = broadcast(start[f]);
  }
  for (int j = 0; j < d; ++j, panel += Tile<T>::panel, tile += Expand ? expanded_tile : centred_tile) {
    typename Pack<T>::V x[Vectors];
    for (int r = 0; r < Vectors; ++r) x[r] = load(panel + r * w);
    for (int f = 0; f < Count; ++f) {
      const auto c = broadcast(tile[f]);
      for (int r = 0; r < Vectors; ++r) {
        if constexpr (Expand) {
          distance[f][r] += x[r] * c;
        } else {
          const auto difference = x[r] - c;
          distance[f][r] += difference * difference;
        }
      }
    }
  }
}

template <bool Expand, class T>
void find_nearest_as(const Block<T>& block, const Centres<T>& c, T* label) {
  using S = Tile<T>;
  using V = typename Pack<T>::V;
  constexpr int count = Expand ? expanded_tile : centred_tile;
  for (int p = 0; p < block.padded / S::panel; ++p) {
    fetch_ahead(block, p * S::panel);
    const T* panel = block.panels + int64_t(p) * block.d * S::panel;
    V best[S::vectors], place[S::vectors];
    for (int r = 0; r < S::vectors; ++r) {
      best[r] = broadcast(T(__builtin_huge_val()));
      place[r] = broadcast(T(0));
    }
    for (int k = 0; k < c.n; k += count) {
      const T* tile = c.tiles + int64_t(k) * c.d;
      V distance[count][S::vectors];
      tile_distances<Expand>(panel, tile, c.start + k, c.d, distance);
      for (int r = 0; r < S::vectors; ++r) {
        V least = distance[0][r], where = broadcast(c.number[k]);
        for (int f = 1; f < count; ++f) {
          const V nearest = min(distance[f][r], least);
          where = select(nearest < least, broadcast(c.number[k + f]), where);
          least = nearest;
        }
        const V nearest = min(least, best[r]);
        place[r] = select(nearest < best[r], where, place[r]);
        best[r] = nearest;
      }
    }
    for (int r = 0; r < S::vectors; ++r) store(label + p * S::panel + r * S::width, place[r]);
  }
}

// label: (padded rows,) the numbers of the nearest centres, as T.
template <class T>
PYESTIM_INLINE void find_nearest(const Block<T>& block, const Centres<T>& c, T* label) {
  if constexpr (sizeof(T) == 8) {
    if (*c.expand) return find_nearest_as<true>(block, c, label);
  }
  find_nearest_as<false>(block, c, label);
}
