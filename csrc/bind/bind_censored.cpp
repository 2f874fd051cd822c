#include <limits>

#include "bind/bind.hpp"
#include "bind/names.hpp"
#include "bind/rows.hpp"
#include "bind/run.hpp"

namespace pyestim::bind {
namespace {

constexpr Name<ErrorLaw> error_laws[] = {
    {"normal", ErrorLaw::normal}, {"logistic", ErrorLaw::logistic}, {"t", ErrorLaw::student}};

// The arguments that both functions share.
struct CensoredArguments {
  const char* function;
  const Rows& rows;
  int64_t start, stop;
  const std::string& law;
  const py::object &lower, &upper, &offset;
  double y_centre, y_scale;
  const py::object &coef, &inverse_scale, &shape;
};

CensoredJob read_censored(const CensoredArguments& a) {
  CensoredJob job{};
  a.rows.check_range(a.function, a.start, a.stop);
  job.rows = a.rows.view();
  job.law = parse(a.law, {a.function, "law"}, error_laws);
  const int64_t c = extent(a.coef, {a.function, "coef"}, 2, 0);
  const int64_t size = extent(a.shape, {a.function, "shape"}, 2, 1);
  if (c > std::numeric_limits<int16_t>::max() || size > std::numeric_limits<int16_t>::max())
    raise_value({a.function, "coef, shape"}, "have fewer than 2^15 rows and numbers", std::to_string(c));
  job.n_candidates = static_cast<int32_t>(c);
  job.n_shape = static_cast<int32_t>(size);
  const int64_t least = job.law == ErrorLaw::student ? 5 : 1;
  if (size < least)
    raise_value({a.function, "shape"}, "hold at least " + std::to_string(least) + " numbers", std::to_string(size));
  job.lower = input<double>(a.lower, {a.function, "lower"}, {job.rows.n});
  job.upper = input<double>(a.upper, {a.function, "upper"}, {job.rows.n});
  job.offset = optional_input<double>(a.offset, {a.function, "offset"}, {job.rows.n});
  job.y_centre = a.y_centre;
  job.y_scale = a.y_scale;
  job.coef = input<double>(a.coef, {a.function, "coef"}, {c, 1 + job.rows.d});
  job.inverse_scale = input<double>(a.inverse_scale, {a.function, "inverse_scale"}, {c});
  job.shape = input<double>(a.shape, {a.function, "shape"}, {c, size});
  return job;
}

void censored_sweep(Context& context, const Rows& rows, int64_t start, int64_t stop, const std::string& law,
                    const py::object& lower, const py::object& upper, const py::object& offset, double y_centre,
                    double y_scale, const py::object& coef, const py::object& inverse_scale, const py::object& shape,
                    const py::object& out) {
  const CensoredArguments a{"censored_sweep", rows,     start,   stop, law,           lower, upper,
                            offset,           y_centre, y_scale, coef, inverse_scale, shape};
  const CensoredJob job = read_censored(a);
  sweep(context, a.function, *context.kernels.censored, &job, start, stop, job.n_candidates, out);
}

void censored_rows(Context& context, const Rows& rows, int64_t start, int64_t stop, const std::string& law,
                   const py::object& lower, const py::object& upper, const py::object& offset, double y_centre,
                   double y_scale, const py::object& coef, const py::object& inverse_scale, const py::object& shape,
                   const py::object& out) {
  const CensoredArguments a{"censored_rows", rows,     start,   stop, law,           lower, upper,
                            offset,          y_centre, y_scale, coef, inverse_scale, shape};
  CensoredRowsJob job{};
  job.censored = read_censored(a);
  if (job.censored.n_candidates != 1)
    raise_value({a.function, "coef"}, "hold one candidate", std::to_string(job.censored.n_candidates));
  job.first_row = start;
  job.out = output<double>(out, {a.function, "out"}, {stop - start, 6});
  sweep(context, a.function, *context.kernels.censored_rows, &job, start, stop, 1, py::none());
}

}  // namespace

void bind_censored(py::module_& module) {
  using py::arg;
  module.def("censored_sweep", &censored_sweep, arg("ctx"), arg("rows"), arg("start"), arg("stop"), arg("law"),
             arg("lower"), arg("upper"), arg("offset").none(true), arg("y_centre"), arg("y_scale"), arg("coef"),
             arg("inverse_scale"), arg("shape"), arg("out"),
             "Statistics of linear models of censored responses over rows start..stop, one row of out per candidate.");
  module.def("censored_rows", &censored_rows, arg("ctx"), arg("rows"), arg("start"), arg("stop"), arg("law"),
             arg("lower"), arg("upper"), arg("offset").none(true), arg("y_centre"), arg("y_scale"), arg("coef"),
             arg("inverse_scale"), arg("shape"), arg("out"),
             "Log-density, gradient and curvature of each row of start..stop under one model.");
}

}  // namespace pyestim::bind
