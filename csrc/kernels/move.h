/* Moving elements of 1, 4 or 8 bytes.
 *
 *   strided_copy    y[i0..] = x[off + sum i_k * s_k]      expand, transpose, slice, flip   OUT y contiguous; IN x
 *   strided_place   y = 0, then y[off + sum i_k * s_k] = x[i0..]   the gradient of a slice OUT y; IN x contiguous
 *     dim: elements of the contiguous side, rank <= 6, its shape, strides of the other side in elements (0 for expand,
 *     negative for flip; never 0 for place), offset, bytes per element, elements of the other side
 *   concat          y[A, sum n_k, B] from x_k[A, n_k, B]   dim: A, bytes of B, count, n_k
 *   fill            y[i] = 0                               dim: bytes
 *   copy            y = x                                  dim: bytes
 *   cast            y[i] = (to)x[i]                        dim: elements, from, to (PN_F32 ...)
 *   take            y[a,i,:] = x[a, idx[i], :]             dim: A, rows of x, count of idx, bytes per row, 1 if idx is
 *                   int32 else int64; an index outside [-rows, rows) is PN_BAD_INDEX
 *   lookup          y[i,:] = w[ids[i], :]                  OUT y, bad int64 [2]; IN w, ids. dim: rows of w, ids, bytes per
 *                   row, 1 if ids are int32 else int64; an id outside [0, rows) is PN_BAD_INDEX, with its place and value
 *                   in `bad`
 *   batch_rows      y[i,:] = x[perm[*offset + i], :]       dim: N, bytes per row, bytes of x, bytes of perm; IN x, perm
 *                   int64, offset int64; rows beyond x or perm are PN_BAD_INDEX
 *   store_rows      y[*offset + i,:] = x[i,:]              MUTATES y; IN x, offset. dim: N, bytes per row, bytes of y;
 *                   rows beyond y are PN_BAD_INDEX
 *   advance         *step += steps, *cursor += 1, *offset += n   MUTATES step, cursor, offset. dim: steps, n
 *   segment_begin   *place = *offset + first, *draw = *step + (s << 32), note = 0
 *                   MUTATES place, draw, note f64 [k]; IN offset, step. dim: s, first, k
 *   log_segments    total = the rows of notes f64 [S,k] joined in the order of segments (below); sums, hits and parts
 *                   += their columns, losses[*cursor] = total[0] / total[1]; PN_NONFINITE as in log_loss
 *                   MUTATES losses, sums [2], hits [2], parts [2] each; IN notes, cursor. dim: S, k, 1 if checked
 * Parallel over chunks of the output where it is large. Bytes: one read and one write. No aliasing.
 */

#include "rows.h"
#include "unroll.h"

#if defined(__SSE2__)
#include <xmmintrin.h>
#elif defined(__ARM_NEON) && defined(__aarch64__)
#include <arm_neon.h>
#endif

enum { MV_RANK = 6, MV_CHUNK = 16384, MV_AHEAD = 8, MV_TILE = 32 };
enum { MV_Y, MV_X };
enum { MV_N, MV_R, MV_SHAPE, MV_STRIDES = MV_SHAPE + MV_RANK, MV_OFFSET = MV_STRIDES + MV_RANK, MV_ITEM, MV_OTHER };

#define MV_LOOP(T)                                                                                 \
    for (i64 at = lo; at < hi;) {                                                                  \
        i64 row = at / inner, first = at - row * inner, off = I->dim[MV_OFFSET], count = inner - first;   \
        if (count > hi - at) count = hi - at;                                                      \
        for (int ax = r - 2; ax >= 0; ax--) {                                                      \
            off += (row % I->dim[MV_SHAPE + ax]) * I->dim[MV_STRIDES + ax];                                        \
            row /= I->dim[MV_SHAPE + ax];                                                                 \
        }                                                                                          \
        {                                                                                          \
            T *c = (T *)contiguous + at, *s = (T *)strided + off + first * stride;                 \
            if (place)                                                                             \
                for (i64 i = 0; i < count; i++) s[i * stride] = c[i];                              \
            else if (stride == 1)                                                                  \
                memcpy(c, s, (size_t)count * sizeof(T));                                           \
            else if (stride == 0)                                                                  \
                for (i64 i = 0; i < count; i++) c[i] = *s;                                         \
            else                                                                                   \
                for (i64 i = 0; i < count; i++) c[i] = s[i * stride];                              \
        }                                                                                          \
        at += count;                                                                               \
    }

