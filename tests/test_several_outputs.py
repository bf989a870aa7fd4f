"""Models with several outputs and with inputs that have names: a loss, weights and metrics for each output."""

import numpy as np
import pytest

import pynn
from pynn import losses, metrics, nn, optim
from pynn.errors import DataError, ShapeError
from pynn.io import dumps, loads
from pynn.nn.summary import summary
from pynn.train import Callback, EarlyStopping, LambdaCallback, ModelCheckpoint

R = np.random.default_rng(4)
N, D = 41, 5
X = R.normal(size=(N, D)).astype("float32")
KIND = R.integers(0, 3, N)
PRICE = (X[:, :1] * 2 + 1).astype("float32")
LOSS = {"price": "mse", "kind": "cross_entropy"}
METRICS = {"price": ["mae"], "kind": "accuracy"}


class Own(nn.Module):
    """Returns a dict, a tuple or a list."""

    def __init__(self, form=dict):
        super().__init__()
        self.form = form
        self.shared, self.price, self.kind = nn.Dense(6, "tanh"), nn.Dense(1), nn.Dense(3, "softmax")

    def forward(self, x):
        h = self.shared(x)
        price, kind = self.price(h), self.kind(h)
        return {"price": price, "kind": kind} if self.form is dict else self.form((price, kind))


def functional(form=list):
    x = nn.Input((D,))
    h = nn.Dense(6, "tanh")(x)
    price, kind = nn.Dense(1, name="price")(h), nn.Dense(3, "softmax", name="kind")(h)
    return nn.Model(x, {"price": price, "kind": kind} if form is dict else [price, kind])


def compiled(model, rate=0.1, loss=None, **options):
    options = {"metrics": METRICS, "loss_weights": {"price": 0.5, "kind": 2.0}, "seed": 1, **options}
    model.compile(optim.SGD(rate), LOSS if loss is None else loss, **options)
    return model


def by_hand(model, x, w=None):
    """The losses and metrics that a model has on all rows."""
    out = model.predict(x)
    price, kind = (out["price"], out["kind"]) if isinstance(out, dict) else out
    w = np.ones(len(x)) if w is None else w
    found = {
        "price_loss": (w * ((price - PRICE) ** 2)[:, 0]).mean(),
        "kind_loss": (w * -np.log(kind[np.arange(len(x)), KIND])).mean(),
        "price_mae": np.average(np.abs(price - PRICE)[:, 0], weights=w),
        "kind_accuracy": np.average(kind.argmax(1) == KIND, weights=w),
    }
    return {"loss": 0.5 * found["price_loss"] + 2 * found["kind_loss"], **found}


def close(found, expected):
    assert list(found.keys()) == list(expected)
    for key, value in expected.items():
        assert found[key] == pytest.approx(value, rel=2e-5), key


MODELS = {
    "list": functional, "dict": lambda: functional(dict), "own dict": Own, "own tuple": lambda: Own(tuple),
}  # fmt: skip
TARGETS = {"price": PRICE, "kind": KIND}


@pytest.mark.parametrize("eagerly", [False, True])
@pytest.mark.parametrize("kind", MODELS)
def test_losses_and_metrics_of_each_output(kind, eagerly):
    model = compiled(MODELS[kind](), rate=1e-30, run_eagerly=eagerly)
    y = [PRICE, KIND] if kind in ("list", "own tuple") else TARGETS
    history = model.fit(X, y, batch_size=16, validation_data=(X, TARGETS), verbose=0).history
    expected = by_hand(model, X)
    close({k: v[0] for k, v in history.items() if not k.startswith("val_")}, expected)
    close({k[4:]: v[0] for k, v in history.items() if k.startswith("val_")}, expected)
    close(model.evaluate(X, y), expected)
    close(model.evaluate(X, y, batch_size=7), expected)
    close(model.train_on_batch(X, y), expected)


