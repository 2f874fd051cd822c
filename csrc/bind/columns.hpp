// Columns of a dense or compressed matrix for the kernels: pointers, and the references that keep the memory alive.
#pragma once

#include "bind/arrays.hpp"

namespace pyestim::bind {

class Columns {
 public:
  // Dense: x (n, p), entry_row and starts None. Sparse: x (nnz,), entry_row (nnz,), starts (p + 1,), n rows.
  Columns(const py::object& x, const py::object& entry_row, const py::object& starts, int64_t n,
          const py::object& centre, const py::object& factor);

  const ColumnsView& view() const { return view_; }

 private:
  void take_dense(const py::array& x);
  void take_sparse(const py::array& x, const py::array& entry_row, const py::array& starts, int64_t n);

  py::object x_, entry_row_, starts_, centre_, factor_;
  ColumnsView view_{};
};

// Numbers of chosen columns, each within 0 .. p - 1, or null for None: all of them.
struct Choice {
  const int64_t* columns;
  int64_t m;
};
Choice choice(const ColumnsView& x, const py::object& columns, const Argument& argument);

}  // namespace pyestim::bind
