// The operations of one instruction level. Include it in a kernel file that defines one of them:
//
//   namespace pyestim::PYESTIM_ISA {
//   namespace { ... everything else ... }
//   extern const SweepOp mixture_op = {stat_size, packed_bytes, scratch_bytes, row_flops, prepare, leaf, nullptr};
//   }
#pragma once

#include "kernel/table.hpp"

#if !defined(PYESTIM_ISA) || !defined(PYESTIM_VECTOR_BYTES)
#error "kernel files are compiled once per instruction level, with PYESTIM_ISA and PYESTIM_VECTOR_BYTES"
#endif

namespace pyestim::PYESTIM_ISA {

extern const SweepOp mixture_op;
extern const SweepOp mixture_rows_op;
extern const SweepOp assign_op;
extern const SweepOp cells_op;
extern const SweepOp cells_rows_op;
extern const SweepOp experts_op;
extern const SweepOp experts_rows_op;
extern const SweepOp censored_op;
extern const SweepOp censored_rows_op;
extern const SweepOp kmeans_op;
extern const SweepOp moments_op;
extern const ItemOp kmeans_plusplus_op;
extern const ItemOp factorise_op;
extern const ItemOp normal_apply_op;
extern const ItemOp box_apply_op;
extern const ItemOp chain_alias_op;
extern const ItemOp chain_walk_op;
extern const ItemOp pair_sums_op;
extern const TallyOp transitions_op;
extern const SweepOp weighted_transitions_op;
extern const ItemOp transition_cells_op;
extern const ItemOp merge_cells_op;
int64_t first_out_of_range(const CodesView* codes, int64_t n_states, int64_t begin, int64_t end);
extern const ItemOp homotopy_op;
extern const ItemOp column_sums_op;
extern const ItemOp column_times_op;
extern const ItemOp column_gram_op;
extern const ItemOp gram_descent_op;
extern const ItemOp column_descent_op;
extern const ItemOp lasso_steps_op;
Status apply_math(const MathJob* job, int64_t begin, int64_t end);
Status apply_prox(const ProxJob* job);

extern const KernelTable table;

}  // namespace pyestim::PYESTIM_ISA
