// What all that reads states shares.
//
// Include inside the namespace of the level.
#pragma once

// Calls body with a pointer to the codes in their own type.
template <class Body>
PYESTIM_INLINE auto with_codes(const CodesView& codes, Body body) {
  switch (codes.type) {
    case CodeType::int8:
      return body(static_cast<const int8_t*>(codes.data));
    case CodeType::int16:
      return body(static_cast<const int16_t*>(codes.data));
    case CodeType::int32:
      return body(static_cast<const int32_t*>(codes.data));
    default:
      return body(static_cast<const int64_t*>(codes.data));
  }
}

// Position of the first offset that is at least `row`.
PYESTIM_INLINE int64_t offset_from(const int64_t* offsets, int64_t n_offsets, int64_t row) {
  int64_t low = 0, high = n_offsets;
  while (low < high) {
    const int64_t middle = low + (high - low) / 2;
    if (offsets[middle] < row)
      low = middle + 1;
    else
      high = middle;
  }
  return low;
}
