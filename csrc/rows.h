/* Which rows a batch or a list is made of, checked against the memory that they lie in. */
#ifndef PN_ROWS_H
#define PN_ROWS_H

#include "pn.h"

/* The operands and dimensions of batch_rows (B in bytes) and batch_scaled (B of uint8). */
enum { ROWS_Y, ROWS_X, ROWS_PERM, ROWS_OFFSET };
enum { ROWS_N, ROWS_B, ROWS_X_BYTES, ROWS_PERM_BYTES };

/* Whether rows perm[offset] ... perm[offset + N - 1] exist, of row_bytes each. */
static inline int pn_rows_inside(const pn_instr *I, i64 row_bytes) {
    const i64 count = I->dim[ROWS_PERM_BYTES] / (i64)sizeof(i64), offset = *(const i64 *)I->arg[ROWS_OFFSET];
    if (offset < 0 || offset > count - I->dim[ROWS_N]) return 0;
    if (row_bytes == 0) return 1;
    const i64 *perm = (const i64 *)I->arg[ROWS_PERM] + offset;
    uint64_t last = 0; /* a negative row is a large one */
    for (i64 i = 0; i < I->dim[ROWS_N]; i++) last = (uint64_t)perm[i] > last ? (uint64_t)perm[i] : last;
    if (I->dim[ROWS_N] == 0) return 1;
    if (last < 1u << 30 && row_bytes < 1 << 30) /* a product takes less time than a quotient */
        return ((i64)last + 1) * row_bytes <= I->dim[ROWS_X_BYTES];
    return last < (uint64_t)(I->dim[ROWS_X_BYTES] / row_bytes);
}

/* Whether a list of touched rows is one of rows of a table of V. */
static inline int pn_rows_listed(const int32_t *rows, i64 count, i64 V) {
    if (count < 0 || count > V) return 0;
    uint32_t last = 0;
    for (i64 i = 0; i < count; i++) last = (uint32_t)rows[i] > last ? (uint32_t)rows[i] : last;
    return count == 0 || (i64)last < V;
}

#endif
