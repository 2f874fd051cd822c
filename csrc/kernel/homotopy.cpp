// One segment of a Lasso path on a Gram matrix: from the solution at one penalty to that at another, exactly.
//
//   minimise over w:  w' G w / 2 - linear' w + alpha sum_j weight_j |w_j|
//
// On the active set A the solution is linear in alpha between kinks (Osborne, Presnell & Turlach 2000; Efron et al.
// 2004). The correlations c = linear - G w need not fit the start: what they miss there, drift = c - target, is taken
// away in proportion to the way, so that the solution is exact at the end. Rounding, a changed ridge on the diagonal
// of G, unpenalised coordinates and coordinates that join in violation of their condition are all the same case.
//
// Positions 0 .. a - 1 are the active set in the order of the inverse; entering and leaving swap positions, so every
// product runs over whole rows. Of G and of the inverse the lower triangle counts. The inverse is a stored part plus
// rank-one terms that wait until there are enough of them to be worth a pass.
#include <stdint.h>
#if !defined(__GNUC__)
#include <math.h>
#endif

#include "kernel/ops.hpp"

namespace pyestim::PYESTIM_ISA {
namespace {

#include "math/pack.hpp"
//
#include "kernel/symmetric.hpp"

constexpr int max_pending = 8;
constexpr double least_pivot = 1e-10;  // of the diagonal: below it a coordinate lies in the span of the active ones
constexpr double least_rate = 1e-10;   // of the largest rate possible: slower is rounding
constexpr double tie = 1e-13;          // events this close, in units of the segment, happen at once
constexpr double banned = 2.0;         // sign of an inactive coordinate that may not enter

struct Event {
  double length;  // of the step that leads to it, in units of the segment
  int64_t position;
  int64_t column;
  double sign;  // of what enters; 0: the coordinate leaves
};

struct Segment {
  const HomotopyJob& job;
  const int64_t m, stride, capacity;
  const double slope;  // d alpha / d tau
  double *coef, *corr, *linear, *weight, *sign;
  // scratch, by position
  double *drift, *rate, *direction, *cross, *wanted, *pending;
  double pending_scale[max_pending];
  int n_pending = 0;
  int64_t a;
  double tau = 0.0;
  bool any_banned = false;

  Segment(const HomotopyJob& given, double* scratch)
      : job(given),
        m(given.m),
        stride(given.stride),
        capacity(given.capacity),
        slope(given.alpha_to - given.alpha_from) {
    double** state[] = {&coef, &corr, &linear, &weight, &sign};
    for (int k = 0; k < 5; ++k) *state[k] = given.state + k * stride;
    double** by_position[] = {&drift, &rate, &direction, &cross, &wanted};
    for (int k = 0; k < 5; ++k) *by_position[k] = scratch + k * stride;
    pending = scratch + 5 * stride;
    a = *given.n_active;
  }

  double alpha() const { return tau < 1.0 ? job.alpha_from + tau * slope : job.alpha_to; }
  double* term(int k) { return pending + k * capacity; }
  const double* gram_row(int64_t i) const { return job.gram + i * stride; }

  // ---- the inverse --------------------------------------------------------------------------------------------------

  // y = G_AA^-1 x
  void solve(double* y, const double* x) {
    times_symmetric(y, job.inverse, capacity, x, a);
    for (int k = 0; k < n_pending; ++k) add_multiple(y, pending_scale[k] * dot(term(k), x, a), term(k), a);
  }

  void store_pending() {
    for (int64_t i = 0; i < a; ++i) {
      double* row = job.inverse + i * capacity;
      for (int k = 0; k < n_pending; ++k) add_multiple(row, pending_scale[k] * term(k)[i], term(k), i + 1);
    }
    n_pending = 0;
  }

  // Adds scale x x' over the first `size` positions.
  void add_term(const double* x, double scale, int64_t size) {
    if (n_pending == max_pending) store_pending();
    double* to = term(n_pending);
    for (int64_t i = 0; i < size; ++i) to[i] = x[i];
    pending_scale[n_pending++] = scale;
  }

  // ---- the active set -----------------------------------------------------------------------------------------------

  void swap_positions(int64_t i, int64_t j) {
    if (i == j) return;
    swap_symmetric(job.gram, stride, i, j, m);
    double* const arrays[] = {coef, corr, linear, weight, sign, drift, rate, direction, wanted};
    for (double* array : arrays) swap(array[i], array[j]);
    const int64_t kept = job.column[i];
    job.column[i] = job.column[j];
    job.column[j] = kept;
  }

