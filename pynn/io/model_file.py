"""Model files: one safetensors file with what a model is, its weights and states, and how it was trained."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar, cast

import numpy as np

from pynn._blocks import Held
from pynn._version import __version__
from pynn.checks import of_kind
from pynn.core.context import loading
from pynn.core.tensor import Tensor
from pynn.errors import DataError
from pynn.files import write_whole
from pynn.io import container
from pynn.io.architecture import Assembler, describe
from pynn.io.preprocessing import Preprocessing, of_file, preprocessing_of
from pynn.io.training import compile_as, describe_training, matched_slots, training_tensors

__all__ = [
    "FORMAT",
    "FORMAT_VERSION",
    "assemble",
    "contents",
    "dumps",
    "read_info",
    "read_metadata",
    "read_preprocessing",
    "refuse_name",
    "save",
]

FORMAT = "pynn"
FORMAT_VERSION = 1
DEPTH_LIMIT = 200
STATE = "state/"
OPTIMIZER = "optimizer/"
TRAINING = "training/"
PREPROCESSING = "preprocessing/"
WEIGHTS = ""  # all other names
# Endings of names that promise another format, and what writes that one. Keras's .keras may be that of pynn's own file:
# scripts that name their files so read them back with the same library.
FOREIGN = {
    ".c": "pynn.export.to_c writes C.",
    ".ckpt": "",
    ".h5": "",
    ".hdf5": "",
    ".joblib": "",
    ".json": "",
    ".npy": "numpy.save writes one array.",
    ".npz": "numpy.savez(path, *model.get_weights()) writes the weights.",
    ".onnx": "pynn.onnx.export writes ONNX.",
    ".pb": "",
    ".pickle": "",
    ".pkl": "",
    ".pt": "",
    ".pth": "",
    ".py": "pynn.export.to_numpy writes Python.",
    ".tflite": "",
}

T = TypeVar("T")
Pairs = list[tuple[np.ndarray, np.ndarray]]


def save(
    model: Any,
    path: str | os.PathLike[str],
    include_optimizer: bool = True,
    metadata: Mapping[str, Any] | None = None,
    preprocessing: Any = None,
) -> None:
    """Write a model into a file; see :meth:`pynn.nn.Module.save`.

    Parameters
    ----------
    model : Module
    path : path-like
    include_optimizer : bool, default True
        Whether what only training needs is kept.
    metadata : dict of str to JSON values, optional
        Anything of yours, such as class names.
    preprocessing : transformer of scikit-learn, optional
        Fitted; by default what the model was loaded with.
    """
    refuse_name("save", path)
    _given(
        model,
        include_optimizer,
        metadata,
        lambda *parts: write_whole(path, container.pack(*parts), container.verify),
        preprocessing,
    )


def refuse_name(place: str, path: str | os.PathLike[str]) -> None:
    """Refuse a name that promises another format than that of a model file.

    Raises
    ------
    ValueError
        The message tells what writes that format.
    """
    ending = os.path.splitext(os.fspath(path))[1].lower()
    if ending in FOREIGN and not os.path.isdir(path):
        other = f" {FOREIGN[ending]}" if FOREIGN[ending] else ""
        raise ValueError(
            f"[{place}] expected a name for pynn's own format. Received: {os.fspath(path)!r}. "
            f"help: end it in .pynn.{other}"
        )


def dumps(model: Any, include_optimizer: bool = True, metadata: Mapping[str, Any] | None = None) -> bytes:
    """Return the bytes of a model's file; parameters as for :meth:`pynn.nn.Module.save`.

    Parameters
    ----------
    model : Module
    include_optimizer : bool, default True
        Whether what only training needs is kept.
    metadata : dict of str to JSON values, optional
        Anything of yours, such as class names.
    """
    return _given(model, include_optimizer, metadata, lambda *parts: b"".join(container.pack(*parts)))


def _given(
    model: Any,
    include_optimizer: bool,
    metadata: Mapping[str, Any] | None,
    use: Callable[[dict[str, np.ndarray], dict[str, str]], T],
    preprocessing: Any = None,
) -> T:
    """Use the contents of a file as they are between two updates, also while another thread trains the model."""
    of_kind("save", "model", model, "a model of pynn.nn", "_still", "get_weights")
    with model._still():
        tensors, texts = contents(model, include_optimizer, metadata, preprocessing=preprocessing)
        if model._trainer is None or not model._trainer.turns.elsewhere:
            return use(tensors, texts)
        tensors = {name: array.copy() for name, array in tensors.items()}
    return use(tensors, texts)  # it trains on while the file is written


def contents(
    model: Any,
    include_optimizer: bool = True,
    metadata: Mapping[str, Any] | None = None,
    progress: tuple[dict[str, np.ndarray], dict[str, Any]] | None = None,
    preprocessing: Any = None,
) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Return the tensors (windows on the model's own memory) and texts of a file; `progress` is that of a training."""
    model._require_built("save") if hasattr(model, "_layers") else None
    modules = list(model.named_modules())
    texts = {
        "format": FORMAT,
        "format_version": str(FORMAT_VERSION),
        "pynn_version": __version__,
        "architecture": _text(describe(model)),
        "metadata": _text(_checked_metadata(metadata)),
    }
    tensors = {path: weight.view() for path, weight in model.named_parameters()}
    _check_paths(model)
    for path, module in model.named_modules():
        for i, kept in enumerate(getattr(module, "_kept", None) or ()):
            tensors[f"{STATE}{path}/{i}"] = kept.view()
    if include_optimizer and model._trainer is not None:
        texts["training"] = _text(describe_training(model._trainer))
        for name, array in training_tensors(model._trainer).items():
            tensors[OPTIMIZER + name] = array
    if progress is not None:
        texts["progress"] = _text(progress[1])
        for name, array in progress[0].items():
            tensors[TRAINING + name] = array
    if preprocessing is None:
        preprocessing = getattr(model, "_preprocessing", None)  # that it was loaded with
    columns = getattr(model, "_columns", None)
    if preprocessing is None and columns is not None and len(columns) == 1 and "columns" not in (metadata or ()):
        texts["metadata"] = _text(_checked_metadata({**(metadata or {}), "columns": list(columns[0])}))
    if preprocessing is not None:
        table, arrays = preprocessing_of(preprocessing).describe()
        texts["preprocessing"] = _text(table)
        tensors |= {PREPROCESSING + name: array for name, array in arrays.items()}
    if modules != list(model.named_modules()):
        raise RuntimeError(
            "[save] expected a model whose layers stay as they are. Received: one that got another meanwhile, "
            "perhaps in another thread. help: save before or after the model is changed."
        )
    for key in ("architecture", "metadata", "training", "progress", "preprocessing"):
        problem = container.beyond_limits(texts[key].encode(), DEPTH_LIMIT) if key in texts else ""
        if problem:
            raise DataError(f"[save] expected a model that can be loaded again. Its {key} {problem}.")
    return tensors, texts


