"""Convolution whose weights are not shared: a kernel for every pixel."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from pynn.checks import pair
from pynn.core import _core
from pynn.core.card import Card, Fan, Grad, Lowered, Sample, Spec, op, register
from pynn.core.graph import execute
from pynn.core.tensor import Tensor
from pynn.errors import ShapeError
from pynn.ops.common import Rng, as_tensor, need_float
from pynn.ops.conv import conv2d_transpose, patches2d
from pynn.ops.window import PLAIN, Pair, Window, check_window, need_images, output_size, resolve_padding

WIDEST = 64  # LOCAL_WIDEST of csrc/kernels/local.h


def lower(
    outs: tuple[Spec | None, ...],
    images: tuple[int, ...],
    dtype: np.dtype,
    kernel: Pair,
    window: Window,
    out: Pair,
    filters: int,
) -> Lowered:
    """Return what the kernels of csrc/kernels/local.h take for images of a shape."""
    top, _, left, _ = window.padding
    dims = (*images, *kernel, filters, *window.strides, top, left, *out)
    room = WIDEST * max(kernel[0] * kernel[1] * images[3], images[0], filters)
    return Lowered(outs, dims, (), dtype, _core.get_threads() * room * dtype.itemsize)


def flops_of(low: Lowered) -> float:
    """Return the work of one of the three products."""
    n, _, _, c, kh, kw, f, *_, oh, ow = low.dims
    return 2.0 * n * oh * ow * f * kh * kw * c


def pixel_rows(x: Tensor, kernel: Pair, window: Window) -> Tensor:
    """Return the patches of every pixel, [pixels, N, terms]."""
    patches = patches2d(x, kernel, window.strides, window.padding)
    n, h, w, terms = patches.shape
    return patches.reshape((n, h * w, terms)).transpose((1, 0, 2))


@op("locally_connected2d", "local_fwd")
class _Local:
    """y = a product of every pixel's patch with the weights of this pixel, + b."""

    def infer(x: Tensor, w: Tensor, b: Tensor | None, kernel: Pair, window: Window = PLAIN) -> Lowered:
        place = "locally_connected2d"
        need_float(place, x, w, b)
        need_images(place, x)
        check_window(place, window)
        out = output_size(place, x.shape, kernel, window)
        wanted = (out[0] * out[1], kernel[0] * kernel[1] * x.shape[3])
        if w.ndim != 3 or w.shape[:2] != wanted:
            raise ShapeError(
                f"[{place}] expected weights ({wanted[0]}, {wanted[1]}, filters) for images of this size. "
                f"Received: w.shape={w.shape}, x.shape={x.shape}."
            )
        shape = (*out, w.shape[2])
        if b is not None and b.shape != shape:
            raise ShapeError(f"[{place}] expected a bias of shape {shape}. Received: b.shape={b.shape}.")
        return lower((Spec((x.shape[0], *shape), x.dtype),), x.shape, x.dtype, kernel, window, out, w.shape[2])

    def vjp(g: Grad, dy: Tensor) -> tuple[Tensor | None, ...]:
        return execute(LOCAL_GRAD, (dy, *g.inputs), {**g.attrs, "needs": g.needs}, out=g.dest)

    def smooth_vjp(g: Grad, dy: Tensor) -> tuple[Tensor | None, ...]:
        x, w, _ = g.inputs
        kernel, window = g.attrs["kernel"], g.attrs.get("window", PLAIN)
        dz = dy.reshape((dy.shape[0], w.shape[0], w.shape[2])).transpose((1, 0, 2))
        dx = dw = None
        if g.needs[0]:
            rows = (dz @ w.transpose((0, 2, 1))).transpose((1, 0, 2))
            spread = np.eye(w.shape[1]).reshape(*kernel, x.shape[3], w.shape[1]).astype(x.dtype)
            patches = rows.reshape((*dy.shape[:3], w.shape[1]))
            dx = conv2d_transpose(patches, Tensor.state(spread), x.shape[1:3], window.strides, window.padding)
        if g.needs[1]:
            dw = pixel_rows(x, kernel, window).transpose((0, 2, 1)) @ dz
        return dx, dw, dy.sum(0) if g.needs[2] else None

    def ref(x: np.ndarray, w: np.ndarray, b: np.ndarray | None, kernel: Pair, window: Window = PLAIN) -> np.ndarray:
        (sh, sw), _, (top, bottom, left, right) = window
        padded = np.pad(x, ((0, 0), (top, bottom), (left, right), (0, 0)))
        oh, ow = output_size("", x.shape, kernel, window)
        y = np.zeros((len(x), oh, ow, w.shape[2]), x.dtype)
        for i in range(oh):
            for j in range(ow):
                patch = padded[:, i * sh : i * sh + kernel[0], j * sw : j * sw + kernel[1]]
                y[:, i, j] = patch.reshape(len(x), w.shape[1]) @ w[i * ow + j]
        return y if b is None else y + b

    def samples(r: Rng) -> Iterator[Sample]:
        for shape, kernel, filters, strides, padding in (
            ((2, 5, 6, 3), (3, 2), 4, (1, 1), (0, 0, 0, 0)),
            ((3, 4, 5, 2), (3, 3), 16, (2, 1), (1, 1, 1, 0)),
            ((2, 4, 3, 1), (2, 3), 3, (1, 1), (3, 1, 4, 3)),
            ((2, 3, 3, 5), (1, 1), 17, (1, 2), (0, 0, 0, 0)),
            ((1, 1, 1, 1), (1, 1), 1, (1, 1), (0, 0, 0, 0)),
            ((0, 4, 4, 2), (2, 2), 3, (1, 1), (0, 0, 0, 0)),
        ):
            window = Window(strides, padding=padding)
            oh, ow = output_size("", shape, kernel, window)
            w = r(oh * ow, kernel[0] * kernel[1] * shape[3], filters)
            b = r(oh, ow, filters) if filters % 2 else None
            yield Sample((r(*shape), w, b), {"kernel": kernel, "window": window})
        yield Sample((r(70, 6, 5, 9), r(12, 81, 40), r(4, 3, 40)), {"kernel": (3, 3)}, smooth=False)

    def errors(r: Rng) -> Iterator[Any]:
        kernel = {"kernel": (2, 2)}
        yield (r(2, 3, 3, 2), r(4, 8, 5, 1), None), kernel, ShapeError, r"weights \(4, 8, filters\)"
        yield (r(2, 4, 3, 2), r(4, 8, 5), None), kernel, ShapeError, r"for images of this size.*\(2, 4, 3, 2\)"
        yield (r(2, 3, 3, 2), r(4, 8, 5), r(5)), kernel, ShapeError, r"bias of shape \(2, 2, 5\)"
        yield (r(3, 3, 2), r(4, 8, 5), None), kernel, ShapeError, r"x\[\.\.\., None\]"
        yield (r(2, 3, 3, 2), r(4, 8, 5), None), {"kernel": (4, 2)}, ShapeError, r"does not fit.*4 rows"

    flops = flops_of

    def fan(inputs: tuple[Any, ...], outs: tuple[Any, ...], attrs: Any) -> Fan:
        return Fan(outs[0].size, outs[0].size * inputs[1].shape[1])


