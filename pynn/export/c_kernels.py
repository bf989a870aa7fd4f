"""The C functions that exported files are made of; others are in c_windows and c_recurrent.

Each is (what it needs, text). ``real`` is float or double, and EXP and the like are the functions of <math.h> for it.
"""

from __future__ import annotations

from pynn.export.binary import BINARY
from pynn.ops.activation import ELEMENTWISE

__all__ = ["ACTIVATIONS", "KERNELS", "activation", "kernel"]

# One element v, with parameters: the rows of pynn.ops.activation.
ACTIVATIONS: dict[str, tuple[tuple[str, ...], str]] = {
    name: (tuple(row.parameters), row.c) for name, row in ELEMENTWISE.items()
}

KERNELS: dict[str, tuple[tuple[str, ...], str]] = {}


def kernel(name: str, text: str, *needs: str) -> None:
    """Add a function."""
    KERNELS[name] = (needs, text.strip("\n"))


def _blockwise(name: str, head: str, at: str, expression: str) -> str:
    """Return a function of n numbers; it may write over what it reads, and compilers make vectors of it."""
    return f"""
CLONES static void {name}({head})
{{
    int i = 0;
    for (; i + LANES <= n; i += LANES) {{
        real block[LANES];
        for (int l = 0; l < LANES; ++l) {{
            {at.replace("[i]", "[i + l]")}
            block[l] = {expression};
        }}
        memcpy(y + i, block, sizeof block);
    }}
    for (; i < n; ++i) {{
        {at}
        y[i] = {expression};
    }}
}}
"""


for _name, _expression, *_ in BINARY.values():
    for _which, _head, _pair in (
        (_name, "const real *a, const real *b, real *y, int n", "const real p = a[i], q = b[i];"),
        (f"{_name}_number", "const real *a, real q, real *y, int n", "const real p = a[i];"),
        (f"number_{_name}", "real p, const real *b, real *y, int n", "const real q = b[i];"),
    ):
        kernel(_which, _blockwise(_which, _head, _pair, _expression))
    _pad = " " * len(f"static void {_name}_rows(")
    kernel(
        f"{_name}_rows",
        f"""
/* {_name} where a or b is repeated: how far apart its numbers are from row to row, and along a row */
static void {_name}_rows(const real *a, const real *b, real *y, int rows, int n, int a_row, int a_step, int b_row,
{_pad}int b_step)
{{
    for (int r = 0; r < rows; ++r, a += a_row, b += b_row, y += n)
        for (int i = 0; i < n; ++i) {{
            const real p = a[i * a_step], q = b[i * b_step];
            y[i] = {_expression};
        }}
}}
""",
    )

