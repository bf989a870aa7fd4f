/* Tiles of products: functions that must become part of their caller, loops that must vanish. */
#ifndef PN_UNROLL_H
#define PN_UNROLL_H

#if defined(__GNUC__) || defined(__clang__)
#define GEMM_INLINE static inline __attribute__((always_inline))
#else
#define GEMM_INLINE static inline
#endif
#if defined(__clang__)
#define GEMM_UNROLL _Pragma("clang loop unroll(full)")
#elif defined(__GNUC__)
#define GEMM_UNROLL _Pragma("GCC unroll 16")
#else
#define GEMM_UNROLL
#endif

#endif