def test_a_tuple_takes_the_names_of_the_losses_or_numbers():
    model = Own(tuple)
    model.compile("sgd", ["mse", "cross_entropy"], metrics=[None, ["accuracy"]], seed=0)
    history = model.fit(X, (PRICE, KIND), verbose=0).history
    assert list(history) == ["loss", "output_1_loss", "output_2_loss", "output_2_accuracy"]


def test_training_is_that_of_the_sum_by_hand():
    """The steps are those of the weighted sum of both losses."""
    model = compiled(functional())
    model.fit(X, TARGETS, batch_size=10, epochs=2, shuffle=False, verbose=0)
    other = compiled(functional())
    other.layers  # noqa: B018  built
    mse, entropy = losses.MSE(), losses.CrossEntropy(from_logits=False)
    for _ in range(2):
        for i in range(0, N, 10):
            rows = slice(i, i + 10)
            price, kind = other(X[rows], training=True)
            loss = mse(price, PRICE[rows]) * 0.5 + entropy(kind, KIND[rows]) * 2.0
            loss.backward()
            for weight in other.parameters():
                weight.view()[...] -= 0.1 * weight.grad.view()
    for a, b in zip(model.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)


def test_eager_steps_are_the_recorded_ones():
    one, two = compiled(functional()), compiled(functional(), run_eagerly=True)
    histories = [
        m.fit(X, TARGETS, batch_size=16, epochs=3, validation_split=0.2, verbose=0).history for m in (one, two)
    ]
    assert histories[0] == histories[1]
    assert [w.tobytes() for w in one.get_weights()] == [w.tobytes() for w in two.get_weights()]


def test_outputs_end_as_if_alone():
    """Softmax is taken off below its loss, and predictions are probabilities."""
    model = compiled(functional())
    assert model._trainer.head.form == ("outputs", "outputs")
    model.fit(X, TARGETS, verbose=0)
    assert model._trainer.head.form == ("outputs", "logits")
    price, kind = model.predict(X)
    assert price.shape == (N, 1)
    np.testing.assert_allclose(kind.sum(1), np.ones(N), rtol=1e-5)
    named = functional(dict).predict(X[:3])
    assert list(named) == ["price", "kind"]


@pytest.mark.parametrize(
    "weight", [lambda w: w, lambda w: {"price": w, "kind": w}, lambda w: [w, w]], ids=["for all", "dict", "list"]
)
def test_sample_weights(weight):
    w = np.linspace(0.1, 2, N)
    model = compiled(functional(), rate=1e-30)
    expected = by_hand(model, X, w)
    close(model.evaluate(X, TARGETS, sample_weight=weight(w)), expected)
    history = model.fit(X, TARGETS, sample_weight=weight(w), batch_size=16, verbose=0).history
    close({k: v[0] for k, v in history.items()}, expected)


def test_weights_of_one_output_alone():
    w = np.linspace(0.1, 2, N)
    model = compiled(functional(), rate=1e-30)
    plain, both = by_hand(model, X), by_hand(model, X, w)
    found = model.evaluate(X, TARGETS, sample_weight={"kind": w})
    assert found["price_loss"] == pytest.approx(plain["price_loss"], rel=1e-5)
    assert found["kind_loss"] == pytest.approx(both["kind_loss"], rel=1e-5)
    model.fit(X, TARGETS, sample_weight={"kind": w}, batch_size=16, verbose=0)


def test_one_loss_and_metric_for_all_outputs():
    x = nn.Input((D,))
    model = nn.Model(x, [nn.Dense(1, name="a")(x), nn.Dense(1, name="b")(x)])
    model.compile("sgd", "mse", metrics=["mae"], seed=0)
    history = model.fit(X, [PRICE, -PRICE], verbose=0).history
    assert list(history) == ["loss", "a_loss", "b_loss", "a_mae", "b_mae"]
    assert history["loss"][0] == pytest.approx(history["a_loss"][0] + history["b_loss"][0])
    own = Own(tuple)  # where it is found out by running it
    own.compile("sgd", "mse", seed=0)
    assert list(own.fit(X, [PRICE, np.eye(3)[KIND]], verbose=0).history) == ["loss", "output_1_loss", "output_2_loss"]


