"""Callbacks, the list that calls them, the history and the progress, with a fake model and a fake fit."""

from __future__ import annotations

import csv
import io
import math
import os
import re
import struct
import subprocess
import sys
import threading
import types
from typing import Any

import numpy as np
import pytest

from pynn.train import (
    Callback,
    CallbackList,
    CSVLogger,
    EarlyStopping,
    History,
    LambdaCallback,
    LearningRateScheduler,
    ProgressBar,
    ReduceLROnPlateau,
    TerminateOnNaN,
)


class FakeOptimizer:
    def __init__(self, rate: float = 0.1, scheduled: bool = False) -> None:
        self._rate, self.scheduled = rate, scheduled

    @property
    def learning_rate(self) -> float:
        return self._rate

    @learning_rate.setter
    def learning_rate(self, value: float) -> None:
        if self.scheduled:
            raise RuntimeError("the learning rate follows a schedule")
        self._rate = value


class FakeModel:
    """Its only weight counts the epochs it was trained, in place, as a real one changes its buffer in place."""

    def __init__(self, scheduled: bool = False) -> None:
        self.stop_training = False
        self.optimizer = FakeOptimizer(scheduled=scheduled)
        self.weight = np.zeros(2, np.float32)

    def get_weights(self) -> list[np.ndarray]:
        return [self.weight]

    def set_weights(self, weights: list[np.ndarray]) -> None:
        self.weight[:] = weights[0]


def fit(callbacks, logs: list[dict], *, model=None, steps=4, verbose=0, params=None, first=0, fail_in=None, batches=0):
    """Train as the real fit does: one row of `logs` per epoch; `fail_in` raises Ctrl-C after that epoch's training."""
    model = model or FakeModel()
    params = {"epochs": first + len(logs), "steps": steps, **(params or {})}
    calls = CallbackList(callbacks, model=model, params=params, verbose=verbose)
    model.stop_training = False
    try:
        calls.on_train_begin()
        for epoch in range(first, first + len(logs)):
            calls.on_epoch_begin(epoch)
            model.weight += 1
            for batch in range(batches):
                calls.on_train_batch_begin(batch)
                calls.on_train_batch_end(batch, {"loss": 1.0})
            calls.on_progress(steps or 4, steps, {k: v for k, v in logs[epoch - first].items() if k[:4] != "val_"})
            if fail_in == epoch:
                raise KeyboardInterrupt
            calls.on_epoch_end(epoch, dict(logs[epoch - first]))
            if model.stop_training:
                break
    except KeyboardInterrupt:
        pass
    finally:
        calls.on_train_end()
    return model, calls.history


def losses(*values: float, name: str = "val_loss") -> list[dict]:
    return [{"loss": 1.0, name: value} for value in values]


# The list


def test_every_hook_reaches_every_callback_in_order() -> None:
    seen = []

    class Recorder(Callback):
        def __init__(self, name):
            self.name = name

        def on_train_begin(self, logs=None):
            seen.append((self.name, "train begin", logs))

        def on_train_end(self, logs=None):
            seen.append((self.name, "train end", logs))

        def on_epoch_begin(self, epoch, logs=None):
            seen.append((self.name, "epoch begin", epoch))

        def on_epoch_end(self, epoch, logs=None):
            seen.append((self.name, "epoch end", epoch, logs["loss"]))

        def on_train_batch_begin(self, batch, logs=None):
            seen.append((self.name, "batch begin", batch))

        def on_train_batch_end(self, batch, logs=None):
            seen.append((self.name, "batch end", batch, logs["loss"]))

    fit([Recorder("a"), Recorder("b")], [{"loss": 0.5}], first=3, batches=2)
    events = [
        ("train begin", {}),
        ("epoch begin", 3),
        ("batch begin", 0),
        ("batch end", 0, 1.0),
        ("batch begin", 1),
        ("batch end", 1, 1.0),
        ("epoch end", 3, 0.5),
        ("train end", {}),
    ]
    assert seen == [(name, *event) for event in events for name in "ab"]


