"""compile, fit, evaluate, predict: Keras's arguments and return types over pynn's training."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping

import numpy as np

from pynn.errors import DataError
from pynn.keras import callbacks as calls
from pynn.keras import losses, metrics, optimizers
from pynn.keras.history import told
from pynn.keras.names import older, refuse, refused, spelled_as_ever
from pynn.nn.module import Module
from pynn.train.feed import gives_batches
from pynn.train.own_steps import flat, mapped, measured_by_steps, run

_OLD_FIT = ("workers", "use_multiprocessing", "max_queue_size", "pickle_safe", "show_accuracy")


class Training(Module, base=True):
    """The methods of a model that train and run it."""

    _compiled_with = None
    history = None

    @spelled_as_ever
    def compile(self, optimizer="rmsprop", loss=None, loss_weights=None, metrics=None, weighted_metrics=None,
                run_eagerly=False, steps_per_execution=1, jit_compile="auto", auto_scale_loss=True,
                **kwargs):  # fmt: skip
        """Choose how to train."""
        for old in ("sample_weight_mode", "target_tensors", "class_mode", "experimental_run_tf_function"):
            kwargs.pop(old, None)
        refuse("compile", kwargs, ("optimizer", "loss", "loss_weights", "metrics", "weighted_metrics", "run_eagerly"))
        if _are_metrics(loss_weights):  # the order of Keras 2
            metrics, loss_weights = loss_weights, metrics
        found = _each(losses.for_training, loss)
        several = isinstance(found, (list, dict))
        wanted = _metrics(metrics, found, getattr(self, "output_names", None))
        for metric in flat(wanted):  # weights of samples and classes are for losses, and for weighted_metrics
            metric.weighted = False
        if weighted_metrics:
            more = _metrics(weighted_metrics, found, getattr(self, "output_names", None))
            wanted = [*wanted, *more] if isinstance(wanted, list) and isinstance(more, list) else wanted
        self._compiled_with = {"optimizer": optimizer, "loss": loss, "metrics": metrics, "loss_weights": loss_weights}
        if loss_weights is not None and not several and not isinstance(loss_weights, (list, Mapping)):
            loss_weights = [loss_weights]
        names = getattr(self, "output_names", None)
        if found is not None and not several and names is not None and len(names) == 1 and loss_weights is not None:
            loss_weights = None
        Module.compile(
            self, optimizers.get(optimizer), losses.Nothing() if found is None else found, wanted,
            self._seed[-1] if isinstance(self._seed, list) else None, bool(run_eagerly), loss_weights=loss_weights,
        )  # fmt: skip
        self.__dict__["_flags"] = {id(m): m._trainable for m in self.modules()}

    @contextlib.contextmanager
    def _as_compiled(self):
        """Let what is trained be what was so when the model was compiled: Keras looks at the flags then."""
        flags = self.__dict__.get("_flags") or {}
        changed = [(m, m._trainable) for m in self.modules() if flags.get(id(m), m._trainable) != m._trainable]
        for m, now in changed:
            m._set_trainable(not now)
        try:
            yield
        finally:
            for m, now in changed:
                m._set_trainable(now)

    @spelled_as_ever
    def fit(self, x=None, y=None, batch_size=None, epochs=1, verbose="auto", callbacks=None, validation_split=0.0,
            validation_data=None, shuffle=True, class_weight=None, sample_weight=None, initial_epoch=0,
            steps_per_epoch=None, validation_steps=None, validation_batch_size=None, validation_freq=1,
            **kwargs):  # fmt: skip
        """Train the model; returns its History."""
        _refuse_old("fit", kwargs)
        x, y = self._data(x, y)
        weight = self._weights_of(sample_weight)
        if hasattr(validation_data, "as_keras_batches"):
            validation_data = validation_data.as_keras_batches()
        if validation_split and validation_data is None:
            (x, y, weight), validation_data = _split(x, y, weight, validation_split)
        elif validation_data is not None and not gives_batches(validation_data):
            validation_data = self._held(validation_data)
        history = calls.History()
        listed = calls.listed(callbacks, verbose, history, validation_data, validation_freq)
        size = 32 if batch_size is None else int(batch_size)
        for backup in listed:
            if isinstance(backup, calls.BackupAndRestore):
                initial_epoch = max(initial_epoch, backup.restored(self))
        if hasattr(type(self), "train_step") or self._fixed(x):
            step = getattr(type(self), "train_step", _measured)
            measure = None if validation_data is None else lambda: self._validated(validation_data, size)
            run(self, step, (x, y, weight), size, int(epochs), listed, measure, bool(shuffle), initial_epoch,
                steps_per_epoch, mean=False)  # fmt: skip
            self.__dict__["history"] = history
            return history
        with self._as_compiled():
            Module.fit(
                self, x, y, batch_size=size, epochs=int(epochs), verbose=0, callbacks=listed,
                validation_data=validation_data, shuffle=bool(shuffle), class_weight=_class_weight(class_weight),
                sample_weight=weight, initial_epoch=initial_epoch,
                steps_per_epoch=None if steps_per_epoch is None else int(steps_per_epoch),
                validation_steps=None if validation_steps is None else int(validation_steps),
                check_finite=False,
            )  # fmt: skip
        history.model = self
        self.__dict__["history"] = history
        return history

    @spelled_as_ever
    def evaluate(self, x=None, y=None, batch_size=None, verbose="auto", sample_weight=None, steps=None, callbacks=None,
                 return_dict=False, **kwargs):  # fmt: skip
        """Return the loss, or a list of the loss and the metrics."""
        _refuse_old("evaluate", kwargs)
        x, y = self._data(x, y)
        if hasattr(type(self), "test_step"):
            logs = self._validated((x, y, self._weights_of(sample_weight)), batch_size or 32)
            return logs if return_dict else _as_list(logs)
        found = Module.evaluate(self, x, y, batch_size, sample_weight=self._weights_of(sample_weight), steps=steps,
                                callbacks=callbacks)  # fmt: skip
        logs = dict(found.items())
        if verbose not in (0, False):
            told(logs, self)
        return logs if return_dict else _as_list(logs)

    @spelled_as_ever
    def predict(self, x, batch_size=None, verbose="auto", steps=None, callbacks=None, **kwargs):
        """Return the outputs as arrays."""
        _refuse_old("predict", kwargs)
        x, _ = self._data(x, None)
        if isinstance(x, tuple) and older():  # of arrays that differ, Keras 2 took as many rows as the first has
            x = tuple(a[: len(x[0])] for a in x)
        if not self.built:
            self._first_call(x)
        return Module.predict(self, x, batch_size, callbacks=callbacks, steps=steps)

    def _fixed(self, x):
        """Tell whether there is nothing to train, as in a model of layers without weights."""
        if not self.built and not gives_batches(x):
            self._first_call(x)
        return self.built and not self.parameters()

    def _validated(self, data, size):
        if not hasattr(type(self), "test_step"):
            return self.evaluate(*data, verbose=0, return_dict=True)
        for metric in self.metrics:
            metric.reset()
        return measured_by_steps(self, data, size, mean=False)

    def _first_call(self, x):
        first = [a[:1] for a in x] if isinstance(x, tuple) else x[:1] if hasattr(x, "__getitem__") else None
        if first is not None and not isinstance(x, Mapping):
            self(first)

    @spelled_as_ever
    def train_on_batch(self, x, y=None, sample_weight=None, class_weight=None, return_dict=False, **kwargs):
        """Make one update; returns its loss, or a list of it and the metrics."""
        kwargs.pop("reset_metrics", None)
        refuse("train_on_batch", kwargs, ("x", "y", "sample_weight", "class_weight", "return_dict"))
        x, y = self._data(x, y)
        with self._as_compiled():
            found = Module.train_on_batch(self, x, y, self._weights_of(sample_weight), _class_weight(class_weight))
        return dict(found.items()) if return_dict else _as_list(dict(found.items()))

    @spelled_as_ever
    def test_on_batch(self, x, y=None, sample_weight=None, return_dict=False, **kwargs):
        """Return the loss, or a list of it and the metrics, of a batch."""
        return self.evaluate(x, y, verbose=0, sample_weight=sample_weight, return_dict=return_dict)

    def predict_on_batch(self, x):
        """Return the outputs of a batch."""
        return self.predict(x, verbose=0)

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        """Return the loss that compile() was given, with the penalties of weights and what layers added."""
        loss = self._need_trainer("compute_loss").loss(y_pred, y, sample_weight)
        for term in self.losses:
            loss = loss + term
        return loss

    # Spellings of the past

    def fit_generator(self, generator, steps_per_epoch=None, epochs=1, **kwargs):
        """Train on batches of a generator, as fit does."""
        validation = kwargs.pop("validation_data", None)
        old = {"nb_epoch": "epochs", "samples_per_epoch": "steps_per_epoch"}
        given = {old.get(key, key): value for key, value in kwargs.items()}
        epochs, steps_per_epoch = given.pop("epochs", epochs), given.pop("steps_per_epoch", steps_per_epoch)
        given["shuffle"] = given.get("shuffle", True)
        return self.fit(generator, epochs=epochs, steps_per_epoch=steps_per_epoch, validation_data=validation, **given)

    def evaluate_generator(self, generator, steps=None, callbacks=None, verbose=0, **kwargs):
        """Measure the model on batches of a generator."""
        return self.evaluate(generator, steps=kwargs.pop("val_samples", steps), verbose=verbose, callbacks=callbacks)

    def predict_generator(self, generator, steps=None, callbacks=None, verbose=0, **kwargs):
        """Return the outputs for batches of a generator."""
        return self.predict(generator, steps=kwargs.pop("val_samples", steps), verbose=verbose, callbacks=callbacks)

    def predict_classes(self, x, batch_size=32, verbose=0):
        """Return the number of the class for every row."""
        p = self.predict(x, batch_size=batch_size, verbose=verbose)
        return p.argmax(-1) if p.shape[-1] > 1 else (p > 0.5).astype("int32")

    def predict_proba(self, x, batch_size=32, verbose=0):
        """Return the outputs."""
        return self.predict(x, batch_size=batch_size, verbose=verbose)

    @property
    def metrics_names(self):
        """The names of what evaluate() returns."""
        return list(self._need_trainer("metrics_names").head.log_names())

    @property
    def metrics(self):
        """The metrics that compile() was given."""
        return [] if self._trainer is None else list(self._trainer.metrics)

    # Data

    def _data(self, x, y):
        """Return inputs and targets as pynn takes them: tuples of inputs in their order, lists or dicts of targets."""
        if hasattr(x, "as_keras_batches"):
            x = x.as_keras_batches()
        if isinstance(x, Mapping):
            x = {key: np.asarray(value) for key, value in x.items()}
            graph = self.__dict__.get("_graph")
            if graph is None:
                self.__dict__["_input_keys"] = tuple(x)
                x = tuple(x.values())
            else:
                x = tuple(graph.in_order(x, "fit"))
            x = x[0] if len(x) == 1 else x
        elif isinstance(x, (list, tuple)) and len(x) and all(isinstance(a, np.ndarray) for a in x):
            graph = self.__dict__.get("_graph")
            wanted = None if graph is None else len(graph.inputs)
            if wanted == 1 and len(x) > 1 and x[0].ndim < len(graph.inputs[0].shape):
                x = np.asarray(x)  # a list of rows
            else:
                x = x[0] if len(x) == 1 else tuple(x)
        elif isinstance(x, list) and x and not gives_batches(x):
            x = np.asarray(x)
        if isinstance(y, list) and y and not isinstance(y[0], (np.ndarray, list)) and not hasattr(y[0], "shape"):
            y = np.asarray(y)
        nothing = self._trainer is not None and isinstance(self._trainer.head.loss, losses.Nothing)
        if nothing and y is None and x is not None and not gives_batches(x):
            y = np.zeros(len(x[0] if isinstance(x, tuple) else x), "float32")
        if isinstance(y, list) and len(y) == 1 and isinstance(y[0], np.ndarray):
            y = y[0]
        return x, y

    def _weights_of(self, weight):
        return np.asarray(weight) if isinstance(weight, (list, tuple)) and np.ndim(weight[0]) == 0 else weight

    def _held(self, given):
        if not isinstance(given, (tuple, list)) or len(given) not in (2, 3):
            raise DataError(
                "[fit] expected validation_data to be (x, y) or (x, y, sample_weight). "
                f"Received: {type(given).__name__}{f' of {len(given)}' if hasattr(given, '__len__') else ''}."
            )
        x, y = self._data(given[0], given[1])
        return (x, y, *given[2:])


def _are_metrics(given):
    """Tell whether what stands in the place of the weights of losses is metrics."""
    if isinstance(given, Mapping):
        given = list(given.values())
    return isinstance(given, (list, tuple)) and any(not isinstance(v, (int, float, np.number)) for v in given)


def _each(function, given):
    if isinstance(given, Mapping) and "class_name" not in given:
        return {key: function(value) for key, value in given.items()}
    if isinstance(given, (list, tuple)):
        return [function(value) for value in given]
    return function(given)


def _metrics(given, loss, names):
    """Return metrics as pynn's training takes them, for one output or for each of several."""
    if given is None:
        return []
    if not isinstance(given, (list, tuple, Mapping)):
        given = [given]
    of = (
        loss
        if isinstance(loss, Mapping)
        else dict(zip(names or [], loss, strict=False))
        if isinstance(loss, list)
        else {}
    )

    def made(value, key=None):
        mine = of.get(key, loss if not isinstance(loss, (list, dict)) else None)
        if isinstance(value, (list, tuple)):
            return [metrics.for_training(m, mine) for m in value]
        return [] if value is None else [metrics.for_training(value, mine)]

    if isinstance(given, Mapping):
        return {key: made(value, key) for key, value in given.items()}
    if any(isinstance(m, (list, tuple)) or m is None for m in given):
        return [made(m, key) for m, key in zip(given, names or [None] * len(given), strict=False)]
    if names is not None and len(names) > 1:
        if of:
            return {
                key: [metrics.for_training(m, of.get(key)) for m in given] for key in names if of.get(key) is not None
            }
        return [[metrics.for_training(m, loss) for m in given] for _ in names]
    first = loss if not isinstance(loss, (list, dict)) else next(iter(of.values()), None)
    return [metrics.for_training(m, first) for m in given]