@pytest.mark.parametrize("loss", [{"kind": "cross_entropy"}, [None, "cross_entropy"]])
def test_an_output_without_a_loss_is_not_trained(loss):
    model = functional()
    model.compile("sgd", loss, metrics={"kind": ["accuracy"]}, seed=0)
    before = model.layers[1].get_weights()
    history = model.fit(X, {"kind": KIND}, verbose=0).history
    assert list(history) == ["loss", "kind_loss", "kind_accuracy"]
    assert history["loss"] == history["kind_loss"]
    assert np.array_equal(before[0], model.layers[1].get_weights()[0])
    model.evaluate(X, [None, KIND])
    assert len(model.predict(X)) == 2


def test_a_list_of_one_loss_is_that_loss():
    model = nn.Sequential([nn.Input((D,)), nn.Dense(1)])
    model.compile("sgd", ["mse"], metrics=[["mae"]], seed=0)
    assert list(model.fit(X, PRICE, verbose=0).history) == ["loss", "mae"]


class Listed(nn.Module):
    """The output of a layer, by itself or in a list."""

    def __init__(self, listed):
        super().__init__()
        self.dense, self.listed = nn.Dense(2, seed=1), listed

    def forward(self, x):
        return [self.dense(x)] if self.listed else self.dense(x)


def test_what_stands_alone_in_a_list_is_logged_as_one_output():
    x, y = np.ones((8, 3), "float32"), np.arange(16, dtype="float32").reshape(8, 2)
    found = []
    for listed, targets in ((False, y), (True, y), (True, [y])):
        model = Listed(listed)
        model.compile("sgd", "mse", metrics=["mae"], seed=0)
        history = model.fit(x, targets, validation_data=(x, targets), epochs=2, batch_size=3, verbose=0).history
        found.append((history, model.evaluate(x, targets, verbose=0), model.train_on_batch(x, targets)))
    assert found[0] == found[1] == found[2]
    assert list(found[0][0]) == ["loss", "mae", "val_loss", "val_mae"]


def test_batches_of_dicts():
    batches = [({"input_1": X[i : i + 10]}, {k: v[i : i + 10] for k, v in TARGETS.items()}) for i in (0, 10, 20, 30)]
    model = compiled(functional(), rate=1e-30)
    history = model.fit(batches, validation_data=batches, verbose=0).history
    evaluated = model.evaluate(batches)
    for key, value in evaluated.items():
        assert history[key][0] == pytest.approx(value, rel=1e-5)
        assert history[f"val_{key}"][0] == pytest.approx(value, rel=1e-5)


def test_callbacks_see_the_names_of_outputs():
    seen = []
    stop = EarlyStopping("val_kind_accuracy", patience=5)
    note = LambdaCallback(on_train_batch_end=lambda batch, logs: seen.append(list(logs)))
    model = compiled(functional())
    model.fit(X, TARGETS, validation_split=0.2, epochs=2, callbacks=[stop, note], verbose=0)
    assert stop.sign == 1
    assert seen[0] == ["loss", "price_loss", "kind_loss"]
    with pytest.raises(ValueError, match="did you mean 'val_kind_loss'"):
        model.fit(X, TARGETS, validation_split=0.2, callbacks=EarlyStopping("val_knid_loss"), verbose=0)


def test_files(tmp_path):
    x = nn.Input((D,), name="features")
    h = nn.Dense(6, "tanh")(x)
    model = nn.Model(x, {"price": nn.Dense(1)(h), "kind": nn.Dense(3, "softmax")(h)})
    chosen = {"price": [metrics.MAE(), "r2"], "kind": [metrics.TopK(k=2)]}
    compiled(model, metrics=chosen, loss={"price": losses.Huber(0.5), "kind": "categorical_crossentropy"})
    model.fit(X, TARGETS, epochs=2, verbose=0)
    model.save(tmp_path / "model.pynn")
    again = pynn.load(tmp_path / "model.pynn")
    assert again.input_names == ["features"]
    assert again.output_names == ["price", "kind"]
    assert again.evaluate(X, TARGETS) == model.evaluate(X, TARGETS)
    a, b = (m.fit({"features": X}, TARGETS, epochs=2, verbose=0).history for m in (model, again))
    assert a == b
    listed = loads(dumps(compiled(functional(), loss=["mse", None], loss_weights=[2.0, 1.0])))
    assert listed.output_names == ["price", "kind"]
    assert listed.loss.weights == {"price": 2.0}


