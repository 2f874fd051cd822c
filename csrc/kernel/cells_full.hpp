// Partly known cells under components with correlations: all rows of a block have the same pattern.
//
// Include inside the namespace of the level, after kernel/cells_frame.hpp and kernel/cells_box.hpp.
//
// Columns are put in the order exact, censored, missing; Sigma = L L', F = L^-1 in that order.  The leading rows of F
// whiten the exact cells, the following ones condition on them: E[t_u | t_o] = -L_uu F_uo t_o, covariance L_uu L_uu'.
// The censored cells are a normal vector in a box then; missing ones follow them by regression, L_mm (-F_mo t_o - F_mc
// t_c), with the covariance L_mm L_mm' left.
#pragma once

// Factors of one component for one pattern.
struct PatternFactors {
  double* lower;    // (d, d) L
  double* inverse;  // (d, d) F
  double constant;  // sum of log F_ii - log(2 pi) / 2 over the unknown cells
};

struct CellsFull {
  static constexpr int w = Tile64::width, u = Tile64::vectors;

  struct Scratch {
    int32_t pattern;  // of the factors; -1: none yet
    const CellsView* of;
    int n_exact, n_censored, n_missing;
    CellBox box, rest;        // one row with several censored cells, and those of them that are not narrow
    int32_t* order;           // (d,) columns: exact, censored, missing
    PatternFactors* factors;  // (C, K)
    double* t;                // (K, d, rows) deviations in that order, expected where not exact
    double* spread;           // (K, max (max + 1) / 2, rows) covariances of the censored cells
    double* whitened;         // (d, panel)
    int64_t spread_size;      // max (max + 1) / 2
    double* bound[3];         // (max, rows) lower and upper bounds and widths of the censored cells
    double* weighted;         // (rows,)
    double* pooled;           // (max, max) sums of `spread`
    double* across;           // (d, d) regression of missing on censored cells, and products with it
    double* work;             // (d, d)
  };

  static int most_censored(const CellsJob& job) {
    return job.cells.max_censored > job.boxes.max_censored ? job.cells.max_censored : job.boxes.max_censored;
  }

  static int block_rows(const CellsJob& job) { return job.mixture.rows.d > 8 ? Tile64::small_block : Tile64::block; }

  static Scratch carve(Arena& arena, const CellsJob& job) {
    const int64_t d = job.mixture.rows.d, k = job.mixture.n_components, most = most_censored(job);
    Scratch s{};
    s.pattern = -1;
    s.order = arena.take<int32_t>(d);
    const int64_t n = job.mixture.n_candidates * k;
    s.factors = arena.take<PatternFactors>(n);
    double* matrices = arena.take<double>(2 * n * d * d);
    s.t = arena.take<double>(k * d * Tile64::stride);
    s.spread_size = most * (most + 1) / 2;
    s.spread = arena.take<double>(k * s.spread_size * Tile64::stride);
    for (double*& bound : s.bound) bound = arena.take<double>(most * Tile64::stride);
    s.weighted = arena.take<double>(Tile64::stride);
    s.whitened = arena.take<double>(d * Tile64::panel);
    s.pooled = arena.take<double>(most * most);
    s.across = arena.take<double>(d * d);
    s.work = arena.take<double>(d * d);
    s.box = CellBox::carve(arena, most);
    s.rest = CellBox::carve(arena, most);
    if (arena.start == 0) return s;
    for (int64_t i = 0; i < n; ++i) {
      s.factors[i].lower = matrices + 2 * i * d * d;
      s.factors[i].inverse = s.factors[i].lower + d * d;
    }
    return s;
  }

