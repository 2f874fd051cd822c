// The extension module pyestim._native. No state of its own: see Context.
#include <string>

#include "bind/bind.hpp"
#include "kernel/dispatch.hpp"

namespace pyestim::bind {
namespace {

namespace py = pybind11;

py::list names(const std::vector<const KernelTable*>& tables) {
  py::list list;
  for (const KernelTable* table : tables) list.append(table->level);
  return list;
}

py::dict build_info() {
  py::dict info;
  info["compiler"] = PYESTIM_COMPILER;
  info["compiled_levels"] = names(compiled_tables());
  info["pybind11"] = std::to_string(PYBIND11_VERSION_MAJOR) + "." + std::to_string(PYBIND11_VERSION_MINOR);
  info["leaf_rows"] = leaf_rows;
  return info;
}

}  // namespace
}  // namespace pyestim::bind

// By this symbol threadpoolctl tells our library from others that are named _native too.
extern "C" PYBIND11_EXPORT int pyestim_native_library() { return 1; }

PYBIND11_MODULE(_native, module, pybind11::mod_gil_not_used()) {
  using namespace pyestim::bind;
  module.doc() =
      "Native core of pyestim: kernels for every instruction level, threads, and the checks in front of them.";
  module.attr("LIBRARY_SYMBOL") = "pyestim_native_library";
  module.def(
      "available_levels", [] { return names(pyestim::available_tables()); },
      "Instruction levels that this build has and this machine runs, worst first.");
  module.def("build_info", &build_info, "Facts about this build.");
  bind_context(module);
  bind_rows(module);
  bind_mixture(module);
  bind_cells(module);
  bind_experts(module);
  bind_censored(module);
  bind_kmeans(module);
  bind_chain(module);
  bind_chain_walk(module);
  bind_chain_pairs(module);
  bind_math(module);
  bind_normal(module);
  bind_homotopy(module);
  bind_design(module);
  bind_descent(module);
}
