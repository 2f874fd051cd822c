// Partly known cells under components without correlations: column by column.
//
// Include inside the namespace of the level, after kernel/cells_frame.hpp.
//
// The censored cells of a column are gathered for the whole block, so that the lanes are full whatever the patterns
// are; exact ones stay where they are, rows in lanes, and are told by a mask.
#pragma once

struct CellsDiag {
  static constexpr int w = Tile64::width, u = Tile64::vectors;
  static constexpr double log_negligible = 46;  // a share of 1e-20 changes no statistic

  struct Scratch {
    double* present;   // panels: 1 exact, 0 not
    int32_t* index;    // (d, rows) rows of the censored cells of each column
    int32_t* missing;  // (d, rows)
    double* lower;     // (d, rows)
    double* upper;
    double* width;
    int32_t* n_censored;  // (d,)
    int32_t* n_missing;   // (d,)
    double* mean;         // (K, d, rows) E[t] of the censored cells in standard deviations
    double* square;       // (K, d, rows) E[t^2]
    int32_t* chosen;      // (rows,)
    int32_t* copied_rows;
    double* copy;    // (5, rows) chosen cells and their moments
    int32_t* best;   // (rows,) likeliest component
    int8_t* wanted;  // (rows,)
    double* reach;   // (rows,) where a log-density counts
    int stride;      // rows, and a vector behind
  };

  // Few enough that the moments of all components stay in the second cache.
  static int block_rows(const CellsJob& job) {
    constexpr int64_t most_bytes = 512 * 1024;
    const int64_t row = int64_t(sizeof(double)) * 2 * job.mixture.n_components * job.mixture.rows.d;
    const int64_t fitting = most_bytes / row / Tile64::panel * Tile64::panel;
    return fitting >= Tile64::block ? Tile64::block : (fitting < Tile64::panel ? Tile64::panel : int(fitting));
  }

  static Scratch carve(Arena& arena, const CellsJob& job) {
    const int64_t d = job.mixture.rows.d, k = job.mixture.n_components;
    Scratch s;
    s.stride = block_rows(job) + w;
    s.present = arena.take<double>(Tile64::block * d);
    s.index = arena.take<int32_t>(d * s.stride);
    s.missing = arena.take<int32_t>(d * s.stride);
    s.lower = arena.take<double>(d * s.stride);
    s.upper = arena.take<double>(d * s.stride);
    s.width = arena.take<double>(d * s.stride);
    s.n_censored = arena.take<int32_t>(d);
    s.n_missing = arena.take<int32_t>(d);
    s.chosen = arena.take<int32_t>(s.stride);
    s.copied_rows = arena.take<int32_t>(s.stride);
    s.copy = arena.take<double>(5 * int64_t(s.stride));
    s.best = arena.take<int32_t>(s.stride);
    s.wanted = arena.take<int8_t>(s.stride);
    s.reach = arena.take<double>(s.stride);
    s.mean = arena.take<double>(k * d * s.stride);
    s.square = arena.take<double>(k * d * s.stride);
    return s;
  }

  // One stretch of rows with the same pattern, the first of them at place i of the block.
  static void gather_stretch(const CellRows& rows, int i, int stop, int d, Scratch& s) {
    const CellsView& cells = *rows.cells;
    const int32_t pattern = cells.pattern[rows[i]];
    int64_t cell = first_cell(cells, pattern, rows[i]);
    for (int j = 0; j < d; ++j) {
      const CellState state = state_of(cells, pattern, d, j);
      mark(s.present, d, j, i, stop, state == CellState::exact);
      int32_t* list = state == CellState::missing ? s.missing : s.index;
      int32_t& n = state == CellState::missing ? s.n_missing[j] : s.n_censored[j];
      if (state == CellState::exact) continue;
      const int64_t at = int64_t(j) * s.stride + n;
      n += stop - i;
      for (int e = 0; e < stop - i; ++e) list[at + e] = i + e;
      if (state == CellState::missing) continue;
      for (int e = 0; e < stop - i; ++e) {
        s.lower[at + e] = cells.lower[cell + e];
        s.upper[at + e] = cells.upper[cell + e];
        s.width[at + e] = cells.width[cell + e];
      }
      cell += pattern_rows(cells, pattern);
    }
  }

