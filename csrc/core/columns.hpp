// Drives kernels over columns: cuts the work into items by shapes alone, and adds what the parts of the rows left, in
// their order. The same bits for any number of threads.
#pragma once

#include "core/lanes.hpp"

namespace pyestim {

// The functions below choose job.cut, and job.out of one part is the caller's.
Status run_column_sums(Pool& pool, const KernelTable& kernels, ColumnSumsJob job);
Status run_column_times(Pool& pool, const KernelTable& kernels, ColumnTimesJob job);
Status run_column_gram(Pool& pool, const KernelTable& kernels, ColumnGramJob job);

}  // namespace pyestim