static void mv_strided(const pn_instr *I, i64 lo, i64 hi, int place) {
    void *contiguous = I->arg[place ? MV_X : MV_Y], *strided = I->arg[place ? MV_Y : MV_X];
    int r = (int)I->dim[MV_R];
    i64 inner = I->dim[MV_SHAPE + r - 1], stride = I->dim[MV_STRIDES + r - 1];
    switch (I->dim[MV_ITEM]) {
    case 1: MV_LOOP(uint8_t) break;
    case 4: MV_LOOP(uint32_t) break;
    default: MV_LOOP(uint64_t) break;
    }
}

/* A plane of a transpose: y[p][q] = x[p + q step] for p < P, q < Q, in tiles, so that a line of a cache that was fetched
 * for one row serves the next rows too; numbers of 4 bytes four by four. */
#if defined(__SSE2__) || (defined(__ARM_NEON) && defined(__aarch64__))
#define MV_FOUR(T)                                                                                              \
    for (; sizeof(T) == 4 && q + 4 <= q1; q += 4)                                                               \
        for (p = p0; p + 4 <= p1; p += 4) mv_turn((float *)(y + p * Q + q), Q, (const float *)(x + p + q * step), step);
static inline void mv_turn(float *y, i64 ldy, const float *x, i64 ldx) {
#if defined(__SSE2__)
    __m128 a = _mm_loadu_ps(x), b = _mm_loadu_ps(x + ldx), c = _mm_loadu_ps(x + 2 * ldx), d = _mm_loadu_ps(x + 3 * ldx);
    _MM_TRANSPOSE4_PS(a, b, c, d);
    _mm_storeu_ps(y, a);
    _mm_storeu_ps(y + ldy, b);
    _mm_storeu_ps(y + 2 * ldy, c);
    _mm_storeu_ps(y + 3 * ldy, d);
#else
    const float32x4_t a = vld1q_f32(x), b = vld1q_f32(x + ldx), c = vld1q_f32(x + 2 * ldx), d = vld1q_f32(x + 3 * ldx);
    const float32x4x2_t ac = vzipq_f32(a, c), bd = vzipq_f32(b, d); /* a0 c0 a1 c1, a2 c2 a3 c3 */
    const float32x4x2_t low = vzipq_f32(ac.val[0], bd.val[0]), high = vzipq_f32(ac.val[1], bd.val[1]);
    vst1q_f32(y, low.val[0]);
    vst1q_f32(y + ldy, low.val[1]);
    vst1q_f32(y + 2 * ldy, high.val[0]);
    vst1q_f32(y + 3 * ldy, high.val[1]);
#endif
}
#else
#define MV_FOUR(T)
#endif
#define MV_PLANE(T)                                                                                 \
    {                                                                                               \
        T *y = (T *)I->arg[MV_Y] + plane * P * Q;                                                      \
        const T *x = (const T *)I->arg[MV_X] + off;                                                    \
        for (i64 q0 = 0; q0 < Q; q0 += MV_TILE)                                                     \
            for (i64 p0 = 0; p0 < P; p0 += MV_TILE) {                                               \
                const i64 q1 = q0 + MV_TILE < Q ? q0 + MV_TILE : Q, p1 = p0 + MV_TILE < P ? p0 + MV_TILE : P; \
                i64 q = q0, p = p0;                                                                 \
                MV_FOUR(T)                                                                          \
                for (i64 r = p; r < p1; r++) /* the rows that are left, then the columns */         \
                    for (i64 k = q0; k < q; k++) y[r * Q + k] = x[r + k * step];                    \
                for (; q < q1; q++)                                                                 \
                    for (p = p0; p < p1; p++) y[p * Q + q] = x[p + q * step];                       \
            }                                                                                       \
        break;                                                                                      \
    }

/* Planes [lo, hi). */
static void transpose_range(void *ctx, i64 lo, i64 hi, int ith) {
    const pn_instr *I = (const pn_instr *)ctx;
    const int r = (int)I->dim[MV_R];
    const i64 P = I->dim[MV_SHAPE + r - 2], Q = I->dim[MV_SHAPE + r - 1], step = I->dim[MV_STRIDES + r - 1];
    (void)ith;
    for (i64 plane = lo; plane < hi; plane++) {
        i64 off = I->dim[MV_OFFSET], row = plane;
        for (int ax = r - 3; ax >= 0; ax--) {
            off += (row % I->dim[MV_SHAPE + ax]) * I->dim[MV_STRIDES + ax];
            row /= I->dim[MV_SHAPE + ax];
        }
        switch (I->dim[MV_ITEM]) {
        case 1: MV_PLANE(uint8_t)
        case 4: MV_PLANE(uint32_t)
        default: MV_PLANE(uint64_t)
        }
    }
}

