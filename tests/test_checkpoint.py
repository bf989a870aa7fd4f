"""Checkpoints: a training that was stopped anywhere goes on to the same bits."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import pynn
from pynn import nn, recipes
from pynn.errors import DataError
from pynn.io import container
from pynn.train import Callback, CSVLogger, EarlyStopping, LearningRateScheduler, ModelCheckpoint, ReduceLROnPlateau

HERE = Path(__file__).parent
rng = np.random.default_rng(0)
X = rng.normal(size=(203, 8)).astype("float32")
Y = rng.integers(0, 3, 203)


def mlp(optimizer=None, seed=3, metrics=("accuracy", "f1", "auc"), units=16):
    model = nn.Sequential(
        [
            nn.Input((8,)),
            nn.Dense(units, activation="relu", kernel_regularizer="l2"),
            nn.BatchNormalization(),
            nn.Dropout(0.2),
            nn.Dense(3, activation="softmax"),
        ]
    )
    model.compile(optimizer or pynn.optim.Adam(0.01), "cross_entropy", list(metrics), seed=seed)
    return model


class Killed(Exception):
    """What stands for a kill -9 in tests: nothing is tidied up after it but what Python does."""


class Kill(Callback):
    def __init__(self, step):
        self.step = step

    def on_safe_point(self, point):
        if point.step >= self.step:
            raise Killed


def watchers():
    return [
        EarlyStopping("val_loss", patience=3, start_from_epoch=1),
        ReduceLROnPlateau("loss", patience=1, factor=0.5, min_delta=0.02),
        LearningRateScheduler(lambda epoch, rate: rate * 0.9),
    ]


def run(folder, model, callbacks=(), x=X, y=Y, **fit):
    settings = {"batch_size": 16, "epochs": 4, "verbose": 0, "validation_split": 0.1, **fit}
    saver = ModelCheckpoint(folder, monitor="val_loss", keep_last=2, every_batches=3)
    return model.fit(x, y, callbacks=[saver, *callbacks], **settings)


def newest(folder):
    return sorted(Path(folder).glob("step-*.pynn"))[-1]


def same(a, b):
    return all((v == w).all() for v, w in zip(a.get_weights(), b.get_weights(), strict=True))


@pytest.mark.parametrize("step", [1, 3, 11, 12, 13, 23, 24, 29, 44, 48])
@pytest.mark.parametrize("threads", [1, 2, 4])
def test_stopped_anywhere_it_goes_on_to_the_same_bytes(step, threads, tmp_path):
    pynn.set_num_threads(1)
    whole = mlp()
    expected = run(tmp_path / "whole", whole, watchers())
    folder = tmp_path / "killed"
    with pytest.raises(Killed):
        run(folder, mlp(), [*watchers(), Kill(step)])
    pynn.set_num_threads(threads)
    model = mlp()
    history = run(folder, model, watchers(), resume=folder)
    assert same(model, whole)
    assert history.history == expected.history
    assert history.epoch == expected.epoch
    for name in (newest(tmp_path / "whole").name, "best.pynn"):
        assert (folder / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    assert len(list(folder.glob("step-*"))) == 2


OF_CALLBACKS = {
    "wait": ("EarlyStopping", "wait", -1),
    "best": ("ReduceLROnPlateau", "best", "none"),
    "resting": ("ReduceLROnPlateau", "resting", [1]),
    "weights": ("EarlyStopping", "best_weights", [1]),
    "best epoch": ("ModelCheckpoint", "best_epoch", 0.5),
    "history": ("History", "history", {"dict": {"loss": [1.0] * 50}}),
    "epoch": ("History", "epoch", {"dict": {}}),
}
OTHERS = ["fewer", "name", "kind", "predictions", "short predictions", "sums", "array", "training", "passed"]


@pytest.mark.parametrize("change", [*OTHERS, *OF_CALLBACKS])
def test_states_that_do_not_fit_are_refused_before_a_weight_is_written(change, tmp_path):
    """Weights were those of the file, and then its state of a metric, or of a callback, did not fit."""

    def fresh():
        model = mlp()
        model.compile("sgd", "cross_entropy", ["auc"], seed=1)
        return model

    with pytest.raises(Killed):
        run(tmp_path, fresh(), [*watchers(), Kill(4)])
    path = newest(tmp_path)
    found = container.read(path)
    progress, training = (json.loads(found.metadata[key]) for key in ("progress", "training"))
    [state] = progress["metrics"]
    tensors = dict(found.tensors)
    if change in OF_CALLBACKS:
        kind, name, value = OF_CALLBACKS[change]
        [kept] = [item["state"]["dict"] for item in progress["callbacks"] if item["class"] == kind]
        kept[name] = value
    elif change == "short predictions":
        name = f"training/{progress['arrays']['dict']['predictions']['array']}"
        tensors[name] = tensors[name][1:]
    elif change == "sums":
        progress["arrays"]["dict"]["sums"] = True
    elif change == "array":
        progress["arrays"]["dict"]["sums"] = {"array": []}
    elif change == "training":
        training["metrics"] = ["auc"]
    elif change == "passed":
        progress["passed"] = "x"
    elif change == "fewer":
        progress["metrics"] = []
    elif change == "name":
        state["dict"]["update"] = 1
    elif change == "kind":
        state["dict"]["name"] = 1
    else:
        progress["arrays"]["dict"]["predictions"] = "none"
    texts = {**found.metadata, "progress": json.dumps(progress), "training": json.dumps(training)}
    path.write_bytes(b"".join(container.pack(tensors, texts)))
    model = fresh()
    model.predict(X[:1])
    before = model.get_weights()
    with pytest.raises(DataError, match=r"expected|lacks|another training|not those|cannot resume"):
        run(tmp_path, model, watchers(), resume=tmp_path)
    assert all(map(np.array_equal, before, model.get_weights()))


def test_another_rate_is_taken_and_said(tmp_path):
    """It went on at the checkpoint's in silence."""
    with pytest.raises(Killed):
        run(tmp_path, mlp(pynn.optim.SGD(0.1)), [Kill(20)])
    model = mlp(pynn.optim.SGD(0.01))
    with pytest.warns(UserWarning, match=r"goes on with learning_rate=0.01.* given 0.1 and had come to 0.1") as said:
        run(tmp_path, model, resume=tmp_path)
    assert said[0].filename == __file__
    assert model.optimizer.learning_rate == 0.01


