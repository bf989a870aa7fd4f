"""The base of all layers here, and what they return before there are data."""

from __future__ import annotations

import contextlib
import functools
import inspect
from collections.abc import Callable
from typing import Any

import numpy as np

from pynn import keras, ops
from pynn._blocks import Held
from pynn.core.context import training as training_mode
from pynn.core.frozen import no_foreign_random
from pynn.core.state import no_grad, scope, shapes_alone, state
from pynn.core.tensor import Tensor, as_dtype, tensor
from pynn.errors import ShapeError
from pynn.keras import constraints, initializers, regularizers
from pynn.keras.making import (
    Spelling,
    Variable,
    as_lengths,
    known_shape,
    mapped_shapes,
    mask_of,
    noted,
    seeding,
    shape_for_build,
    stand_in,
)
from pynn.keras.names import known_to, refuse, refused, snake_case, unique_name
from pynn.keras.symbols import Call, KerasTensor, Nodes, flat, known, mapped, resolved, symbols_in
from pynn.nn.module import Module
from pynn.train.building import unbuilt_if_it_fails

__all__ = ["Input", "InputLayer", "KerasTensor", "Layer", "lifted", "seeding"]

SIZES = ((2, 256), (3, 384))  # (rows, steps) in the place of sizes that are not known: what differs is not known either
_OLD_OPTIONS = (
    "input_shape", "batch_input_shape", "batch_shape", "input_dim", "input_length", "weights", "dynamic", "batch_size",
    "input_dtype", "implementation", "unroll", "consume_less", "time_major", "sparse", "ragged", "use_cudnn",
    "zero_output_for_mask", "lora_rank", "lora_alpha", "quantization_config",
)  # fmt: skip
_NO_SUCH_DTYPE = ("float16", "bfloat16", "mixed_float16", "mixed_bfloat16", "half", "int8", "float8")


