/* The tiles of conv_micro.h on the matrix unit of AMX: up to 32 rows x 32 columns in four tile registers.
 *
 * A tile register holds 16 rows of 16 pairs. A must have its pairs along a row; where they lie by term (gradients of a
 * convolution's weights) or are fewer than a tile, a block is put together in memory first. With PN_AMX_EMULATED the
 * four instructions are plain C on a struct: the same loops, run by tests on any machine with AVX-512 and bfloat16.
 */
#include "conv_tile.h"
#include "pairs.h"

enum { AMX_ROWS = 32, AMX_TILE = 16 * 16 };

#ifdef PN_AMX_EMULATED
typedef struct amx_unit {
    float tile[8][AMX_TILE];
} amx_unit;
static float amx_bf16(float pair, int high) {
    uint32_t bits;
    float x;
    memcpy(&bits, &pair, 4);
    bits = high ? bits & 0xffff0000u : bits << 16;
    memcpy(&x, &bits, 4);
    return x;
}
static void amx_load(float *to, const float *from, i64 stride) {
    for (int i = 0; i < 16; i++) memcpy(to + 16 * i, from + i * stride, 64);
}
static void amx_product(float *c, const float *a, const float *b) {
    for (int p = 0; p < 16; p++)
        for (int i = 0; i < 16; i++)
            for (int j = 0; j < 16; j++) {
                c[16 * i + j] += amx_bf16(a[16 * i + p], 0) * amx_bf16(b[16 * p + j], 0);
                c[16 * i + j] += amx_bf16(a[16 * i + p], 1) * amx_bf16(b[16 * p + j], 1);
            }
}
#define AMX_UNIT amx_unit unit, *const amx = &unit
#define AMX_ZERO(t) memset(amx->tile[t], 0, sizeof amx->tile[t])
#define AMX_LOAD(t, from, stride) amx_load(amx->tile[t], from, stride)
#define AMX_PRODUCT(c, a, b) amx_product(amx->tile[c], amx->tile[a], amx->tile[b])
#define AMX_STORE(t, to, stride) for (int row = 0; row < 16; row++) memcpy((to) + (stride) * row, amx->tile[t] + 16 * row, 64)
static void pairs_begin(void) {}
static void pairs_end(void) {}
#else
typedef void amx_unit; /* the processor's */
#define AMX_UNIT amx_unit *const amx = NULL
#define AMX_ZERO(t) _tile_zero(t)
/* The compiler does not know that the instruction reads memory, and must not drop or delay what was stored there. */
#define AMX_LOAD(t, from, stride) \
    do { \
        __asm__ volatile("" ::: "memory"); \
        _tile_loadd(t, from, (size_t)(stride) * sizeof(float)); \
    } while (0)
#define AMX_PRODUCT(c, a, b) _tile_dpbf16ps(c, a, b)
#define AMX_STORE(t, to, stride) _tile_stored(t, to, (size_t)(stride) * sizeof(float))
/* The shape of the registers, 16 rows of 64 bytes, is set on each thread before it uses them, and given up after. */
static void pairs_begin(void) {
    static const struct {
        uint8_t palette, start, reserved[14];
        uint16_t bytes[16];
        uint8_t rows[16];
    } shape = {1, 0, {0}, {64, 64, 64, 64, 64, 64, 64, 64}, {16, 16, 16, 16, 16, 16, 16, 16}};
    _tile_loadconfig(&shape);
}
static void pairs_end(void) { _tile_release(); }
#endif

/* A block of A, put together: rows and terms that are not there are 0. */
static const real *amx_block(const real *a, i64 step, int by_term, i64 rows, i64 count, real *room) {
    vec r[VW];
    for (i64 u = 0; u < 16; u++) {
        const int there = u < (by_term ? count : rows);
        const i64 lanes = by_term ? rows : count;
        r[u] = !there ? vset(0) : lanes >= VW ? vload(a + u * step) : vloadn(a + u * step, lanes);
    }
    if (by_term) gemm_transpose(r);
    for (i64 u = 0; u < 16; u++) vstore(room + 16 * u, r[u]);
    return room;
}

/* 16 rows of 16 pairs of A, from row i and pair p of a segment: `rows` and `count` of them are there. Returns where
 * they lie and the step between rows; `room` takes them if they must be put together. Rows that are not there may be
 * read, whatever they hold: they make rows of C that nobody stores. */
static inline const real *amx_a(const real *a, i64 step, int by_term, i64 rows, i64 count, real *room, i64 *stride) {
    if (!by_term && count >= 16) {
        *stride = step;
        return a;
    }
    *stride = 16;
    return amx_block(a, step, by_term, rows, count, room);
}

static inline const real *amx_b(const real *b, i64 ldb, i64 count, real *room, i64 *stride) {
    *stride = ldb;
    if (count >= 16) return b;
    *stride = 16;
    for (i64 u = 0; u < 16; u++) vstore(room + 16 * u, u < count ? vload(b + u * ldb) : vset(0));
    return room;
}

/* A row of C from its sums. */
static inline void amx_row(const conv_tile *t, real *c, const real *sum) {
    for (i64 v = 0; v < t->cols; v += VW) {
        const i64 lanes = t->cols - v < VW ? t->cols - v : VW;
        vec x = vload(sum + v);
        if (t->add) x = vadd(vloadn(c + v, lanes), x);
        if (t->bias) x = vadd(x, vloadn(t->bias + v, lanes));
        if (t->relu) x = relu_y(x, x, x);
        vstoren(c + v, x, lanes);
    }
}

