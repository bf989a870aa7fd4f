"""What a unit looks for: the input that drives it most, by gradient ascent."""

from __future__ import annotations

from typing import Any

import numpy as np

from pynn.checks import integer, number, of_kind, positive
from pynn.errors import unknown_name
from pynn.keywords import spelled

__all__ = ["best_stimulus"]


@spelled
def best_stimulus(
    model: Any,
    layer: str | int,
    unit: int,
    *,
    start: Any = None,
    norm: float | None = None,
    steps: int = 200,
    rate: float = 0.1,
    seed: int = 0,
) -> np.ndarray:
    """Return the x with |x| = norm that drives a unit most, as gradient ascent finds it (Erhan et al. 2009).

    Every step goes along the gradient, by a share of the input's length that falls to 0, and back to that length. It
    finds a maximum near where it began, not always the highest one: other seeds begin elsewhere.

    Parameters
    ----------
    model : Module
        Built, with one input; its last softmax, if any, should be no part of what is asked for: it saturates.
    layer : str or int
        Name of a layer, or its place in the model's ``layers``.
    unit : int
        Its place on the last axis of the layer's output. Of images and sequences the place in the middle counts.
    start : array_like, optional
        One input without the batch axis, where the ascent begins. Default: normal noise.
    norm : float, optional
        Length of the input. Default: that of `start`, or the root of how many numbers it has, as noise has.
    steps : int, default 200
    rate : float, default 0.1
        Length of the first step, by that of the input.
    seed : int, default 0
        Of the noise.

    Returns
    -------
    ndarray
        One input, of the shape that the model takes, without the batch axis.

    Raises
    ------
    ValueError
        If there is no such layer or unit, `start` has another shape or is 0, or a number is out of range.

    References
    ----------
    Erhan, Bengio, Courville and Vincent, "Visualizing higher-layer features of a deep network", 2009.

    Examples
    --------
    >>> from pynn import nn
    >>> model = nn.Sequential([nn.Input((2,)), nn.Dense(3, name="hidden")])
    >>> model.layers[0].set_weights([np.array([[3.0, 0, 1], [4.0, 1, 0]]), np.zeros(3)])
    >>> best_stimulus(model, "hidden", 0, norm=1.0).round(2)
    array([0.6, 0.8], dtype=float32)
    """
    from pynn.core.context import training
    from pynn.core.gradients import gradients
    from pynn.core.state import observed
    from pynn.core.tensor import tensor

    place = "best_stimulus"
    of_kind(place, "model", model, "a model", "modules", "dtype")
    wanted = _layer(model, layer)
    model._require_built(place)
    shape = model._no_rows()[0].shape[1:]
    x = np.random.default_rng(seed).normal(size=shape) if start is None else np.asarray(start, float)
    length = float(np.linalg.norm(x))
    if length == 0 or x.shape != shape:
        raise ValueError(f"[{place}] expected start to be an input of shape {shape} that is not 0.")
    if norm is not None:
        length = number(place, "norm", norm, 0, open_low=True)
    elif start is None:
        length = float(np.sqrt(x.size))
    steps, rate = positive(place, "steps", steps), number(place, "rate", rate, 0, open_low=True)
    seen: list[Any] = []
    x *= length / np.linalg.norm(x)
    for step in range(steps):
        at = tensor(x[None].astype(model.dtype), requires_grad=True)
        seen.clear()
        with observed(lambda module, out: seen.append(out) if module is wanted else None), training(False):
            model(at)
        if not seen:
            raise ValueError(f"[{place}] expected a layer that the model runs. Received: layer={layer!r}.")
        out = seen[-1]
        integer(place, "unit", unit, 0, out.shape[-1] - 1)
        one = np.zeros(out.shape, out.dtype)
        one[(0, *(size // 2 for size in out.shape[1:-1]), unit)] = 1
        slope = np.asarray(gradients(out, tensor(one), [at])[id(at)][1].numpy()[0], float)
        size = float(np.linalg.norm(slope))
        if size == 0:  # a silent rectifier says nothing about the way: begin elsewhere
            x = np.random.default_rng([seed, step]).normal(size=shape)
        else:
            x = x + rate * (1 - step / steps) * length / size * slope
        x *= length / np.linalg.norm(x)
    return x.astype(model.dtype)


def _layer(model: Any, layer: str | int) -> Any:
    """Return a layer by its name, anywhere in a model, or by its place."""
    if isinstance(layer, str):
        found = {module.name: module for module in model.modules()}
        if layer not in found:
            raise ValueError(f"[best_stimulus] {unknown_name('layer', layer, list(found))}")
        return found[layer]
    layers = list(getattr(model, "layers", ()))
    return layers[integer("best_stimulus", "layer", layer, 0, len(layers) - 1)]