static void strided_copy_range(void *ctx, i64 lo, i64 hi, int ith) {
    (void)ith;
    mv_strided((const pn_instr *)ctx, lo, hi, 0);
}
static int strided_copy(const pn_instr *I) {
    const int r = (int)I->dim[MV_R];
    if (r > 1 && I->dim[MV_STRIDES + r - 2] == 1 && I->dim[MV_STRIDES + r - 1] > 1 && I->dim[MV_SHAPE + r - 2] > 1) {
        const i64 plane = I->dim[MV_SHAPE + r - 2] * I->dim[MV_SHAPE + r - 1];
        pn_for(I->dim[MV_N] / plane, plane > MV_CHUNK ? 1 : MV_CHUNK / plane, (double)I->dim[MV_N], I->nth, transpose_range,
               (void *)I);
        return PN_OK;
    }
    pn_for(I->dim[MV_N], MV_CHUNK, (double)I->dim[MV_N], I->nth, strided_copy_range, (void *)I);
    return PN_OK;
}
static int strided_place(const pn_instr *I) {
    memset(I->arg[MV_Y], 0, (size_t)(I->dim[MV_OTHER] * I->dim[MV_ITEM]));
    mv_strided(I, 0, I->dim[MV_N], 1);
    return PN_OK;
}

enum { CONCAT_Y, CONCAT_XS };
enum { CONCAT_A, CONCAT_B, CONCAT_COUNT, CONCAT_SIZES };
static int concat(const pn_instr *I) {
    i64 A = I->dim[CONCAT_A], bytes = I->dim[CONCAT_B], count = I->dim[CONCAT_COUNT];
    char *y = (char *)I->arg[CONCAT_Y];
    for (i64 a = 0; a < A; a++)
        for (i64 k = 0; k < count; k++) {
            size_t part = (size_t)(I->dim[CONCAT_SIZES + k] * bytes);
            memcpy(y, (const char *)I->arg[CONCAT_XS + k] + (size_t)a * part, part);
            y += part;
        }
    return PN_OK;
}

enum { BYTES_N }; /* of fill and copy */
static int fill(const pn_instr *I) {
    memset(I->arg[MV_Y], 0, (size_t)I->dim[BYTES_N]);
    return PN_OK;
}

static int copy(const pn_instr *I) {
    memcpy(I->arg[MV_Y], I->arg[MV_X], (size_t)I->dim[BYTES_N]);
    return PN_OK;
}

enum { CAST_N, CAST_FROM, CAST_TO };
#define MV_CAST_TO(FROM, TO, EXPR)                                        \
    {                                                                     \
        const FROM *x = (const FROM *)I->arg[MV_X];                          \
        TO *y = (TO *)I->arg[MV_Y];                                          \
        for (i64 i = lo; i < hi; i++) y[i] = EXPR;                        \
        break;                                                            \
    }
/* Floats of whole numbers, which images and quantized networks are made of; a fixed count is what becomes vectors. */
#define MV_CAST_BLOCKS(FROM)                                                                           \
    {                                                                                                  \
        const FROM *restrict x = (const FROM *)I->arg[MV_X];                                           \
        float *restrict y = (float *)I->arg[MV_Y];                                                     \
        for (; lo + 16 <= hi; lo += 16)                                                                \
            for (int j = 0; j < 16; j++) y[lo + j] = (float)x[lo + j];                                 \
    }
#define MV_CAST_FROM(FROM)                                                \
    switch (I->dim[CAST_TO]) {                                                  \
    case PN_F32: MV_CAST_TO(FROM, float, (float)x[i])                     \
    case PN_F64: MV_CAST_TO(FROM, double, (double)x[i])                   \
    case PN_I32: MV_CAST_TO(FROM, int32_t, (int32_t)x[i])                 \
    case PN_I64: MV_CAST_TO(FROM, int64_t, (int64_t)x[i])                 \
    case PN_U8: MV_CAST_TO(FROM, uint8_t, (uint8_t)(int64_t)x[i])         \
    default: MV_CAST_TO(FROM, uint8_t, (uint8_t)(x[i] != 0))              \
    }                                                                     \
    break;