class Stop(Callback):
    def __init__(self, batches):
        self.left = batches

    def on_train_batch_end(self, batch, logs=None):
        self.left -= 1
        if not self.left:
            raise KeyboardInterrupt


def test_resume_in_the_middle_of_an_epoch(tmp_path):
    whole = compiled(functional())
    expected = whole.fit(X, TARGETS, batch_size=8, epochs=3, verbose=0).history
    part = compiled(functional())
    saver = ModelCheckpoint(tmp_path, every_batches=1)
    part.fit(X, TARGETS, batch_size=8, epochs=3, callbacks=[saver, Stop(9)], verbose=0)
    other = compiled(functional())
    found = other.fit(X, TARGETS, batch_size=8, epochs=3, resume=tmp_path, verbose=0).history
    assert {k: v[-2:] for k, v in found.items()} == {k: v[-2:] for k, v in expected.items()}
    assert [w.tobytes() for w in whole.get_weights()] == [w.tobytes() for w in other.get_weights()]


def test_padded_sequences_of_one_output():
    ids = np.array([[1, 2, 3, 0], [4, 0, 0, 0], [2, 2, 0, 0]])
    x = nn.Input((4,))
    h = nn.GRU(4, return_sequences=True)(nn.Embedding(6, 3, mask_zero=True)(x))
    model = nn.Model(x, [nn.Dense(3, "softmax", name="tag")(h), nn.Dense(1, name="score")(nn.GlobalAvgPool()(h))])
    model.compile(optim.SGD(1e-30), {"tag": "cross_entropy", "score": "mse"}, metrics={"tag": "accuracy"}, seed=0)
    tags, score = R.integers(0, 3, (3, 4)), np.ones((3, 1))
    history = model.fit(ids, [tags, score], verbose=0).history
    p, real = model.predict(ids)[0], ids > 0
    entropy = -np.log(np.take_along_axis(p, tags[..., None], 2)[..., 0])
    assert history["tag_loss"][0] == pytest.approx(entropy[real].mean(), rel=1e-5)
    assert history["tag_accuracy"][0] == pytest.approx((p.argmax(2) == tags)[real].mean())
    found = model.evaluate(ids, [tags, score])
    assert found["tag_loss"] == pytest.approx(entropy[real].mean(), rel=1e-5)


@pytest.mark.parametrize(
    ("call", "error", "pattern"),
    [
        (lambda m: compiled(m, loss={"prise": "mse"}, metrics=()), ValueError, "did you mean 'price'"),
        (lambda m: compiled(m, loss=["mse"] * 3, metrics=()), ValueError, r"a loss for each of 2 outputs.*Received: 3"),
        (lambda m: compiled(m, metrics={"knd": "accuracy"}), ValueError, "metrics: .*did you mean 'kind'"),
        (lambda m: compiled(m, loss_weights={"pric": 1.0}), ValueError, "loss_weights: .*did you mean 'price'"),
        (lambda m: compiled(m, loss_weights=[1.0]), ValueError, "loss_weights with an entry for each"),
        (lambda m: compiled(m, loss_weights={"price": "x"}), ValueError, r"loss_weights\['price'\] to be a finite"),
        (lambda m: compiled(m, loss={"price": "mean", "kind": "mse"}), ValueError, "unknown loss"),
        (lambda m: compiled(m).fit(X, PRICE, verbose=0), ValueError, "y with an entry for each of the outputs"),
        (lambda m: compiled(m).fit(X, [PRICE], verbose=0), ValueError, "a list of 1"),
        (lambda m: compiled(m).fit(X, {"price": PRICE}, verbose=0), DataError, "Received: none for 'kind'"),
        (lambda m: compiled(m).fit(X, {"price": PRICE, "knd": KIND}, verbose=0), ValueError, "did you mean 'kind'"),
        (lambda m: compiled(m).fit(X, verbose=0), DataError, "targets for the outputs price, kind. Received: y=None"),
        (lambda m: compiled(m).fit(X, [PRICE, KIND[:4]], verbose=0), ShapeError, "output 'kind': .*4 targets"),
        (lambda m: compiled(m).fit(X, [PRICE, KIND + 1], verbose=0), DataError, r"output 'kind': .*y\["),
        (lambda m: compiled(m).fit(X, TARGETS, class_weight={0: 2.0}, verbose=0), ValueError, "one output"),
        (lambda m: compiled(m).fit(X, TARGETS, sample_weight=[X[:, 0]], verbose=0), ValueError, "sample_weight with"),
    ],
)
def test_what_is_wrong_is_named(call, error, pattern):
    with pytest.raises(error, match=f"(?s){pattern}"):
        call(functional())