/* A tile whose sums wait to become rows of C while the next is multiplied, which leaves the memory unit idle. */
typedef struct amx_later {
    conv_tile t;
    int act;
    real p;
    i64 next, count;
    real *to[AMX_ROWS]; /* rows of C, NULL where nobody wants one */
    real sum[2][AMX_ROWS * AMX_ROWS];
    int now; /* which of the two waits */
} amx_later;

static inline void amx_later_rows(amx_later *l, i64 rows) {
    for (const i64 end = l->next + rows < l->count ? l->next + rows : l->count; l->next < end; l->next++) {
        real *c = l->to[l->next];
        if (!c) continue;
        amx_row(&l->t, c, l->sum[l->now] + l->next * AMX_ROWS);
        if (l->act != PN_ACT_NONE) pn_act_apply(l->act, l->p, c, l->t.cols);
    }
}

/* Registers 4 and 5, two blocks of A, the second at `down`; 6 and 7, two blocks of B side by side; and their products. */
static inline void amx_left(amx_unit *amx, const real *a, i64 step, int by_term, i64 up, i64 low, i64 down, i64 count) {
    real room[AMX_TILE];
    i64 stride;
    const real *from = amx_a(a, step, by_term, up, count, room, &stride);
    (void)amx;
    AMX_LOAD(4, from, stride);
    if (!low) return;
    from = amx_a(a + down, step, by_term, low, count, room, &stride);
    AMX_LOAD(5, from, stride);
}
static inline void amx_right(amx_unit *amx, const real *b, i64 ldb, int right, i64 count) {
    real room[AMX_TILE];
    i64 stride;
    const real *from = amx_b(b, ldb, count, room, &stride);
    (void)amx;
    AMX_LOAD(6, from, stride);
    if (!right) return;
    from = amx_b(b + VW, ldb, count, room, &stride);
    AMX_LOAD(7, from, stride);
}
static inline void amx_products(amx_unit *amx, int low, int right) {
    (void)amx;
    AMX_PRODUCT(0, 4, 6);
    if (right) AMX_PRODUCT(1, 4, 7);
    if (low) AMX_PRODUCT(2, 5, 6);
    if (low && right) AMX_PRODUCT(3, 5, 7);
}

/* The sums of a conv_tile over all segments, in registers 0 to 3: of up to 16 rows, of as many more at `down` beside them if
 * `low`, and of 16 columns or 32. They begin at `from`, rows of `width` that lie there, or at 0. `later` may
 * be a tile before, whose rows are stored meanwhile. */
static inline void amx_sums(const conv_tile *t, i64 up, i64 low, i64 down, i64 width, int by_term, const real *from, real *to,
                            i64 ldto, amx_later *later) {
    const int right = width > VW;
    const i64 each = later ? later->count / (t->n1 * t->n2 * ((t->len + 15) / 16) + 1) + 1 : 0;
    AMX_UNIT;
    if (from) {
        AMX_LOAD(0, from, width);
        if (right) AMX_LOAD(1, from + VW, width);
        if (low) AMX_LOAD(2, from + 16 * width, width);
        if (low && right) AMX_LOAD(3, from + 16 * width + VW, width);
    } else {
        AMX_ZERO(0);
        AMX_ZERO(1);
        AMX_ZERO(2);
        AMX_ZERO(3);
    }
    for (i64 s1 = 0; s1 < t->n1; s1++)
        for (i64 s2 = 0; s2 < t->n2; s2++)
            for (i64 p = 0; p < t->len; p += 16) {
                const i64 count = t->len - p < 16 ? t->len - p : 16;
                const real *a = t->a + s1 * t->ast1 + s2 * t->ast2 + p * (by_term ? t->step : 1);
                const real *b = t->b + s1 * t->bst1 + s2 * t->bst2 + p * t->ldb;
                if (t->blo) { /* lo hi, then hi hi with the same B, then hi lo with the same A */
                    amx_left(amx, a + t->alo, t->step, by_term, up, low, down, count);
                    amx_right(amx, b, t->ldb, right, count);
                    amx_products(amx, low, right);
                }
                amx_left(amx, a, t->step, by_term, up, low, down, count);
                if (!t->blo) amx_right(amx, b, t->ldb, right, count);
                amx_products(amx, low, right);
                if (t->blo) {
                    amx_right(amx, b + t->blo, t->ldb, right, count);
                    amx_products(amx, low, right);
                }
                if (later) amx_later_rows(later, each);
            }
    if (later) amx_later_rows(later, AMX_ROWS);
    AMX_STORE(0, to, ldto);
    if (right) AMX_STORE(1, to + VW, ldto);
    if (low) AMX_STORE(2, to + 16 * ldto, ldto);
    if (low && right) AMX_STORE(3, to + 16 * ldto + VW, ldto);
}

/* C[mr, width] (+)= A B of a conv_tile, mr <= 32, width 16 or 32. */
static void amx_tile(conv_tile *t, i64 mr, i64 width, int by_term) {
    real sum[AMX_ROWS * AMX_ROWS];
    const i64 up = mr < 16 ? mr : 16, down = 16 * (by_term ? 1 : t->step);
    t->ldb = width;
    if (mr % 16 == 0 && t->cols == width && !t->add && !t->bias && !t->relu) {
        amx_sums(t, up, mr - up, down, width, by_term, NULL, t->c, t->ldc, NULL);
        return;
    }
    amx_sums(t, up, mr - up, down, width, by_term, NULL, sum, AMX_ROWS, NULL);
    for (i64 i = 0; i < mr; i++) amx_row(t, t->c + i * t->ldc, sum + i * AMX_ROWS);
}
