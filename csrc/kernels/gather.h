/* Moving rows with arithmetic.
 *
 *   take_bwd       dx[a, idx[i], :] += dy[a, i, :]; dx starts at 0     OUT dx; IN dy, idx. dims as `take`, but B for bytes;
 *                  an index outside is PN_BAD_INDEX before anything is written
 *   lookup_bwd     dw[ids[i], :] += dy[i, :], with a list of the rows that were touched, so that the next step clears
 *                  those alone and an optimizer knows them
 *     MUTATES dw [V,B], marked int32 [V] (1 where touched), rows int32 [V] (in order of first touch), count int64 [1],
 *     known int64 [2]: its first number is 0 if anybody else may have written to dw, so that everything is cleared; it
 *     becomes 1. IN dy [count of ids, B], ids. dim: V, count of ids, B, 1 if ids are int32 else int64
 *     Bytes: 8 B per id and 4 B per row cleared; the other rows of dw are neither read nor written.
 *   batch_scaled   y[i, :] = scale * x[perm[offset + i], :]            OUT y [N,B]; IN x uint8 [rows,B], perm, offset
 *     dim: N, B, bytes of x, bytes of perm; par[0] scale (1/255 for images); rows beyond x or perm are PN_BAD_INDEX.
 *     batch_rows in move.h is the same without arithmetic
 * Sums are parallel over blocks of columns, so each is taken in the order of i. No aliasing.
 */

#include "rows.h"
#include "unroll.h"

enum { GA_COLS = 64, GA_CLEAR = 16384, GA_AHEAD = 6 };

typedef struct gather_ctx {
    real *dx;
    const real *dy;
    const void *idx;
    i64 rows, count, B, blocks; /* blocks of columns of one dx[a] */
    int narrow;                 /* indices are int32 */
} gather_ctx;

static inline i64 gather_index(const gather_ctx *c, i64 i) {
    const i64 at = c->narrow ? ((const int32_t *)c->idx)[i] : ((const i64 *)c->idx)[i];
    return at < 0 ? at + c->rows : at;
}

static int gather_fits(const gather_ctx *c) {
    for (i64 i = 0; i < c->count; i++) {
        const i64 r = gather_index(c, i);
        if (r < 0 || r >= c->rows) return 0;
    }
    return 1;
}

static void gather_clear_range(void *ctx, i64 lo, i64 hi, int ith) {
    (void)ith;
    memset((real *)ctx + lo, 0, (size_t)(hi - lo) * sizeof(real));
}

/* Adds dy to dx in columns of one block, for all i. */
static void gather_add_range(void *ctx, i64 lo, i64 hi, int ith) {
    const gather_ctx *c = (const gather_ctx *)ctx;
    (void)ith;
    for (i64 item = lo; item < hi; item++) {
        const i64 a = item / c->blocks, j0 = item % c->blocks * GA_COLS;
        const i64 n = c->B - j0 < GA_COLS ? c->B - j0 : GA_COLS;
        real *dx = c->dx + a * c->rows * c->B + j0;
        const real *dy = c->dy + a * c->count * c->B + j0;
        for (i64 i = 0; i < c->count; i++) {
            real *to = dx + gather_index(c, i) * c->B;
            const real *from = dy + i * c->B;
            i64 j = 0;
            if (i + GA_AHEAD < c->count) {
                const real *later = dx + gather_index(c, i + GA_AHEAD) * c->B;
                for (i64 k = 0; k < n; k += 16) PN_FETCH(later + k, 1);
            }
            for (; j + VW <= n; j += VW) vstore(to + j, vadd(vload(to + j), vload(from + j)));
            if (j < n) vstoren(to + j, vadd(vloadn(to + j, n - j), vloadn(from + j, n - j)), n - j);
        }
    }
}

static void gather_add(gather_ctx *c, i64 A, int nth) {
    c->blocks = (c->B + GA_COLS - 1) / GA_COLS;
    pn_for(A * c->blocks, 1, 0.3 * (double)(A * c->count * c->B), nth, gather_add_range, c);
}

