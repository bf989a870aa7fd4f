/* Compiling one file for a newer instruction set than the rest, without per-file compiler flags. */
#ifndef PN_TARGET_H
#define PN_TARGET_H

#if defined(__aarch64__) || defined(_M_ARM64)
#define PN_ARM64
#endif

/* Processors all of which fuse multiply-adds. */
#if defined(__FMA__) || defined(__aarch64__) || defined(_M_ARM64) || defined(__powerpc64__) || defined(__s390x__)
#define PN_BASELINE_FUSED
#endif

#if defined(__x86_64__) || defined(_M_X64)
#define PN_X86
/* System headers first: what they define must stay callable from baseline code. */
#include <immintrin.h>
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Compilers that know bfloat16, AMX and dot products of bytes. */
#if (defined(__clang__) && __clang_major__ >= 12) || (!defined(__clang__) && defined(__GNUC__) && __GNUC__ >= 11)
#define PN_PAIRS_BUILT
#endif

#if defined(__clang__)
#define PN_TARGET_PUSH_AVX_VNNI \
    _Pragma("clang attribute push(__attribute__((target(\"avxvnni,avx2,fma\"))), apply_to = function)")
#define PN_TARGET_PUSH_VNNI \
    _Pragma("clang attribute push(__attribute__((target(\"avx512vnni,avx512f,avx512bw,avx512dq,avx512vl,avx2,fma\"))), apply_to = function)")
#define PN_TARGET_PUSH_BF16 \
    _Pragma("clang attribute push(__attribute__((target(\"avx512bf16,avx512f,avx512bw,avx512dq,avx512vl,avx2,fma\"))), apply_to = function)")
#define PN_TARGET_PUSH_AMX \
    _Pragma("clang attribute push(__attribute__((target(\"amx-tile,amx-bf16,amx-int8,avx512bf16,avx512f,avx512bw,avx512dq,avx512vl,avx2,fma\"))), apply_to = function)")
#define PN_TARGET_PUSH_FMA \
    _Pragma("clang attribute push(__attribute__((target(\"fma\"))), apply_to = function)")
#define PN_TARGET_PUSH_AVX2 \
    _Pragma("clang attribute push(__attribute__((target(\"avx2,fma\"))), apply_to = function)")
#define PN_TARGET_PUSH_AVX512 \
    _Pragma("clang attribute push(__attribute__((target(\"avx512f,avx512bw,avx512dq,avx512vl,avx2,fma\"))), apply_to = function)")
#define PN_TARGET_POP _Pragma("clang attribute pop")
#elif defined(__GNUC__)
#define PN_TARGET_PUSH_FMA _Pragma("GCC push_options") _Pragma("GCC target(\"fma\")")
#define PN_TARGET_PUSH_AVX2 _Pragma("GCC push_options") _Pragma("GCC target(\"avx2,fma,tune=haswell\")")
#define PN_TARGET_PUSH_AVX_VNNI _Pragma("GCC push_options") _Pragma("GCC target(\"avxvnni,avx2,fma\")")
#define PN_TARGET_PUSH_VNNI \
    _Pragma("GCC push_options") \
    _Pragma("GCC target(\"avx512vnni,avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,prefer-vector-width=512\")")
#define PN_TARGET_PUSH_AVX512 \
    _Pragma("GCC push_options") \
    _Pragma("GCC target(\"avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,prefer-vector-width=512,tune=skylake-avx512\")")
#define PN_TARGET_PUSH_BF16 \
    _Pragma("GCC push_options") \
    _Pragma("GCC target(\"avx512bf16,avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,prefer-vector-width=512,tune=skylake-avx512\")")
#define PN_TARGET_PUSH_AMX \
    _Pragma("GCC push_options") \
    _Pragma("GCC target(\"amx-tile,amx-bf16,amx-int8,avx512bf16,avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,prefer-vector-width=512,tune=sapphirerapids\")")
#define PN_TARGET_POP _Pragma("GCC pop_options")
#else /* MSVC takes intrinsics of any ISA everywhere; its fmaf asks the processor */
#define PN_TARGET_PUSH_FMA
#define PN_TARGET_PUSH_AVX2
#define PN_TARGET_PUSH_AVX512
#define PN_TARGET_PUSH_AVX_VNNI
#define PN_TARGET_PUSH_VNNI
#define PN_TARGET_POP
#endif
#else
#define PN_TARGET_PUSH_FMA
#define PN_TARGET_POP
#endif

#endif