@pytest.mark.parametrize("hook", ["on_test_begin", "on_test_end", "on_predict_begin", "on_predict_end"])
def test_hooks_of_evaluate_and_predict(hook: str) -> None:
    seen = []
    calls = CallbackList(LambdaCallback(**{hook: seen.append}), model=FakeModel())
    getattr(calls, hook)({"loss": 1.0})
    getattr(calls, hook)()
    assert seen == [{"loss": 1.0}, {}]
    assert not calls.needs_batches


@pytest.mark.parametrize("hook", ["on_train_batch_begin", "on_train_batch_end", "on_batch_begin", "on_batch_end"])
def test_batch_hooks_are_noticed_and_called_under_both_names(hook: str) -> None:
    seen = []
    by_class = type("Mine", (Callback,), {hook: lambda self, batch, logs=None: seen.append(("class", batch))})()
    by_object = LambdaCallback(**{hook: lambda batch, logs: seen.append(("object", batch))})
    for callback in (by_class, by_object):
        assert CallbackList([EarlyStopping(), callback], model=FakeModel()).needs_batches
    fit([by_class, by_object], [{"loss": 1.0}], batches=2)
    assert seen == [("class", 0), ("object", 0), ("class", 1), ("object", 1)]


def test_the_callbacks_of_the_library_need_no_batches(tmp_path) -> None:
    own = [
        Callback(),
        EarlyStopping(),
        ReduceLROnPlateau(),
        LearningRateScheduler(lambda epoch, lr: lr),
        CSVLogger(tmp_path / "log.csv"),
        TerminateOnNaN(),
        History(),
        ProgressBar(),
        LambdaCallback(on_epoch_end=print),
    ]
    assert not CallbackList(own, model=FakeModel(), verbose=1).needs_batches


def test_the_list_is_completed_and_history_comes_last() -> None:
    mine, history = Callback(), History()
    calls = CallbackList([history, mine], model=FakeModel(), verbose=1)
    assert [type(callback) for callback in calls.callbacks] == [Callback, ProgressBar, History]
    assert calls.history is history
    bar = ProgressBar(verbose=2)
    assert CallbackList([bar], model=FakeModel(), verbose=1).callbacks[0] is bar
    assert len(CallbackList([bar], model=FakeModel(), verbose=1).callbacks) == 2
    model = FakeModel()
    assert CallbackList(mine, model=model, params={"epochs": 3}).callbacks[0].model is model
    assert mine.params == {"epochs": 3}
    assert Callback.params == {}


def test_things_that_are_no_callbacks_are_refused() -> None:
    for wrong in (print, EarlyStopping, "early"):
        with pytest.raises(TypeError, match="expected callbacks to be Callback objects"):
            CallbackList([wrong], model=FakeModel())


def test_on_train_end_reaches_all_even_if_one_fails() -> None:
    ended = []

    def fail(logs):
        raise RuntimeError("first")

    calls = CallbackList(
        [LambdaCallback(on_train_end=fail), LambdaCallback(on_train_end=ended.append)], model=FakeModel()
    )
    with pytest.raises(RuntimeError, match="first"):
        calls.on_train_end()
    assert ended == [{}]


def test_a_file_is_closed_also_if_the_first_line_of_the_end_is_interrupted(tmp_path, monkeypatch) -> None:
    logger, told = CSVLogger(tmp_path / "log.csv"), []
    end = CSVLogger.on_train_end

    def cut_short(self, logs=None):
        told.append(self)
        if len(told) == 1:
            raise KeyboardInterrupt
        end(self, logs)

    monkeypatch.setattr(CSVLogger, "on_train_end", cut_short)
    calls = CallbackList([logger], model=FakeModel())
    calls.on_train_begin()
    file = logger.file
    with pytest.raises(KeyboardInterrupt):
        calls.on_train_end()
    assert file.closed
    assert len(told) == 2


def test_lambda_callback_refuses_unknown_hooks_and_values() -> None:
    with pytest.raises(ValueError, match="did you mean 'on_epoch_end'"):
        LambdaCallback(on_epoch_endd=print)
    with pytest.raises(TypeError, match="expected on_epoch_end to be a function"):
        LambdaCallback(on_epoch_end=3)
    assert not CallbackList(LambdaCallback(on_batch_end=None), model=FakeModel()).needs_batches


# EarlyStopping


