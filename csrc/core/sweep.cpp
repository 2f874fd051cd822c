// The merge tree. Leaf i holds rows [4096 i, 4096 (i + 1)) of the matrix. Node (level, j) holds leaves [j 2^level, (j +
// 1) 2^level) and is left + right, or the left child alone where the right one has no rows. Nothing in this depends on
// the number of threads, nor on where a sweep starts, so statistics of chunks made of whole nodes merge to the same
// bits.
//
// Threads claim nodes of one level ("groups"), compute them serially, and climb: of two siblings the one that is ready
// first leaves its statistics at the parent, the other one merges and climbs on.
#include "core/sweep.hpp"

#include <algorithm>
#include <cstring>
#include <memory>
#include <new>

namespace pyestim {
namespace {

// Arithmetic that a level does per second and byte of vector, cautiously: only decides whether waking threads may pay.
constexpr double flops_per_vector_byte = 0.5e9;
// Groups per thread: more balance better, fewer lock less.
constexpr int64_t groups_per_thread = 32;

double seconds_for(double flops, int vector_bytes) { return flops / (flops_per_vector_byte * vector_bytes); }

void keep_worst(std::atomic<Status>& status, Status found) {
  Status seen = status.load();
  while (seen < found && !status.compare_exchange_weak(seen, found)) {
  }
}

class Tree {
 public:
  Tree(const SweepOp& op, const void* job, Workspace& workspace, int64_t start, int64_t stop, int64_t n_doubles)
      : op_(op), job_(job), workspace_(workspace), start_(start), stop_(stop), n_doubles_(n_doubles) {
    first_leaf_ = start / leaf_rows;
    end_leaf_ = std::max(first_leaf_ + 1, (stop + leaf_rows - 1) / leaf_rows);
    while (index_at(root_level_, first_leaf_) != index_at(root_level_, end_leaf_ - 1)) ++root_level_;
    group_level_ = root_level_;
  }

  int64_t n_leaves() const { return end_leaf_ - first_leaf_; }
  int64_t n_groups() const { return index_at(group_level_, end_leaf_ - 1) - first_group() + 1; }
  Status status() const { return status_; }
  double* result() const { return result_; }

  // Groups for n_threads; false if there is no memory for the places where siblings meet.
  bool split(int n_threads) {
    if (n_threads <= 1) return true;
    while (group_level_ > 0 && (n_leaves() >> group_level_) < groups_per_thread * n_threads) --group_level_;
    level_offset_[group_level_] = 0;
    int64_t n_places = 0;
    for (int level = group_level_ + 1; level <= root_level_; ++level) {
      level_offset_[level] = n_places - index_at(level, first_leaf_);
      n_places += index_at(level, end_leaf_ - 1) - index_at(level, first_leaf_) + 1;
    }
    places_.reset(new (std::nothrow) std::atomic<double*>[n_places + 1]());
    return places_ != nullptr;
  }

  static void run_group(void* self, int64_t group, int slot) {
    Tree& tree = *static_cast<Tree*>(self);
    const int64_t index = tree.first_group() + group;
    if (double* stats = tree.compute(tree.group_level_, index, slot)) tree.climb(tree.group_level_, index, stats);
  }

 private:
  static int64_t index_at(int level, int64_t leaf) { return leaf >> level; }
  int64_t first_group() const { return index_at(group_level_, first_leaf_); }
  bool exists(int level, int64_t index) const {
    return (index << level) < end_leaf_ && ((index + 1) << level) > first_leaf_;
  }

  // Statistics of a node, by one thread; null after a failure.
  double* compute(int level, int64_t index, int slot) {
    if (level == 0) return compute_leaf(index, slot);
    const bool has_left = exists(level - 1, 2 * index), has_right = exists(level - 1, 2 * index + 1);
    double* left = has_left ? compute(level - 1, 2 * index, slot) : nullptr;
    if (!has_right || (has_left && !left)) return left;
    double* right = compute(level - 1, 2 * index + 1, slot);
    return has_left && right ? merge(left, right) : right;
  }