  double wanted_of(int64_t i) const { return drift[i] - slope * weight[i] * sign[i]; }

  // The coordinate at position a becomes active; cross = G_AA^-1 G_Aa is there. Bordering.
  void append(double pivot, double entering_sign) {
    sign[a] = entering_sign;
    wanted[a] = wanted_of(a);
    cross[a] = -1.0;
    direction[a] = 0.0;
    double* row = job.inverse + a * capacity;
    for (int64_t k = 0; k <= a; ++k) row[k] = 0.0;
    for (int k = 0; k < n_pending; ++k) term(k)[a] = 0.0;
    ++a;
    add_multiple(direction, dot(cross, wanted, a) / pivot, cross, a);
    add_term(cross, 1.0 / pivot, a);
  }

  void leave(int64_t k) {
    const int64_t last = a - 1;
    if (k != last) {
      swap_positions(k, last);
      swap_symmetric(job.inverse, capacity, k, last, a);
      for (int i = 0; i < n_pending; ++i) swap(term(i)[k], term(i)[last]);
    }
    const double* row = job.inverse + last * capacity;
    for (int64_t i = 0; i < a; ++i) cross[i] = row[i];
    for (int i = 0; i < n_pending; ++i) add_multiple(cross, pending_scale[i] * term(i)[last], term(i), a);
    add_multiple(direction, -direction[last] / cross[last], cross, last);
    coef[last] = 0.0;
    corr[last] = alpha() * weight[last] * sign[last];
    sign[last] = 0.0;
    a = last;
    add_term(cross, -1.0 / cross[last], last);
    if (any_banned) {
      for (int64_t i = a; i < m; ++i) sign[i] = 0.0;
    }
    any_banned = false;
  }

  // Whether there is room.
  bool enter(int64_t j, double entering_sign) {
    if (a == capacity) return false;
    swap_positions(a, j);
    solve(cross, gram_row(a));
    const double diagonal = gram_row(a)[a], pivot = diagonal - dot(cross, gram_row(a), a);
    if (pivot > least_pivot * diagonal) {
      append(pivot, entering_sign);
    } else if (!exchange(entering_sign)) {
      sign[a] = banned;
      any_banned = true;
    }
    return true;
  }

  // The coordinate at position a lies in the span of the active ones. Moving it against cross changes neither the fit
  // nor the objective; the first active coordinate that comes to zero makes room. Whether one does.
  bool exchange(double entering_sign) {
    int64_t leaving = -1;
    double length = __builtin_huge_val();
    for (int64_t i = 0; i < a; ++i) {
      const double speed = entering_sign * cross[i] * sign[i];
      if (!(weight[i] > 0 && speed > 1e-8)) continue;
      const double reached = absolute(coef[i]) / speed;
      if (reached < length) {
        length = reached;
        leaving = i;
      }
    }
    if (leaving < 0) return false;
    add_multiple(coef, -entering_sign * length, cross, a);
    coef[a] = entering_sign * length;
    leave(leaving);
    swap_positions(a, a + 1);
    solve(cross, gram_row(a));
    const double diagonal = gram_row(a)[a], pivot = diagonal - dot(cross, gram_row(a), a);
    if (!(pivot > least_pivot * diagonal)) {
      coef[a] = 0.0;
      return false;
    }
    append(pivot, entering_sign);
    return true;
  }

  // ---- along the path -----------------------------------------------------------------------------------------------

  void begin() {
    for (int64_t i = 0; i < m; ++i) {
      const double bound = job.alpha_from * weight[i];
      double target = i < a ? bound * sign[i] : corr[i];
      if (i >= a) {
        sign[i] = 0.0;
        target = target > bound ? bound : target < -bound ? -bound : target;
      }
      drift[i] = corr[i] - target;
      corr[i] = target;
    }
    for (int64_t i = 0; i < a; ++i) wanted[i] = wanted_of(i);
    solve(direction, wanted);
  }

  // rate = d corr / d tau of the inactive coordinates
  void find_rates() {
    int64_t i = a;
    for (; i + 4 <= m; i += 4) four_dots(rate + i, gram_row(i), stride, direction, a);
    for (; i < m; ++i) rate[i] = dot(gram_row(i), direction, a);
    for (i = a; i < m; ++i) rate[i] = drift[i] - rate[i];
  }