def test_early_stopping_stops_and_restores_the_best_weights() -> None:
    stopping = EarlyStopping(patience=2)
    model, history = fit(stopping, losses(5, 3, 4, 3, 1))
    assert history.epoch == [0, 1, 2, 3]
    assert model.stop_training
    assert (stopping.best, stopping.best_epoch, stopping.stopped_epoch) == (3, 1, 3)
    assert model.weight.tolist() == [2, 2]


@pytest.mark.parametrize("patience", [0, 1])
def test_patience_of_none_and_of_one_stop_at_the_first_epoch_without_improvement(patience: int) -> None:
    _, history = fit(EarlyStopping(patience=patience), losses(5, 4, 4, 3))
    assert history.epoch == [0, 1, 2]


def test_best_weights_come_back_after_the_last_epoch_too() -> None:
    model, history = fit(EarlyStopping(patience=10), losses(5, 2, 4, 3))
    assert len(history.epoch) == 4
    assert not model.stop_training
    assert model.weight.tolist() == [2, 2]


def test_best_weights_come_back_after_ctrl_c() -> None:
    model, history = fit(EarlyStopping(patience=10), losses(5, 2, 4, 3), fail_in=2)
    assert history.history["val_loss"] == [5, 2]
    assert model.weight.tolist() == [2, 2]
    model, _ = fit(EarlyStopping(patience=10), losses(5, 2), fail_in=0)
    assert model.weight.tolist() == [1, 1]  # nothing better is known


def test_last_weights_stay_if_asked() -> None:
    model, _ = fit(EarlyStopping(patience=1, restore_best_weights=False), losses(5, 2, 4, 3))
    assert model.weight.tolist() == [3, 3]


@pytest.mark.parametrize(
    ("name", "mode", "best_epoch"),
    [
        ("val_accuracy", "auto", 1),
        ("val_auc", "auto", 1),
        ("val_mse", "auto", 0),
        ("loss_of_mine", "max", 1),
        ("loss_of_mine", "min", 0),
        ("val_accuracy", "min", 0),
    ],
)
def test_mode(name: str, mode: str, best_epoch: int) -> None:
    stopping = EarlyStopping(monitor=name, mode=mode, patience=5)
    model, _ = fit(stopping, losses(0.2, 0.9, 0.5, name=name))
    assert stopping.best_epoch == best_epoch
    assert model.weight[0] == best_epoch + 1


def test_min_delta_is_the_least_improvement() -> None:
    stopping = EarlyStopping(min_delta=0.5, patience=2)
    _, history = fit(stopping, losses(3.0, 2.5, 2.6, 1.0))
    assert stopping.best == 3.0
    assert history.epoch == [0, 1, 2]
    stopping = EarlyStopping(min_delta=0.5, patience=2)
    fit(stopping, losses(3.0, 2.4, 2.6, 1.0))
    assert stopping.best == 1.0


def test_small_steps_do_not_creep_past_min_delta_unseen() -> None:
    stopping = EarlyStopping(min_delta=0.5, patience=5)
    fit(stopping, losses(3.0, 2.7, 2.4, 2.1))
    assert stopping.best_epoch == 2  # 0.6 below the best, though each step was 0.3


def test_baseline() -> None:
    stopping = EarlyStopping(baseline=2.0, patience=2)
    _, history = fit(stopping, losses(5, 4, 4.5, 1))
    assert history.epoch == [0, 1, 2]
    _, history = fit(EarlyStopping(baseline=2.0, patience=2), losses(5, 1.5, 4.5, 1))
    assert len(history.epoch) == 4


def test_start_from_epoch() -> None:
    stopping = EarlyStopping(start_from_epoch=2, patience=1)
    model, history = fit(stopping, losses(0, 9, 5, 4, 6))
    assert history.epoch == [0, 1, 2, 3, 4]
    assert model.weight[0] == 4


def test_nan_is_no_improvement() -> None:
    stopping = EarlyStopping(patience=2)
    model, history = fit(stopping, losses(3.0, math.nan, math.nan, 1.0))
    assert history.epoch == [0, 1, 2]
    assert model.weight[0] == 1
    stopping = EarlyStopping(patience=2)
    model, history = fit(stopping, losses(math.nan, math.nan, 1.0))
    assert history.epoch == [0, 1]
    assert stopping.best_epoch is None


