"""scikit-learn: MLPClassifier.partial_fit, one call for each pass over the batches, as its users would."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from sklearn.metrics import log_loss
from sklearn.neural_network import MLPClassifier

from .side import Side, Unavailable
from .workloads import Dense, Workload


def sides(workload: Workload, threads: int) -> Iterator[Side]:
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
    )

    def run(steps: int) -> None:
        rows = steps * workload.batch
        while rows > 0:
            model.partial_fit(x[:rows], y[:rows], classes=classes)
            rows -= len(x)

    def loss() -> float:
        return float(log_loss(y[: workload.batch], model.predict_proba(x[: workload.batch]), labels=classes))

    run(1)
    yield Side("scikit-learn", run, loss)