def test_a_callback_knows_the_names_of_a_list_before_there_are_data():
    model = Own(tuple)
    model.compile("sgd", ["mse", "cross_entropy"], metrics=[["mae"], None], seed=0)
    batches = [(X[:20], (PRICE[:20], KIND[:20])), (X[20:], (PRICE[20:], KIND[20:]))]
    stop = EarlyStopping("val_output_1_mae", patience=1)
    history = model.fit(batches, validation_data=batches, epochs=2, callbacks=stop, verbose=0).history
    assert list(history)[:4] == ["loss", "output_1_loss", "output_2_loss", "output_1_mae"]
    with pytest.raises(ValueError, match="unknown metric"):
        model.compile("sgd", ["mse", "mse"], metrics=[["mea"], None])
    named = Own(dict)
    named.compile("sgd", ["mse", "cross_entropy"], seed=0)
    assert list(named.fit(X, TARGETS, verbose=0).history) == ["loss", "price_loss", "kind_loss"]


def test_exports_of_several_outputs():
    model = functional()
    model.build()
    with pytest.raises(DataError, match=r"one tensor. Received: one that returns 2.*nn.Model\(inputs, output\) of"):
        pynn.export.c_source(model, "net", "net.h")
    x = nn.Input((D,))
    h = nn.Dense(6, "tanh")(x)
    ends = [nn.Dense(1)(h), nn.Dense(3)(h)]
    both = nn.Model(x, ends)
    both.compile("sgd", "mse", seed=0)
    both.fit(X, [PRICE, np.eye(3)[KIND]], verbose=0)
    for i, end in enumerate(ends):
        space = {}
        exec(pynn.export.numpy_source(nn.Model(x, end)), space)
        np.testing.assert_allclose(space["predict"](X), both.predict(X)[i], rtol=1e-5, atol=1e-6)
    for form in (list, dict):
        model, space = functional(form), {}
        model.build()
        exec(pynn.export.numpy_source(model), space)
        found, expected = space["predict"](X), model.predict(X)
        assert type(found) is type(expected) is form
        for y in (0, 1) if form is list else expected:
            np.testing.assert_allclose(found[y], expected[y], rtol=1e-5, atol=1e-6)


def test_the_command_line_writes_all_outputs_side_by_side(tmp_path, capsys):
    from pynn.cli import main

    model = compiled(functional())
    model.fit(X, TARGETS, verbose=0)
    model.save(tmp_path / "two.pynn")
    np.save(tmp_path / "x.npy", X[:2])
    assert main(["predict", str(tmp_path / "two.pynn"), "--input", str(tmp_path / "x.npy")]) in (0, None)
    head, *rows = capsys.readouterr().out.splitlines()
    assert head == "price,kind_0,kind_1,kind_2"
    expected = np.concatenate(model.predict(X[:2]), axis=1)
    np.testing.assert_allclose([[float(v) for v in row.split(",")] for row in rows], expected, rtol=1e-6)
    assert main(["summary", str(tmp_path / "two.pynn")]) in (0, None)
    assert "loss mse of price, cross_entropy of kind" in capsys.readouterr().out


