// Words of Python for the values of an enum.
#pragma once

#include "bind/arrays.hpp"

namespace pyestim::bind {

template <class Enum>
struct Name {
  const char* text;
  Enum value;
};

template <class Enum, size_t n>
Enum parse(const std::string& text, const Argument& argument, const Name<Enum> (&names)[n]) {
  std::string known;
  for (const auto& name : names) {
    if (text == name.text) return name.value;
    known += (known.empty() ? "'" : ", '") + std::string(name.text) + "'";
  }
  raise_value(argument, "be one of " + known, "'" + text + "'");
}

}  // namespace pyestim::bind
