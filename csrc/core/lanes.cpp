#include "core/lanes.hpp"

#include <algorithm>
#include <chrono>
#include <exception>
#include <thread>
#include <vector>

#ifdef _WIN32
#include <process.h>
#else
#include <unistd.h>
#endif

namespace pyestim {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::chrono::microseconds spin_time{50};
// Waking parked workers costs about 8 us and gains nothing below 30 us of work; spinning ones answer within a
// microsecond.
constexpr double worth_waking_seconds = 30e-6;
constexpr double worth_sharing_seconds = 3e-6;

int64_t process_id() {
#ifdef _WIN32
  return _getpid();
#else
  return getpid();
#endif
}

void pause_briefly() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__) && !defined(_MSC_VER)
  __asm__ volatile("yield");
#else
  std::this_thread::yield();
#endif
}

// Spins until ready() or the time is over; looks at the clock only now and then.
template <class Ready>
bool spin_until(Ready ready) {
  const Clock::time_point end = Clock::now() + spin_time;
  do {
    for (int i = 0; i < 16; ++i) {
      if (ready()) return true;
      pause_briefly();
    }
  } while (Clock::now() < end);
  return ready();
}

}  // namespace

struct Pool::Team {
  // One cache line each: a worker spins on its own bell.
  struct alignas(64) Worker {
    std::atomic<uint32_t> bell{0};
    std::thread thread;
  };

  const int64_t process = process_id();
  Workspace workspace;
  std::vector<std::unique_ptr<Worker>> workers;
  Clock::time_point last_use{};
  std::atomic<bool> spin{false};
  std::atomic<bool> stop{false};

  // The published work. Written only while `open` is false and `active` is zero.
  Work work{};
  int64_t n_items = 0;
  int n_slots = 0;
  alignas(64) std::atomic<int64_t> next{0};
  alignas(64) std::atomic<int32_t> active{0};
  std::atomic<bool> open{false};

  ~Team() {
    stop = true;
    for (auto& worker : workers) ring(*worker);
    for (auto& worker : workers) worker->thread.join();
  }

  static void ring(Worker& worker) {
    worker.bell.fetch_add(1);
    worker.bell.notify_one();
  }

  void work_through(int slot) {
    for (int64_t item = next++; item < n_items; item = next++) work.call(work.self, item, slot);
  }

  void live(Worker& self, int slot) {
    uint32_t seen = 0;
    while (true) {
      const auto rung = [&] { return self.bell.load() != seen; };
      if (!spin.load(std::memory_order_relaxed) || !spin_until(rung)) self.bell.wait(seen);
      seen = self.bell.load();
      if (stop) return;
      // Entering before looking at `open`, the caller closing before looking at `active`: one of the two sees the
      // other.
      ++active;
      // A worker that was rung for an earlier run of more threads may wake up in this one, which has no scratch for it.
      if (open && slot < n_slots) work_through(slot);
      if (--active == 0) active.notify_one();
    }
  }

  // Workers that exist afterwards, at most n. The system may refuse threads; then there are fewer.
  int grow(int n) {
    try {
      while (static_cast<int>(workers.size()) < n) {
        const int slot = static_cast<int>(workers.size()) + 1;
        auto worker = std::make_unique<Worker>();
        Worker& self = *worker;
        workers.reserve(workers.size() + 1);
        worker->thread = std::thread([this, &self, slot] { live(self, slot); });
        workers.push_back(std::move(worker));
      }
    } catch (const std::exception&) {
    }
    return std::min(n, static_cast<int>(workers.size()));
  }

  void run(int n_threads, int64_t n_items_, Work work_) {
    const int n_workers = grow(n_threads - 1);
    work = work_;
    n_items = n_items_;
    n_slots = n_workers + 1;
    next = 0;
    open = true;
    for (int i = 0; i < n_workers; ++i) ring(*workers[i]);
    work_through(0);
    open = false;
    const auto idle = [&] { return active.load() == 0; };
    if (!spin.load(std::memory_order_relaxed) || !spin_until(idle))
      for (int32_t n = active.load(); n != 0; n = active.load()) active.wait(n);
  }
};

Pool::Pool(int n_threads, int n_cores) : n_threads_(n_threads), n_cores_(n_cores) {}

Pool::~Pool() {
  // In a forked child the workers do not exist: joining them would wait for ever. Their memory is given up.
  if (team_ && team_->process == process_id()) delete team_;
}

Pool::Lease::Lease(Pool& pool) : pool_(pool) {
  const int64_t process = process_id();
  int64_t holder = pool.holder_.load();
  // A holder from another process is a lease that was out when the parent forked; nobody will return it.
  while (holder != process && !owner_) owner_ = pool.holder_.compare_exchange_weak(holder, process);
  if (!owner_) {
    own_workspace_ = std::make_unique<Workspace>();
    workspace_ = own_workspace_.get();
    return;
  }
  try {
    // After a fork the parent's team is given up.
    if (!pool.team_ || pool.team_->process != process) pool.team_ = new Team;
  } catch (...) {
    pool.holder_ = 0;
    throw;
  }
  workspace_ = &pool.team_->workspace;
}

Pool::Lease::~Lease() {
  if (!owner_) return;
  workspace_->trim();
  pool_.holder_ = 0;
}

int Pool::Lease::n_threads(double seconds) const {
  const int n = pool_.n_threads();
  if (!owner_ || n <= 1) return 1;
  const bool awake = n <= pool_.n_cores_ && Clock::now() - pool_.team_->last_use < spin_time;
  return seconds < (awake ? worth_sharing_seconds : worth_waking_seconds) ? 1 : n;
}

void Pool::Lease::run(int n_threads, int64_t n_items, Work work) {
  n_threads = static_cast<int>(std::min<int64_t>(n_threads, n_items));
  if (!owner_ || n_threads <= 1) {
    for (int64_t item = 0; item < n_items; ++item) work.call(work.self, item, 0);
    return;
  }
  pool_.team_->spin.store(pool_.n_threads() <= pool_.n_cores_, std::memory_order_relaxed);
  pool_.team_->run(n_threads, n_items, work);
  pool_.team_->last_use = Clock::now();
}

}  // namespace pyestim
