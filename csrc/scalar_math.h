/* sin, cos, tan, log, exp and pow in double precision, by additions and products that no compiler may fuse: the bits are those
 * of every processor, system and C library. For kernels that want a function now and then, and round the answer to float. */
#ifndef PN_SCALAR_MATH_H
#define PN_SCALAR_MATH_H

#ifndef PN_DEVICE
#define PN_DEVICE /* how a compiler for another device is told to compile a function for it (cuda/device.h) */
#endif

PN_DEVICE double pn_log(double x);                           /* x > 0 and normal; 2 ULP */
PN_DEVICE double pn_exp(double x);                           /* |x| <= 700, cut to that beyond; 2 ULP */
PN_DEVICE double pn_power(double x, long long n);            /* x^n by squaring, n >= 0; relative error n 2^-53 */
PN_DEVICE void pn_sin_cos(float x, double *sine, double *cosine); /* every float; infinities and NaN give NaN */
PN_DEVICE void pn_turn(double x, double *sine, double *cosine);   /* |x| < 2^20; absolute error 2^-52 */
PN_DEVICE float pn_powf(float x, float y);                   /* every pair, with C's answers at 0, 1, infinity and NaN */

static inline float pn_sinf(float x) {
    double s, c;
    pn_sin_cos(x, &s, &c);
    return (float)s;
}
static inline float pn_cosf(float x) {
    double s, c;
    pn_sin_cos(x, &s, &c);
    return (float)c;
}

#endif
