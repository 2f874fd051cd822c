// The three operations on mixtures.  One file, because they share every kernel: compiled apart, each would hold a copy.
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
#include "component/outer_triangle.hpp"
//
#include "component/outer_products.hpp"
//
#include "component/distances.hpp"
//
#include "component/gaussian_full.hpp"
//
#include "component/gaussian_diag.hpp"
#include "component/gaussian_spherical.hpp"
#include "component/gaussian_tied.hpp"
#include "gate/constant.hpp"
//
#include "kernel/elsewhere.hpp"
#include "kernel/mixture_sizes.hpp"
//
#include "kernel/mixture_frame.hpp"
//
#include "kernel/mixture_assign.hpp"
#include "kernel/mixture_rows.hpp"
#include "kernel/mixture_sweep.hpp"

}  // namespace

extern const SweepOp mixture_op = mixture_sweep::op;
extern const SweepOp mixture_rows_op = mixture_rows::op;
extern const SweepOp assign_op = mixture_assign::op;

}  // namespace pyestim::PYESTIM_ISA