def test_a_rate_that_callbacks_changed_goes_on_in_silence(tmp_path):
    shrinks = LearningRateScheduler(lambda epoch, rate: rate * 0.5)
    model = mlp(pynn.optim.SGD(0.1))
    with pytest.raises(Killed):
        run(tmp_path, model, [shrinks, Kill(20)])
    assert model.optimizer.learning_rate < 0.1
    for again in (mlp(pynn.optim.SGD(0.1)), model):  # another process, and the same model once more
        run(tmp_path, again, resume=tmp_path, epochs=2)
    model.optimizer.learning_rate = 0.02
    with pytest.warns(UserWarning, match=r"learning_rate=0.02"):
        run(tmp_path, model, resume=tmp_path)


@pytest.mark.parametrize(
    "optimizer",
    [
        lambda: pynn.optim.SGD(0.1, momentum=0.9, nesterov=True),
        lambda: pynn.optim.Adagrad(0.1, initial_accumulator=0.1),
        lambda: pynn.optim.Adadelta(),
        lambda: pynn.optim.RMSprop(0.01, momentum=0.5, centered=True),
        lambda: pynn.optim.AMSGrad(pynn.schedules.Cosine(0.01, steps=40)),
        lambda: pynn.optim.AdaMax(pynn.schedules.OneCycle(0.01, 48)),
        lambda: pynn.optim.Nadam(0.01, weight_decay=0.01, clip_norm=1.0),
        lambda: pynn.optim.AdamW(0.01, clip_value=0.1),
    ],
)
def test_every_optimizer_goes_on(optimizer, tmp_path):
    whole = mlp(optimizer())
    run(tmp_path / "whole", whole)
    with pytest.raises(Killed):
        run(tmp_path / "killed", mlp(optimizer()), [Kill(20)])
    model = mlp(optimizer())
    run(tmp_path / "killed", model, resume=tmp_path / "killed")
    assert same(model, whole)
    assert model.optimizer.learning_rate == whole.optimizer.learning_rate
    assert all(
        (a == b).all() for a, b in zip(model.optimizer.state().values(), whole.optimizer.state().values(), strict=True)
    )