  static void mark(double* present, int d, int j, int i, int stop, bool exact) {
    for (; i < stop; ++i) {
      present[(int64_t(i / Tile64::panel) * d + j) * Tile64::panel + i % Tile64::panel] = exact;
    }
  }

  // Once per block, for all candidates.
  static void gather(const CellRows& rows, int padded, int d, Scratch& s) {
    for (int j = 0; j < d; ++j) {
      s.n_censored[j] = s.n_missing[j] = 0;
      mark(s.present, d, j, rows.count, padded, true);
    }
    for (int i = 0; i < rows.count;) {
      const int left = rows.count - i;
      const int stop = i + (rows.list != nullptr ? 1 : same_pattern(*rows.cells, rows[i], rows[i] + left, left));
      gather_stretch(rows, i, stop, d, s);
      i = stop;
    }
    fill_vectors(d, s);
  }

  // Behind the last cell of a column the vector repeats it.
  static void fill_vectors(int d, Scratch& s) {
    double* const bounds[3] = {s.lower, s.upper, s.width};
    for (int j = 0; j < d; ++j) {
      const int n = s.n_censored[j];
      for (double* bound : bounds) {
        bound += int64_t(j) * s.stride;
        for (int i = n; n > 0 && i < round_up(n, w); ++i) bound[i] = bound[n - 1];
      }
    }
  }

  // quad (rows,) of component k from the exact cells; an unknown one takes its normalising constant back.
  static void exact_quad(const Block<double>& block, const CellsJob& job, const CellParameters& p, int k,
                         const double* present, double* quad) {
    const Strides strides = strides_of(job);
    const int d = block.d;
    for (int row = 0; row < block.padded; row += Tile64::panel) {
      const double *x = block.panels + int64_t(row) * d, *known = present + int64_t(row) * d;
      Pack64 distance[u];
      for (int a = 0; a < u; ++a) distance[a] = broadcast(0.0);
      for (int j = 0; j < d; ++j, x += Tile64::panel, known += Tile64::panel) {
        const Pack64 scale = broadcast(p.factors[strides.at(k, j)]), mean = broadcast(p.means[int64_t(k) * d + j]);
        const Pack64 constant = broadcast(2 * p.log_unit[int64_t(k) * d + j]);
#pragma GCC unroll 4
        for (int a = 0; a < u; ++a) {
          const Pack64 y = (load(x + a * w) - mean) * scale;
          distance[a] += select(load(known + a * w) > broadcast(0.0), y * y, constant);
        }
      }
      for (int a = 0; a < u; ++a) store(quad + row + a * w, capped_quad<double>(distance[a]));
    }
  }

  // Limits of the censored cells i .. i + width of a column, in standard deviations of component k.
  struct Limits {
    Pack64 scale, mean;

    Limits(const CellsJob& job, const CellParameters& p, int k, int j)
        : scale(broadcast(p.factors[strides_of(job).at(k, j)])),
          mean(broadcast(p.means[int64_t(k) * job.mixture.rows.d + j])) {}
    PYESTIM_INLINE Pack64 of(const double* bound) const { return (load(bound) - mean) * scale; }
  };

  // What the probability of an interval is at most: exp(-distance^2 / 2).
  PYESTIM_INLINE static Pack64 most_log_prob(Pack64 a, Pack64 b) {
    const Pack64 distance = max(max(a, -b), broadcast(0.0));
    return max(-0.5 * (distance * distance), broadcast(least_log_prob));
  }

  // Adds at most what the censored cells of component k have, and forgets their moments.
  static void bound_quad(const CellsJob& job, const CellParameters& p, int k, const Scratch& s, double* quad) {
    const int d = job.mixture.rows.d;
    for (int j = 0; j < d; ++j) {
      const Limits limits(job, p, k, j);
      const int64_t column = int64_t(j) * s.stride, kept = (int64_t(k) * d + j) * s.stride;
      for (int i = 0; i < s.n_censored[j]; i += w) {
        store(s.mean + kept + i, broadcast(0.0));
        store(s.square + kept + i, broadcast(0.0));
        add_to_rows(most_log_prob(limits.of(s.lower + column + i), limits.of(s.upper + column + i)),
                    s.index + column + i, s.n_censored[j] - i, quad);
      }
    }
  }

