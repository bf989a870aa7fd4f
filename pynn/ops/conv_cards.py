"""The cards of convolution: forward, its two gradients, and the transpose, which is one of them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from pynn.checks import choice, is_integer
from pynn.core import _core, config
from pynn.core.card import Card, Fan, Grad, Laid, Lowered, Sample, Spec, op, register
from pynn.core.graph import execute
from pynn.core.kernels import conv2d as _native
from pynn.core.state import state
from pynn.core.tensor import Tensor
from pynn.errors import ShapeError, unknown_name
from pynn.ops.common import LAID_FROM, Rng, need_float
from pynn.ops.elementwise import ELEMENTWISE, FUSED, backwards, reference, smooth_backwards
from pynn.ops.window import PLAIN, Pair, Window, check_window, need_images, output_size

MOST_RESIDUES = 1 << 20


def check_algorithm(place: str, algorithm: str) -> str:
    """Return the algorithm; raise ValueError if there is none of that name."""
    if algorithm not in config.CONVOLUTIONS:
        raise ValueError(f"[{place}] " + unknown_name("algorithm", algorithm, config.CONVOLUTIONS))
    return algorithm


def check_conv(place: str, x: Tensor, w: Tensor, b: Tensor | None, window: Window, groups: int) -> Pair:
    """Return the rows and columns of a convolution; raise what is wrong with its operands."""
    need_float(place, x, w, b)
    need_images(place, x)
    check_window(place, window)
    if w.ndim != 4 or min(w.shape) < 1:
        raise ShapeError(
            f"[{place}] expected weights [rows, columns, channels / groups, outputs]. Received: w.shape={w.shape}."
        )
    channels, outputs = x.shape[3], w.shape[3]
    _check_groups(place, groups, channels, outputs)
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


def _check_groups(place: str, groups: int, channels: int, outputs: int) -> None:
    if not is_integer(groups, 1) or channels % groups or outputs % groups:
        raise ShapeError(
            f"[{place}] expected groups that divide the channels of input and output. "
            f"Received: groups={groups} for {channels} and {outputs} channels."
        )


def _dims(
    x: Sequence[int], w: Sequence[int], out: Pair, window: Window, groups: int, act: int, winograd: int = 0
) -> tuple[int, ...]:
    """Return the dims of the convolution kernels (see csrc/conv_plan.h).

    Where a single window fits, it makes no step: kernels walk over as many zeros as a stride is long.
    """
    top, _, left, _ = window.padding
    strides = tuple(stride if size > 1 else 1 for stride, size in zip(window.strides, out, strict=True))
    if math.prod(strides) > max(MOST_RESIDUES, x[1] * x[2]):  # gradients walk over these, whatever the image
        raise ShapeError(f"[conv2d] expected strides within the image, {x[1]} x {x[2]}. Received: {window}.")
    return (*x, w[0], w[1], w[3], *strides, *window.dilation, groups, top, left, *out, act, winograd)


def _may_transform(algorithm: str, dtype: np.dtype) -> int:
    """Return the kernels' number of the algorithm: the direct one where they have no other, as in pairs of bfloat16."""
    if check_algorithm("conv2d", algorithm) == "auto":
        algorithm = config.convolution()
    return config.CONVOLUTIONS[algorithm] if dtype == np.float32 and not _core.get_planes() else 0


def _flops(dims: Sequence[int]) -> float:
    """Return the operations of the direct convolution, whatever the algorithm: Winograd's does up to 4 times fewer."""
    n, _, _, c, kh, kw, o, _, _, _, _, groups, _, _, oh, ow, _, _ = dims
    return 2.0 * n * oh * ow * o * kh * kw * c / groups


