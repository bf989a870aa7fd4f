/* Splitting work over threads: the only mention of OpenMP in C. */
#include "par.h"

#ifdef _OPENMP
#include <omp.h>
#endif
#if !defined(_WIN32)
#include <pthread.h>
#endif

/* Work below this many nanoseconds per thread costs more to hand over than to do. */
#define PN_MIN_COST 12000.0

static int user_threads = 0;    /* 0: the default below */
static int default_threads = 1; /* set once at import, from affinity, quota and cores */
static int omp_limit = 1;       /* OpenMP's own limit at import; lowered later by threadpoolctl and the like */
static volatile int pool_used = 0;
static volatile int forked = 0;

#if !defined(_WIN32)
/* GNU OpenMP's worker threads do not survive fork, and waiting for them would hang: the child works alone. */
static void after_fork_in_child(void) {
    if (pool_used) forked = 1;
}
#endif

void pn_threads_init(int n) {
    default_threads = n < 1 ? 1 : n;
#ifdef _OPENMP
    omp_limit = omp_get_max_threads();
    if (omp_limit < default_threads) default_threads = omp_limit;
#else
    default_threads = 1;
#endif
#if !defined(_WIN32)
    pthread_atfork(NULL, NULL, after_fork_in_child);
#endif
}

int pn_has_openmp(void) {
#ifdef _OPENMP
    return 1;
#else
    return 0;
#endif
}

void pn_set_threads(int n) { user_threads = n; }

int pn_get_threads(void) {
#ifdef _OPENMP
    int n = user_threads > 0 ? user_threads : default_threads;
    int limit = omp_get_max_threads();
    if (forked || omp_in_parallel()) return 1;
    return limit < omp_limit && limit < n ? limit : n;
#else
    return 1;
#endif
}

void pn_for(i64 n, i64 chunk, double cost, int nth, pn_range_fn fn, void *ctx) {
    i64 chunks = (n + chunk - 1) / chunk;
    if (n <= 0) return;
#ifdef _OPENMP
    if (chunks > 1 && nth > 1 && cost > 2 * PN_MIN_COST) {
        int want = pn_get_threads();
        if (want > nth) want = nth;
        if (want > chunks) want = (int)chunks;
        if (want > cost / PN_MIN_COST) want = (int)(cost / PN_MIN_COST);
        if (want > 1) {
            i64 c;
            pool_used = 1;
#pragma omp parallel for schedule(static) num_threads(want)
            for (c = 0; c < chunks; c++) {
                i64 lo = c * chunk, hi = lo + chunk < n ? lo + chunk : n;
                fn(ctx, lo, hi, omp_get_thread_num());
            }
            return;
        }
    }
#else
    (void)cost;
    (void)nth;
#endif
    for (i64 c = 0; c < chunks; c++) {
        i64 lo = c * chunk, hi = lo + chunk < n ? lo + chunk : n;
        fn(ctx, lo, hi, 0);
    }
}
