/* Products of bytes (byte_dots.h): AMX, AVX-512 VNNI, AVX-VNNI, AVX2, NEON and plain C. */
#include "byte_dots.h"

#include <string.h>

#include "target.h"
#include "unroll.h"
#ifdef PN_ARM64
#include <arm_neon.h>
#endif

void pn_byte_row_sums(int32_t *to, const pn_byte_rows *from, i64 rows, int32_t zero) {
    for (i64 r = 0; r < rows; r++) {
        uint32_t s = 0; /* which wraps */
        for (i64 p = 0; p < from->parts; p++)
            for (i64 i = 0; i < from->k; i++) s += from->a[r * from->lda + p * from->apart + i];
        to[r] = (int32_t)(s - (uint32_t)(from->k * from->parts) * (uint32_t)zero);
    }
}

GEMM_INLINE void ended(int32_t *acc, i64 ldacc, i64 rows, const pn_byte_ends *e) {
    for (i64 r = 0; r < rows; r++) {
        uint32_t *t = (uint32_t *)acc + r * ldacc;
        const uint32_t zero = (uint32_t)e->zero, sum = e->shift ? (uint32_t)e->row_sums[r] : 0;
        if (zero)
            for (i64 j = 0; j < e->cols; j++) t[j] -= zero * (uint32_t)e->sums[j];
        if (sum)
            for (i64 j = 0; j < e->cols; j++) t[j] += sum * (uint32_t)e->shift[j];
    }
}

static void dots_plain(int32_t *acc, i64 ldacc, const pn_byte_rows *from, i64 rows, const int8_t *w, i64 panels,
                       const pn_byte_ends *ends) {
    const uint8_t *a = from->a;
    const i64 lda = from->lda, k = from->k, groups = pn_byte_groups(k);
    for (i64 r = 0; r < rows; r++)
        for (i64 p = 0; p < panels; p++) {
            const int8_t *v = w + p * groups * 4 * PN_BYTE_COLS;
            uint32_t s[PN_BYTE_COLS] = {0}; /* which wrap */
            for (i64 i = 0; i < k; i++)
                for (int j = 0; j < PN_BYTE_COLS; j++)
                    s[j] += (uint32_t)(a[r * lda + i] * v[i / 4 * 4 * PN_BYTE_COLS + 4 * j + i % 4]);
            memcpy(acc + r * ldacc + p * PN_BYTE_COLS, s, sizeof s);
        }
    ended(acc, ldacc, rows, ends);
}

/* Four terms of a row, of which the last group may have fewer. */
static inline int32_t four(const uint8_t *a, i64 n) {
    int32_t word = 0;
    memcpy(&word, a, n < 4 ? (size_t)n : 4);
    return word;
}

/* All rows and panels, in tiles of up to R rows and P panels. */
#define DOTS_ROWS(TILE, R, P)                                                                  \
    for (; i + R <= rows; i += R) TILE(acc + i * ldacc + q, ldacc, from, i, v, R, P);
#define DOTS_ALL(NAME, TILE, TALL, WIDE)                                                                             \
    static void NAME(int32_t *acc, i64 ldacc, const pn_byte_rows *from, i64 rows, const int8_t *w, i64 panels,        \
                     const pn_byte_ends *ends) {                                                                     \
        const i64 panel = pn_byte_groups(from->k) * from->parts * 4 * PN_BYTE_COLS;                                   \
        i64 p = 0;                                                                                                   \
        for (; p + WIDE <= panels; p += WIDE) {                                                                      \
            const int8_t *v = w + p * panel;                                                                         \
            i64 i = 0, q = p * PN_BYTE_COLS;                                                                         \
            DOTS_ROWS(TILE, TALL, WIDE)                                                                              \
            DOTS_ROWS(TILE, 2, WIDE)                                                                                 \
            DOTS_ROWS(TILE, 1, WIDE)                                                                                 \
        }                                                                                                            \
        for (; p < panels; p++) {                                                                                    \
            const int8_t *v = w + p * panel;                                                                         \
            i64 i = 0, q = p * PN_BYTE_COLS;                                                                         \
            DOTS_ROWS(TILE, TALL, 1)                                                                                 \
            DOTS_ROWS(TILE, 1, 1)                                                                                    \
        }                                                                                                            \
        ended(acc, ldacc, rows, ends);                                                                               \
    }

