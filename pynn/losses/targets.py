"""Checks of targets at the API's edge: what was expected, what came, where, and what to do about it."""

from __future__ import annotations

from typing import Any

import numpy as np

from pynn.errors import DataError, DTypeError, ShapeError

__all__ = ["check_binary", "check_classes", "check_distributions", "check_signs", "check_values"]

SUM_TOLERANCE = 1e-2  # how far the sum of a distribution may be from 1


def _place(y: np.ndarray, bad: np.ndarray) -> str:
    """Return the position and the value of the first element that is bad, as in ``y[3] = 7``."""
    at = tuple(int(i) for i in np.argwhere(bad)[0])
    return f"y[{', '.join(map(str, at))}] = {y[at].item()!r}"


def _numbers(name: str, y: Any) -> np.ndarray:
    y = np.asarray(y)
    if y.dtype.kind not in "fiub":
        raise DTypeError(
            f"[{name}] expected targets that are numbers. Received: dtype={y.dtype}. "
            "help: encode text as integers first, np.unique(y, return_inverse=True)[1]."
        )
    if y.dtype.kind == "f":
        bad = ~np.isfinite(y)
        if bad.any():
            raise DataError(
                f"[{name}] expected finite targets. Received: {_place(y, bad)}, and {int(bad.sum())} such in all. "
                "help: remove or fill in the missing targets."
            )
    return y


def _floats(y: np.ndarray) -> np.ndarray:
    return y if y.dtype.kind == "f" and y.dtype.itemsize >= 4 else y.astype(np.float32)


