/* What a page calls: kernels by name, the layout of an instruction, and programs. The page writes instructions into the
 * memory of the module as pynn/web/engine.js lays them out; nothing here allocates. float32 is the only dtype of real
 * numbers. */
#include "../gemm_scratch.h"
#include "../winograd_plan.h"
#include "../table.h"
#ifdef __wasm_relaxed_simd__
#include <wasm_simd128.h>
#endif

#include <math.h>
#include <string.h>

#define PAGE(name) __attribute__((export_name("pn_" #name)))

/* Bytes of an instruction, and where its parts lie in it: fn, arg, dim, par, scratch, scratch_bytes, nth, salt, ops. */
PAGE(layout) int pn_page_layout(int part) {
    static const int at[] = {
        sizeof(pn_instr), offsetof(pn_instr, fn), offsetof(pn_instr, arg), offsetof(pn_instr, dim),
        offsetof(pn_instr, par), offsetof(pn_instr, scratch), offsetof(pn_instr, scratch_bytes), offsetof(pn_instr, nth),
        offsetof(pn_instr, salt), offsetof(pn_instr, ops),
    };
    return at[part];
}

static pn_kernel find(const pn_entry *table, const char *name) {
    for (; table->name; table++)
        if (strcmp(pn_name_text(table->name), name) == 0) return table->fn;
    return NULL;
}

/* The kernel of a name and a dtype (pn.h), or NULL. */
PAGE(kernel) pn_kernel pn_page_kernel(const char *name, int dtype) {
    pn_kernel fn = NULL;
    if (dtype == PN_F32) fn = find(pn_table_GENERIC, name);
    if (dtype == PN_I32) fn = find(pn_table_i32, name);
    return fn ? fn : find(pn_table_any, name);
}

PAGE(ops) const pn_ops *pn_page_ops(void) { return &pn_ops_GENERIC; }

/* Whether a multiply-add rounds once: (1 + e)(1 - e) - 1 is -e e then, and 0 where the product is rounded first. */
PAGE(fused) int pn_page_fused(void) {
    volatile float e = 1.0f / 8192, one = 1.0f;
    float a[4] = {one + e, 0, 0, 0}, b[4] = {one - e, 0, 0, 0}, c[4] = {-one, 0, 0, 0};
#ifdef __wasm_relaxed_simd__
    const v128_t y = wasm_f32x4_relaxed_madd(wasm_v128_load(a), wasm_v128_load(b), wasm_v128_load(c));
    return wasm_f32x4_extract_lane(y, 0) != 0;
#else
    (void)a, (void)b, (void)c;
    return 0;
#endif
}

/* Runs n instructions, `times` times over; 0, or the status of the first that failed with *where its number. */
PAGE(run) int pn_page_run(const pn_instr *code, int n, int times, i64 *where) {
    for (int t = 0; t < times; t++) {
        const int status = pn_run(code, n, where);
        if (status != PN_OK) return status;
    }
    return PN_OK;
}

/* Bytes of scratch memory of a product, as pynn.core._core.gemm_scratch books them for one thread. */
PAGE(gemm_scratch) int pn_page_gemm_scratch(int m, int n, int k, int ta, int tb) {
    return (int)pn_gemm_scratch_bytes(m, n, k, ta, tb, sizeof(float), 1);
}
