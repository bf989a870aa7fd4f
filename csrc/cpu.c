/* What this processor and operating system can run, and the kernel tables that fit. */
#include "pn.h"

#include <string.h>

#include "byte_dots.h"
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
static int isa_runs(int isa) {
    unsigned r1[4], r7[4], r0[4];
    unsigned long long saved;
    cpuid(0, 0, r0);
    if (r0[0] < 1) return 0;
    cpuid(1, 0, r1);
    if (!(r1[2] & (1u << 27))) return 0; /* OSXSAVE */
    saved = xgetbv0();
    if (r0[0] < 7) r7[1] = 0;
    else cpuid(7, 0, r7);
    {
        int fma = (saved & 6) == 6 && (r1[2] & (1u << 28)) && (r1[2] & (1u << 12));
        int avx2 = fma && (r7[1] & (1u << 5));
        unsigned need = (1u << 16) | (1u << 17) | (1u << 30) | (1u << 31); /* F, DQ, BW, VL */
        switch (isa) {
        case PN_TARGET_AVX2: return avx2;
        case PN_TARGET_AVX512: return avx2 && (saved & 0xe6) == 0xe6 && (r7[1] & need) == need;
        default: return fma; /* whether the fused one of the generic tables runs */
        }
    }
}
#else
static int isa_runs(int isa) {
    (void)isa;
    return 1; /* every processor of the kind that was compiled for */
}
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

static int unit_runs(int unit) {
    unsigned r7[4], sub[4];
    if (!isa_runs(PN_TARGET_AVX512)) return 0;
    cpuid(7, 0, r7);
    if (r7[0] < 1) return 0;
    cpuid(7, 1, sub);
    if (!(sub[0] & (1u << 5))) return 0; /* AVX512_BF16 */
    if (unit != PN_TARGET_AMX) return 1;
    return (r7[3] & (1u << 22)) && (r7[3] & (1u << 24)) && (xgetbv0() & 0x60000) == 0x60000 && pn_tiles_granted();
}
#endif

int pn_tiles_granted(void) {
#if defined(PN_X86) && defined(PN_PAIRS_BUILT)
    static int known; /* 1: no, 2: yes */
    if (!known) known = 1 + !!amx_granted();
    return known == 2;
#else
    return 0;
#endif
}

int pn_dots_quick(void) {
#ifdef PN_X86
    unsigned r0[4];
    cpuid(0, 0, r0);
    return !(r0[1] == 0x756e6547 && r0[3] == 0x49656e69 && r0[2] == 0x6c65746e); /* "GenuineIntel" */
#else
    return 0;
#endif
}

int pn_byte_units = 0;
int pn_roots_apart = 0;

void pn_cpu_init(void) {
#if defined(PN_X86) && defined(PN_PAIRS_BUILT)
    unsigned r7[4], sub[4] = {0};
    if (!isa_runs(PN_TARGET_AVX2)) return;
    cpuid(7, 0, r7);
    if (r7[0] >= 1) cpuid(7, 1, sub);
    pn_roots_apart = isa_runs(PN_TARGET_AVX512) && !pn_dots_quick(); /* Intel's */
    pn_byte_units = sub[0] & (1u << 4) ? PN_BYTES_256 : 0; /* AVX_VNNI */
    if (isa_runs(PN_TARGET_AVX512) && (r7[2] & (1u << 11))) {
        pn_byte_units |= PN_BYTES_512; /* AVX512_VNNI */
        if ((r7[3] & (1u << 24)) && (r7[3] & (1u << 25)) && (xgetbv0() & 0x60000) == 0x60000)
            pn_byte_units |= PN_BYTES_TILES; /* AMX_INT8 */
    }
#endif
}

/* What this build holds of each target: of an ISA of other processors an empty table, of a unit that it lacks none. */
typedef struct target {
    const char *name;
    int fallback;
    const pn_entry *table;
    const pn_ops *ops;           /* of an ISA */
    const pn_entry *table_f64;   /* of an ISA; may be empty */
    const pn_ops *ops_f64;
    const pn_products *products; /* of a unit, with one plane and with two */
} target;

/* The generic table: on x86 the fused one, where it runs. */
static int generic_fused(void) {
#ifdef PN_X86
    static int known; /* 1: no, 2: yes; asked once, for the question takes microseconds on virtual machines */
    if (!known) known = 1 + !!isa_runs(PN_TARGET_GENERIC);
    return known == 2;
#else
    return 0;
#endif
}
#ifndef PN_X86
#define pn_table_GENERIC_FUSED pn_table_GENERIC
#define pn_ops_GENERIC_FUSED pn_ops_GENERIC
#endif

