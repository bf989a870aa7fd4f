"""Callbacks, in Keras's names and with its defaults."""

from __future__ import annotations

import csv
import inspect
import io
import math
import os
import struct
import time
from typing import Any

import numpy as np

from pynn import train
from pynn.errors import warn
from pynn.files import write_whole
from pynn.keras.history import History, Logs, ProgbarLogger
from pynn.keras.layer import Spelling
from pynn.keras.names import absent, refused
from pynn.train.progress import ProgressBar

__all__ = [
    "BackupAndRestore", "CSVLogger", "Callback", "CallbackList", "EarlyStopping", "History", "LambdaCallback",
    "LearningRateScheduler", "ModelCheckpoint", "ProgbarLogger", "ReduceLROnPlateau", "RemoteMonitor", "SwapEMAWeights",
    "TensorBoard", "TerminateOnNaN",
]  # fmt: skip

_TABLE = []
for _n in range(256):
    for _ in range(8):
        _n = (_n >> 1) ^ (0x82F63B78 if _n & 1 else 0)
    _TABLE.append(_n)


def _checksum(data):
    """Return the masked CRC-32C of bytes."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = _TABLE[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    crc ^= 0xFFFFFFFF
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def _size(n):
    out = b""
    while True:
        out += bytes([n & 0x7F | (0x80 if n > 0x7F else 0)])
        n >>= 7
        if not n:
            return out


def _field(number, data):
    return _size(number << 3 | 2) + _size(len(data)) + data


class Writer:
    """A file of events in a folder.

    Parameters
    ----------
    folder : str
    """

    def __init__(self, folder):
        os.makedirs(folder, exist_ok=True)
        name = f"events.out.tfevents.{time.time():.0f}.pynn.{os.getpid()}.{id(self)}.v2"
        self.file = open(os.path.join(folder, name), "ab")  # noqa: SIM115
        self._write(_field(3, b"brain.Event:2"))

    def _write(self, rest):
        event = b"\x09" + struct.pack("<d", time.time()) + rest
        head = struct.pack("<Q", len(event))
        self.file.write(head + struct.pack("<I", _checksum(head)) + event + struct.pack("<I", _checksum(event)))
        self.file.flush()

    def scalar(self, tag: str, value: float, step: int):
        """Write a number."""
        found = _field(1, tag.encode()) + b"\x15" + struct.pack("<f", value)
        self._write(b"\x10" + _size(step) + _field(5, _field(1, found)))

    def close(self):
        """Close the file."""
        self.file.close()


class Callback(train.Callback, metaclass=Spelling):
    """The base of callbacks: override the hooks you need."""

    validation_data = None

    def set_params(self, params):
        """Take the settings of the training."""
        self.params = {**params, "nb_epoch": params.get("epochs")}


def listed(given, verbose, history, validation, freq) -> list[Any]:
    """Return the callbacks of a training: the user's, the progress, and the history."""
    found = list(given.callbacks if isinstance(given, CallbackList) else [given] if isinstance(given, train.Callback)
                 else given or ())  # fmt: skip
    found = [c for c in found if not isinstance(c, History)]
    for c in found:
        if isinstance(c, Callback) and validation is not None and c.validation_data is None:
            c.validation_data = [*validation, np.ones(1)] if isinstance(validation, tuple) else validation
    if freq not in (1, None):
        refused("validation_freq", "validation runs after every epoch")
    level = 1 if verbose in ("auto", True, 1) else int(verbose)
    if level and not any(isinstance(c, ProgressBar) for c in found):
        found.append(ProgbarLogger(level))
    return [*found, history]


class CallbackList:
    """Callbacks that are called together, for loops of one's own."""

    def __init__(self, callbacks=None, add_history=False, add_progbar=False, model=None, **params):
        self.callbacks = list(callbacks or ())
        if add_history:
            self.callbacks.append(History())
        if model is not None:
            self.set_model(model)
        self.set_params(params)

    def append(self, callback):
        """Add one."""
        self.callbacks.append(callback)

    def __getattr__(self, name):
        if not name.startswith(("on_", "set_")):
            raise AttributeError(name)
        return lambda *args, **kwargs: [getattr(c, name)(*args, **kwargs) for c in self.callbacks] and None

    def __iter__(self):
        return iter(self.callbacks)


