"""Weights that Keras 3 wrote, for a model of the same layers."""

from __future__ import annotations

import io
import os
import re
import zipfile
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from pynn import nn
from pynn._blocks import context
from pynn.convert.foreign import Target, fill
from pynn.convert.hdf5 import Arrays, endless
from pynn.convert.keras_layers import in_keras_order, keras_name, parallel, weights_of
from pynn.detect import name_format
from pynn.errors import DataError
from pynn.export.runs import described
from pynn.nn.module import Module
from pynn.packed import UNPACKING, read_at_most

__all__ = ["load_keras_weights"]

PLACE = "load_keras_weights"
INSIDE = "model.weights.h5"
SIZE_LIMIT = 1 << 30


def load_keras_weights(
    model: Any, path: str | os.PathLike[str], names: Mapping[str, str] | None = None, verbose: bool = True
) -> dict[str, str]:
    """Read the weights in a Keras 3 file into a pynn model of the same layers.

    Needs h5py (``pip install 'pynn-dl[keras]'``), not Keras; nothing in the file is executed. The layouts are the same.
    Layers are found as Keras itself does: by kind and place, the third Dense being ``dense_2``; or by name, if all
    layers with weights have names of your own that are in the file.

    Parameters
    ----------
    model : Module
        Built: a Sequential or Model, as in Keras, nested ones included.
    path : path-like
        A ``.keras`` or ``.weights.h5`` file.
    names : mapping of str to str, optional
        Which layer of the file (by name, or by path in the file) belongs to a layer (by name, or by path as in
        named_modules()), for instance ``{"head": "dense_7"}``.
    verbose : bool, default True
        Print the name map.

    Returns
    -------
    dict of str to str
        The name map: path of each weight to its place in the file.

    Raises
    ------
    DataError
        If a weight is missing, left over or of another shape (all are listed), or if branches of the model could change
        places; the model stays as it was.
    ImportError
        If h5py is missing.
    OSError
        If the file cannot be read.

    Examples
    --------
    >>> import pynn
    >>> from pynn import nn
    >>> model = nn.Sequential([nn.Input((4,)), nn.Dense(3)])
    >>> names = pynn.io.load_keras_weights(model, "model.keras")  # doctest: +SKIP
    layers.0.w  <-  layers/dense/vars/0
    layers.0.b  <-  layers/dense/vars/1
    """
    if type(model) not in (nn.Sequential, nn.Model):
        raise DataError(f"[{PLACE}] expected a Sequential or Model. Received: {type(model).__name__}.")
    model._require_built(PLACE)
    source = os.fspath(path)
    with _opened(source, model) as file:
        arrays = Arrays(file, source)
        if "layer_names" in file.attrs or "model_weights" in file:
            raise DataError(f"[{PLACE}] {source!r} has the format of Keras 2. help: save it as .keras with Keras 3.")
        targets = _Places(arrays, dict(names or {})).targets(model)
        ignored = [p for p in arrays.found if p.startswith("optimizer/") or "seed_generator" in p.split("/")]
        return fill(model, targets, arrays.found, arrays.read, ignored, PLACE, source, verbose)


@context
def _opened(source: str, model: Module) -> Iterator[Any]:
    """Open the HDF5 file, or the one inside a .keras archive."""
    try:
        import h5py  # type: ignore[import-untyped,unused-ignore]
    except ImportError:
        raise ImportError(f"[{PLACE}] needs the package h5py. help: pip install 'pynn-dl[keras]'.") from None
    with open(source, "rb") as raw:
        start = raw.read(64)
        raw.seek(0)
        whole = _member(raw, source, model) if start[:2] == b"PK" else raw
        if whole is raw and not start.startswith(b"\x89HDF\r\n\x1a\n"):
            kind = name_format(start, source) or "a file of no known format"
            raise DataError(f"[{PLACE}] expected a .keras or .weights.h5 file. Received: {source!r}, {kind}.")
        if endless(whole):
            raise DataError(f"[{PLACE}] {source!r} is damaged: a list of its texts has no end.")
        try:
            with h5py.File(whole, "r") as file:
                yield file
        except DataError:
            raise
        except (OSError, RuntimeError, KeyError, ValueError, TypeError) as error:  # what h5py says of damaged files
            raise DataError(f"[{PLACE}] {source!r} is damaged: {str(error)[:200]}.") from None


