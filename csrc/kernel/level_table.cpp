// Gathers the operations of one instruction level. An operation that lands replaces its nullptr: `.mixture = &mixture_op`.
#include "kernel/ops.hpp"

#define PYESTIM_STRING_(x) #x
#define PYESTIM_STRING(x) PYESTIM_STRING_(x)

namespace pyestim::PYESTIM_ISA {

extern constinit const KernelTable table = {
    .level = PYESTIM_STRING(PYESTIM_ISA),
    .vector_bytes = PYESTIM_VECTOR_BYTES,
    .mixture = nullptr,
    .mixture_rows = nullptr,
    .assign = nullptr,
    .kmeans = nullptr,
    .moments = nullptr,
    .kmeans_plusplus = nullptr,
    .factorise = nullptr,
    .apply_math = nullptr,
};

}  // namespace pyestim::PYESTIM_ISA
