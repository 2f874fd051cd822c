// The operations on partly known cells.
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
#include "math/truncated_normal.hpp"
//
#include "math/normal_lattice.hpp"
#include "math/normal_plane.hpp"
//
#include "math/normal_space.hpp"
//
#include "math/normal_box.hpp"
//
#include "kernel/tile.hpp"
//
#include "kernel/rows.hpp"
//
#include "kernel/log_sum_exp.hpp"
//
#include "kernel/mixture.hpp"
//
#include "gate/constant.hpp"
#include "kernel/mixture_sizes.hpp"
//
#include "kernel/cells_frame.hpp"
//
#include "kernel/cells_box.hpp"
#include "kernel/cells_diag.hpp"
#include "kernel/cells_full.hpp"
//
#include "kernel/cells_sweep.hpp"
//
#include "kernel/cells_rows.hpp"

}  // namespace

extern const SweepOp cells_op = cells_sweep::op;
extern const SweepOp cells_rows_op = cells_rows::op;

}  // namespace pyestim::PYESTIM_ISA