def test_a_second_training_starts_anew() -> None:
    stopping = EarlyStopping(patience=2)
    model, _ = fit(stopping, losses(1, 2, 3))
    model, history = fit(stopping, losses(9, 8, 9, 9), model=model)
    assert history.epoch == [0, 1, 2, 3]
    assert (stopping.best, stopping.best_epoch) == (8, 1)
    assert model.weight[0] == 1 + 2


def test_a_value_that_is_not_logged_is_an_error_that_names_those_that_are() -> None:
    message = (
        r"\[EarlyStopping\] unknown logged value to monitor. Received: 'val_loss'.*accuracy, loss.*validation_data"
    )
    with pytest.raises(ValueError, match=message):
        fit(EarlyStopping(), [{"loss": 1.0, "accuracy": 0.5}])
    model = FakeModel()
    with pytest.raises(ValueError, match=message):
        fit(EarlyStopping(), losses(1.0), model=model, params={"metrics": ["loss", "accuracy"]})
    assert model.weight[0] == 0  # said before the first epoch


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: EarlyStopping(patience=-1), r"\[EarlyStopping\] expected patience to be an integer of at least 0"),
        (lambda: EarlyStopping(min_delta=-0.1), r"min_delta to be a finite number of at least 0"),
        (lambda: EarlyStopping(patience="3"), r"patience='3'"),
        (lambda: EarlyStopping(patience=2.5), r"patience=2\.5"),
        (lambda: EarlyStopping(min_delta=float("nan")), r"min_delta=nan"),
        (lambda: EarlyStopping(baseline="best"), r"baseline='best'"),
        (lambda: EarlyStopping(mode="lowest"), r"\[EarlyStopping\] unknown mode. Received: 'lowest'"),
        (lambda: EarlyStopping(monitor="speed"), r"cannot tell whether more of 'speed' is better.*mode='min'"),
        (lambda: EarlyStopping(start_from_epoch=-1), "start_from_epoch"),
        (lambda: ReduceLROnPlateau(factor=1.0), r"\[ReduceLROnPlateau\] expected factor to be a number in \(0, 1\)"),
        (lambda: ReduceLROnPlateau(cooldown=-1), "cooldown"),
        (lambda: ReduceLROnPlateau(min_lr=-1), "min_lr"),
        (lambda: CSVLogger("x", separator=", "), "one character"),
        (lambda: ProgressBar(verbose=3), "verbose to be 0, 1 or 2"),
    ],
)
def test_parameters_out_of_range_are_refused(make, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


def test_early_stopping_says_what_it_did_if_asked(capsys) -> None:
    fit(EarlyStopping(patience=1, verbose=1), losses(5, 3, 4))
    assert capsys.readouterr().out == "epoch 3: stopped early, val_loss best 3 in epoch 2\n"
    fit(EarlyStopping(patience=1), losses(5, 3, 4))
    assert capsys.readouterr().out == ""


# Learning rates


def rates_of(callback, values: list[float], **options) -> list[float]:
    _, history = fit(callback, losses(*values), **options)
    return history.history["learning_rate"]


def test_plateau_reduces_and_logs_the_rate_of_the_epoch() -> None:
    plateau = ReduceLROnPlateau(factor=0.5, patience=2)
    assert rates_of(plateau, [3, 2, 2, 2, 2, 2, 2]) == [0.1, 0.1, 0.1, 0.1, 0.05, 0.05, 0.025]


def test_plateau_cooldown_rests_before_it_counts_again() -> None:
    plateau = ReduceLROnPlateau(factor=0.5, patience=1, cooldown=2)
    # Reduced after epochs 1 and 4: two epochs rest, the next one counts.
    assert rates_of(plateau, [1] * 7) == [0.1, 0.1, 0.05, 0.05, 0.025, 0.025, 0.0125]


def test_plateau_stops_at_min_lr_and_needs_min_delta() -> None:
    assert rates_of(ReduceLROnPlateau(factor=0.1, patience=1, min_lr=0.02), [1] * 4) == [0.1, 0.1, 0.02, 0.02]
    assert rates_of(ReduceLROnPlateau(factor=0.5, patience=1, min_delta=0.5), [3, 2.6, 2.2, 2.0]) == [
        0.1,
        0.1,
        0.05,
        0.05,
    ]
    rising = ReduceLROnPlateau(monitor="val_accuracy", factor=0.5, patience=1)
    _, history = fit(rising, losses(0.5, 0.6, 0.6, 0.7, name="val_accuracy"))
    assert history.history["learning_rate"] == [0.1, 0.1, 0.1, 0.05]


def test_plateau_says_what_it_did_if_asked(capsys) -> None:
    fit(ReduceLROnPlateau(factor=0.5, patience=1, verbose=1), losses(1, 1))
    assert capsys.readouterr().out == "epoch 2: learning rate reduced from 0.1 to 0.05\n"


def test_scheduler_sets_and_logs_the_rate() -> None:
    seen = []

    def half(epoch, rate):
        seen.append((epoch, rate))
        return rate / 2

    assert rates_of(LearningRateScheduler(half), [1, 1, 1], first=5) == [0.05, 0.025, 0.0125]
    assert seen == [(5, 0.1), (6, 0.05), (7, 0.025)]


@pytest.mark.parametrize("wrong", [None, "0.1", -0.1, math.nan, math.inf])
def test_scheduler_refuses_what_is_no_rate(wrong) -> None:
    with pytest.raises(ValueError, match="finite number >= 0 for epoch 0"):
        fit(LearningRateScheduler(lambda epoch, rate: wrong), losses(1))
    with pytest.raises(TypeError, match="expected a function"):
        LearningRateScheduler(0.1)


@pytest.mark.parametrize("callback", [ReduceLROnPlateau(), LearningRateScheduler(lambda epoch, rate: rate)])
def test_a_schedule_in_the_optimizer_is_refused_before_the_first_epoch(callback) -> None:
    model = FakeModel(scheduled=True)
    with pytest.raises(RuntimeError, match="follows a schedule"):
        fit(callback, losses(1), model=model)
    assert model.weight[0] == 0


# TerminateOnNaN


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_terminate_on_nan_stops_within_the_epoch(bad: float, capsys) -> None:
    callback = TerminateOnNaN()
    model = FakeModel()
    calls = CallbackList(callback, model=model)
    assert calls.takes_nonfinite
    assert not CallbackList(model=model).takes_nonfinite
    calls.on_progress(7, 10, {"loss": 0.5})
    assert not model.stop_training
    calls.on_progress(8, 10, {"loss": bad})
    assert model.stop_training
    calls.on_epoch_end(0, {"loss": bad})
    assert capsys.readouterr().out == f"batch 8: the loss is {bad}, training ends\n"
    _, history = fit(TerminateOnNaN(), [{"loss": 1.0}, {"loss": bad}, {"loss": 1.0}])
    assert history.epoch == [0, 1]


# History and CSVLogger


def test_history_keeps_every_value_aligned_with_its_epoch() -> None:
    _, history = fit(None, [{"loss": 1.0}, {"loss": np.float32(0.5), "extra": 2}, {"extra": 3}], first=4)
    assert history.epoch == [4, 5, 6]
    assert list(history.history) == ["loss", "extra"]
    np.testing.assert_equal(history.history, {"loss": [1.0, 0.5, math.nan], "extra": [math.nan, 2.0, 3.0]})
    assert all(type(value) is float for value in history.history["loss"])
    assert history.params["epochs"] == 7


def test_history_sees_what_callbacks_add_and_starts_anew() -> None:
    history = History()
    fit([history, LambdaCallback(on_epoch_end=lambda epoch, logs: logs.update(mine=epoch))], losses(1, 2))
    assert history.history["mine"] == [0, 1]
    fit([history], losses(3))
    assert history.history == {"loss": [1.0], "val_loss": [3.0]}


def test_history_to_csv_and_html(tmp_path) -> None:
    _, history = fit(None, [{"loss": 0.1 + 0.2, "a<b": 2}, {"loss": 1e-30, "a<b": math.nan}])
    history.to_csv(tmp_path / "history.csv")
    assert (tmp_path / "history.csv").read_text() == "epoch,loss,a<b\n1,0.30000000000000004,2.0\n2,1e-30,nan\n"
    assert "<th>a&lt;b</th>" in history._repr_html_()
    assert repr(history) == "<History of 2 epochs: loss=0.0000, a<b=nan>"
    History().to_csv(tmp_path / "empty.csv")
    assert (tmp_path / "empty.csv").read_text() == "epoch\n"
    assert repr(History()) == "<History of 0 epochs>"


def test_history_plot_writes_a_picture(tmp_path) -> None:
    pytest.importorskip("matplotlib")
    _, history = fit(None, losses(3, 2, 1))
    figure = history.plot(tmp_path / "curve.png")
    assert len(figure.axes) == 1
    assert (tmp_path / "curve.png").read_bytes().startswith(b"\x89PNG")


def test_csv_logger_writes_every_epoch_at_once(tmp_path) -> None:
    path = tmp_path / "log.csv"
    sizes = []
    peek = LambdaCallback(on_epoch_end=lambda epoch, logs: sizes.append(len(path.read_text().splitlines())))
    fit([CSVLogger(path), peek], losses(0.1 + 0.2, 2))
    assert sizes == [2, 3]
    assert path.read_text() == "epoch,loss,val_loss\n1,1.0,0.30000000000000004\n2,1.0,2\n"


def test_csv_logger_appends_with_the_columns_of_the_file(tmp_path) -> None:
    path = tmp_path / "log.csv"
    fit(CSVLogger(path, separator=";", append=True), losses(3))
    fit(CSVLogger(path, separator=";", append=True), [{"val_loss": 2.0, "new": 1.0}], first=1)
    rows = list(csv.reader(path.read_text().splitlines(), delimiter=";"))
    assert rows == [["epoch", "loss", "val_loss"], ["1", "1.0", "3"], ["2", "NA", "2.0"]]
    fit(CSVLogger(path), losses(7))
    assert path.read_text() == "epoch,loss,val_loss\n1,1.0,7\n"


def test_csv_logger_closes_its_file_and_refuses_a_bad_path_first(tmp_path) -> None:
    logger = CSVLogger(tmp_path / "log.csv")
    fit(logger, losses(3), fail_in=0)
    assert logger.file is None
    model = FakeModel()
    with pytest.raises(OSError, match="missing"):
        fit(CSVLogger(tmp_path / "missing" / "log.csv"), losses(3), model=model)
    assert model.weight[0] == 0


# Progress


TRAIN = """
import sys, time
from pynn.train import CallbackList
class Model: stop_training = False
steps = None if "unknown" in sys.argv else 500
calls = CallbackList(model=Model(), params={"epochs": 12, "steps": steps}, verbose=int(sys.argv[1]))
calls.on_train_begin()
for epoch in range(9, 12):
    calls.on_epoch_begin(epoch)
    for done in range(100, 501, 100):
        time.sleep(0.11)
        calls.on_progress(done, steps, {"loss": 1 / done, "accuracy": 0.9})
    calls.on_epoch_end(epoch, {"loss": 0.0002, "accuracy": 0.91, "val_loss": 0.25})
calls.on_train_end()
print("modules", "tqdm" in sys.modules)
"""


def run(*arguments: str, **options) -> subprocess.CompletedProcess:
    command = [sys.executable, "-W", "error", "-c", TRAIN, *arguments]
    return subprocess.run(command, capture_output=True, check=True, timeout=120, **options)


@pytest.mark.parametrize("verbose", ["1", "2"])
def test_a_pipe_gets_one_plain_line_per_epoch(verbose: str) -> None:
    done = run(verbose)
    assert done.stderr == b""
    assert b"\r" not in done.stdout
    assert b"\x1b" not in done.stdout
    lines = done.stdout.decode().splitlines()
    assert len(lines) == 4
    for epoch, line in zip((10, 11, 12), lines, strict=False):
        assert line.startswith(f"epoch {epoch}/12  0.")
        assert line.endswith(" s  loss 2.000e-04  accuracy 0.9100  val_loss 0.2500")
    assert lines[3] == "modules False"


def test_silence() -> None:
    done = run("0")
    assert (done.stdout, done.stderr) == (b"modules False\n", b"")


def watch(*arguments: str, columns: int = 150, **environment: str) -> tuple[str, str]:
    """Run with stderr on a terminal; return stdout and what the terminal got."""
    pty = pytest.importorskip("pty", reason="no pseudo-terminals here")
    fcntl, termios = pytest.importorskip("fcntl"), pytest.importorskip("termios")
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24 if columns else 0, columns, 0, 0))
    try:
        process = subprocess.Popen(
            [sys.executable, "-W", "error", "-c", TRAIN, *arguments],
            stdout=subprocess.PIPE,
            stderr=slave,
            env={**os.environ, "TERM": "xterm", **environment},
        )
        os.close(slave)
        got = []

        def read() -> None:
            try:
                while data := os.read(master, 65536):
                    got.append(data)
            except OSError:  # Linux says so when the other end is closed
                pass

        reader = threading.Thread(target=read)
        reader.start()
        out, _ = process.communicate(timeout=120)
        reader.join(timeout=30)
        assert process.returncode == 0, b"".join(got).decode()
    finally:
        os.close(master)
    return out.decode(), b"".join(got).decode()


