/* Joining what the segments of a batch give.
 *
 *   join   y[i] = a0[i] + (a1[i] + (... + am[i]))      OUT y [n]; IN a0 ... am [n], m <= JOIN_MOST - 1
 *
 *   join_rows  a[r] += b[r] for the rows r of either, where few rows of both tables are other than 0
 *     MUTATES a [V,B], marked int32 [V], rows int32 [V], count int64 [1]: its list of rows, of both afterwards;
 *     IN b and its list. dim: V, B. What join gives for the whole tables. Parallel over rows.
 *
 * join has dim n, m + 1, and is parallel over chunks of elements. m flops and 4 (m + 2) bytes per element. y may be any of the inputs.
 */
#ifndef PN_SEGMENTS_H
#define PN_SEGMENTS_H

#include "par.h"
#include "rows.h"
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

enum { JROWS_A, JROWS_MARKED, JROWS_ROWS, JROWS_COUNT, JROWS_B, JROWS_B_MARKED, JROWS_B_ROWS, JROWS_B_COUNT };
enum { JROWS_V, JROWS_WIDTH };
typedef struct join_rows_ctx {
    real *a;
    const real *b;
    const int32_t *rows, *marked, *other; /* the rows of this call; the lists' marks of a and of b */
    i64 width;
    int own; /* rows of a, else those of b that are not of a, whose rows of a are 0 */
} join_rows_ctx;

static void join_rows_range(void *ctx, i64 lo, i64 hi, int ith) {
    const join_rows_ctx *c = (const join_rows_ctx *)ctx;
    (void)ith;
    for (i64 i = lo; i < hi; i++) {
        const i64 r = c->rows[i];
        if (!c->own && c->marked[r]) continue;
        real *a = c->a + r * c->width;
        const real *b = c->own && !c->other[r] ? NULL : c->b + r * c->width;
        for (i64 j = 0; j < c->width; j += VW) {
            const i64 n = c->width - j < VW ? c->width - j : VW;
            const vec left = c->own ? vloadn(a + j, n) : vset(0);
            vstoren(a + j, vadd(left, b ? vloadn(b + j, n) : vset(0)), n);
        }
    }
}
static int join_rows(const pn_instr *I) {
    const i64 V = I->dim[JROWS_V];
    int32_t *marked = (int32_t *)I->arg[JROWS_MARKED], *rows = (int32_t *)I->arg[JROWS_ROWS];
    i64 *count = (i64 *)I->arg[JROWS_COUNT];
    const int32_t *theirs = (const int32_t *)I->arg[JROWS_B_ROWS];
    const i64 many = *(const i64 *)I->arg[JROWS_B_COUNT];
    join_rows_ctx c = {(real *)I->arg[JROWS_A], (const real *)I->arg[JROWS_B], rows, marked,
                       (const int32_t *)I->arg[JROWS_B_MARKED], I->dim[JROWS_WIDTH], 1};
    if (!pn_rows_listed(rows, *count, V) || !pn_rows_listed(theirs, many, V)) return PN_BAD_INDEX;
    pn_for(*count, 16, 0.2 * (double)(*count * c.width), I->nth, join_rows_range, &c);
    c.rows = theirs;
    c.own = 0;
    pn_for(many, 16, 0.2 * (double)(many * c.width), I->nth, join_rows_range, &c);
    for (i64 i = 0; i < many; i++)
        if (!marked[theirs[i]] && *count < V) {
            marked[theirs[i]] = 1;
            rows[(*count)++] = theirs[i];
        }
    return PN_OK;
}

#endif
