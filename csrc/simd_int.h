/* The part of simd.h that integer kernels need, one lane wide. The including file defines PN_INT as the type. */
#ifndef PN_SIMD_INT_H
#define PN_SIMD_INT_H

#include <string.h>

#include "pn.h"

#define real PN_INT
#define VW 1
typedef real vec;
static inline vec vload(const real *p) { return *p; }
static inline void vstore(real *p, vec v) { *p = v; }
static inline vec vloadn(const real *p, i64 n) { return n > 0 ? *p : 0; }
static inline void vstoren(real *p, vec v, i64 n) { if (n > 0) *p = v; }
static inline vec vfirstn(vec v, i64 n) { return n > 0 ? v : 0; }
static inline vec vset(real x) { return x; }
/* Through unsigned arithmetic: overflow wraps, as in NumPy. */
static inline vec vadd(vec a, vec b) { return (vec)((uint64_t)a + (uint64_t)b); }
static inline vec vsub(vec a, vec b) { return (vec)((uint64_t)a - (uint64_t)b); }
static inline vec vmul(vec a, vec b) { return (vec)((uint64_t)a * (uint64_t)b); }
static inline vec vmax(vec a, vec b) { return a > b ? a : b; }
static inline vec vmin(vec a, vec b) { return a < b ? a : b; }
static inline int visnan(vec a) { (void)a; return 0; }
static inline vec vsel(int m, vec a, vec b) { return m ? a : b; }
static inline real vhsum(vec a) { return a; }

#endif