class LambdaCallback(Callback):
    """A callback of plain functions."""

    def __init__(self, on_epoch_begin=None, on_epoch_end=None, on_train_begin=None, on_train_end=None,
                 on_train_batch_begin=None, on_train_batch_end=None, **kwargs):  # fmt: skip
        given = {key: value for key, value in locals().items() if key.startswith("on_")}
        for name, function in {**given, **kwargs}.items():
            if function is not None:
                setattr(self, name, function)


class _Watching(Callback):
    """A callback that watches a logged value."""

    def _watch(self, monitor, mode, min_delta=0.0):
        self.monitor, self.mode = monitor, mode
        name = monitor.removeprefix("val_")
        more = mode == "max" or (
            mode != "min"
            and (
                name.endswith(
                    ("acc", "accuracy", "auc", "precision", "recall", "f1_score", "r2_score", "fmeasure", "iou")
                )
            )
        )
        self.sign = 1.0 if more else -1.0
        self.min_delta = abs(min_delta)
        self.best = -self.sign * math.inf

    def monitor_op(self, a, b):
        """Return whether a value is better than another."""
        return self.sign * (a - b) > 0

    def _better(self, value, than):
        return bool(self.sign * (value - than) > self.min_delta)

    def _read(self, logs):
        found = Logs(logs or {}).get(self.monitor)
        if found is None:
            warn(f"[{type(self).__name__}] {self.monitor!r} is not logged; there are: {', '.join(logs or {})}.")
        return None if found is None else float(found)


class EarlyStopping(_Watching):
    """Stop when a value has not improved for `patience` epochs; the last weights stay unless asked otherwise."""

    def __init__(self, monitor="val_loss", min_delta=0, patience=0, verbose=0, mode="auto", baseline=None,
                 restore_best_weights=False, start_from_epoch=0):  # fmt: skip
        self._watch(monitor, mode, min_delta)
        self.patience, self.verbose, self.baseline = patience, verbose, baseline
        self.restore_best_weights, self.start_from_epoch = restore_best_weights, start_from_epoch
        self.wait = self.stopped_epoch = self.best_epoch = 0
        self.best_weights = None

    def on_train_begin(self, logs=None):
        """Begin anew."""
        self.wait = self.stopped_epoch = self.best_epoch = 0
        self.best, self.best_weights = -self.sign * math.inf, None

    def on_epoch_end(self, epoch, logs=None):
        """Look at the value."""
        current = self._read(logs)
        if current is None or epoch < self.start_from_epoch:
            return
        if self.restore_best_weights and self.best_weights is None:
            self.best_weights, self.best_epoch = self.model.get_weights(), epoch
        self.wait += 1
        if self._better(current, self.best):
            self.best, self.best_epoch = current, epoch
            if self.restore_best_weights:
                self.best_weights = self.model.get_weights()
            if self.baseline is None or self._better(current, self.baseline):
                self.wait = 0
            return
        if self.wait >= self.patience and epoch > 0:
            self.stopped_epoch = epoch
            self.model.stop_training = True

    def on_train_end(self, logs=None):
        """Bring back the best weights, if asked to."""
        if self.stopped_epoch > 0 and self.verbose > 0:
            print(f"Epoch {self.stopped_epoch + 1}: early stopping")
        if self.restore_best_weights and self.best_weights is not None:
            if self.verbose > 0:
                print(f"Restoring model weights from the end of the best epoch: {self.best_epoch + 1}.")
            self.model.set_weights(self.best_weights)


class ModelCheckpoint(_Watching):
    """Write the model, or its weights, after epochs."""

    def __init__(self, filepath, monitor="val_loss", verbose=0, save_best_only=False, save_weights_only=False,
                 mode="auto", save_freq="epoch", initial_value_threshold=None, period=1, **kwargs):  # fmt: skip
        kwargs.pop("options", None)
        self._watch(monitor, mode)
        self.filepath, self.verbose = os.fspath(filepath), verbose
        self.save_best_only, self.save_weights_only = save_best_only, save_weights_only
        self.save_freq, self.period, self._steps = save_freq, period, 0
        if initial_value_threshold is not None:
            self.best = initial_value_threshold
        if save_freq != "epoch":
            self.on_train_batch_end = self._after_batch

    def _after_batch(self, batch, logs=None):
        self._steps += 1
        if self._steps % int(self.save_freq) == 0:
            self._save(self.epoch, batch, logs)

    epoch = 0

    def on_epoch_begin(self, epoch, logs=None):
        """Take the number of the epoch."""
        self.epoch = epoch

    def on_epoch_end(self, epoch, logs=None):
        """Write, if it is time and, if asked for, if the value is the best."""
        if self.save_freq == "epoch" and (epoch + 1) % self.period == 0:
            self._save(epoch, None, logs)

    def _save(self, epoch, batch, logs):
        if self.save_best_only:
            current = self._read(logs)
            if current is None or not self._better(current, self.best):
                if self.verbose and current is not None:
                    print(f"\nEpoch {epoch + 1}: {self.monitor} did not improve from {self.best:.5f}")
                return
            if self.verbose:
                print(f"\nEpoch {epoch + 1}: {self.monitor} improved from {self.best:.5f} to {current:.5f}, "
                      f"saving model to {self.filepath}")  # fmt: skip
            self.best = current
        path = self.filepath.format_map(_Formats(Logs(logs or {}), {"epoch": epoch + 1, "batch": (batch or 0) + 1}))
        (self.model.save_weights if self.save_weights_only else self.model.save)(path, overwrite=True)