  PYESTIM_INLINE static void add_to_rows(Pack64 values, const int32_t* rows, int count, double* quad) {
    alignas(alignment) double each[w];
    store(each, values);
    for (int e = 0; e < (count < w ? count : w); ++e) quad[rows[e]] += each[e];
  }

  // Censored cells of one column, one behind the other, and where their moments go.
  struct Column {
    int n;
    const double *lower, *upper, *width;
    const int32_t* rows;
    double *mean, *square;
  };

  // Log-probabilities of the censored cells of component k in the rows that are wanted (all: null), in the place of
  // what they are at most, and their moments.
  static void censored_quad(const CellsJob& job, const CellParameters& p, int k, const Scratch& s, const int8_t* wanted,
                            double* quad) {
    const int d = job.mixture.rows.d;
    for (int j = 0; j < d; ++j) {
      const Limits limits(job, p, k, j);
      const int64_t at = int64_t(j) * s.stride, kept = (int64_t(k) * d + j) * s.stride;
      Column column{s.n_censored[j], s.lower + at,  s.upper + at,   s.width + at,
                    s.index + at,    s.mean + kept, s.square + kept};
      const bool some = wanted != nullptr && choose(s, wanted, column);
      for (int i = 0; i < column.n; i += w) {
        const Pack64 a = limits.of(column.lower + i), b = limits.of(column.upper + i);
        const auto part = normal_interval(a, b, load(column.width + i) * limits.scale);
        store(column.mean + i, part.mean);
        store(column.square + i, part.variance + part.mean * part.mean);
        const Pack64 log_prob = max(part.log_prob, broadcast(least_log_prob));
        add_to_rows(wanted == nullptr ? log_prob : log_prob - most_log_prob(a, b), column.rows + i, column.n - i, quad);
      }
      for (int i = 0; some && i < column.n; ++i) {
        s.mean[kept + s.chosen[i]] = column.mean[i];
        s.square[kept + s.chosen[i]] = column.square[i];
      }
    }
  }

  // Leaves the cells in wanted rows, copied behind each other; false: those are all of them.
  static bool choose(const Scratch& s, const int8_t* wanted, Column& column) {
    int n = 0;
    for (int i = 0; i < column.n; ++i) {
      s.chosen[n] = i;
      n += wanted[column.rows[i]];
    }
    if (n == column.n) return false;
    double* copy[5];
    for (int i = 0; i < 5; ++i) copy[i] = s.copy + int64_t(i) * s.stride;
    for (int i = 0; i < round_up(n, w); ++i) {
      const int from = s.chosen[i < n ? i : n - 1];
      copy[0][i] = column.lower[from];
      copy[1][i] = column.upper[from];
      copy[2][i] = column.width[from];
      s.copied_rows[i] = column.rows[from];
    }
    column = {n, copy[0], copy[1], copy[2], s.copied_rows, copy[3], copy[4]};
    return true;
  }

  // The likeliest component of each row is found by what its cells have at most, and the others only have theirs
  // computed where that leaves them a share of the row.
  static void quad(const Block<double>& block, const CellsJob& job, const CellParameters& p, const Scratch& s,
                   double* quad) {
    const int n = job.mixture.n_components;
    const bool prune = n > 2 || (n > 1 && block.d > 1);
    for (int k = 0; k < n; ++k) {
      double* out = quad + int64_t(k) * Tile64::stride;
      exact_quad(block, job, p, k, s.present, out);
      if (prune) {
        bound_quad(job, p, k, s, out);
      } else {
        censored_quad(job, p, k, s, nullptr, out);
      }
    }
    if (prune) likely_quad(block.rows, job, p, s, quad);
  }

  static void likely_quad(int rows, const CellsJob& job, const CellParameters& p, const Scratch& s, double* quad) {
    const int n = job.mixture.n_components;
    const auto height = [&](int k, int i) { return quad[int64_t(k) * Tile64::stride + i] + p.log_offset[k]; };
    for (int i = 0; i < rows; ++i) {
      s.best[i] = 0;
      for (int k = 1; k < n; ++k) s.best[i] = height(k, i) > height(s.best[i], i) ? k : s.best[i];
    }
    for (int k = 0; k < n; ++k) {
      for (int i = 0; i < rows; ++i) s.wanted[i] = s.best[i] == k;
      censored_quad(job, p, k, s, s.wanted, quad + int64_t(k) * Tile64::stride);
    }
    for (int i = 0; i < rows; ++i) s.reach[i] = height(s.best[i], i) - log_negligible;
    for (int k = 0; k < n; ++k) {
      for (int i = 0; i < rows; ++i) s.wanted[i] = s.best[i] != k && height(k, i) > s.reach[i];
      censored_quad(job, p, k, s, s.wanted, quad + int64_t(k) * Tile64::stride);
    }
  }

