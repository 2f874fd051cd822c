// Sweep over partly known cells: E-step and the moments that exact rows would leave, of every candidate.
//
// Include inside the namespace of the level, after kernel/cells_diag.hpp and kernel/cells_full.hpp.
//
// Rows that are exact in every column stand in front and are left to the operation on mixtures.  Where rows are seen
// inside of a set only, a seen one stands for 1 / alpha rows of which 1 / alpha - 1 were not seen (alpha: probability
// of its set): their moments are those of everything less those of a row of which only the set is known.
#pragma once

struct CellsScratch {
  Block<double> block;
  double* resp;  // (K, rows)
  double* log_total;
  double* share;
  CellsDiag::Scratch diag;
  CellsFull::Scratch full;
  int64_t* box_list;   // (rows,)
  double* box_weight;  // (rows,)
  double* box_stats;   // (C, S)
  double* unseen;      // (C,) sum of weight / alpha
};

inline CellsScratch carve_cells_scratch(Arena& arena, const CellsJob& job) {
  CellsScratch s{};
  const Shape shape = shape_of(job);
  carve_block(arena, shape.d, false, s.block);
  s.resp = arena.take<double>(int64_t(Tile64::stride) * shape.n_components);
  s.log_total = arena.take<double>(Tile64::stride);
  s.share = arena.take<double>(Tile64::stride);
  if (by_columns(job)) {
    s.diag = CellsDiag::carve(arena, job);
  } else {
    s.full = CellsFull::carve(arena, job);
  }
  if (job.box == nullptr) return s;
  s.box_list = arena.take<int64_t>(Tile64::block);
  s.box_weight = arena.take<double>(Tile64::block);
  s.box_stats = arena.take<double>(job.mixture.n_candidates * stats_size(job.mixture.family, shape));
  s.unseen = arena.take<double>(job.mixture.n_candidates);
  return s;
}

// Exact rows take the operation on mixtures of the same level: its packed parameters come first.
struct BothCells {
  char* mixture;
  Working<double> working;
  PackedCells cells;
};

inline BothCells carve_cells_packed(Arena& arena, const CellsJob& job) {
  BothCells p;
  p.mixture = arena.take<char>(mixture_op.packed_bytes(&job.mixture));
  p.working = carve_working<double>(arena, job.mixture.rows.d);
  p.cells = carve_cells(arena, job);
  return p;
}

inline Status prepare_cells(const CellsJob& job, void* packed) {
  Arena arena = arena_at(packed);
  const BothCells p = carve_cells_packed(arena, job);
  pack_working(job.mixture.rows, p.working);
  const int64_t d = job.mixture.rows.d;
  for (int c = 0; c < job.mixture.n_candidates; ++c) {
    const CellParameters own = parameters_of(job, p.cells, c);
    pack_candidate(job, own);
    for (int64_t k = 0; k < matrices_of(job) && !by_columns(job); ++k) {
      covariance_of(own.factors + k * d * d, int(d), p.cells.inverse, own.sigma + k * d * d);
    }
  }
  return mixture_op.prepare(&job.mixture, p.mixture);
}

PYESTIM_INLINE int cells_block_rows(const CellsJob& job) {
  return by_columns(job) ? CellsDiag::block_rows(job) : CellsFull::block_rows(job);
}

// How many rows from `first` on make a block.
inline int next_count(const CellsJob& job, int64_t first, int64_t end) {
  const int most = cells_block_rows(job);
  if (!by_columns(job)) return same_pattern(job.cells, first, end, most);
  return end - first < most ? int(end - first) : most;
}

// What all candidates share of a block that is loaded.
inline void share_block(const CellsJob& job, const PackedCells& packed, const CellRows& rows, CellsScratch& s) {
  if (by_columns(job)) {
    CellsDiag::gather(rows, s.block.padded, s.block.d, s.diag);
  } else {
    CellsFull::prepare(job, packed, *rows.cells, rows.cells->pattern[rows[0]], s.full);
    CellsFull::gather(rows, s.block.padded, s.full);
  }
}

// Responsibilities of one candidate; returns the log-likelihood of the block.
inline double cells_e_step(const CellsJob& job, const CellParameters& p, int c, CellsScratch& s, double* resp_sum) {
  if (by_columns(job)) {
    CellsDiag::quad(s.block, job, p, s.diag, s.resp);
  } else {
    CellsFull::quad(s.block, job, p, c, s.full, s.resp);
  }
  const ConstantGate<double> gate{p.log_offset};
  const LogSumExp<double, ConstantGate<double>> soft{
      s.resp, gate, job.mixture.n_components, s.block.weight, s.resp, s.log_total, s.share, s.block.unit_weights};
  return soft.run(s.block.padded, resp_sum);
}

