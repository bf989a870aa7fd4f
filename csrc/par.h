/* Splitting work over threads. */
#ifndef PN_PAR_H
#define PN_PAR_H

#include "pn.h"

/* Work on the half-open range [lo, hi); ith < nth identifies the calling thread's part of the scratch memory. */
typedef void (*pn_range_fn)(void *ctx, i64 lo, i64 hi, int ith);

/* Calls fn on consecutive chunks of [0, n). Chunk borders are multiples of `chunk` and never depend on the number of
 * threads, so partial results that are combined in chunk order are the same bits for any number of threads.
 * `cost` is the whole work in nanoseconds of one thread (an estimate); little work stays on the caller's thread.
 * At most `nth` threads take part. */
void pn_for(i64 n, i64 chunk, double cost, int nth, pn_range_fn fn, void *ctx);

void pn_threads_init(int n, int asked); /* once, at import: the default number; OpenMP's limit holds unless asked for */
void pn_set_threads(int n); /* what the user asked for; 0 returns to the default */
int pn_get_threads(void);   /* what a kernel may use now: 1 inside a parallel region */
int pn_has_openmp(void);
int pn_has_threads(void);
int pn_performance_cores(void); /* cores.c; 0: not known */

#endif
