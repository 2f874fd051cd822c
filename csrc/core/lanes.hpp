// The one place that owns threads: a pool that nobody has to wait for.
//
// run() publishes a piece of work, wakes whoever is parked, and works through the items itself; at the end it waits only for workers
// that have entered. A worker that the system schedules late finds the work done and goes back to sleep.
#pragma once

#include <atomic>
#include <cstdint>
#include <mutex>
#include <vector>

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

  // Exclusive use of the workers. Without it (another thread of the program is in a sweep) the holder works alone, with the same bits.
  class Lease {
   public:
    explicit Lease(Pool& pool);
    ~Lease();
    Lease(const Lease&) = delete;
    Lease& operator=(const Lease&) = delete;
    bool owner() const { return owner_; }
    // Threads that are worth using for work that takes `seconds` on one thread.
    int n_threads(double seconds) const;
    void run(int n_threads, int64_t n_items, Work work);

   private:
    Pool& pool_;
    bool owner_;
  };

 private:
  struct Team;
  Team* team();

  std::atomic<int> n_threads_;
  const int n_cores_;
  std::mutex mutex_;
  Team* team_ = nullptr;
};

}  // namespace pyestim
