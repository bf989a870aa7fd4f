"""The C functions that walk over images and rearrange them; see c_kernels."""

from __future__ import annotations

from pynn.export.c_kernels import kernel

__all__ = ["FIELDS", "WINDOW"]

FIELDS = (
    "height", "width", "channels", "rows", "columns", "stride_y", "stride_x", "dilation_y", "dilation_x", "top", "left",
    "out_height", "out_width", "filters", "groups",
)  # fmt: skip
WINDOW = """
/* How a window of rows x columns walks over an image [height, width, channels]; top and left are padding. */
typedef struct {
    int height, width, channels, rows, columns, stride_y, stride_x, dilation_y, dilation_x, top, left;
    int out_height, out_width, filters, groups;
} window;
"""

kernel(
    "copy_blocks",
    """
/* Copies count blocks of x into y, where they stand apart: a part of a concatenation */
static void copy_blocks(const real *x, real *y, int count, int size, int apart)
{
    for (int i = 0; i < count; ++i)
        memcpy(y + (size_t)i * apart, x + (size_t)i * size, size * sizeof *y);
}
""",
)
kernel(
    "strided",
    """
/* Copies rows of x into y, where numbers stand side by side; how far apart those of x are from row to row, and along */
static void strided(const real *x, real *y, int rows, int n, int x_row, int x_step)
{
    for (int r = 0; r < rows; ++r, x += x_row, y += n)
        for (int i = 0; i < n; ++i)
            y[i] = x[i * x_step];
}
""",
)
kernel(
    "enlarge_nearest",
    """
/* Each pixel of n images, rows x columns times */
static void enlarge_nearest(const real *x, real *y, int n, int height, int width, int channels, int rows, int columns)
{
    for (int i = 0; i < n * height; ++i, x += (size_t)width * channels)
        for (int r = 0; r < rows; ++r)
            for (int j = 0; j < width * columns; ++j, y += channels)
                memcpy(y, x + (size_t)(j / columns) * channels, channels * sizeof *y);
}
""",
)
kernel(
    "between",
    """
/* Where the place i of an axis that was made `factor` times longer lies on it: after `low`, by a share of a step */
static real between(int i, int n, int factor, int *low, int *high)
{
    real at = ((real)i + (real)0.5) / (real)factor - (real)0.5;
    at = at < 0 ? 0 : at > (real)(n - 1) ? (real)(n - 1) : at;
    *low = (int)at;
    *high = *low + 1 < n ? *low + 1 : *low;
    return at - (real)*low;
}
""",
)
kernel(
    "enlarge_bilinear",
    """
/* n images, linear between the centres of pixels */
static void enlarge_bilinear(const real *x, real *y, int n, int height, int width, int channels, int rows, int columns)
{
    int up, down, left, right;
    for (int k = 0; k < n; ++k, x += (size_t)height * width * channels)
        for (int i = 0; i < height * rows; ++i) {
            const real v = between(i, height, rows, &up, &down);
            for (int j = 0; j < width * columns; ++j, y += channels) {
                const real h = between(j, width, columns, &left, &right);
                const real *a = x + ((size_t)up * width + left) * channels, *b = a + (right - left) * channels;
                const real *c = x + ((size_t)down * width + left) * channels, *d = c + (right - left) * channels;
                for (int f = 0; f < channels; ++f)
                    y[f] = (a[f] * (1 - h) + b[f] * h) * (1 - v) + (c[f] * (1 - h) + d[f] * h) * v;
            }
        }
}
""",
    "between",
)
kernel(
    "pad2d",
    """
/* The image x with rows and columns of zeros round it */
static void pad2d(const real *x, real *y, window g)
{
    for (int i = 0; i < g.out_height; ++i)
        for (int j = 0; j < g.out_width; ++j, y += g.channels) {
            const int r = i - g.top, s = j - g.left;
            const int inside = r >= 0 && r < g.height && s >= 0 && s < g.width;
            for (int c = 0; c < g.channels; ++c)
                y[c] = inside ? x[((size_t)r * g.width + s) * g.channels + c] : 0;
        }
}
""",
)
kernel(
    "conv2d",
    """
/* y[i, j, f] = b[f] + sum over r, s, c of x[i sy + r dy - top, j sx + s dx - left, c] w[r, s, c, f] */
static void conv2d(const real *RESTRICT x, const real *w, const real *b, real *RESTRICT y, window g)
{
    const int inner = g.channels / g.groups, part = g.filters / g.groups;
    for (int i = 0; i < g.out_height; ++i)
        for (int j = 0; j < g.out_width; ++j, y += g.filters) {
            for (int f = 0; f < g.filters; ++f)
                y[f] = b ? b[f] : 0;
            for (int r = 0; r < g.rows; ++r)
                for (int s = 0; s < g.columns; ++s) {
                    const int row = i * g.stride_y + r * g.dilation_y - g.top;
                    const int column = j * g.stride_x + s * g.dilation_x - g.left;
                    if (row < 0 || row >= g.height || column < 0 || column >= g.width)
                        continue;
                    const real *pixel = x + ((size_t)row * g.width + column) * g.channels;
                    const real *tap = w + ((size_t)r * g.columns + s) * inner * g.filters;
                    for (int f = 0; inner == 1 && part == 1 && f < g.filters; ++f)
                        y[f] += pixel[f] * tap[f];
                    for (int k = 0; inner * part > 1 && k < g.groups; ++k)
                        for (int c = 0; c < inner; ++c)
                            for (int f = k * part; f < (k + 1) * part; ++f)
                                y[f] += pixel[k * inner + c] * tap[(size_t)c * g.filters + f];
                }
        }
}
""",
)
kernel(
    "conv2d_transpose",
    """
/* y[i sy + r dy - top, j sx + s dx - left, f] += x[i, j, c] w[r, s, f, c], from y = b */
static void conv2d_transpose(const real *x, const real *w, const real *b, real *y, window g)
{
    for (int i = 0; i < g.out_height * g.out_width; ++i)
        for (int f = 0; f < g.filters; ++f)
            y[(size_t)i * g.filters + f] = b ? b[f] : 0;
    for (int i = 0; i < g.height; ++i)
        for (int j = 0; j < g.width; ++j, x += g.channels)
            for (int r = 0; r < g.rows; ++r)
                for (int s = 0; s < g.columns; ++s) {
                    const int row = i * g.stride_y + r * g.dilation_y - g.top;
                    const int column = j * g.stride_x + s * g.dilation_x - g.left;
                    if (row < 0 || row >= g.out_height || column < 0 || column >= g.out_width)
                        continue;
                    real *pixel = y + ((size_t)row * g.out_width + column) * g.filters;
                    const real *tap = w + ((size_t)r * g.columns + s) * g.filters * g.channels;
                    for (int f = 0; f < g.filters; ++f)
                        for (int c = 0; c < g.channels; ++c)
                            pixel[f] += x[c] * tap[(size_t)f * g.channels + c];
                }
}
""",
)
kernel(
    "local2d",
    """
/* A convolution with a kernel for every place: w[i, j, r, s, c, f], b[i, j, f] */
static void local2d(const real *RESTRICT x, const real *w, const real *b, real *RESTRICT y, window g)
{
    for (int i = 0; i < g.out_height; ++i)
        for (int j = 0; j < g.out_width; ++j, y += g.filters) {
            for (int f = 0; f < g.filters; ++f)
                y[f] = b ? *b++ : 0;
            for (int r = 0; r < g.rows; ++r)
                for (int s = 0; s < g.columns; ++s, w += (size_t)g.channels * g.filters) {
                    const int row = i * g.stride_y + r - g.top, column = j * g.stride_x + s - g.left;
                    if (row < 0 || row >= g.height || column < 0 || column >= g.width)
                        continue;
                    const real *pixel = x + ((size_t)row * g.width + column) * g.channels;
                    for (int c = 0; c < g.channels; ++c)
                        for (int f = 0; f < g.filters; ++f)
                            y[f] += pixel[c] * w[(size_t)c * g.filters + f];
                }
        }
}
""",
)
kernel(
    "local2d_transpose",
    """
/* y[i sy + r - top, j sx + s - left, f] += x[i, j, c] w[i, j, r, s, f, c], from y = 0 */
static void local2d_transpose(const real *RESTRICT x, const real *w, real *RESTRICT y, window g)
{
    for (size_t i = 0; i < (size_t)g.out_height * g.out_width * g.filters; ++i)
        y[i] = 0;
    for (int i = 0; i < g.height; ++i)
        for (int j = 0; j < g.width; ++j, x += g.channels)
            for (int r = 0; r < g.rows; ++r)
                for (int s = 0; s < g.columns; ++s, w += (size_t)g.filters * g.channels) {
                    const int row = i * g.stride_y + r - g.top, column = j * g.stride_x + s - g.left;
                    if (row < 0 || row >= g.out_height || column < 0 || column >= g.out_width)
                        continue;
                    real *pixel = y + ((size_t)row * g.out_width + column) * g.filters;
                    for (int f = 0; f < g.filters; ++f)
                        for (int c = 0; c < g.channels; ++c)
                            pixel[f] += x[c] * w[(size_t)f * g.channels + c];
                }
}
""",
)
kernel(
    "max_pool2d",
    """
/* The largest value of each window, per channel */
static void max_pool2d(const real *RESTRICT x, real *RESTRICT y, window g)
{
    for (int i = 0; i < g.out_height; ++i)
        for (int j = 0; j < g.out_width; ++j, y += g.channels) {
            for (int c = 0; c < g.channels; ++c)
                y[c] = -INFINITY;
            for (int r = 0; r < g.rows; ++r)
                for (int s = 0; s < g.columns; ++s) {
                    const int row = i * g.stride_y + r - g.top, column = j * g.stride_x + s - g.left;
                    if (row < 0 || row >= g.height || column < 0 || column >= g.width)
                        continue;
                    const real *pixel = x + ((size_t)row * g.width + column) * g.channels;
                    for (int c = 0; c < g.channels; ++c)
                        if (pixel[c] > y[c])
                            y[c] = pixel[c];
                }
        }
}
""",
)
kernel(
    "avg_pool2d",
    """
/* The mean of each window, per channel, of what lies in the image */
static void avg_pool2d(const real *RESTRICT x, real *RESTRICT y, window g)
{
    for (int i = 0; i < g.out_height; ++i)
        for (int j = 0; j < g.out_width; ++j, y += g.channels) {
            int count = 0;
            for (int c = 0; c < g.channels; ++c)
                y[c] = 0;
            for (int r = 0; r < g.rows; ++r)
                for (int s = 0; s < g.columns; ++s) {
                    const int row = i * g.stride_y + r - g.top, column = j * g.stride_x + s - g.left;
                    if (row < 0 || row >= g.height || column < 0 || column >= g.width)
                        continue;
                    const real *pixel = x + ((size_t)row * g.width + column) * g.channels;
                    ++count;
                    for (int c = 0; c < g.channels; ++c)
                        y[c] += pixel[c];
                }
            for (int c = 0; c < g.channels; ++c)
                y[c] /= (real)count;
        }
}
""",
)