def _member(raw: Any, source: str, model: Module) -> io.BytesIO:
    # An optimizer may keep two or three more numbers per weight; more than that, no file for this model needs.
    limit = max(SIZE_LIMIT, 8 * sum(weight.size * weight.dtype.itemsize for _, weight in model.named_parameters()))
    try:
        with zipfile.ZipFile(raw) as archive:
            if INSIDE not in archive.namelist():
                kind = name_format(b"PK\x03\x04", source)
                raise DataError(f"[{PLACE}] {source!r} holds no {INSIDE}: it seems to be {kind}.")
            if archive.getinfo(INSIDE).file_size > limit:
                raise DataError(f"[{PLACE}] {source!r}: its {INSIDE} is larger than {limit:,} bytes.")
            with archive.open(INSIDE) as member:
                data = read_at_most(member, limit + 1)
    except DataError:
        raise
    except UNPACKING as error:
        raise DataError(f"[{PLACE}] {source!r} is damaged: {str(error)[:200]}.") from None
    if len(data) > limit:
        raise DataError(f"[{PLACE}] {source!r}: its {INSIDE} is larger than {limit:,} bytes.")
    return io.BytesIO(data)


class _Places:
    """Finds where in the file each layer of a model stands."""

    def __init__(self, arrays: Arrays, names: dict[str, str]):
        self.arrays, self.names = arrays, names
        self.groups = {path.rpartition("/")[0] for path in [*arrays.found, *arrays.names]}  # .../vars of every layer
        self.targets_found: list[Target] = []
        self.done: set[int] = set()
        self.asked = set(names)

    def targets(self, model: Any) -> list[Target]:
        self._container(model, "", "")
        if self.asked:
            raise DataError(f"[{PLACE}] names: the model has no layer {min(self.asked)!r} with weights.")
        return self.targets_found

    def _container(self, model: Any, path: str, base: str) -> None:
        layers = in_keras_order(model)
        weighted = [layer for layer in layers if next(layer.named_parameters(), None) is not None]
        by_name = self._by_name(base)
        places = self._numbered(layers)
        own = all(
            layer.name in by_name and not re.fullmatch(rf"{keras_name(layer)}(_\d+)?", layer.name) for layer in weighted
        )
        if own:
            places = {id(layer): by_name[layer.name] for layer in weighted}
        elif not self.names:
            self._refuse_branches(model, layers, base)
        at = {id(layer): f"{path}.layers.{i}".lstrip(".") for i, layer in reversed(list(enumerate(model._layers)))}
        for layer in weighted:
            here = at[id(layer)]
            place = self._asked_for(layer, here, by_name) or places[id(layer)]
            self._layer(layer, here, f"{base}layers/{place}" if "/" not in place else place)

    def _by_name(self, base: str) -> dict[str, str]:
        """Return, by the name that a layer had in Keras, its group in a container."""
        found = {}
        for path, name in self.arrays.names.items():
            match = re.fullmatch(rf"{re.escape(base)}layers/([^/]+)/vars", path)
            if match:
                found[name] = match[1]
        return found

    @staticmethod
    def _numbered(layers: list[Any]) -> dict[int, str]:
        counts: Counter[str] = Counter()
        places = {}
        for layer in layers:
            kind = keras_name(layer)
            places[id(layer)] = f"{kind}_{counts[kind]}" if counts[kind] else kind
            counts[kind] += 1
        return places

    def _asked_for(self, layer: Any, path: str, by_name: dict[str, str]) -> str | None:
        key = next((k for k in (path, layer.name) if k in self.names), None)
        if key is None:
            return None
        self.asked.discard(key)
        wanted = self.names[key]
        place = by_name.get(wanted, wanted.removesuffix("/vars"))
        if "/" not in wanted and wanted not in by_name:
            raise DataError(f"[{PLACE}] names: no layer {wanted!r} in the file. Known: {', '.join(sorted(by_name))}.")
        return place

    def _refuse_branches(self, model: Any, layers: list[Any], base: str) -> None:
        """Raise if layers of one kind and shape stand side by side and the file's layers are not those of the model."""
        there = Counter(re.sub(r"_\d+$", "", place) for place in self._by_name(base).values())
        there.pop("input_layer", None)
        if there == Counter(keras_name(layer) for layer in layers):
            return
        for one, two in parallel(model):
            if keras_name(one) == keras_name(two):
                raise DataError(
                    f"[{PLACE}] {described(one)} and {described(two)} stand in parallel branches, and the file has "
                    f"other layers than the model, so either could be the first. help: names={{{one.name!r}: ...}}."
                )

    def _layer(self, layer: Any, path: str, place: str) -> None:
        if id(layer) in self.done:
            return
        self.done.add(id(layer))
        if type(layer) in (nn.Sequential, nn.Model):
            self._container(layer, path, f"{place}/")
            return
        if type(layer) is nn.TimeDistributed:
            self._layer(layer.layer, f"{path}.layer", f"{place}/layer")
            return
        for inner, below, variables in weights_of(layer, PLACE):
            for i, name in enumerate(variables):
                weight = inner._weights[name]
                where = ".".join(part for part in (path, below[0], name) if part)
                source = f"{place}/{below[1]}vars/{i}"
                self.targets_found.append(Target(where, weight, (source,), (weight.shape,), lambda a: a))
