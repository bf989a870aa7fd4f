"""Modules: trees of layers that hold parameters and compose ops."""

from __future__ import annotations

import itertools
import weakref
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Protocol, Self, TypeVar, overload

import numpy as np

from pynn import init, regularizers
from pynn.core._core import STATE
from pynn.core.context import loading
from pynn.core.context import training as training_mode
from pynn.core.frozen import no_foreign_random
from pynn.core.state import no_grad, scope, state, trial
from pynn.core.tensor import FLOATS, Tensor, as_dtype, tensor
from pynn.errors import CaptureError, DataError, MissingAttributeError, ShapeError, nearest
from pynn.io import registry
from pynn.io.architecture import made_of, record_of
from pynn.io.recorded import Recorded
from pynn.keywords import spelled
from pynn.nn.copies import reduced, restored
from pynn.nn.summary import model_html, summary
from pynn.nn.symbol import Symbol
from pynn.ops import pixels
from pynn.train.building import told_of_inputs, told_of_shape, unbuilt_if_it_fails
from pynn.train.trainable import Trainable

if TYPE_CHECKING:
    from pynn.core.flat import Slots

    R = TypeVar("R", covariant=True)

    class Computes(Protocol[R]):
        """A module of which the type of the output is known."""

        def forward(self, *inputs: Any, **options: Any) -> R: ...


__all__ = ["Module"]

created = itertools.count()  # of modules: those without a seed draw different weights
# The networks that say for which shape a layer will be built, though the layer alone does not know it yet.
holders: weakref.WeakKeyDictionary[Module, weakref.ref[Module]] = weakref.WeakKeyDictionary()


