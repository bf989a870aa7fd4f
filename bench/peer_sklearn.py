"""scikit-learn: MLPClassifier.partial_fit, one call for each pass over the batches, as its users would."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from sklearn.metrics import log_loss
from sklearn.neural_network import MLPClassifier

from .side import Side, Unavailable
from .workloads import EPSILON, Dense, Workload


def sides(workload: Workload, threads: int) -> Iterator[Side]:
    if workload.precision == "medium":
        raise Unavailable("scikit-learn has no mixed precision of its own")
    units = [layer.units for layer in workload.layers if isinstance(layer, Dense)]
    if len(units) < len(workload.layers):
        raise Unavailable("scikit-learn has perceptrons only")
    x, y = workload.data()
    classes = np.arange(units[-1])
    model = MLPClassifier(
        units[:-1],
        activation=workload.activation,
        solver=workload.optimizer,
        alpha=0.0,
        batch_size=workload.batch,
        learning_rate_init=workload.learning_rate,
        momentum=0.0,
        nesterovs_momentum=False,
        shuffle=False,
        random_state=0,
        epsilon=EPSILON,
    )
    initial, at = workload.weights(), 0

    def run(steps: int) -> None:
        nonlocal at
        rows = steps * workload.batch
        while rows > 0:
            part = slice(at, min(at + rows, len(x)))
            model.partial_fit(x[part], y[part], classes=classes)
            rows -= part.stop - part.start
            at = part.stop % len(x)

    def reset() -> None:
        nonlocal at
        at = 0
        for own, given in zip(zip(model.coefs_, model.intercepts_, strict=True), initial, strict=True):
            for to, value in zip(own, given, strict=True):
                to[...] = value
        optimizer = model._optimizer
        if hasattr(optimizer, "ms"):
            optimizer.t = 0
            for slot in (*optimizer.ms, *optimizer.vs):
                slot[...] = 0

    def loss() -> float:
        return float(log_loss(y[: workload.batch], model.predict_proba(x[: workload.batch]), labels=classes))

    run(1)
    reset()
    yield Side("scikit-learn", run, loss, reset)