def test_losses_of_outputs_that_a_module_does_not_have():
    model = Own(dict)
    model.compile("sgd", {"price": "mse", "size": "mse"}, seed=0)
    with pytest.raises(ValueError, match=r"loss: unknown output. Received: 'size'"):
        model.fit(X, {"price": PRICE, "size": PRICE}, verbose=0)
    assert not model.built
    model = Own(tuple)
    model.compile("sgd", ["mse", "mse", "mse"], seed=0)
    with pytest.raises(ValueError, match="a loss for each of 2 outputs"):
        model.fit(X, [PRICE, PRICE, PRICE], verbose=0)


# Inputs by name


def two_inputs(named=True):
    a, b = (nn.Input((D,), name="a"), nn.Input((2,), name="b")) if named else (nn.Input((D,)), nn.Input((2,)))
    model = nn.Model([a, b], nn.Dense(3, "softmax")(nn.Concatenate()([a, b])))
    model.compile(optim.SGD(0.1), "cross_entropy", metrics=["accuracy"], seed=0)
    return model


B = X[:, :2] * 3


def test_inputs_in_a_dict():
    one, two = two_inputs(), two_inputs()
    h1 = one.fit({"b": B, "a": X}, KIND, epochs=2, validation_split=0.2, verbose=0).history
    h2 = two.fit((X, B), KIND, epochs=2, validation_split=0.2, verbose=0).history
    assert h1 == h2
    assert np.array_equal(one.predict({"a": X, "b": B}), two.predict((X, B)))
    assert one.evaluate({"a": X, "b": B}, KIND) == two.evaluate((X, B), KIND)
    assert np.array_equal(one({"a": X, "b": B}).numpy(), two(X, B).numpy())
    assert np.array_equal(one.predict_fn()({"a": X, "b": B}), two.predict((X, B)))
    unnamed = two_inputs(named=False)
    assert np.array_equal(unnamed.predict({"input_2": B, "input_1": X}), unnamed.predict((X, B)))


def test_inputs_of_a_module_are_the_parameters_of_its_forward():
    class Both(nn.Module):
        def __init__(self):
            super().__init__()
            self.out = nn.Dense(3)

        def forward(self, left, right):
            return self.out(left) + self.out(right)

    model = Both()
    model.compile("sgd", "cross_entropy", seed=0)
    model.fit({"right": X, "left": 2 * X}, KIND, verbose=0)
    np.testing.assert_allclose(model.predict({"right": X, "left": 2 * X}), model.predict((2 * X, X)))
    with pytest.raises(DataError, match=r"unknown input\. Received: 'rigth'. help: did you mean 'right'"):
        model.predict({"left": X, "rigth": X})
    with pytest.raises(
        DataError, match=r"expected an array for each of the inputs left, right\. Received: none for 'right'"
    ):
        model.fit({"left": X}, KIND, verbose=0)


def test_names_of_inputs(tmp_path):
    a, b = nn.Input((D,)), nn.Input((2,), name="own")
    model = nn.Model({"left": a, "right": b}, nn.Dense(1)(nn.Concatenate()([a, b])))
    assert model.input_names == ["left", "own"]
    assert loads(dumps(model)).input_names == ["left", "own"]
    with pytest.raises(ValueError, match="different names"):
        nn.Model([nn.Input((2,), name="a"), x := nn.Input((2,), name="a")], nn.Dense(1)(x))
    with pytest.raises(TypeError, match="name to be a text"):
        nn.Input((2,), name=3)


def test_the_summary_has_the_names_by_which_inputs_are_given():
    a, b = nn.Input((3,), name="picture"), nn.Input((2,))
    two = nn.Model([a, b], nn.Dense(1)(nn.Concatenate()([a, b])))
    assert two.input_names == ["picture", "input_2"]
    assert [line.split()[0] for line in summary(two).splitlines()[2:4]] == two.input_names
    one = nn.Input((3,))
    assert "\ninput  " in summary(nn.Model(one, nn.Dense(1)(one)))
