/* What a C++ compiler for the CPU needs to compile and run kernels.cu: the words of CUDA, blocks, threads, barriers,
 * shuffles and shared memory. For tests: it runs one thread after the other.
 *
 * Threads of a kernel without barriers are turns of a loop. Those of a kernel with barriers are fibers: each runs
 * until its next barrier or shuffle, and goes on when all that the barrier is for have come. Blocks and threads run in
 * rising order (order 0), or in another order at every barrier, drawn from a generator (order 1, 2, ...). What the
 * device leaves open must not show: a kernel that gives other bits in another order lacks a barrier, or two of its
 * threads write to one place. A barrier that some threads of its block or warp never reach ends the program with a
 * message. */
#ifndef PN_CUDA_SHIM_H
#define PN_CUDA_SHIM_H

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>

#define __device__
#define __host__
#define __global__
#define __grid_constant__
#define __forceinline__ inline __attribute__((always_inline))
#define __launch_bounds__(...)
#define __align__(n) __attribute__((aligned(n)))
#define __shared__ static /* one block runs at a time */

struct shim_index {
    unsigned x;
};
static shim_index blockIdx, threadIdx, blockDim, gridDim;

enum { SHIM_THREADS = 1024, SHIM_WARP = 32, SHIM_STACK = 1 << 16 };
enum shim_state { SHIM_READY, SHIM_AT_BLOCK, SHIM_AT_WARP, SHIM_ENDED };

struct shim_fiber {
    ucontext_t context;
    char *stack;
    shim_state state;
};
static shim_fiber shim_fibers[SHIM_THREADS];
static ucontext_t shim_scheduler;
static int shim_cooperates;
static uint64_t shim_slots[SHIM_THREADS]; /* what a lane shows to its warp */
static uint64_t shim_random;              /* 0: rising order */
static void (*shim_body)(void *);
static void *shim_argument;

[[noreturn]] static void shim_stop(const char *what) {
    fprintf(stderr, "shim: block %u, thread %u: %s\n", blockIdx.x, threadIdx.x, what);
    exit(3);
}

static void shim_wait(shim_state at) {
    if (!shim_cooperates) shim_stop("a barrier in a kernel whose launch says that it has none");
    const unsigned self = threadIdx.x;
    shim_fibers[self].state = at;
    swapcontext(&shim_fibers[self].context, &shim_scheduler);
    threadIdx.x = self;
}
static inline void __syncthreads() { shim_wait(SHIM_AT_BLOCK); }
static inline void __syncwarp() { shim_wait(SHIM_AT_WARP); }

template <typename T> static inline T shim_exchange(T value, unsigned from) {
    static_assert(sizeof(T) <= 8, "a shuffle moves at most 8 bytes");
    const unsigned warp = threadIdx.x / SHIM_WARP * SHIM_WARP;
    T got;
    memcpy(&shim_slots[threadIdx.x], &value, sizeof value);
    shim_wait(SHIM_AT_WARP);
    memcpy(&got, &shim_slots[warp + from], sizeof got);
    shim_wait(SHIM_AT_WARP);
    return got;
}
/* Of whole warps alone. */
template <typename T> static inline T __shfl_sync(unsigned, T value, int lane) {
    return shim_exchange(value, (unsigned)lane % SHIM_WARP);
}
template <typename T> static inline T __shfl_down_sync(unsigned, T value, unsigned delta) {
    const unsigned lane = threadIdx.x % SHIM_WARP;
    return shim_exchange(value, lane + delta < SHIM_WARP ? lane + delta : lane);
}
template <typename T> static inline T __shfl_xor_sync(unsigned, T value, int mask) {
    return shim_exchange(value, threadIdx.x % SHIM_WARP ^ (unsigned)mask);
}

/* c += a b on a tensor core, as PTX's mma.m16n8k16 of bfloat16: here the sum is exact and then cut to float32, which is a
 * way that the units may add in, and no better than theirs. */