  // ---- once per pattern ----
  static void order_columns(const CellsView& cells, int32_t pattern, int d, Scratch& s) {
    int n = 0, counts[3];
    for (int state = 0; state < 3; ++state) {
      const int before = n;
      for (int j = 0; j < d; ++j) {
        if (state_of(cells, pattern, d, j) == CellState(state)) s.order[n++] = j;
      }
      counts[state] = n - before;
    }
    s.n_exact = counts[0];
    s.n_censored = counts[1];
    s.n_missing = counts[2];
    s.pattern = pattern;
    s.of = &cells;
  }

  static void factorise(const double* sigma, int d, const Scratch& s, PatternFactors& f) {
    for (int i = 0; i < d; ++i) {
      for (int j = 0; j <= i; ++j) {
        double sum = sigma[int64_t(s.order[i]) * d + s.order[j]];
        const double least = least_variance * sum;
        for (int l = 0; l < j; ++l) sum -= f.lower[i * d + l] * f.lower[j * d + l];
        f.lower[i * d + j] = i == j ? sqrt_number(sum > least ? sum : least) : sum / f.lower[j * d + j];
      }
      for (int j = i + 1; j < d; ++j) f.lower[i * d + j] = 0;
    }
    invert_lower(f.lower, d, f.inverse);
    f.constant = 0;
    for (int i = s.n_exact; i < d; ++i) f.constant += log_number(f.inverse[i * (d + 1)]) + log_unit_normal;
  }

  static void prepare(const CellsJob& job, const PackedCells& packed, const CellsView& cells, int32_t pattern,
                      Scratch& s) {
    if (s.pattern == pattern && s.of == &cells) return;
    const int d = job.mixture.rows.d, n_components = job.mixture.n_components;
    order_columns(cells, pattern, d, s);
    for (int c = 0; c < job.mixture.n_candidates; ++c) {
      const double* sigma = parameters_of(job, packed, c).sigma;
      PatternFactors* factors = s.factors + int64_t(c) * n_components;
      for (int k = 0; k < n_components; ++k) {
        if (k > 0 && matrices_of(job) == 1) {
          factors[k] = factors[0];
        } else {
          factorise(sigma + int64_t(k) * d * d, d, s, factors[k]);
        }
      }
    }
  }

  // Bounds of the block's cells, column by column.
  static void gather(const CellRows& rows, int padded, Scratch& s) {
    if (s.n_censored == 0) return;
    const int64_t step = pattern_rows(*rows.cells, s.pattern);
    for (int i = 0; i < padded; ++i) {
      const int64_t cell = first_cell(*rows.cells, s.pattern, rows[i < rows.count ? i : rows.count - 1]);
      for (int c = 0; c < s.n_censored; ++c) {
        s.bound[0][int64_t(c) * Tile64::stride + i] = rows.cells->lower[cell + c * step];
        s.bound[1][int64_t(c) * Tile64::stride + i] = rows.cells->upper[cell + c * step];
        s.bound[2][int64_t(c) * Tile64::stride + i] = rows.cells->width[cell + c * step];
      }
    }
  }

  // ---- E-step ----
  // out[i][a] = sum over columns begin .. end of F_ij t_j, one panel.
  PYESTIM_INLINE static void times(const double* matrix_row, const double* t, int begin, int end, Pack64 (&out)[u]) {
    for (int j = begin; j < end; ++j) {
      const Pack64 f = broadcast(matrix_row[j]);
#pragma GCC unroll 4
      for (int a = 0; a < u; ++a) out[a] += f * load(t + int64_t(j) * Tile64::stride + a * w);
    }
  }

  PYESTIM_INLINE static void clear(Pack64 (&v)[u]) {
    for (int a = 0; a < u; ++a) v[a] = broadcast(0.0);
  }

