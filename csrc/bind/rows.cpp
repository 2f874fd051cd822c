#include "bind/rows.hpp"

#include "bind/bind.hpp"

namespace pyestim::bind {

Rows::Rows(const py::object& x, const py::object& sample_weight, const py::object& centre, const py::object& scale)
    : x_(x), weight_(sample_weight), centre_(centre), scale_(scale) {
  const Argument who{"Rows", "X"};
  const py::array array = as_array(x, who);
  view_.dtype = dtype_of(array, who);
  view_.d = static_cast<int32_t>(extent(x, who, 2, 1));
  view_.n = array.shape(0);
  check_aligned(array, who);
  view_.data = array.data();
  view_.row_stride = array.strides(0);
  view_.col_stride = array.strides(1);
  view_.weight = optional_input<double>(sample_weight, {"Rows", "sample_weight"}, {view_.n});
  view_.centre = input<double>(centre, {"Rows", "centre"}, {view_.d});
  view_.scale = input<double>(scale, {"Rows", "scale"}, {view_.d});
}

void Rows::check_range(const char* function, int64_t start, int64_t stop) const {
  if (0 <= start && start <= stop && stop <= view_.n) return;
  raise_value({function, "start, stop"}, "be a range within 0.." + std::to_string(view_.n),
              std::to_string(start) + ".." + std::to_string(stop));
}

void bind_rows(py::module_& module) {
  py::class_<Rows>(module, "Rows",
                   "Rows of a matrix in working coordinates z = (x - centre) * scale; nothing is copied.")
      .def(py::init<const py::object&, const py::object&, const py::object&, const py::object&>(), py::arg("X"),
           py::arg("sample_weight"), py::arg("centre"), py::arg("scale"))
      .def_property_readonly("n_rows", [](const Rows& rows) { return rows.view().n; })
      .def_property_readonly("n_features", [](const Rows& rows) { return rows.view().d; })
      .def_property_readonly("dtype", [](const Rows& rows) {
        return rows.view().dtype == Dtype::float32 ? py::dtype::of<float>() : py::dtype::of<double>();
      });
}

}  // namespace pyestim::bind