def test_a_loaded_checkpoint_is_a_model_and_can_go_on_itself(tmp_path):
    whole = mlp()
    run(tmp_path / "whole", whole)
    with pytest.raises(Killed):
        run(tmp_path / "killed", mlp(), [Kill(20)])
    path = newest(tmp_path / "killed")
    model = pynn.load(path)
    assert model.predict(X).shape == (203, 3)
    run(tmp_path / "killed", model, resume=path)
    assert same(model, whole)


def test_recurrent_states_go_on(tmp_path):
    x = rng.normal(size=(64, 5, 3)).astype("float32")
    y = rng.normal(size=(64, 2)).astype("float32")

    def stateful():
        model = nn.Sequential([nn.Input((5, 3)), nn.LSTM(4, stateful=True, dropout=0.1), nn.Dense(2)])
        model.compile("adam", "mse", seed=1)
        return model

    fit = {"x": x, "y": y, "batch_size": 8, "shuffle": False, "validation_split": 0.0}

    def go(folder, model, callbacks=(), **more):
        saver = ModelCheckpoint(folder, every_batches=3)
        return model.fit(epochs=3, verbose=0, callbacks=[saver, *callbacks], **{**fit, **more})

    whole = stateful()
    go(tmp_path / "whole", whole)
    with pytest.raises(Killed):
        go(tmp_path / "killed", stateful(), [Kill(13)])
    model = stateful()
    go(tmp_path / "killed", model, resume=tmp_path / "killed")
    assert same(model, whole)
    assert all(
        (a.numpy() == b.numpy()).all() for a, b in zip(model.layers[0]._kept, whole.layers[0]._kept, strict=True)
    )


@pynn.register
def largest(y_true, y_pred):
    return float(y_pred.max())


@pytest.mark.parametrize("step", [3, 11, 12, 13, 16])
@pytest.mark.parametrize("batches", [False, True])
def test_metrics_that_want_all_rows_go_on_in_the_middle(step, batches, tmp_path):
    x, y = (Batches(), None) if batches else (X[:170], Y[:170])
    split = {} if batches else {"batch_size": 16}

    def go(folder, model, callbacks=(), **more):
        saver = ModelCheckpoint(folder, every_batches=1)
        return model.fit(x, y, epochs=2, verbose=0, callbacks=[saver, *callbacks], **split, **more).history

    metrics = ["accuracy", largest, pynn.metrics.AUC()]
    expected = go(tmp_path / "whole", mlp(metrics=metrics))
    with pytest.raises(Killed):
        go(tmp_path / "killed", mlp(metrics=metrics), [Kill(min(step, 13) if batches else step)])
    assert go(tmp_path / "killed", mlp(metrics=metrics), resume=tmp_path / "killed") == expected


class Batches:
    """The same batches in every epoch, of two sizes."""

    def __init__(self, factor=1.0, count=7):
        self.factor, self.count = factor, count

    def __iter__(self):
        for i in range(self.count):
            rows = slice(10 * i, 10 * i + (10 if i % 2 else 9))
            yield X[rows] * np.float32(self.factor), Y[rows]


def test_an_iterable_goes_on_in_the_middle(tmp_path):
    def go(folder, model, batches, callbacks=(), **more):
        saver = ModelCheckpoint(folder, every_batches=2)
        return model.fit(batches, epochs=3, verbose=0, callbacks=[saver, *callbacks], **more)

    whole = mlp()
    expected = go(tmp_path / "whole", whole, Batches())
    with pytest.raises(Killed):
        go(tmp_path / "killed", mlp(), Batches(), [Kill(11)])
    model = mlp()
    assert go(tmp_path / "killed", model, Batches(), resume=newest(tmp_path / "killed")).history == expected.history
    assert same(model, whole)
    with pytest.raises(Killed):
        go(tmp_path / "again", mlp(), Batches(), [Kill(11)])
    for other, message in ((Batches(2.0), "are not those before the checkpoint"), (Batches(count=2), "ended after 2")):
        with pytest.raises(DataError, match=message):
            go(tmp_path / "again", mlp(), other, resume=tmp_path / "again")


