"""Weights that PyTorch wrote as safetensors, for a model of the same layers."""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pynn.convert.foreign import Target, fill
from pynn.convert.torch_layout import Unit, units_of
from pynn.errors import DataError
from pynn.export.runs import described
from pynn.io import container

__all__ = ["load_torch_weights"]

PLACE = "load_torch_weights"
_RECURRENT = re.compile(r"(?:(.*)\.)?((?:weight|bias)_(?:ih|hh))(?:_l(\d+))?(_reverse)?")
_NO_WEIGHTS = "num_batches_tracked"


@dataclass
class _Group:
    """The tensors of one module in the file: suffix to (name, shape)."""

    label: str
    tensors: dict[str, tuple[str, tuple[int, ...]]]

    @property
    def signature(self) -> frozenset[tuple[str, tuple[int, ...]]]:
        return frozenset((suffix, shape) for suffix, (_, shape) in self.tensors.items())


def load_torch_weights(
    model: Any, path: str | os.PathLike[str], names: Mapping[str, str] | None = None, verbose: bool = True
) -> dict[str, str]:
    """Read the weights of a PyTorch model, saved as safetensors, into a pynn model of the same layers.

    Layouts are changed on the way: Linear [out, in] to [in, out], convolutions OIHW to HWIO, the features that a
    Flatten makes from C, H, W to H, W, C, the gates of GRU from r, z, n to z, r, n; the two biases of RNN and LSTM are
    added.
    Layers of nn.LSTM and its like are one pynn layer each.

    Parameters
    ----------
    model : Module
        Built.
    path : path-like
        A ``.safetensors`` file, as ``safetensors.torch.save_file(net.state_dict(), path)`` writes it; float16 and
        bfloat16 become float32, exactly.
    names : mapping of str to str, optional
        Which module of the file belongs to a layer (by name, or by path as in named_modules()), for instance
        ``{"dense_1": "classifier.0"}``; ``"rnn.l1"`` is the second layer of a recurrent module. Others are found by
        equal names, if all layers have them, else by shapes; among modules of equal shapes by the numbers in their
        names.
    verbose : bool, default True
        Print the name map.

    Returns
    -------
    dict of str to str
        The name map: path of each weight to the tensors that it was made of.

    Raises
    ------
    DataError
        If a tensor is missing, left over or of another shape (all are listed), or if several modules of equal shapes
        could change places; the model stays as it was.
    OSError
        If the file cannot be read.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> from safetensors.numpy import save_file
    >>> from pynn import nn
    >>> model = nn.Sequential([nn.Input((2,)), nn.Dense(3)])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_file({"fc.weight": np.ones((3, 2), "f4"), "fc.bias": np.zeros(3, "f4")}, f"{folder}/net.safetensors")
    ...     found = load_torch_weights(model, f"{folder}/net.safetensors")
    layers.0.w  <-  fc.weight (transposed)
    layers.0.b  <-  fc.bias
    """
    source = os.fspath(path)
    contents = container.read(source, widen=True)
    if contents.metadata.get("format") == "pynn":
        raise DataError(f"[{PLACE}] {source!r} is a pynn model file. help: pynn.load(path) returns the model.")
    tensors = contents.tensors
    units = units_of(model)
    pairs = _matched(units, _groups(tensors), dict(names or {}))
    targets = []
    for unit, group in pairs:
        for part in unit.parts:
            sources = tuple(
                group.tensors[s][0] if group is not None and s in group.tensors else _guess(group, s)
                for s in part.suffixes
            )
            targets.append(Target(part.path, part.weight, sources, part.shapes, part.convert, part.note))
    found = {name: (a.shape, a.dtype) for name, a in tensors.items()}
    ignored = [name for name in tensors if name.rpartition(".")[2] == _NO_WEIGHTS]
    return fill(model, targets, found, tensors.__getitem__, ignored, PLACE, source, verbose)


def _guess(group: _Group | None, suffix: str) -> str:
    """Return how the name of a tensor that is not there would end, for messages."""
    return f"...{suffix}" if group is None else f"{group.label}.{suffix}".lstrip(".")


