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

/* What a matrix unit takes over from the AVX-512 table: with one plane, and with two. */
typedef struct pn_products {
    void (*gemm)(const pn_gemm_call *g, void *scratch, i64 scratch_bytes, int nth);
    void (*pack)(void *dst, const void *b, i64 brs, i64 bcs, i64 n, i64 k, i64 rows);
    void (*product)(i64 m, i64 n, i64 k, const void *a, i64 lda, const void *packed, void *c, i64 ldc, int add,
                    i64 rows);
} pn_products;
extern const pn_products pn_products_bf16[2], pn_products_amx[2], pn_products_amx_emulated[2];
extern const pn_entry pn_table_bf16[], pn_table_amx[], pn_table_amx_emulated[];

extern const pn_ops pn_ops_f32_generic, pn_ops_f32_avx2, pn_ops_f32_avx512, pn_ops_f64;

#define PN_ROW(name) {#name, name},
#define PN_DEFINE_TABLE(table, rows) const pn_entry table[] = {rows{NULL, NULL}}

#endif