#if defined(PN_X86) && defined(PN_PAIRS_BUILT)
/* One tile of R rows and P panels: of each part `groups` whole groups of terms, then one of `rest` terms. */
#define DOTS_TILE(NAME, VEC, PARTS, ZERO, SPREAD, LOAD, STORE, DOT)                                                 \
    GEMM_INLINE void NAME(int32_t *acc, i64 ldacc, const pn_byte_rows *from, i64 row, const int8_t *w, const int R, \
                          const int P) {                                                                            \
        const i64 groups = from->k / 4, rest = from->k % 4, all = pn_byte_groups(from->k), lda = from->lda;         \
        const i64 panel = all * from->parts * 4 * PN_BYTE_COLS;                                                     \
        const uint8_t *a = from->a + row * lda;                                                                     \
        VEC s[PN_BYTE_ROWS][PN_BYTE_PANELS * PARTS];                                                                \
        GEMM_UNROLL for (int r = 0; r < R; r++) GEMM_UNROLL for (int p = 0; p < P * PARTS; p++) s[r][p] = ZERO;     \
        for (i64 part = 0; part < from->parts; part++, a += from->apart, w += 64 * all)                             \
            for (i64 g = 0; g < all; g++) {                                                                         \
                VEC v[PN_BYTE_PANELS * PARTS];                                                                      \
                GEMM_UNROLL for (int p = 0; p < P * PARTS; p++)                                                     \
                    v[p] = LOAD(w + p / PARTS * panel + 64 * g + p % PARTS * (64 / PARTS));                         \
                GEMM_UNROLL for (int r = 0; r < R; r++) {                                                           \
                    const VEC x = SPREAD(g < groups ? four(a + r * lda + 4 * g, 4) : four(a + r * lda + 4 * g, rest)); \
                    GEMM_UNROLL for (int p = 0; p < P * PARTS; p++) s[r][p] = DOT(s[r][p], x, v[p]);                \
                }                                                                                                   \
            }                                                                                                       \
        GEMM_UNROLL for (int r = 0; r < R; r++) GEMM_UNROLL for (int p = 0; p < P * PARTS; p++)                     \
            STORE(acc + r * ldacc + p * (PN_BYTE_COLS / PARTS), s[r][p]);                                           \
    }

#define STORE256(p, v) _mm256_storeu_si256((__m256i *)(p), v)
#define LOAD256(p) _mm256_loadu_si256((const __m256i *)(p))

#ifdef __GNUC__
#define IN_REGISTER(v) __asm__("" : "+x"(v)) /* else sums are put off until there are more than registers */
#else
#define IN_REGISTER(v) (void)0
#endif

PN_TARGET_PUSH_AVX2
enum { WIDE_TERMS = 1024 };

/* Without dot products of bytes: terms are 16 bits wide, and sums of two neighbours 32. Four columns are a vector. */
GEMM_INLINE void tile_avx2(int32_t *acc, i64 ldacc, const int16_t *a, const int8_t *w, i64 groups, int more, const int R,
                           const int C) {
    __m256i s[PN_BYTE_ROWS][4];
    GEMM_UNROLL for (int r = 0; r < R; r++) GEMM_UNROLL for (int c = 0; c < C; c++) s[r][c] = _mm256_setzero_si256();
    for (i64 g = 0; g < groups; g++) {
        __m256i v[4];
        GEMM_UNROLL for (int c = 0; c < C; c++)
            v[c] = _mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)(w + 64 * g + 16 * c)));
        GEMM_UNROLL for (int r = 0; r < R; r++) {
            const __m256i x = _mm256_broadcastq_epi64(_mm_loadl_epi64((const __m128i *)(a + r * WIDE_TERMS + 4 * g)));
            GEMM_UNROLL for (int c = 0; c < C; c++) {
                s[r][c] = _mm256_add_epi32(s[r][c], _mm256_madd_epi16(x, v[c]));
                IN_REGISTER(s[r][c]);
            }
        }
    }
    GEMM_UNROLL for (int r = 0; r < R; r++) GEMM_UNROLL for (int c = 0; c < C; c += 2) {
        int32_t *to = acc + r * ldacc + 4 * c;
        const __m256i sum = _mm256_permute4x64_epi64(_mm256_hadd_epi32(s[r][c], s[r][c + 1]), 0xD8);
        STORE256(to, more ? _mm256_add_epi32(LOAD256(to), sum) : sum);
    }
}

