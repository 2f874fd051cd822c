// Responsibilities that come from elsewhere: labels, an array or seeds.
#pragma once

#include "bind/arrays.hpp"

namespace pyestim::bind {

struct ElsewhereArguments {
  const py::object &labels, &responsibilities, &seeds;
};

// What `source` needs of n rows, c candidates and k components, checked; the rest stays null.
Elsewhere elsewhere(const char* function, Source source, int64_t n, int64_t c, int64_t k,
                    const ElsewhereArguments& arguments);

}  // namespace pyestim::bind
