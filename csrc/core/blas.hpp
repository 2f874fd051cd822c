// SciPy's BLAS and LAPACK behind the calls of kernel/table.hpp.
#pragma once

#include <array>

#include "kernel/table.hpp"

namespace pyestim {

constexpr int n_blas_routines = 8;
constexpr std::array<const char*, n_blas_routines> blas_routine_names = {"dgemm", "sgemm", "dsyrk",  "ssyrk",
                                                                         "dtrmm", "strmm", "dpotrf", "dtrtri"};

// routines: entries of the library in the order of blas_routine_names; integer_bits: 32 or 64.
Blas make_blas(const std::array<void*, n_blas_routines>& routines, int integer_bits);

// Width of the integers of a library whose signature hides them behind a type name, found by calling its dscal; 0 if
// that cannot tell.
int probe_integer_bits(void* dscal);

}  // namespace pyestim
