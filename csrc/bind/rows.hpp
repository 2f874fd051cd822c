// Rows of a numpy array for the kernels: pointers, and the references that keep the memory alive.
#pragma once

#include "bind/arrays.hpp"

namespace pyestim::bind {

class Rows {
 public:
  Rows(const py::object& x, const py::object& sample_weight, const py::object& centre, const py::object& scale);

  const RowsView& view() const { return view_; }
  // 0 <= start <= stop <= n, else ValueError.
  void check_range(const char* function, int64_t start, int64_t stop) const;

 private:
  py::object x_, weight_, centre_, scale_;
  RowsView view_{};
};

}  // namespace pyestim::bind
