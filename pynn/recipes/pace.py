"""Training on sequences, with the tokens that were learnt from per second."""

from __future__ import annotations

import dataclasses
from typing import Any

from pynn.recipes.records import Options
from pynn.recipes.runner import timed_fit
from pynn.train import LambdaCallback

__all__ = ["fit_sequences"]


def fit_sequences(
    options: Options, model: Any, x: Any, y: Any, *, tokens: int, part: str = "", **fit: Any
) -> tuple[Any, float, int]:
    """Fit a model as :func:`pynn.recipes.runner.timed_fit` does; return also the tokens per second.

    Parameters
    ----------
    options : Options
        Complete.
    model : Model
    x, y
        As for ``fit``.
    tokens : int
        Of an epoch.
    part : str, default ""
        The name of this model among those of the recipe: its checkpoints get a folder of that name.
    **fit
        More for ``fit``.

    Returns
    -------
    history : History
    seconds : float
    speed : int
        Tokens per second, of the epochs that were made now and not before a checkpoint.
    """
    made: list[int] = []
    counter = LambdaCallback(on_epoch_end=lambda epoch, logs: made.append(epoch))
    if options.checkpoint is not None and part:
        options = dataclasses.replace(options, checkpoint=options.checkpoint / part)
    callbacks = [*fit.pop("callbacks", ()), counter]
    history, seconds = timed_fit(options, model, x, y, callbacks=callbacks, **fit)
    return history, seconds, round(len(made) * tokens / seconds)