def _as_list(logs):
    values = list(logs.values())
    return values[0] if len(values) == 1 else values


def _class_weight(given):
    if given == "auto":
        refused("class_weight='auto'", "pass 'balanced', or a dict of class to weight")
    return {int(k): float(v) for k, v in given.items()} if isinstance(given, Mapping) else given


def _refuse_old(place, kwargs):
    for old in _OLD_FIT:
        kwargs.pop(old, None)
    refuse(place, kwargs, ("x", "y", "batch_size", "epochs", "verbose", "callbacks", "validation_split",
                           "validation_data", "shuffle", "class_weight", "sample_weight", "initial_epoch",
                           "steps_per_epoch", "validation_steps", "steps", "return_dict"))  # fmt: skip


def _split(x, y, weight, share):
    """Return the first rows and the last share of them, rounded as Keras does."""
    if gives_batches(x):
        raise ValueError("[fit] validation_split needs arrays. Received: batches. help: pass validation_data.")
    if not 0 < share < 1:
        raise ValueError(f"[fit] expected validation_split between 0 and 1. Received: {share!r}.")
    n = len(x[0] if isinstance(x, tuple) else x)
    at = int(n * (1.0 - share))
    if at in (0, n):
        raise ValueError(f"[fit] validation_split={share} of {n} samples leaves one part empty.")

    def cut(value, rows):
        if value is None:
            return None
        if isinstance(value, Mapping):
            return {k: cut(v, rows) for k, v in value.items()}
        if isinstance(value, (list, tuple)):
            return type(value)(cut(v, rows) for v in value)
        return np.asarray(value)[rows]

    first = tuple(cut(v, slice(None, at)) for v in (x, y, weight))
    held = tuple(cut(v, slice(at, None)) for v in (x, y, weight))
    return first, held if held[2] is not None else held[:2]


def _measured(model, batch):
    """Return the loss and the metrics of a batch, for a model that has nothing to train."""
    parts = mapped(lambda v: v.numpy(), batch)
    return model.evaluate(*(parts if isinstance(parts, tuple) else [parts]), verbose=0, return_dict=True)