/* Some rows at a time, of so many terms, with all panels: both then lie near. */
static void dots_avx2(int32_t *acc, i64 ldacc, const pn_byte_rows *rows_of, i64 rows, const int8_t *w, i64 panels,
                      const pn_byte_ends *ends) {
    const uint8_t *a = rows_of->a;
    const i64 lda = rows_of->lda, k = rows_of->k;
    int16_t terms[PN_BYTE_ROWS * WIDE_TERMS];
    for (i64 at = 0; at == 0 || at < k; at += WIDE_TERMS) {
        const i64 n = k - at < WIDE_TERMS ? k - at : WIDE_TERMS, groups = pn_byte_groups(n);
        for (i64 i = 0, some; i < rows; i += some) {
            some = rows - i >= PN_BYTE_ROWS ? PN_BYTE_ROWS : rows - i < 3 ? rows - i : 3;
            for (i64 r = 0; r < some; r++) {
                const uint8_t *from = a + (i + r) * lda + at;
                int16_t *to = terms + r * WIDE_TERMS;
                for (i64 j = 0; j < n; j++) to[j] = from[j];
                for (i64 j = n; j < 4 * groups; j++) to[j] = 0;
            }
            for (i64 p = 0; p < panels; p++) {
                const int8_t *v = w + (p * pn_byte_groups(k) + at / 4) * 4 * PN_BYTE_COLS;
                int32_t *to = acc + i * ldacc + p * PN_BYTE_COLS;
                if (some == 1) tile_avx2(to, ldacc, terms, v, groups, at > 0, 1, 4);
                else if (some == 2) tile_avx2(to, ldacc, terms, v, groups, at > 0, 2, 4);
                else
                    for (int half = 0; half < 2; half++) {
                        if (some == 3) tile_avx2(to + 8 * half, ldacc, terms, v + 32 * half, groups, at > 0, 3, 2);
                        else tile_avx2(to + 8 * half, ldacc, terms, v + 32 * half, groups, at > 0, PN_BYTE_ROWS, 2);
                    }
            }
        }
    }
    ended(acc, ldacc, rows, ends);
}
PN_TARGET_POP

PN_TARGET_PUSH_AVX_VNNI
DOTS_TILE(tile_vnni256, __m256i, 2, _mm256_setzero_si256(), _mm256_set1_epi32, LOAD256, STORE256,
          _mm256_dpbusd_avx_epi32)
DOTS_ALL(dots_vnni256, tile_vnni256, 3, 2)
PN_TARGET_POP

PN_TARGET_PUSH_VNNI
DOTS_TILE(tile_vnni512, __m512i, 1, _mm512_setzero_si512(), _mm512_set1_epi32, _mm512_loadu_si512, _mm512_storeu_si512,
          _mm512_dpbusd_epi32)
DOTS_ALL(dots_vnni512, tile_vnni512, 6, 4)
PN_TARGET_POP

PN_TARGET_PUSH_AMX
enum { TILE_ROWS = 16, TILE_TERMS = 64, TILE_LEAST = 128 }; /* of a register; terms from which it is worth setting up */

/* The compiler does not know that the instruction reads memory. */
#define TILE_LOAD(t, from, stride)                     \
    do {                                               \
        __asm__ volatile("" ::: "memory");             \
        _tile_loadd(t, from, (size_t)(stride));        \
    } while (0)