def test_the_best_and_the_last_are_kept_and_best_survives_a_restart(tmp_path):
    losses = iter([3.0, 1.0, 2.0, 0.5, 4.0])

    class Set(Callback):
        def on_epoch_end(self, epoch, logs=None):
            logs["mine"] = next(losses)

    def go(**more):
        model = mlp()
        saver = ModelCheckpoint(tmp_path, monitor="mine", mode="min", keep_last=3)
        saver.check = lambda names: None
        model.fit(X, Y, batch_size=64, verbose=0, callbacks=[Set(), saver], **more)
        return model, saver

    first, saver = go(epochs=2)
    assert (saver.best, saver.best_epoch) == (1.0, 1)
    assert sorted(os.listdir(tmp_path)) == ["best.pynn", "step-0000000004.pynn", "step-0000000008.pynn"]
    _, saver = go(epochs=3, resume=tmp_path)  # worse than what was best before: the file stays
    assert (saver.best, saver.best_epoch) == (1.0, 1)
    assert same(pynn.load(tmp_path / "best.pynn"), first)
    fourth, saver = go(epochs=4, resume=tmp_path)
    assert (saver.best, saver.best_epoch) == (0.5, 3)
    assert same(pynn.load(tmp_path / "best.pynn"), fourth)
    assert [int(path.stem[5:]) for path in sorted(tmp_path.glob("step-*"))] == [8, 12, 16]


@pytest.mark.parametrize(("mode", "values", "best"), [
    ("min", [2.0, 2.0, 3.0, 1.5, 1.5], [0, 3]), ("max", [2.0, 2.0, 1.0, 2.5, float("nan")], [0, 3]),
])  # fmt: skip
def test_the_best_is_looked_for_at_the_end_of_epochs_and_replaced_by_what_is_better(mode, values, best, tmp_path):
    written = []

    class Watch(Callback):
        def on_epoch_end(self, epoch, logs=None):
            logs["mine"] = values[epoch]

        def on_batch_end(self, batch, logs=None):
            self.look()

        def look(self):
            path = tmp_path / "best.pynn"
            if path.exists() and (stamp := path.stat().st_mtime_ns) not in [known for known, _ in written]:
                written.append((stamp, saver.best_epoch))

    watch = Watch()
    saver = ModelCheckpoint(tmp_path, monitor="mine", mode=mode, keep_last=0, every_batches=1)
    saver.check = lambda names: None
    mlp().fit(X, Y, batch_size=64, epochs=5, verbose=0, callbacks=[watch, saver])
    watch.look()
    assert [epoch for _, epoch in written] == best
    assert sorted(os.listdir(tmp_path)) == ["best.pynn"]
    assert saver.best == values[3]


def test_no_best_is_written_unasked(tmp_path):
    mlp().fit(X, Y, batch_size=64, epochs=2, verbose=0, callbacks=[ModelCheckpoint(tmp_path, keep_last=1)])
    assert os.listdir(tmp_path) == ["step-0000000008.pynn"]


def test_the_line_about_a_checkpoint_names_its_epoch(tmp_path, capsys):
    saver = ModelCheckpoint(tmp_path, every_batches=3, every_epochs=1, verbose=1)
    mlp().fit(X, Y, batch_size=64, epochs=2, verbose=0, callbacks=[saver])
    said = [line for line in capsys.readouterr().out.splitlines() if "wrote" in line]
    assert ["step-0000000003" in said[0], "step-0000000004" in said[1]] == [True, True]
    assert [line.split(":")[0] for line in said[:3]] == ["epoch 1", "epoch 1", "epoch 2"]


