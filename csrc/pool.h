/* A pool of threads that wait politely. See pool.c. */
#ifndef PN_POOL_H
#define PN_POOL_H

#include "par.h"

/* Whether this platform has the pool: Windows, or POSIX threads and C11 atomics. */
#if defined(_WIN32) || (!defined(__STDC_NO_ATOMICS__) && !defined(__wasm__))
#define PN_POOL 1
#endif

/* Runs fn on the chunks of [0, n), by the caller and up to threads - 1 workers. Returns 0 without doing anything if the
 * pool is at work for another caller: the caller then works alone. */
int pn_pool_run(i64 n, i64 chunk, int threads, pn_range_fn fn, void *ctx);

#endif
