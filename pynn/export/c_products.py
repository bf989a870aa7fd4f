"""The C functions that multiply: tiles of rows by blocks of outputs; see c_kernels."""

from __future__ import annotations

import numpy as np

from pynn.export.c_kernels import kernel

__all__ = ["ROWS", "in_blocks", "lanes"]

ROWS = 6  # of a tile: with 16 floats each they fill the registers of AVX2


def lanes(dtype: np.dtype) -> int:
    """Return how many outputs a block of weights has: those of 64 bytes.

    Examples
    --------
    >>> lanes(np.dtype("float32")), lanes(np.dtype("float64"))
    (16, 8)
    """
    return 64 // dtype.itemsize


def in_blocks(w: np.ndarray) -> np.ndarray:
    """Return weights [inputs, outputs] as blocks [outputs / lanes, inputs, lanes], the last one filled with zeros.

    Examples
    --------
    >>> in_blocks(np.ones((3, 20), np.float32)).shape
    (2, 3, 16)
    """
    inputs, outputs = w.shape
    wide = lanes(w.dtype)
    filled = np.zeros((inputs, -(-outputs // wide) * wide), w.dtype)
    filled[:, :outputs] = w
    return np.ascontiguousarray(filled.reshape(inputs, -1, wide).swapaxes(0, 1))


def _lines(line: str, count: int = ROWS, indent: int = 8) -> str:
    """Return a line for each row, in which # is its number."""
    return f"\n{' ' * indent}".join(line.replace("#", str(i)) for i in range(count))


_WALK = """
    for (int r = 0; r < g.rows; ++r)
        for (int s = 0; s < g.columns; ++s) {
            const real *p = x + (size_t)r * g.down + (size_t)s * g.along;
            for (int k = 0; k < g.inner; ++k, w += LANES, ++p) {"""

kernel(
    "tile",
    f"""
/* Where the numbers lie that an output is made of: rows x columns stretches of `inner`, how far apart; and how far
   those of the next output are from them */
typedef struct {{
    int rows, columns, inner;
    int down, along, apart;
}} walk;

/* sums[{ROWS}][LANES] = {ROWS} neighbouring outputs, or fewer, by LANES columns of w */
CLONES static void tile(const real *RESTRICT x, const real *RESTRICT w, real *RESTRICT sums, walk g, int count)
{{
    real {", ".join(f"s{i}[LANES] = {{0}}" for i in range(ROWS))};
    {_lines("const size_t at# = (size_t)(# < count ? # : 0) * g.apart;", indent=4)}{_WALK}
                {_lines("const real v# = p[at#];", indent=16)}
                for (int l = 0; l < LANES; ++l) {{
                    {_lines("s#[l] += v# * w[l];", indent=20)}
                }}
            }}
        }}
    {_lines("memcpy(sums + # * LANES, s#, sizeof s#);", indent=4)}
}}

/* sums[4][LANES] = one output by 4 LANES columns, or fewer; the blocks of w are `size` apart */
CLONES static void line(const real *RESTRICT x, const real *RESTRICT w, real *RESTRICT sums, walk g, int size,
                        int blocks)
{{
    real {", ".join(f"s{i}[LANES] = {{0}}" for i in range(4))};
    {_lines("const size_t at# = (size_t)(# < blocks ? # : 0) * size;", 4, 4)}{_WALK}
                const real v = *p;
                for (int l = 0; l < LANES; ++l) {{
                    {_lines("s#[l] += v * w[at# + l];", 4, 20)}
                }}
            }}
        }}
    {_lines("memcpy(sums + # * LANES, s#, sizeof s#);", 4, 4)}
}}

/* y[n, outputs] = the sums over the walk from x on, and apart from each other, of x w, + b; w in blocks */
static void products(const real *x, const real *w, const real *b, real *y, walk g, int n, int outputs)
{{
    const int size = g.rows * g.columns * g.inner * LANES, blocks = (outputs + LANES - 1) / LANES;
    real sums[{ROWS} * LANES];
    for (int k = 0; k < blocks; ++k, w += size)
        for (int i = 0; i < n;) {{
            const int start = k * LANES, rows = n == 1 ? 1 : n - i < {ROWS} ? n - i : {ROWS};
            const int left = blocks - k, wide = n > 1 || left < 2 ? 1 : left < 4 ? left : 4;
            const int count = outputs - start < wide * LANES ? outputs - start : wide * LANES;
            if (n == 1)
                line(x, w, sums, g, size, wide);
            else
                tile(x + (size_t)i * g.apart, w, sums, g, rows);
            for (int r = 0; r < rows; ++r)
                for (int j = 0; j < count; ++j)
                    y[(size_t)(i + r) * outputs + start + j] = sums[r * LANES + j] + (b ? b[start + j] : 0);
            i += rows;
            if (n == 1)
                k += wide - 1, w += (size_t)(wide - 1) * size;
        }}
}}
""",
)
kernel(
    "dense_blocks",
    """
/* y[rows, outputs] = x[rows, inputs] w + b[outputs]; w in blocks of LANES outputs, b may be NULL */
static void dense_blocks(const real *x, const real *w, const real *b, real *y, int rows, int inputs, int outputs)
{
    const walk g = {1, 1, inputs, 0, 0, inputs};
    products(x, w, b, y, g, rows, outputs);
}
""",
    "tile",
)
kernel(
    "conv2d_blocks",
    """
/* y[i, j, f] = b[f] + sum over r, s, c of x[i sy + r dy - top, j sx + s dx - left, c] w[r, s, c, f]; w in blocks of
   LANES filters, `work` holds the image with its border of zeros, if it has one */
static void conv2d_blocks(const real *x, const real *w, const real *b, real *y, window g, real *work)
{
    const int wide = (g.out_width - 1) * g.stride_x + (g.columns - 1) * g.dilation_x + 1;
    const int high = (g.out_height - 1) * g.stride_y + (g.rows - 1) * g.dilation_y + 1;
    int row = g.width * g.channels;
    if (g.top > 0 || g.left > 0 || wide > g.width || high > g.height) {
        const int right = wide < g.left + g.width ? wide : g.left + g.width;
        memset(work, 0, (size_t)high * wide * g.channels * sizeof *work);
        for (int i = 0; i < g.height && i + g.top < high; ++i)
            memcpy(work + ((size_t)(i + g.top) * wide + g.left) * g.channels, x + (size_t)i * row,
                   (size_t)(right - g.left) * g.channels * sizeof *work);
        x = work;
        row = wide * g.channels;
    }
    walk k = {g.rows, g.columns, g.channels, g.dilation_y * row, g.dilation_x * g.channels, g.stride_x * g.channels};
    if (g.dilation_x == 1) { /* the columns of a window stand side by side */
        k.inner *= k.columns;
        k.columns = 1;
    }
    for (int i = 0; i < g.out_height; ++i, x += (size_t)g.stride_y * row, y += (size_t)g.out_width * g.filters)
        products(x, w, b, y, k, g.out_width, g.filters);
}
""",
    "tile",
)
kernel(
    "more",
    """
/* y[outputs] += x[inputs] w, the rows of w being `wide` numbers apart */
CLONES static void more(const real *RESTRICT x, const real *RESTRICT w, real *RESTRICT y, int inputs, int outputs,
                        int wide)
{
    int j = 0;
    for (; j + LANES <= outputs; j += LANES) {
        real sum[LANES];
        memcpy(sum, y + j, sizeof sum);
        for (int i = 0; i < inputs; ++i) {
            const real *row = w + (size_t)i * wide + j;
            for (int l = 0; l < LANES; ++l)
                sum[l] += x[i] * row[l];
        }
        memcpy(y + j, sum, sizeof sum);
    }
    for (int i = 0; j < outputs && i < inputs; ++i)
        for (int k = j; k < outputs; ++k)
            y[k] += x[i] * w[(size_t)i * wide + k];
}
""",
)
kernel(
    "dense",
    """
/* y[rows, outputs] = x[rows, inputs] w[inputs, outputs] + b[outputs]; b may be NULL */
static void dense(const real *x, const real *w, const real *b, real *y, int rows, int inputs, int outputs)
{
    for (int r = 0; r < rows; ++r, x += inputs, y += outputs) {
        for (int j = 0; j < outputs; ++j)
            y[j] = b ? b[j] : 0;
        more(x, w, y, inputs, outputs, outputs);
    }
}
""",
    "more",
)
