/* What every way of computing a convolution is told, and the sum of partial gradients (see conv.h). */
#ifndef PN_CONV_JOB_H
#define PN_CONV_JOB_H

#include "../conv_plan.h"
#include "par.h"
#include "simd.h"

typedef struct conv_job {
    pn_conv v;
    pn_conv_units u;
    i64 groups;          /* of units, for dw and db */
    real *dx, *dw, *db;
    const real *dy, *y, *x, *w;
    real p;
    real *weights, *biases, *parts, *threads;
    pn_conv_fwd_scratch fs;
    pn_conv_bwd_scratch bs;
    const real *bias;
    real *out;
    int planes; /* of pairs; 0: float32 */
} conv_job;

/* From a plane to the next in a room for two of them; 0 where there is one. */
static inline i64 conv_plane(const conv_job *j, i64 room) { return j->planes > 1 ? room / 2 : 0; }

static double conv_cost(const pn_conv *v) {
    return 2.0 * (double)(v->n * v->oh * v->ow * v->o) * (double)(v->kh * v->kw * v->cg) / (12 * VW);
}

typedef struct conv_total {
    real *to;
    const real *parts;
    i64 count, stride;
} conv_total;

/* to = the sum of the parts, in order. */
static void conv_add_parts(void *ctx, i64 lo, i64 hi, int ith) {
    const conv_total *t = (const conv_total *)ctx;
    (void)ith;
    for (i64 i = lo; i < hi; i += VW) {
        const i64 lanes = pn_conv_min(VW, hi - i);
        vec s = vloadn(t->parts + i, lanes);
        for (i64 g = 1; g < t->count; g++) s = vadd(s, vloadn(t->parts + g * t->stride + i, lanes));
        if (lanes == VW) vstore(t->to + i, s); /* masked stores are slow on some processors */
        else vstoren(t->to + i, s, lanes);
    }
}
#endif