kernel(
    "choose",
    """
/* y = a where c is not 0, else b; how far apart the numbers of each are from row to row, and along */
static void choose(const real *c, const real *a, const real *b, real *y, int rows, int n, int c_row, int c_step,
                   int a_row, int a_step, int b_row, int b_step)
{
    for (int r = 0; r < rows; ++r, c += c_row, a += a_row, b += b_row, y += n)
        for (int i = 0; i < n; ++i)
            y[i] = c[i * c_step] != 0 ? a[i * a_step] : b[i * b_step];
}
""",
)
kernel(
    "to_real",
    """
static void to_real(const int32_t *x, real *y, int n)
{
    for (int i = 0; i < n; ++i)
        y[i] = (real)x[i];
}
""",
)
kernel(
    "whole",
    """
/* y = x without what follows the point */
static void whole(const real *x, real *y, int n)
{
    for (int i = 0; i < n; ++i)
        y[i] = TRUNC(x[i]);
}
""",
)
kernel(
    "matmul",
    """
/* y = a b for stacks of matrices [m, k] and [k, n], stored transposed with ta and tb; a and b stand apart */
static void matmul(const real *a, const real *b, real *y, int stack, int m, int k, int n, int ta, int tb, int a_apart,
                   int b_apart)
{
    for (int s = 0; s < stack; ++s, a += a_apart, b += b_apart)
        for (int i = 0; i < m; ++i, y += n) {
            for (int j = 0; j < n; ++j)
                y[j] = 0;
            for (int p = 0; p < k; ++p) {
                const real v = a[ta ? (size_t)p * m + i : (size_t)i * k + p];
                for (int j = 0; j < n; ++j)
                    y[j] += v * b[tb ? (size_t)j * k + p : (size_t)p * n + j];
            }
        }
}
""",
)
for _name, _about, _start, _step in (
    ("total", "the sum of scale * x", "0", "y[j] += scale * v;"),
    ("largest", "the largest x", "x[j]", "y[j] = v > y[j] || v != v ? v : y[j];"),
    ("smallest", "the smallest x", "x[j]", "y[j] = v < y[j] || v != v ? v : y[j];"),
):
    _more = ", real scale" if _name == "total" else ""
    kernel(
        _name,
        f"""
/* y[outer, inner] = {_about}[outer, n, inner] over n */
static void {_name}(const real *x, real *y, int outer, int n, int inner{_more})
{{
    for (int o = 0; o < outer; ++o, x += (size_t)n * inner, y += inner) {{
        for (int j = 0; j < inner; ++j)
            y[j] = {_start};
        for (int i = 0; i < n; ++i)
            for (int j = 0; j < inner; ++j) {{
                const real v = x[(size_t)i * inner + j];
                {_step}
            }}
    }}
}}
""",
    )
kernel(
    "place_of_largest",
    """
/* y[outer, inner] = where the first largest x[outer, n, inner] stands */
static void place_of_largest(const real *x, real *y, int outer, int n, int inner)
{
    for (int o = 0; o < outer; ++o, x += (size_t)n * inner, y += inner)
        for (int j = 0; j < inner; ++j) {
            int best = 0;
            for (int i = 1; i < n; ++i)
                if (x[(size_t)i * inner + j] > x[(size_t)best * inner + j])
                    best = i;
            y[j] = (real)best;
        }
}
""",
)
for _suffix, _whole in (("", "int32_t"), ("_computed", "real")):
    kernel(
        f"take{_suffix}",
        f"""
/* y[outer, count, inner] = x[outer, index[count], inner], from the end where it is negative; 1 if it lies outside n */
static int take{_suffix}(const real *x, const {_whole} *index, real *y, int outer, int n, int count, int inner)
{{
    for (int o = 0; o < outer; ++o, x += (size_t)n * inner)
        for (int i = 0; i < count; ++i, y += inner) {{
            if (!(index[i] >= -n && index[i] < n))
                return 1;
            const int at = (int)index[i];
            memcpy(y, x + (size_t)(at < 0 ? at + n : at) * inner, inner * sizeof *y);
        }}
    return 0;
}}
""",
    )
    kernel(
        f"embedding{_suffix}",
        f"""
/* y[n, size] = w[ids[n]]; returns 1 if an id lies outside 0 ... vocabulary - 1 */
static int embedding{_suffix}(const {_whole} *ids, const real *w, real *y, int n, int vocabulary, int size)
{{
    for (int i = 0; i < n; ++i) {{
        if (!(ids[i] >= 0 && ids[i] < vocabulary))
            return 1;
        memcpy(y + (size_t)i * size, w + (size_t)ids[i] * size, size * sizeof *y);
    }}
    return 0;
}}
""",
    )
