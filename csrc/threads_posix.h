/* What pool.c asks of POSIX threads. threads_windows.h has the same names. */
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <time.h>

#if defined(__APPLE__)
#include <pthread/qos.h>
#endif

#if defined(__x86_64__) || defined(__i386__)
#define RELAX() __builtin_ia32_pause()
#elif defined(__aarch64__)
#define RELAX() __asm__ volatile("yield")
#else
#define RELAX() ((void)0)
#endif

typedef pthread_mutex_t lock_t;
typedef pthread_cond_t wake_t;
typedef pthread_t thread_t;
typedef pthread_once_t once_t;
#define LOCK_INIT PTHREAD_MUTEX_INITIALIZER
#define WAKE_INIT PTHREAD_COND_INITIALIZER
#define ONCE_INIT PTHREAD_ONCE_INIT
#define THREAD_MAIN static void *
#define THREAD_END NULL

static inline void lock_init(lock_t *l) { pthread_mutex_init(l, NULL); }
static inline void lock_take(lock_t *l) { pthread_mutex_lock(l); }
static inline void lock_give(lock_t *l) { pthread_mutex_unlock(l); }
static inline void wake_init(wake_t *w) { pthread_cond_init(w, NULL); }
static inline void wake_wait(wake_t *w, lock_t *l) { pthread_cond_wait(w, l); }
static inline void wake_one(wake_t *w) { pthread_cond_signal(w); }
static inline void run_once(once_t *o, void (*fn)(void)) { pthread_once(o, fn); }
static inline void after_fork(void (*in_child)(void)) { pthread_atfork(NULL, NULL, in_child); }

static inline double now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return 1e9 * (double)t.tv_sec + (double)t.tv_nsec;
}

/* Starts a thread; signals are left to the threads of the host program. Returns 0 if there can be no more. */
static inline int thread_start(thread_t *t, void *(*fn)(void *), void *arg) {
    sigset_t all, before;
    int failed;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    failed = pthread_create(t, NULL, fn, arg) != 0;
    if (!failed) pthread_detach(*t);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return !failed;
}

/* First thing in a thread. On Apple silicon the class says that it may have a performance core; the caller's thread,
 * which somebody waits for, has it already. */
static inline void thread_begins(void) {
#if defined(__APPLE__)
    (void)pthread_set_qos_class_self_np(QOS_CLASS_USER_INITIATED, 0);
#endif
}

/* The processors that the process may use, but for one. */
#if defined(__linux__)
typedef cpu_set_t cpus_t;
static inline int this_cpu(void) { return sched_getcpu(); }
static inline int other_cpus(int cpu, cpus_t *set) {
    if (sched_getaffinity(0, sizeof *set, set) != 0) return 0;
    CPU_CLR(cpu, set);
    return 1;
}
static inline int any_cpu(const cpus_t *set) { return CPU_COUNT(set) != 0; }
static inline void thread_keep(thread_t t, const cpus_t *set) { (void)pthread_setaffinity_np(t, sizeof *set, set); }
#else
typedef int cpus_t;
static inline int this_cpu(void) { return -1; }
static inline int other_cpus(int cpu, cpus_t *set) { return (void)cpu, (void)set, 0; }
static inline int any_cpu(const cpus_t *set) { return (void)set, 0; }
static inline void thread_keep(thread_t t, const cpus_t *set) { (void)t, (void)set; }
#endif
