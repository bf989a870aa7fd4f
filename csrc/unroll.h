/* Loops that must be unrolled, and functions that must be inlined, for their variables to live in registers; and memory
 * that is asked for before it is needed. */
#ifndef PN_UNROLL_H
#define PN_UNROLL_H

#if defined(__GNUC__) || defined(__clang__)
#define GEMM_INLINE static inline __attribute__((always_inline))
#define PN_FETCH(...) __builtin_prefetch(__VA_ARGS__) /* address, whether to write, level */
#else
#define GEMM_INLINE static inline
#define PN_FETCH(...) ((void)0)
#endif
#ifndef PN_APART
#if defined(__GNUC__) || defined(__clang__)
#define PN_APART static __attribute__((noinline)) /* of which one copy in a table is enough */
#else
#define PN_APART static
#endif
#endif
#if defined(VW) && VW == 1
#define GEMM_UNROLL /* plain C: the compiler's own vectors, and a small table */
#elif defined(__clang__)
#define GEMM_UNROLL _Pragma("clang loop unroll(full)")
#elif defined(__GNUC__)
#define GEMM_UNROLL _Pragma("GCC unroll 16")
#else
#define GEMM_UNROLL
#endif

#endif
