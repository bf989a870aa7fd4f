"""The transpose of a convolution whose weights are not shared: the decoder that is tied to it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from pynn.checks import pair
from pynn.core.card import Card, Fan, Grad, Lowered, Sample, Spec, op
from pynn.core.graph import execute
from pynn.core.tensor import Tensor
from pynn.errors import ShapeError
from pynn.ops.common import Rng, as_tensor, need_float
from pynn.ops.local import LOCAL, LOCAL_GRAD, flops_of, lower, pixel_rows
from pynn.ops.window import PLAIN, Pair, Window, check_window, need_images, output_size, resolve_padding

PLACE = "locally_connected2d_transpose"


@op(PLACE, "local_transpose_fwd")
class _LocalTranspose:
    """What the gradient of an unshared convolution by its images is to a cotangent: pixels spread over windows."""

    def infer(x: Tensor, w: Tensor, size: Pair, kernel: Pair, window: Window = PLAIN) -> Lowered:
        need_float(PLACE, x, w)
        need_images(PLACE, x)
        check_window(PLACE, window)
        area = kernel[0] * kernel[1]
        out = x.shape[1], x.shape[2]
        places = out[0] * out[1]
        if w.ndim != 3 or (w.shape[0], w.shape[2]) != (places, x.shape[3]) or w.shape[1] % area:
            raise ShapeError(
                f"[{PLACE}] expected weights ({places}, {area} * channels, {x.shape[3]}) for inputs of this size."
                f" Received: w.shape={w.shape}, x.shape={x.shape}."
            )
        shape = (x.shape[0], *size, w.shape[1] // area)
        if output_size(PLACE, shape, kernel, window) != x.shape[1:3]:
            raise ShapeError(
                f"[{PLACE}] windows over images of {size} pixels do not give {x.shape[1:3]}. "
                f"Received: kernel={kernel}, {window}."
            )
        low = lower((Spec(shape, x.dtype),), shape, x.dtype, kernel, window, out, x.shape[3])
        return low._replace(args=(x, w))

    def vjp(g: Grad, dy: Tensor) -> tuple[Tensor | None, ...]:
        x, w = g.inputs
        walk: dict[str, Any] = {key: g.attrs[key] for key in ("kernel", "window") if key in g.attrs}
        dx = dw = None
        if g.needs[0]:
            dx = execute(LOCAL, (dy, w, None), walk, out=(g.dest[0],))[0]
        if g.needs[1]:
            attrs = {**walk, "needs": (False, True, False)}
            dw = execute(LOCAL_GRAD, (x, dy, w, None), attrs, out=(None, g.dest[1]))[1]
        return dx, dw

    def smooth_vjp(g: Grad, dy: Tensor) -> tuple[Tensor | None, ...]:
        x, w = g.inputs
        kernel, window = g.attrs["kernel"], g.attrs.get("window", PLAIN)
        dx = dw = None
        if g.needs[0]:
            dx = execute(LOCAL, (dy, w, None), {"kernel": kernel, "window": window})[0]
        if g.needs[1]:
            flat = x.reshape((x.shape[0], w.shape[0], w.shape[2])).transpose((1, 0, 2))
            dw = pixel_rows(dy, kernel, window).transpose((0, 2, 1)) @ flat
        return dx, dw

    def ref(x: np.ndarray, w: np.ndarray, size: Pair, kernel: Pair, window: Window = PLAIN) -> np.ndarray:
        (sh, sw), _, (top, bottom, left, right) = window
        (oh, ow), c = x.shape[1:3], w.shape[1] // (kernel[0] * kernel[1])
        y = np.zeros((len(x), size[0] + top + bottom, size[1] + left + right, c), x.dtype)
        for i in range(oh):
            for j in range(ow):
                patch = (x[:, i, j] @ w[i * ow + j].T).reshape(len(x), *kernel, c)
                y[:, i * sh : i * sh + kernel[0], j * sw : j * sw + kernel[1]] += patch
        return y[:, top : top + size[0], left : left + size[1]]

    def samples(r: Rng) -> Iterator[Sample]:
        for shape, kernel, filters, strides, padding in (
            ((2, 5, 6, 3), (3, 2), 4, (1, 1), (0, 0, 0, 0)),
            ((3, 4, 5, 2), (3, 3), 16, (2, 1), (1, 1, 1, 0)),
            ((2, 4, 3, 1), (2, 3), 3, (1, 1), (3, 1, 4, 3)),
            ((2, 5, 5, 2), (2, 2), 3, (3, 3), (0, 0, 0, 0)),
            ((1, 1, 1, 1), (1, 1), 1, (1, 1), (0, 0, 0, 0)),
            ((0, 4, 4, 2), (2, 2), 3, (1, 1), (0, 0, 0, 0)),
        ):
            window = Window(strides, padding=padding)
            oh, ow = output_size("", shape, kernel, window)
            w = r(oh * ow, kernel[0] * kernel[1] * shape[3], filters)
            yield Sample((r(shape[0], oh, ow, filters), w), {"size": shape[1:3], "kernel": kernel, "window": window})
        yield Sample((r(70, 4, 3, 40), r(12, 81, 40)), {"size": (6, 5), "kernel": (3, 3)}, smooth=False)

    def errors(r: Rng) -> Iterator[Any]:
        attrs = {"size": (3, 3), "kernel": (2, 2)}
        yield (r(2, 2, 2, 5), r(4, 8, 4)), attrs, ShapeError, r"weights \(4, 4 \* channels, 5\)"
        yield (r(2, 2, 2, 5), r(4, 7, 5)), attrs, ShapeError, r"w\.shape=\(4, 7, 5\)"
        yield (r(2, 2, 2, 5), r(4, 8, 5)), {**attrs, "size": (4, 3)}, ShapeError, r"\(4, 3\) pixels do not give"
        yield (r(2, 2, 5), r(4, 8, 5)), attrs, ShapeError, r"x\[\.\.\., None\]"

    flops = flops_of

    def fan(inputs: tuple[Any, ...], outs: tuple[Any, ...], attrs: Any) -> Fan:
        return Fan(outs[0].size, inputs[0].size * inputs[1].shape[1])  # each pixel reaches so many


_TRANSPOSE: Card = _LocalTranspose  # type: ignore[assignment]


def locally_connected2d_transpose(
    x: Any, w: Any, size: int | Pair, kernel: int | Pair = 1, strides: int | Pair = 1, padding: Any = "valid"
) -> Tensor:
    """Return the transpose of :func:`locally_connected2d`: every x[n,i,j] w[i,j]' is added to its window of y[n].

    With the weights of an unshared convolution it is the decoder that is tied to it.

    Parameters
    ----------
    x : Tensor, shape [N, OH, OW, filters]
    w : Tensor, shape [OH * OW, rows * columns * C, filters]
    size : int or (rows, columns)
        Of the images that come out: those of which windows give OH and OW.
    kernel : int or (rows, columns), default 1
    strides : int or (rows, columns), default 1
    padding : {"valid", "same"}, int, (rows, columns) or (top, bottom, left, right), default "valid"
        Of the convolution that this transposes.

    Returns
    -------
    Tensor, shape [N, H, W, C]

    Raises
    ------
    ShapeError
        If the weights are not those of inputs of this size, or windows over such images give another size.

    Examples
    --------
    >>> import numpy as np
    >>> from pynn import ops
    >>> ones = np.ones((4, 4, 1))  # 2 x 2 windows at the four places of a 3 x 3 image
    >>> ops.locally_connected2d_transpose(np.ones((1, 2, 2, 1)), ones, 3, 2).numpy()[0, :, :, 0]
    array([[1., 2., 1.],
           [2., 4., 2.],
           [1., 2., 1.]])
    """
    x = as_tensor(x)
    need_images(PLACE, x)
    w = as_tensor(w, x)
    kernel, strides = pair(PLACE, "kernel", kernel), pair(PLACE, "strides", strides)
    size = pair(PLACE, "size", size)
    four = resolve_padding(PLACE, padding, (x.shape[0], *size, 1), kernel, strides, (1, 1))
    return execute(_TRANSPOSE, (x, w), {"size": size, "kernel": kernel, "window": Window(strides, padding=four)})[0]