enum { TAKEB_DX, TAKEB_DY, TAKEB_IDX };
enum { TAKEB_A, TAKEB_ROWS, TAKEB_COUNT, TAKEB_B, TAKEB_NARROW };
static int take_bwd(const pn_instr *I) {
    const i64 A = I->dim[TAKEB_A];
    gather_ctx c = {(real *)I->arg[TAKEB_DX], (const real *)I->arg[TAKEB_DY], I->arg[TAKEB_IDX], I->dim[TAKEB_ROWS], I->dim[TAKEB_COUNT], I->dim[TAKEB_B], 0,
                    (int)I->dim[TAKEB_NARROW]};
    if (!gather_fits(&c)) return PN_BAD_INDEX;
    const i64 n = A * c.rows * c.B;
    pn_for(n, GA_CLEAR, 0.1 * (double)n, I->nth, gather_clear_range, c.dx);
    gather_add(&c, A, I->nth);
    return PN_OK;
}

typedef struct gather_listed {
    real *dw;
    const int32_t *rows;
    i64 B;
} gather_listed;

static void gather_clear_listed_range(void *ctx, i64 lo, i64 hi, int ith) {
    const gather_listed *c = (const gather_listed *)ctx;
    (void)ith;
    for (i64 i = lo; i < hi; i++) memset(c->dw + c->rows[i] * c->B, 0, (size_t)c->B * sizeof(real));
}

enum { LOOKB_DW, LOOKB_MARKED, LOOKB_ROWS, LOOKB_COUNT, LOOKB_KNOWN, LOOKB_DY, LOOKB_IDS };
enum { LOOKB_V, LOOKB_IDCOUNT, LOOKB_B, LOOKB_NARROW };
static int lookup_bwd(const pn_instr *I) {
    const i64 V = I->dim[LOOKB_V];
    int32_t *marked = (int32_t *)I->arg[LOOKB_MARKED], *rows = (int32_t *)I->arg[LOOKB_ROWS];
    i64 *count = (i64 *)I->arg[LOOKB_COUNT], *known = (i64 *)I->arg[LOOKB_KNOWN];
    gather_ctx c = {(real *)I->arg[LOOKB_DW], (const real *)I->arg[LOOKB_DY], I->arg[LOOKB_IDS], V, I->dim[LOOKB_IDCOUNT], I->dim[LOOKB_B], 0, (int)I->dim[LOOKB_NARROW]};
    gather_listed listed = {c.dx, rows, c.B};
    if (!pn_rows_listed(rows, *count, V)) return PN_BAD_INDEX;
    if (!gather_fits(&c)) return PN_BAD_INDEX;
    if (*known) {
        pn_for(*count, 64, 0.2 * (double)(*count * c.B), I->nth, gather_clear_listed_range, &listed);
        for (i64 i = 0; i < *count; i++) marked[rows[i]] = 0;
    } else {
        pn_for(V * c.B, GA_CLEAR, 0.1 * (double)(V * c.B), I->nth, gather_clear_range, c.dx);
        memset(marked, 0, (size_t)V * sizeof *marked);
    }
    *known = 1;
    *count = 0;
    for (i64 i = 0; i < c.count; i++) {
        const i64 r = gather_index(&c, i);
        if (!marked[r]) {
            marked[r] = 1;
            rows[(*count)++] = (int32_t)r;
        }
    }
    gather_add(&c, 1, I->nth);
    return PN_OK;
}

static void batch_scaled_range(void *ctx, i64 lo, i64 hi, int ith) {
    const pn_instr *I = (const pn_instr *)ctx;
    i64 B = I->dim[ROWS_B];
    const i64 *perm = (const i64 *)I->arg[ROWS_PERM] + *(const i64 *)I->arg[ROWS_OFFSET];
    real scale = (real)I->par[0];
    (void)ith;
    for (i64 i = lo; i < hi; i++) {
        const uint8_t *x = (const uint8_t *)I->arg[ROWS_X] + perm[i] * B;
        real *y = (real *)I->arg[ROWS_Y] + i * B;
        for (i64 j = 0; j < B; j++) y[j] = scale * (real)x[j];
    }
}
static int batch_scaled(const pn_instr *I) {
    if (!pn_rows_inside(I, I->dim[ROWS_B])) return PN_BAD_INDEX;
    pn_for(I->dim[ROWS_N], 16, 0.15 * (double)(I->dim[ROWS_N] * I->dim[ROWS_B]), I->nth, batch_scaled_range, (void *)I);
    return PN_OK;
}
