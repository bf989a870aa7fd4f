/* Joining what the segments of a batch give.
 *
 *   join   y[i] = a0[i] + (a1[i] + (... + am[i]))      OUT y [n]; IN a0 ... am [n], m <= JOIN_MOST - 1
 *
 * dim: n, m + 1. Parallel over chunks of elements. m flops and 4 (m + 2) bytes per element. y may be any of the inputs.
 */
#ifndef PN_SEGMENTS_H
#define PN_SEGMENTS_H

#include "par.h"
#include "simd.h"

enum { JOIN_CHUNK = 8192, JOIN_MOST = 20 };
enum { JOIN_Y, JOIN_A };
enum { JOIN_N, JOIN_COUNT };

static void join_range(void *ctx, i64 lo, i64 hi, int ith) {
    const pn_instr *I = (const pn_instr *)ctx;
    const int last = (int)I->dim[JOIN_COUNT] - 1;
    const real *const *a = (const real *const *)&I->arg[JOIN_A];
    real *y = (real *)I->arg[JOIN_Y];
    (void)ith;
    for (i64 i = lo; i < hi; i += VW) {
        i64 n = hi - i < VW ? hi - i : VW;
        vec sum = n == VW ? vload(a[last] + i) : vloadn(a[last] + i, n);
        for (int k = last - 1; k >= 0; k--) sum = vadd(n == VW ? vload(a[k] + i) : vloadn(a[k] + i, n), sum);
        if (n == VW)
            vstore(y + i, sum);
        else
            vstoren(y + i, sum, n);
    }
}
static int join(const pn_instr *I) {
    i64 n = I->dim[JOIN_N];
    pn_for(n, JOIN_CHUNK, 0.15 * (double)(n * I->dim[JOIN_COUNT]), I->nth, join_range, (void *)I);
    return PN_OK;
}

#endif
