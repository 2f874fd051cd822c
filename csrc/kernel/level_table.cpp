// Gathers the operations of one instruction level. An operation that lands replaces its nullptr: `.mixture =
// &mixture_op`.
#include "kernel/ops.hpp"

#define PYESTIM_STRING_(x) #x
#define PYESTIM_STRING(x) PYESTIM_STRING_(x)

namespace pyestim::PYESTIM_ISA {

extern constinit const KernelTable table = {
    .level = PYESTIM_STRING(PYESTIM_ISA),
    .vector_bytes = PYESTIM_VECTOR_BYTES,
    .mixture = &mixture_op,
    .mixture_rows = &mixture_rows_op,
    .assign = &assign_op,
    .cells = &cells_op,
    .cells_rows = &cells_rows_op,
    .experts = &experts_op,
    .experts_rows = &experts_rows_op,
    .censored = &censored_op,
    .censored_rows = &censored_rows_op,
    .kmeans = &kmeans_op,
    .moments = &moments_op,
    .kmeans_plusplus = &kmeans_plusplus_op,
    .factorise = &factorise_op,
    .box_apply = &box_apply_op,
    .normal_apply = &normal_apply_op,
    .transitions = &transitions_op,
    .weighted_transitions = &weighted_transitions_op,
    .transition_cells = &transition_cells_op,
    .merge_cells = &merge_cells_op,
    .first_out_of_range = first_out_of_range,
    .chain_alias = &chain_alias_op,
    .chain_walk = &chain_walk_op,
    .pair_sums = &pair_sums_op,
    .homotopy = &homotopy_op,
    .column_sums = &column_sums_op,
    .column_times = &column_times_op,
    .column_gram = &column_gram_op,
    .gram_descent = &gram_descent_op,
    .column_descent = &column_descent_op,
    .lasso_steps = &lasso_steps_op,
    .apply_math = apply_math,
    .apply_prox = apply_prox,
};

}  // namespace pyestim::PYESTIM_ISA
