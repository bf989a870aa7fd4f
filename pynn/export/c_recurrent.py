"""The C functions of recurrent layers; see c_kernels."""

from __future__ import annotations

from pynn.export.c_kernels import ACTIVATIONS, KERNELS
from pynn.ops.rnn import RNN_ACTIVATIONS

__all__ = ["KINDS", "STATES"]

KINDS = {name: f"'{name[0]}'" for name in RNN_ACTIVATIONS} | {"softmax": "'m'"}
STATES = {"simple_rnn": 2, "lstm": 6, "gru": 7, "layer_norm_lstm": 10, "jordan_rnn": 1}  # numbers of scratch per unit

_HEAD = """const real *lengths, int samples,
{pad}int steps, int inputs, int units, int reverse, real *work)"""


def _recurrent(name: str, arguments: str, about: str, states: str, cell: str, lstm: bool = False) -> None:
    start = f"static void {name}("
    head = _HEAD.replace("{pad}", " " * len(start))
    more = ", real *cell" if lstm else ""
    begin = "".join(
        f"""
        for (int k = 0; k < units; ++k)
            {s}[k] = {s}0 ? {s}0[(size_t)i * units + k] : 0;"""
        for s in ("hc" if lstm else "h")
    )
    last = "".join(
        f"""
        if ({out})
            memcpy({out} + (size_t)i * units, {s}, units * sizeof *{s});"""
        for s, out in (("h", "last"), ("c", "cell"))[: 1 + lstm]
    )
    KERNELS[name] = (
        tuple(needed for needed in ("dense", "more", "act", "sigmoid", "tanh", "layer_norm") if f"{needed}(" in cell),
        f"""/* {about}
   Runs from the last step to the first with reverse; y holds all outputs and last the last state, where they are
   wanted; the states begin as given, or as 0. Steps from the lengths of samples on are padding. */
{start}{arguments},
{" " * len(start)}real *y, real *last{more}, {head}
{{
    {states}
    for (int i = 0; i < samples; ++i, x += (size_t)steps * inputs) {{
        const int length = lengths ? (int)lengths[i] : steps;{begin}
        for (int s = 0; s < steps; ++s) {{
            const int t = reverse ? steps - 1 - s : s;
            real *out = y ? y + ((size_t)i * steps + t) * units : NULL;
            if (t >= length) {{
                if (out)
                    memset(out, 0, units * sizeof *out);
                continue;
            }}
            const real *now = x + (size_t)t * inputs;
{cell.strip(chr(10))}
            if (out)
                memcpy(out, h, units * sizeof *out);
        }}{last}
    }}
}}""",
    )


KERNELS["logistic"] = ((), f"static real logistic(real v)\n{{\n    return {ACTIVATIONS['sigmoid'][1]};\n}}")
KERNELS["act"] = (
    ("logistic",),
    f"""/* One element of an activation: 't'anh, 'r'elu, 's'igmoid or 'l'inear */
static real act(real v, char kind)
{{
    return kind == 't' ? {ACTIVATIONS["tanh"][1]} : kind == 'r' ? ({ACTIVATIONS["relu"][1]}) : kind == 's' ? logistic(v) : v;
}}""",  # noqa: E501
)

