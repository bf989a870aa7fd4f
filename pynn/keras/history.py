"""What is shown and kept: logged values under old and new names, lines and bars of an epoch, summary()."""

from __future__ import annotations

import re
import sys
import time

import numpy as np

from pynn import train
from pynn.keras.layer import Spelling
from pynn.train.progress import ProgressBar

_SAME = {"acc": "accuracy", "lr": "learning_rate", "mse": "mean_squared_error", "mae": "mean_absolute_error"}
_SAME |= {new: old for old, new in _SAME.items()}


def other_name(name: str) -> str:
    """Return what a logged value was called before, or is called now."""
    head, tail = ("val_", name[4:]) if name.startswith("val_") else ("", name)
    return head + _SAME.get(tail, tail)


class Logs(dict):
    """Values by name; ``acc`` and ``accuracy`` are the same one."""

    def __missing__(self, key):
        other = other_name(key)
        if other != key and dict.__contains__(self, other):
            return dict.__getitem__(self, other)
        head, tail = ("val_", key[4:]) if key.startswith("val_") else ("", key)
        if tail in ("acc", "accuracy"):  # whichever accuracy there is, if there is one alone
            found = [name for name in self if re.fullmatch(head + r"(?!val_)\w+_accuracy", name)]
            if len(found) == 1:
                return dict.__getitem__(self, found[0])
        raise KeyError(f"{key!r}; logged: {', '.join(self)}")

    def get(self, key: str, default=None):
        """Return a value, or the default."""
        try:
            return self[key]
        except KeyError:
            return default


class History(train.History, metaclass=Spelling):
    """What happened, epoch by epoch, which fit returns."""

    def on_train_begin(self, logs=None):
        """Begin, or go on with what was told before the training went on."""
        if not getattr(self, "history", None):
            self.history = Logs()
        else:
            self.history = Logs(self.history)
        super().on_train_begin(logs)
        self.history = Logs()

    def on_epoch_end(self, epoch, logs=None):
        """Add the values of an epoch."""
        logs = logs or {}
        for name, value in logs.items():
            array = np.asarray(value)
            self.history.setdefault(name, []).append(float(array) if array.ndim == 0 else array)
        self.epoch.append(epoch)


class ProgbarLogger(ProgressBar, metaclass=Spelling):
    """The lines that fit shows: a bar in a terminal, a line for each epoch elsewhere."""

    def __init__(self, verbose=1, *_, **__):
        super().__init__(0)
        self.level, self.shown = int(verbose), False

    def on_train_begin(self, logs=None):
        """Begin."""
        self.steps = self.params.get("steps")
        self.began = self.last = 0.0

    def on_epoch_begin(self, epoch, logs=None):
        """Say which epoch begins."""
        self.began, self.last = time.perf_counter(), 0.0
        epochs = self.params.get("epochs") or 1
        if self.level and (epochs > 1 or self.level == 1):
            print(f"Epoch {epoch + 1}/{epochs}", flush=True)

    def on_progress(self, done, total, logs=None):
        """Move the bar."""
        now = time.perf_counter()
        if self.level == 1 and sys.stdout is not None and sys.stdout.isatty() and now - self.last > 0.1:
            self.last = now
            print("\r" + self._line(done, total, logs or {}), end="", flush=True)

    def on_epoch_end(self, epoch, logs=None):
        """Say what the epoch brought."""
        steps = self.steps
        if self.level == 1 and sys.stdout is not None and sys.stdout.isatty():
            print("\r" + self._line(steps or 1, steps, logs or {}), flush=True)
        elif self.level:
            seconds = time.perf_counter() - self.began
            print(f"{_count(steps)} - {_time(seconds)} - {_each(seconds, steps)}{values_text(logs or {})}", flush=True)

    def _line(self, done, total, logs):
        seconds = time.perf_counter() - self.began
        filled = 30 if not total else int(30 * done / total)
        bar = "=" * filled + ">" * (filled < 30) + "." * max(0, 29 - filled)
        return f"{done}/{total or '?'} [{bar}] - {_time(seconds)} - {_each(seconds, done)}{values_text(logs)}"

    def on_train_end(self, logs=None):
        """End."""


def _count(steps):
    return "?/?" if not steps else f"{steps}/{steps}"


def _time(seconds):
    return f"{seconds:.0f}s" if seconds < 3600 else f"{seconds / 3600:.0f}:{seconds % 3600 / 60:02.0f}h"


def _each(seconds, steps):
    each = seconds / max(steps or 1, 1)
    return (
        f"{each:.0f}s/step" if each >= 1 else f"{each * 1e3:.0f}ms/step" if each >= 1e-3 else f"{each * 1e6:.0f}us/step"
    )


def values_text(logs) -> str:
    """Return names and values as text."""
    shown = {name: np.asarray(value) for name, value in logs.items() if np.ndim(value) == 0}
    return "".join(
        f" - {name}: {v:.4f}" if v == 0 or abs(v) > 1e-3 else f" - {name}: {v:.4e}" for name, v in shown.items()
    )


def told(logs, model):
    """Print the values of an evaluation."""
    print(values_text(logs).removeprefix(" - "), flush=True)


