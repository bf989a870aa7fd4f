/* The kernel table of one translation unit, from the rows of kernels.def. */
#ifndef PN_TABLE_H
#define PN_TABLE_H

#include <stddef.h>

#include "kernels.def"
#include "pn.h"

/* The name of a kernel: its place among all names, as an address takes four times the room where loaders set them. */
#ifdef __wasm__
typedef const char *pn_name;
#define PN_NAMED(name) #name
static inline const char *pn_name_text(pn_name name) { return name; }
#else
typedef int32_t pn_name;
#define PN_MEMBER(name) char name[sizeof #name];
typedef struct pn_names {
    char none; /* 0 is no name */
    PN_REAL_KERNELS(PN_MEMBER) PN_SINGLE_KERNELS(PN_MEMBER) PN_ANY_KERNELS(PN_MEMBER)
} pn_names;
#undef PN_MEMBER
extern const pn_names pn_every_name;
#define PN_NAMED(name) (int32_t)offsetof(pn_names, name)
static inline const char *pn_name_text(pn_name name) { return name ? (const char *)&pn_every_name + name : NULL; }
#endif

typedef struct pn_entry {
    pn_name name;
    pn_kernel fn;
} pn_entry;

/* float32 has a table per target, float64 one per ISA, the other dtypes are the generic target's; an entry of 0 ends a
 * table. */
#define PN_DECLARE(id, name, fallback) extern const pn_entry pn_table_##id[];
PN_ISAS(PN_DECLARE) PN_UNITS(PN_DECLARE)
#undef PN_DECLARE
#define PN_DECLARE(id, name, fallback) extern const pn_entry pn_table_f64_##id[];
PN_ISAS(PN_DECLARE)
#undef PN_DECLARE
extern const pn_entry pn_table_i32[], pn_table_i64[];
extern const pn_entry pn_table_any[]; /* kernels that move bytes and do not care for the dtype */

/* What a matrix unit takes over from the AVX-512 table: with one plane, and with two. */
typedef struct pn_products {
    void (*gemm)(const pn_gemm_call *g, void *scratch, i64 scratch_bytes, int nth);
    void (*pack)(void *dst, const void *b, i64 brs, i64 bcs, i64 n, i64 k, i64 rows);
    void (*product)(i64 m, i64 n, i64 k, const void *a, i64 lda, const void *packed, void *c, i64 ldc, int add,
                    i64 rows);
} pn_products;
#define PN_DECLARE(id, name, fallback) extern const pn_products pn_products_##id[2];
PN_UNITS(PN_DECLARE)
#undef PN_DECLARE

#define PN_DECLARE(id, name, fallback) extern const pn_ops pn_ops_##id, pn_ops_f64_##id;
PN_ISAS(PN_DECLARE)
#undef PN_DECLARE
/* The generic table where the processor fuses multiply-adds and the baseline that is compiled for does not. */
extern const pn_entry pn_table_GENERIC_FUSED[];
extern const pn_ops pn_ops_GENERIC_FUSED;

/* What stands for the table and the building blocks of an ISA that another processor has: PN_NO_TABLE(AVX2), or
 * PN_NO_TABLE(f64_AVX2). */
#define PN_NO_TABLE(id)                            \
    const pn_entry pn_table_##id[] = {{0, NULL}}; \
    const pn_ops pn_ops_##id = {0}

#define PN_ROW(name) {PN_NAMED(name), name},
#define PN_DEFINE_TABLE(table, rows) const pn_entry table[] = {rows{0, NULL}}

#endif
