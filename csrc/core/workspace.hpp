// Memory for sweeps. It lives between sweeps (fresh large allocations fault on every page), and it is bounded.
#pragma once

#include <cstdint>
#include <mutex>
#include <vector>

#include "kernel/table.hpp"

namespace pyestim {

// Aligned bytes that only grow.
class Buffer {
 public:
  Buffer() = default;
  Buffer(Buffer&& other) noexcept : data_(other.data_), bytes_(other.bytes_) {
    other.data_ = nullptr, other.bytes_ = 0;
  }
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;
  ~Buffer() { release(); }

  // False if there is no memory. The content is lost when the buffer grows.
  bool reserve(int64_t bytes);
  void release();
  void* data() const { return data_; }
  int64_t bytes() const { return bytes_; }

 private:
  void* data_ = nullptr;
  int64_t bytes_ = 0;
};

class Workspace {
 public:
  Buffer packed;

  // Before the threads start: n_slots scratch buffers, and statistics of n_doubles each. False if there is no memory.
  bool prepare(int n_slots, int64_t scratch_bytes, int64_t n_doubles);
  void* scratch(int slot) const { return scratch_[slot].data(); }

  // Zeroed statistics, null if there is no memory; from any thread.
  double* take_stats();
  void return_stats(double* stats);
  // After a failure, when statistics are lost in the tree: frees them all.
  void forget_stats();

  // Frees what is too large to keep.
  void trim();

 private:
  std::vector<Buffer> scratch_;
  std::mutex mutex_;
  int64_t n_doubles_ = 0;
  std::vector<Buffer> stats_;        // all that exist
  std::vector<double*> free_stats_;  // those that nobody uses
};

}  // namespace pyestim