  static void keep_first(Event& first, const Event& other) {
    if (other.length < first.length - tie || (other.length < first.length + tie && other.column < first.column))
      first = other;
  }

  // Of events at once the one of the smallest column is first: then no sequence of zero steps returns (Murty 1974).
  Event next_event() const {
    Event first{__builtin_huge_val(), -1, INT64_MAX, 0.0};
    for (int64_t i = 0; i < a; ++i) {
      if (weight[i] > 0 && direction[i] * sign[i] < 0) {
        const double left = coef[i] * sign[i];
        keep_first(first, {left > 0 ? left / absolute(direction[i]) : 0.0, i, job.column[i], 0.0});
      }
    }
    const double now = alpha();
    for (int64_t i = a; i < m; ++i) {
      if (sign[i] == banned) continue;
      const double bound = now * weight[i], closing = slope * weight[i];
      const double least = least_rate * (absolute(closing) + absolute(drift[i]) + absolute(rate[i]));
      for (double side = 1.0; side >= -1.0; side -= 2.0) {
        const double speed = side * rate[i] - closing, left = bound - side * corr[i];
        if (speed > least) keep_first(first, {left > 0 ? left / speed : 0.0, i, job.column[i], side});
      }
    }
    return first;
  }

  void advance(double length) {
    add_multiple(coef, length, direction, a);
    add_multiple(corr + a, length, rate + a, m - a);
    tau += length;
  }

  HomotopyEnd follow(int64_t* kinks) {
    for (*kinks = 0; *kinks < job.max_kinks; ++*kinks) {
      find_rates();
      const Event event = next_event();
      if (!(event.length < 1.0 - tau)) {
        advance(1.0 - tau);
        tau = 1.0;
        return HomotopyEnd::reached;
      }
      advance(event.length);
      if (event.sign == 0.0) {
        leave(event.position);
      } else if (!enter(event.position, event.sign)) {
        return HomotopyEnd::full;
      }
    }
    return HomotopyEnd::kinks;
  }

  // corr = linear - G w
  void find_correlations() {
    times_symmetric(corr, job.gram, stride, coef, a);
    int64_t i = a;
    for (; i + 4 <= m; i += 4) four_dots(corr + i, gram_row(i), stride, coef, a);
    for (; i < m; ++i) corr[i] = dot(gram_row(i), coef, a);
    for (i = 0; i < m; ++i) corr[i] = linear[i] - corr[i];
  }

  // One step of refinement at the end of the segment; returns the largest condition that it leaves unmet.
  double refine() {
    times_symmetric(rate, job.gram, stride, coef, a);
    for (int64_t i = 0; i < a; ++i) rate[i] = linear[i] - rate[i] - job.alpha_to * weight[i] * sign[i];
    solve(direction, rate);
    for (int64_t i = 0; i < a; ++i) {
      coef[i] += direction[i];
      if (weight[i] > 0 && coef[i] * sign[i] < 0) coef[i] = 0.0;
    }
    find_correlations();
    double worst = 0.0;
    for (int64_t i = 0; i < a; ++i) {
      const double miss = absolute(corr[i] - job.alpha_to * weight[i] * sign[i]);
      if (!(miss <= worst)) worst = miss;
    }
    return worst;
  }
};

int64_t scratch_bytes(const void* any_job) {
  const auto& job = *static_cast<const HomotopyJob*>(any_job);
  return (5 * job.stride + max_pending * job.capacity) * int64_t(sizeof(double));
}

// All of it runs on the calling thread.
double item_flops(const void*) { return 0.0; }

Status item(const void* any_job, int64_t, void* scratch) {
  const auto& job = *static_cast<const HomotopyJob*>(any_job);
  Segment segment(job, static_cast<double*>(scratch));
  segment.begin();
  *job.end = segment.follow(job.kinks);
  segment.store_pending();
  *job.reached = segment.alpha();
  *job.miss = 0.0;
  if (*job.end == HomotopyEnd::reached) {
    *job.miss = segment.refine();
  } else {
    segment.find_correlations();
  }
  *job.n_active = segment.a;
  return Status::ok;
}

}  // namespace

extern const ItemOp homotopy_op = {scratch_bytes, item_flops, item};

}  // namespace pyestim::PYESTIM_ISA
