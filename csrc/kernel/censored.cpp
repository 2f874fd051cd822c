// The operations on linear models of censored responses.
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
//
#include "math/erfcx.hpp"
//
#include "component/error_laws.hpp"
//
#include "component/censored_ends.hpp"
//
#include "kernel/tile.hpp"
//
#include "kernel/rows.hpp"
//
#include "component/linear_predictors.hpp"
#include "component/weighted_sums.hpp"
//
#include "kernel/censored_frame.hpp"
//
#include "kernel/censored_sweep.hpp"

}  // namespace

extern const SweepOp censored_op = censored_sweep::op;
extern const SweepOp censored_rows_op = censored_rows::op;

}  // namespace pyestim::PYESTIM_ISA