class _Formats(dict):
    def __init__(self, logs, more):
        super().__init__(more)
        self.logs = logs

    def __missing__(self, key):
        return self.logs[key]


class ReduceLROnPlateau(_Watching):
    """Multiply the learning rate by `factor` when a value has not improved for `patience` epochs."""

    def __init__(self, monitor="val_loss", factor=0.1, patience=10, verbose=0, mode="auto", min_delta=0.0001,
                 cooldown=0, min_lr=0.0, epsilon=None, **kwargs):  # fmt: skip
        if factor >= 1.0:
            raise ValueError(f"[ReduceLROnPlateau] expected factor below 1. Received: factor={factor!r}.")
        self._watch(monitor, mode, min_delta if epsilon is None else epsilon)
        self.factor, self.patience, self.verbose, self.cooldown, self.min_lr = (
            factor,
            patience,
            verbose,
            cooldown,
            min_lr,
        )
        self.wait = self.cooldown_counter = 0

    def on_train_begin(self, logs=None):
        """Begin anew."""
        self.wait = self.cooldown_counter = 0
        self.best = -self.sign * math.inf

    def on_epoch_end(self, epoch, logs=None):
        """Look at the value."""
        rate = float(self.model.optimizer.learning_rate)
        if logs is not None:
            logs["learning_rate"] = rate
        current = self._read(logs)
        if current is None:
            return
        if self.cooldown_counter > 0:
            self.cooldown_counter, self.wait = self.cooldown_counter - 1, 0
        if self._better(current, self.best):
            self.best, self.wait = current, 0
        elif self.cooldown_counter <= 0:
            self.wait += 1
            if self.wait >= self.patience and rate > self.min_lr:
                new = max(rate * self.factor, self.min_lr)
                self.model.optimizer.learning_rate = new
                if self.verbose:
                    print(f"\nEpoch {epoch + 1}: ReduceLROnPlateau reducing learning rate to {new}.")
                self.cooldown_counter, self.wait = self.cooldown, 0


class LearningRateScheduler(Callback):
    """Set the learning rate before every epoch with a function."""

    def __init__(self, schedule, verbose=0):
        self.schedule, self.verbose = schedule, verbose

    def on_epoch_begin(self, epoch, logs=None):
        """Set the learning rate."""
        rate = float(self.model.optimizer.learning_rate)
        try:
            both = len(inspect.signature(self.schedule).parameters) > 1
        except (TypeError, ValueError):
            both = True
        new = self.schedule(epoch, rate) if both else self.schedule(epoch)
        new = float(new.numpy() if hasattr(new, "numpy") else new)
        self.model.optimizer.learning_rate = new
        if self.verbose:
            print(f"\nEpoch {epoch + 1}: LearningRateScheduler setting learning rate to {new}.")

    def on_epoch_end(self, epoch, logs=None):
        """Add the learning rate to the logs."""
        if logs is not None:
            logs["learning_rate"] = float(self.model.optimizer.learning_rate)


class TerminateOnNaN(train.TerminateOnNaN, Callback):
    """End training when the loss is NaN or infinite."""

    def __init__(self, raise_error=False):
        super().__init__()