  double* compute_leaf(int64_t index, int slot) {
    if (status_.load(std::memory_order_relaxed) != Status::ok) return nullptr;
    double* stats = workspace_.take_stats();
    if (!stats) return fail(Status::out_of_memory);
    const int64_t begin = std::max(start_, index * leaf_rows), end = std::min(stop_, (index + 1) * leaf_rows);
    const Status status = op_.leaf(job_, workspace_.packed.data(), begin, end, stats, workspace_.scratch(slot));
    return status == Status::ok ? stats : fail(status);
  }

  void climb(int level, int64_t index, double* stats) {
    for (; level < root_level_; ++level, index /= 2) {
      if (!exists(level, index ^ 1)) continue;
      std::atomic<double*>& place = places_[level_offset_[level + 1] + index / 2];
      double* sibling = place.exchange(stats);
      if (!sibling) return;
      stats = index % 2 ? merge(sibling, stats) : merge(stats, sibling);
    }
    result_ = stats;
  }

  double* merge(double* left, double* right) {
    if (op_.merge)
      op_.merge(job_, left, right);
    else
      for (int64_t i = 0; i < n_doubles_; ++i) left[i] += right[i];
    workspace_.return_stats(right);
    return left;
  }

  double* fail(Status status) {
    keep_worst(status_, status);
    return nullptr;
  }

  const SweepOp& op_;
  const void* job_;
  Workspace& workspace_;
  const int64_t start_, stop_, n_doubles_;
  int64_t first_leaf_ = 0, end_leaf_ = 0;
  int root_level_ = 0, group_level_ = 0;
  int64_t level_offset_[64] = {};
  std::unique_ptr<std::atomic<double*>[]> places_;
  std::atomic<Status> status_{Status::ok};
  double* result_ = nullptr;
};

}  // namespace

Status run_sweep(Pool& pool, const SweepOp& op, const void* job, int vector_bytes, int64_t start, int64_t stop,
                 int64_t n_candidates, double* out) {
  Pool::Lease lease(pool);
  Workspace& workspace = lease.workspace();
  const int64_t n_doubles = n_candidates * op.stat_size(job);
  const int n_threads =
      lease.n_threads(seconds_for(op.row_flops(job) * static_cast<double>(stop - start), vector_bytes));
  if (!workspace.packed.reserve(op.packed_bytes(job))) return Status::out_of_memory;
  if (!workspace.prepare(n_threads, op.scratch_bytes(job), n_doubles)) return Status::out_of_memory;
  if (const Status status = op.prepare(job, workspace.packed.data()); status != Status::ok) return status;

  Tree tree(op, job, workspace, start, stop, n_doubles);
  if (!tree.split(n_threads)) return Status::out_of_memory;
  lease.run(n_threads, tree.n_groups(), {&Tree::run_group, &tree});
  if (tree.status() != Status::ok) {
    workspace.forget_stats();
    return tree.status();
  }
  if (n_doubles > 0) std::memcpy(out, tree.result(), static_cast<size_t>(n_doubles) * sizeof(double));
  workspace.return_stats(tree.result());
  return Status::ok;
}

namespace {

struct Items {
  const ItemOp& op;
  const void* job;
  Workspace& workspace;
  std::atomic<Status> status{Status::ok};

  static void run(void* self, int64_t item, int slot) {
    Items& items = *static_cast<Items*>(self);
    const Status status = items.op.item(items.job, item, items.workspace.scratch(slot));
    if (status != Status::ok) keep_worst(items.status, status);
  }
};

}  // namespace

Status run_items(Pool& pool, const ItemOp& op, const void* job, int vector_bytes, int64_t n_items) {
  Pool::Lease lease(pool);
  const int n_threads = lease.n_threads(seconds_for(op.item_flops(job) * static_cast<double>(n_items), vector_bytes));
  if (!lease.workspace().prepare(n_threads, op.scratch_bytes(job), 0)) return Status::out_of_memory;
  Items items{op, job, lease.workspace()};
  lease.run(n_threads, n_items, {&Items::run, &items});
  return items.status;
}

}  // namespace pyestim
