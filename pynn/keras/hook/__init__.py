"""The import hook: ``keras``, ``tensorflow`` and what they were called over the years are modules of pynn.keras."""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import sys
import types
from functools import reduce

import pynn.keras
from pynn.keras.names import missing, told

__all__ = ["ROOTS", "install", "real_name", "uninstall"]

# What begins like this is Keras; the longest that fits counts.
ROOTS = (
    "keras", "keras.src", "keras.api", "keras._tf_keras.keras", "tf_keras", "tensorflow.keras",
    "tensorflow.python.keras", "tensorflow.contrib.keras", "tensorflow.contrib.keras.python.keras",
    "tensorflow.compat.v1.keras", "tensorflow.compat.v2.keras", "tensorflow.keras.src", "tensorflow.keras.api",
    "tensorflow.python.keras.api",
)  # fmt: skip
TENSORFLOW = {
    "tensorflow": "", "tensorflow.compat": "", "tensorflow.compat.v1": "", "tensorflow.compat.v2": "",
    "tensorflow.examples": "", "tensorflow.examples.tutorials": "", "tensorflow.examples.tutorials.mnist": "mnist",
    "tensorflow.examples.tutorials.mnist.input_data": "mnist.input_data", "tensorflow.python": "",
    "tensorflow.contrib": "", "tensorflow.python.framework": "", "tensorflow.python.ops": "",
    "tensorflow.contrib.learn": "", "tensorflow.contrib.learn.python": "", "tensorflow.contrib.learn.python.learn": "",
    "tensorflow.contrib.learn.python.learn.datasets": "",
    "tensorflow.contrib.learn.python.learn.datasets.mnist": "mnist.input_data",
}  # fmt: skip
# Where old or inner modules went.
_OLD = {
    "layers": "core convolutional convolutional_recurrent recurrent recurrent_v2 rnn pooling normalization embeddings "
    "merge merging noise advanced_activations wrappers local cudnn_recurrent experimental experimental.preprocessing "
    "preprocessing reshaping attention regularization activation layer",
    "utils": "np_utils generic_utils data_utils vis_utils visualize_util layer_utils io_utils conv_utils test_utils "
    "all_utils model_visualization numerical_utils file_utils multi_gpu_utils sequence_utils",
    "optimizers": "legacy experimental adam sgd rmsprop optimizer_v2", "callbacks": "callbacks", "losses": "losses",
    "models": "model sequential functional", "backend": "common tensorflow_backend theano_backend",
    "initializers": "initializers", "regularizers": "regularizers", "constraints": "constraints",
    "activations": "activations", "metrics": "metrics",
}  # fmt: skip
MOVED = {f"{home}.{name}": home for home, names in _OLD.items() for name in names.split()} | {
    "layers.containers": "models", "engine": "layers", "engine.topology": "layers", "engine.training": "models",
    "engine.sequential": "models", "engine.functional": "models", "engine.input_layer": "layers",
    "engine.base_layer": "layers", "legacy": "layers", "legacy.layers": "layers", "objectives": "losses",
    "utils.image_utils": "preprocessing.image", "optimizer_v2": "optimizers", "preprocessing.image_dataset": "utils",
    "preprocessing.text_dataset": "utils", "saving.save": "models", "saving.saved_model": "models",
    "premade_models": "models", "optimizers.learning_rate_schedule": "optimizers.schedules",
    "optimizers.schedules.learning_rate_schedule": "optimizers.schedules",
}  # fmt: skip


def real_name(name: str) -> str | None:
    """Return the module of pynn that an import means, or None if it is another's or not there.

    Examples
    --------
    >>> real_name("tensorflow.keras.layers"), real_name("keras.layers.convolutional"), real_name("keras.nothing")
    ('pynn.keras.layers', 'pynn.keras.layers', None)
    """
    root = max((r for r in ROOTS if name == r or name.startswith(r + ".")), key=len, default="")
    if not root:
        inner = TENSORFLOW.get(name)
        return None if inner is None else f"pynn.keras.tensorflow{'.' + inner if inner else ''}"
    inner = name[len(root) + 1 :]
    if not inner:
        return "pynn.keras"
    if inner in MOVED:
        return f"pynn.keras.{MOVED[inner]}"
    return f"pynn.keras.{inner}" if _is_module(f"pynn.keras.{inner}") else None


def _is_module(name):
    """Tell whether pynn.keras offers a module under this name; files of its own making are none of Keras's."""
    home, _, last = name.rpartition(".")
    if home == "pynn.keras" and last not in pynn.keras._MODULES:
        return False
    try:
        importlib.import_module(name)
        return True
    except ModuleNotFoundError as error:
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            raise
    return isinstance(vars(sys.modules.get(home, types)).get(last), types.ModuleType)


class _Facade(types.ModuleType):
    """A module under the name that a script imports it by; what is in it is the real one's."""

    def __init__(self, name, real):
        super().__init__(name)
        self.__dict__["_real"] = real

    def __getattr__(self, name):
        if name in ("__path__", "__file__", "__wrapped__", "__warningregistry__"):
            raise AttributeError(name)
        real = _module(self.__dict__["_real"])
        if name in vars(real) or hasattr(type(real), "__getattr__") or "__getattr__" in vars(real):
            return getattr(real, name)
        missing(self.__name__, name, getattr(real, "__all__", dir(real)))

    def __dir__(self):
        return dir(_module(self.__dict__["_real"]))


def _module(name):
    found = sys.modules.get(name)
    if found is not None:
        return found
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError:
        home, _, last = name.rpartition(".")
        return getattr(_module(home), last)


class _Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds what ``real_name`` knows, and refuses what else begins with ``keras`` or ``tensorflow``."""

    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] not in ("keras", "tensorflow", "tf_keras"):
            return None
        if real_name(name) is None:
            self._refuse(name)
        return importlib.machinery.ModuleSpec(name, self, is_package=True)

    def _refuse(self, name):
        """Raise for a module that is not there; ``from keras import NAME`` swallows that and asks the module itself."""
        for root in ROOTS:
            first = name[len(root) + 1 :].partition(".")[0] if name.startswith(root + ".") else ""
            if first in pynn.keras._NOT_HERE:
                getattr(pynn.keras, first)
        home = name.rpartition(".")[0]
        known = dir(sys.modules[home]) if home in sys.modules else ()
        raise ModuleNotFoundError(told(name, known), name=name)

    def create_module(self, spec):
        return _Facade(spec.name, real_name(spec.name) or "")

    def exec_module(self, module):
        pass


_finder = _Finder()


def install():
    """Let imports of Keras and TensorFlow mean pynn, in this process, whatever else is installed."""
    if _finder in sys.meta_path:
        return
    _forget()
    sys.meta_path.insert(0, _finder)
    # It came with Keras 2, and scripts count on it.
    if "six" not in sys.modules and importlib.util.find_spec("six") is None:
        moves = types.ModuleType("six.moves")
        moves.__dict__.update(range=range, xrange=range, zip=zip, map=map, filter=filter, input=input, reduce=reduce)
        sys.modules["six"] = types.ModuleType("six")
        sys.modules["six.moves"] = sys.modules["six"].moves = moves  # type: ignore[attr-defined]


def uninstall():
    """Let imports of Keras and TensorFlow mean what is installed, again."""
    if _finder in sys.meta_path:
        sys.meta_path.remove(_finder)
    _forget()


def _forget():
    for name in [n for n in sys.modules if n.partition(".")[0] in ("keras", "tensorflow", "tf_keras")]:
        del sys.modules[name]
