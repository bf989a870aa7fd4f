"""A model for a web page: its recorded programs as data, with the kernels and what runs them, in one file."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Callable
from typing import Any

import numpy as np

from pynn.core.context import training
from pynn.core.program import record
from pynn.core.state import for_pages, no_grad, observed, trial
from pynn.core.tensor import Tensor
from pynn.errors import DataError
from pynn.export.as_data import State, as_data
from pynn.export.runs import examples
from pynn.export.target import check_name
from pynn.files import write_whole
from pynn.io import container
from pynn.io.model_file import assemble, dumps
from pynn.ops import steps
from pynn.train.stepping import record_step
from pynn.web import bundled

__all__ = ["FORMAT", "to_web", "web_data"]

FORMAT = 1
LEDGER = ("cursor", "offset", "rate", "sums", "losses", "hits")


def web_data(
    model: Any,
    train: bool = False,
    input_shape: Any = None,
    batch_size: int = 32,
    more: Callable[[Any, State, dict[str, Any]], dict[str, Any]] | None = None,
) -> dict[str, Any]:
    """Return a model as programs for a page: what :func:`to_web` writes, before it is written.

    Parameters
    ----------
    model : Module
        Built, of float32, with one input and one output. It stays as it is.
    train : bool, default False
        Whether the step of its training comes along, with loss, optimizer and penalties; then it must be compiled.
    input_shape : tuple of int, optional
        Of one sample.
    batch_size : int, default 32
        Samples of one step.
    more : callable, optional
        Takes a copy of the model, the state and the programs; adds programs of its own, and returns what else is to be
        in the result.

    Returns
    -------
    dict
        ``format``, ``programs`` ("predict", and "train"), ``weights`` and ``layers`` (name, shape, dtype, offset in the
        state), ``input``, ``output``, ``target``, ``batch_size``, ``rate``, ``seed``, and ``state``: the first contents
        of the memory that programs share, in base64.

    Raises
    ------
    DataError
        If a layer has kernels that no page has, or the model has several inputs or outputs.
    """
    if not model.built:
        examples(model, input_shape)
    twin = assemble(container.unpack(dumps(model), "bytes"), "bytes")
    samples = examples(twin, input_shape)
    if len(samples) != 1:
        raise DataError(f"[export] expected a model with one input for a page. Received: {len(samples)} inputs.")
    [x] = samples
    trainer = getattr(twin, "_trainer", None)
    known = [t for module in twin.modules() for t in module._weights.values() if t is not None]
    made: dict[str, Any] = {"format": FORMAT, "programs": {}}
    if train:
        if trainer is None:
            raise DataError("[export] expected a compiled model for its training step. help: model.compile(...) first.")
        trainer.flatten()
        known += [t for p in trainer.flat.tensors for t in trainer.optimizer.table[p].named().values()]
        known += [trainer.slots.seed, trainer.slots.step]
    state = State(known)
    made |= _prediction(twin, x, state, made["programs"])
    if train:
        head = model._trainer.head  # a copy's head does not know by which of its names the loss was asked for
        rows = head.kind == "rows" or head.asked_for[0] == "categorical_crossentropy"
        made |= _training(twin, trainer, x, state, made["programs"], batch_size, rows)
    if more is not None:
        made |= more(twin, state, made["programs"])
    made["weights"] = [state.described(path, t) for path, t in twin.named_parameters()]
    made["state_bytes"] = state.nbytes
    made["state"] = base64.b64encode(state.contents()).decode()
    return made


def _prediction(twin: Any, x: Tensor, state: State, programs: dict[str, Any]) -> dict[str, Any]:
    """Record the forward pass of one sample; the outputs of the layers on the way stay in the state."""
    seen: list[tuple[Any, Any]] = []
    look = observed(lambda module, out: seen.append((module, out)))
    with look, no_grad(), training(False), trial(), for_pages(), record(x) as recorder:
        out = twin(x)
        if not isinstance(out, Tensor):
            raise DataError("[export] expected a model with one output for a page. Received: several.")
        kept = []
        for module, value in seen:
            if isinstance(value, Tensor) and module is not twin and value.dtype == np.float32:
                room = Tensor.state(np.zeros(value.shape, value.dtype))
                steps.assign(value, room)
                kept.append((module.name, room))
        result = Tensor.state(np.zeros(out.shape, out.dtype))
        steps.assign(out, result)
    programs["predict"] = as_data(recorder, ["x"], state)
    return {
        "input": {"shape": list(x.shape[1:]), "dtype": str(x.dtype)},
        "output": state.described("output", result),
        "layers": [state.described(name, room) for name, room in kept],
    }


def _training(
    twin: Any, trainer: Any, x: Tensor, state: State, programs: dict[str, Any], batch_size: int, shares: bool
) -> dict[str, Any]:
    rows = np.zeros((batch_size, *x.shape[1:]), x.dtype)
    with no_grad(), training(False), trial():
        one = twin(x)
    labels = trainer.data(rows, _targets(trainer, one, batch_size, shares), place="export")
    with for_pages():
        recorder = record_step(trainer, labels, np.arange(batch_size), batch_size)
    arrays = labels.arrays()
    names = ["x", "y", *(f"more{i}" for i in range(len(arrays) - 2)), "order", *LEDGER]
    programs["train"] = as_data(recorder, names, state)
    return {
        "target": {"shape": list(arrays[1].shape[1:]), "dtype": str(arrays[1].dtype)},
        "batch_size": batch_size,
        "rate": float(trainer.optimizer.learning_rate),
        "seed": trainer.seed,
        "steps": state.described("steps", trainer.slots.step),
    }


def _targets(trainer: Any, out: Any, n: int, shares: bool) -> np.ndarray:
    """Return targets of the kind that the loss takes; shares: a share of each class instead of a class."""
    if trainer.loss.task == "classes" and not shares:
        return np.zeros((n, *out.shape[1:-1]), np.int32)
    return np.full((n, *out.shape[1:]), 1 / out.shape[-1], np.float32)  # a distribution, and no row of one class alone


def to_web(
    model: Any,
    path: str | os.PathLike[str],
    train: bool = False,
    input_shape: Any = None,
    batch_size: int = 32,
) -> list[str]:
    """Write a model as one JavaScript file that runs it in a page, and a page that shows how.

    The file holds the kernels as WebAssembly, the programs that Python recorded, the weights, and a loader that fulfils
    ``pynn.d.ts``. It needs no server and asks for nothing: ``<script src="reader.js"></script>`` defines
    ``pynn.load()``.

    Parameters
    ----------
    model : Module
        Built, of float32, with one input and one output.
    path : path-like
        Ends in ``.js``.
    train : bool, default False
        Whether the page can go on training the model.
    input_shape : tuple of int, optional
        Of one sample.
    batch_size : int, default 32
        Samples of one step of training.

    Returns
    -------
    list of str
        The files: the script, its types, and a page.

    Raises
    ------
    DataError
        If a layer has kernels that no page has.
    FileNotFoundError
        If this pynn was built without the kernels for pages.

    Examples
    --------
    >>> from pynn import nn
    >>> from pynn.export import to_web
    >>> model = nn.Sequential([nn.Input((4,)), nn.Dense(3, activation="softmax")])
    >>> to_web(model, "iris.js")                                                                    # doctest: +SKIP
    ['iris.js', 'iris.d.ts', 'iris.html']
    """
    script = os.fspath(path)
    check_name(script, ".js", "web")
    stem = script[: -len(".js")]
    data = web_data(model, train, input_shape, batch_size)
    texts = bundled(os.path.basename(script), json.dumps(data, separators=(",", ":")))
    files = [script, f"{stem}.d.ts", f"{stem}.html"]
    for name, text in zip(files, texts, strict=True):
        write_whole(name, [text.encode()])
    return files
