// Everything that a mixture kernel file needs, in order, inside the namespace of the level.
#pragma once

#include "math/pack.hpp"
//
#include "math/exp_log.hpp"
//
#include "kernel/tile.hpp"
//
#include "kernel/rows.hpp"
//
#include "kernel/log_sum_exp.hpp"
//
#include "kernel/mixture.hpp"
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
#include "kernel/mixture_frame.hpp"
