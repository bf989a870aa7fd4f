"""How data come to a model: orders of samples, what Input promises, and batches from everywhere."""

from __future__ import annotations

import gc

import numpy as np
import pytest

import pynn
from pynn import nn, optim
from pynn.errors import DataError, ShapeError
from pynn.train import LambdaCallback, ModelCheckpoint

R = np.random.default_rng(0)
N, D, C = 37, 4, 3
X = R.normal(size=(N, D)).astype("float32")
Y = R.integers(0, C, N)


def classifier(optimizer="adam", metrics=("accuracy",), seed=0, **more):
    model = nn.Sequential([nn.Input((D,)), nn.Dense(8, activation="tanh"), nn.Dropout(0.2), nn.Dense(C)])
    model.compile(optimizer, "cross_entropy", metrics=list(metrics), seed=seed, **more)
    return model


def bits(model):
    return [w.tobytes() for w in model.get_weights()]


# The order of samples


def orders(model, n=6, calls=1, **options):
    """Return the order in which fit() takes samples, told by the loss of each."""
    seen = []

    def note(batch, logs):
        seen.append(logs["loss"] * (batch + 1))

    found = []
    for _ in range(calls):
        seen.clear()
        hook = LambdaCallback(on_train_batch_end=note)
        model.fit(np.arange(n)[:, None], np.zeros(n), batch_size=1, verbose=0, callbacks=hook, **options)
        for epoch in np.reshape(seen, (-1, n)):
            found.append(tuple(np.sqrt(np.diff(epoch, prepend=0)).round().astype(int).tolist()))
    return found


def counter():
    model = nn.Sequential([nn.Input((1,)), nn.Dense(1, use_bias=False, kernel_initializer="ones")])
    model.compile(optim.SGD(0.0), "mse", seed=0)
    return model


def test_every_call_of_fit_has_an_order_of_its_own():
    once = orders(counter(), calls=5)
    assert len(set(once)) > 1
    assert all(sorted(order) == list(range(6)) for order in once)
    assert once == orders(counter(), calls=5)  # the same seed, the same orders
    assert once == orders(counter(), epochs=5)  # as of five epochs in one call
    assert set(orders(counter(), calls=2, shuffle=False)) == {tuple(range(6))}


def test_epochs_one_by_one_are_the_bits_of_epochs_in_one_call():
    one, two, three = classifier(), classifier(), classifier()
    for _ in range(3):
        one.fit(X, Y, batch_size=10, verbose=0)
    two.fit(X, Y, batch_size=10, epochs=3, verbose=0)
    for epoch in range(3):
        three.fit(X, Y, batch_size=10, initial_epoch=epoch, epochs=epoch + 1, verbose=0)
    assert bits(one) == bits(two) == bits(three)


def test_a_file_keeps_how_many_orders_were_used(tmp_path):
    one, two = classifier(), classifier()
    for model in (one, two):
        model.fit(X, Y, batch_size=10, epochs=2, verbose=0)
    two.save(tmp_path / "two.pynn")
    two = pynn.load(tmp_path / "two.pynn")
    for model in (one, two):
        model.fit(X, Y, batch_size=10, verbose=0)
    assert bits(one) == bits(two)


@pytest.mark.parametrize("batch", [None, 2])
def test_resume_in_a_second_fit(tmp_path, batch):
    """A checkpoint of the second call of fit() is gone on from in that call's order."""
    one = classifier()
    one.fit(X, Y, batch_size=10, verbose=0)
    folder = tmp_path / "run"
    one.fit(X, Y, batch_size=10, epochs=3, verbose=0, callbacks=ModelCheckpoint(folder, every_batches=batch))
    files = sorted(folder.glob("step-*.pynn"))
    other = classifier()
    rest = other.fit(X, Y, batch_size=10, epochs=3, verbose=0, resume=files[0]).history["loss"]
    assert rest
    assert bits(one) == bits(other)
    for model in (one, other):
        model.fit(X, Y, batch_size=10, verbose=0)  # and the orders after it
    assert bits(one) == bits(other)


# nn.Input is a promise


