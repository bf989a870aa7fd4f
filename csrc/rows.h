/* Which rows a batch is made of, checked against the memory that they lie in. */
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
    const i64 rows = I->dim[ROWS_X_BYTES] / row_bytes, *perm = (const i64 *)I->arg[ROWS_PERM] + offset;
    for (i64 i = 0; i < I->dim[ROWS_N]; i++)
        if (perm[i] < 0 || perm[i] >= rows) return 0;
    return 1;
}

#endif
