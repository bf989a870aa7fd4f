"""Networks of bytes from trained ones: after-training quantization of dense layers and convolutions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from pynn.checks import integer
from pynn.errors import DataError, DTypeError, ShapeError
from pynn.nn.module import Module
from pynn.onnx.exporter import to_model
from pynn.onnx.extra import onnx_package
from pynn.onnx.folding import fold_batch_norm, names_of, unused
from pynn.onnx.importer import loads
from pynn.onnx.network import Network
from pynn.ops import pixels

__all__ = ["quantize"]

FEW = 32  # terms of a product that takes longer with bytes than with floats
MOST = 2**31 // (255 * 127)  # terms whose sum cannot leave 32 bits
OLDEST = 10  # the operators of bytes
SINGLE = np.dtype("float32")


class _Product(NamedTuple):
    """A node whose weights are known: where it stands, its weights with the columns last, and its bias or None."""

    at: int
    node: Any
    weights: np.ndarray
    bias: np.ndarray | None


def quantize(
    model: Module,
    data: Any,
    input_shape: Any = None,
    convolutions: bool = False,
    batch_size: int = 256,
    max_batches: int = 40,
) -> Network:
    """Return a network whose dense layers, and convolutions if they are asked for, multiply bytes.

    Of an input x with calibrated ends lo <= 0 <= hi, and weights w [K, N]:

        s = (hi - lo) / 255,  z = round(-lo / s),  a = clip(round(x / s) + z, 0, 255),
        t[n] = max over k of |w[k,n]| / 127,  v[k,n] = round(w[k,n] / t[n]),
        y[n] = s t[n] sum over k of (a[k] - z) v[k,n] + b[n].

    The sums are exact, so that every machine, and the exported C, has the same integers. The ends are the least and
    the largest value that an input takes while the model predicts the calibration data. The file that
    :func:`pynn.onnx.export` writes has a quarter of the size. Batch normalization that follows a product goes into its
    weights. Products of fewer than 32 terms (a first convolution of grey images), convolutions in groups, and layers of
    other kinds stay floats.

    Parameters
    ----------
    model : Module
        Trained, of float32; or a :class:`pynn.onnx.Network`. It does not change.
    data : ndarray, or list of them for several inputs
        Some hundred samples of what will be predicted, as for predict(). Labels are not needed.
    input_shape : tuple of int, optional
        Of one sample; needed if the model does not know it.
    convolutions : bool, default False
        Convolutions too. float32 has Winograd's algorithm for many of them; with bytes they take a half to a sixth of
        its time on processors with AMX, two thirds to nine tenths with VNNI, two to three times as long without either.
    batch_size : int, default 256
    max_batches : int, default 40
        The most batches of `data` that are looked at.

    Returns
    -------
    pynn.onnx.Network
        It predicts, is saved, and is written with :func:`pynn.onnx.export`, :func:`pynn.export.to_c` and the others;
        onnxruntime runs the same file. What it computes from bytes has no gradient, and bytes have no NaN: it becomes
        any byte, but in C and NumPy files, which hold bytes as floats.

    Raises
    ------
    DataError
        If there is nothing to quantize, if the model is no float32, or if an input or a weight is not finite.
    DTypeError
        If samples are no numbers, or images of bytes for a model that takes these as they are (Rescaling first).
    ShapeError
        If samples do not fit the model, or there are none.
    ImportError
        If the package onnx is missing.

    References
    ----------
    Jacob and others, "Quantization and training of neural networks for efficient integer-arithmetic-only inference",
    2018. Krishnamoorthi, "Quantizing deep convolutional networks for efficient inference: a whitepaper", 2018.

    Examples
    --------
    >>> import numpy as np
    >>> import pynn.onnx
    >>> from pynn import nn
    >>> model = nn.Sequential([nn.Input((64,)), nn.Dense(32, activation="relu"), nn.Dense(10)])
    >>> x = np.random.default_rng(0).normal(size=(200, 64)).astype("float32")
    >>> small = pynn.onnx.quantize(model, x)
    >>> y = model.predict(x, verbose=0)
    >>> bool(np.abs(small.predict(x, verbose=0) - y).max() < 0.05 * np.abs(y).max())
    True
    """
    onnx = onnx_package("onnx.quantize")
    batch_size = integer("onnx.quantize", "batch_size", batch_size, 1)
    max_batches = integer("onnx.quantize", "max_batches", max_batches, 1)
    proto = to_model(model, input_shape)
    version = next(s.version for s in proto.opset_import if s.domain in ("", "ai.onnx"))
    if version < OLDEST:
        raise DataError(
            f"[onnx.quantize] expected operator set {OLDEST} or newer. Received: {version}. "
            "help: onnx.version_converter.convert_version(proto, 13)."
        )
    fold_batch_norm(onnx, proto.graph)
    products = _products(onnx, proto.graph, ("Gemm", "MatMul", *(["Conv"] if convolutions else [])))
    if not products:
        raise DataError(
            f"[onnx.quantize] expected dense layers (or convolutions, with convolutions=True) of {FEW} terms or more, "
            "in float32, whose weights are constants. Received: a model without any."
        )
    ends = _ends(proto, model, [p.node.input[0] for p in products], data, batch_size, max_batches)
    _rewrite(onnx, proto.graph, products, ends)
    onnx.checker.check_model(proto, full_check=True)
    return loads(proto.SerializeToString())


def _products(onnx: Any, graph: Any, kinds: Sequence[str]) -> list[_Product]:
    """Return the products that gain from bytes."""
    known = {t.name: t for t in graph.initializer}
    found = []
    for at, node in enumerate(graph.node):
        if node.op_type not in kinds or node.domain or len(node.input) < 2:
            continue
        if node.input[0] in known or not all(name in known for name in node.input[1:] if name):
            continue
        attributes = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
        w, *bias = (onnx.numpy_helper.to_array(known[name]) for name in node.input[1:] if name)
        plain = all(attributes.get(key, 1) == 1 for key in ("alpha", "beta", "group")) and not attributes.get("transA")
        if not plain or w.dtype != SINGLE or (node.op_type != "Conv" and w.ndim != 2):
            continue
        columns = w.transpose(*range(1, w.ndim), 0) if node.op_type == "Conv" or attributes.get("transB") else w
        terms = columns[..., 0].size if columns.shape[-1] else 0
        if not FEW <= terms < MOST or (bias and bias[0].size not in (1, columns.shape[-1])):
            continue
        if not np.isfinite(w).all():
            raise DataError(f"[onnx.quantize] expected finite weights. Received: {node.input[1]!r} with others.")
        found.append(_Product(at, node, columns, bias[0] if bias else None))
    return found


def _samples(network: Network, model: Module, data: Any) -> list[np.ndarray]:
    """Return the calibration data of each input, checked."""
    ports = network._plan.inputs
    given = list(data) if len(ports) > 1 and isinstance(data, (list, tuple)) else [data]
    if len(given) != len(ports):
        raise ShapeError(f"[onnx.quantize] expected samples for {len(ports)} inputs. Received: {len(given)}.")
    arrays = []
    for i, (x, (name, dtype, sizes)) in enumerate(zip(given, ports, strict=True)):
        try:
            array = np.asarray(x)
        except ValueError as error:
            raise ShapeError(
                f"[onnx.quantize] expected samples of one shape for {name!r}. Received: {error}."
            ) from error
        if array.dtype.kind not in "fiub":
            raise DTypeError(f"[onnx.quantize] expected numbers for {name!r}. Received: {array.dtype}.")
        wanted = sizes if sizes is not None else (None,) * max(array.ndim, 1)
        fits = len(wanted) == array.ndim and all(
            d == n for d, n in zip(wanted[1:], array.shape[1:], strict=True) if isinstance(d, int)
        )
        if not fits or not len(array):
            raise ShapeError(
                f"[onnx.quantize] expected samples of shape {tuple(wanted[1:])} for {name!r}, at least one. "
                f"Received: x.shape={array.shape}."
            )
        if pixels.is_image(array) and dtype.kind == "f" and model.takes_bytes(i):
            raise DTypeError(
                f"[onnx.quantize] expected floats for {name!r}: the model takes bytes as they are, the network that is "
                'made divides images of bytes by 255. help: x.astype("float32"), for predictions too.'
            )
        arrays.append(array)
    if len({len(a) for a in arrays}) > 1:
        raise ShapeError(
            f"[onnx.quantize] expected as many samples for each input. Received: {[len(a) for a in arrays]}."
        )
    return arrays


def _ends(
    proto: Any, model: Module, names: Sequence[str], data: Any, batch_size: int, max_batches: int
) -> dict[str, tuple[float, float]]:
    """Return the least and the largest value of inner results while the model predicts."""
    wanted = list(dict.fromkeys(names))
    outside = [port.name for port in proto.graph.input if port.name in wanted]
    inner = [name for name in wanted if name not in outside]
    network = loads(proto.SerializeToString(), inner or None)
    arrays, ports = _samples(network, model, data), network._plan.inputs
    low, high = dict.fromkeys(wanted, 0.0), dict.fromkeys(wanted, 0.0)
    for first in range(0, min(len(arrays[0]), batch_size * max_batches), batch_size):
        parts = []
        for array, (_, dtype, _) in zip(arrays, ports, strict=True):
            part = array[first : first + batch_size]
            real = pixels.is_image(part) and dtype.kind == "f"
            with np.errstate(over="ignore"):  # what is no float32 is told below
                parts.append(part / dtype.type(255) if real else part.astype(dtype, copy=False))
        seen = {name: part for (name, _, _), part in zip(ports, parts, strict=True) if name in outside}
        found = network.run(*parts)
        if inner:
            seen |= dict(zip(inner, found, strict=True))
        for name, values in seen.items():
            if not np.isfinite(values).all():
                raise DataError(f"[onnx.quantize] expected finite numbers. Received: {name!r} with others.")
            low[name] = min(low[name], float(values.min(initial=0)))
            high[name] = max(high[name], float(values.max(initial=0)))
    return {name: (low[name], high[name]) for name in wanted}


def _rewrite(onnx: Any, graph: Any, products: list[_Product], ends: dict[str, tuple[float, float]]) -> None:
    """Put products of bytes in the place of those of floats, in the order of the graph."""
    helper, (_, taken) = onnx.helper, names_of(graph)

    def named(hint: str) -> str:
        return unused(hint, taken)

    def constant(array: Any, hint: str) -> str:
        name = named(hint)
        graph.initializer.append(onnx.numpy_helper.from_array(np.ascontiguousarray(array).reshape(array.shape), name))
        return name

    new = {p.at: p for p in products}
    nodes: list[Any] = []
    inputs: dict[str, tuple[Any, str, str, str]] = {}
    for at, node in enumerate(graph.node):
        if at not in new:
            nodes.append(node)
            continue
        product, x, base = new[at], node.input[0], node.output[0]
        if x not in inputs:
            low, high = ends[x]
            scale = SINGLE.type((high - low) / 255) or SINGLE.type(1)
            zero = np.clip(np.rint(-low / scale), 0, 255).astype(np.uint8)
            inputs[x] = (scale, constant(scale, f"{x}/scale"), constant(zero, f"{x}/zero"), named(f"{x}/bytes"))
            nodes.append(
                helper.make_node("QuantizeLinear", [x, *inputs[x][1:3]], [inputs[x][3]], name=named(f"{x}/quantize"))
            )
        scale, _, zero_name, as_bytes = inputs[x]
        w, conv = product.weights, node.op_type == "Conv"
        steps = np.abs(w).max(tuple(range(w.ndim - 1)), initial=0) / SINGLE.type(127)
        steps[steps == 0] = 1
        small = np.clip(np.rint(w / steps), -127, 127).astype(np.int8)
        behind = (-1, *(1,) * (w.ndim - 2)) if conv else (-1,)  # columns are a convolution's second axis
        small = small.transpose(-1, *range(w.ndim - 1)) if conv else small
        whole, real = named(f"{base}/sums"), named(f"{base}/real")
        kept = [a for a in node.attribute if a.name not in ("alpha", "beta", "transA", "transB")]
        made = helper.make_node(
            "ConvInteger" if conv else "MatMulInteger", [as_bytes, constant(small, f"{base}/w"), zero_name], [whole],
            name=named(f"{base}/product"),
        )  # fmt: skip
        made.attribute.extend(kept)
        scaled = base if product.bias is None else named(f"{base}/scaled")
        factor = constant((scale * steps).astype(SINGLE).reshape(behind), f"{base}/factor")
        nodes += [
            made,
            helper.make_node("Cast", [whole], [real], name=named(f"{base}/cast"), to=onnx.TensorProto.FLOAT),
            helper.make_node("Mul", [real, factor], [scaled], name=named(f"{base}/scale")),
        ]
        if product.bias is not None:
            bias = np.broadcast_to(product.bias.reshape(-1), w.shape[-1:]).reshape(behind)
            nodes.append(
                helper.make_node("Add", [scaled, constant(bias, f"{base}/bias")], [base], name=named(f"{base}/add"))
            )
    del graph.node[:]
    graph.node.extend(nodes)
    used = {*names_of(graph)[0], *(port.name for port in graph.output)}
    left = [t for t in graph.initializer if t.name in used]
    del graph.initializer[:]
    graph.initializer.extend(left)
