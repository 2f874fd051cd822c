#include "bind/bind.hpp"
#include "bind/run.hpp"

namespace pyestim::bind {
namespace {

py::array_t<int64_t> factorise(Context& context, const py::object& cov, const py::object& out_factor,
                               const py::object& out_log_det) {
  constexpr const char* function = "factorise";
  const Argument who{function, "cov"};
  const int64_t n_matrices = extent(cov, who, 3, 0, 0), d = extent(cov, who, 3, 1);
  FactoriseJob job{};
  job.cov = input<double>(cov, who, {n_matrices, d, d});
  job.d = static_cast<int32_t>(d);
  job.factor = output<double>(out_factor, {function, "out_factor"}, {n_matrices, d, d});
  job.log_det = output<double>(out_log_det, {function, "out_log_det"}, {n_matrices});
  py::array_t<int64_t> status(n_matrices);
  job.status = status.mutable_data();
  job.blas = context.blas_calls();
  items(context, function, *context.kernels.factorise, &job, n_matrices);
  return status;
}

struct Variant {
  const char* name;
  MathFunction function;
};

void apply(Context& context, const char* function, const Variant (&variants)[2], const std::string& variant,
           const py::object& x, const py::object& out) {
  const int64_t n = as_array(x, {function, "x"}).size();
  MathJob job{};
  if (variant == variants[0].name)
    job.function = variants[0].function;
  else if (variant == variants[1].name)
    job.function = variants[1].function;
  else
    raise_value({function, "variant"}, std::string("be '") + variants[0].name + "' or '" + variants[1].name + "'",
                variant);
  if (as_array(x, {function, "x"}).dtype().equal(py::dtype::of<float>())) {
    job.dtype = Dtype::float32;
    job.x = input<float>(x, {function, "x"}, {n});
    job.out = output<float>(out, {function, "out"}, {n});
  } else {
    job.dtype = Dtype::float64;
    job.x = input<double>(x, {function, "x"}, {n});
    job.out = output<double>(out, {function, "out"}, {n});
  }
  apply_math(context, function, job, n);
}

void apply_exp(Context& context, const py::object& x, const py::object& out, const std::string& variant) {
  constexpr Variant variants[] = {{"full", MathFunction::exp_full}, {"neg", MathFunction::exp_neg}};
  apply(context, "apply_exp", variants, variant, x, out);
}

void apply_log(Context& context, const py::object& x, const py::object& out, const std::string& variant) {
  constexpr Variant variants[] = {{"full", MathFunction::log_full}, {"pos", MathFunction::log_pos}};
  apply(context, "apply_log", variants, variant, x, out);
}

}  // namespace

void bind_math(py::module_& module) {
  using py::arg;
  module.def(
      "factorise", &factorise, arg("ctx"), arg("cov"), arg("out_factor"), arg("out_log_det"),
      "Inverse Cholesky factors and their log-determinants; returns 0 or the order of the failing minor per matrix.");
  module.def("apply_exp", &apply_exp, arg("ctx"), arg("x"), arg("out"), arg("variant") = "full",
             "The exponential function of the kernels, for tests.");
  module.def("apply_log", &apply_log, arg("ctx"), arg("x"), arg("out"), arg("variant") = "full",
             "The logarithm of the kernels, for tests.");
}

}  // namespace pyestim::bind