  // Deviations of the exact cells; -1/2 of the squared distance that they have.
  static void exact_panel(const Block<double>& block, int row, const double* mean, const PatternFactors& f,
                          const Scratch& s, double* t, double* quad) {
    const int d = block.d;
    Pack64 distance[u];
    clear(distance);
    for (int i = 0; i < s.n_exact; ++i) {
      const double* x = block.panels + int64_t(row) * d + int64_t(s.order[i]) * Tile64::panel;
      for (int a = 0; a < u; ++a) {
        store(t + int64_t(i) * Tile64::stride + a * w, load(x + a * w) - broadcast(mean[s.order[i]]));
      }
      Pack64 y[u];
      clear(y);
      times(f.inverse + int64_t(i) * d, t, 0, i + 1, y);
      for (int a = 0; a < u; ++a) distance[a] += y[a] * y[a];
    }
    for (int a = 0; a < u; ++a) store(quad + a * w, capped_quad<double>(distance[a]) - broadcast(f.constant));
  }

  // Unknown cells begin .. end follow those before `begin`: t_i = -sum_l L_il (F t)_l.
  static void regress_panel(const PatternFactors& f, int d, int begin, int end, double* whitened, double* t) {
    for (int i = begin; i < end; ++i) {
      Pack64 g[u];
      clear(g);
      times(f.inverse + int64_t(i) * d, t, 0, begin, g);
      for (int a = 0; a < u; ++a) store(whitened + int64_t(i) * Tile64::panel + a * w, g[a]);
    }
    for (int i = begin; i < end; ++i) {
      Pack64 sum[u];
      clear(sum);
      for (int l = begin; l <= i; ++l) {
        const Pack64 factor = broadcast(f.lower[int64_t(i) * d + l]);
        for (int a = 0; a < u; ++a) sum[a] -= factor * load(whitened + int64_t(l) * Tile64::panel + a * w);
      }
      for (int a = 0; a < u; ++a) store(t + int64_t(i) * Tile64::stride + a * w, sum[a]);
    }
  }

  // One censored cell: its interval.
  static void one_censored(const Block<double>& block, const PatternFactors& f, double mean, const Scratch& s,
                           double* t, double* spread, double* quad) {
    const int at = s.n_exact, d = block.d;
    const double sd = f.lower[int64_t(at) * (d + 1)];
    double* centre = t + int64_t(at) * Tile64::stride;
    for (int row = 0; row < block.padded; row += w) {
      const Pack64 from = load(centre + row) + broadcast(mean), scale = broadcast(1 / sd);
      const auto part = normal_interval((load(s.bound[0] + row) - from) * scale,
                                        (load(s.bound[1] + row) - from) * scale, load(s.bound[2] + row) * scale);
      store(centre + row, load(centre + row) + part.mean * sd);
      store(spread + row, part.variance * (sd * sd));
      store(quad + row, load(quad + row) + max(part.log_prob, broadcast(least_log_prob)));
    }
  }

  // Bounds and conditional means of a row; false: they are those of the row before.
  static bool read_box(const CellBox& b, const Scratch& s, const double* mean, const double* t, int row) {
    bool other = row == 0;
    for (int i = 0; i < s.n_censored; ++i) {
      const int64_t at = int64_t(i) * Tile64::stride + row;
      const double centre = mean[s.order[s.n_exact + i]] + t[int64_t(s.n_exact) * Tile64::stride + at];
      other |= b.lower[i] != s.bound[0][at] || b.upper[i] != s.bound[1][at] || b.mean[i] != centre;
      other |= b.width[i] != s.bound[2][at];
      b.lower[i] = s.bound[0][at];
      b.upper[i] = s.bound[1][at];
      b.width[i] = s.bound[2][at];
      b.mean[i] = centre;
    }
    return other;
  }