/* 16 rows from `row` on, and if below > 0 those from row + below on; two panels, `some` terms at a time. The last terms of
 * rows in one part, which fill no register, are put together with zeros. */
static void tile_amx(int32_t *acc, i64 ldacc, const pn_byte_rows *from, i64 row, i64 below, const int8_t *w, i64 panels,
                     i64 some) {
    const i64 lda = from->lda, k = from->k, panel = pn_byte_groups(k) * from->parts * 4 * PN_BYTE_COLS, low = below * lda;
    const uint8_t *a = from->a + row * lda;
    uint8_t left[2][TILE_ROWS * TILE_TERMS];
    int8_t right[2][TILE_ROWS * TILE_TERMS];
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
    for (i64 part = 0; part < from->parts; part++, a += from->apart, w += k * PN_BYTE_COLS)
        for (i64 at = 0; at < k; at += some) {
            const uint8_t *x = a + at, *y = a + low + at;
            const int8_t *v = w + at * PN_BYTE_COLS, *u = v + (panels > 1 ? panel : 0);
            i64 step = lda;
            if (k - at < some) {
                const size_t n = (size_t)(k - at), bytes = (size_t)(panel - at * PN_BYTE_COLS);
                memset(left, 0, sizeof left);
                memset(right, 0, sizeof right);
                for (i64 r = 0; r < TILE_ROWS; r++) {
                    memcpy(left[0] + r * TILE_TERMS, x + r * lda, n);
                    memcpy(left[1] + r * TILE_TERMS, y + r * lda, n);
                }
                memcpy(right[0], v, bytes);
                memcpy(right[1], u, bytes);
                x = left[0], y = left[1], v = right[0], u = right[1];
                step = TILE_TERMS;
            }
            TILE_LOAD(4, x, step);
            TILE_LOAD(6, v, TILE_TERMS);
            _tile_dpbusd(0, 4, 6);
            if (panels > 1) {
                TILE_LOAD(7, u, TILE_TERMS);
                _tile_dpbusd(1, 4, 7);
            }
            if (low) {
                TILE_LOAD(5, y, step);
                _tile_dpbusd(2, 5, 6);
                if (panels > 1) _tile_dpbusd(3, 5, 7);
            }
        }
    acc += row * ldacc;
    _tile_stored(0, acc, (size_t)ldacc * 4);
    if (panels > 1) _tile_stored(1, acc + PN_BYTE_COLS, (size_t)ldacc * 4);
    if (low) _tile_stored(2, acc + below * ldacc, (size_t)ldacc * 4);
    if (low && panels > 1) _tile_stored(3, acc + below * ldacc + PN_BYTE_COLS, (size_t)ldacc * 4);
}

/* Rows that fill no register are computed with some of those before them; fewer than 16 are left to vectors. */
static void dots_amx(int32_t *acc, i64 ldacc, const pn_byte_rows *from, i64 rows, const int8_t *w, i64 panels,
                     const pn_byte_ends *ends) {
    struct {
        uint8_t palette, start, reserved[14];
        uint16_t bytes[16];
        uint8_t rows[16];
    } shape = {1, 0, {0}, {64, 64, 64, 64, 64, 64, 64, 64}, {16, 16, 16, 16, 16, 16, 16, 16}};
    const i64 k = from->k, panel = pn_byte_groups(k) * from->parts * 4 * PN_BYTE_COLS;
    i64 some = TILE_TERMS;
    if (from->parts > 1) { /* so many that a part ends with a register */
        i64 n = (k + TILE_TERMS - 1) / TILE_TERMS;
        while (k % (4 * n)) n++;
        some = k / n;
        shape.bytes[4] = shape.bytes[5] = (uint16_t)some;
        shape.rows[6] = shape.rows[7] = (uint8_t)(some / 4);
    }
    if (rows < TILE_ROWS || k * from->parts < TILE_LEAST || some < TILE_TERMS / 4) {
        dots_vnni512(acc, ldacc, from, rows, w, panels, ends);
        return;
    }
    _tile_loadconfig(&shape);
    for (i64 p = 0; p < panels; p += 2)
        for (i64 i = 0; i < rows; i += 2 * TILE_ROWS) {
            const i64 last = rows - TILE_ROWS, row = i < last ? i : last, below = last - row;
            tile_amx(acc + p * PN_BYTE_COLS, ldacc, from, row, below < TILE_ROWS ? below : TILE_ROWS, w + p * panel,
                     panels - p < 2 ? panels - p : 2, some);
        }
    _tile_release();
    ended(acc, ldacc, rows, ends);
}
PN_TARGET_POP
#endif

