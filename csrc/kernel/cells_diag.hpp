// Partly known cells under components without correlations: column by column.
//
// Include inside the namespace of the level, after kernel/cells_frame.hpp.
//
// The censored cells of a column are gathered for the whole block, so that the lanes are full whatever the patterns
// are; exact ones stay where they are, rows in lanes, and are told by a mask.
#pragma once

struct CellsDiag {
  static constexpr int w = Tile64::width, u = Tile64::vectors;

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
    int stride;           // rows, and a vector behind
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
    s.mean = arena.take<double>(k * d * s.stride);
    s.square = arena.take<double>(k * d * s.stride);
    return s;
  }

  // Once per block, for all candidates.
  static void gather(const CellRows& rows, int padded, int d, Scratch& s) {
    for (int j = 0; j < d; ++j) s.n_censored[j] = s.n_missing[j] = 0;
    for (int i = 0; i < padded; ++i) {
      double* present = s.present + int64_t(i / Tile64::panel) * d * Tile64::panel + i % Tile64::panel;
      if (i >= rows.count) {
        for (int j = 0; j < d; ++j) present[j * Tile64::panel] = 1;
        continue;
      }
      const int64_t row = rows[i];
      const int32_t pattern = rows.cells->pattern[row];
      int64_t cell = first_cell(*rows.cells, pattern, row);
      const int64_t step = pattern_rows(*rows.cells, pattern);
      for (int j = 0; j < d; ++j) {
        const CellState state = state_of(*rows.cells, pattern, d, j);
        present[j * Tile64::panel] = state == CellState::exact;
        if (state == CellState::missing) s.missing[int64_t(j) * s.stride + s.n_missing[j]++] = i;
        if (state != CellState::censored) continue;
        const int64_t at = int64_t(j) * s.stride + s.n_censored[j]++;
        s.index[at] = i;
        s.lower[at] = rows.cells->lower[cell];
        s.upper[at] = rows.cells->upper[cell];
        s.width[at] = rows.cells->width[cell];
        cell += step;
      }
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

  // Adds the log-probabilities of the censored cells of component k, and keeps their moments.
  static void censored_quad(const CellsJob& job, const CellParameters& p, int k, const Scratch& s, double* quad) {
    const Strides strides = strides_of(job);
    const int d = job.mixture.rows.d;
    for (int j = 0; j < d; ++j) {
      const int64_t column = int64_t(j) * s.stride, kept = (int64_t(k) * d + j) * s.stride;
      const Pack64 scale = broadcast(p.factors[strides.at(k, j)]), mean = broadcast(p.means[int64_t(k) * d + j]);
      for (int i = 0; i < s.n_censored[j]; i += w) {
        const auto part =
            normal_interval((load(s.lower + column + i) - mean) * scale, (load(s.upper + column + i) - mean) * scale,
                            load(s.width + column + i) * scale);
        store(s.mean + kept + i, part.mean);
        store(s.square + kept + i, part.variance + part.mean * part.mean);
        alignas(alignment) double log_prob[w];
        store(log_prob, part.log_prob);
        const int count = s.n_censored[j] - i < w ? s.n_censored[j] - i : w;
        for (int e = 0; e < count; ++e) quad[s.index[column + i + e]] += log_prob[e];
      }
    }
  }

  static void quad(const Block<double>& block, const CellsJob& job, const CellParameters& p, const Scratch& s,
                   double* quad) {
    for (int k = 0; k < job.mixture.n_components; ++k) {
      double* out = quad + int64_t(k) * Tile64::stride;
      exact_quad(block, job, p, k, s.present, out);
      censored_quad(job, p, k, s, out);
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
