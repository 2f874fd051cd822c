// Chooses among the instruction levels. Compiled for the baseline: it runs before anything is known about the
// processor.
#include "kernel/dispatch.hpp"

#include <cstring>

#if defined(PYESTIM_LEVEL_v3) || defined(PYESTIM_LEVEL_v4)
#ifdef _MSC_VER
#include <immintrin.h>
#include <intrin.h>
#else
#include <cpuid.h>
#endif
#endif

#define PYESTIM_DECLARE_LEVEL(level) \
  namespace level {                  \
  extern const KernelTable table;    \
  }

namespace pyestim {

#ifdef PYESTIM_LEVEL_baseline
PYESTIM_DECLARE_LEVEL(baseline)
#endif
#ifdef PYESTIM_LEVEL_wide
PYESTIM_DECLARE_LEVEL(wide)
#endif
#ifdef PYESTIM_LEVEL_v3
PYESTIM_DECLARE_LEVEL(v3)
#endif
#ifdef PYESTIM_LEVEL_v4
PYESTIM_DECLARE_LEVEL(v4)
#endif
#ifdef PYESTIM_LEVEL_arm64
PYESTIM_DECLARE_LEVEL(arm64)
#endif

namespace {

#if defined(PYESTIM_LEVEL_v3) || defined(PYESTIM_LEVEL_v4)

struct Registers {
  unsigned a = 0, b = 0, c = 0, d = 0;
};

Registers cpuid(unsigned leaf, unsigned subleaf) {
  Registers r;
#ifdef _MSC_VER
  int out[4];
  __cpuid(out, static_cast<int>(leaf & 0x80000000u));
  if (static_cast<unsigned>(out[0]) < leaf) return r;
  __cpuidex(out, static_cast<int>(leaf), static_cast<int>(subleaf));
  r = {unsigned(out[0]), unsigned(out[1]), unsigned(out[2]), unsigned(out[3])};
#else
  if (!__get_cpuid_count(leaf, subleaf, &r.a, &r.b, &r.c, &r.d)) return {};
#endif
  return r;
}

// The register files that the operating system saves (XCR0). Without this check a processor with AVX under an old
// kernel dies.
unsigned enabled_state(const Registers& leaf1) {
  constexpr unsigned osxsave = 1u << 27;
  if (!(leaf1.c & osxsave)) return 0;
#ifdef _MSC_VER
  return static_cast<unsigned>(_xgetbv(0));
#else
  unsigned low = 0, high = 0;
  __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return low;
#endif
}

bool has(unsigned value, unsigned bits) { return (value & bits) == bits; }

// x86-64 psABI: v3 = AVX, AVX2, BMI1, BMI2, F16C, FMA, LZCNT, MOVBE, OSXSAVE on top of v2 (SSE4.2, POPCNT, ...).
bool supports_v3() {
  const Registers basic = cpuid(1, 0), extended = cpuid(7, 0), amd = cpuid(0x80000001u, 0);
  constexpr unsigned ecx1 = 1u << 0 | 1u << 9 | 1u << 12 | 1u << 13 | 1u << 19 | 1u << 20 | 1u << 22 | 1u << 23 |
                            1u << 27 | 1u << 28 | 1u << 29;
  constexpr unsigned ebx7 = 1u << 3 | 1u << 5 | 1u << 8;
  constexpr unsigned lahf_and_lzcnt = 1u << 0 | 1u << 5;
  constexpr unsigned sse_and_avx_state = 0x6;
  return has(basic.c, ecx1) && has(extended.b, ebx7) && has(amd.c, lahf_and_lzcnt) &&
         has(enabled_state(basic), sse_and_avx_state);
}

// v4 = AVX512F, BW, CD, DQ, VL on top of v3.
bool supports_v4() {
  constexpr unsigned ebx7 = 1u << 16 | 1u << 17 | 1u << 28 | 1u << 30 | 1u << 31;
  constexpr unsigned avx512_state = 0xe6;
  return supports_v3() && has(cpuid(7, 0).b, ebx7) && has(enabled_state(cpuid(1, 0)), avx512_state);
}

#endif

bool supported(const KernelTable& table) {
#if defined(PYESTIM_LEVEL_v3) || defined(PYESTIM_LEVEL_v4)
  if (std::strcmp(table.level, "v3") == 0 || std::strcmp(table.level, "wide") == 0) return supports_v3();
  if (std::strcmp(table.level, "v4") == 0) return supports_v4();
#else
  (void)table;
#endif
  return true;
}

}  // namespace

std::vector<const KernelTable*> compiled_tables() {
  return {
#ifdef PYESTIM_LEVEL_baseline
      &baseline::table,
#endif
#ifdef PYESTIM_LEVEL_arm64
      &arm64::table,
#endif
#ifdef PYESTIM_LEVEL_wide
      &wide::table,
#endif
#ifdef PYESTIM_LEVEL_v3
      &v3::table,
#endif
#ifdef PYESTIM_LEVEL_v4
      &v4::table,
#endif
  };
}

std::vector<const KernelTable*> available_tables() {
  std::vector<const KernelTable*> tables;
  for (const KernelTable* table : compiled_tables())
    if (supported(*table)) tables.push_back(table);
  return tables;
}

}  // namespace pyestim
