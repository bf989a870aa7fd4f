/* The kernels in C, compiled for a device: what the CPU's tables are made of, as functions that threads of a GPU call.
 *
 * Everything in csrc/kernels that is included here is compiled as it stands, with vectors of one lane and fused
 * multiply-adds, so that an element is computed by the same expressions as on a CPU. What is not taken from there is
 * how the work is shared out: pn_for hands single items to the threads of a grid, and where a kernel has phases, or
 * sums that many threads take part in, its own code stands in the other files of this folder. */
#ifndef PN_CUDA_DEVICE_H
#define PN_CUDA_DEVICE_H

#include <math.h>
#include <stdint.h>
#include <string.h>

#ifndef __CUDACC__
#include "shim.h"
#endif

#define PN_DEVICE __device__
extern "C" {
#include "pn.h"
}
#include "act.h"

/* The thread's items of [0, n): neighbours in a warp take neighbouring items. */
#define PN_EACH(i, n) \
    for (i64 i = (i64)blockIdx.x * blockDim.x + threadIdx.x, i##_step = (i64)gridDim.x * blockDim.x; i < (n); \
         i += i##_step)

/* In place of par.h: every thread takes its items one by one. Chunks are not needed, for what is computed this way does
 * not depend on them; threads of the whole grid take part, so nothing may follow that reads what others wrote. */
#define PN_PAR_H
typedef void (*pn_range_fn)(void *ctx, i64 lo, i64 hi, int ith);
static __device__ __forceinline__ void pn_for(i64 n, i64, double, int, pn_range_fn fn, void *ctx) {
    PN_EACH(i, n) fn(ctx, i, i + 1, 0);
}

/* C's functions of a translation unit are the device's here. */
#define static static __device__
#define PN_APART static inline
#define restrict __restrict__
#define memmove memcpy /* a device has none; here it moves one element to another place */
#include "launch.h"
#include "byte_dots.h"
#include "rows.h"
#include "scalar_math.h"
#include "scalar_math.c"
#undef ROUND

namespace f32 {
#define PN_REAL_F32
#define PN_FUSED
#include "simd.h"
#include "lanes.h"
#include "kernels/vmath.h"
#include "kernels/eltwise.h"
#include "kernels/activation.h"
#include "kernels/reduce.h"
#include "kernels/softmax.h"
#include "kernels/loss.h"
#include "kernels/optim.h"
#include "kernels/segments.h"
#include "kernels/random.h"
#include "kernels/augment.h"
#include "kernels/gather.h"
#include "kernels/step.h"
#include "kernels/pooling.h"
#include "kernels/norm.h"
#include "kernels/norm_shared.h"
#include "kernels/layer_norm.h"
#include "kernels/lrn.h"
#include "kernels/local_window.h"
#include "kernels/byte_steps.h"
#define PN_ONE_UNIT
#include "kernels/lstm.h"
#undef real
#undef VW
#undef PN_LANES_H
} /* namespace f32 */

#define PN_INT int32_t
namespace i32 {
#include "simd_int.h"
#include "lanes.h"
#include "kernels/eltwise.h"
#include "kernels/reduce.h"
#undef PN_INT
#undef PN_SIMD_INT_H
#undef PN_LANES_H
#undef real
#undef VW
} /* namespace i32 */

#define PN_INT int64_t
namespace i64s {
#include "simd_int.h"
#include "lanes.h"
#include "kernels/eltwise.h"
#include "kernels/reduce.h"
#undef PN_INT
#undef real
#undef VW
} /* namespace i64s */

namespace bytes {
#undef __SSE2__ /* the vectors of transposes are the CPU's */
#include "kernels/move.h"
} /* namespace bytes */
#undef static
#undef memmove

#define real float
#define VW 1

#endif
