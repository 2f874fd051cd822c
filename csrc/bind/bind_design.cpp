#include "bind/bind.hpp"
#include "bind/columns.hpp"
#include "bind/run.hpp"

namespace pyestim::bind {
namespace {

void column_sums(Context& context, const char* function, ColumnSum sum, const Columns& columns,
                 const py::object& vectors, const py::object& chosen, const py::object& out) {
  const ColumnsView& x = columns.view();
  const Choice choice = bind::choice(x, chosen, {function, "columns"});
  const int64_t n_vectors = extent(vectors, {function, "vectors"}, 2, 0, 0);
  ColumnSumsJob job{};
  job.sum = sum;
  job.x = x;
  job.columns = choice.columns;
  job.m = choice.m;
  job.n_vectors = static_cast<int32_t>(n_vectors);
  job.r = input<double>(vectors, {function, "vectors"}, {n_vectors, x.n});
  job.out = output<double>(out, {function, "out"}, {n_vectors, choice.m});
  bind::columns(context, function, job);
}

void column_dots(Context& context, const Columns& columns, const py::object& vectors, const py::object& chosen,
                 const py::object& out) {
  column_sums(context, "column_dots", ColumnSum::dot, columns, vectors, chosen, out);
}

void column_squares(Context& context, const Columns& columns, const py::object& vectors, const py::object& chosen,
                    const py::object& out) {
  column_sums(context, "column_squares", ColumnSum::square, columns, vectors, chosen, out);
}

void column_times(Context& context, const Columns& columns, const py::object& beta, const py::object& chosen,
                  const py::object& out) {
  constexpr const char* function = "column_times";
  const ColumnsView& x = columns.view();
  const Choice choice = bind::choice(x, chosen, {function, "columns"});
  const int64_t n_vectors = extent(beta, {function, "beta"}, 2, 0, 0);
  ColumnTimesJob job{};
  job.x = x;
  job.columns = choice.columns;
  job.m = choice.m;
  job.n_vectors = static_cast<int32_t>(n_vectors);
  job.beta = input<double>(beta, {function, "beta"}, {n_vectors, choice.m});
  job.out = output<double>(out, {function, "out"}, {n_vectors, x.n});
  bind::columns(context, function, job);
}

void column_gram(Context& context, const Columns& columns, const py::object& row_weights, const py::object& left,
                 const py::object& right, const py::object& out) {
  constexpr const char* function = "column_gram";
  const ColumnsView& x = columns.view();
  const Choice a = choice(x, left, {function, "left"});
  const Choice b = right.is_none() ? a : choice(x, right, {function, "right"});
  if (left.is_none()) raise_type({function, "left"}, "be an array of columns", "None");
  ColumnGramJob job{};
  job.x = x;
  job.left = a.columns;
  job.right = b.columns;
  job.m_left = a.m;
  job.m_right = b.m;
  job.symmetric = right.is_none();
  job.d = input<double>(row_weights, {function, "row_weights"}, {x.n});
  job.out = output<double>(out, {function, "out"}, {a.m, b.m});
  bind::columns(context, function, job);
}

}  // namespace

void bind_design(py::module_& module) {
  using py::arg;
  py::class_<Columns>(module, "Columns",
                      "Columns of a matrix in coordinates x~ = (x - centre) * factor; nothing is copied.")
      .def(py::init<const py::object&, const py::object&, const py::object&, int64_t, const py::object&,
                    const py::object&>(),
           arg("X"), arg("entry_row"), arg("starts"), arg("n"), arg("centre"), arg("factor"))
      .def_property_readonly("shape",
                             [](const Columns& columns) { return py::make_tuple(columns.view().n, columns.view().p); });
  module.def("column_dots", &column_dots, arg("ctx"), arg("columns"), arg("vectors"), arg("chosen"), arg("out"),
             "Products of the chosen columns (None: all) with vectors (K, n); out (K, m).");
  module.def("column_squares", &column_squares, arg("ctx"), arg("columns"), arg("vectors"), arg("chosen"), arg("out"),
             "Sums of the squares of the chosen columns weighted by vectors (K, n); out (K, m).");
  module.def("column_times", &column_times, arg("ctx"), arg("columns"), arg("beta"), arg("chosen"), arg("out"),
             "Combinations of the chosen columns by coefficients (K, m); out (K, n).");
  module.def("column_gram", &column_gram, arg("ctx"), arg("columns"), arg("row_weights"), arg("left"), arg("right"),
             arg("out"), "Weighted products of columns with columns; right None: with themselves.");
}

}  // namespace pyestim::bind
