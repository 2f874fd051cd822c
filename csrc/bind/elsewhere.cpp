#include "bind/elsewhere.hpp"

namespace pyestim::bind {

Elsewhere elsewhere(const char* function, Source source, int64_t n, int64_t c, int64_t k,
                    const ElsewhereArguments& arguments) {
  Elsewhere from{};
  if (source == Source::labels) from.labels = input<int32_t>(arguments.labels, {function, "labels"}, {n});
  if (source == Source::random) from.seeds = input<uint64_t>(arguments.seeds, {function, "seeds"}, {c});
  if (source != Source::given) return from;
  const Argument who{function, "responsibilities"};
  const py::array resp = as_array(arguments.responsibilities, who);
  if (!resp.dtype().equal(py::dtype::of<double>())) raise_type(who, "have dtype float64", py::str(resp.dtype()));
  if (resp.ndim() != 2 || resp.shape(0) != n || resp.shape(1) != k)
    raise_value(who, "have shape (" + std::to_string(n) + ", " + std::to_string(k) + ")", shape_text(resp));
  check_aligned(resp, who);
  from.resp = static_cast<const double*>(resp.data());
  from.resp_row_stride = resp.strides(0);
  from.resp_col_stride = resp.strides(1);
  return from;
}

}  // namespace pyestim::bind
