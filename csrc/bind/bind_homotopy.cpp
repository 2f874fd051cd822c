#include "bind/bind.hpp"
#include "bind/run.hpp"

namespace pyestim::bind {
namespace {

py::tuple homotopy_path(Context& context, const py::object& gram, const py::object& inverse, const py::object& state,
                        const py::object& column, int64_t m, int64_t n_active, double alpha_from, double alpha_to,
                        int64_t max_kinks) {
  constexpr const char* function = "homotopy_path";
  HomotopyJob job{};
  job.stride = extent(gram, {function, "gram"}, 2, 0);
  job.capacity = extent(inverse, {function, "inverse"}, 2, 0);
  if (m < 1 || m > job.stride)
    raise_value({function, "m"}, "be between 1 and the rows of gram, " + std::to_string(job.stride), std::to_string(m));
  if (n_active < 0 || n_active > m || n_active > job.capacity)
    raise_value({function, "n_active"}, "be between 0 and m and the rows of inverse", std::to_string(n_active));
  if (!(alpha_from >= 0 && alpha_to >= 0))
    raise_value({function, "alpha"}, "not be negative", std::to_string(alpha_from) + ", " + std::to_string(alpha_to));
  job.gram = output<double>(gram, {function, "gram"}, {job.stride, job.stride});
  job.inverse = output<double>(inverse, {function, "inverse"}, {job.capacity, job.capacity});
  job.state = output<double>(state, {function, "state"}, {5, job.stride});
  job.column = output<int64_t>(column, {function, "column"}, {job.stride});
  job.m = m;
  job.alpha_from = alpha_from;
  job.alpha_to = alpha_to;
  job.max_kinks = max_kinks;
  int64_t kinks = 0;
  HomotopyEnd end{};
  double reached = 0.0, miss = 0.0;
  job.n_active = &n_active;
  job.kinks = &kinks;
  job.end = &end;
  job.reached = &reached;
  job.miss = &miss;
  items(context, function, *context.kernels.homotopy, &job, 1);
  return py::make_tuple(n_active, kinks, static_cast<int64_t>(end), reached, miss);
}

}  // namespace

void bind_homotopy(py::module_& module) {
  using py::arg;
  module.def("homotopy_path", &homotopy_path, arg("ctx"), arg("gram"), arg("inverse"), arg("state"), arg("column"),
             arg("m"), arg("n_active"), arg("alpha_from"), arg("alpha_to"), arg("max_kinks"),
             "Exact Lasso path between two penalties; returns n_active, kinks, end (0 reached, 1 full, 2 kinks), the "
             "penalty reached and the largest condition unmet.");
}

}  // namespace pyestim::bind
