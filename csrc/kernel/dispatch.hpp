// Which instruction levels this build has and which of them this machine runs.
#pragma once

#include <vector>

#include "kernel/table.hpp"

namespace pyestim {

// Every level in the build, worst first.
std::vector<const KernelTable*> compiled_tables();

// The levels that the processor and the operating system support, worst first. Never empty.
std::vector<const KernelTable*> available_tables();

}  // namespace pyestim
