#include <algorithm>
#include <limits>

#include "bind/bind.hpp"
#include "bind/elsewhere.hpp"
#include "bind/names.hpp"
#include "bind/rows.hpp"
#include "bind/run.hpp"

namespace pyestim::bind {
namespace {

constexpr Name<ExpertFamily> expert_families[] = {{"gaussian", ExpertFamily::gaussian},
                                                  {"poisson", ExpertFamily::poisson},
                                                  {"binomial", ExpertFamily::binomial},
                                                  {"multinomial", ExpertFamily::multinomial}};
constexpr Name<Source> expert_sources[] = {
    {"posterior", Source::posterior}, {"labels", Source::labels}, {"given", Source::given}};

// The arguments that both functions share.
struct ExpertArguments {
  const char* function;
  const Rows& rows;
  const Rows* gate_rows;
  const Rows* responses;
  int64_t start, stop;
  const std::string& family;
  const py::object &gate_coef, &expert_coef, &factor, &log_norm;
};

void check_same_rows(const ExpertArguments& a, const Rows* other, const char* name) {
  if (other != nullptr && other->view().n != a.rows.view().n)
    raise_value({a.function, name}, "have " + std::to_string(a.rows.view().n) + " rows",
                std::to_string(other->view().n));
}

void read_rows(const ExpertArguments& a, ExpertsJob& job) {
  a.rows.check_range(a.function, a.start, a.stop);
  check_same_rows(a, a.gate_rows, "gate_rows");
  check_same_rows(a, a.responses, "responses");
  job.rows = a.rows.view();
  job.shared_rows = a.gate_rows == &a.rows;
  if (a.gate_rows != nullptr) job.gate_rows = a.gate_rows->view();
  if (job.gate_rows.weight == nullptr) job.gate_rows.weight = job.rows.weight;
  if (a.responses != nullptr) job.responses = a.responses->view();
}

// Columns of the responses must be those of the family.
void check_responses(const ExpertArguments& a, const ExpertsJob& job) {
  const int32_t l = job.n_predictors;
  const bool count = job.family == ExpertFamily::poisson || job.family == ExpertFamily::binomial;
  if (count && l != 1) raise_value({a.function, "expert_coef"}, "have one predictor of each expert", std::to_string(l));
  if (a.responses == nullptr) return;
  const int32_t wanted = job.family == ExpertFamily::gaussian ? l : (job.family == ExpertFamily::binomial ? 2 : 1);
  if (job.responses.d != wanted)
    raise_value({a.function, "responses"}, "have " + std::to_string(wanted) + " columns",
                std::to_string(job.responses.d));
}

ExpertsJob read_job(const ExpertArguments& a) {
  ExpertsJob job{};
  read_rows(a, job);
  job.family = parse(a.family, {a.function, "family"}, expert_families);
  const Argument who{a.function, "expert_coef"};
  const int64_t c = extent(a.expert_coef, who, 4, 0), k = extent(a.expert_coef, who, 4, 1),
                l = extent(a.expert_coef, who, 4, 2);
  if (std::max({c, k, l}) > std::numeric_limits<int16_t>::max())
    raise_value(who, "have fewer than 2^15 candidates, experts and predictors",
                shape_text(as_array(a.expert_coef, who)));
  job.n_candidates = static_cast<int32_t>(c);
  job.n_experts = static_cast<int32_t>(k);
  job.n_predictors = static_cast<int32_t>(l);
  check_responses(a, job);
  job.expert_coef = input<double>(a.expert_coef, who, {c, k, l, 1 + job.rows.d});
  const int64_t q = a.gate_rows == nullptr ? 0 : job.gate_rows.d;
  job.gate_coef = input<double>(a.gate_coef, {a.function, "gate_coef"}, {c, k, 1 + q});
  if (job.family == ExpertFamily::gaussian) {
    job.factor = optional_input<double>(a.factor, {a.function, "factor"}, {c, k, l, l});
    job.log_norm = optional_input<double>(a.log_norm, {a.function, "log_norm"}, {c, k});
  }
  return job;
}

void check_densities(const ExpertArguments& a, const ExpertsJob& job) {
  if (a.responses == nullptr) raise_value({a.function, "responses"}, "be Rows", "None");
  if (job.family == ExpertFamily::gaussian && (job.factor == nullptr || job.log_norm == nullptr))
    raise_value({a.function, "factor, log_norm"}, "be arrays for densities of gaussian experts", "None");
}

void experts_sweep(Context& context, const Rows& rows, const Rows* gate_rows, const Rows& responses, int64_t start,
                   int64_t stop, const std::string& family, const py::object& gate_coef, const py::object& expert_coef,
                   const py::object& factor, const py::object& log_norm, const std::string& source,
                   const py::object& labels, const py::object& responsibilities, bool gram, bool curvature,
                   const py::object& out) {
  const ExpertArguments a{"experts_sweep", rows,      gate_rows,   &responses, start,   stop,
                          family,          gate_coef, expert_coef, factor,     log_norm};
  ExpertsJob job = read_job(a);
  job.source = parse(source, {a.function, "source"}, expert_sources);
  job.gram = gram;
  job.curvature = curvature;
  if (job.source == Source::posterior) check_densities(a, job);
  job.from = elsewhere(a.function, job.source, job.rows.n, job.n_candidates, job.n_experts,
                       {labels, responsibilities, py::none()});
  sweep(context, a.function, *context.kernels.experts, &job, start, stop, job.n_candidates, out);
}

void experts_rows(Context& context, const Rows& rows, const Rows* gate_rows, const Rows* responses, int64_t start,
                  int64_t stop, const std::string& family, const py::object& gate_coef, const py::object& expert_coef,
                  const py::object& factor, const py::object& log_norm, const py::object& log_prob,
                  const py::object& resp, const py::object& log_density, const py::object& gate,
                  const py::object& predictors) {
  const ExpertArguments a{"experts_rows", rows,      gate_rows,   responses, start,   stop,
                          family,         gate_coef, expert_coef, factor,    log_norm};
  ExpertsRowsJob job{};
  job.experts = read_job(a);
  const int64_t m = stop - start, k = job.experts.n_experts;
  if (job.experts.n_candidates != 1)
    raise_value({a.function, "expert_coef"}, "hold one candidate", std::to_string(job.experts.n_candidates));
  job.first_row = start;
  job.log_prob = optional_output<double>(log_prob, {a.function, "log_prob"}, {m});
  job.resp = optional_output<double>(resp, {a.function, "resp"}, {m, k});
  job.log_density = optional_output<double>(log_density, {a.function, "log_density"}, {m, k});
  job.gate = optional_output<double>(gate, {a.function, "gate"}, {m, k});
  job.predictors = optional_output<double>(predictors, {a.function, "predictors"}, {m, k, job.experts.n_predictors});
  if (job.log_prob || job.resp || job.log_density) check_densities(a, job.experts);
  sweep(context, a.function, *context.kernels.experts_rows, &job, start, stop, 1, py::none());
}

}  // namespace

void bind_experts(py::module_& module) {
  using py::arg;
  module.def("experts_sweep", &experts_sweep, arg("ctx"), arg("rows"), arg("gate_rows").none(true), arg("responses"),
             arg("start"), arg("stop"), arg("family"), arg("gate_coef"), arg("expert_coef"), arg("factor"),
             arg("log_norm"), arg("source") = "posterior", arg("labels") = py::none(),
             arg("responsibilities") = py::none(), arg("gram") = true, arg("curvature") = true, arg("out"),
             "Statistics of mixtures of experts over rows start..stop, one row of out per candidate.");
  module.def("experts_rows", &experts_rows, arg("ctx"), arg("rows"), arg("gate_rows").none(true),
             arg("responses").none(true), arg("start"), arg("stop"), arg("family"), arg("gate_coef"),
             arg("expert_coef"), arg("factor"), arg("log_norm"), arg("log_prob") = py::none(), arg("resp") = py::none(),
             arg("log_density") = py::none(), arg("gate") = py::none(), arg("predictors") = py::none(),
             "Outputs of each row of start..stop under one mixture of experts.");
}

}  // namespace pyestim::bind