def seen(screen: str) -> list[str]:
    """Return the lines that a terminal shows at the end."""
    lines, column = [""], 0
    for character in screen.replace("\x1b[A", ""):
        if character in "\r\n":
            column = 0
            if character == "\n":
                lines.append("")
        else:
            lines[-1] = f"{lines[-1][:column].ljust(column)}{character}{lines[-1][column + 1 :]}"
            column += 1
    return [line.rstrip() for line in lines]


def test_a_terminal_keeps_one_line_per_epoch_above_the_bar() -> None:
    out, screen = watch("1")
    assert out == "modules True\n"
    frames = re.split("[\r\n]", screen)
    assert len(frames) > 10
    assert any("epoch 10/12" in frame and " 13%|" in frame for frame in frames)
    assert any("epoch 12/12 100%|" in frame for frame in frames)
    lines = seen(screen)
    assert len(lines) == 4
    for epoch, line in zip((10, 11, 12), lines, strict=False):
        assert re.fullmatch(rf"epoch {epoch}/12  \d+\.\d s  loss 2.000e-04  accuracy 0.9100  val_loss 0.2500", line)
    assert lines[3] == ""  # the bar is gone
    # No value of another epoch stands beside those of the epoch under way.
    bars = [frame for frame in frames if "%|" in frame and "epoch 11/12" in frame]
    assert any("loss 0.0100" in frame for frame in bars)
    assert not any("val_loss" in frame or "2.000e-04" in frame for frame in bars if " 33%|" in frame or " 40%" in frame)


