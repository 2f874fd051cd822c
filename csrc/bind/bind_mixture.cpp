#include <algorithm>
#include <limits>

#include "bind/bind.hpp"
#include "bind/elsewhere.hpp"
#include "bind/factors.hpp"
#include "bind/names.hpp"
#include "bind/rows.hpp"
#include "bind/run.hpp"

namespace pyestim::bind {

Family family_of(const char* function, const std::string& name) {
  static constexpr Name<Family> families[] = {
      {"full", Family::full}, {"tied", Family::tied}, {"diag", Family::diag}, {"spherical", Family::spherical}};
  return parse(name, {function, "family"}, families);
}

Shape factor_shape(Family family, int64_t k, int64_t d) {
  switch (family) {
    case Family::full:
      return {k, d, d};
    case Family::tied:
      return {d, d};
    case Family::diag:
      return {k, d};
    case Family::spherical:
      return {k};
  }
  return {};
}

namespace {

constexpr Name<Source> sources[] = {
    {"nearest", Source::nearest}, {"labels", Source::labels}, {"given", Source::given}, {"random", Source::random}};

struct Counts {
  int64_t candidates, components;
};

Counts counts_of(const char* function, const py::object& means) {
  const Argument who{function, "means"};
  const Counts counts{extent(means, who, 3, 0), extent(means, who, 3, 1)};
  if (std::max(counts.candidates, counts.components) > std::numeric_limits<int32_t>::max())
    raise_value(who, "have fewer than 2^31 candidates and components", shape_text(as_array(means, who)));
  return counts;
}

void mixture_sweep(Context& context, const Rows& rows, int64_t start, int64_t stop, const std::string& family,
                   const py::object& log_offset, const py::object& means, const py::object& factors, bool accurate,
                   const py::object& out) {
  constexpr const char* function = "mixture_sweep";
  rows.check_range(function, start, stop);
  const auto [c, k] = counts_of(function, means);
  MixtureJob job{};
  job.rows = rows.view();
  job.family = family_of(function, family);
  job.n_candidates = static_cast<int32_t>(c);
  job.n_components = static_cast<int32_t>(k);
  job.log_offset = input<double>(log_offset, {function, "log_offset"}, {c, k});
  job.means = input<double>(means, {function, "means"}, {c, k, job.rows.d});
  Shape shape = factor_shape(job.family, k, job.rows.d);
  shape.insert(shape.begin(), c);
  job.factors = input<double>(factors, {function, "factors"}, shape);
  job.accurate = accurate;
  job.blas = context.blas_calls();
  sweep(context, function, *context.kernels.mixture, &job, start, stop, c, out);
}

void mixture_rows(Context& context, const Rows& rows, int64_t start, int64_t stop, const std::string& family,
                  const py::object& log_offset, const py::object& means, const py::object& factors, bool accurate,
                  const py::object& log_prob, const py::object& resp, const py::object& labels, bool log_resp) {
  constexpr const char* function = "mixture_rows";
  rows.check_range(function, start, stop);
  const int64_t k = extent(means, {function, "means"}, 2, 0), m = stop - start;
  MixtureRowsJob job{};
  job.mixture.rows = rows.view();
  job.mixture.family = family_of(function, family);
  job.mixture.n_candidates = 1;
  job.mixture.n_components = static_cast<int32_t>(k);
  const int64_t d = job.mixture.rows.d;
  job.mixture.log_offset = input<double>(log_offset, {function, "log_offset"}, {k});
  job.mixture.means = input<double>(means, {function, "means"}, {k, d});
  job.mixture.factors = input<double>(factors, {function, "factors"}, factor_shape(job.mixture.family, k, d));
  job.mixture.accurate = accurate;
  job.mixture.blas = context.blas_calls();
  job.first_row = start;
  job.log_prob = optional_output<double>(log_prob, {function, "log_prob"}, {m});
  job.resp = optional_output<double>(resp, {function, "resp"}, {m, k});
  job.labels = optional_output<int64_t>(labels, {function, "labels"}, {m});
  job.log_resp = log_resp;
  sweep(context, function, *context.kernels.mixture_rows, &job, start, stop, 1, py::none());
}

void assign_sweep(Context& context, const Rows& rows, int64_t start, int64_t stop, const std::string& family,
                  const std::string& source, const py::object& means, const py::object& labels,
                  const py::object& responsibilities, const py::object& seeds, bool accurate, const py::object& out) {
  constexpr const char* function = "assign_sweep";
  rows.check_range(function, start, stop);
  const auto [c, k] = counts_of(function, means);
  AssignJob job{};
  job.rows = rows.view();
  job.family = family_of(function, family);
  job.source = parse(source, {function, "source"}, sources);
  job.n_candidates = static_cast<int32_t>(c);
  job.n_components = static_cast<int32_t>(k);
  job.means = input<double>(means, {function, "means"}, {c, k, job.rows.d});
  job.from = elsewhere(function, job.source, job.rows.n, c, k, {labels, responsibilities, seeds});
  job.accurate = accurate;
  job.blas = context.blas_calls();
  sweep(context, function, *context.kernels.assign, &job, start, stop, c, out);
}

}  // namespace

void bind_mixture(py::module_& module) {
  using py::arg;
  module.def("mixture_sweep", &mixture_sweep, arg("ctx"), arg("rows"), arg("start"), arg("stop"), arg("family"),
             arg("log_offset"), arg("means"), arg("factors"), arg("accurate"), arg("out"),
             "Statistics of Gaussian mixtures over rows start..stop, one row of out per candidate.");
  module.def("mixture_rows", &mixture_rows, arg("ctx"), arg("rows"), arg("start"), arg("stop"), arg("family"),
             arg("log_offset"), arg("means"), arg("factors"), arg("accurate"), arg("log_prob") = py::none(),
             arg("resp") = py::none(), arg("labels") = py::none(), arg("log_resp") = false,
             "Log-density, responsibilities and most probable component of each row of start..stop.");
  module.def("assign_sweep", &assign_sweep, arg("ctx"), arg("rows"), arg("start"), arg("stop"), arg("family"),
             arg("source"), arg("means"), arg("labels") = py::none(), arg("responsibilities") = py::none(),
             arg("seeds") = py::none(), arg("accurate") = false, arg("out"),
             "The statistics of mixture_sweep with responsibilities from elsewhere.");
}

}  // namespace pyestim::bind
