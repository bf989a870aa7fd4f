"""The quasi-Newton method of the parameter solver="lbfgs": SciPy's, on the gradient of a compiled step."""

from __future__ import annotations

from typing import Any

import numpy as np

from pynn import optim

__all__ = ["minimize"]


def minimize(
    model: Any, loss: Any, after: Any, x: np.ndarray, y: np.ndarray, w: np.ndarray | None, seed: int, **options: Any
) -> tuple[float, int, str]:
    """Minimize the loss over all data with L-BFGS-B, starting from the model's weights.

    Each evaluation is one training step on all samples with learning rate 0, which leaves value and gradient behind.

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

    References
    ----------
    Liu and Nocedal, "On the limited memory BFGS method for large scale optimization", 1989.
    """
    import scipy.optimize

    model.compile(optim.SGD(0.0), loss, seed=seed)
    trainer = model._trainer
    trainer.after_loss = [after]
    data = trainer.data(x, y, w)
    trainer.flatten()
    rows, flat = np.arange(len(x)), trainer.flat
    weights = [t.view().reshape(-1) for t in flat.tensors]
    slopes = [flat.into[id(t)].view().reshape(-1) for t in flat.tensors]
    ends = np.cumsum([0, *(len(w) for w in weights)])

    def write(theta: np.ndarray) -> None:
        for w, start, stop in zip(weights, ends, ends[1:], strict=False):
            w[:] = theta[start:stop]

    def value(theta: np.ndarray) -> tuple[float, np.ndarray]:
        write(theta)
        trainer.sums.view()[:] = 0
        trainer.slots.set(offset=0, step=0, rate=0.0)
        trainer.run_steps(data, rows, len(rows), 1, False, False)
        total, count = trainer.sums.view()
        return float(total / count), np.concatenate(slopes).astype(np.float64)

    result = scipy.optimize.minimize(
        value, np.concatenate(weights).astype(np.float64), jac=True, method="L-BFGS-B", options=options
    )
    write(result.x)
    return float(result.fun), int(result.nit), "" if result.success else str(result.message)
