"""Whole files of models, checkpoints and language models, and what reads them."""

from __future__ import annotations

import functools
import importlib.util
import tempfile
import warnings
from pathlib import Path
from typing import Any

import numpy as np

import pynn
from pynn import nn

from .foreign import networks
from .packing import Files


def saved(model: Any, **more: Any) -> bytes:
    """Return the file of a model."""
    return pynn.io.dumps(model, **more)


@functools.cache
def trained() -> Any:
    """Return a small classifier, trained for some steps."""
    layers = [nn.Input((4,)), nn.Dense(5, activation="tanh", kernel_regularizer="l2"), nn.Dropout(0.5)]
    model = nn.Sequential([*layers, nn.Dense(3, activation="softmax")])
    model.compile(pynn.optim.Adam(pynn.schedules.Cosine(0.1, steps=5)), "cross_entropy", ["accuracy"], seed=1)
    model.fit(np.ones((8, 4), "float32"), np.arange(8) % 3, batch_size=4, verbose=0)
    return model


@functools.cache
def models() -> Files:
    """Return files of models of many kinds of layers."""
    a = nn.Input((2, 3))
    shared = nn.Dense(3)
    sequence = nn.Sequential([nn.Embedding(4, 2), nn.Bidirectional(nn.GRU(2)), nn.BatchNormalization()])
    sequence(np.ones((1, 3), "int32"))
    kept = nn.Sequential([nn.LSTM(1, stateful=True)])
    kept(np.ones((1, 2, 1), "float32"))
    found = {
        "dense": trained(),
        "branches": nn.Model(a, nn.Flatten()(nn.Add()([shared(a), shared(shared(a))]))),
        "sequence": sequence,
        "kept": kept,
        "prepared": prepared(),
        "image": nn.Sequential([nn.Input((4, 4, 1)), nn.Conv2D(1, 2), nn.MaxPool2D(2), nn.Reshape((-1,))]),
    }
    files = {f"{name}.pynn": saved(model) for name, model in found.items()}
    if importlib.util.find_spec("onnx"):
        import pynn.onnx

        files["network.pynn"] = saved(pynn.onnx.loads(next(iter(networks().values()))))
    return files


def prepared() -> Any:
    """Return a model with preprocessing in its file."""
    from pynn.io.columns import Chain, Columns, Encode, Impute, Standardize
    from pynn.io.preprocessing import Preprocessing

    numbers = Chain([Impute([1.0, 2.0]), Standardize(np.zeros(2), np.ones(2))], 2)
    words = Encode([["a", "b", None], np.array([1.0, 2.0])], True, [0, -1], 0.0, np.full(2, np.nan))
    model = nn.Sequential([nn.Input((6,)), nn.Dense(1)])
    step = Columns([([0, 1], numbers), ([3, 2], words)], 4)
    object.__setattr__(model, "_preprocessing", Preprocessing(step, ["p", "q", "r", "s"]))
    return model


def fit_on(path: Path) -> Any:
    """Go on from a checkpoint with the model of :func:`resumed`."""
    model, before = resumed()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.fit(*DATA, batch_size=4, epochs=2, verbose=0, callbacks=stops(), resume=path)
    after = model.get_weights()
    restore(model, before)
    return after


DATA = np.linspace(-1, 1, 48, dtype="float32").reshape(12, 4), np.arange(12) % 3


def stops() -> list[Any]:
    """Return callbacks that have states."""
    train = pynn.train
    return [train.EarlyStopping("loss", patience=3), train.ReduceLROnPlateau("loss", patience=2)]


def fresh() -> Any:
    """Return a model that can be trained, built."""
    model = nn.Sequential([nn.Input((4,)), nn.Dense(3), nn.BatchNormalization(), nn.Dense(3, activation="softmax")])
    model.compile(pynn.optim.SGD(0.1, momentum=0.9), "cross_entropy", ["accuracy"], seed=2)
    model.build((None, 4))
    return model


@functools.cache
def resumed() -> tuple[Any, dict[str, Any]]:
    """Return a model and its state."""
    model = fresh()
    with tempfile.TemporaryDirectory() as folder:
        for name, data in checkpoints().items():  # so that all is made that a training makes
            Path(folder, name).write_bytes(data)
            model.fit(*DATA, batch_size=4, epochs=2, verbose=0, callbacks=stops(), resume=Path(folder, name))
    return model, state(model)


def state(model: Any) -> dict[str, Any]:
    """Return the weights, what the optimizer keeps, and what counts and tells the rate."""
    trainer = model._trainer
    arrays = {name: array.copy() for name, array in _arrays(model).items()}
    rate = float(trainer.optimizer.learning_rate)
    return {**arrays, ".": [trainer.slots.get("step"), trainer.epochs, rate]}


def restore(model: Any, values: dict[str, Any]) -> None:
    """Undo what changed :func:`state`."""
    trainer = model._trainer
    step, trainer.epochs, trainer.optimizer.learning_rate = values["."]
    trainer.slots.set(step=step)
    trainer.optimizer.iterations = step
    for name, array in _arrays(model).items():
        array[...] = values[name]


def _arrays(model: Any) -> dict[str, np.ndarray]:
    from pynn.io.training import training_tensors

    told = training_tensors(model._trainer)
    kept = {f"kept/{name}": array for name, array in told.items() if not name.startswith("step/")}
    return {**{name: weight.view() for name, weight in model.named_parameters()}, **kept}


@functools.cache
def checkpoints() -> Files:
    """Return checkpoints between and within epochs."""
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        for every in (2, 3):
            model = fresh()
            keep = pynn.train.ModelCheckpoint(f"{folder}/{every}", every_batches=every, keep_last=2)
            model.fit(*DATA, batch_size=4, epochs=1, verbose=0, callbacks=[*stops(), keep])
            for path in Path(folder, str(every)).iterdir():
                found[f"{every}-{path.name}"] = path.read_bytes()
    return found


@functools.cache
def language() -> Files:
    """Return a language model with its tokenizer."""
    tokenizer = pynn.text.Tokenizer("char").fit("hello")
    model = nn.Sequential([nn.Embedding(4, 4), nn.LSTM(3, return_sequences=True), nn.Dense(4)])
    model.build((1, 1))
    return {"language.pynn": saved(model, metadata={"tokenizer": tokenizer.to_config()})}


def same_model(model: Any) -> Any:
    """Return what a model is, for comparison."""
    from pynn.io.model_file import contents

    if not model.built:  # a file may say that it is not
        return None
    tensors, texts = contents(model)
    return {name: array.copy() for name, array in tensors.items()}, texts["architecture"], texts.get("training")
