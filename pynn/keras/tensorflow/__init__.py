"""The few names of TensorFlow that Keras scripts use, and the graph and sessions of its first version.

It is no TensorFlow: there is no GradientTape, no tf.function that compiles, no ragged or sparse tensor, no estimator.
"""

from __future__ import annotations

import importlib
import sys
import types
from typing import Any

import numpy as np

from pynn.core.state import no_grad
from pynn.core.tensor import Tensor
from pynn.keras import ops
from pynn.keras.names import missing, refused
from pynn.keras.ops.arrays import convert_to_numpy
from pynn.keras.symbols import flat, mapped
from pynn.keras.tensorflow import data, functions, graph, image, nn, session, strings, training
from pynn.keras.tensorflow.graph import Operation, Variable

__version__ = "2.16.0"  # what scripts that ask are answered

_REFUSED = {
    "GradientTape": "write Model.train_step() with pynn.grad(), or a loop with tensor.backward()",
    "custom_gradient": "an op of pynn has its derivative in its card",
    "estimator": "pynn.estimators has models of scikit-learn's kind",
    "RaggedTensor": "pad sequences to one length: keras.utils.pad_sequences",
    "ragged": "pad sequences to one length: keras.utils.pad_sequences",
    "SparseTensor": "use dense arrays",
    "sparse": "use dense arrays",
    "distribute": "pynn.distributed trains with several processes",
    "tpu": "pynn runs on processors",
    "lite": "pynn.export writes C, pynn.onnx writes ONNX",
    "saved_model": "model.save() and keras.models.load_model()",
    "contrib": "contrib was no part of TensorFlow 2 either",
    "while_loop": "a loop of Python does it",
    "py_function": "Dataset.map() calls functions of NumPy as they are",
    "numpy_function": "Dataset.map() calls functions of NumPy as they are",
    "TFRecordReader": "data are read by NumPy",
    "summary": "keras.callbacks.TensorBoard and CSVLogger write histories",
    "lookup": "StringLookup and IntegerLookup look words up",
}
_DTYPES = ("float16", "float32", "float64", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
_SAME = (
    "abs add cos divide dot equal exp floor greater greater_equal less less_equal logical_and logical_not "
    "logical_or maximum minimum multiply not_equal round sigmoid sign sin sqrt square squared_difference "
    "stop_gradient subtract tanh tensordot where ceil rsqrt reciprocal "
)
_FUNCTIONS = {name: getattr(ops, name) for name in _SAME.split()} | {
    "pow": ops.power,
    "log": ops.log,
    "negative": ops.negative,
    "neg": ops.negative,
    "mul": ops.multiply,
    "sub": ops.subtract,
    "div": ops.divide,
    "truediv": ops.divide,
    "realdiv": ops.divide,
    "mod": ops.mod,
    "floormod": ops.mod,
    "floordiv": ops.floor_divide,
    "add_v2": ops.add,
    "identity": ops.copy,
    "is_tensor": ops.is_tensor,
    "range": functions.range_,
    "arg_max": functions.argmax,
    "pack": functions.stack,
    "unpack": functions.unstack,
    "cumsum": ops.cumsum,
    "meshgrid": np.meshgrid,
    "reverse": ops.flip,
    "repeat": ops.repeat,
    "sort": ops.sort,
    "argsort": ops.argsort,
    "broadcast_to": ops.broadcast_to,
    "rank": ops.ndim,
    "size": ops.size,
    "slice": ops.slice,
    "take": ops.take,
}


def _module(name, **names):
    """Return a small module of these names."""
    made = types.ModuleType(f"tensorflow.{name}")
    made.__dict__.update(names)

    def absent(asked):
        missing(f"tensorflow.{name}", asked, sorted(names))

    made.__dict__["__getattr__"] = absent
    return made


def function(func=None, **options):
    """Return a function as it is: what it computes is recorded where a model trains."""
    return (lambda f: f) if func is None else func


def executing_eagerly() -> bool:
    """Tell whether values are computed at once: until a placeholder or a session is asked for."""
    return not graph.graph_mode[0]


def disable_eager_execution():
    """Build graphs for sessions, as TensorFlow 1 does."""
    graph.graph_mode[0] = True


def enable_eager_execution(*_, **__):
    """Compute at once."""
    graph.graph_mode[0] = False


def numpy_of(x):
    """Return the values as an array."""
    return convert_to_numpy(x)


def _print(*inputs, output_stream=None, **options):
    print(*(convert_to_numpy(x) if isinstance(x, Tensor) else x for x in inputs), file=output_stream or sys.stdout)


def _nothing(*_, **__):
    """Do nothing: a setting that has no meaning here."""


def _no_devices(*_, **__):
    return []


class TensorShape(graph.Shape):
    """Sizes of axes."""


def _map_structure(func, *structures, **_):
    """Return the first structure with func(item of each) in the place of every item."""
    items = zip(*map(flat, structures), strict=True)
    return mapped(lambda _: func(*next(items)), structures[0])


def _initializer(function):
    def make(*args, **kwargs):
        options = {k: v for k, v in kwargs.items() if k not in ("seed", "dtype")}
        return lambda shape, dtype="float32", **_: function(shape, *args, **options)

    return make


_random = _module(
    "random", normal=functions.random_normal, uniform=functions.random_uniform, set_seed=session.set_random_seed,
    truncated_normal=functions.truncated_normal, shuffle=functions.random_shuffle,
    set_random_seed=session.set_random_seed,
)  # fmt: skip
_math = _module(
    "math", **{n: f for n, f in _FUNCTIONS.items() if n not in ("range", "pack")},
    **{n: f for n, f in vars(functions).items() if n.startswith("reduce_")}, argmax=functions.argmax,
    argmin=functions.argmin, l2_normalize=nn.l2_normalize, softplus=nn.softplus, in_top_k=nn.in_top_k,
    divide_no_nan=ops.divide_no_nan, top_k=ops.top_k, log1p=ops.log1p, expm1=ops.expm1, is_nan=ops.isnan,
)  # fmt: skip
_config = _module(
    "config", list_physical_devices=_no_devices, list_logical_devices=_no_devices, run_functions_eagerly=_nothing,
    set_visible_devices=_nothing, get_visible_devices=_no_devices,
    experimental=_module("config.experimental", set_memory_growth=_nothing, list_physical_devices=_no_devices,
                         enable_op_determinism=_nothing),
    threading=_module("config.threading", set_inter_op_parallelism_threads=_nothing,
                      set_intra_op_parallelism_threads=_nothing),
    optimizer=_module("config.optimizer", set_jit=_nothing),
)  # fmt: skip
_logging = _module(
    "logging", set_verbosity=_nothing, get_verbosity=_nothing, info=_nothing, warning=_nothing, warn=_nothing,
    error=_nothing, debug=_nothing, ERROR=40, WARN=30, INFO=20, DEBUG=10, FATAL=50,
)  # fmt: skip
_dtypes = {
    **{name: np.dtype(name) for name in _DTYPES},
    "bool": np.dtype(bool), "double": np.dtype("float64"), "bfloat16": "bfloat16", "string": "string",
}  # fmt: skip

_names = {
    **{n: f for n, f in vars(functions).items() if getattr(f, "__module__", "") == functions.__name__ and n[0] != "_"},
    **_FUNCTIONS,
    **_dtypes,
    **{
        n: f
        for n, f in vars(session).items()
        if getattr(f, "__module__", "") == session.__name__ and n[0] != "_" and n not in ("Settings", "run_app")
    },
    "nn": nn, "train": training, "random": _random, "math": _math, "linalg": _module(
        "linalg", matmul=functions.matmul, norm=functions.norm, diag=ops.diag, band_part=ops.tril,
        l2_normalize=nn.l2_normalize, matrix_transpose=lambda a, **_: ops.swapaxes(a, -1, -2)),
    "nest": _module("nest", flatten=lambda structure, **_: list(flat(structure)), map_structure=_map_structure,
                    is_nested=lambda x: isinstance(x, (list, tuple, dict))),
    "data": data, "config": _config, "logging": _logging, "Variable": Variable, "Tensor": Tensor,
    "Operation": Operation, "TensorShape": TensorShape, "TensorSpec": data.TensorSpec, "Module": object,
    "dtypes": _module("dtypes", **_dtypes, as_dtype=np.dtype), "DType": np.dtype, "as_dtype": np.dtype,
    "ConfigProto": session.Settings, "GPUOptions": session.Settings, "RunOptions": session.Settings,
    "app": _module("app", run=session.run_app), "print": _print, "no_gradient": no_grad,
    "function": function, "executing_eagerly": executing_eagerly, "newaxis": None,
    "disable_eager_execution": disable_eager_execution, "disable_v2_behavior": disable_eager_execution,
    "enable_eager_execution": enable_eager_execution, "enable_v2_behavior": enable_eager_execution,
    "test": _module("test", is_gpu_available=lambda *_, **__: False, is_built_with_cuda=lambda: False,
                    gpu_device_name=lambda: ""),
    "errors": _module("errors", InvalidArgumentError=ValueError, OutOfRangeError=StopIteration),
    "initializers": _module("initializers", random_normal=_initializer(functions.random_normal),
                            zeros=_initializer(functions.zeros), ones=_initializer(functions.ones)),
    "zeros_initializer": _initializer(functions.zeros), "ones_initializer": _initializer(functions.ones),
    "random_normal_initializer": _initializer(functions.random_normal),
    "random_uniform_initializer": _initializer(functions.random_uniform),
    "truncated_normal_initializer": _initializer(functions.truncated_normal),
    "constant_initializer": lambda value=0, **_: (lambda shape, **__: functions.fill(shape, float(value))),
    "AUTOTUNE": data.AUTOTUNE, "image": image, "strings": strings, "io": image, "einsum": ops.einsum,
}  # fmt: skip
_names.pop("range_"), _names.pop("dtype_name")
__all__ = sorted([*_names, "keras", "compat", "examples"])


def __getattr__(name):
    if name in _names:
        return _names[name]
    if name == "keras":
        return importlib.import_module("pynn.keras")
    if name in ("compat", "v1", "v2", "python", "examples", "tutorials", "api", "_api", "contrib", "framework", "ops"):
        return sys.modules[__name__]
    if name == "mnist":
        return importlib.import_module("pynn.keras.tensorflow.mnist")
    if name in _REFUSED:
        refused(f"tensorflow.{name}", _REFUSED[name])
    missing("tensorflow", name, __all__)


def __dir__():
    return __all__