def _grad_infer(
    dy: Tensor, x: Tensor, w: Tensor, b: Tensor | None, needs: Any, kernel: Pair, window: Window = PLAIN
) -> Lowered:
    given = (x, w, b)
    outs = tuple(Spec(t.shape, t.dtype) if n and t is not None else None for t, n in zip(given, needs, strict=True))
    low = lower(outs, x.shape, x.dtype, kernel, window, dy.shape[1:3], w.shape[2])  # type: ignore[arg-type]
    return low._replace(args=(dy, x, w))


def _grad_flops(low: Lowered) -> float:
    return flops_of(low) * ((low.outs[0] is not None) + (low.outs[1] is not None))


LOCAL_GRAD = register(Card("locally_connected2d.grad", _grad_infer, "local_bwd", flops=_grad_flops))
LOCAL: Card = _Local  # type: ignore[assignment]


def locally_connected2d(
    x: Any, w: Any, b: Any = None, kernel: int | Pair = 1, strides: int | Pair = 1, padding: Any = "valid"
) -> Tensor:
    """Return y[n,i,j,:] = patch(n,i,j) w[i,j] + b[i,j]: a convolution with a kernel for every pixel of the output.

    Parameters
    ----------
    x : Tensor, shape [N, H, W, C]
    w : Tensor, shape [OH * OW, rows * columns * C, filters]
    b : Tensor, shape [OH, OW, filters], optional
    kernel : int or (rows, columns), default 1
    strides : int or (rows, columns), default 1
    padding : {"valid", "same"}, int, (rows, columns) or (top, bottom, left, right), default "valid"

    Returns
    -------
    Tensor, shape [N, OH, OW, filters]

    Raises
    ------
    ShapeError
        If the weights are not those of images of this size.

    Examples
    --------
    >>> import numpy as np
    >>> from pynn import ops
    >>> each = np.arange(4.0).reshape(4, 1, 1)  # the first pixel times 0, the second times 1, ...
    >>> ops.locally_connected2d(np.ones((1, 2, 2, 1)), each).numpy()[0, :, :, 0]
    array([[0., 1.],
           [2., 3.]])
    """
    x = as_tensor(x)
    need_images("locally_connected2d", x)
    w, b = as_tensor(w, x), None if b is None else as_tensor(b, x)
    kernel, strides = pair("locally_connected2d", "kernel", kernel), pair("locally_connected2d", "strides", strides)
    four = resolve_padding("locally_connected2d", padding, x.shape, kernel, strides, (1, 1))
    return execute(LOCAL, (x, w, b), {"kernel": kernel, "window": Window(strides, padding=four)})[0]