def _conv_ref(
    x: np.ndarray,
    w: np.ndarray,
    b: np.ndarray | None = None,
    window: Window = PLAIN,
    groups: int = 1,
    activation: str = "linear",
    par: float | None = None,
    algorithm: str = "auto",
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
    return reference(activation, par, y)


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
    yield r(1, 9, 8, 2), r(3, 2, 1, 6), {"window": Window((2, 3), (1, 2), (1, 1, 0, 2)), "groups": 2}
    yield r(2, 5, 4, 35), r(3, 3, 1, 35), {"window": Window(padding=(1, 1, 1, 1)), "groups": 35}
    yield r(1, 5, 6, 19), r(2, 3, 1, 38), {"window": Window((2, 1)), "groups": 19}
    yield r(2, 9, 9, 2), r(3, 3, 2, 3), {"window": Window((2, 2))}
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
        algorithm: str = "auto",
    ) -> Lowered:
        out = check_conv("conv2d", x, w, b, window, groups)
        act, _, default = FUSED[choice("conv2d", "activation", activation, FUSED)]
        dims = _dims(x.shape, w.shape, out, window, groups, act, _may_transform(algorithm, x.dtype))
        nbytes, units = _native.fwd_kept(dims, x.dtype.itemsize)
        return Lowered(
            (Spec((x.shape[0], *out, w.shape[3]), x.dtype),),
            dims,
            (default if par is None else par,),
            scratch=_native.fwd_scratch(dims, x.dtype.itemsize),
            laid=Laid(nbytes, (2,), (dims[3:], units)) if nbytes >= LAID_FROM else None,
        )

    def vjp(g: Grad, dy: Tensor) -> tuple[Tensor | None, ...]:
        x, w, b = g.inputs
        attrs = {**g.attrs, "needs": g.needs}
        if state.rows is not None:  # a gradient of weights is as exact as the sum that it is a share of
            first, end, rows = state.rows
            attrs["whole"] = x.shape[0] * rows // (end - first)
        activation, par = g.attrs.get("activation", "linear"), g.attrs.get("par")
        if activation != "linear" and ELEMENTWISE[activation].saves == "in":
            plain = {key: value for key, value in g.attrs.items() if key not in ("activation", "par")}
            dy = backwards(activation, par, dy, execute(CONV, g.inputs, plain)[0])
            attrs = {**plain, "needs": g.needs}
        return execute(_CONV_GRAD, (dy, g.outs[0], x, w, b), attrs, out=g.dest)

    def smooth_vjp(g: Grad, dy: Tensor) -> tuple[Tensor | None, ...]:
        x, w, _ = g.inputs
        plain = {key: value for key, value in g.attrs.items() if key not in ("activation", "par")}
        name, par = g.attrs.get("activation", "linear"), g.attrs.get("par")
        dz = smooth_backwards(name, par, dy, lambda: execute(CONV, g.inputs, plain)[0], g.outs[0])
        if dz is None:
            return _Conv2d.vjp(g, dy)
        walk: dict[str, Any] = {key: g.attrs[key] for key in ("window", "groups") if key in g.attrs}
        return (
            execute(TRANSPOSE, (dz, w), {**walk, "size": x.shape[1:3]})[0] if g.needs[0] else None,
            execute(WEIGHTS, (x, dz), {**walk, "kernel": w.shape[:2]})[1] if g.needs[1] else None,
            dz.sum((0, 1, 2)) if g.needs[2] else None,
        )

    ref = _conv_ref

    def samples(r: Rng) -> Iterator[Sample]:
        for i, (x, w, attrs) in enumerate(_walks(r)):
            yield Sample((x, w, r(w.shape[3]) if i % 2 else None), attrs)
        for activation in FUSED:
            sample = r(2, 6, 5, 3), r(3, 3, 3, 4), r(4)
            yield Sample(sample, {"activation": activation}, smooth=activation in ("linear", "tanh", "sigmoid"))
        padded = {"window": Window(padding=(1, 1, 1, 1)), "activation": "relu"}
        yield Sample((r(9, 14, 15, 33), r(3, 3, 33, 70), r(70)), padded, smooth=False)
        yield Sample((r(40, 12, 12, 8), r(3, 3, 8, 32), r(32)), {"activation": "relu"}, smooth=False)
        yield Sample((r(1, 90, 70, 16), r(5, 5, 16, 20), r(20)), padded, smooth=False)
        for width, channels in ((5, 33), (13, 65)):  # columns of one class of the stride are fewer than of another
            yield Sample((r(1, 5, width, channels), r(3, 3, channels, 2), None), {"window": Window((2, 2))})
        fast = {**padded, "algorithm": "winograd"}
        yield Sample((r(3, 14, 9, 17), r(3, 3, 17, 50), r(50)), fast, smooth=False)
        yield Sample((r(2, 11, 12, 32), r(3, 3, 32, 16), None), {"algorithm": "winograd"}, smooth=False)
        yield Sample((r(10, 28, 29, 16), r(3, 3, 16, 18), r(18)), padded, smooth=False)

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
        yield (x, w, None), {"algorithm": "winogrd"}, ValueError, r"\[conv2d\] unknown algorithm.*mean 'winograd'"

    def flops(low: Lowered) -> float:
        return _flops(low.dims)

    def fan(inputs: tuple[Any, ...], outs: tuple[Any, ...], attrs: Any) -> Fan:
        return Fan(outs[0].size, outs[0].size * math.prod(inputs[1].shape[:3]))


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
    algorithm: str = "auto",
    whole: int = 0,
) -> Lowered:
    act, _, default = FUSED[activation]
    out = check_conv("conv2d.grad", x, w, b, window, groups)  # by hand it may be given what no forward call takes
    if dy.shape != y.shape or y.shape != (x.shape[0], *out, w.shape[3]):
        raise ShapeError(
            f"[conv2d.grad] expected outputs and gradients {(x.shape[0], *out, w.shape[3])}. "
            f"Received: {y.shape} and {dy.shape}."
        )
    winograd = _may_transform(algorithm, x.dtype) + 4 * whole
    dims = _dims(x.shape, w.shape, y.shape[1:3], window, groups, act, winograd)
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
        if w.ndim != 4 or min(w.shape) < 1 or x.shape[3] != w.shape[3]:
            raise ShapeError(
                "[conv2d_transpose] expected weights [rows, columns, outputs / groups, channels]. "
                f"Received: w.shape={w.shape} for x.shape={x.shape}."
            )
        if not is_integer(groups, 1, w.shape[3]) or w.shape[3] % groups:
            raise ShapeError(
                f"[conv2d_transpose] expected groups that divide the {w.shape[3]} channels of the input. "
                f"Received: groups={groups}."
            )
        if min(size) < 1:
            raise ShapeError(
                f"[conv2d_transpose] expected an output of at least one pixel. Received: {size} for {x.shape[1:3]} "
                f"pixels, kernel={w.shape[:2]}, {window}. help: less padding."
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
            execute(CONV, (dy, w, None), walk, out=(g.dest[0],))[0] if g.needs[0] else None,
            execute(WEIGHTS, (dy, x), {**walk, "kernel": w.shape[:2]}, out=(None, g.dest[1]))[1]
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
        yield (r(1, 4, 4, 2), r(3, 3, 3, 2)), {"size": (6, 6), "groups": 0}, ShapeError, r"groups that divide"
        yield (r(1, 4, 4, 2), r(3, 3, 3, 2)), {"size": (6, 6), "groups": 1000}, ShapeError, r"groups that divide"
        yield (r(1, 4, 4, 2), r(3, 3, 3, 2)), {"size": (-2, 6)}, ShapeError, r"at least one pixel"

    def flops(low: Lowered) -> float:
        return _flops(low.dims)

    def fan(inputs: tuple[Any, ...], outs: tuple[Any, ...], attrs: Any) -> Fan:
        return Fan(outs[0].size, inputs[0].size * math.prod(inputs[1].shape[:3]))  # each pixel reaches so many


def _weights_infer(x: Tensor, dy: Tensor, kernel: Pair, window: Window = PLAIN, groups: int = 1) -> Lowered:
    need_float("conv2d.weights", x, dy)
    expected = (x.shape[0], *output_size("conv2d.weights", x.shape, kernel, window))
    if dy.shape[:3] != expected:
        raise ShapeError(f"[conv2d.weights] expected dy of shape {expected} and channels. Received: {dy.shape}.")
    _check_groups("conv2d.weights", groups, x.shape[3], dy.shape[3])
    shape = (*kernel, x.shape[3] // groups, dy.shape[3])
    if min(shape) < 1:
        raise ShapeError(f"[conv2d.weights] expected at least one channel of x and of dy. Received: {shape}.")
    dims = _dims(x.shape, shape, dy.shape[1:3], window, groups, 0)  # type: ignore[arg-type]
    scratch = _native.bwd_scratch(dims, x.dtype.itemsize, False, True, False)
    outs = (None, Spec(shape, x.dtype), None)
    return Lowered(outs, dims, (0.0,), x.dtype, scratch, args=(dy, None, x, None))


def _weights_vjp(g: Grad, *dws: Tensor | None) -> tuple[Tensor | None, ...]:
    x, dy = g.inputs
    dw = dws[1]
    walk: dict[str, Any] = {key: g.attrs[key] for key in ("window", "groups") if key in g.attrs}
    return (
        execute(TRANSPOSE, (dy, dw), {**walk, "size": x.shape[1:3]})[0] if g.needs[0] else None,
        execute(CONV, (x, dw, None), walk)[0] if g.needs[1] else None,
    )


CONV: Card = _Conv2d  # type: ignore[assignment]
TRANSPOSE: Card = _Conv2dTranspose  # type: ignore[assignment]


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


WEIGHTS = register(
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
