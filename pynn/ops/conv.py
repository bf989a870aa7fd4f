"""Convolutions of images [N, H, W, C], and their patches."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pynn.checks import pair
from pynn.core.graph import execute
from pynn.core.tensor import Tensor
from pynn.ops.common import as_tensor
from pynn.ops.conv_cards import CONV, TRANSPOSE, check_algorithm, check_conv
from pynn.ops.dense import dense
from pynn.ops.elementwise import activated, fuses
from pynn.ops.image import pad2d
from pynn.ops.parts import concat
from pynn.ops.walk import Walk
from pynn.ops.window import Window, need_images, output_size, resolve_padding


def conv2d(
    x: Any,
    w: Any,
    b: Any = None,
    strides: int | Sequence[int] = 1,
    padding: Any = "valid",
    dilation: int | Sequence[int] = 1,
    groups: int = 1,
    activation: str = "linear",
    par: float | None = None,
    algorithm: str = "auto",
) -> Tensor:
    """Return act(x * w + b): y[n,i,j,o] = act(sum of x[n, i sh + r dh - top, j sw + s dw - left, c] w[r,s,c,o] + b[o]).

    Like every neural-network library this correlates: the kernel is not turned round.

    Parameters
    ----------
    x : Tensor, shape [N, H, W, C]
    w : Tensor, shape [rows, columns, C / groups, outputs]
    b : Tensor, shape [outputs], optional
    strides : int or (rows, columns), default 1
    padding : {"valid", "same"}, int, (rows, columns) or (top, bottom, left, right), default "valid"
    dilation : int or (rows, columns), default 1
    groups : int, default 1
        Outputs of a group see the channels of that group only; with groups=C the convolution is depthwise.
    activation : str, default "linear"
        As in :func:`dense`.
    par : float, optional
        Its parameter: the slope of leaky_relu, the alpha of elu.
    algorithm : {"auto", "direct", "winograd"}, default "auto"
        "direct" sums products as the formula does. "winograd" is faster, and less exact, for 3 x 3 kernels with stride
        1 and many channels (see Notes). "auto" is what :func:`pynn.config.set_convolution` says, which first is
        "winograd" where its error is at most 4 times that of "direct".

    Returns
    -------
    Tensor, shape [N, OH, OW, outputs]

    Raises
    ------
    ShapeError, ValueError, DTypeError

    Notes
    -----
    ``algorithm="winograd"`` is Winograd's minimal filtering F(4x4, 3x3): each tile of 4 x 4 outputs takes 36 products
    of transformed tiles and kernels instead of 144, forwards and in both gradients. It is used for float32, 3 x 3
    kernels with stride and dilation 1, one group, 16 channels or more on both sides, and images with sides of 4, 6 or
    more pixels and enough tiles for their weights (``csrc/winograd_plan.h``), on processors with AVX2,
    AVX-512 or NEON and without the bfloat16 products of ``pynn.set_precision``. Everything else is computed as with
    "direct", to the same bits. With "auto" the outputs of an image do not depend on how many there are, and weights'
    gradients need 512 tiles (images of at most 8 x 8: 2048).

    Its results differ from the direct ones by rounding. The error relative to float64 (Frobenius norms, normal numbers,
    64 and 128 channels) is 5e-7 forwards, 1e-6 in dx and 5e-7 in dw; that of "direct" is 3e-7, 4e-7 and 1.4e-7. A NaN
    or infinite pixel reaches the whole tile, also those of its outputs that do not see the pixel. With up to 16 outputs
    neighbouring pixels of a row are computed as one, by any algorithm: there it reaches these too.

    References
    ----------
    A. Lavin and S. Gray, Fast algorithms for convolutional neural networks, CVPR 2016.

    Examples
    --------
    >>> import numpy as np
    >>> from pynn import ops
    >>> ops.conv2d(np.ones((1, 4, 4, 1)), np.ones((3, 3, 1, 1))).numpy()[0, :, :, 0]
    array([[9., 9.],
           [9., 9.]])
    """
    check_algorithm("conv2d", algorithm)
    x = as_tensor(x)
    w, b = as_tensor(w, x), None if b is None else as_tensor(b, x)
    if not fuses(activation, x, w, b):
        z = conv2d(x, w, b, strides, padding, dilation, groups, algorithm=algorithm)
        return activated(activation, par, z)
    strides, dilation = pair("conv2d", "strides", strides), pair("conv2d", "dilation", dilation)
    need_images("conv2d", x)
    if w.ndim == 4:
        window = Window(strides, dilation, resolve_padding("conv2d", padding, x.shape, w.shape[:2], strides, dilation))
        check_conv("conv2d", x, w, b, window, groups)
        if x.lengths is not None:  # rows are the time steps of padded sequences
            extent = (w.shape[0] - 1) * dilation[0] + 1
            walk = Walk(x, extent, strides[0], *window.padding[:2], same=padding == "same")
            four = window.padding
            return walk.done(conv2d(walk.seen(), w, b, strides, four, dilation, groups, activation, par, algorithm))
        n, h, width, c = x.shape
        if groups == 1 and c and window.padding == (0, 0, 0, 0):  # two cases that are plain products
            flat = (w.shape[0] * w.shape[1] * c, w.shape[3])
            if w.shape[:2] == (1, 1) and strides == (1, 1):
                return dense(x, w.reshape(flat), b, activation, par)
            if w.shape[:2] == (h, width):
                y = dense(x.reshape((n, h * width * c)), w.reshape(flat), b, activation, par)
                return y.reshape((n, 1, 1, w.shape[3]))
    else:
        window = Window(strides, dilation)
    attrs = {"window": window, "groups": groups, "activation": activation, "par": par, "algorithm": algorithm}
    return execute(CONV, (x, w, b), attrs)[0]


def conv2d_transpose(
    x: Any,
    w: Any,
    size: Sequence[int] | None = None,
    strides: int | Sequence[int] = 1,
    padding: Any = "valid",
    dilation: int | Sequence[int] = 1,
    groups: int = 1,
) -> Tensor:
    """Return the transpose of conv2d: what the gradient of conv2d by its images is to a cotangent x.

    Parameters
    ----------
    x : Tensor, shape [N, H, W, C]
    w : Tensor, shape [rows, columns, outputs / groups, C]
    size : (rows, columns), optional
        Of the output: that of an image which conv2d takes to x's size; by default the smallest.
    strides : int or (rows, columns), default 1
    padding : {"valid", "same"}, int, (rows, columns) or (top, bottom, left, right), default "valid"
    dilation : int or (rows, columns), default 1
    groups : int, default 1
        How many groups the channels are divided into.

    Returns
    -------
    Tensor, shape [N, *size, outputs]

    Examples
    --------
    >>> import numpy as np
    >>> from pynn import ops
    >>> ops.conv2d_transpose(np.ones((1, 2, 2, 1)), np.ones((2, 2, 1, 1))).numpy()[0, :, :, 0]
    array([[1., 2., 1.],
           [2., 4., 2.],
           [1., 2., 1.]])
    """
    x = as_tensor(x)
    w = as_tensor(w, x)
    strides, dilation = pair("conv2d_transpose", "strides", strides), pair("conv2d_transpose", "dilation", dilation)
    need_images("conv2d_transpose", x)
    kernel = tuple(w.shape[:2])
    if size is not None:
        size = pair("conv2d_transpose", "size", size)
    else:
        if padding == "same":
            size = (x.shape[1] * strides[0], x.shape[2] * strides[1])
        else:
            four = resolve_padding("conv2d_transpose", padding, x.shape, kernel, strides, dilation)
            size = tuple(
                (n - 1) * s + (k - 1) * d + 1 - four[2 * a] - four[2 * a + 1]
                for a, (n, s, k, d) in enumerate(zip(x.shape[1:3], strides, kernel, dilation, strict=True))
            )
    shape = (x.shape[0], *size, 1)
    four = resolve_padding("conv2d_transpose", padding, shape, kernel, strides, dilation)
    attrs = {"size": tuple(size), "window": Window(strides, dilation, four), "groups": groups}
    return execute(TRANSPOSE, (x, w), attrs)[0]


def patches2d(x: Any, kernel: int | Sequence[int], strides: int | Sequence[int] = 1, padding: Any = "valid") -> Tensor:
    """Return every patch as a row: [N, OH, OW, rows * columns * C] (im2col, for what is not a convolution).

    Parameters
    ----------
    x : array_like
    kernel : int or (rows, columns)
    strides : int or (rows, columns), default 1
    padding : {"valid", "same"}, int, (rows, columns) or (top, bottom, left, right), default "valid"
    """
    x = as_tensor(x)
    need_images("patches2d", x)
    kernel, strides = pair("patches2d", "kernel", kernel), pair("patches2d", "strides", strides)
    window = Window(strides, padding=resolve_padding("patches2d", padding, x.shape, kernel, strides, (1, 1)))
    oh, ow = output_size("patches2d", x.shape, kernel, window)
    if any(window.padding):
        x = pad2d(x, window.padding)
    return concat(
        [
            x[:, r : r + (oh - 1) * strides[0] + 1 : strides[0], s : s + (ow - 1) * strides[1] + 1 : strides[1]]
            for r in range(kernel[0])
            for s in range(kernel[1])
        ],
        axis=3,
    )
