"""Kernels that are written in Cython as compositions of kernels in C, for targets that have no Python.

``y = act(x w + b)`` is a product, a sum and a function of one element there, and its gradient is the product with the
slope, two products and a sum over rows. Each gives the bits of the kernel that it stands for: the same products, and
additions and functions in the same order. Recurrent layers are :mod:`pynn.export.recurrent`'s.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from pynn.core import _core, config
from pynn.core.card import CARDS, Card
from pynn.core.program import Recorder
from pynn.core.tensor import DTYPE_INDEX, Tensor
from pynn.errors import DataError
from pynn.export import recurrent
from pynn.ops.elementwise import ELEMENTWISE, FUSED

__all__ = ["COMPOSED", "LEFT_OUT", "in_c", "row_sums"]

CODES = {code: name for name, (code, _, _) in FUSED.items()}


def instruction(
    card: Card, outs: tuple[Any, ...], inputs: tuple[Tensor, ...], like: Any, *extra: Tensor, **attrs: Any
) -> Any:
    """Return the instruction of a card on memory that exists, without running it.

    `extra` are operands of the op that its kernel does not take.
    """
    low = card.infer(*inputs, *extra, **attrs)
    dtype = DTYPE_INDEX[low.dtype or inputs[0].dtype]
    kernel = _core.find_kernel(card.kernel, dtype, config.target())
    buffers = (*outs, *(t.buffer for t in inputs))
    made = _core.Instr(
        kernel, buffers, len(outs), tuple(low.dims), tuple(low.pars), low.scratch, like.plain()[2], dtype,
        config.target(), card, like.info,
    )  # fmt: skip
    made.drop_scratch()
    return made


def _settings(instr: Any) -> tuple[tuple[int, ...], str, dict[str, float]]:
    """Return (m, n, k) of a dense instruction, its activation and what that takes."""
    dims, pars, _ = instr.plain()
    m, n, k, act = (*dims, 0, 0, 0, 0)[:4]
    name = CODES[act]
    parameter = FUSED[name][1]
    return (m, n, k), name, {} if parameter is None else {parameter: (*pars, 0.0)[0]}


def row_sums(out: Any, x: Tensor, like: Any) -> Any:
    """Return the instruction that writes the sum over the rows of x to a buffer, added in their order."""
    m, n = x.shape
    if n > 1:
        return instruction(CARDS["sum"], (out,), (x,), like, axis=0, stop=1)
    # the sum of one column goes by lanes there; that of rows with one number is in order
    rows = (x, Tensor.state(np.zeros(m, np.int32)))
    return instruction(CARDS["take.grad"], (out,), rows, like, Tensor(out, (1, 1), x.dtype), axis=0)


def _dense(instr: Any) -> list[Any]:
    (m, n, k), act, options = _settings(instr)
    y, x, w, b = instr.buffers
    dtype = np.dtype(_core.DTYPES[instr.dtype])
    out = Tensor(y, (m, n), dtype)
    made = [instruction(CARDS["matmul"], (y,), (Tensor(x, (m, k), dtype), Tensor(w, (k, n), dtype)), instr)]
    if b is not None:
        made.append(instruction(CARDS["add"], (y,), (out, Tensor(b, (n,), dtype)), instr))
    if act != "linear":
        made.append(instruction(ELEMENTWISE[act].card, (y,), (out,), instr, **options))
    return made


def _dense_grad(instr: Any) -> list[Any]:
    (m, n, k), act, options = _settings(instr)
    dx, dw, db, dz, dy, y, x, w = instr.buffers
    dtype = np.dtype(_core.DTYPES[instr.dtype])
    slope, made = Tensor(dy, (m, n), dtype), []
    if act != "linear":
        card = ELEMENTWISE[act].card.bwd
        assert card is not None
        made.append(instruction(card, (dz,), (slope, Tensor(y, (m, n), dtype)), instr, **options))
        slope = Tensor(dz, (m, n), dtype)
    if dw is not None:
        made.append(instruction(CARDS["matmul"], (dw,), (Tensor(x, (m, k), dtype), slope), instr, ta=True))
    if db is not None:
        made.append(row_sums(db, slope, instr))
    if dx is not None:
        made.append(instruction(CARDS["matmul"], (dx,), (slope, Tensor(w, (k, n), dtype)), instr, tb=True))
    return made


#: Kernels in Cython, and in C that engines for pages leave out (csrc/kernels.def), without a composition.
LEFT_OUT = frozenset(
    {
        "dense_joined", "jordan_fwd", "jordan_bwd", "word2vec_block", "sequence_lengths", "check_lengths",
        "call_hook", "walked_lengths", "mask_steps", "reverse_steps", "step_order", "permute_steps", "warp_fwd",
        "blur_fwd", "flip_fwd", "crop_fwd", "erase_fwd", "dynamic_bytes", "static_bytes", "byte_matmul", "byte_conv",
        "byte_lstm",
        "affine_draw", "local_fwd", "local_bwd", "local_transpose_fwd", "lrn_fwd", "lrn_bwd", "join_rows", "norm_part",
        "norm_join_parts", "norm_shared_bwd",
    }
)  # fmt: skip
#: Names of kernels in Cython -> what writes an instruction of one as instructions of kernels in C.
COMPOSED: dict[str, Callable[[Any], list[Any]]] = {
    "dense_fwd": _dense,
    "dense_bwd": _dense_grad,
    "rnn_fwd": lambda instr: recurrent.forward(instr, instruction),
    "rnn_bwd": lambda instr: recurrent.backward(instr, instruction, row_sums),
}


def in_c(recorder: Recorder) -> Recorder:
    """Return a recording with kernels in C alone.

    Raises
    ------
    DataError
        If one has no composition; its layer is named.
    """
    made = Recorder(recorder.inputs)
    made.mark = recorder.mark
    for instr in recorder.instrs:
        name = instr.card.kernel
        if name in COMPOSED:
            made.instrs += COMPOSED[name](instr)
        elif name not in LEFT_OUT:
            made.append(instr)
        else:
            where = f" (layer {instr.info.scope!r})" if instr.info.scope else ""
            raise DataError(
                f"[export] expected kernels in C, or made of such, for a target without Python. "
                f"Received: {name}{where}. help: dense, convolutional, pooling, recurrent and "
                "normalizing layers, embeddings and dropout have them."
            )
    return made