class Layer(Module, metaclass=Spelling):
    """The base of layers: write ``call``, and ``build`` if there are weights.

    Parameters
    ----------
    activity_regularizer : regularizer, optional
        A penalty on what the layer returns.
    trainable : bool, default True
    dtype : str, optional
        "float32" or "float64".
    autocast : bool, default True
        As in Keras; it changes nothing here.
    name : str, optional
        By default the class's name in snake case, numbered.
    **kwargs : object
        ``input_shape`` and what else Keras has taken over the years.

    Examples
    --------
    >>> import numpy as np
    >>> from pynn import keras
    >>> class Scale(keras.Layer):
    ...     def build(self, input_shape):
    ...         self.factor = self.add_weight(shape=(input_shape[-1],), initializer="ones", name="factor")
    ...     def call(self, x):
    ...         return x * self.factor
    >>> Scale()(np.ones((2, 3))).shape
    (2, 3)
    """

    _unwatched = frozenset({"_given", "_nodes", "_losses", "_first_weights", "_known_shape", "history"})
    _aliases = {}  # Keras's names of weights: pynn's
    _reads_lengths = False  # whether call() finds masks on its inputs, as layers of the library do
    structural = False
    supports_masking = False
    input_spec = None
    activity_regularizer = None

    def __init_subclass__(cls, **options):
        if cls.__module__.startswith("pynn.keras.") and "__init__" in cls.__dict__:
            cls.__init__ = noted(cls.__init__)
        super().__init_subclass__(base=True, **options)

    def __init__(self, *, activity_regularizer=None, trainable=True, dtype=None, autocast=True, name=None, **kwargs):
        Module.__init__(self, name or unique_name(snake_case(type(self).__name__)))
        self._begin({"trainable": trainable, "dtype": dtype, "activity_regularizer": activity_regularizer, **kwargs})

    def _make(self, base, given, *args, **settings):
        """Begin a layer that is one of pynn's too: its constructor, then what every layer here has."""
        given.setdefault("name", None)
        name = given.pop("name") or unique_name(snake_case(type(self).__name__))
        base.__init__(self, *args, **settings)
        object.__setattr__(self, "name", name)
        self._begin(given)

    def _make_of(self, base, given, **changed):
        """Begin a layer that is one of pynn's too, of the names that its constructor was given here (locals())."""
        given = {k: v for k, v in given.items() if k not in ("self", "__class__")} | changed
        options = given.pop("kwargs", {})
        options.update((k, given.pop(k)) for k in ("activity_regularizer", "name") if k in given)
        known = known_to(base.__init__)
        apart = ("activation", "data_format", "recurrent_activation")  # set afterwards, or penalties: at build
        self._make(base, options, **{
            k: initializers.for_layer(v) if k.endswith("_initializer") else v for k, v in given.items()
            if k in known and k not in apart and not k.endswith(("_regularizer", "_constraint"))
        })  # fmt: skip

    def _begin(self, given):
        given.pop("autocast", None)
        trainable, dtype = given.pop("trainable", True), given.pop("dtype", None)
        penalty = given.pop("activity_regularizer", None)
        shape = known_shape(given, type(self).__name__)
        own = [*known_to(type(self).__init__), *known_to(Layer.__init__), *_OLD_OPTIONS]
        weights = given.pop("weights", None)
        for option in _OLD_OPTIONS:
            given.pop(option, None)
        refuse(type(self).__name__, given, own)
        vars(self).update(_nodes=Nodes(), _known_shape=shape, _first_weights=weights)
        if penalty is not None:
            self.activity_regularizer = regularizers.get(penalty)
        if self._given_seed is None:
            for key in ("_seed", "_unseeded"):
                object.__setattr__(self, key, [seeding.value, self._seed[1] - seeding.since, *self._seed[2:]])
        if dtype is not None:
            self._set_dtype(dtype)
        if trainable is False:
            self._trainable = False

    def _set_dtype(self, dtype):
        name = getattr(dtype, "name", dtype)
        if name in _NO_SUCH_DTYPE:
            refused(f"dtype {name!r}", "there are float32 and float64; pynn.set_precision() is for speed")
        with contextlib.suppress(TypeError, ValueError):
            if np.dtype(name).kind == "f":
                object.__setattr__(self, "dtype", as_dtype(name))

    # What a class of one's own writes

    def build(self, input_shape=None):
        """Declare weights with add_weight; input_shape begins with None, for the batch."""

    def call(self, *args, **kwargs):
        """Compute the output; to be written by subclasses."""
        raise NotImplementedError(f"[{self.name}] write call(self, inputs) in class {type(self).__name__}.")

    def compute_mask(self, inputs, previous_mask=None):
        """Return the mask of the output; by default the one that the output carries."""
        return previous_mask

    def compute_output_shape(self, input_shape):
        """Return the shape of the output for an input of a shape; sizes that are not known are None."""
        made = mapped_shapes(lambda shape: KerasTensor(shape), input_shape)
        return mapped(lambda t: t.shape, self._symbolic((made,), {}, note=False))

    def add_weight(self, *args, **kwargs):
        """Make a weight: add_weight(shape, initializer, ...), or in the order of Keras 2 with the name first."""
        return added_weight(self, args, kwargs)

    add_variable = add_weight

    def add_loss(self, loss, inputs=None):
        """Add a term, computed in call(), to what is minimized."""
        if state.recorder is None and not state.shapes and not state.trial:
            self.__dict__["_losses"] = loss if isinstance(loss, (list, tuple)) else [loss]
        for term in loss if isinstance(loss, (list, tuple)) else [loss]:
            super().add_loss(term)

    def __setattr__(self, key, value):
        if isinstance(value, Variable) and all(value is not w for w in self._weights.values()):
            self._weights[key] = value
            if not value.requires_grad:
                self._frozen.add(key)
            return
        super().__setattr__(key, value)

    def get_config(self):
        """Return what makes a layer like this one, as plain data."""
        return keras.serial.config_of(self)

    @classmethod
    def from_config(cls, config):
        """Return the layer that get_config() told of."""
        return keras.serial.from_config(cls, config)

    # Calls

    def forward(self, *inputs, **options):
        return self.call(*inputs, **options)

    def __call__(self, *args, **kwargs):
        """Compute the output, or return a symbol of it for symbols."""
        args, kwargs = resolved(args), resolved(kwargs)
        if any(True for _ in symbols_in((args, kwargs))):
            return self._symbolic(args, kwargs)
        args, kwargs = mapped(self._as_tensor, args), mapped(self._as_tensor, kwargs)
        on = kwargs.get("training")
        if on is None or bool(on) == state.training:
            return self._computed_of(args, kwargs)
        with training_mode(bool(on), self._own_slots() if on and state.rng is None else None):
            out = self._computed_of(args, kwargs)
            if on and state.rng is not None:
                self._own_slots().step.view()[0] += 1  # the next call draws other numbers
            return out

    def _as_tensor(self, value):
        if isinstance(value, np.ndarray) and value.dtype.kind in "fiub":
            if value.dtype.kind == "f" and value.dtype != self.dtype:
                value = value.astype(self.dtype)
            elif value.dtype.kind in "iu" and value.dtype not in (np.int32, np.int64):
                value = value.astype(np.int32)
            return tensor(value)
        return value

    def _computed_of(self, args, kwargs):
        takes = call_takes(type(self))
        args, kwargs = self._with_options(takes, args, dict(kwargs))
        outer = state.recorder is not None and state.module is None
        with no_foreign_random(self) if outer else contextlib.nullcontext(), scope(self.name, self):
            if self.built:
                out = self.call(*args, **kwargs)
            else:
                with unbuilt_if_it_fails(self):
                    self._build_now(args or tuple(kwargs.values()))
                    out = self.call(*args, **kwargs)
            if self.activity_regularizer is not None:
                for y in flat(out):
                    self.add_loss(self.activity_regularizer(y))
        if out is None:
            raise TypeError(
                f"[{self.name}] call() of {type(self).__name__} returned None. help: end it with a return statement."
            )
        if type(self).compute_mask is not Layer.compute_mask:
            self._mask(out, args, kwargs)
        if state.observer is not None:
            state.observer(self, out)
        return out

    def _with_options(self, takes, args, kwargs):
        """Give call() the training flag and the mask if it asks for them."""
        if "training" in takes and kwargs.get("training") is None:
            kwargs["training"] = state.training
        elif "training" not in takes and "**" not in takes:
            kwargs.pop("training", None)
        if "mask" not in takes and kwargs.get("mask") is not None and args and isinstance(args[0], Tensor):
            args = (ops.with_lengths(args[0], as_lengths(kwargs.pop("mask"))), *args[1:])
        elif "mask" in takes and not self._reads_lengths and kwargs.get("mask") is None and len(args) < 2:
            kwargs["mask"] = mapped(mask_of, args[0]) if args else None
        if "mask" not in takes and "**" not in takes:
            kwargs.pop("mask", None)
        return args, kwargs

    def _mask(self, out, args, kwargs):
        if isinstance(out, Tensor) and args:
            mask = self.compute_mask(args[0], kwargs.get("mask", mapped(mask_of, args[0])))
            out.lengths = None if mask is None else as_lengths(mask)

    def _build_now(self, xs):
        shape = mapped(shape_for_build, xs[0]) if xs else (None,)
        first = next((tuple(x.shape) for x in flat(xs) if isinstance(x, Tensor)), ())
        object.__setattr__(self, "_built_for", first)
        with Held(state, shapes=False):  # weights are drawn, also where a call is one for shapes alone
            self.build(shape)
            object.__setattr__(self, "built", True)
            self._after_build()

    def _after_build(self):
        given = self.__dict__.get("_given")
        of = {alias: key for alias, key in type(self)._aliases.items() if key in self._weights}
        for name, value in {} if given is None else given.values.items():
            what, _, kind = name.rpartition("_")
            key = next((of[alias] for alias in (what, f"{what}_kernel") if alias in of), what)
            if value is not None and key in self._weights:
                if kind == "regularizer":
                    self._regularizers[key] = regularizers.get(value)
                elif kind == "constraint":
                    self._constraints[key] = constraints.get(value)
        order = getattr(self, "_order", None)  # of weights, where Keras has another than pynn
        if order is not None:
            kept = dict(self._weights)
            self._weights.clear()
            self._weights.update((key, kept[key]) for key in order if key in kept)
        if self._first_weights is not None:
            given = [np.asarray(w) for w in self._first_weights]
            object.__setattr__(self, "_first_weights", None)
            self.set_weights(given)

    def _symbolic(self, args, kwargs, note=True):
        found, captured, born = [], {}, KerasTensor(()).number
        training = kwargs.get("training")

        def find(x):  # what stood around the layer before this call; not what it makes in the course of it
            if x.number > born:
                return None
            captured[id(x)] = x
            return stand(x)

        for rows, steps in SIZES:
            with shapes_alone(), no_grad(), training_mode(False):
                stand = functools.partial(stand_in, rows=rows, steps=steps)
                given = {k: mapped(stand, v) for k, v in kwargs.items()}
                if training is not None:
                    given["training"] = False
                with known(find):
                    found.append(self._computed_of(mapped(stand, args), given))
        one, two = (list(flat(out)) for out in found)
        call = Call(self, args, kwargs)
        call.captured = list(captured.values())
        made = [KerasTensor.of(call, i, a, b, kwargs) for i, (a, b) in enumerate(zip(one, two, strict=True))]
        call.outputs = tuple(made)
        left = iter(made)
        out = mapped(lambda _: next(left), found[0])
        if note:
            call.structure = out
            self._nodes.calls.append(call)
        return out

    # What people ask of a layer

    def __getattr__(self, key):
        weights = self.__dict__.get("_weights", {})
        other = type(self)._aliases.get(key)
        if other in weights:
            return weights[other]
        if key == "bias" and other is not None:
            return None
        return Module.__getattr__(self, key)

    @property
    def input(self):
        """The symbol, or symbols, that the layer was called with."""
        return self._nodes.first(self).input

    @property
    def output(self):
        """The symbol, or symbols, that the layer returned."""
        return self._nodes.first(self).structure

    def get_input_at(self, node_index):
        """Return the symbols of a call."""
        return self._nodes.calls[node_index].input

    def get_output_at(self, node_index):
        """Return the symbols that a call returned."""
        return self._nodes.calls[node_index].structure

    @property
    def input_shape(self):
        """The shape that the layer was called with, None for what is not known."""
        return mapped(lambda t: t.shape, self.input)

    @property
    def output_shape(self):
        """The shape of what the layer returned."""
        return mapped(lambda t: t.shape, self.output)

    @property
    def weights(self):
        """All weights, in Keras's order."""
        return [weight for _, weight in self.named_parameters()]

    variables = weights

    @property
    def trainable_weights(self):
        """The weights that training updates."""
        return self.parameters()

    trainable_variables = trainable_weights

    @property
    def non_trainable_weights(self):
        """The weights that training does not update."""
        trained = {id(w) for w in self.parameters()}
        return [weight for weight in self.weights if id(weight) not in trained]

    non_trainable_variables = non_trainable_weights

    def count_params(self):
        """Return the number of weights."""
        return self.count_parameters()

    @property
    def path(self):
        """The layer's name."""
        return self.name

    @property
    def losses(self):
        """Penalties of the weights, and what the last call added."""
        found = []
        for module in self.modules():
            found += module.__dict__.get("_losses", ())
            found += [penalty(module._weights[key]) for key, penalty in module._regularizers.items()]
        return found

    def takes_bytes(self, i: int = 0) -> bool:
        """Tell that bytes are numbers: Keras does not divide them by 255."""
        return True


