"""The C functions that exported files are made of; others are in c_windows and c_recurrent.

Each is (what it needs, text). ``real`` is float or double, and EXP and the like are the functions of <math.h> for it.
"""

from __future__ import annotations

__all__ = ["ACTIVATIONS", "KERNELS", "kernel"]

# One element v, with parameters.
ACTIVATIONS: dict[str, tuple[tuple[str, ...], str]] = {
    "relu": ((), "v < 0 ? 0 : v"),
    "leaky_relu": (("slope",), "v > 0 ? v : slope * v"),
    "elu": (("alpha",), "v > 0 ? v : alpha * EXPM1(v)"),
    "selu": ((), "(real)1.0507009873554805 * (v > 0 ? v : (real)1.6732632423543772 * EXPM1(v))"),
    "sigmoid": ((), "1 / (1 + EXP(-v))"),
    "tanh": ((), "TANH(v)"),
    "softplus": ((), "(v > 0 ? v : 0) + LOG1P(EXP(-FABS(v)))"),
    "silu": ((), "v / (1 + EXP(-v))"),
    "gelu": ((), "(real)0.5 * v * (1 + ERF(v * (real)0.7071067811865476))"),
    "gelu_tanh": ((), "(real)0.5 * v * (1 + TANH((real)0.7978845608028654 * (v + (real)0.044715 * v * v * v)))"),
    "abs": ((), "FABS(v)"),
    "exp": ((), "EXP(v)"),
    "square": ((), "v * v"),
    "step": ((), "v >= 0 ? 1 : 0"),
}

KERNELS: dict[str, tuple[tuple[str, ...], str]] = {}


def kernel(name: str, text: str, *needs: str) -> None:
    """Add a function."""
    KERNELS[name] = (needs, text.strip("\n"))


kernel(
    "dense",
    """
/* y[rows, outputs] = x[rows, inputs] w[inputs, outputs] + b[outputs]; b may be NULL */
static void dense(const real *x, const real *w, const real *b, real *y, int rows, int inputs, int outputs)
{
    for (int r = 0; r < rows; ++r, x += inputs, y += outputs) {
        for (int j = 0; j < outputs; ++j)
            y[j] = b ? b[j] : 0;
        for (int i = 0; i < inputs; ++i)
            for (int j = 0; j < outputs; ++j)
                y[j] += x[i] * w[(size_t)i * outputs + j];
    }
}
""",
)
kernel(
    "embedding",
    """
/* y[n, size] = w[ids[n]]; returns 1 if an id lies outside 0 ... vocabulary - 1 */
static int embedding(const int32_t *ids, const real *w, real *y, int n, int vocabulary, int size)
{
    for (int i = 0; i < n; ++i) {
        if (ids[i] < 0 || ids[i] >= vocabulary)
            return 1;
        memcpy(y + (size_t)i * size, w + (size_t)ids[i] * size, size * sizeof *y);
    }
    return 0;
}
""",
)
kernel(
    "sequence_length",
    """
/* The number of ids before the padding, which is 0; -1 if other ids follow it. */
static int sequence_length(const int32_t *ids, int n)
{
    int length = 0;
    while (length < n && ids[length] != 0)
        ++length;
    for (int i = length; i < n; ++i)
        if (ids[i] != 0)
            return -1;
    return length;
}
""",
)
kernel(
    "maxout",
    """
/* y[i] = the largest of x[i * pieces ...]; n is the size of y */
static void maxout(const real *x, real *y, int n, int pieces)
{
    for (int i = 0; i < n; ++i, x += pieces) {
        y[i] = x[0];
        for (int k = 1; k < pieces; ++k)
            if (x[k] > y[i])
                y[i] = x[k];
    }
}
""",
)
kernel(
    "softmax",
    """
/* y = e^x / sum(e^x) for each row of n; x and y may be the same */
static void softmax(const real *x, real *y, int rows, int n)
{
    for (int r = 0; r < rows; ++r, x += n, y += n) {
        real most = x[0], sum = 0;
        for (int i = 1; i < n; ++i)
            if (x[i] > most)
                most = x[i];
        for (int i = 0; i < n; ++i)
            sum += y[i] = EXP(x[i] - most);
        for (int i = 0; i < n; ++i)
            y[i] /= sum;
    }
}
""",
)
kernel(
    "log_softmax",
    """
/* y = x - log(sum(e^x)) for each row of n; x and y may be the same */
static void log_softmax(const real *x, real *y, int rows, int n)
{
    for (int r = 0; r < rows; ++r, x += n, y += n) {
        real most = x[0], sum = 0;
        for (int i = 1; i < n; ++i)
            if (x[i] > most)
                most = x[i];
        for (int i = 0; i < n; ++i)
            sum += EXP(x[i] - most);
        for (int i = 0; i < n; ++i)
            y[i] = x[i] - most - LOG(sum);
    }
}
""",
)
kernel(
    "add",
    """
static void add(const real *a, const real *b, real *y, int n)
{
    for (int i = 0; i < n; ++i)
        y[i] = a[i] + b[i];
}
""",
)
kernel(
    "multiply",
    """
static void multiply(const real *a, const real *b, real *y, int n)
{
    for (int i = 0; i < n; ++i)
        y[i] = a[i] * b[i];
}
""",
)
kernel(
    "scale",
    """
static void scale(const real *x, real *y, int n, real factor)
{
    for (int i = 0; i < n; ++i)
        y[i] = x[i] * factor;
}
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
