#include "bind/bind.hpp"
#include "bind/rows.hpp"
#include "bind/run.hpp"

namespace pyestim::bind {
namespace {

void kmeans_sweep(Context& context, const Rows& rows, int64_t start, int64_t stop, const py::object& centres,
                  bool accurate, const py::object& out) {
  constexpr const char* function = "kmeans_sweep";
  const Argument who{function, "centres"};
  rows.check_range(function, start, stop);
  const int64_t n_candidates = extent(centres, who, 3, 0), n_clusters = extent(centres, who, 3, 1);
  KmeansJob job{};
  job.rows = rows.view();
  job.n_candidates = static_cast<int32_t>(n_candidates);
  job.n_clusters = static_cast<int32_t>(n_clusters);
  job.centres = input<double>(centres, who, {n_candidates, n_clusters, job.rows.d});
  job.accurate = accurate;
  sweep(context, function, *context.kernels.kmeans, &job, start, stop, n_candidates, out);
}

void kmeans_plusplus(Context& context, const py::object& z, const py::object& weight, int64_t n_clusters,
                     const py::object& uniforms, const py::object& out_index) {
  constexpr const char* function = "kmeans_plusplus";
  const int64_t m = extent(z, {function, "Z"}, 2, 0), d = extent(z, {function, "Z"}, 2, 1);
  const int64_t n_candidates = extent(uniforms, {function, "uniforms"}, 3, 0);
  const int64_t n_trials = extent(uniforms, {function, "uniforms"}, 3, 2);
  if (n_clusters < 1 || n_clusters > m)
    raise_value({function, "n_clusters"}, "be between 1 and the number of rows, " + std::to_string(m),
                std::to_string(n_clusters));
  KmeansPlusPlusJob job{};
  job.z = input<double>(z, {function, "Z"}, {m, d});
  job.weight = optional_input<double>(weight, {function, "weight"}, {m});
  job.m = m;
  job.d = static_cast<int32_t>(d);
  job.n_candidates = static_cast<int32_t>(n_candidates);
  job.n_clusters = static_cast<int32_t>(n_clusters);
  job.n_trials = static_cast<int32_t>(n_trials);
  job.uniforms = input<double>(uniforms, {function, "uniforms"}, {n_candidates, n_clusters, n_trials});
  job.out_index = output<int64_t>(out_index, {function, "out_index"}, {n_candidates, n_clusters});
  items(context, function, *context.kernels.kmeans_plusplus, &job, n_candidates);
}

void column_moments(Context& context, const Rows& rows, int64_t start, int64_t stop, const py::object& out) {
  constexpr const char* function = "column_moments";
  rows.check_range(function, start, stop);
  const MomentsJob job{rows.view()};
  sweep_one(context, function, *context.kernels.moments, &job, start, stop, out);
}

}  // namespace

void bind_kmeans(py::module_& module) {
  using py::arg;
  module.def("kmeans_sweep", &kmeans_sweep, arg("ctx"), arg("rows"), arg("start"), arg("stop"), arg("centres"),
             arg("accurate"), arg("out"),
             "Inertia, weight, counts and centred sums of the nearest centres, one row of out per candidate.");
  module.def("kmeans_plusplus", &kmeans_plusplus, arg("ctx"), arg("Z"), arg("weight"), arg("n_clusters"),
             arg("uniforms"), arg("out_index"),
             "Greedy k-means++: rows chosen as centres, one line of out_index per candidate.");
  module.def("column_moments", &column_moments, arg("ctx"), arg("rows"), arg("start"), arg("stop"), arg("out"),
             "Weight, sums, sums of squares, minima and maxima of the columns in working coordinates.");
}

}  // namespace pyestim::bind
