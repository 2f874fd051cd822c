// The operations on mixtures of experts.  One file, because they share every kernel.
#include <stdint.h>
#if !defined(__GNUC__)
#include <math.h>
#endif

#include "kernel/ops.hpp"

namespace pyestim::PYESTIM_ISA {
namespace {

// In this order: each needs what is above it.
#include "math/pack.hpp"
//
#include "math/exp_log.hpp"
#include "math/philox.hpp"
//
#include "kernel/tile.hpp"
//
#include "kernel/rows.hpp"
//
#include "kernel/log_sum_exp.hpp"
//
#include "kernel/mixture.hpp"
//
#include "component/linear_experts.hpp"
//
#include "component/linear_counts.hpp"
#include "component/linear_gaussian.hpp"
#include "component/linear_multinomial.hpp"
#include "component/linear_predictors.hpp"
#include "component/weighted_sums.hpp"
#include "gate/constant.hpp"
#include "gate/softmax.hpp"
#include "kernel/elsewhere.hpp"
//
#include "kernel/experts_frame.hpp"
//
#include "kernel/experts_rows.hpp"
#include "kernel/experts_sweep.hpp"

}  // namespace

extern const SweepOp experts_op = experts_sweep::op;
extern const SweepOp experts_rows_op = experts_rows::op;

}  // namespace pyestim::PYESTIM_ISA
