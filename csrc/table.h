/* The kernel table of one translation unit, from the rows of kernels.def. */
#ifndef PN_TABLE_H
#define PN_TABLE_H

#include "pn.h"

typedef struct pn_entry {
    const char *name;
    pn_kernel fn;
} pn_entry;

extern const pn_entry pn_table_f32_generic[], pn_table_f32_avx2[], pn_table_f32_avx512[];
extern const pn_entry pn_table_f64[], pn_table_i32[], pn_table_i64[];
extern const pn_entry pn_table_any[]; /* kernels that move bytes and do not care for the dtype */

extern const pn_ops pn_ops_f32_generic, pn_ops_f32_avx2, pn_ops_f32_avx512, pn_ops_f64;

#define PN_ROW(name) {#name, name},
#define PN_DEFINE_TABLE(table, rows) const pn_entry table[] = {rows{NULL, NULL}}

#endif
