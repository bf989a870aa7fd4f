/* dw by Winograd's F(3x3, 4x4) (see winograd.h): the kernel's gradient is a correlation of x with tiles of dz.
 *
 *   dw = A' [sum over tiles of (B' d B) * (G z G')] A      d: 6 x 6 pixels of x, z: the 4 x 4 of dz that they meet
 *
 * 36 products [channels, tiles] [tiles, outputs]. The values are taken at the same points, so B is that of the forward
 * pass; the factors of G are left for A, which is applied once for a group of units. A unit transforms x, then dz panel
 * by panel, and adds its products to the thread's 36 sums; `channels` of x at a time, so that these stay small. A
 * group's dw is a partial one, and they are added in order, so the bits do not depend on threads. db is summed tile by
 * tile.
 */
#include "winograd.h"

#ifdef CONV_WINOGRAD

/* G z: tiles of dz, 4 to 6, without its factors. */
GEMM_INLINE void wino_tile(vec t[6], const vec z[4]) {
    const vec even_a = vfma(vset(WINO_A2), z[2], z[0]), odd_a = vfma(vset(WINO_A2), z[3], z[1]);
    const vec even_b = vfma(vset(WINO_B2), z[2], z[0]), odd_b = vfma(vset(WINO_B2), z[3], z[1]);
    t[0] = z[0];
    t[1] = vfma(vset(WINO_A), odd_a, even_a);
    t[2] = vfnma(vset(WINO_A), odd_a, even_a);
    t[3] = vfma(vset(WINO_B), odd_b, even_b);
    t[4] = vfnma(vset(WINO_B), odd_b, even_b);
    t[5] = z[3];
}

/* A' m with the factors of G: dw, 6 to 3. */
GEMM_INLINE void wino_gradient(vec y[3], const vec m[6]) {
    const vec even_a = vmul(vset(WINO_KA), vadd(m[1], m[2])), odd_a = vmul(vset(WINO_KA), vsub(m[1], m[2]));
    const vec even_b = vmul(vset(WINO_KB), vadd(m[3], m[4])), odd_b = vmul(vset(WINO_KB), vsub(m[3], m[4]));
    y[0] = vadd(m[0], vadd(even_a, even_b));
    y[1] = vfma(vset(WINO_B), odd_b, vmul(vset(WINO_A), odd_a));
    y[2] = vfma(vset(WINO_B2), even_b, vfma(vset(WINO_A2), even_a, m[5]));
}

/* u[6 i + j][:width] = G z G' of a tile with n channels, 0 beyond them; db[:n] += its sum, if db is not NULL. */
static void wino_transform_dz(real *u, i64 plane, i64 width, const real *z, i64 row, i64 col, i64 n, real *db) {
    for (i64 c = 0; c < width; c += VW) {
        const i64 lanes = pn_conv_max(0, gemm_lanes(n - c));
        vec t[6][4], in[4], out[6], sum[4];
        WINO_EACH(j, 4) {
            WINO_EACH(i, 4) in[i] = lanes ? vloadn(z + i * row + j * col + c, lanes) : vset(0);
            sum[j] = vadd(vadd(in[0], in[1]), vadd(in[2], in[3]));
            wino_tile(out, in);
            WINO_EACH(i, 6) t[i][j] = out[i];
        }
        WINO_EACH(i, 6) {
            wino_tile(out, t[i]);
            WINO_EACH(j, 6) vstore(u + (6 * i + j) * plane + c, out[j]);
        }
        if (db && lanes) {
            const vec all = vadd(vadd(sum[0], sum[1]), vadd(sum[2], sum[3]));
            wino_put(db + c, vadd(vloadn(db + c, lanes), all), lanes);
        }
    }
}

typedef struct wino_sums_job {
    pn_wino_sums t;
    wino_images x, z;
    i64 pt, pl;
    real *parts, *threads;
} wino_sums_job;

/* dw of channels [c0, c0 + n) from the sums. */
static void wino_store_dw(const wino_sums_job *k, real *dw, const real *sums, i64 c0, i64 n) {
    const i64 c = k->x.c, o = k->z.c;
    for (i64 j = 0, width; j < k->t.columns; j += width) {
        width = conv_width(k->t.columns - j, k->t.channels);
        for (i64 p = 0; p < n; p++)
            for (i64 v = 0; v < width && j + v < o; v += VW) {
                const real *m = sums + PN_WINO_MATRICES * j * k->t.channels + p * width + v;
                vec t[3][6], in[6], out[3];
                WINO_EACH(s, 6) {
                    WINO_EACH(r, 6) in[r] = vload(m + (6 * r + s) * k->t.channels * width);
                    wino_gradient(out, in);
                    WINO_EACH(r, 3) t[r][s] = out[r];
                }
                WINO_EACH(r, 3) {
                    real *to = dw + (3 * r * c + c0 + p) * o + j + v;
                    wino_gradient(out, t[r]);
                    WINO_EACH(s, 3) wino_put(to + s * c * o, out[s], gemm_lanes(o - j - v));
                }
            }
    }
}

/* A thread's scratch memory. */
typedef struct wino_room {
    real *u, *z;       /* transformed x, and a panel of dz */
    real *copy, *sums;
    real *dz;          /* tiles */
} wino_room;

