/* Products of bytes: acc[r, j] = sum over k of (a[r, k] - zero) (w[k, j] + shift[j]), exact, with unsigned a and signed w.
 *
 * w lies in panels of PN_BYTE_COLS columns and groups of four terms, [panel, ceil(k / 4), PN_BYTE_COLS, 4], with zeros
 * where k ends in between: one vector of 64 bytes is what a processor's dot products of bytes take.
 */
#ifndef PN_BYTE_DOTS_H
#define PN_BYTE_DOTS_H

#include "pn.h"

enum { PN_BYTE_COLS = 16, PN_BYTE_ROWS = 6, PN_BYTE_PANELS = 4 };

/* What makes dot products of bytes the sums above, for the first `cols` columns; those of the last panel may be fewer. */
typedef struct pn_byte_ends {
    const int32_t *sums;     /* of the columns of w + shift, which may be those of anything: numbers wrap */
    const int32_t *shift;    /* or NULL, which is 0 */
    const int32_t *row_sums; /* of a - zero */
    int32_t zero;
    i64 cols;
} pn_byte_ends;

/* Where rows of a lie: lda bytes apart, each in `parts` runs of k terms that are `apart` bytes apart, so that patches of
 * an image need not be copied. k is a multiple of four if there are several. */
typedef struct pn_byte_rows {
    const uint8_t *a;
    i64 lda, k, parts, apart;
} pn_byte_rows;

/* Rows of acc are ldacc elements apart. */
typedef void (*pn_byte_dots_fn)(int32_t *acc, i64 ldacc, const pn_byte_rows *from, i64 rows, const int8_t *w, i64 panels,
                                const pn_byte_ends *ends);

/* Sums of a - zero of each row. */
void pn_byte_row_sums(int32_t *to, const pn_byte_rows *from, i64 rows, int32_t zero);

/* The fastest that the processor has among those for vectors of so many lanes: 1 is plain C. Of rows in parts, NULL where
 * none takes them. */
pn_byte_dots_fn pn_byte_dots(int lanes, int parts);

/* What the processor has for it, found by pn_cpu_init, which must come before any kernel runs. */
enum { PN_BYTES_256 = 1, PN_BYTES_512 = 2, PN_BYTES_TILES = 4 };
extern int pn_byte_units;
void pn_cpu_init(void);
/* Whether tile registers may be used; the system is asked at the first call. */
int pn_tiles_granted(void);

/* Whether vectors' dot products of bfloat16 outrun float32: twice as fast on AMD's processors, half as fast on Intel's. */
int pn_dots_quick(void);

static inline i64 pn_byte_groups(i64 k) { return (k + 3) / 4; }

#endif