#if defined(PN_X86) && defined(PN_PAIRS_BUILT)
#define PN_BUILT_UNIT(id) pn_table_##id, NULL, NULL, NULL, pn_products_##id
#else
#define PN_BUILT_UNIT(id) NULL, NULL, NULL, NULL, NULL
#endif
static const target targets[PN_TARGET_COUNT] = {
#define PN_ROW_OF(id, name, fallback) {name, PN_TARGET_##fallback, pn_table_##id, &pn_ops_##id, pn_table_f64_##id, &pn_ops_f64_##id, NULL},
    PN_ISAS(PN_ROW_OF)
#undef PN_ROW_OF
#define PN_ROW_OF(id, name, fallback) {name, PN_TARGET_##fallback, PN_BUILT_UNIT(id)},
    PN_UNITS(PN_ROW_OF)
#undef PN_ROW_OF
};

static int built(int t) { return targets[t].table && targets[t].table->name; }

int pn_target_available(int t) {
    if (t == PN_TARGET_GENERIC) return 1;
    if (t < 0 || t >= PN_TARGET_COUNT || !built(t)) return 0;
    if (t < PN_ISA_COUNT) return isa_runs(t);
#if defined(PN_X86) && defined(PN_PAIRS_BUILT)
    return unit_runs(t);
#else
    return 0;
#endif
}

const char *pn_target_name(int t) { return t >= 0 && t < PN_TARGET_COUNT ? targets[t].name : "unknown"; }

int pn_target_fallback(int t) { return t >= 0 && t < PN_TARGET_COUNT ? targets[t].fallback : PN_TARGET_GENERIC; }

int pn_isa_best(void) {
    int best = PN_TARGET_GENERIC;
    for (int t = 0; t < PN_ISA_COUNT; t++)
        if (pn_target_available(t)) best = t;
    return best;
}

static const pn_entry *table_of(int t) {
    return t == PN_TARGET_GENERIC && generic_fused() ? pn_table_GENERIC_FUSED : targets[t].table;
}

static pn_kernel find(const pn_entry *table, const char *name) {
    for (; table && table->name; table++)
        if (strcmp(pn_name_text(table->name), name) == 0) return table->fn;
    return NULL;
}

pn_kernel pn_own_kernel(const char *name, int dtype, int t) {
    pn_kernel fn = NULL;
    if (t < 0 || t >= PN_TARGET_COUNT) return NULL;
    if (dtype == PN_F32) fn = find(table_of(t), name);
    if (dtype == PN_F64) fn = find(targets[t].table_f64, name);
    if (fn || t != PN_TARGET_GENERIC) return fn;
    switch (dtype) {
    case PN_I32: fn = find(pn_table_i32, name); break;
    case PN_I64: fn = find(pn_table_i64, name); break;
    default: break;
    }
    return fn ? fn : find(pn_table_any, name);
}

pn_kernel pn_find_kernel(const char *name, int dtype, int t) {
    pn_kernel fn = pn_own_kernel(name, dtype, t);
    while (!fn && t != PN_TARGET_GENERIC) fn = pn_own_kernel(name, dtype, t = pn_target_fallback(t));
    return fn;
}

const pn_ops *pn_find_ops(int dtype, int t, int planes) {
    static pn_ops made[PN_TARGET_COUNT][2];
    if ((dtype != PN_F32 && dtype != PN_F64) || t < 0 || t >= PN_TARGET_COUNT) return NULL;
    if (dtype == PN_F64) {
        while (!targets[t].table_f64 || !targets[t].table_f64->name) t = targets[t].fallback;
        return targets[t].ops_f64;
    }
    if (targets[t].products && (planes == 1 || planes == 2)) { /* the fallback's building blocks but for products */
        const pn_products *p = targets[t].products + planes - 1;
        pn_ops ops = *targets[targets[t].fallback].ops;
        ops.planes = planes;
        ops.gemm = p->gemm;
        ops.pack = p->pack;
        ops.product = p->product;
        made[t][planes - 1] = ops; /* the same bytes every time */
        return &made[t][planes - 1];
    }
    while (!targets[t].ops || !built(t)) t = targets[t].fallback;
    return t == PN_TARGET_GENERIC && generic_fused() ? &pn_ops_GENERIC_FUSED : targets[t].ops;
}

#define PN_MEMBER(name) #name,
const pn_names pn_every_name = {0, PN_REAL_KERNELS(PN_MEMBER) PN_SINGLE_KERNELS(PN_MEMBER) PN_ANY_KERNELS(PN_MEMBER)};
#undef PN_MEMBER

static const pn_entry *entry(i64 i) {
    const pn_entry *tables[2];
    tables[0] = pn_table_GENERIC;
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
    return e ? pn_name_text(e->name) : NULL;
}
