#include "core/workspace.hpp"

#include <algorithm>
#include <cstring>
#include <new>

namespace pyestim {
namespace {

constexpr int64_t kept_bytes = int64_t{32} << 20;

}  // namespace

bool Buffer::reserve(int64_t bytes) {
  if (bytes <= bytes_ && data_) return true;
  release();
  bytes = std::max<int64_t>(bytes, alignment);
  data_ = ::operator new(static_cast<size_t>(bytes), std::align_val_t{alignment}, std::nothrow);
  bytes_ = data_ ? bytes : 0;
  return data_ != nullptr;
}

void Buffer::release() {
  if (data_) ::operator delete(data_, std::align_val_t{alignment});
  data_ = nullptr;
  bytes_ = 0;
}

bool Workspace::prepare(int n_slots, int64_t scratch_bytes, int64_t n_doubles) {
  if (static_cast<int>(scratch_.size()) < n_slots) scratch_.resize(n_slots);
  for (int slot = 0; slot < n_slots; ++slot)
    if (!scratch_[slot].reserve(scratch_bytes)) return false;
  if (n_doubles != n_doubles_) {
    free_stats_.clear();
    stats_.clear();
    n_doubles_ = n_doubles;
  }
  return true;
}

double* Workspace::take_stats() {
  double* stats = nullptr;
  try {
    const std::lock_guard lock(mutex_);
    if (free_stats_.empty()) {
      Buffer fresh;
      free_stats_.reserve(stats_.size() + 1);
      if (!fresh.reserve(n_doubles_ * int64_t{sizeof(double)})) return nullptr;
      stats_.push_back(std::move(fresh));
      free_stats_.push_back(static_cast<double*>(stats_.back().data()));
    }
    stats = free_stats_.back();
    free_stats_.pop_back();
  } catch (const std::bad_alloc&) {
    return nullptr;
  }
  std::memset(stats, 0, static_cast<size_t>(n_doubles_) * sizeof(double));
  return stats;
}

void Workspace::return_stats(double* stats) {
  const std::lock_guard lock(mutex_);
  free_stats_.push_back(stats);  // room was reserved when the buffer was made
}

void Workspace::forget_stats() {
  free_stats_.clear();
  stats_.clear();
}

void Workspace::trim() {
  int64_t bytes = packed.bytes();
  for (const Buffer& buffer : scratch_) bytes += buffer.bytes();
  for (const Buffer& buffer : stats_) bytes += buffer.bytes();
  if (bytes <= kept_bytes) return;
  packed.release();
  scratch_.clear();
  forget_stats();
}

}  // namespace pyestim
