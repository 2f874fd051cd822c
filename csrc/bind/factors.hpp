// Names of the component families, and the shape of their factors: the place to tell those of a new one.
#pragma once

#include <string>

#include "bind/arrays.hpp"

namespace pyestim::bind {

// ValueError for a name that no family has.
Family family_of(const char* function, const std::string& name);
// Factors of one candidate of k components in d dimensions.
Shape factor_shape(Family family, int64_t k, int64_t d);

}  // namespace pyestim::bind
