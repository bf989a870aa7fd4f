"""The end of a model: which activation belongs to the loss, what the loss is computed from."""

import warnings

import numpy as np
import pytest
from ends import FIRST, IMAGES, RNG, TAGS, Own, X, binary, compiled, cross_entropy, own_softmax, reordered

import pynn
from pynn import losses, metrics, nn, ops
from pynn.core.tape import taped
from pynn.losses.bounds import bounds
from pynn.losses.logits import below

# Softmax

ENDS = {
    "dense": lambda: [nn.Dense(4, activation="softmax")],
    "activation": lambda: [nn.Dense(4), nn.Activation("softmax")],
    "time distributed": lambda: [nn.TimeDistributed(nn.Dense(4, activation="softmax"))],
    "reshape": lambda: [nn.Dense(4, activation="softmax"), nn.Reshape((6, 4))],
    "there and back": lambda: [nn.Dense(4, activation="softmax"), nn.Reshape((3, 8)), nn.Reshape((6, 4))],
    "own": lambda: [Own(ops.softmax)],
    "moved": lambda: [Own(reordered)],
    "last axis moved there": lambda: [
        Own(lambda z: ops.transpose(ops.softmax(ops.transpose(z, (0, 2, 1)), axis=1), (0, 2, 1)))
    ],
    "concat of steps": lambda: [Own(lambda z: ops.concat([ops.softmax(z[:, :2]), ops.softmax(z[:, 2:])], axis=1))],
    "gathered": lambda: [Own(lambda z: ops.gather(ops.softmax(z), np.array([3, 3, 0, 1, 2, 5]), axis=1))],
    "nested": lambda: [nn.Sequential([nn.Dense(4, activation="softmax")]), nn.Activation("linear")],
    "shared": lambda: (lambda layer: [layer, layer])(nn.Dense(4, activation="softmax")),
    "average of two": lambda: [Own(lambda z: (ops.softmax(z) + ops.softmax(z * 2.0)) / 2.0)],
    "masked classes": lambda: [Own(lambda z: ops.softmax(z) * 1.0)],
    "jordan": lambda: [nn.JordanRNN(5, 4, output_activation="softmax")],
}
LOSSES = ("cross_entropy", "categorical_crossentropy", "sparse_categorical_crossentropy")


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("end", ENDS)
def test_the_loss_of_probabilities_is_theirs(end, loss):
    model = compiled([nn.Input((6, 4)), *ENDS[end]()], loss, metrics=["accuracy"])
    said = model.evaluate(X, TAGS)
    p = model.predict(X)
    np.testing.assert_allclose(p.sum(-1), 1, atol=1e-5)
    np.testing.assert_array_equal(p, model.predict(X[:24]))
    assert said["loss"] == pytest.approx(cross_entropy(p, TAGS), rel=1e-5)
    assert said["accuracy"] == pytest.approx((p.argmax(-1) == TAGS).mean())
    before = said["loss"]
    history = model.fit(X, TAGS, epochs=1, batch_size=24, verbose=0).history
    assert history["loss"][0] == pytest.approx(before, rel=1e-5)
    assert history["accuracy"][0] == pytest.approx(said["accuracy"])