  static void several_censored(const Block<double>& block, const PatternFactors& f, const double* mean,
                               const Scratch& s, double* t, double* spread, double* quad) {
    const int n = s.n_censored, c0 = s.n_exact, d = block.d;
    const CellBox& b = s.box;
    for (int i = 0; i < n; ++i) {
      for (int j = 0; j <= i; ++j) {
        double sum = 0;
        for (int l = c0; l <= c0 + j; ++l) sum += f.lower[(c0 + i) * d + l] * f.lower[(c0 + j) * d + l];
        b.cov[i * n + j] = b.cov[j * n + i] = sum;
      }
      double precision = 0;
      for (int l = i; l < n; ++l) precision += f.inverse[(c0 + l) * d + c0 + i] * f.inverse[(c0 + l) * d + c0 + i];
      b.reach[i] = 1 / sqrt_number(precision);
    }
    double log_prob = 0;
    for (int row = 0; row < block.padded; ++row) {
      // Rows behind the last one weigh nothing: what they hold must be finite.
      if (row < block.rows && read_box(b, s, mean, t, row)) log_prob = inside_box(b, s.rest, n);
      quad[row] += log_prob > least_log_prob ? log_prob : least_log_prob;  // of NaN too
      for (int i = 0, at = 0; i < n; ++i) {
        t[int64_t(c0 + i) * Tile64::stride + row] = b.inside[i] - mean[s.order[c0 + i]];
        for (int j = 0; j <= i; ++j, ++at) spread[int64_t(at) * Tile64::stride + row] = b.inside_cov[i * n + j];
      }
    }
  }

  static void component_quad(const Block<double>& block, const CellParameters& p, int k, const PatternFactors& f,
                             const Scratch& s, double* quad) {
    const int d = block.d, known = s.n_exact + s.n_censored;
    const double* mean = p.means + int64_t(k) * d;
    double* t = s.t + int64_t(k) * d * Tile64::stride;
    double* spread = s.spread + int64_t(k) * s.spread_size * Tile64::stride;
    for (int row = 0; row < block.padded; row += Tile64::panel) {
      exact_panel(block, row, mean, f, s, t + row, quad + row);
      regress_panel(f, d, s.n_exact, known, s.whitened, t + row);
    }
    if (s.n_censored == 1) {
      one_censored(block, f, mean[s.order[s.n_exact]], s, t, spread, quad);
    } else if (s.n_censored > 1) {
      several_censored(block, f, mean, s, t, spread, quad);
    }
    for (int row = 0; row < block.padded && s.n_missing > 0; row += Tile64::panel) {
      regress_panel(f, d, known, d, s.whitened, t + row);
    }
  }

  static void quad(const Block<double>& block, const CellsJob& job, const CellParameters& p, int c, const Scratch& s,
                   double* quad) {
    const int n = job.mixture.n_components;
    for (int k = 0; k < n; ++k) {
      component_quad(block, p, k, s.factors[int64_t(c) * n + k], s, quad + int64_t(k) * Tile64::stride);
    }
  }

  // ---- M-step ----
  PYESTIM_INLINE static double product(const double* a, const double* b, int padded) {
    Pack64 sum[u];
    clear(sum);
    for (int row = 0; row < padded; row += Tile64::panel) {
      for (int v = 0; v < u; ++v) sum[v] += load(a + row + v * w) * load(b + row + v * w);
    }
    for (int v = 1; v < u; ++v) sum[0] += sum[v];
    return reduce_add(sum[0]);
  }

  PYESTIM_INLINE static double& entry_of(double* triangle, int i, int j) {
    return i >= j ? triangle[int64_t(i) * (i + 1) / 2 + j] : triangle[int64_t(j) * (j + 1) / 2 + i];
  }

