#include "bind/bind.hpp"
#include "bind/run.hpp"

namespace pyestim::bind {
namespace {

using Numbers = py::array_t<double>;

void run_normal(Context& context, const char* function, const NormalJob& job) {
  items(context, function, *context.kernels.normal_apply, &job, (job.n + normal_block - 1) / normal_block);
}

template <NormalFunction which>
Numbers tail_apply(Context& context, const py::object& x) {
  constexpr const char* names[] = {"erfcx_apply", "log_ndtr_apply", "inverse_mills_apply"};
  const char* function = names[static_cast<int>(which)];
  NormalJob job{};
  job.function = which;
  job.n = extent(x, {function, "x"}, 1, 0, 0);
  job.a = input<double>(x, {function, "x"}, {job.n});
  Numbers out(job.n);
  job.out = out.mutable_data();
  run_normal(context, function, job);
  return out;
}

py::tuple interval_apply(Context& context, const py::object& a, const py::object& b, const py::object& width) {
  constexpr const char* function = "interval_apply";
  NormalJob job{};
  job.function = NormalFunction::interval;
  job.n = extent(a, {function, "a"}, 1, 0, 0);
  job.a = input<double>(a, {function, "a"}, {job.n});
  job.b = input<double>(b, {function, "b"}, {job.n});
  job.width = optional_input<double>(width, {function, "width"}, {job.n});
  Numbers log_prob(job.n), mean(job.n), variance(job.n);
  job.out = log_prob.mutable_data();
  job.mean = mean.mutable_data();
  job.variance = variance.mutable_data();
  run_normal(context, function, job);
  return py::make_tuple(log_prob, mean, variance);
}

py::tuple box_moments(Context& context, const py::object& means, const py::object& covariances, const py::object& lower,
                      const py::object& upper) {
  constexpr const char* function = "box_moments";
  BoxJob job{};
  const int64_t n = extent(means, {function, "means"}, 2, 0, 0), d = extent(means, {function, "means"}, 2, 1);
  if (d > most_box_columns)
    raise_value({function, "means"}, "have at most " + std::to_string(most_box_columns) + " columns",
                std::to_string(d));
  job.d = static_cast<int32_t>(d);
  job.means = input<double>(means, {function, "means"}, {n, d});
  job.covariances = input<double>(covariances, {function, "covariances"}, {n, d, d});
  job.lower = input<double>(lower, {function, "lower"}, {n, d});
  job.upper = input<double>(upper, {function, "upper"}, {n, d});
  Numbers log_prob(n), inside({n, d}), inside_cov({n, d, d}), error(n);
  py::array_t<int64_t> status(n);
  job.log_prob = log_prob.mutable_data();
  job.inside = inside.mutable_data();
  job.inside_cov = inside_cov.mutable_data();
  job.error = error.mutable_data();
  job.status = status.mutable_data();
  items(context, function, *context.kernels.box_apply, &job, n);
  return py::make_tuple(log_prob, inside, inside_cov, error, status);
}

}  // namespace

void bind_normal(py::module_& module) {
  using py::arg;
  module.def("erfcx_apply", &tail_apply<NormalFunction::erfcx>, arg("ctx"), arg("x"), "exp(x^2) erfc(x).");
  module.def("log_ndtr_apply", &tail_apply<NormalFunction::log_ndtr>, arg("ctx"), arg("x"),
             "Logarithm of the normal distribution function.");
  module.def("inverse_mills_apply", &tail_apply<NormalFunction::inverse_mills>, arg("ctx"), arg("x"),
             "Hazard of the normal law, phi(x) / Phi(-x).");
  module.def("interval_apply", &interval_apply, arg("ctx"), arg("a"), arg("b"), arg("width") = py::none(),
             "Log-probability, mean and variance of N(0, 1) inside intervals; width: b - a before rounding.");
  module.def(
      "box_moments", &box_moments, arg("ctx"), arg("means"), arg("covariances"), arg("lower"), arg("upper"),
      "Log-probabilities, means, covariances and relative errors of normal laws inside boxes, and a status for each: "
      "0, 1 not positive definite, 2 empty or not a number, 3 too far away.");
}

}  // namespace pyestim::bind