kernel(
    "sequence_lengths",
    """
/* y[i] = the number of ids of a sample before the padding, which is 0; returns 1 if other ids follow it. */
static int sequence_lengths(const int32_t *ids, real *y, int samples, int steps)
{
    for (int i = 0; i < samples; ++i, ids += steps) {
        int length = 0;
        while (length < steps && ids[length] != 0)
            ++length;
        for (int t = length; t < steps; ++t)
            if (ids[t] != 0)
                return 1;
        if (y)
            y[i] = (real)length;
    }
    return 0;
}
""",
)
kernel(
    "walked_lengths",
    """
/* y = the number of steps that a walk over sequences of these lengths makes, at most `most` */
static void walked_lengths(const real *lengths, real *y, int n, int mul, int add, int step, int most)
{
    for (int i = 0; i < n; ++i) {
        const int from = (int)lengths[i] * mul + add + step, count = from < 0 ? 0 : from / step;
        y[i] = (real)(count > most ? most : count);
    }
}
""",
)
kernel(
    "mask_steps",
    """
/* y = x for real steps, value for padding; with scale the sum over all steps becomes `steps` times the mean of x */
static void mask_steps(const real *x, const real *lengths, real *y, int samples, int steps, int inner, real value,
                       int scale)
{
    for (int i = 0; i < samples; ++i, x += (size_t)steps * inner, y += (size_t)steps * inner) {
        const int length = (int)lengths[i], stop = length * inner;
        const real factor = scale ? (real)steps / (real)(length ? length : 1) : 1;
        for (int k = 0; k < steps * inner; ++k)
            y[k] = k < stop ? x[k] * factor : value;
    }
}
""",
)
kernel(
    "reverse_steps",
    """
/* y = the real steps of x from the last to the first; padding stays at the end */
static void reverse_steps(const real *x, const real *lengths, real *y, int samples, int steps, int inner)
{
    for (int i = 0; i < samples; ++i, x += (size_t)steps * inner)
        for (int t = 0; t < steps; ++t, y += inner) {
            const int at = t < (int)lengths[i] ? (int)lengths[i] - 1 - t : t;
            memcpy(y, x + (size_t)at * inner, inner * sizeof *y);
        }
}
""",
)
kernel(
    "step_order",
    """
/* order = the real steps of each row of a mask, then the others; back = its inverse; lengths = how many are real */
static void step_order(const real *mask, real *order, real *back, real *lengths, int samples, int steps)
{
    for (int i = 0; i < samples; ++i, mask += steps) {
        int k = 0, real_ones = 0;
        for (int pass = 1; pass >= 0; --pass) {
            for (int t = 0; t < steps; ++t)
                if ((mask[t] != 0) == pass) {
                    if (order)
                        order[(size_t)i * steps + k] = (real)t;
                    if (back)
                        back[(size_t)i * steps + t] = (real)k;
                    ++k;
                }
            real_ones = pass ? k : real_ones;
        }
        if (lengths)
            lengths[i] = (real)real_ones;
    }
}
""",
)
kernel(
    "permute_steps",
    """
/* y = the steps of x in an order of each sample */
static void permute_steps(const real *x, const real *order, real *y, int samples, int steps, int inner)
{
    for (int i = 0; i < samples; ++i, x += (size_t)steps * inner)
        for (int t = 0; t < steps; ++t, y += inner)
            memcpy(y, x + (size_t)order[(size_t)i * steps + t] * inner, inner * sizeof *y);
}
""",
)
kernel(
    "check_lengths",
    """
/* y = lengths; returns 1 if one is not from 1 to steps */
static int check_lengths(const int32_t *lengths, real *y, int n, int steps)
{
    for (int i = 0; i < n; ++i) {
        if (lengths[i] < 1 || lengths[i] > steps)
            return 1;
        y[i] = (real)lengths[i];
    }
    return 0;
}
""",
)
for _name, _about, _sum, _value in (
    ("softmax", "e^x / sum(e^x)", "sum += y[i] = EXP(x[i] - most);", "y[i] /= sum;"),
    ("log_softmax", "x - log(sum(e^x))", "sum += EXP(x[i] - most);", "y[i] = x[i] - most - LOG(sum);"),
):
    kernel(
        _name,
        f"""
/* y = {_about} for each row of n; x and y may be the same */
static void {_name}(const real *x, real *y, int rows, int n)
{{
    for (int r = 0; r < rows; ++r, x += n, y += n) {{
        real most = x[0], sum = 0;
        for (int i = 1; i < n; ++i)
            if (x[i] > most)
                most = x[i];
        for (int i = 0; i < n; ++i)
            {_sum}
        for (int i = 0; i < n; ++i)
            {_value}
    }}
}}
""",
    )