class CSVLogger(Callback):
    """Write one row per epoch to a file; epochs are counted from 0."""

    writes = True
    may_end_twice = True

    def __init__(self, filename, separator=",", append=False):
        self.filename, self.sep, self.append = os.fspath(filename), separator, append
        self.file = None
        self.keys = None

    def on_train_begin(self, logs=None):
        """Open the file."""
        there = self.append and os.path.exists(self.filename) and os.path.getsize(self.filename) > 0
        self.keys = None
        self.written = there
        self.file = open(self.filename, "a" if self.append else "w", newline="", encoding="utf-8")  # noqa: SIM115

    def on_epoch_end(self, epoch, logs=None):
        """Write a row."""
        logs = logs or {}
        writer = csv.writer(self.file, delimiter=self.sep, lineterminator="\n")
        if self.keys is None:
            self.keys = sorted(logs)
            if not self.written:
                writer.writerow(["epoch", *self.keys])
        writer.writerow([epoch, *(logs.get(key, "NA") for key in self.keys)])
        self.file.flush()

    def on_train_end(self, logs=None):
        """Close the file."""
        if self.file is not None:
            self.file.close()
            self.file = None


class BackupAndRestore(Callback):
    """Write the model's weights after every epoch, and go on from there when training begins anew."""

    def __init__(self, backup_dir, save_freq="epoch", double_checkpoint=False, delete_checkpoint=True):
        self.backup_dir, self.save_freq, self.delete_checkpoint = os.fspath(backup_dir), save_freq, delete_checkpoint
        if save_freq != "epoch":
            refused("BackupAndRestore(save_freq=)", "it writes after every epoch")
        self.path = os.path.join(self.backup_dir, "latest.npz")

    def restored(self, model):
        """Give a model the weights of the last backup, and its optimizer what it kept; returns the epochs made."""
        if not os.path.exists(self.path) or not model.built:
            return 0
        with np.load(self.path, allow_pickle=False) as file:
            model.set_weights([file[f"weight_{i}"] for i in range(int(file["weights"]))])
            slots = {key[5:]: file[key] for key in file.files if key.startswith("slot_")}
            epochs = int(file["epochs"])
        trainer = model._need_trainer("fit")
        trainer.flatten()
        trainer.optimizer.load_state(slots)
        trainer.slots.set(step=int(slots["step"].max()))
        trainer.epochs = epochs
        return epochs

    def on_epoch_end(self, epoch, logs=None):
        """Write weights and the optimizer's state."""
        weights = self.model.get_weights()
        held = {f"weight_{i}": w for i, w in enumerate(weights)}
        held |= {f"slot_{key}": value for key, value in self.model.optimizer.state().items()}
        raw = io.BytesIO()
        np.savez(raw, weights=len(weights), epochs=epoch + 1, **held)
        os.makedirs(self.backup_dir, exist_ok=True)
        write_whole(self.path, raw.getvalue())
        self.done = epoch + 1 == self.params.get("epochs") or self.model.stop_training

    done = False

    def on_train_end(self, logs=None):
        """Take the file away if training is done."""
        if self.delete_checkpoint and self.done and os.path.exists(self.path):
            os.remove(self.path)


class RemoteMonitor(Callback):
    """Not done: nothing here speaks to the network."""

    def __init__(self, root="http://localhost:9000", path="/publish/epoch/end/", field="data", headers=None,
                 send_as_json=False):  # fmt: skip
        refused("RemoteMonitor", "pynn opens no connections; CSVLogger writes a file")


class SwapEMAWeights(Callback):
    """Evaluate with the averages of the weights: pynn does so by itself with use_ema=True."""

    def __init__(self, swap_on_epoch=False):
        self.swap_on_epoch = swap_on_epoch


class TensorBoard(Callback):
    """Write the logged values of every epoch as TensorBoard reads them."""

    writes = True

    def __init__(self, log_dir="logs", histogram_freq=0, write_graph=True, write_images=False,
                 write_steps_per_second=False, update_freq="epoch", profile_batch=0, embeddings_freq=0,
                 embeddings_metadata=None, **kwargs):  # fmt: skip
        self.log_dir = os.fspath(log_dir)
        self.writers = {}

    def on_epoch_end(self, epoch, logs=None):
        """Write the values of an epoch."""
        from pynn.keras.callbacks import Writer

        for name, value in (logs or {}).items():
            kind, tag = ("validation", name[4:]) if name.startswith("val_") else ("train", name)
            if kind not in self.writers:
                self.writers[kind] = Writer(os.path.join(self.log_dir, kind))
            if np.ndim(value) == 0:
                self.writers[kind].scalar(f"epoch_{tag}", float(value), epoch)

    def on_train_end(self, logs=None):
        """Close the files."""
        for writer in self.writers.values():
            writer.close()
        self.writers = {}


__getattr__ = absent(__name__, __all__)
