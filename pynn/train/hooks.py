"""The hooks of training: what a callback may override, and how it is known that it did."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from pynn.checks import of_kind
from pynn.errors import DataError, unknown_name
from pynn.keywords import Spelled
from pynn.train.network import Followed, Network

__all__ = ["HOOKS", "Callback", "LambdaCallback", "Logs", "a_count", "a_count_or_none", "a_number", "overrides"]

Logs = dict[str, float]


def a_count(value: Any) -> bool:
    """Tell whether a value is an integer of at least 0."""
    return type(value) is int and value >= 0


def a_count_or_none(value: Any) -> bool:
    """Tell whether a value is an integer of at least 0, or None."""
    return value is None or a_count(value)


def a_number(value: Any) -> bool:
    """Tell whether a value is a number, be it infinite."""
    return type(value) in (int, float)


HOOKS = (
    "on_train_begin",
    "on_train_end",
    "on_epoch_begin",
    "on_epoch_end",
    "on_train_batch_begin",
    "on_train_batch_end",
    "on_batch_begin",
    "on_batch_end",
    "on_test_begin",
    "on_test_end",
    "on_test_batch_begin",
    "on_test_batch_end",
    "on_predict_begin",
    "on_predict_end",
    "on_predict_batch_begin",
    "on_predict_batch_end",
    "on_progress",
    "on_safe_point",
)
BATCH_HOOKS = ("on_train_batch_begin", "on_train_batch_end", "on_batch_begin", "on_batch_end")


class Callback(Spelled):
    """Base of callbacks: override the hooks you need.

    `logs` maps names to floats: the loss, the metrics, and after an epoch also their ``val_`` values. A callback may
    add to the logs of `on_epoch_end`; those after it see the addition. Setting ``self.model.stop_training = True`` ends
    training.

    A batch hook costs speed: training then returns to Python after every step instead of running many at once.
    `on_progress` is called a few times a second and costs nothing.

    Attributes
    ----------
    model : Model
        The model that is trained.
    params : dict
        ``"epochs"``, ``"initial_epoch"``, ``"steps"`` (batches per epoch, None if not known), ``"verbose"`` and
        ``"metrics"`` (names of what the logs of an epoch will hold), and ``"resumed"``, whether training goes on from a
        checkpoint.
    may_end_twice : bool
        Whether `on_train_end` is called once more where it failed: Ctrl-C may have met its first line, before anything
        was closed. Not unless a class says so.
    writes : bool
        Whether it writes files or shows something: of processes that train together, rank 0 alone calls it.
    state_names : tuple of str
        Attributes that a checkpoint keeps and a resumed training gets back.

    Examples
    --------
    >>> class StopAt(Callback):
    ...     def __init__(self, accuracy):
    ...         self.accuracy = accuracy
    ...     def on_epoch_end(self, epoch, logs=None):
    ...         if logs["accuracy"] >= self.accuracy:
    ...             self.model.stop_training = True
    >>> overrides(StopAt(0.98), "on_epoch_end"), overrides(StopAt(0.98), "on_train_begin")
    (True, False)
    """

    model: Any = None  # a Followed; those of one's own may ask for whatever their model has
    params: dict[str, Any] = {}  # noqa: RUF012  replaced by set_params, never changed

    may_end_twice = False
    writes = False
    state_names: tuple[str, ...] = ()
    state_kinds: Mapping[str, Callable[[Any], bool]] = {}

    def get_state(self) -> dict[str, Any]:
        """Return what a checkpoint must keep of this callback, by name: by default the attributes in `state_names`.

        Texts, numbers, arrays, and lists and dicts of these.
        """
        return {name: getattr(self, name) for name in self.state_names if hasattr(self, name)}

    def check_state(self, state: dict[str, Any], model: Network) -> None:
        """Raise DataError if `set_state` could not take this from a checkpoint; nothing of it was taken yet.

        By default the attributes in `state_kinds` are looked at, and anything else is taken.
        """
        for name, fits in self.state_kinds.items():
            if name in state and not fits(state[name]):
                raise DataError(
                    f"[load] callbacks: expected another {name} for {type(self).__name__}. "
                    f"Received: {str(state[name])[:60]!r}."
                )

    def set_state(self, state: dict[str, Any]) -> None:
        """Take back what `get_state` returned, after `on_train_begin` of the training that resumes."""
        for name in self.state_names:
            if name in state:
                setattr(self, name, state[name])

    def set_model(self, model: Followed | None) -> None:
        """Take the model that is about to be trained."""
        self.model = model

    def set_params(self, params: dict[str, Any]) -> None:
        """Take the settings of the training."""
        self.params = params

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Before the first epoch."""

    def on_train_end(self, logs: Logs | None = None) -> None:
        """After the last epoch, and also after Ctrl-C or an error."""

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Before an epoch, counted from 0."""

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """After an epoch and its validation."""

    def on_train_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Before a batch, counted from 0 in its epoch."""
        self.on_batch_begin(batch, logs)

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """After a batch; `logs` holds the means of the epoch so far."""
        self.on_batch_end(batch, logs)

    def on_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Old name of `on_train_batch_begin`."""

    def on_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Old name of `on_train_batch_end`."""

    def on_test_begin(self, logs: Logs | None = None) -> None:
        """Before an evaluation, also that of an epoch's validation data."""

    def on_test_end(self, logs: Logs | None = None) -> None:
        """After an evaluation."""

    def on_test_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Before a batch of an evaluation, counted from 0."""

    def on_test_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """After a batch of an evaluation; `logs` holds the mean loss so far."""

    def on_predict_begin(self, logs: Logs | None = None) -> None:
        """Before a prediction."""

    def on_predict_end(self, logs: Logs | None = None) -> None:
        """After a prediction."""

    def on_predict_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Before a batch of a prediction, counted from 0."""

    def on_predict_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """After a batch of a prediction."""

    def on_safe_point(self, point: Any) -> None:
        """Between two steps, a few times a second, and after every epoch's other hooks.

        ``point.write(path)`` writes a checkpoint, from which ``fit(..., resume=path)`` goes on; see
        :class:`pynn.train.ModelCheckpoint`.
        """

    def on_progress(self, done: int, total: int | None, logs: Logs | None = None) -> None:
        """Now and then during an epoch: `done` of `total` batches, None if their number is not known."""


def overrides(callback: Callback, hook: str) -> bool:
    """Return whether a callback has a hook of its own, from its class or set on the object."""
    if not hasattr(callback, hook):
        of_kind("fit", "callback", callback, "a Callback", hook)
    return hook in vars(callback) or getattr(type(callback), hook, None) is not getattr(Callback, hook)


class LambdaCallback(Callback):
    """A callback of plain functions.

    Parameters
    ----------
    **hooks : callable
        One function per hook, with the arguments of the hook in `Callback`, given by position.

    Raises
    ------
    ValueError
        If a hook does not exist; the message gives the nearest one.
    TypeError
        If a value cannot be called.

    Examples
    --------
    >>> shout = LambdaCallback(on_epoch_end=lambda epoch, logs: print(epoch, logs["loss"]))
    >>> shout.on_epoch_end(3, {"loss": 0.5})
    3 0.5
    """

    def __init__(self, **hooks: Callable[..., Any] | None) -> None:
        for name, function in hooks.items():
            if name not in HOOKS:
                raise ValueError(f"[LambdaCallback] {unknown_name('hook', name, HOOKS)}")
            if function is None:
                continue
            if not callable(function):
                raise TypeError(f"[LambdaCallback] expected {name} to be a function. Received: {function!r}.")
            setattr(self, name, function)