kernel(
    "scale_shift",
    """
/* y = (x - m) s + b for each of n channels, as batch normalization does; x and y may be the same */
static void scale_shift(const real *x, const real *m, const real *s, const real *b, real *y, int rows, int n)
{
    for (int r = 0; r < rows; ++r, x += n, y += n)
        for (int i = 0; i < n; ++i)
            y[i] = (x[i] - m[i]) * s[i] + b[i];
}
""",
)
kernel(
    "layer_norm",
    """
/* y = (x - mean) / sqrt(var + epsilon) gamma + beta for each row of n; gamma, beta may be NULL; x and y the same */
static void layer_norm(const real *x, const real *gamma, const real *beta, real *y, int rows, int n, real epsilon)
{
    for (int r = 0; r < rows; ++r, x += n, y += n) {
        real mean = 0, var = 0;
        for (int i = 0; i < n; ++i)
            mean += x[i];
        mean /= (real)n;
        for (int i = 0; i < n; ++i)
            var += (x[i] - mean) * (x[i] - mean);
        const real scale = 1 / SQRT(var / (real)n + epsilon);
        for (int i = 0; i < n; ++i)
            y[i] = (x[i] - mean) * scale * (gamma ? gamma[i] : 1) + (beta ? beta[i] : 0);
    }
}
""",
)
kernel(
    "group_norm",
    """
/* As layer_norm, for each group of the channels of a sample x[places, channels] */
static void group_norm(const real *x, const real *gamma, const real *beta, real *y, int places, int channels,
                       int groups, real epsilon)
{
    const int part = channels / groups;
    for (int k = 0; k < groups; ++k) {
        real mean = 0, var = 0;
        for (int p = 0; p < places; ++p)
            for (int c = k * part; c < (k + 1) * part; ++c)
                mean += x[(size_t)p * channels + c];
        mean /= (real)(places * part);
        for (int p = 0; p < places; ++p)
            for (int c = k * part; c < (k + 1) * part; ++c) {
                const real z = x[(size_t)p * channels + c] - mean;
                var += z * z;
            }
        const real scale = 1 / SQRT(var / (real)(places * part) + epsilon);
        for (int p = 0; p < places; ++p)
            for (int c = k * part; c < (k + 1) * part; ++c)
                y[(size_t)p * channels + c] =
                    (x[(size_t)p * channels + c] - mean) * scale * (gamma ? gamma[c] : 1) + (beta ? beta[c] : 0);
    }
}
""",
)
kernel(
    "response_norm",
    """
/* y = x / (bias + alpha * sum of x^2 over channels within radius)^beta for each row of n */
static void response_norm(const real *x, real *y, int rows, int n, int radius, real bias, real alpha, real beta)
{
    for (int r = 0; r < rows; ++r, x += n, y += n)
        for (int i = 0; i < n; ++i) {
            real sum = 0;
            for (int k = i < radius ? 0 : i - radius; k < n && k <= i + radius; ++k)
                sum += x[k] * x[k];
            y[i] = x[i] / POW(bias + alpha * sum, beta);
        }
}
""",
)


def activation(name: str) -> str:
    """Return the function that applies an activation to n numbers."""
    parameters, expression = ACTIVATIONS[name]
    more = "".join(f", real {p}" for p in parameters)
    head = f"const real *x, real *y, int n{more}"
    return _blockwise(f"apply_{name}", head, "const real v = x[i];", expression).strip()
