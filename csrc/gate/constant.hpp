// The gate of an ordinary mixture: every row meets the same log-weights.
//
// Include inside the namespace of the level, after math/pack.hpp.  A gate answers, for component k and the vector of
// rows from `row` on, what to add to the component's log-density, and whether the component lives at all.
#pragma once

template <class T>
struct ConstantGate {
  const T* offset;  // (K,) log weight and normalising constant; -infinity: dropped

  PYESTIM_INLINE typename Pack<T>::V log_weight(int k, int) const { return broadcast(offset[k]); }
  PYESTIM_INLINE bool alive(int k, int) const { return offset[k] > T(-__builtin_huge_val()); }
};
