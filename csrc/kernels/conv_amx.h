/* Rows of pixels on the tile registers of AMX (see conv.h, included by it).
 *
 * A register holds 16 rows of A, a tile two registers, and rows that are not needed cost as much as others. So a tile takes two
 * groups of up to 16 pixels that lie anywhere: pieces of rows of pixels, or, if those fill registers less, 16 neighbours of
 * all pixels of some rows as they lie, with what is between the rows.
 */
#include "conv_rows.h"

typedef struct amx_group {
    const real *a;
    i64 row, pixel, count;
} amx_group;

/* Where the rows of a group go. */
static void amx_group_rows(const conv_rows *g, const amx_group *u, i64 pitch, real *c, real **to) {
    i64 row = u->row, pixel = u->pixel;
    for (i64 i = 0; i < 16; i++) {
        to[i] = i < u->count && pixel < g->pixels ? c + row * g->crow + pixel * g->cstep : NULL;
        if (++pixel == pitch) pixel = 0, row++;
    }
}

static void conv_rows_run(const conv_rows *g) {
    const i64 terms = g->n1 * g->n2 * g->len, pieces = (g->pixels + 15) / 16, piece = (g->pixels + pieces - 1) / pieces;
    const int even = g->arow % g->astep == 0 && g->arow > 0;
    const real *b = g->b;
    conv_tile t;
    amx_later later;
    later.act = g->act == PN_ACT_relu ? PN_ACT_NONE : g->act;
    later.p = g->p;
    later.next = later.count = later.now = 0;
    memset(&t, 0, sizeof t);
    t.step = g->astep;
    t.n2 = g->n2, t.len = g->len;
    t.ast1 = g->ast1, t.ast2 = g->ast2;
    t.relu = g->act == PN_ACT_relu;
    t.alo = g->alo, t.blo = g->blo;
    for (i64 j = 0, width; j < g->n; j += width) {
        width = conv_width(g->n - j, g->packed_for);
        t.cols = pn_conv_min(width, g->n - j);
        t.bst2 = g->len * width, t.bst1 = g->n2 * t.bst2;
        t.bias = g->bias ? g->bias + j : NULL;
        t.ldb = width;
        for (i64 row = 0, rows; row < g->rows; row += rows) { /* those that have the same segments */
            i64 first, last, pitch = g->arow / g->astep;
            conv_inside(g, row, &first, &last);
            for (rows = 1; row + rows < g->rows; rows++) {
                i64 from, to;
                conv_inside(g, row + rows, &from, &to);
                if (from != first || to != last) break;
            }
            const i64 all = (rows - 1) * pitch + g->pixels, flat = (all + 15) / 16;
            const int together = even && flat < rows * pieces;
            const i64 groups = together ? flat : rows * pieces;
            const real *a = g->a + row * g->arow + first * g->ast1;
            if (!together) pitch = INT64_MAX;
            t.n1 = last - first;
            t.b = b + first * t.bst1;
            for (i64 q = 0; q < groups; q += 2) {
                amx_group u[2];
                const int two = q + 1 < groups;
                for (i64 e = 0; e <= two; e++) {
                    const i64 at = q + e;
                    u[e].row = together ? 16 * at / pitch : at / pieces;
                    u[e].pixel = together ? 16 * at % pitch : at % pieces * piece;
                    u[e].count = together ? pn_conv_min(16, all - 16 * at) : pn_conv_min(piece, g->pixels - u[e].pixel);
                    u[e].a = a + u[e].row * g->arow + u[e].pixel * g->astep;
                }
                t.a = u[0].a;
                amx_sums(&t, 16, two ? 16 : 0, two ? u[1].a - u[0].a : 0, width, 0, NULL, later.sum[!later.now], AMX_ROWS, &later);
                for (i64 e = 0; e <= two; e++) amx_group_rows(g, &u[e], pitch, g->c + row * g->crow + j, later.to + 16 * e);
                later.t = t;
                later.next = 0;
                later.count = two ? 32 : 16;
                later.now = !later.now;
            }
        }
        b += terms * width;
    }
    amx_later_rows(&later, AMX_ROWS);
}
