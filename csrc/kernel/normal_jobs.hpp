// Jobs on normal laws inside intervals and boxes; table.hpp includes it.
#pragma once

#include <cstddef>
#include <cstdint>

namespace pyestim {

enum class NormalFunction : int32_t { erfcx = 0, log_ndtr = 1, inverse_mills = 2, interval = 3 };

// A function of n numbers, or of n intervals (a, b) of N(0, 1).
struct NormalJob {
  NormalFunction function;
  int64_t n;
  const double* a;      // (n,) the argument of the functions of one number
  const double* b;      // (n,)
  const double* width;  // (n,) b - a before rounding, or null
  double* out;          // (n,) value or log-probability
  double* mean;         // (n,)
  double* variance;     // (n,)
};

constexpr int64_t normal_block = 1024;  // numbers of an item

}  // namespace pyestim
