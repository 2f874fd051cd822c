// Partly known cells of rows, and the sweeps over them.
#include <algorithm>

#include "bind/bind.hpp"
#include "bind/factors.hpp"
#include "bind/rows.hpp"
#include "bind/run.hpp"

namespace pyestim::bind {
namespace {

// The bounds of the cells of rows that are sorted by pattern, and the references that keep the memory alive.
class Cells {
 public:
  Cells(const py::object& pattern, const py::object& pattern_start, const py::object& state,
        const py::object& cell_start, const py::object& lower, const py::object& upper, const py::object& width)
      : pattern_(pattern),
        start_(pattern_start),
        state_(state),
        cell_start_(cell_start),
        lower_(lower),
        upper_(upper),
        width_(width),
        d_(extent(state, {"Cells", "state"}, 2, 1)),
        n_cells_(extent(lower, {"Cells", "lower"}, 1, 0, 0)) {
    view_.n_rows = extent(pattern, {"Cells", "pattern"}, 1, 0);
    view_.n_patterns = extent(state, {"Cells", "state"}, 2, 0);
    view_.pattern = input<int32_t>(pattern, {"Cells", "pattern"}, {view_.n_rows});
    view_.pattern_start = input<int64_t>(pattern_start, {"Cells", "pattern_start"}, {view_.n_patterns + 1});
    view_.state = input<int8_t>(state, {"Cells", "state"}, {view_.n_patterns, d_});
    view_.cell_start = input<int64_t>(cell_start, {"Cells", "cell_start"}, {view_.n_patterns});
    view_.lower = input<double>(lower, {"Cells", "lower"}, {n_cells_});
    view_.upper = input<double>(upper, {"Cells", "upper"}, {n_cells_});
    view_.width = input<double>(width, {"Cells", "width"}, {n_cells_});
    check_patterns();
    for (int64_t p = 0; p < view_.n_patterns; ++p) read_pattern(p);
  }

  const CellsView& view() const { return view_; }
  bool has_exact() const { return has_exact_; }

  // Of so many rows and columns, else ValueError.
  void check_shape(const Argument& who, int64_t n, int64_t d) const {
    if ((n >= 0 && view_.n_rows != n) || d_ != d)
      raise_value(who, "have the rows and columns of the matrix",
                  std::to_string(view_.n_rows) + " rows, " + std::to_string(d_) + " columns");
  }

 private:
  void check_patterns() const {
    const int64_t* start = view_.pattern_start;
    bool fine = start[0] == 0 && start[view_.n_patterns] == view_.n_rows;
    for (int64_t p = 0; fine && p < view_.n_patterns; ++p) {
      fine = start[p] <= start[p + 1] && start[p + 1] <= view_.n_rows;
      for (int64_t i = start[p]; fine && i < start[p + 1]; ++i) fine = view_.pattern[i] == p;
    }
    if (!fine) raise_value({"Cells", "pattern_start"}, "divide the rows by their pattern", "other numbers");
  }

  void read_pattern(int64_t p) {
    int32_t censored = 0;
    bool exact = true;
    for (int64_t j = 0; j < d_; ++j) {
      const auto state = static_cast<CellState>(view_.state[p * d_ + j]);
      if (state != CellState::exact && state != CellState::censored && state != CellState::missing)
        raise_value({"Cells", "state"}, "be 0, 1 or 2", std::to_string(view_.state[p * d_ + j]));
      censored += state == CellState::censored;
      exact = exact && state == CellState::exact;
      has_exact_ = has_exact_ || state == CellState::exact;
    }
    const int64_t rows = view_.pattern_start[p + 1] - view_.pattern_start[p], first = view_.cell_start[p];
    if (first < 0 || first > n_cells_ || rows * censored > n_cells_ - first)
      raise_value({"Cells", "cell_start"}, "lie within the cells", std::to_string(first));
    if (exact && view_.n_exact == view_.pattern_start[p]) view_.n_exact = view_.pattern_start[p + 1];
    view_.max_censored = std::max(view_.max_censored, censored);
  }

