/* Kernels whose items are computed alone: the functions of ../kernels, an item per thread. */
#ifndef PN_CUDA_ELEMENTWISE_H
#define PN_CUDA_ELEMENTWISE_H

#include "device.h"

/* A device kernel: the instruction, the phase of the launch, and the status of the program. Once a kernel has written a
 * status, those that follow leave everything as it is. The status tells which instruction it was: a device lays nothing
 * out for later calls, so the field for that holds its number. */
#define PN_KERNEL(symbol) \
    extern "C" __global__ void __launch_bounds__(256, 1) \
        symbol(const __grid_constant__ pn_instr I, int phase, int *status)
#define PN_STOPPED (*(volatile int *)status != PN_OK)
#define PN_FAIL(code) (*status = (code) | I.keeping << 8)

/* The kernel is the CPU's own function: its pn_for hands an item to every thread. */
#define PN_SPLIT_AS(symbol, function) \
    PN_KERNEL(symbol) { \
        (void)phase; \
        if (!PN_STOPPED) function(&I); \
    }
#define PN_SPLIT(name) PN_SPLIT_AS(name, f32::name)
#define PN_SPLIT_BOTH(A, name, ...) PN_SPLIT(name##_fwd) PN_SPLIT(name##_bwd)
#define PN_SPLIT_FORWARD(A, name, ...) PN_SPLIT(name##_fwd)

#define PN_SPLIT_BINARY(space, suffix) \
    PN_SPLIT_AS(add_fwd##suffix, space::add_fwd) \
    PN_SPLIT_AS(sub_fwd##suffix, space::sub_fwd) \
    PN_SPLIT_AS(mul_fwd##suffix, space::mul_fwd) \
    PN_SPLIT_AS(maximum_fwd##suffix, space::maximum_fwd) \
    PN_SPLIT_AS(minimum_fwd##suffix, space::minimum_fwd) \
    PN_SPLIT_AS(equal_fwd##suffix, space::equal_fwd) \
    PN_SPLIT_AS(not_equal_fwd##suffix, space::not_equal_fwd) \
    PN_SPLIT_AS(less_fwd##suffix, space::less_fwd) \
    PN_SPLIT_AS(less_equal_fwd##suffix, space::less_equal_fwd) \
    PN_SPLIT_AS(where_fwd##suffix, space::where_fwd)

PN_SPLIT_BINARY(f32, )
PN_SPLIT_BINARY(i32, _i32)
PN_SPLIT_BINARY(i64s, _i64)
PN_SPLIT(div_fwd)
PN_SPLIT(max_share_fwd)
PN_ELEMENTWISE(PN_SPLIT_BOTH, PN_SPLIT_FORWARD, )

/* Some powers are one or two instructions, where b is one number (pow_fwd of ../kernels/eltwise.h). */
PN_KERNEL(pow_fwd) {
    (void)phase;
    const i64 last = I.dim[f32::EW_R] - 1, inner = I.dim[f32::EW_SHAPE + last];
    const i64 sa = I.dim[f32::EW_STRIDES + last], sb = I.dim[f32::EW_STRIDES + f32::EW_RANK + last];
    const float *a = (const float *)I.arg[f32::EW_A], *b = (const float *)I.arg[f32::EW_B];
    int single = 1;
    if (PN_STOPPED) return;
    for (i64 axis = 0; axis <= last; axis++) single &= I.dim[f32::EW_STRIDES + f32::EW_RANK + axis] == 0;
    PN_EACH(at, I.dim[f32::EW_N]) {
        i64 off[2];
        f32::ew_offsets(I.dim, at / inner, 2, off);
        const float x = a[off[0] + sa * (at % inner)], e = b[off[1] + sb * (at % inner)];
        float y;
        if (single && e == 3) y = x * x * x;
        else if (single && e == 2) y = x * x;
        else if (single && e == 1) y = x;
        else if (single && e == -1) y = 1 / x;
        else y = pn_powf(x, e);
        ((float *)I.arg[f32::EW_Y])[at] = y;
    }
}
PN_SPLIT(max_norm)
PN_SPLIT(join)
PN_SPLIT(penalty_bwd)
PN_SPLIT(dropout_bwd)

#endif
