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

// Moments of normal laws inside boxes (math/normal_box.hpp).
struct BoxJob {
  int32_t d;
  const double* means;        // (C, d)
  const double* covariances;  // (C, d, d)
  const double* lower;        // (C, d)
  const double* upper;        // (C, d)
  double* log_prob;           // (C,)
  double* inside;             // (C, d)
  double* inside_cov;         // (C, d, d)
  double* error;              // (C,) estimated relative error of the probability
  int64_t* status;            // (C,) 0, 1 not positive definite, 2 empty or not a number, 3 too far away for doubles
};

constexpr int64_t most_box_columns = 1000;
constexpr int64_t normal_block = 1024;  // numbers of an item

}  // namespace pyestim