def _groups(tensors: Mapping[str, Any]) -> list[_Group]:
    """Return the modules of a file, in the natural order of their names."""
    found: dict[str, _Group] = {}
    for name, array in tensors.items():
        prefix, _, suffix = name.rpartition(".")
        if suffix == _NO_WEIGHTS:
            continue
        match = _RECURRENT.fullmatch(name)
        if match:
            prefix = f"{match[1] or ''}.l{match[3] or 0}".lstrip(".")
            suffix = match[2] + (match[4] or "")
        found.setdefault(prefix, _Group(prefix, {})).tensors[suffix] = (name, array.shape)
    return sorted(found.values(), key=lambda group: _natural(group.label))


def _natural(name: str) -> list[tuple[int, int, str]]:
    parts = re.split(r"([0-9]+)", name)  # numbers sort by their length, then their digits, however many they have
    plain = [part.lstrip("0") if i % 2 else part for i, part in enumerate(parts)]
    return [(0, len(part), part) if i % 2 else (1, 0, part) for i, part in enumerate(plain)]


def _numbered(one: str, two: str) -> bool:
    """Tell whether two names differ first in a number."""
    for a, b in zip(re.split(r"(\d+)", one), re.split(r"(\d+)", two), strict=False):
        if a != b:
            return a.isdecimal() and b.isdecimal()
    return False


def _matched(units: list[Unit], groups: list[_Group], names: dict[str, str]) -> list[tuple[Unit, _Group | None]]:
    chosen: dict[int, _Group] = {}
    left = list(groups)
    for key, label in names.items():
        unit = next((u for u in units if key in (u.path, u.module.name)), None)
        if unit is None:
            known = ", ".join(u.module.name for u in units)
            raise DataError(f"[{PLACE}] names: the model has no layer {key!r} with weights. Known: {known}.")
        group = next((g for g in left if g.label in (label, f"{label}.l0")), None)
        if group is None:
            raise DataError(
                f"[{PLACE}] names: no module {label!r} in the file, or it was given twice. "
                f"Known: {', '.join(g.label for g in groups)}."
            )
        chosen[id(unit)] = group
        left.remove(group)
    rest = [unit for unit in units if id(unit) not in chosen]
    by_label = {g.label.removesuffix(".l0"): g for g in left}
    if rest and all(_own_name(unit) in by_label for unit in rest):
        for unit in rest:
            chosen[id(unit)] = by_label[_own_name(unit)]
    else:
        _match_shapes(rest, left, chosen)
    return [(unit, chosen.get(id(unit))) for unit in units]


def _own_name(unit: Unit) -> str:
    """Return what a module of one's own class calls the layer, else its name: places in a list say nothing."""
    return unit.module.name if any(part.isdecimal() for part in unit.path.split(".")) else unit.path


def _match_shapes(units: list[Unit], groups: list[_Group], chosen: dict[int, _Group]) -> None:
    left = list(groups)
    open_units = []
    signatures = dict.fromkeys(unit.signature for unit in units)
    for signature in signatures:
        same = [unit for unit in units if unit.signature == signature]
        there = [group for group in groups if group.signature == signature]
        if len(same) != len(there):
            open_units += same
            continue
        for one, two in itertools.pairwise(there):
            if not _numbered(one.label, two.label):
                raise DataError(
                    f"[{PLACE}] {one.label!r} and {two.label!r} have equal shapes, and either could belong to "
                    f"{described(same[0].module)}. help: names={{{same[0].module.name!r}: {one.label!r}, ...}}."
                )
        for unit, group in zip(same, there, strict=True):
            chosen[id(unit)] = group
            left.remove(group)
    for unit in open_units:  # for the report: the next module of the same kind
        kind = {suffix for suffix, _ in unit.signature}
        near = next((g for g in left if g.signature == unit.signature), None)
        near = near or next((g for g in left if set(g.tensors) == kind), None)
        if near is not None:
            chosen[id(unit)] = near
            left.remove(near)
