// Alias tables of the rows of a transition matrix, by one sweep over a row without stacks (Huebschle-Schneider and
// Sanders 2022, doi:10.1145/3549934): places that have less than their share are filled from the present large cell;
// one that falls below its share is filled from the next.
//
// A cell of probability zero is never drawn, whatever rounding does: it gives nothing, and its threshold is zero.
#include <stdint.h>

#include "kernel/ops.hpp"

namespace pyestim::PYESTIM_ISA {
namespace {

const AliasJob& as_job(const void* job) { return *static_cast<const AliasJob*>(job); }

uint64_t threshold_of(double share) { return share >= 1 ? ~uint64_t(0) : share > 0 ? uint64_t(share * 0x1p64) : 0; }

struct DensePlaces {
  uint32_t* hot;
  uint64_t* threshold;

  void set(int64_t place, double share, int64_t alias) const {
    threshold[place] = threshold_of(share);
    hot[place] = uint32_t(threshold[place] >> 48 << 16) | uint32_t(alias);
  }
};

struct SparsePlaces {
  const int32_t* indices;
  int64_t stored;
  uint64_t* places;

  uint32_t symbol(int64_t place) const { return place < stored ? uint32_t(indices[place]) : ~uint32_t(0); }

  void set(int64_t place, double share, int64_t alias) const {
    places[2 * place] = uint64_t(symbol(alias)) << 32 | symbol(place);
    places[2 * place + 1] = threshold_of(share);
  }
};

// Shares in units of an even one. They are written down before anything is added to them, so that no instruction level
// contracts the product and the sum into one rounding: every level makes the same tables.
int64_t scale(double* share, int64_t n) {
  double sum = 0;
  int64_t largest = 0;
  for (int64_t i = 0; i < n; ++i) {
    sum += share[i];
    if (share[i] > share[largest]) largest = i;
  }
  const double factor = double(n) / sum;
  for (int64_t i = 0; i < n; ++i) share[i] *= factor;
  return largest;
}

template <class Places>
void fill(double* share, int64_t n, const Places& places) {
  const int64_t largest = scale(share, n);  // gives even where rounding leaves no cell above its share
  const auto gives = [&](int64_t i) { return share[i] >= 1 || i == largest; };
  const auto next = [&](int64_t i) {
    while (i < n && !gives(i)) ++i;
    return i;
  };
  int64_t giver = next(0);
  double left = share[giver];
  for (int64_t i = 0; i < n; ++i) {
    if (gives(i)) continue;
    places.set(i, share[i], giver);
    left -= 1 - share[i];
    while (left < 1) {
      const int64_t follower = next(giver + 1);
      if (follower == n) break;
      places.set(giver, left, follower);
      left = share[follower] - (1 - left);
      giver = follower;
    }
  }
  for (; giver < n; giver = next(giver + 1)) places.set(giver, 1, giver);
}

int64_t n_places(const AliasJob& job, int64_t row) {
  const AliasTables& t = job.tables;
  return t.indptr == nullptr ? t.n_states : t.indptr[row + 1] - t.indptr[row] + 1;
}

int64_t scratch_bytes(const void* any_job) {
  const AliasJob& job = as_job(any_job);
  int64_t most = 0;
  for (int64_t row = 0; row < job.tables.n_rows; ++row) {
    if (n_places(job, row) > most) most = n_places(job, row);
    if (job.tables.indptr == nullptr) break;
  }
  return most * int64_t(sizeof(double));
}

double item_flops(const void* any_job) {
  constexpr double per_place = 60;  // guesses that go wrong
  const AliasTables& t = as_job(any_job).tables;
  const double all = t.indptr == nullptr ? double(t.n_states) : double(t.indptr[t.n_rows]) / double(t.n_rows) + 1;
  return per_place * all;
}

Status item(const void* any_job, int64_t row, void* scratch) {
  const AliasJob& job = as_job(any_job);
  const AliasTables& t = job.tables;
  const int64_t n = n_places(job, row);
  double* share = static_cast<double*>(scratch);
  if (t.indptr == nullptr) {
    for (int64_t i = 0; i < n; ++i) share[i] = job.probability[row * n + i];
    fill(share, n, DensePlaces{t.hot + row * n, t.threshold + row * n});
  } else {
    const int64_t begin = t.indptr[row];
    for (int64_t i = 0; i < n - 1; ++i) share[i] = job.probability[begin + i];
    share[n - 1] = job.unseen[row] * double(t.n_states - (n - 1));
    fill(share, n, SparsePlaces{t.indices + begin, n - 1, t.places + 2 * (begin + row)});
  }
  return Status::ok;
}

}  // namespace

extern const ItemOp chain_alias_op = {scratch_bytes, item_flops, item};

}  // namespace pyestim::PYESTIM_ISA
