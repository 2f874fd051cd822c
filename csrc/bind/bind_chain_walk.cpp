#include "bind/bind.hpp"
#include "bind/run.hpp"

namespace pyestim::bind {
namespace {

constexpr int64_t most_states_of_hot_places = int64_t(1) << 16;

AliasTables dense_tables(const char* function, int64_t n_rows, int64_t n_states, const py::object& hot,
                         const py::object& threshold) {
  if (n_states > most_states_of_hot_places)
    raise_value({function, "n_states"}, "be at most " + std::to_string(most_states_of_hot_places),
                std::to_string(n_states));
  AliasTables tables{};
  tables.n_rows = n_rows;
  tables.n_states = static_cast<int32_t>(n_states);
  tables.hot = output<uint32_t>(hot, {function, "hot"}, {n_rows, n_states});
  tables.threshold = output<uint64_t>(threshold, {function, "threshold"}, {n_rows, n_states});
  return tables;
}

// The caller guarantees what cannot be seen cheaply: indptr rises from 0, indices rise in a row and are states.
AliasTables sparse_tables(const char* function, int64_t n_states, const py::object& indptr, const py::object& indices,
                          const py::object& places) {
  AliasTables tables{};
  tables.n_rows = extent(indptr, {function, "indptr"}, 1, 0, 2) - 1;
  tables.n_states = static_cast<int32_t>(n_states);
  const int64_t stored = extent(indices, {function, "indices"}, 1, 0, 0);
  tables.indptr = input<int64_t>(indptr, {function, "indptr"}, {-1});
  tables.indices = input<int32_t>(indices, {function, "indices"}, {-1});
  tables.places = output<uint64_t>(places, {function, "places"}, {stored + tables.n_rows, 2});
  return tables;
}

void alias_dense(Context& context, const py::object& probability, const py::object& hot, const py::object& threshold) {
  constexpr const char* function = "alias_dense";
  const Argument who{function, "probability"};
  const int64_t n_rows = extent(probability, who, 2, 0), n_states = extent(probability, who, 2, 1);
  AliasJob job{};
  job.tables = dense_tables(function, n_rows, n_states, hot, threshold);
  job.probability = input<double>(probability, who, {n_rows, n_states});
  items(context, function, *context.kernels.chain_alias, &job, n_rows);
}

void alias_sparse(Context& context, const py::object& probability, const py::object& unseen, int64_t n_states,
                  const py::object& indptr, const py::object& indices, const py::object& places) {
  constexpr const char* function = "alias_sparse";
  AliasJob job{};
  job.tables = sparse_tables(function, n_states, indptr, indices, places);
  job.probability =
      input<double>(probability, {function, "probability"}, {extent(indices, {function, "indices"}, 1, 0, 0)});
  job.unseen = input<double>(unseen, {function, "unseen"}, {job.tables.n_rows});
  items(context, function, *context.kernels.chain_alias, &job, job.tables.n_rows);
}

struct Walk {
  ChainWalkJob job;
  const char* function;

  void set_contexts(const py::object& contexts, const py::object& successor, int64_t order) {
    const int64_t n_rows = job.tables.n_rows;
    job.order = static_cast<int32_t>(order);
    if (contexts.is_none() && (order != 1 || n_rows != job.tables.n_states))
      raise_value({function, "contexts"}, "be given unless row i is state i", "none");
    job.contexts = optional_input<int32_t>(contexts, {function, "contexts"}, {n_rows, order});
    job.successor = optional_input<int64_t>(successor, {function, "successor"}, {n_rows, 2});
  }

  // They say where threads write.
  void check_offsets() const {
    bool rising = job.offsets[0] == 0;
    for (int64_t i = 0; i < job.n_sequences; ++i) rising = rising && job.offsets[i] <= job.offsets[i + 1];
    if (!rising) raise_value({function, "offsets"}, "rise from 0", "others");
  }

  void run(Context& context, const py::object& start, const py::object& initial, const py::object& offsets,
           int64_t first_sequence, uint64_t seed, const py::object& out) {
    job.n_sequences = extent(offsets, {function, "offsets"}, 1, 0, 2) - 1;
    job.offsets = input<int64_t>(offsets, {function, "offsets"}, {-1});
    check_offsets();
    job.first_sequence = first_sequence;
    job.seed = seed;
    job.start = optional_input<double>(start, {function, "start"}, {job.tables.n_rows});
    job.initial = optional_input<int32_t>(initial, {function, "initial"}, {job.n_sequences, job.order});
    job.out = output<int32_t>(out, {function, "out"}, {job.offsets[job.n_sequences]});
    items(context, function, *context.kernels.chain_walk, &job, job.n_sequences);
  }
};

void walk_dense(Context& context, int64_t n_states, const py::object& hot, const py::object& threshold, int64_t order,
                const py::object& contexts, const py::object& successor, const py::object& start,
                const py::object& initial, const py::object& offsets, int64_t first_sequence, uint64_t seed,
                const py::object& out) {
  Walk walk{{}, "walk_dense"};
  const int64_t n_rows = extent(hot, {walk.function, "hot"}, 2, 0);
  walk.job.tables = dense_tables(walk.function, n_rows, n_states, hot, threshold);
  walk.set_contexts(contexts, successor, order);
  walk.run(context, start, initial, offsets, first_sequence, seed, out);
}

void walk_sparse(Context& context, int64_t n_states, const py::object& indptr, const py::object& indices,
                 const py::object& places, int64_t order, const py::object& contexts, const py::object& successor,
                 const py::object& start, const py::object& initial, const py::object& offsets, int64_t first_sequence,
                 uint64_t seed, const py::object& out) {
  Walk walk{{}, "walk_sparse"};
  walk.job.tables = sparse_tables(walk.function, n_states, indptr, indices, places);
  walk.set_contexts(contexts, successor, order);
  walk.run(context, start, initial, offsets, first_sequence, seed, out);
}

}  // namespace

void bind_chain_walk(py::module_& module) {
  using py::arg;
  module.def("alias_dense", &alias_dense, arg("ctx"), arg("probability"), arg("hot"), arg("threshold"),
             "Alias tables of the rows of a dense matrix.");
  module.def("alias_sparse", &alias_sparse, arg("ctx"), arg("probability"), arg("unseen"), arg("n_states"),
             arg("indptr"), arg("indices"), arg("places"), "Alias tables of the rows of a sparse matrix.");
  module.def("walk_dense", &walk_dense, arg("ctx"), arg("n_states"), arg("hot"), arg("threshold"), arg("order"),
             arg("contexts"), arg("successor"), arg("start"), arg("initial"), arg("offsets"), arg("first_sequence"),
             arg("seed"), arg("out"), "Simulated symbols of chains whose alias tables are dense.");
  module.def("walk_sparse", &walk_sparse, arg("ctx"), arg("n_states"), arg("indptr"), arg("indices"), arg("places"),
             arg("order"), arg("contexts"), arg("successor"), arg("start"), arg("initial"), arg("offsets"),
             arg("first_sequence"), arg("seed"), arg("out"),
             "Simulated symbols of chains whose alias tables are sparse.");
}

}  // namespace pyestim::bind