  // What the uncertainty of the unknown cells adds to the second moments.
  static void add_spread(const PatternFactors& f, int d, const double* resp, int padded, const double* spread,
                         const Scratch& s, double total, double* second) {
    const int c0 = s.n_exact, m0 = c0 + s.n_censored, nc = s.n_censored;
    for (int i = 0, at = 0; i < nc; ++i) {
      for (int j = 0; j <= i; ++j, ++at) {
        const double sum = product(resp, spread + int64_t(at) * Tile64::stride, padded);
        s.pooled[i * nc + j] = s.pooled[j * nc + i] = sum;
        entry_of(second, s.order[c0 + i], s.order[c0 + j]) += sum;
      }
    }
    for (int i = m0; i < d; ++i) {
      double *slope = s.across + int64_t(i) * d, *image = s.work + int64_t(i) * d;
      for (int l = 0; l < nc; ++l) {
        slope[l] = 0;
        for (int h = m0; h <= i; ++h) slope[l] -= f.lower[int64_t(i) * d + h] * f.inverse[int64_t(h) * d + c0 + l];
      }
      for (int l = 0; l < nc; ++l) {
        image[l] = 0;
        for (int h = 0; h < nc; ++h) image[l] += slope[h] * s.pooled[h * nc + l];
        entry_of(second, s.order[i], s.order[c0 + l]) += image[l];
      }
      for (int j = m0; j <= i; ++j) {
        double sum = 0;
        for (int h = m0; h <= j; ++h) sum += total * f.lower[int64_t(i) * d + h] * f.lower[int64_t(j) * d + h];
        for (int l = 0; l < nc; ++l) sum += image[l] * s.across[int64_t(j) * d + l];
        entry_of(second, s.order[i], s.order[j]) += sum;
      }
    }
  }

  static double* second_of(const CellsJob& job, const Moments& moments, int k) {
    return moments.second + (matrices_of(job) == 1 ? 0 : k * shape_of(job).triangle());
  }

  static void accumulate(const Block<double>& block, const CellsJob& job, int c, const Scratch& s, const double* resp,
                         const Moments& moments) {
    const int d = block.d, n = job.mixture.n_components;
    for (int k = 0; k < n; ++k) {
      const double *r = resp + int64_t(k) * Tile64::stride, *t = s.t + int64_t(k) * d * Tile64::stride;
      double* second = second_of(job, moments, k);
      for (int i = 0; i < d; ++i) {
        for (int row = 0; row < block.padded; row += w) {
          store(s.weighted + row, load(r + row) * load(t + int64_t(i) * Tile64::stride + row));
        }
        moments.first[int64_t(k) * d + s.order[i]] += sum_of(s.weighted, block.padded);
        for (int j = 0; j <= i; ++j) {
          entry_of(second, s.order[i], s.order[j]) +=
              product(s.weighted, t + int64_t(j) * Tile64::stride, block.padded);
        }
      }
      if (s.n_exact == d) continue;
      const double* spread = s.spread + int64_t(k) * s.spread_size * Tile64::stride;
      add_spread(s.factors[int64_t(c) * n + k], d, r, block.padded, spread, s, sum_of(r, block.padded), second);
    }
  }

  // Adds what `share` of component k leaves where nothing is known.
  static void add_whole(const CellsJob& job, const CellParameters& p, int k, double share, const Moments& moments) {
    const int d = job.mixture.rows.d;
    const double* sigma = p.sigma + (matrices_of(job) == 1 ? 0 : int64_t(k) * d * d);
    double* second = second_of(job, moments, k);
    for (int i = 0; i < d; ++i) {
      for (int j = 0; j <= i; ++j) *second++ += share * sigma[i * d + j];
    }
  }

  // out (rows, d) += resp E[x] for the cells that are not exact.
  static void expect(const Block<double>& block, const CellsJob& job, const CellParameters& p, const Scratch& s,
                     const double* resp, double* out) {
    const int d = block.d;
    for (int k = 0; k < job.mixture.n_components; ++k) {
      const double *r = resp + int64_t(k) * Tile64::stride, *t = s.t + int64_t(k) * d * Tile64::stride;
      for (int i = s.n_exact; i < d; ++i) {
        const double mean = p.means[int64_t(k) * d + s.order[i]];
        for (int row = 0; row < block.rows; ++row) {
          out[int64_t(row) * d + s.order[i]] += r[row] * (mean + t[int64_t(i) * Tile64::stride + row]);
        }
      }
    }
  }
};
