#include <limits>

#include "bind/bind.hpp"
#include "bind/run.hpp"

namespace pyestim::bind {
namespace {

// 32-bit counters, and room for one more stretch.
constexpr int64_t most_rows_of_a_table = (int64_t{1} << 32) - (int64_t{1} << 24);

CodesView codes_of(const Argument& who, const py::object& codes) {
  const py::array array = as_array(codes, who);
  const auto view = [&](CodeType type, const void* data) { return CodesView{data, array.shape(0), type}; };
  const py::dtype dtype = array.dtype();
  if (dtype.equal(py::dtype::of<int8_t>())) return view(CodeType::int8, input<int8_t>(codes, who, {-1}));
  if (dtype.equal(py::dtype::of<int16_t>())) return view(CodeType::int16, input<int16_t>(codes, who, {-1}));
  if (dtype.equal(py::dtype::of<int32_t>())) return view(CodeType::int32, input<int32_t>(codes, who, {-1}));
  if (dtype.equal(py::dtype::of<int64_t>())) return view(CodeType::int64, input<int64_t>(codes, who, {-1}));
  raise_type(who, "have dtype int8, int16, int32 or int64 in native byte order", py::str(dtype));
}

void check_range(const char* function, int64_t start, int64_t stop, int64_t n) {
  if (0 <= start && start <= stop && stop <= n) return;
  raise_value({function, "start, stop"}, "be a range within 0.." + std::to_string(n),
              std::to_string(start) + ".." + std::to_string(stop));
}

// Rows where sequences begin, and n behind them; the kernels rely on their order.
const int64_t* offsets_of(const Argument& who, const py::object& offsets, int64_t n, int64_t& n_offsets) {
  n_offsets = 0;
  if (offsets.is_none()) return nullptr;
  n_offsets = extent(offsets, who, 1, 0);
  const int64_t* rows = input<int64_t>(offsets, who, {-1});
  bool ordered = rows[0] == 0 && rows[n_offsets - 1] == n;
  for (int64_t i = 1; i < n_offsets; ++i) ordered = ordered && rows[i - 1] <= rows[i];
  if (!ordered) raise_value(who, "rise from 0 to the number of rows, " + std::to_string(n), "other row numbers");
  return rows;
}

void check_states(const char* function, int64_t n_states) {
  if (n_states < 1 || n_states > 1 << 30)
    raise_value({function, "n_states"}, "be between 1 and 2^30", std::to_string(n_states));
}

// n_states^(order + 1), or a sentence where it is too much for the numbers of cells.
int64_t count_cells(const char* function, int64_t n_states, int order) {
  int64_t cells = n_states;
  bool fits = order >= 1;
  for (int i = 0; fits && i < order; ++i) {
    fits = cells <= std::numeric_limits<int64_t>::max() / n_states;
    if (fits) cells *= n_states;
  }
  if (!fits)
    raise_value({function, "order"}, "be at least 1 and leave fewer than 2^63 cells",
                std::to_string(order) + " for " + std::to_string(n_states) + " states");
  return cells;
}

int64_t count_transitions(Context& context, const py::object& codes, int64_t start, int64_t stop, int64_t n_states,
                          const py::object& offsets, const py::object& weight, const py::object& out, int order) {
  constexpr const char* function = "count_transitions";
  const CodesView view = codes_of({function, "codes"}, codes);
  check_range(function, start, stop, view.n);
  int64_t n_offsets = 0;
  const int64_t* rows = offsets_of({function, "offsets"}, offsets, view.n, n_offsets);
  check_states(function, n_states);
  const Shape shape{count_cells(function, n_states, order) / n_states, n_states};
  if (weight.is_none()) {
    TransitionJob job{};
    job.codes = view;
    job.n_states = n_states;
    job.order = order;
    job.offsets = rows;
    job.n_offsets = n_offsets;
    job.counts = output<int64_t>(out, {function, "out"}, shape);
    job.flush_after = most_rows_of_a_table;
    return tally(context, function, *context.kernels.transitions, &job, start, stop);
  }
  if (order != 1) raise_value({function, "order"}, "be 1 with weights", std::to_string(order));
  const double* weights = input<double>(weight, {function, "weight"}, {view.n});
  output<double>(out, {function, "out"}, shape);
  const WeightedTransitionJob job{view, n_states, rows, n_offsets, weights};
  const int64_t bad_row = context.kernels.first_out_of_range(&view, n_states, start > 0 ? start - 1 : 0, stop);
  const py::object flat = out.attr("reshape")(-1);
  if (bad_row < 0) sweep_one(context, function, *context.kernels.weighted_transitions, &job, start, stop, flat);
  return bad_row;
}

py::tuple count_cells_that_occur(Context& context, const py::object& codes, int64_t start, int64_t stop,
                                 int64_t n_states, const py::object& offsets, const py::object& cells,
                                 const py::object& counts, int order) {
  constexpr const char* function = "transition_cells";
  TransitionCellsJob job{};
  job.codes = codes_of({function, "codes"}, codes);
  check_range(function, start, stop, job.codes.n);
  check_states(function, n_states);
  count_cells(function, n_states, order);
  job.n_states = n_states;
  job.order = order;
  job.offsets = offsets_of({function, "offsets"}, offsets, job.codes.n, job.n_offsets);
  job.start = start;
  job.stop = stop;
  job.cells = output<int64_t>(cells, {function, "cells"}, {stop - start});
  job.counts = output<int64_t>(counts, {function, "counts"}, {stop - start});
  int64_t result[2] = {0, -1};
  job.result = result;
  items(context, function, *context.kernels.transition_cells, &job, 1);
  return py::make_tuple(result[0], result[1]);
}

int64_t merge_cells(Context& context, const py::object& cells_a, const py::object& counts_a, const py::object& cells_b,
                    const py::object& counts_b, const py::object& cells, const py::object& counts) {
  constexpr const char* function = "merge_cells";
  MergeCellsJob job{};
  job.n_a = extent(cells_a, {function, "cells_a"}, 1, 0, 0);
  job.n_b = extent(cells_b, {function, "cells_b"}, 1, 0, 0);
  job.cells_a = input<int64_t>(cells_a, {function, "cells_a"}, {job.n_a});
  job.counts_a = input<int64_t>(counts_a, {function, "counts_a"}, {job.n_a});
  job.cells_b = input<int64_t>(cells_b, {function, "cells_b"}, {job.n_b});
  job.counts_b = input<int64_t>(counts_b, {function, "counts_b"}, {job.n_b});
  job.cells = output<int64_t>(cells, {function, "cells"}, {job.n_a + job.n_b});
  job.counts = output<int64_t>(counts, {function, "counts"}, {job.n_a + job.n_b});
  int64_t n_cells = 0;
  job.n_cells = &n_cells;
  items(context, function, *context.kernels.merge_cells, &job, 1);
  return n_cells;
}

}  // namespace

void bind_chain(py::module_& module) {
  using py::arg;
  module.def("count_transitions", &count_transitions, arg("ctx"), arg("codes"), arg("start"), arg("stop"),
             arg("n_states"), arg("offsets"), arg("weight"), arg("out"), arg("order") = 1,
             "Transitions into rows start..stop. Without weights out (int64) is added into, with weights (float64) it "
             "is overwritten. Returns -1, or the first row whose code is no state.");
  module.def("transition_cells", &count_cells_that_occur, arg("ctx"), arg("codes"), arg("start"), arg("stop"),
             arg("n_states"), arg("offsets"), arg("cells"), arg("counts"), arg("order") = 1,
             "The transitions that occur among those into rows start..stop, by number, ascending, with their counts. "
             "Returns how many there are, and -1 or the first row whose code is no state.");
  module.def("merge_cells", &merge_cells, arg("ctx"), arg("cells_a"), arg("counts_a"), arg("cells_b"), arg("counts_b"),
             arg("cells"), arg("counts"),
             "Union of two lists of cells with the sums of their counts. Returns how many there are.");
}

}  // namespace pyestim::bind