def _check_paths(model: Any) -> None:
    """Refuse two layers of one path: a file would hold one of them."""
    seen: dict[str, Any] = {}
    for path, module in model.named_modules():
        if path in seen:
            raise DataError(
                f"[save] expected layers of different paths. Received: {path!r} twice, a {type(seen[path]).__name__} "
                f"and a {type(module).__name__}. help: rename an attribute, or keys of a dict with dots in them."
            )
        seen[path] = module


def read_metadata(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Return the ``metadata`` that was given to :meth:`pynn.nn.Module.save`, without making the model.

    Raises
    ------
    DataError, OSError
        As :func:`pynn.load`.
    """
    return read_info(path)["metadata"]


def read_info(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Return what a file says of itself, without making the model.

    Returns
    -------
    dict
        ``format_version``, ``pynn_version``, ``architecture``, ``metadata``, ``training``, ``progress`` and
        ``preprocessing`` (None where they were left out), and ``tensors``: names to (dtype, shape).

    Raises
    ------
    DataError, OSError
        As :func:`pynn.load`.
    """
    found, source = _opened(path)
    return {
        **texts_of(found, source),
        "tensors": {k: (str(a.dtype), a.shape) for k, a in sorted(found.tensors.items())},
    }


def read_preprocessing(path: str | os.PathLike[str]) -> Preprocessing | None:
    """Return the preprocessing that was given to :meth:`pynn.nn.Module.save`, None if there was none.

    Raises
    ------
    DataError, OSError
        As :func:`pynn.load`.

    Examples
    --------
    >>> import numpy as np, pynn, tempfile
    >>> from sklearn.preprocessing import StandardScaler
    >>> x = np.array([[1.0, 20.0], [3.0, 40.0]])
    >>> model = pynn.nn.Sequential([pynn.nn.Input((2,)), pynn.nn.Dense(1)])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     model.save(f"{folder}/model.pynn", preprocessing=StandardScaler().fit(x))
    ...     pynn.io.read_preprocessing(f"{folder}/model.pynn").transform(x)
    array([[-1., -1.],
           [ 1.,  1.]])
    """
    found, source = _opened(path)
    table = texts_of(found, source)["preprocessing"]
    return None if table is None else of_file(table, split(found.tensors)[PREPROCESSING])


def _opened(path: str | os.PathLike[str]) -> tuple[container.Contents, str]:
    return container.read(path), os.fspath(path)


def assemble(found: container.Contents, source: str) -> Any:
    """Return the model that a file's contents describe; the classes that it names must have been loaded."""
    texts = texts_of(found, source)
    try:
        assembler = Assembler(texts["architecture"])
        parts = split(found.tensors)
        with _weights_from(assembler.model, parts[WEIGHTS]):
            assembler.build()
        restore(matched_weights(assembler.model, parts[WEIGHTS]), matched_states(assembler.model, parts[STATE]))
        if texts["preprocessing"] is not None or parts[PREPROCESSING]:
            preprocessing = of_file(texts["preprocessing"], parts[PREPROCESSING])
            object.__setattr__(assembler.model, "_preprocessing", preprocessing)
        elif columns := _columns(texts["metadata"], assembler.model):
            object.__setattr__(assembler.model, "_columns", (columns,))
        if texts["training"] is not None:
            compile_as(assembler.model, texts["training"])
            trainer = assembler.model._trainer
            restore(matched_slots(trainer, parts[OPTIMIZER], texts["training"]["step"]), ())
            trainer.slots.set(step=texts["training"]["step"])
            trainer.optimizer.iterations = texts["training"]["step"]
    except DataError as error:
        raise DataError(f"{error} File: {source!r}.") from error
    return assembler.model


def split(tensors: Mapping[str, np.ndarray]) -> dict[str, dict[str, np.ndarray]]:
    """Return the tensors by part of the file, WEIGHTS, STATE, OPTIMIZER and so on; each by its name there."""
    parts: dict[str, dict[str, np.ndarray]] = {
        STATE: {}, OPTIMIZER: {}, TRAINING: {}, PREPROCESSING: {}, WEIGHTS: {},
    }  # fmt: skip
    for name, array in tensors.items():
        prefix = next(part for part in parts if name.startswith(part))
        parts[prefix][name.removeprefix(prefix)] = array
    return parts


def texts_of(found: container.Contents, source: str) -> dict[str, Any]:
    """Return the parsed texts of a file, after format, version and digest were checked."""
    texts = found.metadata
    if texts.get("format") != FORMAT:
        raise DataError(
            f"[load] expected a pynn model file. Received: {source!r}, a safetensors file without a pynn architecture "
            f"({len(found.tensors)} tensors). help: make the model in code, then give it these weights."
        )
    version = texts.get("format_version", "")
    if not version.isascii() or not version.isdigit() or len(version) > 6 or int(version) < 1:
        raise DataError(f"[load] {source!r} is damaged: its format_version is {version[:20]!r}.")
    if int(version) > FORMAT_VERSION:
        raise DataError(
            f"[load] {source!r} has format version {version}, written by pynn {texts.get('pynn_version', '?')[:20]}. "
            f"This is pynn {__version__}, which reads versions up to {FORMAT_VERSION}. help: upgrade pynn."
        )
    if texts.get(container.DIGEST) != container.digest(found.tensors, texts):
        raise DataError(
            f"[load] {source!r} is damaged: its contents do not have the digest that was written with them."
        )
    parsed: dict[str, Any] = {"format_version": int(version), "pynn_version": texts.get("pynn_version", "")}
    for key in ("architecture", "metadata", "training", "progress", "preprocessing"):
        text = texts.get(key)
        if text is None and key in ("architecture", "metadata"):
            raise DataError(f"[load] {source!r} is damaged: it has no {key}.")
        parsed[key] = None if text is None else container.checked_json(text.encode(), DEPTH_LIMIT, source, key)
    if not isinstance(parsed["metadata"], dict):
        raise DataError(f"[load] {source!r} is damaged: its metadata is no table.")
    return parsed


def _weights_from(model: Any, tensors: Mapping[str, np.ndarray]) -> Held:
    """Let add_weight() take what the file has of the declared shape: a file cannot make pynn allocate more."""
    paths: dict[int, str] = {}

    def values(module: Any, name: str, shape: tuple[int, ...]) -> np.ndarray:
        if id(module) not in paths:
            paths.update((id(m), path) for path, m in model.named_modules())
        path = paths.get(id(module), module.name)
        return _fitting(tensors, f"{path}.{name}" if path else name, shape, module.dtype)

    return Held(loading, values=values)


def _fitting(tensors: Mapping[str, np.ndarray], path: str, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    if path not in tensors:
        raise DataError(f"[load] tensor {path!r} is missing: the architecture has it, {dtype} of shape {shape}.")
    found = tensors[path]
    if found.shape != shape or found.dtype != dtype:
        raise DataError(
            f"[load] expected tensor {path!r} of shape {shape}, {dtype}. Received: {found.shape}, {found.dtype}."
        )
    return found


def matched_weights(model: Any, tensors: Mapping[str, np.ndarray]) -> Pairs:
    """Return (weight, its value in the file) for all; raise if a tensor is missing, left over, or does not fit."""
    named = list(model.named_parameters())
    fitting = [_fitting(tensors, path, weight.shape, weight.dtype) for path, weight in named]
    extra = sorted(set(tensors) - {path for path, _ in named})
    if extra:
        more = f" and {len(extra) - 3} more" if len(extra) > 3 else ""
        raise DataError(f"[load] no layer has the tensors {', '.join(map(repr, extra[:3]))}{more}.")
    return [(weight.view(), array) for (_, weight), array in zip(named, fitting, strict=True)]


def matched_states(model: Any, tensors: Mapping[str, np.ndarray]) -> list[tuple[Any, list[np.ndarray] | None]]:
    """Return (recurrent layer, the states that it kept between batches, None for zeros); raise if one does not fit."""
    left = dict(tensors)
    found: list[tuple[Any, list[np.ndarray] | None]] = []
    for path, module in model.named_modules():
        count = getattr(module, "state_count", 0) if hasattr(module, "_kept") else 0
        names = [f"{path}/{i}" for i in range(count)]
        if not names or names[0] not in left:
            if names:
                found.append((module, None))
            continue
        arrays = [left.pop(name, None) for name in names]
        for name, array in zip(names, arrays, strict=True):
            good = array is not None and array.ndim == 2 and array.shape[1] == module.units
            if not good or array.shape != arrays[0].shape or array.dtype != module.dtype:  # type: ignore[union-attr]
                raise DataError(f"[load] expected the state {name!r} of shape (N, {module.units}), {module.dtype}.")
        found.append((module, cast("list[np.ndarray]", arrays)))
    if left:
        raise DataError(f"[load] no layer keeps the states {', '.join(map(repr, sorted(left)[:3]))}.")
    return found


def restore(weights: Pairs, states: Iterable[tuple[Any, list[np.ndarray] | None]]) -> None:
    """Write what was matched."""
    for target, array in weights:
        target[...] = array
    for module, arrays in states:
        if arrays is not None:
            object.__setattr__(module, "_kept", [Tensor.state(array) for array in arrays])
        elif module._kept is not None:
            module.reset_states()


def _columns(metadata: Mapping[str, Any], model: Any) -> tuple[str, ...] | None:
    """Return the names of the columns that a model was trained on, where a file tells them of all its inputs."""
    names: Any = metadata.get("columns")
    shape: tuple[int, ...] = getattr(model, "_built_for", ())
    known = isinstance(names, list) and all(isinstance(name, str) for name in names)
    return tuple(names) if known and len(shape) == 2 and shape[1] == len(names) else None


def _checked_metadata(metadata: Mapping[str, Any] | None) -> dict[str, Any]:
    table = {} if metadata is None else dict(metadata)
    if not all(isinstance(key, str) for key in table):
        raise TypeError("[save] expected metadata with texts as keys.")
    try:
        text = json.dumps(table, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise TypeError(f"[save] expected metadata that JSON can hold. Received: {error}.") from None
    if json.loads(text) != table:
        raise TypeError("[save] expected metadata of texts, numbers, lists and tables alone (JSON has no tuples).")
    return table


def _text(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), allow_nan=False)