  struct Two {
    double first, second;
  };

  static Two exact_moments(const Block<double>& block, const double* present, const double* resp, int j, double mean) {
    Pack64 one = broadcast(0.0), two = broadcast(0.0);
    const Pack64 centre = broadcast(mean), zero = broadcast(0.0);
    for (int row = 0; row < block.padded; row += Tile64::panel) {
      const int64_t at = int64_t(row) * block.d + int64_t(j) * Tile64::panel;
#pragma GCC unroll 4
      for (int a = 0; a < u; ++a) {
        const Pack64 t = load(block.panels + at + a * w) - centre;
        const Pack64 weighted = select(load(present + at + a * w) > zero, load(resp + row + a * w) * t, zero);
        one += weighted;
        two += weighted * t;
      }
    }
    return {reduce_add(one), reduce_add(two)};
  }

  // Censored and missing cells, in standard deviations.
  static Two unknown_moments(const Scratch& s, const double* resp, int j, int64_t kept) {
    const int64_t column = int64_t(j) * s.stride;
    Two sum{0, 0};
    for (int i = 0; i < s.n_censored[j]; ++i) {
      const double r = resp[s.index[column + i]];
      sum.first += r * s.mean[kept + i];
      sum.second += r * s.square[kept + i];
    }
    for (int i = 0; i < s.n_missing[j]; ++i) sum.second += resp[s.missing[column + i]];
    return sum;
  }

  static void accumulate(const Block<double>& block, const CellsJob& job, const CellParameters& p, const Scratch& s,
                         const double* resp, const Moments& moments) {
    const Strides strides = strides_of(job);
    const int d = block.d;
    for (int k = 0; k < job.mixture.n_components; ++k) {
      const double* r = resp + int64_t(k) * Tile64::stride;
      for (int j = 0; j < d; ++j) {
        const int64_t at = int64_t(k) * d + j;
        double& second = moments.second[strides.at(k, j)];
        if (s.n_censored[j] + s.n_missing[j] < block.rows) {
          const Two exact = exact_moments(block, s.present, r, j, p.means[at]);
          moments.first[at] += exact.first;
          second += exact.second;
        }
        const Two unknown = unknown_moments(s, r, j, at * s.stride);
        const double sd = 1 / p.factors[strides.at(k, j)];
        moments.first[at] += sd * unknown.first;
        second += sd * sd * unknown.second;
      }
    }
  }

  // Adds what `share` of component k leaves where nothing is known.
  static void add_whole(const CellsJob& job, const CellParameters& p, int k, double share, const Moments& moments) {
    const Strides strides = strides_of(job);
    for (int j = 0; j < job.mixture.rows.d; ++j) {
      const double sd = 1 / p.factors[strides.at(k, j)];
      moments.second[strides.at(k, j)] += share * sd * sd;
    }
  }

  // out (rows, d) += resp E[x] for the cells that are not exact.
  static void expect(const CellsJob& job, const CellParameters& p, const Scratch& s, const double* resp, double* out) {
    const int d = job.mixture.rows.d;
    for (int k = 0; k < job.mixture.n_components; ++k) {
      const double* r = resp + int64_t(k) * Tile64::stride;
      for (int j = 0; j < d; ++j) {
        const int64_t at = int64_t(k) * d + j, column = int64_t(j) * s.stride;
        const double mean = p.means[at], sd = 1 / p.factors[strides_of(job).at(k, j)];
        for (int i = 0; i < s.n_censored[j]; ++i) {
          const int row = s.index[column + i];
          out[int64_t(row) * d + j] += r[row] * (mean + sd * s.mean[at * s.stride + i]);
        }
        for (int i = 0; i < s.n_missing[j]; ++i) {
          const int row = s.missing[column + i];
          out[int64_t(row) * d + j] += r[row] * mean;
        }
      }
    }
  }
};
