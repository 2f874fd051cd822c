// The one place that owns threads: a pool that nobody has to wait for.
//
// run() publishes a piece of work, wakes whoever is parked, and works through the items itself; at the end it waits
// only for workers that have entered. A worker that the system schedules late finds the work done and goes back to
// sleep.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>

#include "core/workspace.hpp"

namespace pyestim {

// A function that computes item `item`; `slot` < n_threads tells which scratch is free. Must not throw.
struct Work {
  void (*call)(void* self, int64_t item, int slot);
  void* self;
};

class Pool {
 public:
  // n_cores: cores that this process may use; workers spin only when every thread has a core.
  Pool(int n_threads, int n_cores);
  ~Pool();
  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;

  int n_threads() const { return n_threads_.load(std::memory_order_relaxed); }
  void set_n_threads(int n_threads) { n_threads_.store(n_threads, std::memory_order_relaxed); }
  int n_cores() const { return n_cores_; }

  // The right to use the workers and the buffers that live between sweeps. Whoever does not get it, because another
  // thread of the program is in a sweep, works alone with buffers of its own and gets the same bits.
  class Lease {
   public:
    explicit Lease(Pool& pool);
    ~Lease();
    Lease(const Lease&) = delete;
    Lease& operator=(const Lease&) = delete;

    bool owner() const { return owner_; }
    Workspace& workspace() { return *workspace_; }
    // Threads that are worth waking for work that takes one thread `seconds`.
    int n_threads(double seconds) const;
    // Calls work for items 0 .. n_items - 1, in any order, from at most n_threads threads.
    void run(int n_threads, int64_t n_items, Work work);

   private:
    Pool& pool_;
    bool owner_ = false;
    std::unique_ptr<Workspace> own_workspace_;
    Workspace* workspace_ = nullptr;
  };

 private:
  struct Team;

  std::atomic<int> n_threads_;
  const int n_cores_;
  std::atomic<int64_t> holder_{0};  // process that holds the lease, 0: nobody
  Team* team_ = nullptr;            // guarded by the lease
};

}  // namespace pyestim