def test_every_epochs_and_seconds(tmp_path):
    def steps(**settings):
        folder = tmp_path / json.dumps(settings)
        mlp().fit(X, Y, epochs=5, verbose=0, callbacks=[ModelCheckpoint(folder, keep_last=99, **settings)])
        return [int(path.stem[5:]) for path in sorted(folder.glob("step-*"))]

    assert steps() == [7, 14, 21, 28, 35]
    assert steps(every_epochs=2) == [14, 28, 35]
    assert steps(every_seconds=1000) == [35]
    assert len(steps(every_seconds=0)) > 5
    assert steps(every_batches=10) == [10, 20, 30, 35]
    assert steps(every_batches=10, every_epochs=3) == [10, 20, 21, 30, 35]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model": lambda: mlp(units=17)}, "another model. Weight 'layers.0.b'.*(16,).*Received: .*(17,)"),
        ({"model": lambda: mlp(seed=4)}, "another training. training.seed: expected 3"),
        ({"model": lambda: mlp(pynn.optim.SGD(0.01))}, "training.optimizer.class: expected optim.Adam"),
        ({"model": lambda: mlp(pynn.optim.Adam(0.01, beta_1=0.8))}, "optimizer.config.beta_1: expected 0.9"),
        ({"model": lambda: mlp(metrics=["accuracy"])}, "training.metrics"),
        ({"batch_size": 32}, "another data. data.batch_size: expected 16"),
        ({"shuffle": False}, "data.shuffle"),
        ({"x": X[:190], "y": Y[:190]}, r"data.arrays\[0\]: expected float32 \[183, 8\]"),
        ({"x": X + np.float32(1)}, "data.digest"),
        ({"y": Y[::-1].copy()}, "data.digest"),
        ({"class_weight": {0: 2.0, 1: 1.0, 2: 1.0}}, "data.(digest|sample_weight)"),
    ],
)  # fmt: skip
def test_another_model_data_or_batch_size_is_refused(change, message, tmp_path):
    with pytest.raises(Killed):
        run(tmp_path, mlp(), [Kill(20)])
    model = change.pop("model", mlp)()
    before = model.get_weights()
    with pytest.raises(DataError, match=r"\[fit\] cannot resume.*" + message):
        run(tmp_path, model, resume=tmp_path, **change)
    assert all((a == b).all() for a, b in zip(model.get_weights(), before, strict=True))
    assert int(model._trainer.slots.step.view()[0]) == 0


def test_a_layer_that_differs_in_a_setting_alone_is_another_model(tmp_path):
    with pytest.raises(Killed):
        run(tmp_path, mlp(), [Kill(20)])
    model = mlp()
    model.layers[2].rate = 0.3
    with pytest.raises(DataError, match=r"another model. model.*rate: expected 0.2.*Received: 0.3"):
        run(tmp_path, model, resume=tmp_path)


def test_what_cannot_be_resumed(tmp_path):
    model = mlp()
    model.save(tmp_path / "model.pynn")
    with pytest.raises(DataError, match="a model without the position of a training"):
        run(tmp_path / "c", model, resume=tmp_path / "model.pynn")
    with pytest.raises(FileNotFoundError, match="expected a checkpoint, or a folder"):
        run(tmp_path / "c", model, resume=tmp_path / "none")
    (tmp_path / "bad.pynn").write_bytes(b"nothing at all")
    with pytest.raises(DataError, match="a text file"):
        run(tmp_path / "c", model, resume=tmp_path / "bad.pynn")
    with pytest.raises(ValueError, match="resume or initial_epoch"):
        run(tmp_path / "c", model, resume=tmp_path, initial_epoch=1)
    run(tmp_path / "c", model, epochs=1)
    again = mlp()
    with pytest.raises(FileExistsError, match=r"has checkpoints already.*resume="):
        run(tmp_path / "c", again, epochs=1)
    saver = ModelCheckpoint(tmp_path / "c", keep_last=3, overwrite=True)
    again.fit(X, Y, epochs=1, verbose=0, callbacks=[saver])
    assert sorted(os.listdir(tmp_path / "c")) == ["step-0000000007.pynn"]


def test_a_finished_training_only_gives_its_history_back(tmp_path):
    model = mlp()
    expected = run(tmp_path, model, watchers())
    again = mlp()
    history = run(tmp_path, again, watchers(), resume=tmp_path)
    assert same(again, model)
    assert history.history == expected.history


