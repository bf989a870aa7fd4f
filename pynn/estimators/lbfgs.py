"""The quasi-Newton method of the parameter solver="lbfgs"."""

from __future__ import annotations

from typing import Any

import numpy as np

from pynn import optim
from pynn.train.minimizing import METHODS, Objective

__all__ = ["minimize"]


def minimize(
    model: Any, loss: Any, after: Any, x: np.ndarray, y: np.ndarray, w: np.ndarray | None, seed: int, **options: Any
) -> tuple[float, int, str]:
    """Minimize the loss over all data with L-BFGS-B, starting from the model's weights; see pynn.train.minimize.

    Parameters
    ----------
    model : Module
        Built; its weights are replaced by the best.
    loss : pynn.losses.Loss
    after : callable
        What becomes of the mean loss; see ``Trainer.after_loss``.
    x, y, w : ndarray
    seed : int
        Of dropout, whose mask is the same in every evaluation.
    **options
        Of ``scipy.optimize.minimize(method="L-BFGS-B")``.

    Returns
    -------
    value : float
    iterations : int
    complaint : str
        Why the method stopped, if it did not converge; else empty.
    """
    model.compile(optim.SGD(0.0), loss, seed=seed)
    trainer = model._trainer
    trainer.after_loss = [after]
    data = trainer.data(x, y, w)
    result = Objective(trainer, data, np.arange(len(x))).descend(METHODS["l-bfgs"], **options)
    return float(result.fun), int(result.nit), "" if result.success else str(result.message)
