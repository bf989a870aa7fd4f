/* Numbers of eight bits: floats made bytes, and exact products and convolutions of bytes (byte_dots.h).
 *
 *   dynamic_bytes  y = round(x / scale) + zero within 0 ... 255, where scale and zero fit the least and the largest x
 *                  and 0 (ONNX's DynamicQuantizeLinear)    OUT y u8 [n], scale real [1], zero u8 [1]; IN x [n]
 *   byte_matmul    y = (a - zero) (w - shift)              OUT y i32 [M,N]; IN a u8 [M,K], zero u8 [1], w, sums
 *   byte_conv      the same over patches of images         OUT y i32 [N OH OW,O]; IN x u8 [N,H,W,C], zero u8 [1], w, sums
 *   byte_lstm      an LSTM whose products are of bytes     see there
 *
 * w in panels, signed; sums i32 [2,N] are those of its columns, and what w lacks of the weights it stands for: 128 less
 * their zero points where these were unsigned, else 0. An absent zero is 0. Sums of products are exact: bits depend on
 * nothing. Parallel over blocks of rows and panels. 2 M N K operations; a and w are read once for each block.
 */
#include "byte_steps.h"

typedef struct byte_dynamic {
    const pn_instr *I;
    byte_steps steps;
} byte_dynamic;

static void dynamic_range(void *ctx, i64 lo, i64 hi, int ith) {
    const pn_instr *I = (const pn_instr *)ctx;
    (void)ith;
    for (i64 i = lo; i < hi; i += BYTE_BLOCK) {
        real *ends = (real *)I->scratch + i / BYTE_BLOCK * 2;
        ends[0] = ends[1] = 0;
        byte_range((const real *)I->arg[DYN_X] + i, hi - i < BYTE_BLOCK ? hi - i : BYTE_BLOCK, ends, ends + 1);
    }
}
static void dynamic_make(void *ctx, i64 lo, i64 hi, int ith) {
    const byte_dynamic *d = (const byte_dynamic *)ctx;
    (void)ith;
    byte_make((uint8_t *)d->I->arg[DYN_Y] + lo, (const real *)d->I->arg[DYN_X] + lo, hi - lo, d->steps);
}
static int dynamic_bytes(const pn_instr *I) {
    const i64 n = I->dim[DYN_N];
    const real *ends = (const real *)I->scratch;
    real low = 0, high = 0;
    byte_dynamic d;
    pn_for(n, BYTE_BLOCK, 0.1 * (double)n, I->nth, dynamic_range, (void *)I);
    for (i64 i = 0; i * BYTE_BLOCK < n; i++) {
        low = ends[2 * i] < low ? ends[2 * i] : low;
        high = ends[2 * i + 1] > high ? ends[2 * i + 1] : high;
    }
    d.I = I;
    d.steps = byte_steps_of(low, high);
    pn_for(n, BYTE_BLOCK, 0.3 * (double)n, I->nth, dynamic_make, &d);
    *(real *)I->arg[DYN_SCALE] = d.steps.scale;
    *(uint8_t *)I->arg[DYN_ZERO] = (uint8_t)d.steps.zero;
    return PN_OK;
}

/* A product of rows of bytes, [rows, k] lda apart, with panels of weights. */
typedef struct byte_product {
    pn_byte_dots_fn dots;
    const int8_t *w;
    const int32_t *sums;
    i64 k, n;
    int32_t zero;
    const uint8_t *at; /* the rows whose sums these are */
    int32_t row_sums[BYTE_ROWS];
} byte_product;

static void byte_product_of(byte_product *p, const void *w, const void *sums, i64 k, i64 n, int32_t zero) {
    p->dots = pn_byte_dots(VW);
    p->w = (const int8_t *)w;
    p->sums = (const int32_t *)sums;
    p->k = k;
    p->n = n;
    p->zero = zero;
    p->at = NULL;
}

/* t[r, j] for at most BYTE_ROWS rows and one tile of panels from column `col` on; returns the columns that there are.
 * The rows' sums are found if there is a shift at all, and not again for the next tile of the same rows. */
static i64 byte_tile(byte_product *p, int32_t *t, const uint8_t *a, i64 lda, i64 rows, i64 col) {
    const i64 left = (p->n - col + PN_BYTE_COLS - 1) / PN_BYTE_COLS, panels = left < PN_BYTE_PANELS ? left : PN_BYTE_PANELS;
    const i64 wide = PN_BYTE_PANELS * PN_BYTE_COLS, cols = p->n - col < wide ? p->n - col : wide;
    const int32_t *shift = p->sums + p->n + col;
    pn_byte_ends ends = {p->sums + col, NULL, p->row_sums, p->zero, cols};
    int32_t any = 0;
    for (i64 j = 0; j < cols; j++) any |= shift[j];
    if (any) {
        ends.shift = shift;
        if (p->at != a) pn_byte_row_sums(p->row_sums, a, lda, rows, p->k, p->zero);
        p->at = a;
    }
    p->dots(t, wide, a, lda, rows, p->w + col * pn_byte_groups(p->k) * 4, p->k, panels, &ends);
    return cols;
}

