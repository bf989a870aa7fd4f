"""pynn: neural networks that train fast on an ordinary CPU."""

from pynn import config, ops
from pynn._version import __version__
from pynn.config import get_num_threads, set_num_threads
from pynn.graph import grad, graph, jacobian, no_grad
from pynn.tensor import Tensor, tensor

__all__ = [
    "Tensor",
    "__version__",
    "config",
    "get_num_threads",
    "grad",
    "graph",
    "jacobian",
    "no_grad",
    "ops",
    "set_num_threads",
    "tensor",
]
