"""What is called in C for windows, normalization and loops over time; see c_calls."""

from __future__ import annotations

from math import prod
from typing import Any

from pynn.export.c_calls import Caller, calls, dense, in_tiles
from pynn.export.c_recurrent import KINDS
from pynn.export.c_windows import FIELDS
from pynn.export.plan import LOOPS, scale_and_shift
from pynn.ops.window import Window

__all__: list[str] = []


# Windows that walk over images


def _window(c: Caller, kernel: tuple[int, ...], **more: int) -> str:
    (_, height, width, channels), y = c.x.shape, c.y.shape
    fields, window = {"height": height, "width": width, "channels": channels}, c.op.attrs.get("window", Window())
    if c.op.name == "pad2d":
        window = Window(padding=c.attr("padding"))
    if kernel:
        fields |= {"rows": kernel[0], "columns": kernel[1]}
        fields |= {"stride_y": window.strides[0], "stride_x": window.strides[1]}
    if c.op.name.startswith("conv2d"):
        fields |= {"dilation_y": window.dilation[0], "dilation_x": window.dilation[1]}
    fields |= {"top": window.padding[0], "left": window.padding[2], "out_height": y[1], "out_width": y[2], **more}
    return f"const window g = {{{', '.join(str(fields.get(field, 0)) for field in FIELDS)}}};"


def _each(c: Caller, function: str, arguments: list[str], window: str = "") -> None:
    """Call a function that takes one sample, for each that there is; the window that it walks with is `g`."""
    n = c.y.shape[0]
    x, y = c.place(c.x), c.place(c.y)
    apart = {x: c.x.size // n, y: c.y.size // n} if n > 1 else {}
    c.call(function, *(f"{a} + i * {apart[a]}" if a in apart else a for a in arguments))
    if n > 1:
        c.lines[-1:] = [f"for (int i = 0; i < {n}; ++i)", f"    {c.lines[-1]}"]
    if window:
        first = len(c.lines) - (2 if n > 1 else 1)
        c.lines[first:] = ["{", f"    {window}", *(f"    {line}" for line in c.lines[first:]), "}"]


@calls("conv2d")
def _conv(c: Caller) -> None:
    w, window, groups = c.op.inputs[1], c.attr("window"), c.attr("groups")
    rows, columns, inner, filters = w.shape
    if (rows, columns, groups) == (1, 1, 1) and window == Window():
        dense(c, inner, filters)
        return
    text = _window(c, (rows, columns), filters=filters, groups=groups)
    if in_tiles(c.op):
        _each(
            c, "conv2d_blocks", [*c.inputs(0), c.blocks(c.op.inputs[1]), *c.inputs(2), c.place(c.y), "g", c.work], text
        )
        return
    _each(c, "conv2d", [*c.inputs(0, 1, 2), c.place(c.y), "g"], text)


@calls("conv2d_transpose")
def _conv_transpose(c: Caller) -> None:
    rows, columns, filters, _ = c.op.inputs[1].shape
    _each(c, "conv2d_transpose", [*c.inputs(), c.place(c.y), "g"], _window(c, (rows, columns), filters=filters))


@calls("locally_connected2d")
def _local(c: Caller) -> None:
    _each(c, "local2d", [*c.inputs(), c.place(c.y), "g"], _window(c, c.attr("kernel"), filters=c.y.shape[3]))


@calls("locally_connected2d_transpose")
def _local_transpose(c: Caller) -> None:
    _each(c, "local2d_transpose", [*c.inputs(), c.place(c.y), "g"], _window(c, c.attr("kernel"), filters=c.y.shape[3]))


@calls("max_pool2d", "avg_pool2d", "pad2d")
def _pool(c: Caller) -> None:
    _each(c, c.op.name, [*c.inputs(), c.place(c.y), "g"], _window(c, c.op.attrs.get("kernel", ())))


@calls("upsample2d")
def _upsample(c: Caller) -> None:
    c.call(f"enlarge_{c.attr('interpolation')}", *c.inputs(), c.place(c.y), *c.x.shape, *c.attr("size"))


# Normalization


@calls("norm_apply")
def _norm_apply(c: Caller) -> None:
    scale, shift = scale_and_shift(c.op)
    more = [c.place(scale), c.place(shift), c.place(c.y), prod(c.x.shape[:-1]), c.x.shape[-1]]
    c.call("scale_shift", *c.inputs(0, 1), *more)


@calls("layer_norm")
def _layer_norm(c: Caller) -> None:
    numbers = [prod(c.x.shape[:-1]), c.x.shape[-1], float(c.attr("epsilon"))]
    c.call("layer_norm", *c.inputs(), c.place(c.y), *numbers)


@calls("group_norm")
def _group_norm(c: Caller) -> None:
    _, *places, channels = c.x.shape
    numbers = [str(prod(places)), str(channels), str(c.attr("groups")), c.number(float(c.attr("epsilon")))]
    _each(c, "group_norm", [*c.inputs(), c.place(c.y), *numbers])


@calls("local_response_norm")
def _response_norm(c: Caller) -> None:
    numbers = [float(c.attr(key)) for key in ("bias", "alpha", "beta")]
    c.call("response_norm", *c.inputs(0), c.place(c.y), prod(c.x.shape[:-1]), c.x.shape[-1], c.attr("radius"), *numbers)


# Recurrent layers


@calls(*LOOPS)
def _recurrent(c: Caller) -> None:
    *operands, lengths = c.inputs()
    more: list[Any] = []
    if c.op.name == "simple_rnn":
        more = [KINDS[c.attr("activation")]]
    elif c.op.name == "gru":
        more = [int(c.attr("reset_after"))]
    elif c.op.name == "layer_norm_lstm":
        more = [float(c.attr("epsilon"))]
    units = c.op.inputs[2].shape[0]
    sizes = [*c.x.shape, units, int(c.attr("reverse"))]
    outs, kept = [*map(c.place, c.op.outs)], {}
    if c.state is not None:
        for at in range(1, len(outs)):
            operands[3 + at] = place = c.state(units)
            if outs[at] == "NULL":
                outs[at] = place
            else:
                kept[place] = outs[at]
    c.call(c.op.name, *operands, *more, *outs, lengths, *sizes, c.work)
    c.lines += [f"memcpy({place}, {out}, {units} * sizeof *state);" for place, out in kept.items()]


@calls("jordan_rnn")
def _jordan(c: Caller) -> None:
    steps, samples, units = c.x.shape
    kinds = [KINDS[c.attr("activation")], KINDS[c.attr("output_activation")]]
    sizes = [steps, samples, units, c.y.shape[2]]
    c.call("jordan_rnn", *c.inputs(0, 1, 2, 3), *kinds, c.place(c.y), c.place(c.op.inputs[4]), *sizes, c.work)
