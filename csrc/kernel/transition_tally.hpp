// Adding keys to counters.
//
// Include inside the namespace of the level. A counter that is raised again at once waits for its own store. Chains
// that stay where they are do this all the time; two cures. Streams: eight keys that are far from each other in the
// sequence are counted side by side, into several tables in turn. Runs: eight equal keys are one addition.
#pragma once

constexpr int n_streams = 8;

template <int n_tables, int n>
void tally_streams(const uint32_t* key, uint32_t* table, int64_t n_cells) {
  constexpr int length = n / n_streams;
  uint32_t* tables[n_tables];
  for (int j = 0; j < n_tables; ++j) tables[j] = table + j * n_cells;
  for (int i = 0; i < length; ++i) {
#pragma GCC unroll 8
    for (int j = 0; j < n_streams; ++j) ++tables[j % n_tables][key[i + j * length]];
  }
}

template <int n>
void tally_in_order(const uint32_t* key, uint32_t* table) {
#pragma GCC unroll 8
  for (int i = 0; i < n; ++i) ++table[key[i]];
}

template <int n>
void tally_runs(const uint32_t* key, uint32_t* table) {
  for (int i = 0; i < n; i += n_streams) {
    uint32_t differ = 0;
    for (int j = 1; j < n_streams; ++j) differ |= key[i + j] ^ key[i];
    if (differ == 0) {
      table[key[i]] += n_streams;
    } else {
#pragma GCC unroll 8
      for (int j = 0; j < n_streams; ++j) ++table[key[i + j]];
    }
  }
}

template <int n>
void tally(TallyOrder order, const uint32_t* key, uint32_t* table, int64_t n_cells) {
  switch (order) {
    case TallyOrder::in_order:
      return tally_in_order<n>(key, table);
    case TallyOrder::streams:
      return tally_streams<1, n>(key, table, n_cells);
    case TallyOrder::streams_by_four:
      return tally_streams<4, n>(key, table, n_cells);
    case TallyOrder::runs:
      return tally_runs<n>(key, table);
  }
}
