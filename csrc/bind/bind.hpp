// The parts of the module; module.cpp calls them.
#pragma once

#include <pybind11/pybind11.h>

namespace pyestim::bind {

void bind_context(pybind11::module_& module);
void bind_rows(pybind11::module_& module);
void bind_mixture(pybind11::module_& module);
void bind_cells(pybind11::module_& module);
void bind_experts(pybind11::module_& module);
void bind_censored(pybind11::module_& module);
void bind_kmeans(pybind11::module_& module);
void bind_chain(pybind11::module_& module);
void bind_chain_walk(pybind11::module_& module);
void bind_chain_pairs(pybind11::module_& module);
void bind_math(pybind11::module_& module);
void bind_normal(pybind11::module_& module);
void bind_homotopy(pybind11::module_& module);
void bind_design(pybind11::module_& module);
void bind_descent(pybind11::module_& module);

}  // namespace pyestim::bind