@pytest.mark.parametrize("end", ENDS)
def test_eager_steps_are_the_bits_of_programs(end):
    weights = []
    for eagerly in (False, True):
        model = compiled([nn.Input((6, 4)), *ENDS[end]()], "cross_entropy", metrics=["accuracy"], run_eagerly=eagerly)
        model.fit(X, TAGS, epochs=2, batch_size=8, verbose=0)
        weights.append(model.get_weights())
    for a, b in zip(*weights, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("end", [e for e in ENDS if e not in ("shared", "average of two", "masked classes", "jordan")])
def test_gradients_are_those_through_the_logits(end):
    """The gradient of a saturated softmax survives where its activation is taken off."""
    model = compiled([nn.Input((6, 4)), *ENDS[end]()], "cross_entropy", optimizer=pynn.optim.SGD(0.1))
    model.build((1, 6, 4))
    model.set_weights([w * 1e4 for w in model.get_weights()])
    before = model.get_weights()
    wrong = (model.predict(X).argmax(-1) + 1) % 4  # log(p) is -inf there
    model.fit(X, wrong, epochs=1, batch_size=24, verbose=0)
    assert max(np.abs(a - b).max() for a, b in zip(model.get_weights(), before, strict=True)) > 1e-3


@pytest.mark.parametrize(
    ("layers", "loss", "y"),
    [
        ([nn.TimeDistributed(nn.Dense(4, activation="softmax"))], "cross_entropy", TAGS),
        ([nn.Dense(4, activation="softmax"), nn.Reshape((6, 4))], "categorical_crossentropy", TAGS),
        ([nn.Flatten(), nn.Dense(1, activation="sigmoid")], "binary_crossentropy", TAGS[:, 0] % 2),
        ([nn.Flatten(), nn.Dense(1, activation="sigmoid"), nn.Flatten()], "binary_cross_entropy", TAGS[:, 0] % 2),
    ],
    ids=["softmax", "reshape", "sigmoid", "flatten"],
)
def test_no_activation_runs_in_a_training_program_that_needs_none(layers, loss, y):
    model = compiled([nn.Input((6, 4)), *layers], loss)
    model.fit(X, y, verbose=0)
    (recording,) = model._trainer.cache
    ran = [instr.card.name for instr in recording.program.instrs]
    assert not {"softmax", "sigmoid"} & set(ran)
    assert ran.count("dense") == 1  # nor is the product computed twice, with the activation that it fuses


@pytest.mark.parametrize("loss", ["cross_entropy", "mse"])
def test_a_plain_dense_layer_trains_as_two_layers_do(loss):
    """Dense with its activation, and one after it, are the same bits."""
    y = TAGS if loss == "cross_entropy" else np.eye(4, dtype="float32")[TAGS]
    one = compiled([nn.Input((6, 4)), nn.Dense(4, activation="softmax")], loss)
    two = compiled([nn.Input((6, 4)), nn.Dense(4), nn.Activation("softmax")], loss)
    losses_ = [m.fit(X, y, epochs=2, verbose=0).history["loss"] for m in (one, two)]
    assert losses_[0] == losses_[1]


def test_softmax_over_other_axes_is_left_alone():
    """Rows of another axis are no distributions over the classes."""
    model = nn.Sequential([nn.Input((6, 4)), Own(lambda z: ops.softmax(z, axis=1))])
    with taped() as tape:
        out = model(X)
    assert below(out, tape, "softmax") is None
    torn = nn.Sequential([nn.Input((6, 4)), nn.Dense(4, activation="softmax"), nn.Reshape((8, 3))])
    with taped() as tape:
        out = torn(X)
    assert below(out, tape, "softmax") is None
    part = nn.Sequential([nn.Input((6, 4)), Own(lambda z: ops.softmax(z)[:, :, 1:])])
    with taped() as tape:
        out = part(X)
    assert below(out, tape, "softmax") is None


def test_a_softmax_of_part_of_the_classes_counts_as_probabilities():
    model = compiled([nn.Input((6, 4)), Own(lambda z: ops.softmax(z)[:, :, 1:])], "cross_entropy")
    y = TAGS % 3
    p = model.predict(X)
    assert model.evaluate(X, y)["loss"] == pytest.approx(cross_entropy(p / p.sum(-1, keepdims=True), y), rel=1e-5)


def any_move(t):
    """Return the tensor after some op that only moves values."""
    axis, which = int(RNG.integers(t.ndim)), RNG.integers(6)
    if which == 0:
        return ops.transpose(t, RNG.permutation(t.ndim).tolist())
    if which == 1 and t.ndim > 1:  # two neighbours become one
        at = int(RNG.integers(t.ndim - 1))
        return ops.reshape(t, (*t.shape[:at], t.shape[at] * t.shape[at + 1], *t.shape[at + 2 :]))
    if which == 2:
        part = [slice(None, None, -1), slice(0, max(1, t.shape[axis] - 1)), slice(None)][RNG.integers(3)]
        return t[tuple(part if i == axis else slice(None) for i in range(t.ndim))]
    if which == 3:
        return ops.gather(t, RNG.integers(0, t.shape[axis], RNG.integers(1, 4)), axis=axis)
    if which == 4 and t.ndim < 5:
        return ops.expand(t, (2, *t.shape))
    return ops.concat([t, t], axis=axis)


@pytest.mark.parametrize("activation", ["softmax", "sigmoid"])
def test_any_moves_after_an_activation(activation):
    """What is taken off gives the output again; softmax stays where its classes were torn apart."""
    function, found = getattr(ops, activation), 0
    for _ in range(300):
        z = pynn.tensor(RNG.normal(size=RNG.integers(1, 5, RNG.integers(2, 5))).astype("float32"))
        with taped() as tape:
            t = function(z)
            for _ in range(RNG.integers(5)):
                t = any_move(t)
        below_it = below(t, tape, activation)
        if below_it is not None:
            found += 1
            np.testing.assert_allclose(function(below_it).view(), t.view(), atol=1e-6)
    assert found == 300 if activation == "sigmoid" else 100 < found < 300


def test_the_tape_knows_results_and_not_objects():
    z = pynn.tensor(X, requires_grad=True)
    with taped() as tape:
        p = ops.softmax(z)
        same = ops.without_lengths(p)
        again = ops.reshape(same, same.shape)
    for t in (p, same, again):
        np.testing.assert_array_equal(below(t, tape, "softmax").view(), X)
    assert below(p.detach(), tape, "softmax") is None  # nothing flows back from it
    with pynn.no_grad(), taped() as tape:
        p = ops.reshape(ops.softmax(z), z.shape)
    np.testing.assert_array_equal(below(p, tape, "softmax").view(), X)


def test_flatten_keeps_the_classes_of_one_step():
    x, y = FIRST[:, None], TAGS[:, 0].copy()
    model = compiled([nn.Input((1, 4)), nn.Dense(4, activation="softmax"), nn.Flatten()], "cross_entropy")
    assert model.evaluate(x, y)["loss"] == pytest.approx(cross_entropy(model.predict(x), y), rel=1e-5)
    assert model._trainer.head.form == "logits"


# Sigmoid

SIGMOIDS = {
    "dense": lambda: [nn.Dense(4, activation="sigmoid")],
    "conv": lambda: [nn.Conv2D(4, 3, padding="same", activation="sigmoid")],
    "depthwise": lambda: [nn.DepthwiseConv2D(3, padding="same", activation="sigmoid")],
    "transposed": lambda: [nn.Conv2DTranspose(4, 3, padding="same", activation="sigmoid")],
    "local": lambda: [nn.LocallyConnected2D(4, 3, activation="sigmoid")],
    "cropped": lambda: [nn.Conv2D(4, 1, activation="sigmoid"), nn.Cropping2D(1)],
    "enlarged": lambda: [nn.Conv2D(4, 3, activation="sigmoid"), nn.UpSampling2D(2)],
    "flattened": lambda: [nn.Conv2D(1, 4, activation="sigmoid"), nn.Flatten()],
    "permuted": lambda: [
        nn.Conv2D(4, 3, activation="sigmoid"),
        Own(lambda z: ops.transpose(z, (0, 3, 1, 2)), nn.Dropout(0)),
    ],
    "own": lambda: [Own(ops.sigmoid)],
    "written out": lambda: [Own(lambda z: 1.0 / (1.0 + ops.exp(-z)))],
    "half of tanh": lambda: [Own(lambda z: (ops.tanh(z) + 1.0) * 0.5)],
    "pooled": lambda: [nn.Conv2D(4, 3, activation="sigmoid"), nn.MaxPool2D(2)],
    "averaged": lambda: [nn.Conv2D(4, 3, activation="sigmoid"), nn.GlobalAvgPool()],
    "product": lambda: [Own(lambda z: ops.sigmoid(z) * ops.sigmoid(-z * 0.5))],
    "enlarged twice": lambda: [nn.Conv2D(4, 3, activation="sigmoid"), nn.UpSampling2D(2), nn.UpSampling2D((1, 2))],
    "softmax": lambda: [nn.Dense(4, activation="softmax")],
}  # fmt: skip


@pytest.mark.parametrize("loss", ["binary_cross_entropy", "binary_crossentropy"])
@pytest.mark.parametrize("end", SIGMOIDS)
def test_the_binary_loss_of_probabilities_is_theirs(end, loss):
    model = compiled([nn.Input((4, 4, 3)), *SIGMOIDS[end]()], loss, metrics=["accuracy", "precision"])
    p = model.predict(IMAGES)
    y = (RNG.uniform(size=p.shape) > 0.4).astype("float32")
    said = model.evaluate(IMAGES, y)
    assert said["loss"] == pytest.approx(binary(p, y), rel=2e-5)
    assert said["accuracy"] == pytest.approx(((p > 0.5) == y).mean())
    yes = p > 0.5
    assert said["precision"] == pytest.approx((yes & (y == 1)).sum() / max(yes.sum(), 1))
    history = model.fit(IMAGES, y, epochs=1, batch_size=12, verbose=0).history
    assert history["loss"][0] == pytest.approx(said["loss"], rel=1e-5)
    assert history["accuracy"][0] == pytest.approx(said["accuracy"])
    assert history["precision"][0] == pytest.approx(said["precision"])


@pytest.mark.parametrize("end", ["dense", "conv", "cropped", "pooled", "averaged", "written out"])
def test_eager_steps_with_sigmoid_are_the_bits_of_programs(end):
    weights = []
    for eagerly in (False, True):
        model = compiled([nn.Input((4, 4, 3)), *SIGMOIDS[end]()], "binary_cross_entropy", run_eagerly=eagerly)
        y = (np.arange(model.predict(IMAGES).size) % 3 == 0).reshape(model.predict(IMAGES).shape).astype("float32")
        model.fit(IMAGES, y, epochs=2, batch_size=5, verbose=0)
        weights.append(model.get_weights())
    for a, b in zip(*weights, strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_recurrent_layer_with_sigmoid_gives_probabilities():
    model = compiled([nn.Input((6, 4)), nn.SimpleRNN(1, activation="sigmoid")], "binary_cross_entropy")
    y = (X[:, 0, 0] > 0).astype("float32")
    assert model.evaluate(X, y)["loss"] == pytest.approx(binary(model.predict(X)[:, 0], y), rel=1e-5)


def test_dropout_after_the_activation_leaves_probabilities():
    model = compiled([nn.Input((6, 4)), nn.Dense(4, activation="softmax"), nn.Dropout(0.25)], "cross_entropy")
    assert model.evaluate(X, TAGS)["loss"] == pytest.approx(cross_entropy(model.predict(X), TAGS), rel=1e-5)
    assert np.isfinite(model.fit(X, TAGS, verbose=0, epochs=2).history["loss"]).all()


# Names, warnings


@pytest.mark.parametrize("name", ["binary_crossentropy", "categorical_crossentropy", "sparse_categorical_crossentropy"])
def test_names_of_keras_take_probabilities(name):
    assert not losses.get(name).from_logits
    assert losses.get("cross_entropy").from_logits
    assert losses.get("binary_cross_entropy").from_logits


def test_rows_of_probabilities_are_divided_by_their_sums():
    loss = losses.CrossEntropy(from_logits=False)
    p = np.array([[0.2, 0.6], [0.9, 0.9]], "float32")
    assert loss(p, [1, 0]).item() == pytest.approx(-(np.log(0.75) + np.log(0.5)) / 2, rel=1e-6)
    assert np.isfinite(loss(np.zeros((1, 2), "float32"), [0]).item())


@pytest.mark.parametrize(
    ("layers", "loss", "says"),
    [
        ([nn.Dense(4)], "categorical_crossentropy", r"takes probabilities.*softmax.*from_logits=True"),
        ([nn.Dense(4, activation="relu")], "sparse_categorical_crossentropy", None),
        (
            [nn.Dense(4), Own(own_softmax)],
            "cross_entropy",
            r"look like probabilities, each row sums to 1.*from_logits=False",
        ),
        ([nn.Dense(4), Own(own_softmax)], "categorical_crossentropy", None),
        ([nn.Dense(4, activation="sigmoid")], "cross_entropy", r"look like probabilities, they lie between 0 and 1"),
        ([nn.Dense(4, activation="sigmoid")], "categorical_crossentropy", None),
        ([nn.Dense(4)], "cross_entropy", None),
        ([nn.Dense(4, activation="softmax")], "categorical_crossentropy", None),
    ],
    ids=[
        "logits to keras",
        "relu to keras",
        "own softmax",
        "own softmax to keras",
        "sigmoid",
        "sigmoid to keras",
        "logits",
        "softmax to keras",
    ],
)
def test_warnings_of_what_outputs_look_like(layers, loss, says):
    model = compiled([nn.Input((6, 4)), *layers], loss)
    if says is None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore" if "relu" in str(layers) else "error")
            model.fit(X, TAGS, verbose=0)
        return
    with pytest.warns(UserWarning, match=says):
        model.fit(X, TAGS, verbose=0)
    model.fit(X, TAGS, verbose=0)  # said once


def test_a_binary_loss_of_keras_warns_of_logits():
    model = compiled([nn.Input((6, 4)), nn.Flatten(), nn.Dense(1)], "binary_crossentropy")
    with pytest.warns(UserWarning, match=r"takes probabilities.*sigmoid.*'binary_cross_entropy'"):
        model.evaluate(X, (TAGS[:, 0] > 1).astype("float32"))


def test_other_losses_that_are_given_what_they_do_not_take():
    model = compiled([nn.Input((4,)), nn.Dense(1, activation="sigmoid")], "hinge")
    with pytest.warns(UserWarning, match=r"\[hinge\].*between 0 and 1.*margins"):
        model.evaluate(FIRST, TAGS[:, 0] % 2)
    model = compiled([nn.Input((4,)), nn.Dense(4)], "kl_divergence")
    with pytest.warns(UserWarning, match=r"\[kl_divergence\].*takes probabilities.*softmax"):
        model.evaluate(FIRST, np.full((24, 4), 0.25))


def test_a_loss_of_ones_own_that_takes_labels_has_metrics_of_classes():
    class Own(losses.Loss):
        name = "own"

        def check_targets(self, y, shape):
            return losses.CrossEntropy().check_targets(y, shape)

        def each(self, y_pred, y_true):
            return ops.cross_entropy(y_pred, y_true)

    model = compiled([nn.Input((4,)), nn.Dense(4)], Own(), metrics=["accuracy", "f1"])
    y = TAGS[:, 0].copy()
    history = model.fit(FIRST, y, batch_size=24, verbose=0, class_weight={1: 1.0}).history
    model.fit(FIRST, y, verbose=0)
    assert 0 <= history["accuracy"][0] <= 1
    assert model.evaluate(FIRST, y)["accuracy"] == pytest.approx((model.predict(FIRST).argmax(-1) == y).mean())


def test_a_loss_of_ones_own_takes_logits_wherever_the_activation_is():
    class Focal(losses.Loss):
        name = "focal"
        from_logits = True
        activation = "sigmoid"
        task = "binary"

        def each(self, y_pred, y_true):
            return ops.binary_cross_entropy(y_pred, y_true)

    y = (RNG.uniform(size=(24, 6, 4)) > 0.5).astype("float32")
    for end in (nn.Dense(4, activation="sigmoid"), Own(lambda z: (ops.sigmoid(z) + ops.sigmoid(z)) / 2.0)):
        model = compiled([nn.Input((6, 4)), end], Focal())
        assert model.evaluate(X, y)["loss"] == pytest.approx(binary(model.predict(X), y), rel=1e-5)


def test_bounds():
    z = pynn.tensor(X)
    with taped() as tape:
        s = ops.sigmoid(z)
        cases = {
            (0, 1): [s, 1.0 - s, s * s, s.mean(-1), ops.maximum(s, 1.0 - s), ops.clip(z, 0, 1), ops.softmax(z)],
            (-1, 1): [ops.tanh(z), -ops.tanh(z)],
            (0, np.inf): [ops.exp(z), ops.relu(z), ops.exp(z).sum(-1), ops.square(z)],
            (1, np.inf): [1.0 + ops.exp(z)],
            (0, 2): [s + s, ops.tanh(z) + 1.0],
            (-np.inf, np.inf): [z * 2.0, z / s, s / z, ops.log(z * z)],
        }
        for expected, tensors in cases.items():
            for t in tensors:
                low, high = bounds(t, tape)
                assert (low, high) == pytest.approx(expected), (tape.maker(t), expected)


def test_export_and_file_of_a_model_that_ends_before_its_last_layer():
    model = compiled([nn.Input((6, 4)), nn.Dense(4, activation="softmax"), nn.Reshape((6, 4))], "cross_entropy")
    model.fit(X, TAGS, verbose=0)
    p = model.predict(X)
    np.testing.assert_array_equal(p, model(X).numpy())
    np.testing.assert_allclose(p.sum(-1), 1, atol=1e-5)


# Networks that are read, and estimators


def onnx_network(node, opset, shape=("N", 4)):
    onnx = pytest.importorskip("onnx")
    import pynn.onnx

    h, nh = onnx.helper, onnx.numpy_helper
    made = [h.make_node("MatMul", ["x", "w"], ["a"]), h.make_node(*node[0], **node[1])]
    floats = onnx.TensorProto.FLOAT
    graph = h.make_graph(
        made, "g", [h.make_tensor_value_info("x", floats, shape)], [h.make_tensor_value_info("y", floats, shape)],
        [nh.from_array(np.eye(4, dtype="float32") * 5, "w")],
    )  # fmt: skip
    return pynn.onnx.loads(h.make_model(graph, opset_imports=[h.make_opsetid("", opset)]).SerializeToString())


@pytest.mark.parametrize(("axis", "opset"), [(-1, 17), (1, 17), (None, 17), (1, 11), (None, 11)])
@pytest.mark.parametrize("loss", LOSSES)
def test_imported_softmax(axis, opset, loss):
    node = (["Softmax", ["a"], ["y"]], {} if axis is None else {"axis": axis})
    net = onnx_network(node, opset)
    net.compile("sgd", loss, metrics=["accuracy"])
    got = net.evaluate(np.eye(4, dtype="float32"), np.arange(4))
    assert got["loss"] == pytest.approx(-np.log(np.exp(5) / (np.exp(5) + 3)), rel=1e-5)
    assert got["accuracy"] == 1
    net.fit(np.eye(4, dtype="float32"), np.arange(4), verbose=0, epochs=3)
    assert net.evaluate(np.eye(4, dtype="float32"), np.arange(4))["loss"] < got["loss"]


def test_imported_sigmoid():
    net = onnx_network((["Sigmoid", ["a"], ["y"]], {}), 17)
    net.compile("sgd", "binary_cross_entropy", metrics=["accuracy"])
    x, y = np.eye(4, dtype="float32"), np.eye(4, dtype="float32")
    assert net.evaluate(x, y)["loss"] == pytest.approx(binary(net.predict(x), y), rel=1e-5)


def probe(ending, units=None):
    def make(inputs, outputs):
        return nn.Sequential([nn.Input(inputs), nn.Dense(8, activation="relu"), *ending(units or outputs[0])])

    return make


NETWORKS = {
    "softmax": ("log_loss", lambda n: [nn.Dense(n, activation="softmax")]),
    "logits": ("log_loss", lambda n: [nn.Dense(n)]),
    "own softmax": ("log_loss", lambda n: [Own(ops.softmax, nn.Dense(n))]),
    "softmax, reshaped": ("log_loss", lambda n: [nn.Dense(n, activation="softmax"), nn.Reshape((n,))]),
    "keras": ("categorical_crossentropy", lambda n: [nn.Dense(n, activation="softmax")]),
    "sigmoid": ("binary_cross_entropy", lambda n: [nn.Dense(n, activation="sigmoid")]),
    "sigmoid, flattened": ("binary_cross_entropy", lambda n: [nn.Dense(n, activation="sigmoid"), nn.Flatten()]),
    "sigmoid of keras": ("binary_crossentropy", lambda n: [Own(ops.sigmoid, nn.Dense(n))]),
    "binary logits": ("binary_cross_entropy", lambda n: [nn.Dense(n)]),
    "kl": ("kl_divergence", lambda n: [nn.Dense(n, activation="softmax")]),
}


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("ending", NETWORKS)
def test_networks_of_ones_own_in_an_estimator(ending, classes):
    pytest.importorskip("sklearn")
    from sklearn.datasets import make_classification

    from pynn.estimators import NetworkClassifier

    x, y = make_classification(
        150, 6, n_informative=4, n_redundant=0, n_classes=classes, n_clusters_per_class=1, class_sep=2, random_state=0
    )
    loss, layers = NETWORKS[ending]
    asked = []

    def make(inputs, outputs):
        asked.append(outputs)
        return probe(layers)(inputs, outputs)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        c = NetworkClassifier(make, loss=loss, max_iter=60, learning_rate_init=0.02, random_state=0).fit(x, y)
    assert asked == [(1,) if classes == 2 and "binary" in loss else (classes,)]
    assert c.score(x, y) > 0.85
    p = c.predict_proba(x)
    np.testing.assert_allclose(p.sum(1), 1, atol=1e-6)
    np.testing.assert_array_equal(c.classes_[p.argmax(1)], c.predict(x))
    out = c.model_.predict(x.astype(c.model_.dtype))
    if "logits" not in ending and out.shape == p.shape and "binary" not in loss:
        np.testing.assert_allclose(p, out, rtol=1e-6)  # not put through softmax again


@pytest.mark.parametrize("loss", ["kl_divergence", "categorical_crossentropy", "binary_crossentropy"])
def test_losses_of_probabilities_in_mlp(loss):
    pytest.importorskip("sklearn")
    from pynn.estimators import MLPClassifier

    x, y = FIRST, TAGS[:, 0] % 2
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        c = MLPClassifier(8, loss=loss, max_iter=20, random_state=0).fit(x, y)
    out = c.model_.predict(x.astype(c.model_.dtype))
    np.testing.assert_allclose(c.predict_proba(x)[:, -1], out[:, -1], rtol=1e-6)


def test_nothing_is_printed_of_a_matrix(capsys):
    x, y = FIRST, TAGS[:, 0].copy()
    model = compiled([nn.Input((4,)), nn.Dense(4)], "cross_entropy", metrics=[metrics.ConfusionMatrix()])
    model.evaluate(x, y, verbose=1)
    assert "confusion" not in capsys.readouterr().out


def test_clipped_probabilities_stay_probabilities():
    class Clipped(nn.Module):
        def __init__(self):
            super().__init__()
            self.lin = nn.Dense(3)

        def forward(self, x):
            return ops.clip(ops.softmax(self.lin(x)), 1e-3, 1.0)

    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(20, 4)).astype(np.float32), rng.integers(0, 3, 20)
    model = Clipped()
    model.compile("sgd", "cross_entropy", metrics=["accuracy"], seed=0)
    model.fit(x, y, verbose=0)
    p = model.predict(x)
    p = p / p.sum(-1, keepdims=True)
    assert model.evaluate(x, y)["loss"] == pytest.approx(-np.log(p[np.arange(20), y]).mean(), rel=1e-5)