/* Adds a unit's tiles to the sums of channels [c0, c0 + n), and to db if it is not NULL. */
static void wino_dw_unit(const wino_sums_job *k, const wino_room *m, i64 unit, i64 c0, i64 n, real *db, int add) {
    const pn_wino_sums *t = &k->t;
    const i64 first = unit * t->block, tiles = pn_conv_min(t->block, t->tiles - first), o = k->z.c;
    const wino_images made = {m->dz, NULL, 4, 4, o, PN_ACT_NONE, 0};
    i64 row, col;
    for (i64 i = 0; i < tiles; i++) {
        const wino_place at = wino_at(first + i, t->rows, t->cols);
        const real *d = wino_patch(&k->x, at.n, at.r - k->pt, at.c - k->pl, 6, c0, n, m->copy, &row, &col);
        wino_transform(m->u + i * t->line, t->u_plane, d, row, col, n);
    }
    for (i64 i = 0; i < tiles && t->dz; i++) {
        const wino_place at = wino_at(first + i, t->rows, t->cols);
        wino_patch(&k->z, at.n, at.r, at.c, 4, 0, o, m->dz + i * 16 * o, &row, &col);
    }
    for (i64 j = 0, width; j < t->columns; j += width) {
        real *sum = m->sums + PN_WINO_MATRICES * j * t->channels;
        width = conv_width(t->columns - j, t->channels);
        for (i64 i = 0; i < tiles; i++) {
            const wino_place own = {i, 0, 0}, at = t->dz ? own : wino_at(first + i, t->rows, t->cols);
            const wino_images *z = t->dz ? &made : &k->z;
            const i64 some = pn_conv_min(width, o - j);
            const real *d = wino_patch(z, at.n, at.r, at.c, 4, j, some, m->copy, &row, &col);
            wino_transform_dz(m->z + i * width, t->z_plane, width, d, row, col, some, db ? db + j : NULL);
        }
        for (i64 f = 0; f < PN_WINO_MATRICES; f++, sum += t->channels * width)
            wino_product(n, width, tiles, m->u + f * t->u_plane, t->line, 1, m->z + f * t->z_plane, sum, add);
    }
}

static void wino_dw_groups(void *ctx, i64 lo, i64 hi, int ith) {
    const wino_sums_job *k = (const wino_sums_job *)ctx;
    const pn_wino_sums *t = &k->t;
    const i64 c = k->x.c, o = k->z.c;
    wino_room m;
    m.u = k->threads + ith * pn_wino_dw_thread(t);
    m.z = m.u + PN_WINO_MATRICES * t->u_plane;
    m.copy = m.z + PN_WINO_MATRICES * t->z_plane;
    m.sums = m.copy + t->patch;
    m.dz = m.sums + t->sums;
    for (i64 group = lo; group < hi; group++) {
        real *dw = k->parts + group * t->part, *db = dw + t->part - pn_conv_round(o);
        const i64 begin = t->count * group / t->groups, end = t->count * (group + 1) / t->groups;
        memset(db, 0, (size_t)o * sizeof(real));
        for (i64 c0 = 0; c0 < c; c0 += t->channels) {
            const i64 n = pn_conv_min(t->channels, c - c0);
            for (i64 unit = begin; unit < end; unit++)
                wino_dw_unit(k, &m, unit, c0, n, c0 ? NULL : db, unit > begin);
            wino_store_dw(k, dw, m.sums, c0, n);
        }
    }
}

static void wino_dw(const conv_job *j, const pn_instr *I) {
    const pn_conv *v = &j->v;
    wino_sums_job k;
    conv_total t;
    memset(&k, 0, sizeof k);
    pn_wino_dw_cut(&k.t, v);
    k.x.x = j->x;
    k.x.h = v->h, k.x.w = v->w, k.x.c = v->c;
    k.z.x = j->dy, k.z.y = j->y;
    k.z.h = v->oh, k.z.w = v->ow, k.z.c = v->o;
    k.z.act = v->act, k.z.p = j->p;
    k.pt = v->pt, k.pl = v->pl;
    k.parts = (real *)I->scratch;
    k.threads = k.parts + k.t.groups * k.t.part;
    pn_for(k.t.groups, 1, conv_cost(v) / 3, I->nth, wino_dw_groups, &k);
    t.parts = k.parts;
    t.count = k.t.groups, t.stride = k.t.part;
    t.to = j->dw;
    pn_for(9 * v->c * v->o, 4096, 0.1 * (double)(9 * v->c * v->o * t.count), I->nth, conv_add_parts, &t);
    if (!j->db) return;
    t.to = j->db;
    t.parts = k.parts + k.t.part - pn_conv_round(v->o);
    conv_add_parts(&t, 0, v->o, 0);
}

/* Computes the gradients that are faster this way, and no more asks for them; returns whether none is left. */
static int wino_bwd(conv_job *j, const pn_instr *I) {
    if (j->dx && pn_wino_dx(&j->v)) {
        wino_dx(j, I);
        j->dx = NULL;
    }
    if (j->dw && pn_wino_dw(&j->v)) {
        wino_dw(j, I);
        j->dw = j->db = NULL;
    }
    return !j->dx && !j->dw && !j->db;
}
#else
static int wino_bwd(conv_job *j, const pn_instr *I) {
    (void)j;
    (void)I;
    return 0;
}
#endif
