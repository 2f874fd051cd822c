// Jobs on linear models whose responses are known up to an interval, beside those of table.hpp and by its rules.
// Included by it behind RowsView.
#pragma once

namespace pyestim {

// Law of the error, of unit scale and symmetric about zero.
enum class ErrorLaw : int32_t { normal = 0, logistic = 1, student = 2 };

// y = offset + scale (x~' coef + e), seen as lower <= y <= upper: exact where both are equal, no limit where infinite.
// Rows without any limit, and rows of weight zero, leave nothing.
struct CensoredJob {
  RowsView rows;  // (n, p) and the weights
  ErrorLaw law;
  int32_t n_candidates;
  const double* lower;   // (n,) in the unit of the data
  const double* upper;   // (n,)
  const double* offset;  // (n,) or null
  double y_centre;       // working responses are (y - y_centre) * y_scale
  double y_scale;
  const double* coef;           // (C, 1 + p) in units of the scale, intercept first
  const double* inverse_scale;  // (C,)
  const double* shape;          // (C, n_shape) what the law needs beside its argument: component/error_laws.hpp
  int32_t n_shape;
};

struct CensoredRowsJob {
  CensoredJob censored;  // one candidate
  int64_t first_row;     // outputs are indexed by row - first_row
  double* out;           // (m, 6) log-density, its gradient and its curvature as in kernel/censored_frame.hpp
};

}  // namespace pyestim
