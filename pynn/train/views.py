"""Predictions from several views of each image: crops of its corners and middle, and their mirror images."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from pynn.checks import integer, of_kind, pair
from pynn.core.tensor import Tensor, to_array
from pynn.errors import ShapeError
from pynn.losses.logits import Scores
from pynn.train.data import external
from pynn.train.evaluate import predict
from pynn.train.measuring import Totals
from pynn.train.network import Network
from pynn.train.predictor import ROWS, logits
from pynn.train.results import Results

__all__ = ["evaluate_views", "predict_views"]


class Views:
    """How views are cut out of images.

    Parameters
    ----------
    place : str
        For messages.
    model : Network
        Built for images of the size of a crop, or of the size of those that are given: then it gets images that are
        moved, so that the crop lies in their middle, where ``nn.RandomCrop`` looks when it does not train.
    shape : tuple of int
        Of the images, [N, H, W, C].
    size : int or (int, int), optional
        Of the crops.
    flips : bool
        Whether each view is taken mirrored too.
    """

    def __init__(self, place: str, model: Network, shape: tuple[int, ...], size: Any, flips: bool):
        if len(shape) != 4:
            raise ShapeError(f"[{place}] expected images [N, H, W, C]. Received: x.shape={shape}.")
        image = shape[1:3]
        height, width = image if size is None else pair(place, "size", size)
        if height > image[0] or width > image[1]:
            raise ShapeError(
                f"[{place}] expected crops of at most {image[0]} x {image[1]} pixels. Received: {height} x {width}."
            )
        model._require_built(place)
        inputs = getattr(model, "input_shapes", None) or [model._built_for[1:]]
        if len(inputs) != 1:
            raise ShapeError(f"[{place}] expected a model of images alone. Received: one of {len(inputs)} inputs.")
        taken = tuple(inputs[0][:2])
        if taken not in ((height, width), image):
            raise ShapeError(
                f"[{place}] expected a model of images of {image[0]} x {image[1]} or {height} x {width} pixels. "
                f"Received: one of {' x '.join(map(str, taken))}."
            )
        rows, columns = image[0] - height, image[1] - width
        middle = (rows + 1) // 2, (columns + 1) // 2  # as RandomCrop rounds
        corners = [(0, 0), (0, columns), (rows, 0), (rows, columns)]
        self.corners = [*dict.fromkeys([middle, *corners])]
        self.size, self.middle, self.flips = (height, width), middle, flips
        self.moves = taken == image

    def of(self, x: np.ndarray) -> Iterator[np.ndarray]:
        """Yield the views of images, of the middle first."""
        for corner in self.corners:
            for step in (1, -1)[: 1 + self.flips]:
                yield self._at(x, *corner, step)

    def _at(self, x: np.ndarray, top: int, left: int, step: int) -> np.ndarray:
        (height, width), (row, column) = self.size, self.middle
        crop = x[:, top : top + height, left : left + width][:, :, ::step]
        if not self.moves:
            return np.ascontiguousarray(crop)
        moved = np.zeros_like(x)
        moved[:, row : row + height, column : column + width] = crop
        return moved


def _each(outputs: list[Any], join: Callable[[list[np.ndarray]], np.ndarray]) -> Any:
    """Return what `join` makes of several outputs of a model: of arrays, or of each in tuples, lists and dicts."""
    first = outputs[0]
    if isinstance(first, dict):
        return {key: _each([out[key] for out in outputs], join) for key in first}
    if isinstance(first, (tuple, list)):
        parts = [_each(list(part), join) for part in zip(*outputs, strict=True)]
        return type(first)(*parts) if hasattr(first, "_fields") else type(first)(parts)
    return join(outputs)


def _mean(arrays: list[np.ndarray]) -> np.ndarray:
    return np.mean(arrays, axis=0, dtype=np.float64).astype(arrays[0].dtype)


def _images(x: Any, place: str) -> np.ndarray:
    return x if type(x) is np.ndarray else to_array(x, place)


def predict_views(
    model: Network, x: Any, size: Any = None, *, flips: bool = True, batch_size: int | None = None
) -> Any:
    """Return the mean of a model's outputs for several views of each image: its corners and middle, and mirrored.

    With crops smaller than the images there are 10 views, 5 without flips; else the image and its mirror image.

    Parameters
    ----------
    model : Module
        Of images of the size of a crop, or of the size of those in x: then what is given to it are images moved so
        that the view lies in their middle, with zeros around it. A model that begins with ``nn.RandomCrop(size)`` sees
        the view alone.
    x : array_like [N, H, W, C]
    size : int or (int, int), optional
        Height and width of the crops; by default the images'.
    flips : bool, default True
        Whether each view is taken mirrored left to right too.
    batch_size : int, optional
        Rows per pass, by default 256.

    Returns
    -------
    ndarray [N, ...]
        As ``predict`` gives it: a tuple, list or dict where the model has several outputs. Probabilities, where the
        model ends in softmax; where it ends in logits, their mean.

    Raises
    ------
    ShapeError
        If x are no images, if a crop is larger than they, or if the model takes images of another size.

    References
    ----------
    A. Krizhevsky, I. Sutskever and G. Hinton, "ImageNet classification with deep convolutional neural networks", 2012,
    section 4.1.

    Examples
    --------
    >>> import numpy as np, pynn
    >>> from pynn import nn
    >>> layers = [nn.Input((32, 32, 3)), nn.RandomCrop(24), nn.Flatten(), nn.Dense(10, activation="softmax")]
    >>> model = nn.Sequential(layers, seed=0)
    >>> x = np.random.default_rng(0).random((5, 32, 32, 3), "float32")
    >>> pynn.train.predict_views(model, x, 24).shape
    (5, 10)
    """
    x = _images(x, "predict_views")
    views = Views("predict_views", model, x.shape, size, flips)
    rows = ROWS if batch_size is None else integer("predict_views", "batch_size", batch_size, 1)
    parts = [x[i : i + rows] for i in range(0, max(1, len(x)), rows)]
    found = [_each([predict(model, view, rows, None) for view in views.of(part)], _mean) for part in parts]
    return _each(found, np.concatenate)


def evaluate_views(
    model: Network,
    x: Any,
    y: Any,
    size: Any = None,
    *,
    flips: bool = True,
    sample_weight: Any = None,
    batch_size: int | None = None,
) -> Results:
    """Return loss and metrics of the mean of a model's outputs for several views of each image.

    Parameters
    ----------
    model : Module
        Compiled; else as for :func:`predict_views`.
    x : array_like [N, H, W, C]
    y : array_like [N, ...]
    size : int or (int, int), optional
        Height and width of the crops; by default the images'.
    flips : bool, default True
        Whether each view is taken mirrored left to right too.
    sample_weight : array_like [N], optional
    batch_size : int, optional
        Rows per pass, by default 256.

    Returns
    -------
    Results
        As ``evaluate`` gives it.

    Raises
    ------
    ShapeError
        If x are no images, if a crop is larger than they, or if the model takes images of another size.

    Examples
    --------
    >>> import numpy as np, pynn
    >>> from pynn import nn
    >>> layers = [nn.Input((32, 32, 3)), nn.RandomCrop(24), nn.Flatten(), nn.Dense(10, activation="softmax")]
    >>> model = nn.Sequential(layers, seed=0)
    >>> model.compile("sgd", "cross_entropy", ["accuracy"])
    >>> x, y = np.random.default_rng(0).random((50, 32, 32, 3), "float32"), np.arange(50) % 10
    >>> sorted(pynn.train.evaluate_views(model, x, y, 24).keys())
    ['accuracy', 'loss']
    """
    place = "evaluate_views"
    of_kind(place, "model", model, "a compiled model", "_need_trainer")
    trainer = model._need_trainer(place)
    x = _images(x, place)
    views = Views(place, model, x.shape, size, flips)
    rows = ROWS if batch_size is None else integer(place, "batch_size", batch_size, 1)
    data = trainer.data(next(views.of(x)), y, sample_weight, place=place)  # which needs images that the model takes
    totals = Totals(trainer)
    for i in range(0, len(x), rows):
        part = data.cut(slice(i, i + rows))
        shown = [trainer.inputs(view, place) for view in views.of(x[i : i + rows])]
        outputs = [_activated(trainer, logits(trainer).outputs(xs, rows)) for xs in shown]
        totals.add(part, _each(outputs, _mean), activated=True)
    return Results(totals.result())


def _activated(trainer: Any, out: Any) -> Any:
    """Return outputs as predict() gives them, of what the loss takes."""
    if trainer.head.several:
        heads = trainer.head.each()
        return [_one(head, part) for head, part in zip(heads, out, strict=True)]
    return _one(trainer.head, out)


def _one(head: Any, out: Any) -> np.ndarray:
    values: Tensor = Scores(external(np.ascontiguousarray(out)), head.form).activated(head.loss)
    return values.numpy()
