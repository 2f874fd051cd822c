#include <cmath>

#include "bind/bind.hpp"
#include "bind/columns.hpp"
#include "bind/run.hpp"

namespace pyestim::bind {
namespace {

// Codes as in kernel/table.hpp.
Penalty penalty_of(const char* function, int code, double parameter) {
  if (code < 0 || code > static_cast<int>(Penalty::group))
    raise_value({function, "penalty"}, "be 0 (l1), 1 (mcp), 2 (scad) or 3 (group)", std::to_string(code));
  const auto penalty = static_cast<Penalty>(code);
  const double least = penalty == Penalty::mcp ? 1 : penalty == Penalty::scad ? 2 : -HUGE_VAL;
  if (!(parameter > least))
    raise_value({function, "parameter"}, "be more than " + std::to_string(least) + " for this penalty",
                std::to_string(parameter));
  return penalty;
}

// Numbers that come back besides what the arrays receive.
struct Outcome {
  int64_t epochs = 0;
  double change = 0;
  py::tuple tuple() const { return py::make_tuple(epochs, change); }
};

struct PenaltyArguments {
  const py::object &l1, &l2, &lower, &upper;
  int penalty;
  double parameter;
};

Descent descent_of(const char* function, const py::object& beta, int64_t n_outputs, int64_t m,
                   const PenaltyArguments& p, double tol, int64_t max_epochs, Outcome& outcome) {
  Descent job{};
  job.m = m;
  job.n_outputs = static_cast<int32_t>(n_outputs);
  job.penalty = penalty_of(function, p.penalty, p.parameter);
  job.shape = p.parameter;
  job.l1 = input<double>(p.l1, {function, "l1"}, {m});
  job.l2 = input<double>(p.l2, {function, "l2"}, {m});
  job.lower = optional_input<double>(p.lower, {function, "lower"}, {m});
  job.upper = optional_input<double>(p.upper, {function, "upper"}, {m});
  if (job.penalty == Penalty::group && (job.lower || job.upper))
    raise_value({function, "lower, upper"}, "be None for penalty 3 (group)", "bounds");
  if (!(tol >= 0)) raise_value({function, "tol"}, "not be negative", std::to_string(tol));
  if (max_epochs < 1) raise_value({function, "max_epochs"}, "be at least 1", std::to_string(max_epochs));
  job.tol = tol;
  job.max_epochs = max_epochs;
  job.beta = as_array(beta, {function, "beta"}).ndim() == 1 ? output<double>(beta, {function, "beta"}, {m})
                                                            : output<double>(beta, {function, "beta"}, {n_outputs, m});
  job.epochs = &outcome.epochs;
  job.change = &outcome.change;
  return job;
}

// (n_entries,) or (K, n_entries): K, one for the former.
int64_t outputs_of(const py::object& array, const Argument& argument) {
  const py::array a = as_array(array, argument);
  if (a.ndim() != 1 && a.ndim() != 2) raise_value(argument, "have 1 or 2 axes", "shape " + shape_text(a));
  return a.ndim() == 1 ? 1 : a.shape(0);
}

Shape shape_of(const py::object& array, int64_t n_outputs, int64_t size) {
  return py::reinterpret_borrow<py::array>(array).ndim() == 1 ? Shape{size} : Shape{n_outputs, size};
}

py::tuple coordinate_descent_gram(Context& context, const py::object& gram, const py::object& linear,
                                  const py::object& beta, const py::object& l1, const py::object& l2,
                                  const py::object& lower, const py::object& upper, double tol, int64_t max_epochs,
                                  int penalty, double parameter) {
  constexpr const char* function = "coordinate_descent_gram";
  const int64_t m = extent(gram, {function, "gram"}, 2, 0, 0), n_outputs = outputs_of(linear, {function, "linear"});
  Outcome outcome;
  GramDescentJob job{};
  job.descent =
      descent_of(function, beta, n_outputs, m, {l1, l2, lower, upper, penalty, parameter}, tol, max_epochs, outcome);
  job.gram = input<double>(gram, {function, "gram"}, {m, m});
  job.linear = input<double>(linear, {function, "linear"}, shape_of(linear, n_outputs, m));
  items(context, function, *context.kernels.gram_descent, &job, 1);
  return outcome.tuple();
}

py::tuple coordinate_descent(Context& context, const Columns& columns, const py::object& chosen,
                             const py::object& row_weights, const py::object& residual, const py::object& beta,
                             const py::object& intercept, const py::object& l1, const py::object& l2,
                             const py::object& lower, const py::object& upper, double tol, int64_t max_epochs,
                             int penalty, double parameter) {
  constexpr const char* function = "coordinate_descent";
  const ColumnsView& x = columns.view();
  const Choice choice = bind::choice(x, chosen, {function, "columns"});
  if (!choice.columns) raise_type({function, "columns"}, "be an array of columns", "None");
  const int64_t n_outputs = outputs_of(residual, {function, "residual"});
  Outcome outcome;
  ColumnDescentJob job{};
  job.descent = descent_of(function, beta, n_outputs, choice.m, {l1, l2, lower, upper, penalty, parameter}, tol,
                           max_epochs, outcome);
  job.x = x;
  job.columns = choice.columns;
  job.d = input<double>(row_weights, {function, "row_weights"}, {x.n});
  job.r = output<double>(residual, {function, "residual"}, shape_of(residual, n_outputs, x.n));
  job.intercept = optional_output<double>(intercept, {function, "intercept"}, {n_outputs});
  items(context, function, *context.kernels.column_descent, &job, 1);
  return outcome.tuple();
}

void lasso_steps(Context& context, const py::object& gram, const py::object& score, const py::object& old,
                 const py::object& l1, const py::object& l2, double weight, double tol, int64_t max_epochs,
                 const py::object& coef, const py::object& gain, const py::object& scale, const py::object& square,
                 const py::object& count, double floor, int alternations, double scale_tol) {
  constexpr const char* function = "lasso_steps";
  const int64_t n = extent(score, {function, "score"}, 2, 0, 0), m = extent(score, {function, "score"}, 2, 1);
  if (!(tol >= 0 && scale_tol >= 0 && floor >= 0 && weight >= 0))
    raise_value({function, "tol, scale_tol, floor, weight"}, "not be negative", "a negative number or NaN");
  if (max_epochs < 1) raise_value({function, "max_epochs"}, "be at least 1", std::to_string(max_epochs));
  LassoStepsJob job{};
  job.m = m;
  job.weight = weight;
  job.tol = tol;
  job.max_epochs = max_epochs;
  job.floor = floor;
  job.alternations = alternations;
  job.scale_tol = scale_tol;
  job.gram = input<double>(gram, {function, "gram"}, {n, m * (m + 1) / 2});
  job.score = input<double>(score, {function, "score"}, {n, m});
  job.old = input<double>(old, {function, "old"}, {n, m});
  job.l1 = input<double>(l1, {function, "l1"}, {m});
  job.l2 = input<double>(l2, {function, "l2"}, {m});
  job.coef = output<double>(coef, {function, "coef"}, {n, m});
  job.gain = optional_output<double>(gain, {function, "gain"}, {n, 2});
  job.scale = optional_output<double>(scale, {function, "scale"}, {n});
  if (job.scale != nullptr) {
    job.square = input<double>(square, {function, "square"}, {n});
    job.count = input<double>(count, {function, "count"}, {n});
  }
  items(context, function, *context.kernels.lasso_steps, &job, n);
}

void penalty_prox(Context& context, int penalty, double parameter, const py::object& h, const py::object& z,
                  const py::object& l1, const py::object& l2, const py::object& lower, const py::object& upper,
                  const py::object& out, const py::object& value) {
  constexpr const char* function = "penalty_prox";
  ProxJob job{};
  job.penalty = penalty_of(function, penalty, parameter);
  job.shape = parameter;
  job.m = extent(z, {function, "z"}, 2, 0, 0);
  job.group = static_cast<int32_t>(extent(z, {function, "z"}, 2, 1));
  if (job.penalty != Penalty::group && job.group != 1)
    raise_value({function, "z"}, "have one column unless the penalty is 3 (group)", std::to_string(job.group));
  job.h = input<double>(h, {function, "h"}, {job.m});
  job.z = input<double>(z, {function, "z"}, {job.m, job.group});
  job.l1 = input<double>(l1, {function, "l1"}, {job.m});
  job.l2 = input<double>(l2, {function, "l2"}, {job.m});
  job.lower = input<double>(lower, {function, "lower"}, {job.m});
  job.upper = input<double>(upper, {function, "upper"}, {job.m});
  job.out = output<double>(out, {function, "out"}, {job.m, job.group});
  job.value = output<double>(value, {function, "value"}, {job.m});
  apply_prox(context, function, job);
}

}  // namespace

void bind_descent(py::module_& module) {
  using py::arg;
  module.def("coordinate_descent_gram", &coordinate_descent_gram, arg("ctx"), arg("gram"), arg("linear"), arg("beta"),
             arg("l1"), arg("l2"), arg("lower"), arg("upper"), arg("tol"), arg("max_epochs"), arg("penalty") = 0,
             arg("parameter") = 0.0,
             "Minimise beta' G beta / 2 - linear' beta + penalty in place; returns epochs and the last change.");
  module.def("coordinate_descent", &coordinate_descent, arg("ctx"), arg("columns"), arg("chosen"), arg("row_weights"),
             arg("residual"), arg("beta"), arg("intercept"), arg("l1"), arg("l2"), arg("lower"), arg("upper"),
             arg("tol"), arg("max_epochs"), arg("penalty") = 0, arg("parameter") = 0.0,
             "Minimise sum_i d_i r_i^2 / 2 + penalty in place; returns epochs and the last change.");
  module.def(
      "lasso_steps", &lasso_steps, arg("ctx"), arg("gram"), arg("score"), arg("old"), arg("l1"), arg("l2"),
      arg("weight"), arg("tol"), arg("max_epochs"), arg("coef"), arg("gain") = py::none(), arg("scale") = py::none(),
      arg("square") = py::none(), arg("count") = py::none(), arg("floor") = 0.0, arg("alternations") = 0,
      arg("scale_tol") = 0.0,
      "Penalised steps from old coefficients on packed Gram matrices; with scales, these in turn with the slopes.");
  module.def("penalty_prox", &penalty_prox, arg("ctx"), arg("penalty"), arg("parameter"), arg("h"), arg("z"), arg("l1"),
             arg("l2"), arg("lower"), arg("upper"), arg("out"), arg("value"),
             "argmin of h b^2 / 2 - z b + penalty(b) for every row, and the penalty there.");
}

}  // namespace pyestim::bind
