// From numpy arrays to pointers: every check of shape, type and layout, and the sentences for what is wrong.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <string>
#include <vector>

#include "kernel/table.hpp"

namespace pyestim::bind {

namespace py = pybind11;

// Who asks, for messages: "mixture_sweep: means must have shape (1, 3, 2), got (3, 2)."
struct Argument {
  const char* function;
  const char* name;
};

using Shape = std::vector<int64_t>;

[[noreturn]] void raise_value(const Argument& argument, const std::string& expected, const std::string& got);
[[noreturn]] void raise_type(const Argument& argument, const std::string& expected, const std::string& got);

std::string shape_text(const py::array& array);
void check_aligned(const py::array& array, const Argument& argument);
py::array as_array(const py::object& object, const Argument& argument);
Dtype dtype_of(const py::array& array, const Argument& argument);

namespace detail {
// A C-contiguous array of exactly this type and shape (-1: any extent), writable if asked; never a copy.
py::array checked(const py::object& object, const Argument& argument, const py::dtype& dtype, const char* type_name,
                  const Shape& shape, bool writable);
template <class T>
constexpr const char* type_name = nullptr;
template <>
inline constexpr const char* type_name<double> = "float64";
template <>
inline constexpr const char* type_name<float> = "float32";
template <>
inline constexpr const char* type_name<int8_t> = "int8";
template <>
inline constexpr const char* type_name<int16_t> = "int16";
template <>
inline constexpr const char* type_name<int32_t> = "int32";
template <>
inline constexpr const char* type_name<int64_t> = "int64";
template <>
inline constexpr const char* type_name<uint32_t> = "uint32";
template <>
inline constexpr const char* type_name<uint64_t> = "uint64";
}  // namespace detail

// Read from Python. The array stays alive as long as the caller's argument does.
template <class T>
const T* input(const py::object& object, const Argument& argument, const Shape& shape) {
  return static_cast<const T*>(
      detail::checked(object, argument, py::dtype::of<T>(), detail::type_name<T>, shape, false).data());
}

template <class T>
const T* optional_input(const py::object& object, const Argument& argument, const Shape& shape) {
  return object.is_none() ? nullptr : input<T>(object, argument, shape);
}

// Written by us.
template <class T>
T* output(const py::object& object, const Argument& argument, const Shape& shape) {
  return static_cast<T*>(
      detail::checked(object, argument, py::dtype::of<T>(), detail::type_name<T>, shape, true).mutable_data());
}

template <class T>
T* optional_output(const py::object& object, const Argument& argument, const Shape& shape) {
  return object.is_none() ? nullptr : output<T>(object, argument, shape);
}

// Extent of one axis of an array that has n_axes of them, at least `least`; the other checks follow with input().
int64_t extent(const py::object& object, const Argument& argument, int n_axes, int axis, int64_t least = 1);

}  // namespace pyestim::bind
