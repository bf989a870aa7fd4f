"""exp and tanh in C: without branches and calls, so that compilers make vectors of the loops round them."""

from __future__ import annotations

import re

import numpy as np

__all__ = ["math_source"]

# Those of <math.h>; other functions are called where they stand.
_LIBRARY = (
    "EXP", "EXPM1", "TANH", "LOG", "LOG1P", "ERF", "FABS", "SQRT", "POW", "SIN", "COS", "TRUNC", "FLOOR", "RINT",
)  # fmt: skip
_OWN = ("EXP", "TANH")  # for float; those of a library are as exact as double needs

# expm1(r) for |r| <= ln 2 / 2, a minimax fit of the relative error: the numbers of csrc/kernels/vmath.h.
_REDUCED = """
static inline int32_t bits_of(float v)
{
    int32_t bits;
    memcpy(&bits, &v, sizeof bits);
    return bits;
}

static inline float number_of(int32_t bits)
{
    float v;
    memcpy(&v, &bits, sizeof v);
    return v;
}

/* yes if it holds, else no. A question mark would make a branch, and compilers would make no vectors of the loop. */
static inline float chosen(int holds, float yes, float no)
{
    return number_of((bits_of(yes) & -holds) | (bits_of(no) & (holds - 1)));
}

/* n of v = n ln 2 + r with |r| <= ln 2 / 2 */
static inline int whole_part(float v)
{
    const float t = v * 1.44269502f;
    return (int)(t + copysignf(0.5f, t));
}

/* e^r - 1 of v = n ln 2 + r */
static inline float reduced(float v, int n)
{
    const float k = (float)n, r = v - k * 0.693145752f - k * 1.42860677e-06f;
    const float q = 0.0416672006f + r * (0.00836652052f + r * 0.00138825213f);
    return r + r * r * (0.49999997f + r * (0.166665435f + r * q));
}

/* 2^n, n from -126 to 127 */
static inline float power(int n)
{
    return number_of((int32_t)((uint32_t)(n + 127) << 23));
}
"""
_FUNCTIONS = {
    "EXP": """
static inline float exp_of(float v)
{
    const float above = chosen(v > -104.0f, v, -104.0f), x = chosen(above < 89.0f, above, 89.0f);
    const int n = whole_part(x), half = n / 2;
    const float y = (reduced(x, n) + 1.0f) * power(half) * power(n - half);
    return chosen(v == v, y, v);
}
""",
    "TANH": """
/* e / (e + 2) with the sign of v, where e = e^2|v| - 1 */
static inline float tanh_of(float v)
{
    const float b = 2.0f * fabsf(v), x = chosen(b < 20.0f, b, 20.0f);
    const int n = whole_part(x);
    const float s = power(n), e = s * reduced(x, n) + (s - 1.0f), y = copysignf(e / (e + 2.0f), v);
    return chosen(v == v, y, v);
}
""",
}


def math_source(code: str, dtype: np.dtype) -> str:
    """Return what C code that calls EXP, TANH and the like for numbers of a dtype needs before it."""
    called = [name for name in _LIBRARY if re.search(rf"\b{name}\(", code)]
    own = [name for name in called if name in _OWN and dtype == np.float32]
    suffix = "f" if dtype == np.float32 else ""
    macros = [f"#define {name} {f'{name.lower()}_of' if name in own else name.lower() + suffix}" for name in called]
    functions = [_REDUCED, *(_FUNCTIONS[name] for name in own)] if own else []
    return "\n".join([*macros, *functions])
