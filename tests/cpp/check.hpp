// The smallest test framework that names what failed: TEST(name) { CHECK(condition); }
#pragma once

#include <cstdio>
#include <vector>

namespace check {

struct Test {
  const char* name;
  void (*run)();
};

inline std::vector<Test>& tests() {
  static std::vector<Test> all;
  return all;
}

inline int failures = 0;

struct Registration {
  Registration(const char* name, void (*run)()) { tests().push_back({name, run}); }
};

inline void report(bool passed, const char* condition, const char* file, int line) {
  if (passed) return;
  ++failures;
  std::printf("%s:%d: not true: %s\n", file, line, condition);
}

}  // namespace check

#define TEST(name)                                                      \
  static void test_##name();                                            \
  static const check::Registration register_##name{#name, test_##name}; \
  static void test_##name()

#define CHECK(condition) check::report(static_cast<bool>(condition), #condition, __FILE__, __LINE__)