  py::object pattern_, start_, state_, cell_start_, lower_, upper_, width_;
  int64_t d_, n_cells_;
  bool has_exact_ = false;
  CellsView view_{};
};

// The set of each row, none at all or within the sets.
const int64_t* box_of(const char* function, const py::object& box, const CellsView& boxes, int64_t n) {
  const int64_t* found = optional_input<int64_t>(box, {function, "box"}, {n});
  for (int64_t i = 0; found != nullptr && i < n; ++i) {
    if (found[i] < -1 || found[i] >= boxes.n_rows)
      raise_value({function, "box"}, "be -1 or the number of a set", std::to_string(found[i]));
  }
  return found;
}

CellsJob job_of(Context& context, const char* function, const Rows& rows, const Cells& cells, const std::string& family,
                int64_t c, const py::object& means) {
  CellsJob job{};
  job.mixture.rows = rows.view();
  job.mixture.family = family_of(function, family);
  job.mixture.n_candidates = static_cast<int32_t>(c);
  job.mixture.n_components = static_cast<int32_t>(extent(means, {function, "means"}, 3, 1));
  job.mixture.accurate = true;
  job.mixture.blas = context.blas_calls();
  cells.check_shape({function, "cells"}, job.mixture.rows.n, job.mixture.rows.d);
  job.cells = cells.view();
  return job;
}

void set_parameters(const char* function, MixtureJob& job, const py::object& log_offset, const py::object& means,
                    const py::object& factors) {
  const int64_t c = job.n_candidates, k = job.n_components;
  job.log_offset = input<double>(log_offset, {function, "log_offset"}, {c, k});
  job.means = input<double>(means, {function, "means"}, {c, k, job.rows.d});
  Shape shape = factor_shape(job.family, k, job.rows.d);
  shape.insert(shape.begin(), c);
  job.factors = input<double>(factors, {function, "factors"}, shape);
}

void cells_sweep(Context& context, const Rows& rows, const Cells& cells, const Cells* boxes, const py::object& box,
                 int64_t start, int64_t stop, const std::string& family, const py::object& log_offset,
                 const py::object& means, const py::object& factors, const py::object& out) {
  constexpr const char* function = "cells_sweep";
  rows.check_range(function, start, stop);
  const int64_t c = extent(means, {function, "means"}, 3, 0);
  CellsJob job = job_of(context, function, rows, cells, family, c, means);
  set_parameters(function, job.mixture, log_offset, means, factors);
  if (boxes != nullptr && !box.is_none()) {
    boxes->check_shape({function, "boxes"}, -1, job.mixture.rows.d);
    if (boxes->has_exact()) raise_value({function, "boxes"}, "have no exact cell", "one");
    job.boxes = boxes->view();
    job.box = box_of(function, box, job.boxes, job.mixture.rows.n);
  }
  sweep(context, function, *context.kernels.cells, &job, start, stop, c, out);
}

void cells_rows(Context& context, const Rows& rows, const Cells& cells, int64_t start, int64_t stop,
                const std::string& family, const py::object& log_offset, const py::object& means,
                const py::object& factors, const py::object& log_prob, const py::object& resp, const py::object& labels,
                const py::object& expected) {
  constexpr const char* function = "cells_rows";
  rows.check_range(function, start, stop);
  CellsRowsJob job{};
  job.cells = job_of(context, function, rows, cells, family, 1, means);
  set_parameters(function, job.cells.mixture, log_offset, means, factors);
  const int64_t m = stop - start;
  job.first_row = start;
  job.log_prob = optional_output<double>(log_prob, {function, "log_prob"}, {m});
  job.resp = optional_output<double>(resp, {function, "resp"}, {m, job.cells.mixture.n_components});
  job.labels = optional_output<int64_t>(labels, {function, "labels"}, {m});
  job.expected = optional_output<double>(expected, {function, "expected"}, {m, job.cells.mixture.rows.d});
  sweep(context, function, *context.kernels.cells_rows, &job, start, stop, 1, py::none());
}

}  // namespace

void bind_cells(py::module_& module) {
  using py::arg;
  py::class_<Cells>(module, "Cells", "Bounds of the cells of rows that are sorted by pattern; nothing is copied.")
      .def(py::init<const py::object&, const py::object&, const py::object&, const py::object&, const py::object&,
                    const py::object&, const py::object&>(),
           arg("pattern"), arg("pattern_start"), arg("state"), arg("cell_start"), arg("lower"), arg("upper"),
           arg("width"));
  module.def("cells_sweep", &cells_sweep, arg("ctx"), arg("rows"), arg("cells"), arg("boxes").none(true), arg("box"),
             arg("start"), arg("stop"), arg("family"), arg("log_offset"), arg("means"), arg("factors"), arg("out"),
             "The statistics of mixture_sweep for rows whose cells are partly known by bounds only.");
  module.def("cells_rows", &cells_rows, arg("ctx"), arg("rows"), arg("cells"), arg("start"), arg("stop"), arg("family"),
             arg("log_offset"), arg("means"), arg("factors"), arg("log_prob") = py::none(), arg("resp") = py::none(),
             arg("labels") = py::none(), arg("expected") = py::none(),
             "Log-density, responsibilities, labels and expected cells of each row of start..stop.");
}

}  // namespace pyestim::bind