static void cast_range(void *ctx, i64 lo, i64 hi, int ith) {
    const pn_instr *I = (const pn_instr *)ctx;
    (void)ith;
    if (I->dim[CAST_TO] == PN_F32) {
        if (I->dim[CAST_FROM] == PN_I32) MV_CAST_BLOCKS(int32_t)
        else if (I->dim[CAST_FROM] == PN_U8) MV_CAST_BLOCKS(uint8_t)
    }
    switch (I->dim[CAST_FROM]) {
    case PN_F32: MV_CAST_FROM(float)
    case PN_F64: MV_CAST_FROM(double)
    case PN_I32: MV_CAST_FROM(int32_t)
    case PN_I64: MV_CAST_FROM(int64_t)
    default: MV_CAST_FROM(uint8_t)
    }
}
static int cast(const pn_instr *I) {
    pn_for(I->dim[CAST_N], MV_CHUNK, 0.5 * (double)I->dim[CAST_N], I->nth, cast_range, (void *)I);
    return PN_OK;
}

enum { TAKE_Y, TAKE_X, TAKE_IDX };
enum { TAKE_A, TAKE_ROWS, TAKE_COUNT, TAKE_BYTES, TAKE_NARROW };
static int take(const pn_instr *I) {
    i64 A = I->dim[TAKE_A], rows = I->dim[TAKE_ROWS], count = I->dim[TAKE_COUNT];
    size_t bytes = (size_t)I->dim[TAKE_BYTES];
    char *y = (char *)I->arg[TAKE_Y];
    for (i64 i = 0; i < count; i++) {
        i64 at = I->dim[TAKE_NARROW] ? ((const int32_t *)I->arg[TAKE_IDX])[i] : ((const i64 *)I->arg[TAKE_IDX])[i];
        if (at < -rows || at >= rows) return PN_BAD_INDEX;
    }
    for (i64 a = 0; a < A; a++)
        for (i64 i = 0; i < count; i++) {
            i64 at = I->dim[TAKE_NARROW] ? ((const int32_t *)I->arg[TAKE_IDX])[i] : ((const i64 *)I->arg[TAKE_IDX])[i];
            if (at < 0) at += rows;
            memcpy(y, (const char *)I->arg[TAKE_X] + (size_t)(a * rows + at) * bytes, bytes);
            y += bytes;
        }
    return PN_OK;
}

enum { LOOK_Y, LOOK_BAD, LOOK_W, LOOK_IDS };
enum { LOOK_V, LOOK_COUNT, LOOK_BYTES, LOOK_NARROW };
static void lookup_range(void *ctx, i64 lo, i64 hi, int ith) {
    const pn_instr *I = (const pn_instr *)ctx;
    const size_t bytes = (size_t)I->dim[LOOK_BYTES];
    const char *w = (const char *)I->arg[LOOK_W];
    const int32_t *narrow = I->dim[LOOK_NARROW] ? (const int32_t *)I->arg[LOOK_IDS] : NULL;
    const i64 *wide = (const i64 *)I->arg[LOOK_IDS];
    (void)ith;
    for (i64 i = lo; i < hi; i++) {
        const i64 at = narrow ? narrow[i] : wide[i];
#if defined(__GNUC__) || defined(__clang__)
        if (i + MV_AHEAD < hi) {
            const char *later = w + (size_t)(narrow ? narrow[i + MV_AHEAD] : wide[i + MV_AHEAD]) * bytes;
            for (size_t k = 0; k < bytes && k < 1024; k += 64) PN_FETCH(later + k);
        }
#endif
        memcpy((char *)I->arg[LOOK_Y] + (size_t)i * bytes, w + (size_t)at * bytes, bytes);
    }
}
static int lookup(const pn_instr *I) {
    const i64 rows = I->dim[LOOK_V], count = I->dim[LOOK_COUNT];
    i64 *bad = (i64 *)I->arg[LOOK_BAD];
    bad[0] = bad[1] = 0;
    for (i64 i = 0; i < count; i++) {
        const i64 at = I->dim[LOOK_NARROW] ? ((const int32_t *)I->arg[LOOK_IDS])[i] : ((const i64 *)I->arg[LOOK_IDS])[i];
        if (at < 0 || at >= rows) {
            bad[0] = i;
            bad[1] = at;
            return PN_BAD_INDEX;
        }
    }
    pn_for(count, 64, 0.1 * (double)(count * I->dim[LOOK_BYTES]), I->nth, lookup_range, (void *)I);
    return PN_OK;
}