_recurrent(
    "simple_rnn",
    "const real *x, const real *w, const real *u, const real *b, const real *h0, char kind",
    "h = act(x w + h u + b)",
    "real *h = work, *z = work + units;",
    """
            dense(now, w, b, z, 1, inputs, units);
            more(h, u, z, units, units, units);
            for (int k = 0; k < units; ++k)
                h[k] = act(z[k], kind);
""",
)
_recurrent(
    "lstm",
    "const real *x, const real *w, const real *u, const real *b, const real *h0, const real *c0, const real *p",
    "i, f, g, o = x w + h u + b;  c = sigmoid(f) c + sigmoid(i) tanh(g);  h = sigmoid(o) tanh(c);\n"
    "   p are peepholes or NULL",
    "real *h = work, *c = work + units, *z = work + 2 * units;",
    """
            dense(now, w, b, z, 1, inputs, 4 * units);
            more(h, u, z, units, 4 * units, 4 * units);
            for (int k = 0; p && k < units; ++k) {
                z[k] += p[k] * c[k];
                z[units + k] += p[units + k] * c[k];
            }
            apply_sigmoid(z, z, 2 * units);
            apply_tanh(z + 2 * units, z + 2 * units, units);
            for (int k = 0; k < units; ++k)
                c[k] = z[units + k] * c[k] + z[k] * z[2 * units + k];
            for (int k = 0; p && k < units; ++k)
                z[3 * units + k] += p[2 * units + k] * c[k];
            apply_sigmoid(z + 3 * units, z + 3 * units, units);
            apply_tanh(c, h, units);
            for (int k = 0; k < units; ++k)
                h[k] *= z[3 * units + k];
""",
    lstm=True,
)
_recurrent(
    "layer_norm_lstm",
    """const real *x, const real *w, const real *u, const real *b, const real *h0, const real *c0,
                            const real *gamma_x, const real *gamma_h, const real *gamma_c, const real *beta_c,
                            real epsilon""",
    "i, f, g, o = norm(x w) gamma_x + norm(h u) gamma_h + b;  c = sigmoid(f) c + sigmoid(i) tanh(g);\n"
    "   h = sigmoid(o) tanh(norm(c) gamma_c + beta_c); b, gammas and beta_c may be NULL",
    "real *h = work, *c = work + units, *z = work + 2 * units, *q = work + 6 * units;",
    """
            dense(now, w, NULL, z, 1, inputs, 4 * units);
            layer_norm(z, gamma_x, NULL, z, 1, 4 * units, epsilon);
            dense(h, u, NULL, q, 1, units, 4 * units);
            layer_norm(q, gamma_h, b, q, 1, 4 * units, epsilon);
            for (int k = 0; k < 4 * units; ++k)
                z[k] += q[k];
            apply_sigmoid(z, z, 2 * units);
            apply_tanh(z + 2 * units, z + 2 * units, units);
            apply_sigmoid(z + 3 * units, z + 3 * units, units);
            for (int k = 0; k < units; ++k)
                c[k] = z[units + k] * c[k] + z[k] * z[2 * units + k];
            layer_norm(c, gamma_c, beta_c, q, 1, units, epsilon);
            apply_tanh(q, q, units);
            for (int k = 0; k < units; ++k)
                h[k] = z[3 * units + k] * q[k];
""",
    lstm=True,
)
_recurrent(
    "gru",
    "const real *x, const real *w, const real *u, const real *b, const real *h0, int reset_after",
    "z, r = sigmoid(x w + h u + b);  h = z h + (1 - z) tanh(x w_g + b_g + inner), inner = r (h u_g + b'_g) with\n"
    "   reset_after, else (r h) u_g",
    "real *h = work, *a = work + units, *q = work + 4 * units;",
    """
            dense(now, w, b, a, 1, inputs, 3 * units);
            if (reset_after) {
                dense(h, u, b ? b + 3 * units : NULL, q, 1, units, 3 * units);
            } else {
                memset(q, 0, 3 * units * sizeof *q);
                more(h, u, q, units, 2 * units, 3 * units);
            }
            for (int k = 0; k < 2 * units; ++k)
                a[k] += q[k];
            apply_sigmoid(a, a, 2 * units);
            if (reset_after) {
                for (int k = 0; k < units; ++k)
                    q[2 * units + k] *= a[units + k];
            } else {
                for (int k = 0; k < units; ++k)
                    q[k] = a[units + k] * h[k];
                more(q, u + 2 * units, q + 2 * units, units, units, 3 * units);
            }
            for (int k = 0; k < units; ++k)
                q[k] = a[2 * units + k] + q[2 * units + k];
            apply_tanh(q, q, units);
            for (int k = 0; k < units; ++k)
                h[k] = a[k] * h[k] + (1 - a[k]) * q[k];
""",
)

KERNELS["jordan_rnn"] = (
    ("dense", "more", "act", "softmax"),
    """/* h = act(z + o v), o = act_out(h w_out + b_out): the output of a step feeds the next one; z and y are
   time first */
static void jordan_rnn(const real *z, const real *v, const real *w_out, const real *b_out, char kind, char out_kind,
                       real *y, const real *lengths, int steps, int samples, int units, int outputs, real *work)
{
    real *h = work, *o = work + units;
    for (int i = 0; i < samples; ++i) {
        memset(o, 0, outputs * sizeof *o);
        for (int t = 0; t < steps; ++t) {
            real *out = y + ((size_t)t * samples + i) * outputs;
            if (lengths && t >= (int)lengths[i]) {
                memset(out, 0, outputs * sizeof *out);
                continue;
            }
            memcpy(h, z + ((size_t)t * samples + i) * units, units * sizeof *h);
            more(o, v, h, outputs, units, units);
            for (int k = 0; k < units; ++k)
                h[k] = act(h[k], kind);
            dense(h, w_out, b_out, o, 1, units, outputs);
            if (out_kind == 'm')
                softmax(o, o, 1, outputs);
            else
                for (int k = 0; k < outputs; ++k)
                    o[k] = act(o[k], out_kind);
            memcpy(out, o, outputs * sizeof *o);
        }
    }
}""",
)