static uint32_t shim_shown[SHIM_THREADS][6];
static inline float shim_bf16(uint32_t pair, unsigned high) {
    const uint32_t u = high ? pair & 0xffff0000u : pair << 16;
    float x;
    memcpy(&x, &u, sizeof x);
    return x;
}
static inline void shim_mma(float *c, const uint32_t *a, const uint32_t *b) {
    const unsigned lane = threadIdx.x % SHIM_WARP, first = threadIdx.x - lane;
    for (unsigned r = 0; r < 6; r++) shim_shown[threadIdx.x][r] = r < 4 ? a[r] : b[r - 4];
    shim_wait(SHIM_AT_WARP);
    for (unsigned e = 0; e < 4; e++) {
        const unsigned column = lane % 4 * 2 + e % 2;
        double sum = c[e];
        for (unsigned k = 0; k < 16; k++) {
            const uint32_t x = shim_shown[first + lane / 4 * 4 + k % 8 / 2][k / 8 * 2 + e / 2];
            const uint32_t y = shim_shown[first + column * 4 + k % 8 / 2][4 + k / 8];
            sum += (double)shim_bf16(x, k % 2) * shim_bf16(y, k % 2);
        }
        c[e] = (float)sum;
        if (fabs((double)c[e]) > fabs(sum)) c[e] = nextafterf(c[e], 0);
    }
    shim_wait(SHIM_AT_WARP);
}

/* A program without threads needs no atomic operation. */
static inline unsigned long long atomicMin(unsigned long long *at, unsigned long long value) {
    const unsigned long long old = *at;
    if (value < old) *at = value;
    return old;
}

static uint64_t shim_draw() { /* splitmix64 */
    uint64_t z = shim_random += 0x9E3779B97F4A7C15ULL;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ULL;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBULL;
    return z ^ (z >> 31);
}

/* The place of number k of [0, n) in the order: k itself, or (k step + start) mod n with a step that shares no
 * divisor. */
struct shim_order {
    uint64_t n, step, start;
    explicit shim_order(uint64_t count) : n(count), step(1), start(0) {
        if (!shim_random || n < 2) return;
        start = shim_draw() % n;
        do step = 1 + shim_draw() % n;
        while (divisor(step, n) != 1);
    }
    static uint64_t divisor(uint64_t a, uint64_t b) { return b ? divisor(b, a % b) : a; }
    unsigned operator[](uint64_t k) const { return (unsigned)((k * step + start) % n); }
};

static void shim_enter() {
    shim_body(shim_argument);
    shim_fibers[threadIdx.x].state = SHIM_ENDED;
    setcontext(&shim_scheduler);
}

/* Lets [first, first + count) go on if all of them wait at `at`; tells whether it did. */
static int shim_release(unsigned first, unsigned count, shim_state at) {
    for (unsigned t = first; t < first + count; t++)
        if (shim_fibers[t].state != at) return 0;
    for (unsigned t = first; t < first + count; t++) shim_fibers[t].state = SHIM_READY;
    return 1;
}

static void shim_block(unsigned threads) {
    for (unsigned t = 0; t < threads; t++) {
        shim_fiber *f = &shim_fibers[t];
        if (!f->stack) f->stack = (char *)malloc(SHIM_STACK);
        getcontext(&f->context);
        f->context.uc_stack.ss_sp = f->stack;
        f->context.uc_stack.ss_size = SHIM_STACK;
        f->context.uc_link = NULL;
        makecontext(&f->context, shim_enter, 0);
        f->state = SHIM_READY;
    }
    for (;;) {
        const shim_order order(threads);
        unsigned ended = 0;
        int moved = 0;
        for (unsigned k = 0; k < threads; k++) {
            threadIdx.x = order[k];
            if (shim_fibers[threadIdx.x].state != SHIM_READY) continue;
            swapcontext(&shim_scheduler, &shim_fibers[threadIdx.x].context);
        }
        for (unsigned t = 0; t < threads; t++) ended += shim_fibers[t].state == SHIM_ENDED;
        if (ended == threads) return;
        for (unsigned w = 0; w < threads; w += SHIM_WARP)
            moved |= shim_release(w, threads - w < SHIM_WARP ? threads - w : SHIM_WARP, SHIM_AT_WARP);
        if (!moved && !shim_release(0, threads, SHIM_AT_BLOCK)) shim_stop("a barrier that not all threads reach");
    }
}

/* Runs body(argument) for every thread of a grid. */
static void shim_launch(unsigned grid, unsigned block, int cooperates, int order, void (*body)(void *),
                        void *argument) {
    if (grid == 0 || block == 0 || block > SHIM_THREADS) shim_stop("a launch that no device takes");
    shim_random = order ? 0x5DEECE66DULL * (uint64_t)order : 0;
    shim_body = body;
    shim_argument = argument;
    shim_cooperates = cooperates;
    gridDim.x = grid;
    blockDim.x = block;
    const shim_order blocks(grid);
    for (unsigned b = 0; b < grid; b++) {
        blockIdx.x = blocks[b];
        if (cooperates) {
            shim_block(block);
            continue;
        }
        const shim_order threads(block);
        for (unsigned t = 0; t < block; t++) {
            threadIdx.x = threads[t];
            body(argument);
        }
    }
}

#endif
