"""Convolutions of images, [N, H, W, C], and their gradients; the filters of image processing on top of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from pynn._kernels import conv2d as _native
from pynn.errors import ShapeError
from pynn.graph import execute
from pynn.ops.activation import FUSED
from pynn.ops.card import Card, Grad, Lowered, Sample, Spec, op, register
from pynn.ops.common import Rng, as_tensor, need_float
from pynn.ops.dense import dense
from pynn.ops.image import pad2d
from pynn.ops.shape import concat, reshape
from pynn.tensor import Tensor

Pair = tuple[int, int]
Four = tuple[int, int, int, int]


class Window(NamedTuple):
    """How a kernel walks over an image: steps, gaps, and padding (top, bottom, left, right)."""

    strides: Pair = (1, 1)
    dilation: Pair = (1, 1)
    padding: Four = (0, 0, 0, 0)


PLAIN = Window()


def pair(place: str, name: str, value: Any) -> Pair:
    """Return a positive integer, or two of them, as two."""
    both = (value, value) if isinstance(value, (int, np.integer)) else tuple(value)
    if len(both) != 2 or any(isinstance(v, bool) or not isinstance(v, (int, np.integer)) or v < 1 for v in both):
        raise ValueError(f"[{place}] expected {name} to be one or two positive integers. Received: {name}={value!r}.")
    return int(both[0]), int(both[1])


def need_images(place: str, x: Tensor) -> None:
    """Raise ShapeError unless x is [N, H, W, C]."""
    if x.ndim == 4:
        return
    hint = ""
    if x.ndim == 3:
        hint = " help: grey images lack the axis of channels, add it with x[..., None]; one colour image wants x[None]."
    elif x.ndim == 2:
        hint = " help: one grey image wants x[None, ..., None]."
    raise ShapeError(f"[{place}] expected images of shape [N, H, W, C]. Received: x.shape={x.shape}.{hint}")


def same_padding(size: int, kernel: int, stride: int, dilation: int = 1) -> Pair:
    """Return the zeros before and after an axis that give ceil(size / stride) outputs (the odd one comes after)."""
    extent = (kernel - 1) * dilation + 1
    total = max((-(-size // stride) - 1) * stride + extent - size, 0)
    return total // 2, total - total // 2


def resolve_padding(
    place: str, padding: Any, shape: Sequence[int], kernel: Pair, strides: Pair, dilation: Pair
) -> Four:
    """Return padding as (top, bottom, left, right).

    Parameters
    ----------
    padding : {"valid", "same"}, int, (rows, columns), or ((top, bottom), (left, right)), or four integers
    shape : of the images, [N, H, W, C]
    """
    if isinstance(padding, str):
        if padding.lower() == "valid":
            return (0, 0, 0, 0)
        if padding.lower() == "same":
            top = same_padding(shape[1], kernel[0], strides[0], dilation[0])
            return (*top, *same_padding(shape[2], kernel[1], strides[1], dilation[1]))
        raise ValueError(f"[{place}] expected padding 'valid', 'same' or integers. Received: padding={padding!r}.")
    values = (padding,) if isinstance(padding, (int, np.integer)) else tuple(padding)
    if len(values) == 1:
        values = values * 4
    elif len(values) == 2 and all(isinstance(v, (int, np.integer)) for v in values):
        values = (values[0], values[0], values[1], values[1])
    elif len(values) == 2:
        values = (*values[0], *values[1])
    if len(values) != 4 or any(isinstance(v, bool) or not isinstance(v, (int, np.integer)) for v in values):
        raise ValueError(f"[{place}] expected padding 'valid', 'same' or integers. Received: padding={padding!r}.")
    if min(values) < 0:
        raise ValueError(
            f"[{place}] expected padding of at least 0. Received: padding={padding!r}. help: crop with ops.crop2d."
        )
    return tuple(int(v) for v in values)  # type: ignore[return-value]


def output_size(place: str, shape: Sequence[int], kernel: Sequence[int], window: Window) -> Pair:
    """Return the rows and columns of a walk over images; raise if the kernel does not fit."""
    out = []
    for axis, size in enumerate(shape[1:3]):
        before, after = window.padding[2 * axis : 2 * axis + 2]
        extent = (kernel[axis] - 1) * window.dilation[axis] + 1
        room = size + before + after
        if extent > room:
            name = ("rows", "columns")[axis]
            dilated = f" ({extent} with its dilation)" if extent != kernel[axis] else ""
            raise ShapeError(
                f"[{place}] the kernel does not fit into the padded image: it has {kernel[axis]} {name}{dilated}, the "
                f"image {room}, so the output would be empty. Received: x.shape={tuple(shape)}, kernel={kernel}, "
                f"padding={window.padding}. help: use padding='same', a smaller kernel, or fewer pooling layers before."
            )
        out.append((room - extent) // window.strides[axis] + 1)
    return out[0], out[1]


def check_window(place: str, window: Window) -> None:
    """Raise ValueError for strides, dilations and paddings that make no sense."""
    for name, values, least in (("strides", window.strides, 1), ("dilation", window.dilation, 1),
                                ("padding", window.padding, 0)):  # fmt: skip
        if min(values) < least:
            raise ValueError(f"[{place}] expected {name} of at least {least}. Received: {name}={values}.")


def _check(place: str, x: Tensor, w: Tensor, b: Tensor | None, window: Window, groups: int) -> Pair:
    need_float(place, x, w, b)
    need_images(place, x)
    check_window(place, window)
    if w.ndim != 4 or min(w.shape) < 1:
        raise ShapeError(
            f"[{place}] expected weights [rows, columns, channels / groups, outputs]. Received: w.shape={w.shape}."
        )
    channels, outputs = x.shape[3], w.shape[3]
    if groups < 1 or channels % groups or outputs % groups:
        raise ShapeError(
            f"[{place}] expected groups that divide the channels of input and output. "
            f"Received: groups={groups} for {channels} and {outputs} channels."
        )
    if channels != w.shape[2] * groups:
        hint = ""
        if x.shape[1] == w.shape[2] * groups:
            hint = " help: images are [N, H, W, C] here; np.moveaxis(x, 1, -1) turns [N, C, H, W] into that."
        raise ShapeError(
            f"[{place}] expected images with {w.shape[2] * groups} channels in the last axis. "
            f"Received: x.shape={x.shape}.{hint}"
        )
    if b is not None and b.shape != (outputs,):
        raise ShapeError(f"[{place}] expected a bias of shape ({outputs},). Received: b.shape={b.shape}.")
    return output_size(place, x.shape, w.shape[:2], window)


def _dims(x: Sequence[int], w: Sequence[int], out: Pair, window: Window, groups: int, act: int) -> tuple[int, ...]:
    """Return the dims of the convolution kernels (see csrc/conv_plan.h)."""
    top, _, left, _ = window.padding
    return (*x, w[0], w[1], w[3], *window.strides, *window.dilation, groups, top, left, *out, act)


def _flops(dims: Sequence[int]) -> float:
    n, _, _, c, kh, kw, o, _, _, _, _, groups, _, _, oh, ow, _ = dims
    return 2.0 * n * oh * ow * o * kh * kw * c / groups


def _conv_ref(
    x: np.ndarray,
    w: np.ndarray,
    b: np.ndarray | None = None,
    window: Window = PLAIN,
    groups: int = 1,
    activation: str = "linear",
    par: float | None = None,
) -> np.ndarray:
    """Return the convolution as a sum over the taps of the kernel."""
    (sh, sw), (dh, dw), (top, bottom, left, right) = window
    padded = np.pad(x, ((0, 0), (top, bottom), (left, right), (0, 0)))
    kh, kw, cg, outputs = w.shape
    oh = (padded.shape[1] - (kh - 1) * dh - 1) // sh + 1
    ow = (padded.shape[2] - (kw - 1) * dw - 1) // sw + 1
    y = np.zeros((x.shape[0], oh, ow, outputs), x.dtype)
    og = outputs // groups
    for r in range(kh):
        for s in range(kw):
            seen = padded[:, r * dh : r * dh + (oh - 1) * sh + 1 : sh, s * dw : s * dw + (ow - 1) * sw + 1 : sw]
            for g in range(groups):
                y[..., g * og : (g + 1) * og] += seen[..., g * cg : (g + 1) * cg] @ w[r, s, :, g * og : (g + 1) * og]
    if b is not None:
        y = y + b
    p = FUSED[activation][2] if par is None else par
    return {
        "linear": lambda: y,
        "relu": lambda: np.maximum(y, 0),
        "leaky_relu": lambda: np.where(y > 0, y, p * y),
        "tanh": lambda: np.tanh(y),
        "sigmoid": lambda: 1 / (1 + np.exp(-y)),
    }[activation]()


def _walks(r: Rng) -> Iterator[tuple[np.ndarray, np.ndarray, dict[str, Any]]]:
    """Yield images, weights and walks that reach every path of the kernels."""
    yield r(2, 6, 5, 3), r(3, 3, 3, 4), {}
    yield r(1, 7, 9, 2), r(3, 2, 2, 17), {"window": Window((2, 1), (1, 1), (1, 1, 0, 1))}
    yield r(2, 8, 7, 3), r(2, 3, 3, 2), {"window": Window((1, 2), (2, 1), (1, 0, 2, 2))}
    yield r(1, 9, 9, 2), r(3, 3, 2, 3), {"window": Window((2, 2), (2, 2), (2, 2, 2, 2))}
    yield r(1, 9, 8, 1), r(2, 2, 1, 1), {"window": Window((3, 3), (1, 1), (0, 0, 0, 0))}
    yield r(1, 10, 7, 1), r(3, 2, 1, 2), {"window": Window((3, 2), (2, 3), (1, 2, 3, 0))}
    yield r(2, 5, 5, 4), r(3, 3, 2, 6), {"window": Window(padding=(1, 1, 1, 1)), "groups": 2}
    yield r(2, 5, 6, 5), r(3, 3, 1, 5), {"window": Window((2, 1), (1, 1), (1, 1, 1, 1)), "groups": 5}
    yield r(2, 4, 5, 3), r(2, 5, 1, 6), {"groups": 3}
    yield r(2, 4, 4, 3), r(1, 1, 3, 5), {}
    yield r(3, 4, 5, 2), r(4, 5, 2, 3), {}
    yield r(2, 3, 3, 2), r(2, 2, 2, 2), {"window": Window(padding=(3, 2, 2, 3))}
    yield r(2, 2, 2, 50), r(2, 2, 50, 49), {"window": Window(padding=(0, 1, 1, 0))}
    yield r(0, 5, 5, 2), r(3, 3, 2, 2), {}
    yield r(1, 1, 1, 1), r(1, 1, 1, 1), {}


@op("conv2d", "conv2d_fwd")
class _Conv2d:
    """y = act(x * w + b), a walk of the kernel over every image."""

    def infer(
        x: Tensor,
        w: Tensor,
        b: Tensor | None,
        window: Window = PLAIN,
        groups: int = 1,
        activation: str = "linear",
        par: float | None = None,
    ) -> Lowered:
        out = _check("conv2d", x, w, b, window, groups)
        act, _, default = FUSED[activation]
        dims = _dims(x.shape, w.shape, out, window, groups, act)
        return Lowered(
            (Spec((x.shape[0], *out, w.shape[3]), x.dtype),),
            dims,
            (default if par is None else par,),
            scratch=_native.fwd_scratch(dims, x.dtype.itemsize),
        )

    def vjp(g: Grad, dy: Tensor) -> tuple[Tensor | None, ...]:
        x, w, b = g.inputs
        return execute(_CONV_GRAD, (dy, g.outs[0], x, w, b), {**g.attrs, "needs": g.needs}, out=g.dest)

    def smooth_vjp(g: Grad, dy: Tensor) -> tuple[Tensor | None, ...]:
        if g.attrs.get("activation", "linear") != "linear":
            return _Conv2d.vjp(g, dy)
        x, w, _ = g.inputs
        walk: dict[str, Any] = {key: g.attrs[key] for key in ("window", "groups") if key in g.attrs}
        return (
            execute(_TRANSPOSE, (dy, w), {**walk, "size": x.shape[1:3]})[0] if g.needs[0] else None,
            execute(_WEIGHTS, (x, dy), {**walk, "kernel": w.shape[:2]})[0] if g.needs[1] else None,
            dy.sum((0, 1, 2)) if g.needs[2] else None,
        )

    ref = _conv_ref

    def samples(r: Rng) -> Iterator[Sample]:
        for i, (x, w, attrs) in enumerate(_walks(r)):
            yield Sample((x, w, r(w.shape[3]) if i % 2 else None), attrs)
        for activation in ("relu", "leaky_relu", "tanh", "sigmoid"):
            yield Sample((r(2, 6, 5, 3), r(3, 3, 3, 4), r(4)), {"activation": activation}, smooth=activation != "relu")
        padded = {"window": Window(padding=(1, 1, 1, 1)), "activation": "relu"}
        yield Sample((r(9, 14, 15, 33), r(3, 3, 33, 70), r(70)), padded, smooth=False)
        yield Sample((r(40, 12, 12, 8), r(3, 3, 8, 32), r(32)), {"activation": "relu"}, smooth=False)
        yield Sample((r(1, 90, 70, 16), r(5, 5, 16, 20), r(20)), padded, smooth=False)

    def errors(r: Rng) -> Iterator[Any]:
        x, w = r(2, 5, 6, 3), r(3, 3, 3, 4)
        yield (x, r(6, 3, 3, 4), None), {}, ShapeError, r"\[conv2d\] the kernel does not fit.*6 rows.*image 5.*same"
        wide = {"window": Window(dilation=(1, 3))}
        yield (x, w, None), wide, ShapeError, r"3 columns \(7 with its dilation\)"
        yield (x, w, None), {"window": Window(strides=(0, 1))}, ValueError, r"strides of at least 1"
        yield (x, w, None), {"window": Window(padding=(0, -1, 0, 0))}, ValueError, r"padding of at least 0"
        yield (x, w, None), {"groups": 2}, ShapeError, r"groups=2 for 3 and 4 channels"
        yield (r(2, 3, 8, 8), w, None), {}, ShapeError, r"3 channels in the last axis.*moveaxis\(x, 1, -1\)"
        yield (r(28, 28, 3), w, None), {}, ShapeError, r"\[N, H, W, C\].*x\[\.\.\., None\]"
        yield (x, r(3, 3, 3), None), {}, ShapeError, r"expected weights"
        yield (x, w, r(3)), {}, ShapeError, r"bias of shape \(4,\)"

    def flops(low: Lowered) -> float:
        return _flops(low.dims)


def _grad_infer(
    dy: Tensor,
    y: Tensor,
    x: Tensor,
    w: Tensor,
    b: Tensor | None,
    needs: Any,
    window: Window = PLAIN,
    groups: int = 1,
    activation: str = "linear",
    par: float | None = None,
) -> Lowered:
    act, _, default = FUSED[activation]
    dims = _dims(x.shape, w.shape, y.shape[1:3], window, groups, act)  # type: ignore[arg-type]
    outs = (
        Spec(x.shape, x.dtype) if needs[0] else None,
        Spec(w.shape, w.dtype) if needs[1] else None,
        Spec((w.shape[3],), w.dtype) if needs[2] and b is not None else None,
    )
    scratch = _native.bwd_scratch(dims, x.dtype.itemsize, *(out is not None for out in outs))
    return Lowered(outs, dims, (default if par is None else par,), x.dtype, scratch, args=(dy, y, x, w))


def _grad_flops(low: Lowered) -> float:
    return _flops(low.dims) * ((low.outs[0] is not None) + (low.outs[1] is not None))


_CONV_GRAD = register(Card("conv2d.grad", _grad_infer, "conv2d_bwd", flops=_grad_flops))


@op("conv2d_transpose", "conv2d_transpose_fwd")
class _Conv2dTranspose:
    """What the gradient of a convolution by its images is to a cotangent: every pixel spreads over a window."""

    def infer(x: Tensor, w: Tensor, size: Pair, window: Window = PLAIN, groups: int = 1) -> Lowered:
        need_float("conv2d_transpose", x, w)
        need_images("conv2d_transpose", x)
        check_window("conv2d_transpose", window)
        if w.ndim != 4 or x.shape[3] != w.shape[3]:
            raise ShapeError(
                "[conv2d_transpose] expected weights [rows, columns, outputs / groups, channels]. "
                f"Received: w.shape={w.shape} for x.shape={x.shape}."
            )
        shape = (x.shape[0], *size, w.shape[2] * groups)
        if output_size("conv2d_transpose", shape, w.shape[:2], window) != x.shape[1:3]:
            raise ShapeError(
                f"[conv2d_transpose] a convolution of {size} pixels does not give {x.shape[1:3]}. "
                f"Received: kernel={w.shape[:2]}, {window}."
            )
        dims = _dims(shape, w.shape, x.shape[1:3], window, groups, 0)  # type: ignore[arg-type]
        scratch = _native.bwd_scratch(dims, x.dtype.itemsize, True, False, False)
        return Lowered((Spec(shape, x.dtype),), dims, (0.0,), scratch=scratch)

    def vjp(g: Grad, dy: Tensor) -> tuple[Tensor | None, ...]:
        x, w = g.inputs
        walk: dict[str, Any] = {key: g.attrs[key] for key in ("window", "groups") if key in g.attrs}
        return (
            execute(_CONV, (dy, w, None), walk, out=(g.dest[0],))[0] if g.needs[0] else None,
            execute(_WEIGHTS, (dy, x), {**walk, "kernel": w.shape[:2]}, out=(None, g.dest[1]))[1]
            if g.needs[1]
            else None,
        )

    def ref(x: np.ndarray, w: np.ndarray, size: Pair, window: Window = PLAIN, groups: int = 1) -> np.ndarray:
        (sh, sw), (dh, dw), (top, bottom, left, right) = window
        kh, kw, cg, og = *w.shape[:3], w.shape[3] // groups
        y = np.zeros((x.shape[0], size[0] + top + bottom, size[1] + left + right, cg * groups), x.dtype)
        oh, ow = x.shape[1:3]
        for r in range(kh):
            for s in range(kw):
                seen = y[:, r * dh : r * dh + (oh - 1) * sh + 1 : sh, s * dw : s * dw + (ow - 1) * sw + 1 : sw]
                for g in range(groups):
                    part = slice(g * og, (g + 1) * og)
                    seen[..., g * cg : (g + 1) * cg] += x[..., part] @ w[r, s, :, part].T
        return y[:, top : top + size[0], left : left + size[1]]

    def samples(r: Rng) -> Iterator[Sample]:
        for x, w, attrs in _walks(r):
            out = output_size("", x.shape, w.shape[:2], attrs.get("window", Window()))
            yield Sample((r(x.shape[0], *out, w.shape[3]), w), {**attrs, "size": x.shape[1:3]})

    def errors(r: Rng) -> Iterator[Any]:
        yield (r(1, 4, 4, 2), r(3, 3, 3, 2)), {"size": (9, 6)}, ShapeError, r"does not give \(4, 4\)"
        yield (r(1, 4, 4, 2), r(3, 3, 3, 4)), {"size": (6, 6)}, ShapeError, r"expected weights"

    def flops(low: Lowered) -> float:
        return _flops(low.dims)


def _weights_infer(x: Tensor, dy: Tensor, kernel: Pair, window: Window = PLAIN, groups: int = 1) -> Lowered:
    need_float("conv2d.weights", x, dy)
    expected = (x.shape[0], *output_size("conv2d.weights", x.shape, kernel, window))
    if dy.shape[:3] != expected:
        raise ShapeError(f"[conv2d.weights] expected dy of shape {expected} and channels. Received: {dy.shape}.")
    shape = (*kernel, x.shape[3] // groups, dy.shape[3])
    dims = _dims(x.shape, shape, dy.shape[1:3], window, groups, 0)  # type: ignore[arg-type]
    scratch = _native.bwd_scratch(dims, x.dtype.itemsize, False, True, False)
    outs = (None, Spec(shape, x.dtype), None)
    return Lowered(outs, dims, (0.0,), x.dtype, scratch, args=(dy, None, x, None))


def _weights_vjp(g: Grad, *dws: Tensor | None) -> tuple[Tensor | None, ...]:
    x, dy = g.inputs
    dw = dws[1]
    walk: dict[str, Any] = {key: g.attrs[key] for key in ("window", "groups") if key in g.attrs}
    return (
        execute(_TRANSPOSE, (dy, dw), {**walk, "size": x.shape[1:3]})[0] if g.needs[0] else None,
        execute(_CONV, (x, dw, None), walk)[0] if g.needs[1] else None,
    )


_CONV: Card = _Conv2d  # type: ignore[assignment]
_TRANSPOSE: Card = _Conv2dTranspose  # type: ignore[assignment]


def _weights_ref(
    x: np.ndarray, dy: np.ndarray, kernel: Pair, window: Window = PLAIN, groups: int = 1
) -> tuple[np.ndarray | None, ...]:
    (sh, sw), (dh, dw), (top, bottom, left, right) = window
    full = np.pad(x, ((0, 0), (top, bottom), (left, right), (0, 0)))
    cg, og, (oh, ow) = x.shape[3] // groups, dy.shape[3] // groups, dy.shape[1:3]
    out = np.zeros((*kernel, cg, dy.shape[3]), x.dtype)
    for r in range(kernel[0]):
        for s in range(kernel[1]):
            seen = full[:, r * dh : r * dh + (oh - 1) * sh + 1 : sh, s * dw : s * dw + (ow - 1) * sw + 1 : sw]
            for g in range(groups):
                part, to = seen[..., g * cg : (g + 1) * cg], slice(g * og, (g + 1) * og)
                out[r, s, :, to] = np.einsum("nhwc,nhwk->ck", part, dy[..., to])
    return None, out, None


def _weights_samples(r: Rng) -> Iterator[Sample]:
    for x, w, attrs in _walks(r):
        out = output_size("", x.shape, w.shape[:2], attrs.get("window", Window()))
        yield Sample((x, r(x.shape[0], *out, w.shape[3])), {**attrs, "kernel": w.shape[:2]})


_WEIGHTS = register(
    Card(
        "conv2d.weights",
        _weights_infer,
        "conv2d_bwd",
        vjp=_weights_vjp,
        ref=_weights_ref,
        samples=_weights_samples,
        flops=_grad_flops,
        doc="dw = the correlation of x with dy: what a convolution's weights receive, as an op of its own.",
    )
)


def conv2d(
    x: Any,
    w: Any,
    b: Any = None,
    strides: int | Pair = 1,
    padding: Any = "valid",
    dilation: int | Pair = 1,
    groups: int = 1,
    activation: str = "linear",
    par: float | None = None,
) -> Tensor:
    """Return act(x * w + b): y[n,i,j,o] = act(sum of x[n, i sh + r dh - top, j sw + s dw - left, c] w[r,s,c,o] + b[o]).

    Like every neural-network library this correlates: the kernel is not turned round.

    Parameters
    ----------
    x : Tensor, shape [N, H, W, C]
    w : Tensor, shape [rows, columns, C / groups, outputs]
    b : Tensor, shape [outputs], optional
    strides, dilation : int or (rows, columns), default 1
    padding : {"valid", "same"}, int, (rows, columns) or (top, bottom, left, right), default "valid"
    groups : int, default 1
        Outputs of a group see the channels of that group only; with groups=C the convolution is depthwise.
    activation : {"linear", "relu", "leaky_relu", "tanh", "sigmoid", "elu", "selu"}
    par : float, optional
        The slope of leaky_relu, the alpha of elu.

    Returns
    -------
    Tensor, shape [N, OH, OW, outputs]

    Raises
    ------
    ShapeError, ValueError, DTypeError

    Examples
    --------
    >>> import numpy as np
    >>> from pynn import ops
    >>> ops.conv2d(np.ones((1, 4, 4, 1)), np.ones((3, 3, 1, 1))).numpy()[0, :, :, 0]
    array([[9., 9.],
           [9., 9.]])
    """
    x = as_tensor(x)
    w, b = as_tensor(w, x), None if b is None else as_tensor(b, x)
    strides, dilation = pair("conv2d", "strides", strides), pair("conv2d", "dilation", dilation)
    need_images("conv2d", x)
    if w.ndim == 4:
        window = Window(strides, dilation, resolve_padding("conv2d", padding, x.shape, w.shape[:2], strides, dilation))
        _check("conv2d", x, w, b, window, groups)
        n, h, width, c = x.shape
        if groups == 1 and c and window.padding == (0, 0, 0, 0):  # two cases that are plain products
            flat = (w.shape[0] * w.shape[1] * c, w.shape[3])
            if w.shape[:2] == (1, 1) and strides == (1, 1):
                return dense(x, reshape(w, flat), b, activation, par)
            if w.shape[:2] == (h, width):
                y = dense(reshape(x, (n, h * width * c)), reshape(w, flat), b, activation, par)
                return reshape(y, (n, 1, 1, w.shape[3]))
    else:
        window = Window(strides, dilation)
    attrs = {"window": window, "groups": groups, "activation": activation, "par": par}
    return execute(_CONV, (x, w, b), attrs)[0]


def conv2d_transpose(
    x: Any,
    w: Any,
    size: Pair | None = None,
    strides: int | Pair = 1,
    padding: Any = "valid",
    dilation: int | Pair = 1,
    groups: int = 1,
) -> Tensor:
    """Return the transpose of conv2d: what the gradient of conv2d by its images is to a cotangent x.

    Parameters
    ----------
    x : Tensor, shape [N, H, W, C]
    w : Tensor, shape [rows, columns, outputs / groups, C]
    size : (rows, columns), optional
        Of the output: that of an image which conv2d takes to x's size; by default the smallest.
    strides, padding, dilation, groups
        Of that conv2d; padding "same" needs a size.

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
    if size is None:
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
    return execute(_TRANSPOSE, (x, w), attrs)[0]


def patches2d(x: Any, kernel: int | Pair, strides: int | Pair = 1, padding: Any = "valid") -> Tensor:
    """Return every patch as a row: [N, OH, OW, rows * columns * C] (im2col, for what is not a convolution)."""
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
