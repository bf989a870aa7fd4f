/* Numbers of eight bits: floats made bytes, and exact products and convolutions of bytes (byte_dots.h).
 *
 *   dynamic_bytes  y = round(x / scale) + zero within 0 ... 255, where scale and zero fit the least and the largest x
 *                  and 0 (ONNX's DynamicQuantizeLinear)    OUT y u8 [n], scale real [1], zero u8 [1]; IN x [n]
 *   static_bytes   the same with a scale and a zero point  OUT y u8 [n]; IN x [n], scale real [1], zero u8 [1]
 *   byte_matmul    y = (a - zero) (w - shift)              OUT y i32 [M,N]; IN a u8 [M,K], zero u8 [1], w, sums
 *   byte_conv      the same over patches of images         OUT y i32 [N OH OW,O]; IN x u8 [N,H,W,C], zero u8 [1], w, sums
 *   byte_lstm      an LSTM whose products are of bytes     see there
 *
 * w in panels, signed; sums i32 [2,N] are those of its columns, and what w lacks of the weights it stands for: 128 less
 * their zero points where these were unsigned, else 0. An absent zero is 0. Products may have IN scale [N] and bias [N]:
 * y is real then, (scale sum + bias) and its relu if *_RELU. Sums are exact: bits depend on nothing. Parallel over blocks
 * of rows and panels, or bands of images. 2 M N K operations; a and w are read once for each block.
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

static void static_range(void *ctx, i64 lo, i64 hi, int ith) {
    const pn_instr *I = (const pn_instr *)ctx;
    byte_steps s;
    (void)ith;
    s.scale = *(const real *)I->arg[STB_SCALE];
    s.zero = (real)byte_zero(I->arg[STB_ZERO]);
    byte_make((uint8_t *)I->arg[STB_Y] + lo, (const real *)I->arg[STB_X] + lo, hi - lo, s);
}
static int static_bytes(const pn_instr *I) {
    const i64 n = I->dim[STB_N];
    pn_for(n, BYTE_BLOCK, 0.3 * (double)n, I->nth, static_range, (void *)I);
    return PN_OK;
}

/* A product of rows of bytes, of `parts` runs of k terms (byte_dots.h), with panels of weights. */
typedef struct byte_product {
    pn_byte_dots_fn dots;
    const int8_t *w;
    const int32_t *sums;
    i64 k, n, parts, apart;
    int32_t zero;
    const uint8_t *at; /* the rows whose sums these are */
    int32_t row_sums[BYTE_ROWS];
} byte_product;

static void byte_product_of(byte_product *p, const void *w, const void *sums, i64 k, i64 n, int32_t zero) {
    p->dots = pn_byte_dots(VW, 0);
    p->parts = 1;
    p->apart = 0;
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
    const pn_byte_rows from = {a, lda, p->k, p->parts, p->apart};
    pn_byte_ends ends = {p->sums + col, NULL, p->row_sums, p->zero, cols};
    int32_t any = 0;
    for (i64 j = 0; j < cols; j++) any |= shift[j];
    if (any) {
        ends.shift = shift;
        if (p->at != a) pn_byte_row_sums(p->row_sums, &from, rows, p->zero);
        p->at = a;
    }
    p->dots(t, wide, &from, rows, p->w + col * p->parts * pn_byte_groups(p->k) * 4, panels, &ends);
    return cols;
}

/* Where sums go: to y, [rows, n], as they are or scaled. */
typedef struct byte_ends {
    void *y;
    i64 n;
    const real *scale, *bias;
    i64 relu;
} byte_ends;