def test_a_terminal_with_an_unknown_number_of_batches_learns_it_in_the_first_epoch() -> None:
    _, screen = watch("1", "unknown")
    assert "100batch" in screen
    assert "epoch 10/12  33%|" in screen
    assert "epoch 12/12 100%|" in screen


def test_narrow_terminals_and_those_of_unknown_width() -> None:
    for columns, width in ((0, 80), (30, 30)):
        _, screen = watch("1", columns=columns)
        frames = [frame.rstrip() for frame in re.split("[\r\n]", screen.replace("\x1b[A", ""))]
        assert any(frame.startswith("epoch 12/12 100%|") for frame in frames)
        assert 0.8 * width < max(map(len, frames)) <= width
        lines = seen(screen)
        assert max(map(len, lines)) <= width
        assert sum(line.startswith("epoch ") for line in lines) == 3


LONG = {"loss": 0.25, "accuracy": 0.9, "val_loss": 0.5, "val_accuracy": 0.75, "learning_rate": 0.001}


def test_a_long_line_fits_into_80_columns_and_a_pipe_gets_every_name(monkeypatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    screen, pipe = Terminal(), io.StringIO()
    for file in (screen, pipe):
        fit(ProgressBar(file=file), [LONG], params={"epochs": 100})
    fit(ProgressBar(file=screen), [{k: v for k, v in LONG.items() if k != "learning_rate"}], params={"epochs": 100})
    first, second, third = seen(screen.getvalue())[:3]
    assert re.fullmatch(r"epoch   1/100  \d\.\d s  loss 0.2500 \(val 0.5000\)  accuracy 0.9000 \(val 0.7500\)", first)
    assert second == "               learning_rate 0.0010"
    assert third[20:] == first[20:]  # behind the seconds
    assert pipe.getvalue().endswith(
        "s  loss 0.2500  accuracy 0.9000  val_loss 0.5000  val_accuracy 0.7500  learning_rate 0.0010\n"
    )


def test_a_dumb_terminal_and_verbose_2_get_lines() -> None:
    for arguments, environment in ((("1",), {"TERM": "dumb"}), (("2",), {})):
        out, screen = watch(*arguments, **environment)
        assert screen == ""
        assert len(out.splitlines()) == 4


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_bar_starts_no_thread_and_is_closed_after_ctrl_c(monkeypatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    screen = Terminal()
    bar = ProgressBar(file=screen)
    before = threading.active_count()
    threads = []
    watcher = LambdaCallback(on_progress=lambda *_: threads.append(threading.active_count()))
    fit([bar, watcher], losses(3, 2, 1), fail_in=1)
    assert set(threads) == {before}
    assert bar.bar is None
    assert screen.getvalue().endswith("\n")
    assert " 67%|" in screen.getvalue()


def test_a_stopped_training_leaves_the_lines_of_its_epochs(monkeypatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    screen = Terminal()
    fit([EarlyStopping(patience=1), ProgressBar(file=screen)], losses(1, 2, 3, 4))
    lines = seen(screen.getvalue())
    assert [line[:9] for line in lines] == ["epoch 1/4", "epoch 2/4", ""]


class Cell:
    """Stands for IPython.display: what a notebook's cell shows, by the display's id."""

    config = {"IPKernelApp": {}}  # noqa: RUF012

    def __init__(self) -> None:
        self.texts: dict[str, str] = {}
        self.updates = 0

    def get_ipython(self) -> Any:
        return self

    def display(self, data: dict[str, str], raw: bool, display_id: str) -> None:
        assert raw
        assert display_id not in self.texts
        self.texts[display_id] = data["text/plain"]

    def update_display(self, data: dict[str, str], raw: bool, display_id: str) -> None:
        assert raw
        self.texts[display_id] = data["text/plain"]
        self.updates += 1


@pytest.fixture
def cell(monkeypatch):
    shown = Cell()
    module = types.ModuleType("IPython")
    module.get_ipython, module.display = shown.get_ipython, shown
    monkeypatch.setitem(sys.modules, "IPython", module)
    return shown


def test_a_notebook_shows_one_text_and_no_stream(cell, capsys) -> None:
    bars = []
    watcher = LambdaCallback(on_progress=lambda *_: bars.append(next(iter(cell.texts.values()), "")))
    fit([EarlyStopping(patience=1, verbose=1), watcher], [LONG, {**LONG, "val_loss": 0.75}, LONG], verbose=1)
    fit([], losses(3, 2), verbose=1)
    assert len(cell.texts) == 2
    first, second = (text.splitlines() for text in cell.texts.values())
    stopped = "epoch 2: stopped early, val_loss best 0.5 in epoch 1"
    assert [line.split("  ")[0] for line in first if line.strip()[:5] == "epoch"] == ["epoch 1/3", "epoch 2/3", stopped]
    assert [line.split("  ")[0] for line in second] == ["epoch 1/2", "epoch 2/2"]
    assert max(map(len, first)) <= 80
    assert "%|" in bars[0]
    assert capsys.readouterr() == ("", "")


def test_a_notebook_is_not_sent_every_one_of_many_epochs(cell) -> None:
    fit([], losses(*range(2000)), verbose=1)
    (text,) = cell.texts.values()
    assert len(text.splitlines()) == 2000
    assert cell.updates < 1000


def test_an_epoch_that_fails_leaves_its_bar_in_the_cell(cell) -> None:
    fit([], losses(3, 2, 1), fail_in=1, verbose=1)
    (text,) = cell.texts.values()
    lines = text.splitlines()
    assert re.match(r"epoch 1/3  \d\.\d s", lines[0])
    assert "%|" in lines[1]
    assert len(lines) == 2


def test_lines_go_to_the_file_that_was_given(capsys) -> None:
    file = io.StringIO()
    fit(ProgressBar(file=file), [{"loss": 123456.0}, {"loss": math.nan}, {"loss": 0.0}])
    values = [line.split()[-1] for line in file.getvalue().splitlines()]
    assert values == ["1.235e+05", "nan", "0.0000"]
    assert capsys.readouterr() == ("", "")
