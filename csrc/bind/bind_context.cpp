#include <pybind11/stl.h>

#include <algorithm>
#include <memory>
#include <thread>

#include "bind/arrays.hpp"
#include "bind/bind.hpp"
#include "core/context.hpp"
#include "kernel/dispatch.hpp"

namespace pyestim::bind {
namespace {

std::string listed(const std::vector<const KernelTable*>& tables) {
  std::string text;
  for (const KernelTable* table : tables) text += (text.empty() ? "'" : ", '") + std::string(table->level) + "'";
  return text;
}

const KernelTable& find_level(const std::optional<std::string>& level) {
  const std::vector<const KernelTable*> available = available_tables();
  if (!level) return *available.back();
  const auto named = [&](const KernelTable* table) { return *level == table->level; };
  if (const auto found = std::find_if(available.begin(), available.end(), named); found != available.end())
    return **found;
  const std::vector<const KernelTable*> compiled = compiled_tables();
  const bool exists = std::any_of(compiled.begin(), compiled.end(), named);
  throw py::value_error("Context: level must be one of " + listed(available) + ", got '" + *level + "'" +
                        (exists ? ", which this processor or operating system does not support." : "."));
}

int checked_threads(int n_threads) {
  if (n_threads < 1) raise_value({"Context", "n_threads"}, "be at least 1", std::to_string(n_threads));
  return n_threads;
}

std::unique_ptr<Context> make_context(const std::optional<std::string>& level, int n_threads, int n_cores) {
  if (n_cores < 1) n_cores = std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
  return std::make_unique<Context>(find_level(level), checked_threads(n_threads), n_cores);
}

// The address in a capsule that Cython exports. Its name is the signature; it is handed back, never compared.
void* capsule_address(const py::object& capsule, const char* routine, std::string* signature) {
  const char* name = PyCapsule_CheckExact(capsule.ptr()) ? PyCapsule_GetName(capsule.ptr()) : nullptr;
  if (!name) raise_type({"Context.bind_blas", routine}, "be a capsule with a signature for a name", py::repr(capsule));
  void* address = PyCapsule_GetPointer(capsule.ptr(), name);
  if (!address) throw py::error_already_set();
  if (signature) *signature = name;
  return address;
}

// "void (char *, char *, int *, ...": the type of the third argument of dgemm.
int integer_bits(const std::string& dgemm_signature, void* dscal) {
  std::string third = dgemm_signature.substr(dgemm_signature.find('(') + 1);
  for (int i = 0; i < 2; ++i) third = third.substr(third.find(',') + 1);
  third = third.substr(0, third.find('*'));
  third.erase(std::remove(third.begin(), third.end(), ' '), third.end());
  if (third == "int" || third == "int32_t") return 32;
  if (third.find("64") != std::string::npos || third == "longlong") return 64;
  return probe_integer_bits(dscal);
}

void bind_blas(Context& context, const py::dict& capsules, const std::string& source) {
  std::array<void*, n_blas_routines> routines{};
  std::string signature;
  for (int i = 0; i < n_blas_routines; ++i)
    routines[i] =
        capsule_address(capsules[blas_routine_names[i]], blas_routine_names[i], i == 0 ? &signature : nullptr);
  const int bits = integer_bits(signature, capsule_address(capsules["dscal"], "dscal", nullptr));
  if (bits == 0) raise_value({"Context.bind_blas", "dgemm"}, "tell the width of its integers", signature);
  context.blas = BoundBlas{make_blas(routines, bits), source};
}

py::object blas_info(const Context& context) {
  if (!context.blas) return py::none();
  py::dict info;
  info["source"] = context.blas->source;
  info["integer_bits"] = context.blas->calls.integer_bits;
  return info;
}

}  // namespace

void bind_context(py::module_& module) {
  py::list routines;
  for (const char* name : blas_routine_names) routines.append(name);
  routines.append("dscal");
  module.attr("BLAS_ROUTINES") = py::tuple(routines);
  py::class_<Context>(module, "Context", py::module_local(),
                      "Instruction level, threads and BLAS of the sweeps that are given it.")
      .def(py::init(&make_context), py::arg("level"), py::arg("n_threads"), py::arg("n_cores") = 0)
      .def_property_readonly("level", [](const Context& context) { return context.kernels.level; })
      .def_property_readonly("vector_bytes", [](const Context& context) { return context.kernels.vector_bytes; })
      .def_property(
          "n_threads", [](const Context& context) { return context.pool.n_threads(); },
          [](Context& context, int n_threads) { context.pool.set_n_threads(checked_threads(n_threads)); })
      .def_property_readonly("n_cores", [](const Context& context) { return context.pool.n_cores(); })
      .def("bind_blas", &bind_blas, py::arg("capsules"), py::arg("source"))
      .def_property_readonly("blas", &blas_info);
}

}  // namespace pyestim::bind