def test_input_is_enforced_before_anything_is_built(tmp_path):
    model = nn.Sequential([nn.Input((6,)), nn.Dense(4), nn.Dense(1)])
    model.compile("adam", "mse", seed=0)
    wrong, y = np.ones((5, 3), "float32"), np.ones((5, 1), "float32")
    calls = (
        lambda: model(wrong),
        lambda: model.fit(wrong, y, verbose=0),
        lambda: model.evaluate(wrong, y),
        lambda: model.train_on_batch(wrong, y),
        lambda: nn.Sequential([model])(wrong),
    )
    for call in calls:
        with pytest.raises(ShapeError, match=r"shape \(N, 6\), as nn.Input says. Received: x.shape=\(5, 3\)"):
            call()
        assert not any(layer.built for layer in model._layers)
    with pytest.raises(ShapeError, match=r"\[predict\] .*\(N, 6\).*\(5, 3\)"):
        model.predict(wrong)
    right = np.ones((5, 6), "float32")
    model.fit(right, y, verbose=0)
    model.save(tmp_path / "model.pynn")
    assert np.array_equal(pynn.load(tmp_path / "model.pynn").predict(right), model.predict(right))


@pytest.mark.parametrize(
    ("shape", "given", "help"),
    [
        ((8, 8, 1), (5, 8, 8), r"x\[..., None\]"),
        ((8, 8, 1), (8, 8, 1), r"x\[None\]"),
        ((64,), (5, 8, 8), r"reshape\(len\(x\), -1\)"),
        ((8, 3), (5, 9, 4), r"nn.Input\(\(9, 4\)\)"),
    ],
)
def test_input_says_what_to_do(shape, given, help):
    model = nn.Sequential([nn.Input(shape), nn.Flatten(), nn.Dense(2)])
    model.layers  # noqa: B018  built
    with pytest.raises(ShapeError, match=help):
        model.predict(np.zeros(given, "float32"))


def test_sizes_between_may_differ_where_the_layers_take_them(tmp_path):
    """Weights are those of Input's shape, whatever the first batch was."""
    longer = R.normal(size=(9, 7, 2)).astype("float32")
    model = nn.Sequential([nn.Input((5, 2)), nn.LSTM(3), nn.Dense(1)])
    model.compile("adam", "mse", seed=0)
    model.fit(longer, np.zeros(9), verbose=0)
    model.save(tmp_path / "longer.pynn")
    np.testing.assert_array_equal(pynn.load(tmp_path / "longer.pynn").predict(longer), model.predict(longer))
    flat = nn.Sequential([nn.Input((5, 2)), nn.Flatten(), nn.Dense(1)])
    flat.compile("adam", "mse", seed=0)
    with pytest.raises(ShapeError, match="last dimension 10"):
        flat.fit(longer, np.zeros(9), verbose=0)
    assert not any(layer.built for layer in flat._layers)
    assert flat.layers[1].w.shape == (10, 1)


# Batches from everywhere


def rows(i, size=10):
    return slice(size * i, size * i + size)


class Counted:
    """Gives batches by index, without __iter__, and would go on for ever."""

    def __init__(self, n=4, parts=2):
        self.n, self.parts, self.asked, self.ended = n, parts, [], 0

    def __len__(self):
        return self.n

    def __getitem__(self, i):
        self.asked.append(i)
        at = rows(i % 4)
        return (X[at], Y[at], np.ones(len(Y[at])))[: self.parts]

    def on_epoch_end(self):
        self.ended += 1


class Again:
    """An iterable that begins anew."""

    def __iter__(self):
        return (batch for batch in as_list())


class Rewinding:
    """An iterator that rewinds in __iter__."""

    def __iter__(self):
        self.at = 0
        return self

    def __next__(self):
        if self.at == 4:
            raise StopIteration
        self.at += 1
        return X[rows(self.at - 1)], Y[rows(self.at - 1)]


def as_list():
    return [(X[rows(i)], Y[rows(i)]) for i in range(4)]


def endless():
    i = 0
    while True:
        yield X[rows(i % 4)], Y[rows(i % 4)]
        i += 1


