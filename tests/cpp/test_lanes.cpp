// The pool: every item exactly once, whatever the number of threads, callers and processes.
#include <atomic>
#include <thread>
#include <vector>

#include "check.hpp"
#include "core/lanes.hpp"

#ifndef _WIN32
#include <sys/wait.h>
#include <unistd.h>
#endif

using pyestim::Pool;

namespace {

struct Counter {
  std::vector<std::atomic<int>> hits;
  std::atomic<int> highest_slot{0};
  explicit Counter(size_t n) : hits(n) {}

  static void count(void* self, int64_t item, int slot) {
    Counter& counter = *static_cast<Counter*>(self);
    ++counter.hits[static_cast<size_t>(item)];
    int seen = counter.highest_slot;
    while (seen < slot && !counter.highest_slot.compare_exchange_weak(seen, slot)) {
    }
  }
  bool each_once() const {
    for (const auto& hit : hits)
      if (hit != 1) return false;
    return true;
  }
};

bool runs_each_item_once(Pool& pool, int n_threads, int64_t n_items) {
  Counter counter(static_cast<size_t>(n_items));
  Pool::Lease lease(pool);
  lease.run(n_threads, n_items, {&Counter::count, &counter});
  return counter.each_once() && counter.highest_slot < n_threads;
}

TEST(every_item_runs_once_for_any_number_of_threads) {
  for (const int n_threads : {1, 2, 3, 7}) {
    Pool pool(n_threads, 2);
    for (int repeat = 0; repeat < 300; ++repeat)
      for (const int64_t n_items : {0, 1, 2, 5, 64}) CHECK(runs_each_item_once(pool, n_threads, n_items));
  }
}

TEST(the_number_of_threads_may_change_between_sweeps) {
  Pool pool(1, 8);
  for (int repeat = 0; repeat < 100; ++repeat) {
    pool.set_n_threads(1 + repeat % 5);
    CHECK(runs_each_item_once(pool, pool.n_threads(), 32));
  }
}

TEST(a_worker_that_wakes_late_stays_out_of_a_run_of_fewer_threads) {
  Pool pool(8, 2);  // more threads than cores: workers park, and many of them wake up too late
  for (int repeat = 0; repeat < 3000; ++repeat) {
    CHECK(runs_each_item_once(pool, 8, 8));
    CHECK(runs_each_item_once(pool, 2, 500));
  }
}

TEST(parked_workers_wake_up) {
  Pool pool(3, 3);
  for (int repeat = 0; repeat < 20; ++repeat) {
    CHECK(runs_each_item_once(pool, 3, 100));
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
}

TEST(callers_at_the_same_time_share_nothing) {
  Pool pool(3, 2);
  std::atomic<int> wrong{0}, owners{0};
  std::vector<std::thread> callers;
  for (int i = 0; i < 4; ++i)
    callers.emplace_back([&] {
      for (int repeat = 0; repeat < 500; ++repeat) {
        Counter counter(40);
        Pool::Lease lease(pool);
        const int n_threads = lease.n_threads(1);
        if (lease.owner() ? n_threads != 3 : n_threads != 1) ++wrong;
        owners += lease.owner();
        lease.run(n_threads, 40, {&Counter::count, &counter});
        if (!counter.each_once()) ++wrong;
      }
    });
  for (std::thread& caller : callers) caller.join();
  CHECK(wrong == 0);
  CHECK(owners > 0);
}

TEST(little_work_stays_on_one_thread) {
  Pool pool(4, 4);
  Pool::Lease lease(pool);
  CHECK(lease.n_threads(1e-6) == 1);
  CHECK(lease.n_threads(1e-2) == 4);
}

#ifndef _WIN32
bool child_succeeds(bool (*body)(Pool&), Pool& pool) {
  const pid_t child = fork();
  if (child == 0) _exit(body(pool) ? 0 : 1);
  int status = -1;
  waitpid(child, &status, 0);
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

TEST(a_forked_child_gets_workers_of_its_own) {
  Pool pool(3, 3);
  CHECK(runs_each_item_once(pool, 3, 50));
  CHECK(child_succeeds([](Pool& p) { return runs_each_item_once(p, 3, 50) && runs_each_item_once(p, 3, 50); }, pool));
  CHECK(runs_each_item_once(pool, 3, 50));
}

TEST(a_child_forked_during_a_sweep_gets_the_lease) {
  Pool pool(2, 2);
  const Pool::Lease held(pool);
  const auto body = [](Pool& p) {
    const bool owner = Pool::Lease(p).owner();
    return owner && runs_each_item_once(p, 2, 50);
  };
  CHECK(child_succeeds(body, pool));
  CHECK(!Pool::Lease(pool).owner());
}
#endif

}  // namespace
