"""One call, one step: what train_fn, train_on_batch, fit, evaluate and predict take round a step of 9 microseconds."""

import numpy as np
import pytest

import pynn
from pynn import nn

ROWS = 32


def network():
    model = nn.Sequential([nn.Input((64,)), nn.Dense(64, activation="relu"), nn.Dense(10)])
    model.compile("adam", "cross_entropy", seed=0)
    return model


CALLS = "bare step", "train_fn", "train_on_batch", "fit", "evaluate", "predict", "predict 33"


@pytest.mark.parametrize("call", CALLS)
def test_one_call(benchmark, call):
    benchmark.group = "64-64-10, batch 32, Adam: one call"
    model, r = network(), np.random.default_rng(0)
    x, y = r.normal(size=(ROWS + 1, 64)).astype("float32"), r.integers(0, 10, ROWS + 1)
    some = x[:ROWS], y[:ROWS]
    steps, f = pynn.train.steps(model, *some, batch_size=ROWS), model.train_fn()
    calls = {
        "bare step": lambda: steps.run(1),
        "train_fn": lambda: f(*some),
        "train_on_batch": lambda: model.train_on_batch(*some),
        "fit": lambda: model.fit(*some, batch_size=ROWS, verbose=0),
        "evaluate": lambda: model.evaluate(*some, verbose=0),
        "predict": lambda: model.predict(some[0]),
        "predict 33": lambda: model.predict(x),
    }
    calls[call]()
    benchmark(calls[call])