class Module(Trainable, Recorded):
    """A layer or a model: assign layers (or lists of them) as attributes and write :meth:`forward`.

    Parameters and inner modules are found by attribute. A layer that needs to know its input's shape declares its
    weights in :meth:`build`, which is called before the first forward pass. A module used at several places shares its
    parameters.

    Parameters
    ----------
    name : str, optional
        By default the class's name in lower case, numbered within a model.
    seed : int, optional
        Seeds the initial weights. Inside a model that is compiled or built, the model's seed and the layer's place
        decide.

    Examples
    --------
    >>> import numpy as np
    >>> from pynn import nn
    >>> class Twice(nn.Module):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.layer = nn.Dense(3, activation="tanh")
    ...
    ...     def forward(self, x):
    ...         return self.layer(self.layer(x))
    >>> net = Twice()
    >>> net(np.ones((2, 3), "float32")).shape
    (2, 3)
    >>> [name for name, _ in net.named_parameters()]
    ['layer.w', 'layer.b']
    """

    # Attributes that no recorded program depends on, and those that a pass itself may replace. Classes add their own.
    _renewed = frozenset({"_kept"})
    _unwatched = frozenset(
        {"_slots", "_seed", "_unseeded", "_given_seed", "_arguments", "_initializers",
         "_built_for", "stop_training", "_columns", "_prepared", "_runner", "_trainer"}
    )  # fmt: skip
    fixed_weights = False  # whether numbers that it computes with are weights that are not learnt: see pynn.nn.count
    pools = False  # whether what it sums, or takes the largest of, are pools
    recurrent = False  # whether the output of a step depends on all that came before, however long
    _of_layers = False  # whether layers alone read the inputs, so that whole numbers may become real ones
    _built_for: tuple[int, ...] = ()  # the input shape that build() was given
    _slots: Slots
    _arguments: dict[str, Any]  # what the constructor was given
    if TYPE_CHECKING:
        layers: Any  # of those that have them: what pynn.load() returns is known as a Module alone

    def __init_subclass__(cls, base: bool = False, **options: Any) -> None:
        super().__init_subclass__(**options)
        # Files may name pynn's own layers, but not what is there only to be derived from.
        if cls.__module__.startswith("pynn.nn.") and not base and not cls.__name__.startswith("_"):
            registry.enter("nn", cls)

    @spelled
    def __init__(self, name: str | None = None, seed: int | None = None):
        self.name = name or type(self).__name__.lower()
        self.built = False
        self.dtype = np.dtype("float32")
        self._weights: dict[str, Tensor] = {}
        self._regularizers: dict[str, Any] = {}
        self._constraints: dict[str, Any] = {}
        self._frozen: set[str] = set()
        self._trainable = True
        self._given_seed = seed
        self._seed: list[int] = [0, next(created)] if seed is None else [seed, 0]
        self._unseeded = self._seed  # replaced as soon as a model assigns seeds to what it holds

    # Attributes: weights are kept in a table, and nothing may change while a step is recorded.

    def __setattr__(self, key: str, value: Any) -> None:
        if key in self.__dict__.get("_frozen", ()) and not isinstance(value, Tensor):
            self._write(key, value)
            return
        if key in self.__dict__.get("_weights", ()):
            if value is self._weights[key]:  # self.w = self.add_weight("w", ...)
                return
            raise AttributeError(
                f"[{self.name}] weight {key!r} cannot be replaced: the optimizer would go on updating the old one. "
                "help: set_weights() writes new values."
            )
        if state.recorder is not None and not key.startswith("_") and key in self.__dict__:
            raise CaptureError(
                f"[{self.__dict__.get('name', type(self).__name__)}] attribute {key!r} was changed while a step was "
                "being recorded; later steps would not see it. help: change layers between calls of fit, or use "
                "run_eagerly=True."
            )
        object.__setattr__(self, key, value)

    def _write(self, key: str, value: Any) -> None:
        """Write numbers into a weight that no optimizer trains: recorded programs read it where it lies."""
        if state.recorder is not None:
            raise CaptureError(f"[{self.name}] weight {key!r} was set while a step was being recorded.")
        weight, array = self._weights[key], np.asarray(value)
        if array.dtype.kind not in "fiu" or array.shape not in ((), weight.shape):
            raise ShapeError(
                f"[{self.name}] expected numbers of shape {weight.shape} for {key!r}. "
                f"Received: shape={array.shape}, dtype={array.dtype}."
            )
        weight.view()[...] = array

    if not TYPE_CHECKING:  # type checkers find slips: classes declare their weights, ``w: Tensor``

        def __getattr__(self, key: str) -> Any:
            weights = self.__dict__.get("_weights", {})
            if key in weights:
                return weights[key]
            raise MissingAttributeError(
                f"{type(self).__name__} {self.__dict__.get('name', '')!r} has no attribute {key!r}.",
                lambda: "" if key.startswith("_") else self._hint(key),
            )

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *self.__dict__.get("_weights", ())]

    def _hint(self, key: str) -> str:
        """Return what may help where an attribute is missing."""
        known = [name for name in (*dir(type(self)), *self.__dict__, *self._weights) if not name.startswith("_")]
        near = nearest(key, known)
        hint = "" if near is None else f" help: did you mean {near!r}?"
        if not self.built:
            weights = "weights exist once the layer has seen its input's shape: call build(input_shape) or fit first."
            return hint or f" help: {weights}"
        return hint + (f" Its weights: {', '.join(self._weights)}." if self._weights else "")

    def __reduce__(self) -> tuple[Any, ...]:
        return reduced(self)

    def __setstate__(self, told: tuple[Any, Any]) -> None:
        restored(self, *told)

    @property
    def trainable(self) -> bool:
        """Whether training updates this module's parameters (those of inner modules have their own flag too)."""
        return self._trainable

    @trainable.setter
    def trainable(self, on: bool) -> None:
        if state.recorder is not None:
            raise CaptureError(f"[{self.name}] trainable was changed while a step was being recorded.")
        for module in self.modules():
            module._set_trainable(bool(on))

    # Building

    @spelled
    def add_weight(
        self,
        name: str,
        shape: tuple[int, ...],
        initializer: Any = "glorot_uniform",
        trainable: bool = True,
        regularizer: Any = None,
        constraint: Any = None,
    ) -> Tensor:
        """Make a weight and keep it under a name; for use in :meth:`build`, or for one of known shape in ``__init__``.

        Weights that are not trainable are state: kernels may update them, optimizers do not. Numbers are written into
        one by setting it, ``layer.beta = 0.5``: the place for what changes from epoch to epoch, as recorded steps read
        it where it lies. An attribute that is a plain number costs a new recording when it changes.
        """
        if state.shapes:
            weight = Tensor.empty(tuple(shape), self.dtype, STATE)
        else:
            if loading.values is None:
                values = init.get(initializer)(shape, self.dtype, [*self._seed, len(self._weights)])
            else:
                values = loading.values(self, name, tuple(shape))
            weight = Tensor.state(np.asarray(values, dtype=self.dtype))
        weight.name = name
        weight.requires_grad = trainable and self._trainable
        self._weights[name] = weight
        if not trainable:
            self._frozen.add(name)
        if regularizer is not None:
            self._regularizers[name] = regularizers.get(regularizer)
        if constraint is not None:
            self._constraints[name] = regularizers.constraint(constraint)
        return weight

    def add_loss(self, value: Any) -> None:
        """Add a term to what is minimized; for use in :meth:`forward`.

        Parameters
        ----------
        value : Tensor or float
            Computed from the inputs or weights; of a tensor with several elements the mean counts.

        Examples
        --------
        >>> import numpy as np
        >>> from pynn import nn
        >>> class Quiet(nn.Module):
        ...     def forward(self, x):
        ...         self.add_loss(0.01 * (x * x).mean())
        ...         return x
        >>> model = nn.Sequential([nn.Input((4,)), nn.Dense(3), Quiet()])
        >>> model.compile("sgd", "mse", seed=0)
        >>> x, y = np.ones((8, 4), "float32"), np.zeros((8, 3), "float32")
        >>> len(model.fit(x, y, epochs=2, verbose=0).history["loss"])
        2
        """
        if state.losses is not None:
            state.losses.append(value)

    def build(self, input_shape: tuple[int, ...]) -> None:
        """Declare weights with :meth:`add_weight`; input_shape includes the batch axis, whose size does not matter.

        A module that declares none of its own is built by a forward pass on zeros, with all that it holds.
        """
        if self.built or loading.values is not None or type(self).build is not Module.build:
            return  # while a file is read a forward pass follows; else it was called from a build of one's own
        with told_of_shape(input_shape), unbuilt_if_it_fails(self), no_grad(), training_mode(False), trial():
            self(self.example((1, *input_shape[1:])))

    def forward(self, *inputs: Any, **options: Any) -> Any:
        """Compute the output; to be written by subclasses."""
        raise NotImplementedError(f"[{self.name}] write forward(self, x) in class {type(self).__name__}.")

    if TYPE_CHECKING:  # a call returns what forward() does

        @overload
        def __call__(self: Computes[R], *inputs: Tensor | np.ndarray, training: bool | None = None) -> R: ...

        @overload
        def __call__(self, *inputs: Symbol | Sequence[Symbol], training: bool | None = None) -> Symbol: ...

        @overload
        def __call__(self: Computes[R], *inputs: Any, training: bool | None = None) -> R: ...

    def __call__(self, *inputs: Any, training: bool | None = None) -> Any:
        """Compute the output of the module for a batch.

        Parameters
        ----------
        inputs : Tensor or array_like
            Or nn.Input and what layers made of it: then the result is a symbol, for :class:`pynn.nn.Model`.
        training : bool, optional
            Whether dropout and the like are active; by default as in the enclosing call, else False. In the call of a
            symbol it holds for this call in every use of the model: ``base(x, training=False)`` keeps the statistics of
            a network whose weights are known already.
        """
        if any(isinstance(x, Symbol) for x in inputs):
            return Symbol.of_call(self, inputs, training)
        if training is not None and training != state.training:
            with training_mode(training, self._own_slots() if training and state.rng is None else None):
                out = Module.__call__(self, *inputs)
                if training and state.rng is not None:
                    self._own_slots().step.view()[0] += 1  # the next call draws other numbers
                return out
        xs = tuple(self._taken(i, x) for i, x in enumerate(inputs))
        if state.recorder is not None and state.module is None:  # the outermost: what it runs is replayed
            with no_foreign_random(self):
                out = self._computed(xs)
        else:
            out = self._computed(xs)
        if out is None:
            raise TypeError(
                f"[{self.name}] forward() of {type(self).__name__} returned None. help: end it with a return statement."
            )
        if state.observer is not None:
            state.observer(self, out)
        return out

    def _computed(self, xs: tuple[Any, ...]) -> Any:
        if self.built and state.module is None:
            try:
                with scope(self.name, self):
                    return self.forward(*xs)
            except ShapeError as error:
                raise told_of_inputs(error, self._built_for, xs) from None
        with scope(self.name, self):
            if self.built:
                return self.forward(*xs)
            with unbuilt_if_it_fails(self):
                self._build_now(xs)
                return self.forward(*xs)

    def _build_now(self, xs: tuple[Any, ...]) -> None:
        shape = xs[0].shape if xs and isinstance(xs[0], Tensor) else ()
        object.__setattr__(self, "_built_for", shape)
        if type(self).build is not Module.build:
            self.build(shape)
        object.__setattr__(self, "built", True)

    def _set_trainable(self, on: bool) -> None:
        self._trainable = on
        for key, weight in self._weights.items():
            weight.requires_grad = on and key not in self._frozen

    def _own_slots(self) -> Any:
        from pynn.core.flat import Slots

        if "_slots" not in self.__dict__:
            object.__setattr__(self, "_slots", Slots(self._seed[0]))
        return self._slots

    # The tree

    def children(self) -> Iterator[tuple[str, Module]]:
        """Yield (attribute path, module) of the modules directly below, lists and dicts included."""
        for key, value in self.__dict__.items():
            if type(value) in _LEAVES or key in _OWN:
                continue
            if isinstance(value, (Module, list, tuple, dict)):
                bare = key.lstrip("_")
                yield from _modules_in(key if bare in self.__dict__ and bare != key else bare, value)

    def named_modules(self, prefix: str = "") -> Iterator[tuple[str, Module]]:
        """Yield (path, module) of this module and all below it, each once, in order."""
        yield from self._walk(prefix, set())

    def _walk(self, prefix: str, seen: set[int]) -> Iterator[tuple[str, Module]]:
        if id(self) in seen:
            return
        seen.add(id(self))
        yield prefix, self
        for key, child in self.children():
            yield from child._walk(f"{prefix}.{key}" if prefix else key, seen)

    def modules(self) -> Iterator[Module]:
        """Yield this module and all below it, each once."""
        return (module for _, module in self.named_modules())

    def named_parameters(self, trainable_only: bool = False) -> Iterator[tuple[str, Tensor]]:
        """Yield (path, tensor) of every weight, state included unless trainable_only."""
        for path, module in self.named_modules():
            for key, weight in module._weights.items():
                if trainable_only and (not module._trainable or key in module._frozen):
                    continue
                yield f"{path}.{key}" if path else key, weight

    def parameters(self) -> list[Tensor]:
        """Return the trainable weights."""
        return [weight for _, weight in self.named_parameters(trainable_only=True)]

    @property
    def takes_integers(self) -> bool:
        """Whether inputs are looked up (by an Embedding), so that integers stay integers."""
        return any(child.takes_integers for _, child in self.children())

    def takes_bytes(self, i: int = 0) -> bool:
        """Whether uint8 arrays of any shape are numbers as input i, so that images are not scaled to 0..1 before."""
        return False

    def _taken(self, i: int, x: Any) -> Any:
        """Return an input as a tensor; bytes that come from outside become what fit and predict make of them."""
        if x is None:
            return None
        if not isinstance(x, Tensor):
            x = tensor(x)
            if x.dtype in FLOATS and x.dtype != self.dtype:  # an array takes the weights' dtype; a tensor keeps its own
                return x.astype(self.dtype)
        if state.scope or x.dtype in FLOATS:
            return x
        if self._looked_up(i):
            return x.astype(np.int32) if x.dtype in (np.uint8, np.bool_) else x
        if pixels.is_image(x) and not self.takes_bytes(i):
            return pixels.real(x, self.dtype)
        return x.astype(self.dtype) if self._of_layers else x

    def _looked_up(self, i: int) -> bool:
        """Tell whether input i is one of integers."""
        return self.takes_integers

    def example(self, shape: tuple[int, ...]) -> Tensor:
        """Return an input of zeros, of the dtype that the module takes."""
        return Tensor.state(np.zeros(shape, np.int32 if self.takes_integers else self.dtype))

    def _no_rows(self) -> list[Tensor]:
        """Return inputs without a row, which cost no memory, of the shapes that the module was built for."""
        return [self.example((0, *self._built_for[1:]))]

    def _declare(self, input_shape: tuple[int, ...]) -> None:
        """Build the module for the shape that a file tells; a model of modules has nothing to declare of its own."""
        self.build(input_shape)

    def get_config(self) -> dict[str, Any]:
        """Return what makes a module like this one, as data that JSON holds: its class and settings, no weights.

        Settings are the constructor's arguments, which are noted by themselves; what was set since counts. Inner
        modules are told in their places. Classes of the program's own must be registered (:func:`pynn.register`).

        Raises
        ------
        DataError
            If a class or a setting has no name that data can hold.

        Examples
        --------
        >>> from pynn import nn
        >>> nn.Dropout(0.5, name="half").get_config()
        {'class': 'nn.Dropout', 'id': 0, 'config': {'rate': 0.5, 'name': 'half', 'seed': None}}
        """
        return record_of(self)

    @classmethod
    def from_config(cls, config: Any) -> Self:
        """Return the module that :meth:`get_config` told of, with weights of its own.

        Parameters
        ----------
        config : dict
            Every field is checked; no other class is made than registered ones.

        Raises
        ------
        DataError
            If it is no such record, or that of another class than this one or one derived from it.
        """
        made = made_of(config)
        if not isinstance(made, cls):
            raise DataError(f"[from_config] expected a {cls.__name__}. Received: a {type(made).__name__}.")
        return made

    def count_parameters(self) -> int:
        """Return the number of weights, state included."""
        return sum(weight.size for _, weight in self.named_parameters())

    def get_weights(self) -> list[np.ndarray]:
        """Return copies of all weights, in the order of named_parameters()."""
        self._require_built("get_weights")
        with self._still():
            return [weight.numpy() for _, weight in self.named_parameters()]

    @spelled
    def set_weights(self, weights: Any) -> None:
        """Write all weights; nothing changes if any does not fit.

        Parameters
        ----------
        weights : sequence of array_like
            As get_weights() returns them.

        Raises
        ------
        ShapeError
            If the number of arrays or a shape differs.
        """
        self._require_built("set_weights")
        named = list(self.named_parameters())
        arrays = [np.asarray(w) for w in weights]
        if len(arrays) != len(named):
            raise ShapeError(f"[set_weights] expected {len(named)} arrays. Received: {len(arrays)}.")
        for (path, weight), array in zip(named, arrays, strict=True):
            if array.shape != weight.shape:
                raise ShapeError(f"[set_weights] expected {path} of shape {weight.shape}. Received: {array.shape}.")
            if array.dtype.kind not in "fiub":
                raise ShapeError(f"[set_weights] expected numbers for {path}. Received: dtype={array.dtype}.")
        # What must be converted is so before the first is written: memory may run out.
        views = [weight.view() for _, weight in named]
        arrays = [array.astype(view.dtype, copy=False) for view, array in zip(views, arrays, strict=True)]
        with self._still():
            for view, array in zip(views, arrays, strict=True):
                view[...] = array

    def astype(self, dtype: Any) -> Self:
        """Set the floating dtype of weights that are still to be built. Returns self.

        Raises
        ------
        RuntimeError
            If weights exist already.
        """
        if any(module._weights for module in self.modules()):
            raise RuntimeError(f"[{self.name}] the dtype must be chosen before the weights are built.")
        for module in self.modules():
            module.dtype = as_dtype(dtype)
        return self

    @spelled
    def summary(self, *, input_shape: Sequence[int] | None = None, file: Any = None) -> None:
        """Print layers with output shapes, receptive fields, sizes, parameters, bytes and flops per sample.

        Parameters
        ----------
        input_shape : sequence of int, optional
            Of one sample, without the batch axis; needed unless the model begins with nn.Input. A list of shapes for a
            module with several inputs.
        file : file object, optional
            Where to print, by default standard output.

        Notes
        -----
        The receptive field of a layer is how many rows x columns of an image, or steps of a sequence, one place of its
        output depends on at most; the column is there if the model has convolutions or pooling. Units, connections,
        multiply-adds and pools are counted as :func:`pynn.nn.count` does. A model that is not built yet is built.

        Examples
        --------
        >>> from pynn import nn
        >>> nn.Sequential([nn.Input((28, 28)), nn.Flatten(), nn.Dense(30, "relu"), nn.Dense(10)]).summary()
        layer              output       parameters    bytes   flops  units  connections  per unit  mult-adds
        ----------------------------------------------------------------------------------------------------
        input              (N, 28, 28)           0
        flatten (Flatten)  (N, 784)              0      0 B       0
        dense (Dense)      (N, 30)          23,550  94.2 kB  47.0 k     30       23.5 k       784     23.5 k
        dense_1 (Dense)    (N, 10)             310   1240 B     600     10          300        30        300
        ----------------------------------------------------------------------------------------------------
        23,860 parameters (23,860 trainable), 95.4 kB; flops are of one sample, forward
        40 units, 23,820 connections (596 per unit), 23,820 multiply-adds
        """
        print(summary(self, input_shape), file=file)

    def _repr_html_(self) -> str:
        return model_html(self)

    def _require_built(self, place: str) -> None:
        holder = None if self.built or self not in holders else holders[self]()
        if holder is not None:
            holder._require_built(place)
        if not self.built:
            raise RuntimeError(
                f"[{place}] the model is not built: the input's shape is not known yet. "
                "help: begin Sequential with nn.Input(shape), or call build(input_shape) or fit first."
            )

    def __repr__(self) -> str:
        inner = ", ".join(f"{key}={child!r}" for key, child in self.children())
        return f"{type(self).__name__}({self.extra_repr()}{inner})"

    def extra_repr(self) -> str:
        """Return the settings to show in repr()."""
        return ""


# What a walk over the tree, made at every native call, need not look into: plain values, and what Module keeps itself.
_LEAVES = frozenset({bool, int, float, str, type(None), Tensor})
_OWN = frozenset(
    {"_weights", "_regularizers", "_constraints", "_seed", "_unseeded", "_initializers", "_penalties", "_options",
     "_arguments", "_constructed", "_built_for"}
)  # fmt: skip


def _modules_in(key: str, value: Any) -> Iterator[tuple[str, Module]]:
    if isinstance(value, Module):
        yield key, value
    elif isinstance(value, (list, tuple)):
        for i, item in enumerate(value):
            yield from _modules_in(f"{key}.{i}", item)
    elif isinstance(value, dict):
        for name, item in value.items():
            yield from _modules_in(f"{key}.{name}", item)


if TYPE_CHECKING:

    class AnyModule(Module):
        """What type checkers know of an item of ``model.layers``: a module of some class, with its attributes."""

        def __getattr__(self, key: str) -> Any: ...
