# %% composite
import numpy as np
from pynn import ops, testing
from pynn.errors import DTypeError
from pynn.core.card import Sample, composite


def reference(x, beta=1.0):
    return x * np.tanh(np.exp(beta * x))


def samples(r):
    yield Sample((r(3, 5),))
    yield Sample((r(2, 1),), {"beta": 2.0})
    yield Sample((r(0, 4),))  # empty arrays are inputs too


def errors(r):
    yield (np.arange(3),), {}, DTypeError, r"dtype int64.*Received"


@composite(reference, samples, errors)
def tanh_exp(x, beta=1.0):
    """Return x tanh(e**(beta x))."""
    return x * ops.exp(x * beta).tanh()


# %% checked
for name, check in testing.CHECKS.items():
    check("tanh_exp")
    print("holds:", name)