static void batch_rows_range(void *ctx, i64 lo, i64 hi, int ith) {
    const pn_instr *I = (const pn_instr *)ctx;
    size_t bytes = (size_t)I->dim[ROWS_B];
    const i64 *perm = (const i64 *)I->arg[ROWS_PERM] + *(const i64 *)I->arg[ROWS_OFFSET];
    (void)ith;
    for (i64 i = lo; i < hi; i++)
        memcpy((char *)I->arg[ROWS_Y] + (size_t)i * bytes, (const char *)I->arg[ROWS_X] + (size_t)perm[i] * bytes, bytes);
}
static int batch_rows(const pn_instr *I) {
    if (!pn_rows_inside(I, I->dim[ROWS_B])) return PN_BAD_INDEX;
    pn_for(I->dim[ROWS_N], 16, 0.1 * (double)(I->dim[ROWS_N] * I->dim[ROWS_B]), I->nth, batch_rows_range, (void *)I);
    return PN_OK;
}

enum { STORE_Y, STORE_X, STORE_OFFSET };
enum { STORE_N, STORE_ROW, STORE_Y_BYTES };
static int store_rows(const pn_instr *I) {
    const i64 row = I->dim[STORE_ROW], offset = *(const i64 *)I->arg[STORE_OFFSET];
    if (row == 0) return PN_OK;
    if (offset < 0 || offset > I->dim[STORE_Y_BYTES] / row - I->dim[STORE_N]) return PN_BAD_INDEX;
    memcpy((char *)I->arg[STORE_Y] + offset * row, I->arg[STORE_X], (size_t)(row * I->dim[STORE_N]));
    return PN_OK;
}

enum { ADVANCE_STEP, ADVANCE_CURSOR, ADVANCE_OFFSET };
enum { ADVANCE_STEPS, ADVANCE_ROWS };
static int advance(const pn_instr *I) {
    *(i64 *)I->arg[ADVANCE_STEP] += I->dim[ADVANCE_STEPS];
    *(i64 *)I->arg[ADVANCE_CURSOR] += 1;
    *(i64 *)I->arg[ADVANCE_OFFSET] += I->dim[ADVANCE_ROWS];
    return PN_OK;
}

enum { SEGMENT_PLACE, SEGMENT_DRAW, SEGMENT_NOTE, SEGMENT_OFFSET, SEGMENT_STEP };
enum { SEGMENT_NUMBER, SEGMENT_FIRST, SEGMENT_COLUMNS };
static int segment_begin(const pn_instr *I) {
    *(i64 *)I->arg[SEGMENT_PLACE] = *(const i64 *)I->arg[SEGMENT_OFFSET] + I->dim[SEGMENT_FIRST];
    *(i64 *)I->arg[SEGMENT_DRAW] = *(const i64 *)I->arg[SEGMENT_STEP] + (I->dim[SEGMENT_NUMBER] << 32);
    memset(I->arg[SEGMENT_NOTE], 0, (size_t)I->dim[SEGMENT_COLUMNS] * sizeof(double));
    return PN_OK;
}

/* Joins x[0], x[stride], ... of S segments: neighbours, then neighbours of these, and what is left from the right. */
static double joined_segments(const double *x, i64 S, i64 stride) {
    double held[64];
    int depth = 0;
    for (i64 s = 0; s < S; s++) {
        double sum = x[s * stride];
        for (i64 bits = s; bits & 1; bits >>= 1) sum = held[--depth] + sum;
        held[depth++] = sum;
    }
    while (depth > 1) {
        held[depth - 2] += held[depth - 1];
        depth--;
    }
    return depth ? held[0] : 0.0;
}

enum { SEGLOG_LOSSES, SEGLOG_SUMS };
enum { SEGLOG_S, SEGLOG_COLUMNS, SEGLOG_CHECK };
static int log_segments(const pn_instr *I) {
    const i64 S = I->dim[SEGLOG_S], columns = I->dim[SEGLOG_COLUMNS];
    const int outs = SEGLOG_SUMS + (int)(columns / 2);
    const double *notes = (const double *)I->arg[outs];
    double loss = joined_segments(notes, S, columns) / joined_segments(notes + 1, S, columns);
    ((double *)I->arg[SEGLOG_LOSSES])[*(const i64 *)I->arg[outs + 1]] = loss;
    if (I->dim[SEGLOG_CHECK] && !(loss - loss == 0.0)) return PN_NONFINITE;
    for (i64 k = 0; k < columns; k++)
        ((double *)I->arg[SEGLOG_SUMS + k / 2])[k % 2] += joined_segments(notes + k, S, columns);
    return PN_OK;
}