@functools.cache
def call_takes(cls: type) -> frozenset[str]:
    """Return the names of what a class's call() takes; "**" if that is anything."""
    found = inspect.signature(cls.call).parameters
    return frozenset("**" if p.kind is p.VAR_KEYWORD else name for name, p in found.items())


_DTYPES = ("float32", "float64", "float16", "int32", "int64", "uint8", "int8", "bool", "string")


def added_weight(layer: Layer, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Tensor:
    """Do what add_weight says, in the order of Keras 3 (shape first) or of Keras 2 and pynn (name first)."""
    given = dict(kwargs)
    if args and (isinstance(args[0], str) or args[0] is None):
        third = args[2] if len(args) > 2 else None
        of_pynn = (
            third is not None and not (isinstance(third, str) and third in _DTYPES) and not isinstance(third, type)
        )
        rest = ("initializer", "trainable", "regularizer") if of_pynn else (
            "dtype", "initializer", "regularizer", "trainable", "constraint")  # fmt: skip
        given.update(zip(("name", "shape", *rest), args, strict=False))
    else:
        given.update(zip(("shape", "initializer", "dtype", "trainable"), args, strict=False))
    given.pop("aggregation", None), given.pop("synchronization", None), given.pop("autocast", None)
    given.pop("experimental_autocast", None), given.pop("dtype", None), given.pop("use_resource", None)
    name = base = given.pop("name", None) or "variable"
    k = 0
    while name in layer._weights:
        k += 1
        name = f"{base}_{k}"
    shape = given.pop("shape", None)
    shape = () if shape is None else tuple(shape) if isinstance(shape, (list, tuple)) else (shape,)
    if any(d is None for d in shape):
        raise ShapeError(f"[{layer.name}] expected known sizes for weight {name!r}. Received: {shape}.")
    given["initializer"] = initializers.for_layer(given.get("initializer") or "glorot_uniform")
    given["regularizer"] = regularizers.get(given.get("regularizer"))
    if given.get("constraint") is not None:
        given["constraint"] = constraints.get(given["constraint"])
    trainable = given.get("trainable")
    given["trainable"] = True if trainable is None else bool(trainable)
    refuse("add_weight", given, ("initializer", "trainable", "regularizer", "constraint"))
    return Variable.of(Module.add_weight(layer, name, tuple(int(d) for d in shape), **given))


class InputLayer(Layer):
    """Where data come in; with `input_tensor`, what is always the same unless a model is given other data."""

    def __init__(self, shape=None, batch_size=None, dtype=None, sparse=None, batch_shape=None, input_tensor=None,
                 name=None, **kwargs):  # fmt: skip
        if sparse or kwargs.get("ragged"):
            refused("sparse and ragged tensors", "pass dense arrays; pad_sequences makes them of sequences")
        kwargs.pop("optional", None), kwargs.pop("ragged", None)
        shape = kwargs.pop("input_shape", shape)
        batch_shape = kwargs.pop("batch_input_shape", batch_shape)
        self.fixed = getattr(input_tensor, "_tensor", input_tensor)
        if input_tensor is not None:
            self.fixed = self.fixed if isinstance(self.fixed, (KerasTensor, Tensor)) else tensor(self.fixed)
            batch_shape, dtype = self.fixed.shape, dtype or self.fixed.dtype
        if batch_shape is None:
            if shape is None:
                raise ValueError("[input] expected shape=. Received: neither shape nor batch_shape.")
            batch_shape = (batch_size, *(shape if isinstance(shape, (list, tuple)) else (shape,)))
        super().__init__(name=name or unique_name("input_layer"), **kwargs)
        self.batch_shape = tuple(None if d is None else int(d) for d in batch_shape)
        self._input_dtype = str(np.dtype(dtype or "float32")) if dtype != "string" else "string"
        self.built = True
        call = Call(self, (self.fixed,) if isinstance(self.fixed, KerasTensor) else (), {})
        made = KerasTensor(self.batch_shape, self._input_dtype, name=self.name)
        made.call, made.index = call, 0
        call.outputs, call.structure = (made,), made
        self._nodes.calls.append(call)

    def get_config(self):
        """Return the settings."""
        return {"batch_shape": list(self.batch_shape), "dtype": self._input_dtype, "sparse": False, "name": self.name}

    def call(self, values=None):
        """Return what stands there where no values come from outside."""
        if self.fixed is None:
            raise TypeError(f"[{self.name}] an input has no values of its own.")
        return self.fixed if values is None else values


def Input(shape=None, batch_size=None, dtype=None, sparse=None, batch_shape=None, name=None, tensor=None, **kwargs):
    """Return the symbol of an input.

    Parameters
    ----------
    shape : tuple of int or None, optional
        Of one sample; None for sizes that are not known.
    batch_size : int, optional
    dtype : str, optional
        "float32" by default.
    sparse : bool, optional
        Refused.
    batch_shape : tuple, optional
        The shape with the batch, in the place of `shape`.
    name : str, optional
    tensor : Tensor, variable or symbol, optional
        What stands there as long as a model or function is not given other values.
    **kwargs : object
        ``batch_input_shape``, as in Keras 2.

    Examples
    --------
    >>> from pynn import keras
    >>> x = keras.Input((28, 28, 1))
    >>> keras.layers.Flatten()(x).shape
    (None, 784)
    """
    layer = InputLayer(shape, batch_size, dtype, sparse, batch_shape, tensor, name, **kwargs)
    return layer._nodes.calls[0].outputs[0]


class Operation(Layer):
    """A function of tensors as a layer: what arithmetic with symbols makes."""

    _reads_lengths = True

    def __init__(self, function, name=None):
        base = snake_case(getattr(function, "__name__", "operation"))
        super().__init__(name=name or unique_name(base.strip("_")))
        self.function = function

    def call(self, *args, **kwargs):
        """Compute the function."""
        return self.function(*args, **kwargs)

    def get_config(self):
        """Return the name: the function is told by the record's class."""
        return {"name": self.name}


def lifted(function: Callable[..., Any], *args, **kwargs):
    """Return function(...), or a symbol of it where symbols are among the arguments."""
    args, kwargs = resolved(args), resolved(kwargs)
    if any(True for _ in symbols_in((args, kwargs))):
        return Operation(function)._symbolic(args, kwargs)
    return function(*args, **kwargs)


KerasTensor.lifted = staticmethod(lifted)
