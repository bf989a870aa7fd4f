/* What this processor and operating system can run, and the kernel tables that fit. */
#include "pn.h"

#include <string.h>

#include "table.h"
#include "target.h"

#if defined(PN_X86)
#if defined(_MSC_VER)
#include <intrin.h>
static void cpuid(int leaf, int sub, unsigned r[4]) { __cpuidex((int *)r, leaf, sub); }
static unsigned long long xgetbv0(void) { return _xgetbv(0); }
#else
#include <cpuid.h>
static void cpuid(int leaf, int sub, unsigned r[4]) { __cpuid_count(leaf, sub, r[0], r[1], r[2], r[3]); }
static unsigned long long xgetbv0(void) {
    unsigned lo, hi;
    __asm__ volatile("xgetbv" : "=a"(lo), "=d"(hi) : "c"(0));
    return ((unsigned long long)hi << 32) | lo;
}
#endif

/* The operating system must save the wide registers too: xgetbv tells. */
int pn_isa_available(int isa) {
    unsigned r1[4], r7[4], r0[4];
    unsigned long long saved;
    if (isa == PN_ISA_GENERIC) return 1;
    cpuid(0, 0, r0);
    if (r0[0] < 7) return 0;
    cpuid(1, 0, r1);
    if (!(r1[2] & (1u << 27))) return 0; /* OSXSAVE */
    saved = xgetbv0();
    cpuid(7, 0, r7);
    {
        int avx2 = (saved & 6) == 6 && (r1[2] & (1u << 28)) && (r1[2] & (1u << 12)) && (r7[1] & (1u << 5));
        unsigned need = (1u << 16) | (1u << 17) | (1u << 30) | (1u << 31); /* F, DQ, BW, VL */
        if (isa == PN_ISA_AVX2) return avx2;
        return isa == PN_ISA_AVX512 && avx2 && (saved & 0xe6) == 0xe6 && (r7[1] & need) == need;
    }
}
#else
int pn_isa_available(int isa) { return isa == PN_ISA_GENERIC; }
#endif

#if defined(PN_X86) && defined(PN_PAIRS_BUILT)
#if defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
/* The kernel hands out the tile registers' 8 KB per thread on request only. */
static int amx_granted(void) { return syscall(SYS_arch_prctl, 0x1023 /* ARCH_REQ_XCOMP_PERM */, 18) == 0; }
#else
static int amx_granted(void) { return 0; }
#endif

int pn_unit_available(int unit) {
    unsigned r7[4], sub[4];
    if (!pn_isa_available(PN_ISA_AVX512)) return 0;
    cpuid(7, 0, r7);
    if (r7[0] < 1) return 0;
    cpuid(7, 1, sub);
    if (!(sub[0] & (1u << 5))) return 0; /* AVX512_BF16 */
    if (unit != PN_UNIT_AMX) return 1;
    return (r7[3] & (1u << 22)) && (r7[3] & (1u << 24)) && (xgetbv0() & 0x60000) == 0x60000 && amx_granted();
}

static const pn_entry *unit_table(int isa) {
    static const pn_entry *const tables[PN_UNIT_COUNT] = {pn_table_bf16, pn_table_amx, pn_table_amx_emulated};
    return tables[(isa - PN_ISA_COUNT) / 2];
}

/* The AVX-512 building blocks but for products. */
static const pn_ops *unit_ops(int isa) {
    static const pn_products *const products[PN_UNIT_COUNT] = {pn_products_bf16, pn_products_amx, pn_products_amx_emulated};
    static pn_ops made[2 * PN_UNIT_COUNT];
    const int i = isa - PN_ISA_COUNT;
    const pn_products *p = products[i / 2] + i % 2;
    pn_ops ops = pn_ops_f32_avx512;
    ops.planes = 1 + i % 2;
    ops.gemm = p->gemm;
    ops.pack = p->pack;
    ops.product = p->product;
    made[i] = ops; /* the same bytes every time */
    return &made[i];
}
#else
int pn_unit_available(int unit) {
    (void)unit;
    return 0;
}
#endif

const char *pn_unit_name(int unit) {
    static const char *const names[PN_UNIT_COUNT] = {"avx512_bf16", "amx", "amx_emulated"};
    return unit >= 0 && unit < PN_UNIT_COUNT ? names[unit] : "unknown";
}

int pn_isa_best(void) {
    if (pn_isa_available(PN_ISA_AVX512)) return PN_ISA_AVX512;
    return pn_isa_available(PN_ISA_AVX2) ? PN_ISA_AVX2 : PN_ISA_GENERIC;
}

const char *pn_isa_name(int isa) {
    static const char *const names[PN_ISA_COUNT] = {"generic", "avx2", "avx512"};
    return isa >= 0 && isa < PN_ISA_COUNT ? names[isa] : "unknown";
}

static pn_kernel find(const pn_entry *table, const char *name) {
    for (; table && table->name; table++)
        if (strcmp(table->name, name) == 0) return table->fn;
    return NULL;
}

pn_kernel pn_find_kernel(const char *name, int dtype, int isa) {
    pn_kernel fn = NULL;
    switch (dtype) {
    case PN_F32:
#if defined(PN_X86)
#if defined(PN_PAIRS_BUILT)
        if (isa >= PN_ISA_COUNT) fn = find(unit_table(isa), name);
#endif
        if (!fn && isa >= PN_ISA_AVX512) fn = find(pn_table_f32_avx512, name);
        if (isa == PN_ISA_AVX2) fn = find(pn_table_f32_avx2, name);
#else
        (void)isa;
#endif
        if (!fn) fn = find(pn_table_f32_generic, name);
        break;
    case PN_F64: fn = find(pn_table_f64, name); break;
    case PN_I32: fn = find(pn_table_i32, name); break;
    case PN_I64: fn = find(pn_table_i64, name); break;
    default: break;
    }
    return fn ? fn : find(pn_table_any, name);
}

const pn_ops *pn_find_ops(int dtype, int isa) {
    if (dtype == PN_F64) return &pn_ops_f64;
    if (dtype != PN_F32) return NULL;
#if defined(PN_X86)
#if defined(PN_PAIRS_BUILT)
    if (isa >= PN_ISA_COUNT) return unit_ops(isa);
#endif
    if (isa == PN_ISA_AVX512) return &pn_ops_f32_avx512;
    if (isa == PN_ISA_AVX2) return &pn_ops_f32_avx2;
#endif
    return &pn_ops_f32_generic;
}

static const pn_entry *entry(i64 i) {
    const pn_entry *tables[2];
    tables[0] = pn_table_f64;
    tables[1] = pn_table_any;
    for (int t = 0; t < 2; t++)
        for (const pn_entry *e = tables[t]; e->name; e++)
            if (i-- == 0) return e;
    return NULL;
}

i64 pn_kernel_count(void) {
    i64 n = 0;
    while (entry(n)) n++;
    return n;
}

const char *pn_kernel_name(i64 i) {
    const pn_entry *e = entry(i);
    return e ? e->name : NULL;
}