def _like_output(name: str, y: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Return y with the shape of the output; (N,) and (N, 1) are the same."""
    if y.shape == shape:
        return y
    if y.shape == (*shape, 1) or (*y.shape, 1) == shape:
        return y.reshape(shape)
    width = shape[-1] if len(shape) > 1 else 1
    hint = ""
    if width > 1 and y.shape in (shape[:-1], (*shape[:-1], 1)) and y.dtype.kind in "iub":
        hint = (
            f" help: these look like labels; use loss='cross_entropy', or one-hot targets np.eye({width})[y] of width "
            f"{width}."
        )
    elif len(y.shape) == len(shape) and y.shape[:-1] == shape[:-1]:
        hint = f" help: the last layer should have {y.shape[-1]} units."
    elif len(shape) == 1 or (len(shape) == 2 and len(y.shape) > 2):
        hint = " help: reshape the targets, or give the model an output for each of them."
    raise ShapeError(f"[{name}] expected targets of the output's shape {shape}. Received: y.shape={y.shape}.{hint}")


def check_values(name: str, y: Any, shape: tuple[int, ...], least: float = -np.inf) -> np.ndarray:
    """Return real targets in the output's shape."""
    y = _like_output(name, _numbers(name, y), shape)
    if (y < least).any():
        raise DataError(f"[{name}] expected targets of at least {least:g}. Received: {_place(y, y < least)}.")
    return _floats(y)


def check_binary(name: str, y: Any, shape: tuple[int, ...]) -> np.ndarray:
    """Return targets from 0 to 1 in the output's shape."""
    y = _numbers(name, y)
    if y.ndim == 2 and shape[-1:] == (1,) and y.shape == (shape[0], 2):
        raise ShapeError(
            f"[{name}] expected targets of the output's shape {shape}. Received: one-hot targets {y.shape}. "
            "help: pass y[:, 1], or use nn.Dense(2) with loss='cross_entropy'."
        )
    y = _like_output(name, y, shape)
    bad = (y < 0) | (y > 1)
    if bad.any():
        hint = ""
        if set(np.unique(y)) <= {-1, 1}:
            hint = " help: for labels of -1 and 1 use loss='hinge', or convert them with (y + 1) / 2."
        elif y.dtype.kind in "iu" or not (y % 1).any():
            hint = " help: for more than two classes use an output per class and loss='cross_entropy'."
        raise DataError(f"[{name}] expected labels of 0 and 1, or values between. Received: {_place(y, bad)}.{hint}")
    return _floats(y)


def check_signs(name: str, y: Any, shape: tuple[int, ...]) -> np.ndarray:
    """Return labels of -1 and 1 in the output's shape; labels of 0 and 1 are converted."""
    y = _floats(_like_output(name, _numbers(name, y), shape))
    signs = (y == -1) | (y == 1)
    if signs.all():
        return y
    bad = ~signs if (y == -1).any() else (y != 0) & (y != 1)
    if bad.any():
        raise DataError(f"[{name}] expected labels of -1 and 1, or of 0 and 1. Received: {_place(y, bad)}.")
    return 2 * y - 1


def check_distributions(name: str, y: Any, shape: tuple[int, ...]) -> np.ndarray:
    """Return rows of probabilities (one-hot or soft) in the output's shape."""
    y = _numbers(name, y)
    if y.shape != shape:
        hint = ""
        if y.shape in (shape[:-1], (*shape[:-1], 1)):
            hint = f" help: one-hot targets are np.eye({shape[-1]})[y]; loss='cross_entropy' takes labels as they are."
        elif y.ndim == len(shape) and y.shape[:-1] == shape[:-1]:
            hint = f" help: the last layer should have {y.shape[-1]} units."
        raise ShapeError(f"[{name}] expected targets of the output's shape {shape}. Received: y.shape={y.shape}.{hint}")
    bad = (y < 0) | (y > 1)
    if bad.any():
        raise DataError(f"[{name}] expected probabilities from 0 to 1. Received: {_place(y, bad)}.")
    y = _floats(y)
    sums = y.sum(-1, dtype=np.float64)
    bad = np.abs(sums - 1) > SUM_TOLERANCE
    if bad.any():
        at = tuple(int(i) for i in np.argwhere(bad)[0])
        raise DataError(
            f"[{name}] expected targets that sum to 1 over the classes. Received: a sum of {sums[at]:g} in row "
            f"{at[0] if len(at) == 1 else at}. help: for several labels per sample use loss='binary_cross_entropy'."
        )
    return y


def check_classes(name: str, y: Any, shape: tuple[int, ...]) -> np.ndarray:
    """Return int32 labels without the class axis, or one-hot or soft targets in the output's shape."""
    classes = shape[-1]
    if len(shape) < 2 or classes < 2:
        raise ShapeError(
            f"[{name}] expected an output per class, at least 2. Received: an output of shape {shape}. "
            "help: give the last layer a unit for each class, or use loss='binary_cross_entropy'."
        )
    y = _numbers(name, y)
    if y.shape == (*shape[:-1], 1):
        y = y.reshape(shape[:-1])
    if y.shape != shape[:-1]:
        if y.shape == shape or y.ndim == len(shape):
            return check_distributions(name, y, shape)
        raise ShapeError(
            f"[{name}] expected labels of shape {shape[:-1]} or one-hot targets of shape {shape}. "
            f"Received: y.shape={y.shape}."
        )
    if y.dtype.kind == "f":
        bad = y % 1 != 0
        if bad.any():
            raise DataError(
                f"[{name}] expected labels that are whole numbers from 0 to {classes - 1}. Received: {_place(y, bad)}. "
                "help: for real targets use loss='mse'."
            )
    bad = (y < 0) | (y >= classes)
    if bad.any():
        hint = f" help: the last layer has {classes} units; it needs one for each of {int(y.max()) + 1} classes."
        if y.min() == 1 and y.max() == classes:
            hint = " help: labels count from 0; pass y - 1."
        elif y.min() < 0:
            hint = " help: labels count from 0."
        raise DataError(f"[{name}] expected labels from 0 to {classes - 1}. Received: {_place(y, bad)}.{hint}")
    return y.astype(np.int32)