#ifdef PN_ARM64
#define DOTS_TERM(t)                                                                                      \
    {                                                                                                     \
        const int16x8_t low = vmovl_s8(vget_low_s8(v.val[t])), high = vmovl_s8(vget_high_s8(v.val[t]));   \
        GEMM_UNROLL for (int r = 0; r < R; r++) {                                                         \
            s[r][0] = vmlal_lane_s16(s[r][0], vget_low_s16(low), x[r], t);                                \
            s[r][1] = vmlal_lane_s16(s[r][1], vget_high_s16(low), x[r], t);                               \
            s[r][2] = vmlal_lane_s16(s[r][2], vget_low_s16(high), x[r], t);                               \
            s[r][3] = vmlal_lane_s16(s[r][3], vget_high_s16(high), x[r], t);                              \
        }                                                                                                 \
    }

/* What every such processor has: terms become 16 bits wide. A load of vectors of four parts the terms of the columns. */
GEMM_INLINE void tile_neon(int32_t *acc, i64 ldacc, const pn_byte_rows *from, i64 row, const int8_t *w, const int R,
                           const int P) {
    const i64 groups = from->k / 4, rest = from->k % 4, lda = from->lda;
    const uint8_t *a = from->a + row * lda;
    int32x4_t s[PN_BYTE_ROWS][4];
    (void)P; /* one panel */
    GEMM_UNROLL for (int r = 0; r < R; r++) GEMM_UNROLL for (int c = 0; c < 4; c++) s[r][c] = vdupq_n_s32(0);
    for (i64 g = 0; g < groups + (rest > 0); g++) {
        const int8x16x4_t v = vld4q_s8(w + 64 * g);
        int16x4_t x[PN_BYTE_ROWS];
        GEMM_UNROLL for (int r = 0; r < R; r++) {
            const int32_t word = g < groups ? four(a + r * lda + 4 * g, 4) : four(a + r * lda + 4 * g, rest);
            x[r] = vreinterpret_s16_u16(vget_low_u16(vmovl_u8(vreinterpret_u8_s32(vdup_n_s32(word)))));
        }
        DOTS_TERM(0)
        DOTS_TERM(1)
        DOTS_TERM(2)
        DOTS_TERM(3)
    }
    GEMM_UNROLL for (int r = 0; r < R; r++) GEMM_UNROLL for (int c = 0; c < 4; c++)
        vst1q_s32(acc + r * ldacc + 4 * c, s[r][c]);
}
DOTS_ALL(dots_neon, tile_neon, 4, 1)
#endif

pn_byte_dots_fn pn_byte_dots(int lanes, int parts) {
#if defined(PN_X86) && defined(PN_PAIRS_BUILT)
    if (lanes >= 16 && (pn_byte_units & PN_BYTES_TILES) && pn_tiles_granted()) return dots_amx;
    if (lanes >= 16 && (pn_byte_units & PN_BYTES_512)) return dots_vnni512;
    if (lanes >= 8 && (pn_byte_units & PN_BYTES_256)) return dots_vnni256;
    if (lanes >= 8 && !parts) return dots_avx2;
#elif defined(PN_ARM64)
    if (lanes >= 4 && !parts) return dots_neon;
#endif
    (void)lanes;
    return parts ? NULL : dots_plain;
}