namespace cells_sweep {

const CellsJob& cells_of(const void* job) { return *static_cast<const CellsJob*>(job); }

int64_t stat_size(const void* job) { return mixture_op.stat_size(&cells_of(job).mixture); }

int64_t packed_bytes(const void* job) {
  Arena arena = arena_at(nullptr);
  carve_cells_packed(arena, cells_of(job));
  return arena.used;
}

int64_t scratch_bytes(const void* job) {
  Arena arena = arena_at(nullptr);
  carve_cells_scratch(arena, cells_of(job));
  const int64_t exact = mixture_op.scratch_bytes(&cells_of(job).mixture);
  return arena.used > exact ? arena.used : exact;
}

double row_flops(const void* job) {
  const MixtureJob& m = cells_of(job).mixture;
  return mixture_op.row_flops(&m) + 100.0 * m.n_candidates * m.n_components * m.rows.d;
}

Status prepare(const void* job, void* packed) { return prepare_cells(cells_of(job), packed); }

// One block for all candidates; unseen (C,) += weight / probability of the row where it is asked for.
void all_candidates(const CellsJob& job, const PackedCells& packed, const CellRows& rows, CellsScratch& s,
                    double* stats, double* unseen) {
  const Shape shape = shape_of(job);
  const int64_t size = stats_size(job.mixture.family, shape);
  share_block(job, packed, rows, s);
  for (int c = 0; c < job.mixture.n_candidates; ++c, stats += size) {
    const CellParameters p = parameters_of(job, packed, c);
    const Moments moments = moments_of(stats, shape);
    stats[0] += cells_e_step(job, p, c, s, moments.resp_sum);
    stats[1] += s.block.weight_sum;
    if (by_columns(job)) {
      CellsDiag::accumulate(s.block, job, p, s.diag, s.resp, moments);
    } else {
      CellsFull::accumulate(s.block, job, c, s.full, s.resp, moments);
    }
    for (int i = 0; unseen != nullptr && i < s.block.rows; ++i) {
      const double log_odds = -s.log_total[i];
      unseen[c] += s.block.weight[i] * exp_number(log_odds < most_unseen_log ? log_odds : most_unseen_log);
    }
  }
}

template <class In>
void seen_rows(const CellsJob& job, const BothCells& packed, int64_t begin, int64_t end, double* stats,
               CellsScratch& s) {
  for (int64_t row = begin; row < end;) {
    const int count = next_count(job, row, end);
    load_block<In, double>(job.mixture.rows, packed.working, row, count, 1.0, s.block);
    all_candidates(job, packed.cells, {&job.cells, nullptr, row, count}, s, stats, nullptr);
    row += count;
  }
}

void flush_boxes(const CellsJob& job, const PackedCells& packed, int& count, CellsScratch& s) {
  if (count == 0) return;
  load_boxes(s.box_weight, count, s.block);
  all_candidates(job, packed, {&job.boxes, s.box_list, 0, count}, s, s.box_stats, s.unseen);
  count = 0;
}

// Equal sets that follow each other are one with the sum of their weights.
void rows_of_boxes(const CellsJob& job, const PackedCells& packed, int64_t begin, int64_t end, CellsScratch& s) {
  const int most = cells_block_rows(job);
  int count = 0;
  for (int64_t row = begin; row < end; ++row) {
    const int64_t box = job.box[row];
    const double weight = job.mixture.rows.weight == nullptr ? 1.0 : job.mixture.rows.weight[row];
    if (box < 0 || weight == 0) continue;
    if (count > 0 && s.box_list[count - 1] == box) {
      s.box_weight[count - 1] += weight;
      continue;
    }
    const bool other = count > 0 && job.boxes.pattern[box] != job.boxes.pattern[s.box_list[0]];
    if (count == most || (other && !by_columns(job))) flush_boxes(job, packed, count, s);
    s.box_list[count] = box;
    s.box_weight[count++] = weight;
  }
  flush_boxes(job, packed, count, s);
}

void add_unseen(const CellsJob& job, const PackedCells& packed, const CellsScratch& s, double* stats) {
  const Shape shape = shape_of(job);
  const int64_t size = stats_size(job.mixture.family, shape);
  for (int c = 0; c < job.mixture.n_candidates; ++c, stats += size) {
    const double* inside = s.box_stats + c * size;
    for (int64_t i = 0; i < size; ++i) stats[i] -= i == 1 ? 0.0 : inside[i];
    const CellParameters p = parameters_of(job, packed, c);
    const Moments moments = moments_of(stats, shape);
    for (int k = 0; k < shape.n_components; ++k) {
      const double whole = s.unseen[c] * p.weight[k];
      moments.resp_sum[k] += whole;
      if (by_columns(job)) {
        CellsDiag::add_whole(job, p, k, whole, moments);
      } else {
        CellsFull::add_whole(job, p, k, whole, moments);
      }
    }
  }
}

template <class In>
void leaf_in(const CellsJob& job, const BothCells& packed, int64_t begin, int64_t end, double* stats, void* scratch) {
  const int64_t n_exact = job.cells.n_exact;
  const int64_t middle = n_exact < begin ? begin : (n_exact < end ? n_exact : end);
  if (begin < middle) {
    mixture_op.leaf(&job.mixture, packed.mixture, begin, middle, stats, scratch);
  }
  Arena arena = arena_at(scratch);
  CellsScratch s = carve_cells_scratch(arena, job);
  seen_rows<In>(job, packed, middle, end, stats, s);
  if (job.box == nullptr) return;
  const int64_t n_candidates = job.mixture.n_candidates;
  for (int64_t i = 0; i < n_candidates * stats_size(job.mixture.family, shape_of(job)); ++i) s.box_stats[i] = 0;
  for (int64_t c = 0; c < n_candidates; ++c) s.unseen[c] = 0;
  rows_of_boxes(job, packed.cells, begin, end, s);
  add_unseen(job, packed.cells, s, stats);
}

Status leaf(const void* any_job, const void* packed, int64_t begin, int64_t end, double* stats, void* scratch) {
  const CellsJob& job = cells_of(any_job);
  Arena arena = arena_at(packed);
  const BothCells p = carve_cells_packed(arena, job);
  if (job.mixture.rows.dtype == Dtype::float64) {
    leaf_in<double>(job, p, begin, end, stats, scratch);
  } else {
    leaf_in<float>(job, p, begin, end, stats, scratch);
  }
  return Status::ok;
}

constexpr SweepOp op = {stat_size, packed_bytes, scratch_bytes, row_flops, prepare, leaf, nullptr};

}  // namespace cells_sweep
