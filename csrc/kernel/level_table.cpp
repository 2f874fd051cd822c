// Gathers the operations of one instruction level. An operation that lands replaces its empty braces.
#include "kernel/ops.hpp"

#define PYESTIM_STRING_(x) #x
#define PYESTIM_STRING(x) PYESTIM_STRING_(x)

namespace pyestim::PYESTIM_ISA {

const KernelTable& table() {
  static constinit const KernelTable entries = {
      .level = PYESTIM_STRING(PYESTIM_ISA),
      .vector_bytes = PYESTIM_VECTOR_BYTES,
      .mixture = {},
      .mixture_rows = {},
      .assign = {},
      .kmeans = {},
      .moments = {},
      .kmeans_plusplus = {},
      .factorise = {},
      .apply_math = nullptr,
  };
  return entries;
}

}  // namespace pyestim::PYESTIM_ISA
