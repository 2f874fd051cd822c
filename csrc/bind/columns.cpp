#include "bind/columns.hpp"

#include "bind/bind.hpp"

namespace pyestim::bind {
namespace {

// Every start within the entries and in order, every row within the matrix: kernels trust them from here on.
template <class Index>
void check_entries(const Index* entry_row, int64_t n_entries, const Index* starts, int64_t p, int64_t n) {
  bool ordered = starts[0] == 0 && static_cast<int64_t>(starts[p]) <= n_entries;
  for (int64_t j = 0; ordered && j < p; ++j) ordered = starts[j] <= starts[j + 1];
  if (!ordered)
    raise_value({"Columns", "starts"}, "rise from 0 to at most " + std::to_string(n_entries), "other numbers");
  const auto used = static_cast<int64_t>(starts[p]);
  bool inside = true;
  for (int64_t e = 0; e < used; ++e) inside &= entry_row[e] >= 0 && static_cast<int64_t>(entry_row[e]) < n;
  if (!inside)
    raise_value({"Columns", "entry_row"}, "lie within 0.." + std::to_string(n - 1), "a row outside the matrix");
}

template <class Index>
void take_index(const py::array& entry_row, const py::array& starts, int64_t n, ColumnsView& view) {
  view.index_bytes = sizeof(Index);
  view.p = extent(starts, {"Columns", "starts"}, 1, 0) - 1;
  const int64_t n_entries = entry_row.size();
  const Index* rows = input<Index>(entry_row, {"Columns", "entry_row"}, {n_entries});
  const Index* begins = input<Index>(starts, {"Columns", "starts"}, {view.p + 1});
  check_entries(rows, n_entries, begins, view.p, n);
  view.entry_row = rows;
  view.starts = begins;
}

}  // namespace

Columns::Columns(const py::object& x, const py::object& entry_row, const py::object& starts, int64_t n,
                 const py::object& centre, const py::object& factor)
    : x_(x), entry_row_(entry_row), starts_(starts), centre_(centre), factor_(factor) {
  const Argument who{"Columns", "X"};
  const py::array array = as_array(x, who);
  view_.dtype = dtype_of(array, who);
  check_aligned(array, who);
  if (entry_row.is_none())
    take_dense(array);
  else
    take_sparse(array, as_array(entry_row, {"Columns", "entry_row"}), as_array(starts, {"Columns", "starts"}), n);
  view_.data = array.data();
  view_.centre = input<double>(centre, {"Columns", "centre"}, {view_.p});
  view_.factor = input<double>(factor, {"Columns", "factor"}, {view_.p});
}

void Columns::take_dense(const py::array& x) {
  view_.p = extent(x, {"Columns", "X"}, 2, 1, 0);
  view_.n = x.shape(0);
  view_.row_stride = x.strides(0);
  view_.col_stride = x.strides(1);
}

void Columns::take_sparse(const py::array& x, const py::array& entry_row, const py::array& starts, int64_t n) {
  if (n < 0) raise_value({"Columns", "n"}, "not be negative", std::to_string(n));
  view_.sparse = true;
  view_.n = n;
  if (entry_row.dtype().equal(py::dtype::of<int32_t>()))
    take_index<int32_t>(entry_row, starts, n, view_);
  else
    take_index<int64_t>(entry_row, starts, n, view_);
  if (view_.dtype == Dtype::float32)
    input<float>(x, {"Columns", "X"}, {entry_row.size()});
  else
    input<double>(x, {"Columns", "X"}, {entry_row.size()});
}

Choice choice(const ColumnsView& x, const py::object& columns, const Argument& argument) {
  if (columns.is_none()) return {nullptr, x.p};
  const int64_t m = extent(columns, argument, 1, 0, 0);
  const int64_t* chosen = input<int64_t>(columns, argument, {m});
  for (int64_t c = 0; c < m; ++c)
    if (chosen[c] < 0 || chosen[c] >= x.p)
      raise_value(argument, "lie within 0.." + std::to_string(x.p - 1), std::to_string(chosen[c]));
  return {chosen, m};
}

}  // namespace pyestim::bind