/* Vectors, which the compiler does not make of such loops by itself. */
static inline void byte_floats(real *z, const int32_t *t) {
    for (int j = 0; j < PN_BYTE_PANELS * PN_BYTE_COLS; j++) z[j] = (real)t[j]; /* unused columns too: t has room */
}
static inline vec byte_load(const real *x, i64 n) { return n == VW ? vload(x) : vloadn(x, n); }
static inline void byte_store(real *y, vec v, i64 n) {
    if (n == VW) vstore(y, v);
    else vstoren(y, v, n);
}
static void byte_end(const byte_ends *e, i64 row, i64 col, const int32_t *t, i64 cols) {
    real z[PN_BYTE_PANELS * PN_BYTE_COLS], *y = (real *)e->y + row * e->n + col;
    if (!e->scale) {
        memcpy((int32_t *)e->y + row * e->n + col, t, (size_t)cols * sizeof *t);
        return;
    }
    byte_floats(z, t);
    for (i64 j = 0; j < cols; j += VW) {
        const i64 n = cols - j < VW ? cols - j : VW;
        vec v = vmul(vload(z + j), byte_load(e->scale + col + j, n));
        if (e->bias) v = vadd(v, byte_load(e->bias + col + j, n));
        byte_store(y + j, e->relu ? vmax(vset(0), v) : v, n);
    }
}

