#include "bind/run.hpp"

#include "core/columns.hpp"
#include "core/sweep.hpp"

namespace pyestim::bind {
namespace {

template <class Function>
Status without_gil(Function&& function) {
  py::gil_scoped_release release;  // every check is done; no Python object is touched from here on
  return function();
}

void run(Context& context, const char* function, const SweepOp& op, const void* job, int64_t start, int64_t stop,
         int64_t n_candidates, double* out) {
  raise_status(function, without_gil([&] {
                 return run_sweep(context.pool, op, job, context.kernels.vector_bytes, start, stop, n_candidates, out);
               }));
}

}  // namespace

void raise_status(const char* function, Status status) {
  const std::string who = std::string(function) + ": ";
  switch (status) {
    case Status::ok:
      return;
    case Status::out_of_memory:
      throw std::bad_alloc();
    case Status::not_positive_definite:
      throw py::value_error(who + "a matrix that must be positive definite is not.");
    case Status::unsupported:
      throw py::value_error(who + "this combination of arguments is not supported.");
  }
}

void sweep(Context& context, const char* function, const SweepOp& op, const void* job, int64_t start, int64_t stop,
           int64_t n_candidates, const py::object& out) {
  const int64_t size = op.stat_size(job);
  run(context, function, op, job, start, stop, n_candidates,
      size ? output<double>(out, {function, "out"}, {n_candidates, size}) : nullptr);
}

void sweep_one(Context& context, const char* function, const SweepOp& op, const void* job, int64_t start, int64_t stop,
               const py::object& out) {
  run(context, function, op, job, start, stop, 1, output<double>(out, {function, "out"}, {op.stat_size(job)}));
}

void items(Context& context, const char* function, const ItemOp& op, const void* job, int64_t n_items) {
  raise_status(function,
               without_gil([&] { return run_items(context.pool, op, job, context.kernels.vector_bytes, n_items); }));
}

int64_t tally(Context& context, const char* function, const TallyOp& op, void* job, int64_t start, int64_t stop) {
  int64_t bad_row = -1;
  raise_status(function, without_gil([&] {
                 return run_tally(context.pool, op, job, context.kernels.vector_bytes, start, stop, bad_row);
               }));
  return bad_row;
}

void columns(Context& context, const char* function, const ColumnSumsJob& job) {
  raise_status(function, without_gil([&] { return run_column_sums(context.pool, context.kernels, job); }));
}

void columns(Context& context, const char* function, const ColumnTimesJob& job) {
  raise_status(function, without_gil([&] { return run_column_times(context.pool, context.kernels, job); }));
}

void columns(Context& context, const char* function, const ColumnGramJob& job) {
  raise_status(function, without_gil([&] { return run_column_gram(context.pool, context.kernels, job); }));
}

void apply_prox(Context& context, const char* function, const ProxJob& job) {
  raise_status(function, without_gil([&] { return context.kernels.apply_prox(&job); }));
}

void apply_math(Context& context, const char* function, const MathJob& job, int64_t n) {
  raise_status(function, without_gil([&] { return context.kernels.apply_math(&job, 0, n); }));
}

}  // namespace pyestim::bind
