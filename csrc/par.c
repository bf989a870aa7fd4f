/* Splitting work over threads: how many, and by whom. The only mention of OpenMP in C: its limits are obeyed (so that
 * OMP_NUM_THREADS and threadpoolctl work), and where there is no pool of our own it does the work. */
#include "par.h"

#ifdef _OPENMP
#include <omp.h>
#endif

#include "pool.h"

/* Work below this many nanoseconds per thread costs more to hand over than to do. (tests/ports hands nearly all of it over.) */
#ifndef PN_MIN_COST
#define PN_MIN_COST 12000.0
#endif

static int user_threads = 0;    /* 0: the default below */
static int default_threads = 1; /* set once at import, from affinity, quota and cores */
#ifdef _OPENMP
static int omp_limit = 0;       /* OpenMP's own limit at import; lowered later by threadpoolctl and the like */
#endif

/* Chunks of one parallel piece of work never start another. */
#if defined(_MSC_VER)
static __declspec(thread) int inside = 0;
#elif defined(__GLIBC__) /* else glibc allocates it at a thread's first look, and aborts where memory has run out */
static __thread int inside __attribute__((tls_model("initial-exec"))) = 0;
#else
static __thread int inside = 0;
#endif

void pn_threads_init(int n, int asked) {
    default_threads = n < 1 ? 1 : n;
#ifdef _OPENMP
    omp_limit = omp_get_max_threads();
    if (!asked && omp_limit < default_threads) default_threads = omp_limit;
#else
    (void)asked;
#endif
}

int pn_has_openmp(void) {
#ifdef _OPENMP
    return 1;
#else
    return 0;
#endif
}

int pn_has_threads(void) {
#if defined(PN_POOL) || defined(_OPENMP)
    return 1;
#else
    return 0;
#endif
}

void pn_set_threads(int n) { user_threads = n; }

int pn_get_threads(void) {
    int n = user_threads > 0 ? user_threads : default_threads;
#ifdef _OPENMP
    int limit = omp_get_max_threads();
    if (omp_in_parallel()) return 1;
    if (limit < omp_limit && limit < n) n = limit;
#elif !defined(PN_POOL)
    n = 1;
#endif
    return inside ? 1 : n;
}

typedef struct guarded {
    pn_range_fn fn;
    void *ctx;
} guarded;

static void run_inside(void *ctx, i64 lo, i64 hi, int ith) {
    const guarded *g = (const guarded *)ctx;
    inside = 1;
    g->fn(g->ctx, lo, hi, ith);
    inside = 0;
}

/* Returns 0 if the work is to be done by the caller alone. */
static int run_threads(i64 n, i64 chunk, int threads, pn_range_fn fn, void *ctx) {
    guarded g;
    g.fn = fn;
    g.ctx = ctx;
#ifdef PN_POOL
    return pn_pool_run(n, chunk, threads, run_inside, &g);
#elif defined(_OPENMP)
    i64 c, chunks = (n + chunk - 1) / chunk;
#pragma omp parallel for schedule(static) num_threads(threads)
    for (c = 0; c < chunks; c++) {
        i64 lo = c * chunk;
        run_inside(&g, lo, lo + chunk < n ? lo + chunk : n, omp_get_thread_num());
    }
    return 1;
#else
    (void)n;
    (void)chunk;
    (void)threads;
    return 0;
#endif
}

void pn_for(i64 n, i64 chunk, double cost, int nth, pn_range_fn fn, void *ctx) {
    if (n <= 0) return;
    if (n > chunk && nth > 1 && cost > 2 * PN_MIN_COST) {
        i64 chunks = (n + chunk - 1) / chunk;
        int want = pn_get_threads();
        if (want > nth) want = nth;
        if (want > chunks) want = (int)chunks;
        if (want > cost / PN_MIN_COST) want = (int)(cost / PN_MIN_COST);
        if (want > 1 && run_threads(n, chunk, want, fn, ctx)) return;
    }
    for (i64 lo = 0; lo < n; lo += chunk) fn(ctx, lo, lo + chunk < n ? lo + chunk : n, 0);
}
