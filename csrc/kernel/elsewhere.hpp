// Responsibilities of a block that come from elsewhere: labels, an array, random numbers.
//
// Include inside the namespace of the level, after kernel/rows.hpp and math/philox.hpp.  resp (K, rows) = weight times
// responsibility.
#pragma once

template <class T>
void from_labels(const int32_t* labels, int n_components, int64_t first, const Block<T>& block, T* resp) {
  for (int i = 0; i < block.padded; ++i) {
    const int32_t label = i < block.rows ? labels[first + i] : -1;
    for (int k = 0; k < n_components; ++k) {
      resp[int64_t(k) * Tile<T>::stride + i] = k == label ? block.weight[i] : T(0);
    }
  }
}

template <class T>
void from_array(const Elsewhere& from, int n_components, int64_t first, const Block<T>& block, T* resp) {
  for (int i = 0; i < block.padded; ++i) {
    const int64_t row = first + (i < block.rows ? i : 0);
    const char* given = reinterpret_cast<const char*>(from.resp) + row * from.resp_row_stride;
    for (int k = 0; k < n_components; ++k) {
      const double r = *reinterpret_cast<const double*>(given + k * from.resp_col_stride);
      resp[int64_t(k) * Tile<T>::stride + i] = block.weight[i] == T(0) ? T(0) : block.weight[i] * T(r);
    }
  }
}

// Keyed by (seed, row, component), so the same for every chunking; two components share one call.
template <class T>
void from_random(uint64_t seed, int n_components, int64_t first, const Block<T>& block, T* resp) {
  constexpr int stride = Tile<T>::stride;
  for (int i = 0; i < block.padded; ++i) {
    const uint64_t row = uint64_t(first + i);
    double sum = 0;
    PhiloxWords words{};
    for (int k = 0; k < n_components; ++k) {
      if (k % 2 == 0) {
        words =
            philox({{uint32_t(row), uint32_t(row >> 32), uint32_t(k / 2), 0}}, uint32_t(seed), uint32_t(seed >> 32));
      }
      const double u = uniform_of(words.word[k % 2 * 2], words.word[k % 2 * 2 + 1]);
      resp[int64_t(k) * stride + i] = T(u);
      sum += u;
    }
    const T share = block.weight[i] / T(sum);
    for (int k = 0; k < n_components; ++k) resp[int64_t(k) * stride + i] *= share;
  }
}

// Of candidate c.
template <class T>
void from_elsewhere(Source source, const Elsewhere& from, int c, int n_components, int64_t first, const Block<T>& block,
                    T* resp) {
  if (source == Source::labels) return from_labels(from.labels, n_components, first, block, resp);
  if (source == Source::given) return from_array(from, n_components, first, block, resp);
  from_random(from.seeds[c], n_components, first, block, resp);
}

// Rows without a label count nowhere.
template <class T>
void ignore_unlabelled(const int32_t* labels, int n_components, const RowsView& rows, int64_t first, double factor,
                       Block<T>& block) {
  double sum = 0;
  for (int i = 0; i < block.rows; ++i) {
    const int32_t label = labels[first + i];
    if (label < 0 || label >= n_components) {
      block.weight[i] = T(0);
    } else {
      sum += rows.weight == nullptr ? 1.0 : rows.weight[first + i] * factor;
    }
  }
  block.weight_sum = sum;
}