SOURCES = {
    "list": as_list,
    "list of lists": lambda: [list(batch) for batch in as_list()],
    "two batches in a list": lambda: [(X[:20], Y[:20]), (X[20:], Y[20:])],
    "iterable": Again,
    "rewinding iterator": Rewinding,
    "index": Counted,
    "index with weights": lambda: Counted(parts=3),
    "generator": lambda: iter(Again()),
    "map": lambda: map(tuple, as_list()),
}


@pytest.mark.parametrize("name", SOURCES)
def test_batches_from_everywhere_in_fit_evaluate_and_predict(name):
    one, two = classifier(), classifier()
    size = 20 if name.startswith("two") else 10
    a = one.fit(X, Y, batch_size=size, shuffle=False, verbose=0, validation_data=(X, Y)).history
    b = two.fit(SOURCES[name](), shuffle=False, verbose=0, validation_data=SOURCES[name]()).history
    assert bits(one) == bits(two)
    for key in a:
        assert a[key] == pytest.approx(b[key], rel=1e-5), key
    expected, found = one.evaluate(X, Y), two.evaluate(SOURCES[name]())
    assert found == pytest.approx(dict(expected), rel=1e-5)
    np.testing.assert_allclose(two.predict(SOURCES[name]()), one.predict(X), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", ["list", "iterable", "rewinding iterator", "index"])
def test_batches_that_can_be_read_again_last_for_all_epochs(name):
    one, two = classifier(), classifier()
    a = one.fit(X, Y, batch_size=10, epochs=3, shuffle=False, verbose=0, validation_data=(X, Y)).history
    b = two.fit(SOURCES[name](), epochs=3, shuffle=False, verbose=0, validation_data=SOURCES[name]()).history
    assert bits(one) == bits(two)
    assert a["val_loss"] == pytest.approx(b["val_loss"], rel=1e-5)


def test_batches_by_index_are_asked_in_a_new_order_every_epoch():
    given, again = Counted(), Counted()
    classifier().fit(given, epochs=3, verbose=0)
    orders = {tuple(given.asked[i : i + 4]) for i in (0, 4, 8)}
    assert len(orders) > 1
    assert all(sorted(order) == [0, 1, 2, 3] for order in orders)
    assert given.ended == 3
    model = classifier()
    for _ in range(3):
        model.fit(again, verbose=0)
    assert again.asked == given.asked
    ordered = Counted()
    classifier().fit(ordered, epochs=2, verbose=0, shuffle=False)
    classifier().evaluate(ordered)
    assert ordered.asked == [0, 1, 2, 3] * 3


@pytest.mark.parametrize("name", ["generator", "index", "list", "iterable"])
def test_steps_per_epoch_reads_on(name):
    make = {**SOURCES, "generator": endless}[name]
    one, two = classifier(), classifier()
    flat = [as_list()[i % 4] for i in range(9)]
    for i in range(3):
        one.fit(flat[3 * i : 3 * i + 3], verbose=0)
    history = two.fit(make(), epochs=3, steps_per_epoch=3, shuffle=False, verbose=0)
    assert bits(one) == bits(two)
    assert len(history.history["loss"]) == 3
    assert history.params["steps"] == 3


def test_validation_steps_and_steps():
    model = classifier()
    model.fit(X, Y, verbose=0)
    first = model.evaluate(X[:20], Y[:20])
    second = model.evaluate(np.r_[X[20:], X[:3]][:20], np.r_[Y[20:], Y[:3]][:20])
    assert model.evaluate(endless(), steps=2) == pytest.approx(dict(first), rel=1e-5)
    assert model.evaluate(as_list(), steps=2) == pytest.approx(dict(first), rel=1e-5)
    assert model.predict(endless(), steps=2).shape == (20, C)
    still = classifier(optim.SGD(0.0), metrics=())
    stays = still.fit(X, Y, epochs=3, verbose=0, validation_data=as_list(), validation_steps=2).history["val_loss"]
    assert len(set(stays)) == 1  # always the first two
    goes = still.fit(X, Y, epochs=2, verbose=0, validation_data=endless(), validation_steps=2).history["val_loss"]
    assert goes[0] == stays[0] != goes[1]
    assert second


def test_one_line_says_what_is_expected():
    model = classifier()
    start = bits(model)
    cases = [
        (lambda: model.fit(endless(), epochs=2, verbose=0), "generator, which can be read once: 2 epochs"),
        (
            lambda: model.fit(X, Y, epochs=2, verbose=0, validation_data=iter(as_list())),
            "validation_data is a list_iter",
        ),
        (lambda: model.fit(X, Y, steps_per_epoch=2, verbose=0), r"steps_per_epoch=2 and arrays"),
        (
            lambda: model.fit(X, Y, validation_data=(X, Y), validation_steps=2, verbose=0),
            "validation_steps=2 and arrays",
        ),
        (lambda: model.fit(X, Y, validation_steps=2, verbose=0), "without validation_data"),
        (lambda: model.fit(X, Y, validation_data=X, verbose=0), "validation_data to be .x, y.*Received: ndarray"),
        (
            lambda: model.fit(X, Y, validation_data=(X[:, 1:].copy(), Y), verbose=0),
            r"fit: validation_data\].*\(37, 3\)",
        ),
        (lambda: model.fit(as_list(), steps_per_epoch=0, verbose=0), "steps_per_epoch"),
        (lambda: model.evaluate(X, Y, steps=2), "steps=2 and arrays"),
        (lambda: model.predict(X, steps=2), "steps=2 and arrays"),
        (lambda: model.fit(Counted(), Y, verbose=0), "batches of .x, y. alone.*a Counted, and y"),
        (lambda: model.evaluate(endless(), Y), "a generator, and y"),
        (lambda: model.fit(X, Counted(), verbose=0), "Counted, which gives items by index"),
        (lambda: model.fit(X, Y, sample_weight=Counted(), verbose=0), "Counted, which gives items by index"),
        (lambda: model(Counted()), "Counted, which gives items by index"),
        (lambda: model.predict_fn()(Counted()), "Counted, which gives items by index"),
        (lambda: model.fit([], verbose=0), "empty"),
        (lambda: model.evaluate(Counted(0)), "empty"),
        (lambda: model.predict([(X,) * 4]), "one input, as Sequential has one. Received: 4"),
        (lambda: model.fit((X, X), Y, verbose=0), "one input, as Sequential has one. Received: 2"),
        (lambda: model.fit([(X, 3)] * 3, verbose=0), "a single sample.*DataLoader"),
        (lambda: model.fit([X] * 4, verbose=0), "batches of"),
    ]
    for call, message in cases:
        with pytest.raises((ValueError, TypeError), match=message) as caught:
            call()
        assert "\n" not in str(caught.value)
        assert bits(model) == start


def test_a_generator_that_ends_too_soon_is_named():
    model = classifier()
    for call in (
        lambda: model.fit(iter(as_list()), epochs=2, steps_per_epoch=3, verbose=0),
        lambda: model.evaluate(iter(as_list()), steps=5),
        lambda: model.predict(iter(as_list()), steps=5),
    ):
        with pytest.raises(DataError, match=r"=\d batches. Received: \d, then the list_iterator was used up. help"):
            call()


def test_a_sized_loader_whose_len_fails():
    """As PyTorch's loader of an iterable data set."""

    class Loader(Again):
        def __len__(self):
            raise TypeError("no len")

    one, two = classifier(), classifier()
    one.fit(as_list(), epochs=2, verbose=0)
    two.fit(Loader(), epochs=2, verbose=0)
    assert bits(one) == bits(two)


@pytest.mark.parametrize("source", [Counted, endless])
@pytest.mark.parametrize("kill", [4, 7])
def test_resume_from_batches(tmp_path, source, kill):
    """Also between epochs, where an endless generator must be wound on."""
    steps = None if source is Counted else 3
    one = classifier()
    saver = ModelCheckpoint(tmp_path, every_batches=1, keep_last=100)
    one.fit(source(), epochs=3, steps_per_epoch=steps, verbose=0, callbacks=saver)
    other = classifier()
    other.fit(source(), epochs=3, steps_per_epoch=steps, verbose=0, resume=tmp_path / f"step-{kill:010d}.pynn")
    assert bits(one) == bits(other)


def test_predictions_of_batches_with_several_inputs():
    a, b = nn.Input((D,)), nn.Input((2,))
    model = nn.Model([a, b], nn.Dense(2)(nn.Concatenate()([a, b])))
    model.build()
    z = R.normal(size=(N, 2)).astype("float32")
    expected = model.predict((X, z))
    pairs = [(X[rows(i)], z[rows(i)]) for i in range(4)]
    packed = [((X[rows(i)], z[rows(i)]), Y[rows(i)]) for i in range(4)]
    for given in (pairs, packed, iter(pairs), iter(packed)):
        np.testing.assert_allclose(model.predict(given), expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(model.predict([X, z]), expected)


def test_a_list_of_batches_of_inputs_is_joined():
    model = classifier()
    model.layers  # noqa: B018
    expected = model.predict(X)
    np.testing.assert_allclose(model.predict([X[:20], X[20:]]), expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(model.predict([X]), expected)
    np.testing.assert_allclose(model.predict(list(X)), expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(model.predict(X[:2].tolist()), expected[:2], rtol=1e-5, atol=1e-6)


# Evaluation keeps nothing that no metric asks for


@pynn.register
class Parts(pynn.metrics.Metric):
    name = "parts"

    def reset(self):
        super().reset()
        self.sizes = []

    def add(self, y_true, y_pred, weight):
        self.sizes.append(len(y_pred))

    def value(self):
        return float(len(self.sizes))


class Whole(Parts):
    name = "whole"
    streams = False


def test_evaluation_goes_part_by_part(monkeypatch):
    from pynn.train import measuring

    w = np.linspace(0, 2, N).astype("float32")

    def spread(y_true, y_pred):
        return np.ptp(y_pred)  # of all rows, not a mean of parts

    kinds = ["accuracy", Parts(), Whole(), spread, "precision", "auc"]
    model = classifier(metrics=kinds)
    whole = model.evaluate(X, Y, sample_weight=w)
    assert whole["parts"] == whole["whole"] == 1
    monkeypatch.setattr(measuring, "PART", 4 * C * 10)  # ten rows
    for options in ({}, {"batch_size": 5}, {"batch_size": 7}, {"batch_size": 1000}):
        parts = model.evaluate(X, Y, sample_weight=w, **options)
        assert (parts["parts"] > 1) == (options.get("batch_size") != 1000)
        assert parts["whole"] == 1
        for key in whole.keys() - {"parts"}:
            assert parts[key] == pytest.approx(whole[key], rel=1e-5), key


def test_training_holds_predictions_part_by_part(monkeypatch, tmp_path):
    from pynn.train import batches

    kinds = ["accuracy", "top_k", "precision", Parts()]
    w = np.linspace(0, 2, N).astype("float32")
    one, two, three = (classifier(metrics=[pynn.metrics.TopK(2) if k == "top_k" else k for k in kinds]) for _ in "abc")
    a = one.fit(X, Y, sample_weight=w, epochs=2, batch_size=5, verbose=0).history
    monkeypatch.setattr(batches, "PART", 4 * C * 12)  # two batches of five
    saver = ModelCheckpoint(tmp_path, every_batches=1, keep_last=100)
    b = two.fit(X, Y, sample_weight=w, epochs=2, batch_size=5, verbose=0, callbacks=saver).history
    assert bits(one) == bits(two)
    assert b.pop("parts") == [5.0, 5.0]
    assert a.pop("parts") == [2.0, 2.0]
    assert {key: pytest.approx(values) for key, values in a.items()} == b
    for step in (3, 4, 7, 11):
        model = three if step == 3 else classifier(metrics=[pynn.metrics.TopK(2) if k == "top_k" else k for k in kinds])
        path = tmp_path / f"step-{step:010d}.pynn"
        c = model.fit(X, Y, sample_weight=w, epochs=2, batch_size=5, verbose=0, resume=path).history
        assert bits(model) == bits(two)
        assert {key: values[-1] for key, values in c.items() if key != "parts"} == {k: v[-1] for k, v in b.items()}


def test_evaluation_of_parts_has_the_penalties_once(monkeypatch):
    from pynn.train import measuring

    model = nn.Sequential([nn.Input((D,)), nn.Dense(C, kernel_regularizer="l2")])
    model.compile("sgd", "cross_entropy", seed=0)
    whole = model.evaluate(X, Y)["loss"]
    monkeypatch.setattr(measuring, "PART", 1)
    assert model.evaluate(X, Y)["loss"] == pytest.approx(whole, rel=1e-6)


def test_hooks_of_test_and_predict_batches():
    calls = []
    names = ("on_test_begin", "on_test_batch_begin", "on_test_batch_end", "on_test_end", "on_predict_begin",
             "on_predict_batch_begin", "on_predict_batch_end", "on_predict_end")  # fmt: skip
    hooks = LambdaCallback(**{name: lambda *given, name=name: calls.append((name, *given[:-1])) for name in names})
    losses = []
    loss = LambdaCallback(on_test_batch_end=lambda batch, logs: losses.append(logs["loss"]))
    model = classifier()
    result = model.evaluate(X, Y, batch_size=20, callbacks=[hooks, loss])
    batches = [(f"on_test_batch_{end}", i) for i in range(2) for end in ("begin", "end")]
    assert calls == [("on_test_begin",), *batches, ("on_test_end",)]
    assert losses[-1] == result["loss"] != losses[0]
    calls.clear()
    out = model.predict(X, batch_size=20, callbacks=hooks)
    np.testing.assert_allclose(out, model.predict(X), rtol=1e-5, atol=1e-6)
    batches = [(f"on_predict_batch_{end}", i) for i in range(2) for end in ("begin", "end")]
    assert calls == [("on_predict_begin",), *batches, ("on_predict_end",)]
    calls.clear()
    model.fit(X, Y, epochs=1, verbose=0, validation_data=as_list(), callbacks=hooks)
    assert calls == [("on_test_begin",), *((f"on_test_batch_{e}", i) for i in range(4) for e in ("begin", "end")),
                     ("on_test_end",)]  # fmt: skip


# What other libraries bring


def test_masked_values_are_refused():
    masked = np.ma.masked_array(X, mask=False)
    model = classifier()
    model.layers  # noqa: B018
    np.testing.assert_array_equal(model.predict(masked), model.predict(X))
    masked[3, 1] = np.ma.masked
    for call in (model.predict, lambda x: model.fit(x, Y, verbose=0), model, pynn.tensor):
        with pytest.raises(DataError, match=r"masked array with 1 masked values. help: data.filled"):
            call(masked)
    with pytest.raises(DataError, match="masked"):
        model.fit(X, np.ma.masked_array(Y, mask=Y == 0), verbose=0)


@pytest.mark.parametrize("kind", ["MLPClassifier", "Perceptron"])
def test_estimators_refuse_what_they_would_misread(kind):
    pytest.importorskip("sklearn")
    from pynn import estimators

    model = getattr(estimators, kind)(max_iter=1)
    for bad, error, message in (
        (Counted(), TypeError, "Counted, which gives items by index"),
        (np.ma.masked_array(X, mask=X > 0), DataError, "masked values"),
        ({"a": X}, TypeError, "a dict with the keys 'a'"),
    ):
        with pytest.raises(error, match=rf"\[{kind}\] .*{message}"):
            model.fit(bad, Y)


def test_dicts_and_sparse_matrices_are_named():
    from scipy import sparse

    model = classifier()
    model.layers  # noqa: B018
    for call in (model.predict, lambda x: model.fit(x, Y, verbose=0), lambda x: model.evaluate(x, Y)):
        with pytest.raises(DataError, match=r"unknown input. Received: 'a'. help: Known: x"):
            call({"a": X})
        with pytest.raises(TypeError, match=r"expected a dense array. Received: a csr_matrix. help: x.toarray\(\)"):
            call(sparse.csr_matrix(X))


def test_tables_of_pandas():
    pandas = pytest.importorskip("pandas")
    table = pandas.DataFrame({"a": X[:, 0], "b": X[:, 1], "c": X[:, 2] > 0, "d": np.arange(N)})
    model = classifier()
    model.layers  # noqa: B018
    np.testing.assert_array_equal(model.predict(table), model.predict(np.ascontiguousarray(table.to_numpy("float32"))))
    a, b = nn.Input((2,)), nn.Input((2,))
    two = nn.Model([a, b], nn.Dense(2)(nn.Concatenate()([a, b])))
    two.build()
    left, right = table[["a", "b"]], table[["c", "d"]]
    expected = two.predict(tuple(np.ascontiguousarray(t.to_numpy("float32")) for t in (left, right)))
    np.testing.assert_array_equal(two.predict((left, right)), expected)
    with pytest.raises(TypeError, match="expected numbers"):
        model.predict(table.assign(d="text"))


def test_fewer_batches_than_len_says():
    class Short:
        def __len__(self):
            return 5

        def __iter__(self):
            return iter([(X[:10], Y[:10]), (X[10:20], Y[10:20])])

    model = classifier()
    with pytest.warns(
        UserWarning, match=r"expected 5 batches, as len\(\) of the Short says. Received: 2.*__len__"
    ) as told:
        history = model.fit(Short(), epochs=3, verbose=0).history
    assert len(told) == 1
    assert len(history["loss"]) == 3
    with pytest.warns(UserWarning, match=r"\[predict\] expected 5 batches"):
        assert model.predict(Short()).shape == (20, C)
    with pytest.warns(UserWarning, match=r"\[evaluate\] expected 5 batches"):
        model.evaluate(Short())


@pytest.mark.parametrize("call", ["fit", "evaluate", "predict", "validation"])
def test_what_ends_before_the_steps_that_were_asked_for(call):
    def two():
        yield X[:10], Y[:10]
        yield X[10:20], Y[10:20]

    model = classifier()
    model.layers  # noqa: B018  built
    name = {"fit": "steps_per_epoch", "validation": "validation_steps"}.get(call, "steps")
    calls = {
        "fit": lambda: model.fit(two(), steps_per_epoch=3, verbose=0),
        "validation": lambda: model.fit(X, Y, validation_data=two(), validation_steps=3, verbose=0),
        "evaluate": lambda: model.evaluate(two(), steps=3),
        "predict": lambda: model.predict(two(), steps=3),
    }
    with pytest.raises(DataError, match=rf"{name}=3 batches. Received: 2, then the generator was used up. help"):
        calls[call]()


def test_what_is_empty_is_told_apart_from_what_was_read_before():
    model = nn.Sequential([nn.Input((2,)), nn.Dense(1)])
    model.compile(loss="mse")
    with pytest.raises(DataError, match=r"the iterable of batches is empty\. help: .*: it gave no batch\."):
        model.fit([], epochs=2, verbose=0)

    class Once:
        def __init__(self):
            self.batches = [(np.ones((4, 2), "f4"), np.ones((4, 1), "f4"))]

        def __iter__(self):
            yield from self.batches
            self.batches = []

    with pytest.raises(DataError, match=r"batches is empty again\. help: .*: give a list of batches, or an object"):
        model.fit(Once(), epochs=2, verbose=0)


def test_a_generator_goes_on_after_a_training():
    """The next model reads on where the one before stopped: nothing closes what the program holds."""
    read = []

    def endless():
        while True:
            read.append(len(read))
            yield np.ones((4, 3), "float32"), np.ones((4, 1), "float32")

    batches, held = endless(), endless()
    for _ in range(3):
        model = nn.Sequential([nn.Input((3,)), nn.Dense(1)])
        model.compile("sgd", "mse", seed=0)
        model.fit(batches, epochs=2, steps_per_epoch=2, validation_data=held, validation_steps=1, verbose=0)
        model.evaluate(held, steps=1)
        del model
        gc.collect()
    assert len(next(batches)) == len(next(held)) == 2
