// Everything that would otherwise be a global: the instruction level, the threads, the BLAS. Python owns one.
#pragma once

#include <optional>
#include <string>

#include "core/blas.hpp"
#include "core/lanes.hpp"

namespace pyestim {

struct BoundBlas {
  Blas calls;
  std::string source;
};

struct Context {
  Context(const KernelTable& table, int n_threads, int n_cores) : kernels(table), pool(n_threads, n_cores) {}

  const KernelTable& kernels;
  Pool pool;
  std::optional<BoundBlas> blas;

  const Blas* blas_calls() const { return blas ? &blas->calls : nullptr; }
};

}  // namespace pyestim
