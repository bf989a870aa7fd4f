/* The fused multiply-adds of one core, for bench/machine.py: compiled with -march=native on the machine that is measured. */
#if defined(__AVX512F__)
#define LANES 16
#elif defined(__AVX__)
#define LANES 8
#else
#define LANES 4
#endif
#if defined(__aarch64__)
#define REGISTER "+w"
#else
#define REGISTER "+v"
#endif

typedef float vec __attribute__((vector_size(4 * LANES)));

/* Enough independent chains to hide the latency of two units, in variables of their own: an array stays in memory. */
#define CHAINS 12
#define EACH(X) X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11)
#define START(i) vec acc##i = a + (float)i;
#define STEP(i)              \
    acc##i = acc##i * a + b; \
    __asm__ volatile("" : REGISTER(acc##i)); /* keeps the compiler from merging rounds */
#define ADD(i) sum += acc##i;

double fma_flops(void) {
    const long rounds = 4000000;
    const vec a = (vec){0} + 0.999f, b = (vec){0} + 0.001f;
    EACH(START)
    for (long r = 0; r < rounds; r++) {
        EACH(STEP)
    }
    vec sum = b;
    EACH(ADD)
    volatile float sink = sum[0];
    (void)sink;
    return 2.0 * LANES * CHAINS * (double)rounds;
}
