#include "bind/bind.hpp"
#include "bind/run.hpp"

namespace pyestim::bind {
namespace {

PairFormula formula_of(const char* function, const std::string& name) {
  if (name == "compare") return PairFormula::compare;
  if (name == "exchange") return PairFormula::exchange;
  if (name == "flow") return PairFormula::flow;
  if (name == "share") return PairFormula::share;
  raise_value({function, "formula"}, "be 'compare', 'exchange', 'flow' or 'share'", "'" + name + "'");
}

void pair_sums(Context& context, const std::string& formula, const py::object& forward, const py::object& backward,
               const py::object& values, const py::object& sums, const py::object& weights) {
  constexpr const char* function = "pair_sums";
  PairJob job{};
  job.formula = formula_of(function, formula);
  job.k = extent(values, {function, "values"}, 1, 0);
  job.forward = input<double>(forward, {function, "forward"}, {job.k, job.k});
  job.backward = input<double>(backward, {function, "backward"}, {job.k, job.k});
  job.values = input<double>(values, {function, "values"}, {job.k});
  job.sums = output<double>(sums, {function, "sums"}, {job.k});
  job.weights = output<double>(weights, {function, "weights"}, {job.k, job.k});
  items(context, function, *context.kernels.pair_sums, &job, (job.k + pair_rows - 1) / pair_rows);
}

}  // namespace

void bind_chain_pairs(py::module_& module) {
  using py::arg;
  module.def("pair_sums", &pair_sums, arg("ctx"), arg("formula"), arg("forward"), arg("backward"), arg("values"),
             arg("sums"), arg("weights"), "Row sums of a formula over pairs of states, and the weights of the pairs.");
}

}  // namespace pyestim::bind
