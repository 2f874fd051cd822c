// Philox4x32-10: random bits as a pure function of (key, counter).  Salmon et al. (2011), doi:10.1145/2063384.2063405.
//
// Include inside the namespace of the level (or any other); needs <stdint.h>.
#pragma once

struct PhiloxWords {
  uint32_t word[4];
};

PYESTIM_INLINE PhiloxWords philox(PhiloxWords x, uint32_t key0, uint32_t key1) {
  for (int round = 0; round < 10; ++round) {
    const uint64_t a = uint64_t(x.word[0]) * 0xD2511F53u, b = uint64_t(x.word[2]) * 0xCD9E8D57u;
    x = {{uint32_t(b >> 32) ^ x.word[1] ^ key0, uint32_t(b), uint32_t(a >> 32) ^ x.word[3] ^ key1, uint32_t(a)}};
    key0 += 0x9E3779B9u;
    key1 += 0xBB67AE85u;
  }
  return x;
}

// Uniform on the open interval (0, 1), 52 bits.
PYESTIM_INLINE double uniform_of(uint32_t low, uint32_t high) {
  return (double((uint64_t(high) << 32 | low) >> 12) + 0.5) * 0x1p-52;
}