/* Tasks are blocks of rows by tiles of panels, the blocks of a tile one after the other: its weights stay near. */
static void byte_matmul_range(void *ctx, i64 lo, i64 hi, int ith) {
    const pn_instr *I = (const pn_instr *)ctx;
    const i64 M = I->dim[BMM_M], N = I->dim[BMM_N], K = I->dim[BMM_K], wide = PN_BYTE_PANELS * PN_BYTE_COLS;
    const i64 blocks = (M + BYTE_ROWS - 1) / BYTE_ROWS;
    byte_product p;
    int32_t t[BYTE_ROWS * PN_BYTE_PANELS * PN_BYTE_COLS];
    (void)ith;
    byte_product_of(&p, I->arg[BMM_W], I->arg[BMM_SUMS], K, N, byte_zero(I->arg[BMM_ZERO]));
    for (i64 at = lo; at < hi; at++) {
        const i64 row = at % blocks * BYTE_ROWS, col = at / blocks * wide, rows = M - row < BYTE_ROWS ? M - row : BYTE_ROWS;
        const i64 cols = byte_tile(&p, t, (const uint8_t *)I->arg[BMM_A] + row * K, K, rows, col);
        for (i64 r = 0; r < rows; r++)
            memcpy((int32_t *)I->arg[BMM_Y] + (row + r) * N + col, t + r * wide, (size_t)cols * sizeof *t);
    }
}
static int byte_matmul(const pn_instr *I) {
    const i64 M = I->dim[BMM_M], N = I->dim[BMM_N], K = I->dim[BMM_K], wide = PN_BYTE_PANELS * PN_BYTE_COLS;
    pn_for((M + BYTE_ROWS - 1) / BYTE_ROWS * ((N + wide - 1) / wide), 1, 0.006 * (double)(M * N) * (double)(K + 16), I->nth,
           byte_matmul_range, (void *)I);
    return PN_OK;
}

/* The patch of one output pixel: taps outside the image have the value of the zero point. */
static void byte_patch(const pn_instr *I, uint8_t *to, i64 pixel, int zero) {
    const i64 *d = I->dim, C = d[BCV_C], ox = pixel % d[BCV_OW], oy = pixel / d[BCV_OW] % d[BCV_OH];
    const uint8_t *x = (const uint8_t *)I->arg[BCV_X] + pixel / (d[BCV_OW] * d[BCV_OH]) * d[BCV_H] * d[BCV_WIDTH] * C;
    const i64 left = ox * d[BCV_SX] - d[BCV_LEFT];
    for (i64 ky = 0; ky < d[BCV_KH]; ky++) {
        const i64 y = oy * d[BCV_SY] - d[BCV_TOP] + ky * d[BCV_DY], wide = d[BCV_KW] * C;
        if (y < 0 || y >= d[BCV_H]) {
            memset(to, zero, (size_t)wide);
        } else if (d[BCV_DX] == 1 && left >= 0 && left + d[BCV_KW] <= d[BCV_WIDTH]) {
            memcpy(to, x + (y * d[BCV_WIDTH] + left) * C, (size_t)wide);
        } else {
            for (i64 kx = 0; kx < d[BCV_KW]; kx++) {
                const i64 at = left + kx * d[BCV_DX];
                if (at < 0 || at >= d[BCV_WIDTH]) memset(to + kx * C, zero, (size_t)C);
                else memcpy(to + kx * C, x + (y * d[BCV_WIDTH] + at) * C, (size_t)C);
            }
        }
        to += wide;
    }
}
static void byte_conv_range(void *ctx, i64 lo, i64 hi, int ith) {
    const pn_instr *I = (const pn_instr *)ctx;
    const i64 O = I->dim[BCV_O], K = I->dim[BCV_KH] * I->dim[BCV_KW] * I->dim[BCV_C];
    const i64 wide = PN_BYTE_PANELS * PN_BYTE_COLS;
    uint8_t *patches = (uint8_t *)I->scratch + ith * BYTE_ROWS * K;
    int32_t t[BYTE_ROWS * PN_BYTE_PANELS * PN_BYTE_COLS];
    byte_product p;
    byte_product_of(&p, I->arg[BCV_W], I->arg[BCV_SUMS], K, O, byte_zero(I->arg[BCV_ZERO]));
    for (i64 at = lo; at < hi; at += BYTE_ROWS) {
        const i64 rows = hi - at < BYTE_ROWS ? hi - at : BYTE_ROWS;
        for (i64 r = 0; r < rows; r++) byte_patch(I, patches + r * K, at + r, p.zero);
        p.at = NULL;
        for (i64 col = 0; col < O; col += wide) {
            const i64 cols = byte_tile(&p, t, patches, K, rows, col);
            for (i64 r = 0; r < rows; r++)
                memcpy((int32_t *)I->arg[BCV_Y] + (at + r) * O + col, t + r * wide, (size_t)cols * sizeof *t);
        }
    }
}
static int byte_conv(const pn_instr *I) {
    const i64 K = I->dim[BCV_KH] * I->dim[BCV_KW] * I->dim[BCV_C], pixels = I->dim[BCV_N] * I->dim[BCV_OH] * I->dim[BCV_OW];
    pn_for(pixels, BYTE_ROWS, 0.006 * (double)(pixels * I->dim[BCV_O]) * (double)(K + 16) + 0.1 * (double)(pixels * K),
           I->nth, byte_conv_range, (void *)I);
    return PN_OK;
}
