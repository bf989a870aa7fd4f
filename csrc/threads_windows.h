/* What pool.c asks of Windows, under the names of threads_posix.h and of C11's atomics, which not every compiler has here.
 * Interlocked functions are full barriers; a plain look (memory_order_acquire in await_call) is followed by one. */
#ifndef WIN32_LEAN_AND_MEAN
#define WIN32_LEAN_AND_MEAN
#endif
#include <windows.h>

#define RELAX() YieldProcessor()

typedef volatile LONG atomic_int;
typedef volatile LONG64 atomic_llong;
typedef volatile LONG atomic_flag;
#define ATOMIC_FLAG_INIT 0
#define atomic_load(p) InterlockedCompareExchange(p, 0, 0)
#define atomic_load_explicit(p, order) (*(p))
#define atomic_store(p, x) \
    (sizeof *(p) == 8 ? (void)InterlockedExchange64((volatile LONG64 *)(p), x) : (void)InterlockedExchange((volatile LONG *)(p), x))
#define atomic_fetch_add(p, x) InterlockedExchangeAdd(p, x)
#define atomic_fetch_sub(p, x) InterlockedExchangeAdd(p, -(x))
#define atomic_fetch_add_explicit(p, x, order) InterlockedExchangeAdd64(p, x)
#define atomic_flag_test_and_set(p) InterlockedExchange(p, 1)
#define atomic_flag_clear(p) ((void)InterlockedExchange(p, 0))

typedef SRWLOCK lock_t;
typedef CONDITION_VARIABLE wake_t;
typedef HANDLE thread_t;
typedef INIT_ONCE once_t;
#define LOCK_INIT SRWLOCK_INIT
#define WAKE_INIT CONDITION_VARIABLE_INIT
#define ONCE_INIT INIT_ONCE_STATIC_INIT
#define THREAD_MAIN static DWORD WINAPI
#define THREAD_END 0

static inline void lock_init(lock_t *l) { InitializeSRWLock(l); }
static inline void lock_take(lock_t *l) { AcquireSRWLockExclusive(l); }
static inline void lock_give(lock_t *l) { ReleaseSRWLockExclusive(l); }
static inline void wake_init(wake_t *w) { InitializeConditionVariable(w); }
static inline void wake_wait(wake_t *w, lock_t *l) { (void)SleepConditionVariableSRW(w, l, INFINITE, 0); }
static inline void wake_one(wake_t *w) { WakeConditionVariable(w); }
static inline void after_fork(void (*in_child)(void)) { (void)in_child; } /* there is none */

static BOOL CALLBACK call_once(PINIT_ONCE once, PVOID fn, PVOID *context) {
    (void)once, (void)context;
    ((void (*)(void))(uintptr_t)fn)();
    return TRUE;
}
static inline void run_once(once_t *o, void (*fn)(void)) { (void)InitOnceExecuteOnce(o, call_once, (PVOID)(uintptr_t)fn, NULL); }

static inline double now_ns(void) {
    LARGE_INTEGER t, f;
    QueryPerformanceCounter(&t);
    QueryPerformanceFrequency(&f); /* a read of shared memory */
    return 1e9 * (double)t.QuadPart / (double)f.QuadPart;
}

static inline int thread_start(thread_t *t, LPTHREAD_START_ROUTINE fn, void *arg) {
    return (*t = CreateThread(NULL, 0, fn, arg, 0, NULL)) != NULL;
}
static inline void thread_begins(void) {}

/* The processors that the process may use, but for one. Beyond 64 they come in groups, which Windows balances. */
typedef DWORD_PTR cpus_t;
static inline int this_cpu(void) {
    PROCESSOR_NUMBER at;
    if (GetActiveProcessorGroupCount() > 1) return -1;
    GetCurrentProcessorNumberEx(&at);
    return at.Number;
}
static inline int other_cpus(int cpu, cpus_t *set) {
    DWORD_PTR system;
    if (!GetProcessAffinityMask(GetCurrentProcess(), set, &system)) return 0;
    *set &= ~((DWORD_PTR)1 << cpu);
    return 1;
}
static inline int any_cpu(const cpus_t *set) { return *set != 0; }
static inline void thread_keep(thread_t t, const cpus_t *set) { (void)SetThreadAffinityMask(t, *set); }
