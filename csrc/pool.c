/* A pool of threads that wait politely.
 *
 * Chunks are claimed one by one, so the caller never waits for a worker that has not started: on a busy machine it does
 * the work itself. A worker looks for the next job for some microseconds, then sleeps, and so does the caller while
 * workers finish their last chunks; nothing spins for long, which on a shared machine costs many times more than it
 * gains, and nothing yields: that gives a slice away that a sleeper keeps. A forked child starts with an empty pool and
 * makes its own workers when it needs them.
 */
#if defined(__linux__) && !defined(_GNU_SOURCE)
#define _GNU_SOURCE /* sched_getcpu, pthread_setaffinity_np: threads_posix.h */
#endif
#include "pool.h"

#ifdef PN_POOL

#if defined(_WIN32)
#include "threads_windows.h"
#else
#include "threads_posix.h"
#endif

enum { MAX_WORKERS = 255, LOOKS_BEFORE_CLOCK = 64 };
#define LOOK_NS 100000.0 /* how long a worker looks for the next job before it sleeps */
#define WAIT_NS 40000.0  /* how long the caller looks for workers to finish before it sleeps */

typedef struct worker {
    lock_t lock;
    wake_t wake;
    atomic_int calls;  /* grows with every job this worker is called to */
    atomic_int asleep;
    int index;         /* its thread number: 1, 2, ... (the caller is 0) */
    thread_t thread;
} worker;

static worker workers[MAX_WORKERS];
static int count = 0;                     /* workers made so far; written by the caller that holds `busy` */
static atomic_flag busy = ATOMIC_FLAG_INIT;
static once_t once = ONCE_INIT;

/* The job. Workers read it only between `inside` += 1 with `open` seen set, and `inside` -= 1. */
static struct {
    i64 n, chunk, chunks;
    pn_range_fn fn;
    void *ctx;
    atomic_llong next;
    int threads; /* thread numbers of this job are below; a worker late from a larger one stays out */
    atomic_int open;
    atomic_int inside;
} job;

/* Where the caller sleeps until the last worker has left its job. */
static lock_t gate = LOCK_INIT;
static wake_t left = WAKE_INIT;
static atomic_int waiting = 0;

static void take_chunks(int ith) {
    for (;;) {
        i64 c = (i64)atomic_fetch_add_explicit(&job.next, 1, memory_order_relaxed);
        i64 lo = c * job.chunk;
        if (c >= job.chunks) return;
        job.fn(job.ctx, lo, lo + job.chunk < job.n ? lo + job.chunk : job.n, ith);
    }
}

/* Returns when w has been called to a job after number `seen`. */
static void await_call(worker *w, int seen) {
    double start = 0;
    for (int looks = 1;; looks++) {
        if (atomic_load_explicit(&w->calls, memory_order_acquire) != seen) return;
        RELAX();
        if (looks % LOOKS_BEFORE_CLOCK == 0) {
            double now = now_ns();
            if (start == 0) start = now;
            if (now - start > LOOK_NS) break;
        }
    }
    lock_take(&w->lock);
    atomic_store(&w->asleep, 1);
    while (atomic_load(&w->calls) == seen) wake_wait(&w->wake, &w->lock);
    atomic_store(&w->asleep, 0);
    lock_give(&w->lock);
}

static void leave(void) {
    if (atomic_fetch_sub(&job.inside, 1) == 1 && atomic_load(&waiting)) {
        lock_take(&gate);
        wake_one(&left);
        lock_give(&gate);
    }
}

/* Returns when no worker is inside the job. */
static void await_leave(void) {
    if (!atomic_load(&job.inside)) return;
    for (double start = now_ns(); now_ns() - start < WAIT_NS;) {
        if (!atomic_load(&job.inside)) return;
        RELAX();
    }
    atomic_store(&waiting, 1); /* before the look at `inside`: the last to leave sees it, or is seen to have left */
    lock_take(&gate);
    while (atomic_load(&job.inside)) wake_wait(&left, &gate);
    lock_give(&gate);
    atomic_store(&waiting, 0);
}

THREAD_MAIN work(void *arg) {
    worker *w = (worker *)arg;
    int seen = 0;
    thread_begins();
    for (;;) {
        await_call(w, seen);
        seen = atomic_load(&w->calls);
        atomic_fetch_add(&job.inside, 1);
        if (atomic_load(&job.open) && w->index < job.threads) take_chunks(w->index);
        leave();
    }
    return THREAD_END;
}

static void call(worker *w) {
    atomic_fetch_add(&w->calls, 1);
    if (atomic_load(&w->asleep)) {
        lock_take(&w->lock);
        wake_one(&w->wake);
        lock_give(&w->lock);
    }
}

/* Keeps workers off the caller's processor: a worker that is woken there waits behind the caller, and since it sleeps
 * again soon the system's balancing never moves it. Only when the caller has moved does this cost a system call. */
static int spread_for = -1; /* the processor that workers keep off */
static void spread(void) {
    cpus_t others;
    int cpu = this_cpu();
    if (cpu < 0 || cpu == spread_for || !other_cpus(cpu, &others)) return;
    spread_for = cpu;
    if (!any_cpu(&others)) return;
    for (int i = 0; i < count; i++) thread_keep(workers[i].thread, &others);
}

/* Makes workers up to `wanted`; returns how many there are. */
static int make_workers(int wanted) {
    if (wanted > MAX_WORKERS) wanted = MAX_WORKERS;
    while (count < wanted) {
        worker *w = &workers[count];
        lock_init(&w->lock);
        wake_init(&w->wake);
        atomic_store(&w->calls, 0);
        atomic_store(&w->asleep, 0);
        w->index = count + 1;
        if (!thread_start(&w->thread, work, w)) break;
        count++;
        spread_for = -1;
    }
    return count < wanted ? count : wanted;
}

/* Threads do not survive fork, and a job of another thread of the parent is not the child's. */
static void after_fork_in_child(void) {
    count = 0;
    spread_for = -1;
    atomic_store(&job.open, 0);
    atomic_store(&job.inside, 0);
    lock_init(&gate); /* another thread of the parent may have held it */
    wake_init(&left);
    atomic_store(&waiting, 0);
    atomic_flag_clear(&busy);
}
static void watch_forks(void) { after_fork(after_fork_in_child); }

int pn_pool_run(i64 n, i64 chunk, int threads, pn_range_fn fn, void *ctx) {
    int helpers;
    if (atomic_flag_test_and_set(&busy)) return 0;
    run_once(&once, watch_forks);
    helpers = make_workers(threads - 1);
    spread();
    job.n = n;
    job.chunk = chunk;
    job.chunks = (n + chunk - 1) / chunk;
    job.fn = fn;
    job.ctx = ctx;
    job.threads = threads;
    atomic_store(&job.next, 0);
    atomic_store(&job.open, 1);
    for (int i = 0; i < helpers; i++) call(&workers[i]);
    take_chunks(0);
    /* A worker that enters from here on finds the job closed; those inside are waited for. */
    atomic_store(&job.open, 0);
    await_leave();
    atomic_flag_clear(&busy);
    return 1;
}

#else
int pn_pool_run(i64 n, i64 chunk, int threads, pn_range_fn fn, void *ctx) {
    (void)n;
    (void)chunk;
    (void)threads;
    (void)fn;
    (void)ctx;
    return 0;
}
#endif
