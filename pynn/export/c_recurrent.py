"""The C functions of recurrent layers; see c_kernels."""

from __future__ import annotations

from pynn.export.c_kernels import ACTIVATIONS, KERNELS

__all__ = ["scratch"]

_HEAD = """int steps, int length,
{pad}int inputs, int units, int sequences, int reverse, int turned, real *work)"""


def scratch(op: str, units: int, outputs: int = 0) -> int:
    """Return how many numbers a recurrent step needs beside its output.

    Examples
    --------
    >>> scratch("lstm", 10)
    60
    """
    return {"simple_rnn": 2 * units, "lstm": 6 * units, "gru": 7 * units, "jordan_rnn": units + outputs}[op]


def _recurrent(name: str, arguments: str, about: str, states: str, cell: str) -> None:
    start = f"static void {name}("
    head = _HEAD.replace("{pad}", " " * len(start))
    KERNELS[name] = (
        ("dense", "more", *(("act",) if "ACT" in cell else ())),
        f"""/* {about}
   Runs from the last step to the first with reverse; y holds all outputs with sequences (the real ones in the order in
   which they were made with turned), else the last one; steps from length on are padding. */
{start}{arguments}, real *y, {head}
{{
    {states}
    for (int i = 0; i < steps; ++i) {{
        const int t = reverse ? steps - 1 - i : i;
        real *out = y + (size_t)(turned && t < length ? length - 1 - t : t) * units;
        if (t >= length) {{
            if (sequences)
                memset(out, 0, units * sizeof *out);
            continue;
        }}
        const real *now = x + (size_t)t * inputs;
{cell.strip(chr(10))}
        if (sequences)
            memcpy(out, h, units * sizeof *out);
    }}
    if (!sequences)
        memcpy(y, h, units * sizeof *y);
}}""",
    )


KERNELS["more"] = (
    (),
    """/* y[outputs] += x[inputs] w, the rows of w being `wide` numbers apart */
static void more(const real *x, const real *w, real *y, int inputs, int outputs, int wide)
{
    for (int i = 0; i < inputs; ++i)
        for (int j = 0; j < outputs; ++j)
            y[j] += x[i] * w[(size_t)i * wide + j];
}""",
)
KERNELS["logistic"] = ((), f"static real logistic(real v)\n{{\n    return {ACTIVATIONS['sigmoid'][1]};\n}}")
KERNELS["act"] = (
    ("logistic",),
    """/* One element of an activation: 't'anh, 'r'elu, 's'igmoid or 'l'inear */
static real act(real v, char kind)
{
    return kind == 't' ? TANH(v) : kind == 'r' ? (v < 0 ? 0 : v) : kind == 's' ? logistic(v) : v;
}""",
)

_recurrent(
    "simple_rnn",
    "const real *x, const real *w, const real *u, const real *b, char kind",
    "h = act(x w + h u + b)",
    "real *h = work, *z = work + units;\n    memset(h, 0, units * sizeof *h);",
    """
        dense(now, w, b, z, 1, inputs, units); /* ACT */
        more(h, u, z, units, units, units);
        for (int k = 0; k < units; ++k)
            h[k] = act(z[k], kind);
""",
)
_recurrent(
    "lstm",
    "const real *x, const real *w, const real *u, const real *b, const real *p",
    "i, f, g, o = x w + h u + b;  c = sigmoid(f) c + sigmoid(i) tanh(g);  h = sigmoid(o) tanh(c);\n"
    "   p are peepholes or NULL",
    "real *h = work, *c = work + units, *z = work + 2 * units;\n    memset(h, 0, 2 * units * sizeof *h);",
    """
        dense(now, w, b, z, 1, inputs, 4 * units);
        more(h, u, z, units, 4 * units, 4 * units);
        for (int k = 0; k < units; ++k) {
            const real old = c[k];
            const real in = logistic(z[k] + (p ? p[k] * old : 0));
            const real forget = logistic(z[units + k] + (p ? p[units + k] * old : 0));
            c[k] = forget * old + in * TANH(z[2 * units + k]);
            h[k] = logistic(z[3 * units + k] + (p ? p[2 * units + k] * c[k] : 0)) * TANH(c[k]);
        }
""",
)
_recurrent(
    "gru",
    "const real *x, const real *w, const real *u, const real *b, int reset_after",
    "z, r = sigmoid(x w + h u + b);  h = z h + (1 - z) tanh(x w_g + b_g + inner), inner = r (h u_g + b'_g) with\n"
    "   reset_after, else (r h) u_g",
    "real *h = work, *a = work + units, *q = work + 4 * units;\n    memset(h, 0, units * sizeof *h);",
    """
        dense(now, w, b, a, 1, inputs, 3 * units);
        if (reset_after) {
            dense(h, u, b ? b + 3 * units : NULL, q, 1, units, 3 * units);
        } else {
            memset(q, 0, 3 * units * sizeof *q);
            more(h, u, q, units, 2 * units, 3 * units);
        }
        for (int k = 0; k < 2 * units; ++k)
            a[k] = logistic(a[k] + q[k]);
        if (reset_after) {
            for (int k = 0; k < units; ++k)
                q[2 * units + k] *= a[units + k];
        } else {
            for (int k = 0; k < units; ++k)
                q[k] = a[units + k] * h[k];
            more(q, u + 2 * units, q + 2 * units, units, units, 3 * units);
        }
        for (int k = 0; k < units; ++k)
            h[k] = a[k] * h[k] + (1 - a[k]) * TANH(a[2 * units + k] + q[2 * units + k]);
""",
)
for _name in ("lstm", "gru"):
    KERNELS[_name] = ((*KERNELS[_name][0], "logistic"), KERNELS[_name][1])
KERNELS["simple_rnn"] = (KERNELS["simple_rnn"][0], KERNELS["simple_rnn"][1].replace(" /* ACT */", ""))

KERNELS["jordan_rnn"] = (
    ("dense", "more", "act", "softmax"),
    """/* h = act(x w + o v + b), o = act_out(h w_out + b_out): the output of a step feeds the next one. */
static void jordan_rnn(const real *x, const real *w, const real *v, const real *b, const real *w_out,
                       const real *b_out, char kind, char out_kind, real *y, int steps, int length, int inputs,
                       int units, int outputs, real *work)
{
    real *h = work, *o = work + units;
    memset(o, 0, outputs * sizeof *o);
    for (int t = 0; t < steps; ++t, y += outputs) {
        if (t >= length) {
            memset(y, 0, outputs * sizeof *y);
            continue;
        }
        dense(x + (size_t)t * inputs, w, b, h, 1, inputs, units);
        more(o, v, h, outputs, units, units);
        for (int k = 0; k < units; ++k)
            h[k] = act(h[k], kind);
        dense(h, w_out, b_out, o, 1, units, outputs);
        if (out_kind == 'm')
            softmax(o, o, 1, outputs);
        else
            for (int k = 0; k < outputs; ++k)
                o[k] = act(o[k], out_kind);
        memcpy(y, o, outputs * sizeof *y);
    }
}""",
)
