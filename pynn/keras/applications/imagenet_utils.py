"""What the networks of ImageNet have in common: pixels as they were trained on, names of classes, weights in files."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from pynn import keras
from pynn.errors import DataError, ShapeError
from pynn.keras import Input, Model, config, layers
from pynn.keras.layer import InputLayer, Operation
from pynn.keras.names import older
from pynn.keras.symbols import KerasTensor
from pynn.keras.utils import get_file

__all__ = ["decode_predictions", "network", "preprocess_input"]

# Of ImageNet's photographs: means of blue, green and red of 0 ... 255; means and deviations of red, green and blue.
CAFFE = (103.939, 116.779, 123.68)
TORCH = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
CLASSES = "imagenet_class_index.json"


def preprocess_input(x: Any, data_format: str | None = None, mode: str = "caffe") -> Any:
    """Return pixels of 0 ... 255, RGB, as a network was trained on them.

    Parameters
    ----------
    x : array_like or symbol [..., H, W, 3], or [..., 3, H, W]
    data_format : {"channels_last", "channels_first"}, optional
    mode : {"caffe", "tf", "torch"}, default "caffe"
        Blue first, less the mean of each colour; -1 ... 1; or 0 ... 1, less means and over deviations.

    Examples
    --------
    >>> preprocess_input(np.full((1, 1, 3), 255), mode="tf").tolist()
    [[[1.0, 1.0, 1.0]]]
    """
    if mode not in ("caffe", "tf", "torch"):
        raise ValueError(f"[preprocess_input] expected mode 'caffe', 'tf' or 'torch'. Received: {mode!r}.")
    first = (data_format or config.image_data_format()) == "channels_first"
    if not isinstance(x, KerasTensor) and not hasattr(x, "requires_grad"):
        x = np.asarray(x).astype(config.floatx(), copy=True)

    def colours(values):
        return np.reshape(np.asarray(values, np.float32), (3, 1, 1) if first else (3,))

    if mode == "tf":
        return x / 127.5 - 1.0
    if mode == "torch":
        return (x / 255.0 - colours(TORCH[0])) / colours(TORCH[1])
    turned = x[..., ::-1, :, :] if first else x[..., ::-1]
    return turned - colours(CAFFE)


def decode_predictions(preds: Any, top: int = 5) -> list[list[tuple[str, str, float]]]:
    """Return (WordNet id, name, probability) of the most probable classes of each image.

    Parameters
    ----------
    preds : array_like [N, 1000]
    top : int, default 5

    Raises
    ------
    DataError
        If Keras's list of names, imagenet_class_index.json, is not in ``~/.keras/models`` or ``PYNN_DATA``.
    """
    preds = np.asarray(preds)
    if preds.ndim != 2 or preds.shape[1] != 1000:
        raise ShapeError(f"[decode_predictions] expected predictions [N, 1000]. Received: {preds.shape}.")
    names = _names(get_file(CLASSES, cache_subdir="models"))
    return [[(*names[i], float(row[i])) for i in row.argsort()[: -top - 1 : -1]] for row in preds]


def _names(path: str) -> list[tuple[str, str]]:
    """Return WordNet id and name of each class."""
    try:
        found = json.loads(Path(path).read_text(encoding="utf-8"))
        return [(str(found[str(i)][0]), str(found[str(i)][1])) for i in range(1000)]
    except (ValueError, LookupError, TypeError, RecursionError) as error:
        raise DataError(
            f"[decode_predictions] {path}: expected Keras's list of 1,000 classes. Received: {type(error).__name__}."
        ) from None


def of_mode(mode: str) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """Return preprocess_input and decode_predictions of a module."""

    @functools.wraps(preprocess_input)
    def preprocess(x, data_format=None):
        return preprocess_input(x, data_format, mode)

    preprocess.__doc__ = f"Return pixels of 0 ... 255 as the network was trained on them: mode {mode!r}."
    return preprocess, decode_predictions


def network(
    name: str,
    body: Callable[[Any], Any],
    files: str,
    size: int = 224,
    smallest: int = 32,
    head: Callable[[Any, int, Any], Any] | None = None,
    called: str | None = None,
    endings: tuple[str, str] = ("", "_notop"),
) -> Callable[..., Any]:
    """Return the function that makes a network: Keras's arguments round its body.

    Parameters
    ----------
    name : str
        Of the function.
    body : callable
        Takes the symbol of the images and returns that of the last maps.
    files : str
        What Keras calls the file of weights.
    size, smallest : int
        Rows and columns of the images it was trained on, and the fewest that it takes.
    head : callable, optional
        Takes the maps, the number of classes and the activation; by default means of the maps and a dense layer.
    called : str, optional
        The model's name; by default that of the function, in small letters.
    endings : tuple of str
        Of the files with and without the head.
    """
    label = name.lower()

    def make(include_top=True, weights="imagenet", input_tensor=None, input_shape=None, pooling=None, classes=1000,
             classifier_activation="softmax", name=None):  # fmt: skip
        place = make.__name__
        if weights == "imagenet" and include_top and classes != 1000:
            raise ValueError(f"[{place}] expected classes=1000 with the weights of ImageNet. Received: {classes}.")
        path = _file(place, weights, f"{files}{endings[0 if include_top else 1]}.h5")
        image = _image(place, input_tensor, _shape(place, input_shape, include_top and weights == "imagenet",
                                                   size if include_top else None, smallest))  # fmt: skip
        x = body(image)
        if include_top:
            x = (head or _classified)(x, classes, classifier_activation)
        elif pooling in ("avg", "max"):
            layer = layers.GlobalAveragePooling2D if pooling == "avg" else layers.GlobalMaxPooling2D
            x = layer(name=f"{pooling}_pool")(x)
        elif pooling is not None:
            raise ValueError(f"[{place}] expected pooling None, 'avg' or 'max'. Received: {pooling!r}.")
        model = Model(
            image if image.call.layer.__class__ is InputLayer else _sources(image), x, name=name or called or label
        )
        if path is not None:
            model.load_weights(path)
        return model

    make.__name__ = make.__qualname__ = name
    make.__doc__ = f"""Return the network {name}.

    Parameters
    ----------
    include_top : bool, default True
        Whether it ends with the classifier.
    weights : {{"imagenet"}}, path or None, default "imagenet"
        None begins at random numbers; "imagenet" reads {files}*.h5 from ``~/.keras/models`` or ``PYNN_DATA``.
    input_tensor : symbol, optional
    input_shape : tuple of int, optional
        By default ({size}, {size}, 3) with the classifier, and any size without.
    pooling : {{None, "avg", "max"}}, default None
        Without the classifier: what becomes of the last maps.
    classes : int, default 1000
    classifier_activation : str or None, default "softmax"
    name : str, optional

    Raises
    ------
    DataError
        If the file of weights is not there.
    """
    return make


def _file(place, weights, name):
    if weights is None:
        return None
    if weights != "imagenet":
        return weights
    try:
        return get_file(name, cache_subdir="models")
    except DataError:
        raise DataError(
            f"[{place}] expected Keras's file {name} in ~/.keras/models or PYNN_DATA. Received: no such file; pynn "
            "downloads nothing. help: copy it from a machine on which Keras has loaded it once, or weights=None."
        ) from None


def _shape(place, given, fixed, size, smallest):
    first = config.image_data_format() == "channels_first"
    if given is None:
        return (3, size, size) if first else (size, size, 3)
    given = tuple(given)
    extents = given[1:] if first else given[:2]
    if len(given) != 3 or any(n is not None and n < smallest for n in extents):
        raise ShapeError(f"[{place}] expected images of at least {smallest} x {smallest}. Received: {given}.")
    if fixed and tuple(extents) != (size, size):
        raise ShapeError(
            f"[{place}] expected images of {size} x {size}, as the classifier's weights are for. Received: {given}. "
            "help: include_top=False takes any size."
        )
    return given


def _image(place, tensor, shape):
    if tensor is None:
        return Input(shape)
    if not isinstance(tensor, KerasTensor):
        raise TypeError(f"[{place}] expected a symbol as input_tensor. Received: {type(tensor).__name__}.")
    # Before Keras 3, what functions return is no layer's output: the network begins anew there.
    return Input(tensor=tensor) if older() and isinstance(tensor.call.layer, Operation) else tensor


def _sources(image):
    """Return the inputs that a symbol was made from."""
    found, todo, seen = [], [image], set()
    while todo:
        x = todo.pop()
        if id(x) not in seen:
            seen.add(id(x))
            found += [] if x.call.parents else [x]
            todo += x.call.parents
    return found[0] if len(found) == 1 else found


def _classified(x, classes, activation):
    x = layers.GlobalAveragePooling2D(name="avg_pool")(x)
    return layers.Dense(classes, activation=activation, name="predictions")(x)


def channels() -> int:
    """Return the axis of the channels."""
    return 1 if keras.config.image_data_format() == "channels_first" else -1


def normalized(x: Any, name: str | None = None, activation: str | None = None, **options: Any) -> Any:
    """Return a symbol after batch normalization, and after an activation of its own layer (name, what it is)."""
    return layers.BatchNormalization(axis=channels(), name=name, **options)(x)