/* Tasks are blocks of rows by tiles of panels, the blocks of a tile one after the other: its weights stay near. */
static void byte_matmul_range(void *ctx, i64 lo, i64 hi, int ith) {
    const pn_instr *I = (const pn_instr *)ctx;
    const i64 M = I->dim[BMM_M], N = I->dim[BMM_N], K = I->dim[BMM_K], wide = PN_BYTE_PANELS * PN_BYTE_COLS;
    const i64 blocks = (M + BYTE_ROWS - 1) / BYTE_ROWS;
    const byte_ends ends = {I->arg[BMM_Y], N, (const real *)I->arg[BMM_SCALE], (const real *)I->arg[BMM_BIAS], I->dim[BMM_RELU]};
    byte_product p;
    int32_t t[BYTE_ROWS * PN_BYTE_PANELS * PN_BYTE_COLS];
    (void)ith;
    byte_product_of(&p, I->arg[BMM_W], I->arg[BMM_SUMS], K, N, byte_zero(I->arg[BMM_ZERO]));
    for (i64 at = lo; at < hi; at++) {
        const i64 row = at % blocks * BYTE_ROWS, col = at / blocks * wide, rows = M - row < BYTE_ROWS ? M - row : BYTE_ROWS;
        const i64 cols = byte_tile(&p, t, (const uint8_t *)I->arg[BMM_A] + row * K, K, rows, col);
        for (i64 r = 0; r < rows; r++) byte_end(&ends, row + r, col, t + r * wide, cols);
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
static byte_ends byte_conv_ends(const pn_instr *I) {
    const byte_ends ends = {I->arg[BCV_Y], I->dim[BCV_O], (const real *)I->arg[BCV_SCALE], (const real *)I->arg[BCV_BIAS],
                            I->dim[BCV_RELU]};
    return ends;
}
static void byte_conv_range(void *ctx, i64 lo, i64 hi, int ith) {
    const pn_instr *I = (const pn_instr *)ctx;
    const i64 O = I->dim[BCV_O], K = I->dim[BCV_KH] * I->dim[BCV_KW] * I->dim[BCV_C];
    const i64 wide = PN_BYTE_PANELS * PN_BYTE_COLS;
    const byte_ends ends = byte_conv_ends(I);
    uint8_t *patches = (uint8_t *)I->scratch + ith * I->dim[BCV_ROOM];
    int32_t t[BYTE_ROWS * PN_BYTE_PANELS * PN_BYTE_COLS];
    byte_product p;
    byte_product_of(&p, I->arg[BCV_W], I->arg[BCV_SUMS], K, O, byte_zero(I->arg[BCV_ZERO]));
    for (i64 at = lo; at < hi; at += BYTE_ROWS) {
        const i64 rows = hi - at < BYTE_ROWS ? hi - at : BYTE_ROWS;
        for (i64 r = 0; r < rows; r++) byte_patch(I, patches + r * K, at + r, p.zero);
        p.at = NULL;
        for (i64 col = 0; col < O; col += wide) {
            const i64 cols = byte_tile(&p, t, patches, K, rows, col);
            for (i64 r = 0; r < rows; r++) byte_end(&ends, at + r, col, t + r * wide, cols);
        }
    }
}

/* With steps of 1 and KW C a multiple of 4, patches need no copies: the pixels of some rows, those beside the last patch
 * of a row too, are rows of a product as they lie, in KH parts. What pads an image is put around it before, a band of
 * so many rows of the result at a time. */
static void byte_bands_range(void *ctx, i64 lo, i64 hi, int ith) {
    const pn_instr *I = (const pn_instr *)ctx;
    const i64 *d = I->dim, C = d[BCV_C], O = d[BCV_O], H = d[BCV_H], W = d[BCV_WIDTH], OH = d[BCV_OH], OW = d[BCV_OW];
    const i64 tall = d[BCV_KH], across = OW + d[BCV_KW] - 1, wide = PN_BYTE_PANELS * PN_BYTE_COLS;
    const i64 each = d[BCV_BAND], bands = (OH + each - 1) / each, top = d[BCV_TOP], left = d[BCV_LEFT];
    const i64 padded = across != W || OH + tall - 1 != H;
    const byte_ends ends = byte_conv_ends(I);
    int32_t t[BYTE_ROWS * PN_BYTE_PANELS * PN_BYTE_COLS];
    byte_product p;
    byte_product_of(&p, I->arg[BCV_W], I->arg[BCV_SUMS], d[BCV_KW] * C, O, byte_zero(I->arg[BCV_ZERO]));
    p.dots = pn_byte_dots(VW, 1);
    p.parts = tall;
    p.apart = across * C;
    for (i64 at = lo; at < hi; at++) {
        const i64 n = at / bands, first = at % bands * each, some = OH - first < each ? OH - first : each;
        const i64 pixels = (some - 1) * across + OW;
        const uint8_t *x = (const uint8_t *)I->arg[BCV_X] + n * H * W * C, *band = x + first * W * C;
        if (padded) {
            uint8_t *to = (uint8_t *)I->scratch + ith * d[BCV_ROOM];
            band = to;
            for (i64 y = first - top; y < first - top + some + tall - 1; y++, to += across * C) {
                const int inside = y >= 0 && y < H;
                memset(to, p.zero, (size_t)((inside ? left : across) * C));
                if (!inside) continue;
                memcpy(to + left * C, x + y * W * C, (size_t)(W * C));
                memset(to + (left + W) * C, p.zero, (size_t)((across - left - W) * C));
            }
        }
        for (i64 from = 0; from < pixels; from += BYTE_ROWS) {
            const i64 rows = pixels - from < BYTE_ROWS ? pixels - from : BYTE_ROWS;
            p.at = NULL;
            for (i64 col = 0; col < O; col += wide) {
                const i64 cols = byte_tile(&p, t, band + from * C, C, rows, col);
                i64 column = from % across, to = (n * OH + first + from / across) * OW + (column < OW ? column : OW);
                for (i64 r = 0; r < rows; r++) {
                    if (column < OW) byte_end(&ends, to++, col, t + r * wide, cols);
                    if (++column == across) column = 0;
                }
            }
        }
    }
}
static int byte_conv(const pn_instr *I) {
    const i64 *d = I->dim, K = d[BCV_KH] * d[BCV_KW] * d[BCV_C], pixels = d[BCV_N] * d[BCV_OH] * d[BCV_OW];
    const double ns = 0.006 * (double)(pixels * d[BCV_O]) * (double)(K + 16);
    if (d[BCV_SY] == 1 && d[BCV_SX] == 1 && d[BCV_DY] == 1 && d[BCV_DX] == 1 && d[BCV_KW] * d[BCV_C] % 4 == 0 &&
        d[BCV_KW] * d[BCV_C] >= BYTE_LEAST && pn_byte_dots(VW, 1))
        pn_for(d[BCV_N] * ((d[BCV_OH] + d[BCV_BAND] - 1) / d[BCV_BAND]), 1, ns, I->nth, byte_bands_range, (void *)I);
    else
        pn_for(pixels, BYTE_ROWS, ns + 0.1 * (double)(pixels * K), I->nth, byte_conv_range, (void *)I);
    return PN_OK;
}
