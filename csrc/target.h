/* Compiling one file for a newer instruction set than the rest, without per-file compiler flags. */
#ifndef PN_TARGET_H
#define PN_TARGET_H

#if defined(__x86_64__) || defined(_M_X64)
#define PN_X86
/* System headers first: what they define must stay callable from baseline code. */
#include <immintrin.h>
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if defined(__clang__)
#define PN_TARGET_PUSH_AVX2 \
    _Pragma("clang attribute push(__attribute__((target(\"avx2,fma\"))), apply_to = function)")
#define PN_TARGET_PUSH_AVX512 \
    _Pragma("clang attribute push(__attribute__((target(\"avx512f,avx512bw,avx512dq,avx512vl,avx2,fma\"))), apply_to = function)")
#define PN_TARGET_POP _Pragma("clang attribute pop")
#elif defined(__GNUC__)
#define PN_TARGET_PUSH_AVX2 _Pragma("GCC push_options") _Pragma("GCC target(\"avx2,fma,tune=haswell\")")
#define PN_TARGET_PUSH_AVX512 \
    _Pragma("GCC push_options") \
    _Pragma("GCC target(\"avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,prefer-vector-width=512,tune=skylake-avx512\")")
#define PN_TARGET_POP _Pragma("GCC pop_options")
#else /* MSVC takes intrinsics of any ISA everywhere */
#define PN_TARGET_PUSH_AVX2
#define PN_TARGET_PUSH_AVX512
#define PN_TARGET_POP
#endif
#endif

#endif