def test_what_a_file_cannot_hold_is_refused_before_the_first_step(tmp_path):
    model = nn.Sequential([nn.Input((8,)), nn.Dense(3, activation=lambda x: x)])
    model.compile("adam", "mse", seed=0)
    with pytest.raises(DataError, match=r"pynn\.register"):
        model.fit(X, np.zeros((203, 3)), verbose=0, callbacks=[ModelCheckpoint(tmp_path)])
    assert int(model._trainer.slots.step.view()[0]) == 0
    for bad in ({"every_batches": 0}, {"keep_last": -1}, {"keep_last": 0}, {"monitor": "mine"}, {"every_seconds": -1}):
        with pytest.raises(ValueError, match=r"\[ModelCheckpoint\]"):
            ModelCheckpoint(tmp_path, **bad)
    with pytest.raises(ValueError, match="logged value to monitor"):
        mlp().fit(X, Y, verbose=0, callbacks=[ModelCheckpoint(tmp_path, monitor="val_loss")])


def test_a_csv_file_goes_on_where_the_checkpoint_stands(tmp_path):
    whole = CSVLogger(tmp_path / "whole.csv")
    run(tmp_path / "whole", mlp(), [whole])
    with pytest.raises(Killed):
        run(tmp_path / "killed", mlp(), [CSVLogger(tmp_path / "killed.csv"), Kill(30)])
    early = sorted((tmp_path / "killed").glob("step-*"))[0]  # rows of epochs after it are written again
    run(tmp_path / "killed", mlp(), [CSVLogger(tmp_path / "killed.csv")], resume=early)
    assert (tmp_path / "killed.csv").read_text() == (tmp_path / "whole.csv").read_text()


class Counter(Callback):
    state_names = ("seen",)

    def __init__(self):
        self.seen = {"epochs": 0, "sums": np.zeros(2)}

    def on_epoch_end(self, epoch, logs=None):
        self.seen = {"epochs": self.seen["epochs"] + 1, "sums": self.seen["sums"] + logs["loss"]}


def test_callbacks_of_ones_own_keep_what_they_name(tmp_path):
    whole, again = Counter(), Counter()
    run(tmp_path / "whole", mlp(), [whole])
    with pytest.raises(Killed):
        run(tmp_path / "killed", mlp(), [Counter(), Kill(30)])
    run(tmp_path / "killed", mlp(), [again], resume=tmp_path / "killed")
    assert again.seen["epochs"] == whole.seen["epochs"] == 4
    assert (again.seen["sums"] == whole.seen["sums"]).all()


def test_a_full_disk_ends_training_with_the_earlier_checkpoints_whole(tmp_path, monkeypatch):
    calls = []

    def full(descriptor):
        calls.append(descriptor)
        if len(calls) > 8:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match=r"could not write .*No space left on device; no file was made"):
        run(tmp_path, mlp())
    monkeypatch.undo()
    assert sorted(os.listdir(tmp_path)) == ["best.pynn", "step-0000000006.pynn", "step-0000000009.pynn"]
    assert all(pynn.load(path).built for path in tmp_path.iterdir())
    model, whole = mlp(), mlp()
    run(tmp_path, model, resume=tmp_path)
    run(tmp_path / "whole", whole)
    assert same(model, whole)


def test_kill_nine_at_random_moments(tmp_path):
    command = [sys.executable, str(HERE / "reliability" / "kill_resume.py"), "--kills", "6", "--longest", "0.3"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    ran = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=280)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    figures = json.loads(ran.stdout)
    assert figures["kills"] == 6
    assert figures["completed"] >= 1


def test_a_recipe_goes_on_by_itself(tmp_path, capsys):
    pytest.importorskip("sklearn")

    def result(folder, epochs):
        options = recipes.Options(epochs=epochs, checkpoint=tmp_path / folder, quiet=True)
        return recipes.find("digits").run(options)

    expected = result("whole", 4)
    result("parts", 2)
    found = result("parts", 4)
    assert found.test == expected.test
    assert newest(tmp_path / "parts").read_bytes() == newest(tmp_path / "whole").read_bytes()
    with pytest.raises(DataError, match="cannot resume"):
        recipes.find("digits").run(recipes.Options(seed=1, checkpoint=tmp_path / "parts", quiet=True))