class Progbar:
    """A bar of progress with means of values.

    Parameters
    ----------
    target : int or None
        Steps in all.
    width : int, default 20
    verbose : {0, 1, 2}, default 1
        1: a bar; 2: a line at the end.
    interval : float, default 0.05
        Seconds between two pictures.
    stateful_metrics : iterable of str, optional
        Names whose last value is shown, instead of the mean.
    unit_name : str, default "step"
    """

    def __init__(self, target, width=20, verbose=1, interval=0.05, stateful_metrics=None, unit_name="step"):
        self.target, self.width, self.verbose, self.interval = target, width, verbose, interval
        self.stateful_metrics, self.unit_name = set(stateful_metrics or ()), unit_name
        self._sums = {}
        self._start, self._shown, self._seen, self._wide = time.time(), 0.0, 0, 0

    def update(self, current: int, values=None, finalize: bool | None = None):
        """Show how far things are.

        Parameters
        ----------
        current : int
            Steps that are done.
        values : sequence of (str, float), optional
        finalize : bool, optional
            Whether it is the last one; by default, if current is the target.
        """
        steps = max(current - self._seen, 1)
        for name, value in values or ():
            number = float(np.mean(np.asarray(value)))
            if name in self.stateful_metrics:
                self._sums[name] = [number, 1.0]
            else:
                total = self._sums.setdefault(name, [0.0, 0.0])
                total[0] += number * steps
                total[1] += steps
        self._seen = current
        last = finalize if finalize is not None else self.target is not None and current >= self.target
        now = time.time()
        if not self.verbose or (self.verbose == 2 and not last) or (now - self._shown < self.interval and not last):
            return
        self._shown = now
        told = "".join(f" - {name}: {total / max(n, 1):.4f}" for name, (total, n) in self._sums.items())
        if self.verbose == 1:
            share = 0.0 if not self.target else min(current / self.target, 1.0)
            done = int(self.width * share)
            line = f"{current}/{self.target or 'Unknown'} [{'=' * done}{'.' * (self.width - done)}]"
            line += f" - {now - self._start:.0f}s{told}"
            sys.stdout.write("\r" + line.ljust(self._wide) + ("\n" if last else ""))
            self._wide = len(line)
        else:
            sys.stdout.write(f"{current}/{self.target} - {now - self._start:.0f}s{told}\n")
        sys.stdout.flush()

    def add(self, n: int, values=None):
        """Show that n more steps are done.

        Parameters
        ----------
        n : int
        values : sequence of (str, float), optional
        """
        self.update(self._seen + n, values)


def printed(model, line_length, print_fn, expand_nested: bool, show_trainable: bool):
    """Print the layers of a model with their output shapes and weights, as Keras does."""
    say = print_fn or print
    chain = hasattr(model, "_chain")
    rows = [["Layer (type)", "Output Shape", "Param #", *([] if chain else ["Connected to"])]]
    if show_trainable:
        rows[0].append("Trainable")
    for layer, inside, depth in _layers(model, expand_nested, 0):
        row = ["  " * depth + f"{layer.name} ({type(layer).__name__})", _shape(layer), f"{layer.count_params():,}"]
        if not chain:
            row.append(_before(layer, inside))
        if show_trainable:
            row.append("Y" if layer.trainable else "N")
        rows.append(row)
    widths = [max(len(row[i]) for row in rows) + 2 for i in range(len(rows[0]))]
    wide = max(sum(widths), line_length or 65)
    say(f'Model: "{model.name}"')
    say("_" * wide)
    for i, row in enumerate(rows):
        say("".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip())
        if i == 0:
            say("=" * wide)
    say("=" * wide)
    trained = {id(w) for w in model.trainable_weights}
    counts = {True: [0, 0], False: [0, 0]}
    for w in model.weights:
        counts[id(w) in trained][0] += w.size
        counts[id(w) in trained][1] += w.nbytes
    total, size = (counts[True][i] + counts[False][i] for i in range(2))
    say(f"Total params: {total:,} ({_bytes(size)})")
    say(f"Trainable params: {counts[True][0]:,} ({_bytes(counts[True][1])})")
    say(f"Non-trainable params: {counts[False][0]:,} ({_bytes(counts[False][1])})")
    say("_" * wide)


def _layers(model, expand, depth):
    for layer in model.layers:
        yield layer, model, depth
        if expand and hasattr(layer, "layers"):
            yield from _layers(layer, expand, depth + 1)


def _shape(layer):
    try:
        shapes = list(flat_shapes(layer.output_shape))
    except AttributeError:
        return "?"
    return str(shapes[0]) if len(shapes) == 1 else ", ".join(map(str, shapes))


def flat_shapes(shapes):
    """Yield the shapes of a structure of shapes."""
    if isinstance(shapes, tuple) and all(d is None or isinstance(d, (int, np.integer)) for d in shapes):
        yield shapes
    else:
        for shape in shapes.values() if isinstance(shapes, dict) else shapes:
            yield from flat_shapes(shape)


def _before(layer, model):
    graph = getattr(model, "_graph", None)  # of calls in other models nothing is told
    calls = layer._nodes.calls[:1] if graph is None else [call for call in graph.calls if call.layer is layer]
    return ", ".join(f"{x.call.layer.name}[{x.index}]" for call in calls for x in call.parents) or "-"


def _bytes(n):
    return f"{n / 1024**2:.2f} MB" if n >= 1024**2 else f"{n / 1024:.2f} KB" if n >= 1024 else f"{n} B"
