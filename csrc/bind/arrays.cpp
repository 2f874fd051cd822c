#include "bind/arrays.hpp"

namespace pyestim::bind {
namespace {

std::string tuple_text(const Shape& shape) {
  std::string text = "(";
  for (size_t i = 0; i < shape.size(); ++i)
    text += (i ? ", " : "") + (shape[i] < 0 ? std::string("any") : std::to_string(shape[i]));
  return text + (shape.size() == 1 ? ",)" : ")");
}

std::string sentence(const Argument& argument, const std::string& expected, const std::string& got) {
  return std::string(argument.function) + ": " + argument.name + " must " + expected + ", got " + got + ".";
}

}  // namespace

void raise_value(const Argument& argument, const std::string& expected, const std::string& got) {
  throw py::value_error(sentence(argument, expected, got));
}

void raise_type(const Argument& argument, const std::string& expected, const std::string& got) {
  throw py::type_error(sentence(argument, expected, got));
}

std::string shape_text(const py::array& array) {
  std::string text = "(";
  for (py::ssize_t i = 0; i < array.ndim(); ++i) text += (i ? ", " : "") + std::to_string(array.shape(i));
  return text + (array.ndim() == 1 ? ",)" : ")");
}

void check_aligned(const py::array& array, const Argument& argument) {
  if (!(array.flags() & py::detail::npy_api::NPY_ARRAY_ALIGNED_))
    raise_value(argument, "be aligned", "an unaligned array");
}

py::array as_array(const py::object& object, const Argument& argument) {
  if (!py::isinstance<py::array>(object)) raise_type(argument, "be a numpy array", py::str(py::type::of(object)));
  return py::reinterpret_borrow<py::array>(object);
}

Dtype dtype_of(const py::array& array, const Argument& argument) {
  if (array.dtype().equal(py::dtype::of<float>())) return Dtype::float32;
  if (array.dtype().equal(py::dtype::of<double>())) return Dtype::float64;
  raise_type(argument, "have dtype float32 or float64 in native byte order", py::str(array.dtype()));
}

py::array detail::checked(const py::object& object, const Argument& argument, const py::dtype& dtype,
                          const char* type_name, const Shape& shape, bool writable) {
  py::array array = as_array(object, argument);
  if (!array.dtype().is(dtype) && !array.dtype().equal(dtype))
    raise_type(argument, std::string("have dtype ") + type_name, py::str(array.dtype()));
  bool fits = array.ndim() == static_cast<py::ssize_t>(shape.size());
  for (py::ssize_t axis = 0; fits && axis < array.ndim(); ++axis) {
    const int64_t wanted = shape[static_cast<size_t>(axis)];
    fits = wanted < 0 || array.shape(axis) == wanted;
  }
  if (!fits) raise_value(argument, "have shape " + tuple_text(shape), shape_text(array));
  constexpr int aligned = py::detail::npy_api::NPY_ARRAY_ALIGNED_;
  if ((array.flags() & (py::array::c_style | aligned)) != (py::array::c_style | aligned))
    raise_value(argument, "be C-contiguous and aligned", "another layout");
  if (writable && !array.writeable()) raise_value(argument, "be writable", "a read-only array");
  return array;
}

int64_t extent(const py::object& object, const Argument& argument, int n_axes, int axis, int64_t least) {
  const py::array array = as_array(object, argument);
  if (array.ndim() != n_axes)
    raise_value(argument, "have " + std::to_string(n_axes) + " axes", "shape " + shape_text(array));
  if (array.shape(axis) < least)
    raise_value(argument, "have an entry on axis " + std::to_string(axis), "shape " + shape_text(array));
  return array.shape(axis);
}

}  // namespace pyestim::bind
