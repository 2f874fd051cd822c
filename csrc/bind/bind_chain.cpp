#include "bind/bind.hpp"
#include "bind/run.hpp"

namespace pyestim::bind {
namespace {

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

int64_t count_transitions(Context& context, const py::object& codes, int64_t start, int64_t stop, int64_t n_states,
                          const py::object& offsets, const py::object& weight, const py::object& out) {
  constexpr const char* function = "count_transitions";
  const CodesView view = codes_of({function, "codes"}, codes);
  check_range(function, start, stop, view.n);
  int64_t n_offsets = 0;
  const int64_t* rows = offsets_of({function, "offsets"}, offsets, view.n, n_offsets);
  if (n_states < 1 || n_states > 1 << 30)
    raise_value({function, "n_states"}, "be between 1 and 2^30", std::to_string(n_states));
  if (weight.is_none()) {
    int64_t* counts = output<int64_t>(out, {function, "out"}, {n_states, n_states});
    const TransitionJob job{view, n_states, rows, n_offsets, counts};
    return tally(context, function, *context.kernels.transitions, &job, start, stop);
  }
  const double* weights = input<double>(weight, {function, "weight"}, {view.n});
  output<double>(out, {function, "out"}, {n_states, n_states});
  const WeightedTransitionJob job{view, n_states, rows, n_offsets, weights};
  const int64_t bad_row = context.kernels.first_out_of_range(&view, n_states, start > 0 ? start - 1 : 0, stop);
  const py::object flat = out.attr("reshape")(-1);
  if (bad_row < 0) sweep_one(context, function, *context.kernels.weighted_transitions, &job, start, stop, flat);
  return bad_row;
}

}  // namespace

void bind_chain(py::module_& module) {
  using py::arg;
  module.def("count_transitions", &count_transitions, arg("ctx"), arg("codes"), arg("start"), arg("stop"),
             arg("n_states"), arg("offsets"), arg("weight"), arg("out"),
             "Transitions into rows start..stop. Without weights out (int64) is added into, with weights (float64) it "
             "is overwritten. Returns -1, or the first row whose code is no state.");
}

}  // namespace pyestim::bind
