"""What layers and modules refuse, and what follows from when they are built."""

import numpy as np
import pytest

import pynn
from pynn import nn, ops, optim, regularizers
from pynn.errors import CaptureError, ShapeError

X = np.random.default_rng(0).standard_normal((5, 6)).astype("float32")


def softmax(z):
    e = np.exp(z - z.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def small():
    return nn.Sequential([nn.Input((6,)), nn.Dense(4), nn.Dense(2)], seed=0)


# What is refused

BAD_SETTINGS = [
    (lambda: nn.Dense(0), ValueError, r"\[dense\] expected units to be a positive integer. Received: units=0"),
    (lambda: nn.Dense(2.5), ValueError, r"units=2\.5"),
    (lambda: nn.Dense(True), ValueError, r"units=True"),
    (lambda: nn.Dense("10"), ValueError, r"units='10'"),
    (lambda: nn.Dense(3, activation="rleu"), ValueError, r"unknown activation. Received: 'rleu'.*mean 'relu'"),
    (lambda: nn.Dense(3, activation=7), TypeError, r"\[activation\] expected a name or a function.*Received: 7"),
    (lambda: nn.Activation("sigmiod"), ValueError, r"mean 'sigmoid'"),
    (lambda: nn.Dense(3, kernel_initializer="glorot"), ValueError, r"unknown initializer.*mean 'glorot_"),
    (lambda: nn.Dense(3, bias_initializer="zero"), ValueError, r"mean 'zeros'"),
    (lambda: nn.Dropout(1.0), ValueError, r"\[dropout\] expected rate to be a number in \[0, 1\). Received: rate=1\.0"),
    (lambda: nn.Dropout(-0.1), ValueError, r"rate=-0\.1"),
    (lambda: nn.Dropout("half"), ValueError, r"rate='half'"),
    (lambda: nn.Dropout(float("nan")), ValueError, r"rate=nan"),
    (lambda: nn.Dense(3, kernel_constraint="maxnrom"), ValueError, r"unknown constraint.*mean 'maxnorm'"),
    (lambda: nn.Dense(3, kernel_constraint=2.0), TypeError, r"\[constraint\] expected a name or an object with apply"),
    (lambda: nn.Conv2D(3, 3, kernel_constraint="l2"), ValueError, r"unknown constraint. Received: 'l2'"),
    (lambda: nn.BatchNormalization(momentum=1.5), ValueError, r"expected momentum to be a number in \[0, 1\]"),
    (lambda: nn.BatchNormalization(momentum="0.9"), ValueError, r"momentum='0\.9'"),
    (lambda: nn.BatchNormalization(epsilon=float("nan")), ValueError, r"epsilon to be a finite number of at least 0"),
    (lambda: nn.LayerNormalization(epsilon=-1e-3), ValueError, r"epsilon=-0\.001"),
    (lambda: nn.LayerNormalization(center="no"), ValueError, r"center to be True or False"),
    (lambda: nn.GroupNormalization(2, epsilon=None), ValueError, r"epsilon=None"),
    (lambda: nn.LocalResponseNormalization(2.5), ValueError, r"depth_radius to be an integer"),
    (lambda: nn.LocalResponseNormalization(bias=0), ValueError, r"bias to be a finite number above 0"),
    (lambda: nn.LocalContrastNormalization(4), ValueError, r"odd window"),
    (lambda: nn.LocalContrastNormalization(epsilon=-1), ValueError, r"epsilon=-1"),
    (lambda: nn.Maxout(0), ValueError, r"\[maxout\] expected units"),
    (lambda: nn.Maxout(3, pieces=0), ValueError, r"expected pieces"),
    (lambda: nn.Input((0,)), ShapeError, r"\[input\].*without the batch axis. Received: shape=\(0,\)"),
    (lambda: nn.Input((None, 3)), ShapeError, r"\[input\]"),
    (lambda: nn.Input((3.5,)), ShapeError, r"\[input\]"),
    (lambda: nn.Sequential([nn.Dense]), TypeError, r"(?s)expected layers. Received.*help: write nn.Dense"),
    (lambda: nn.Sequential(["dense"]), TypeError, r"expected layers. Received: 'dense' of type str"),
    (lambda: nn.Sequential([nn.Dense(2), nn.Input((2,))]), ValueError, r"Input must come first"),
    (lambda: nn.Sequential([nn.Input((2,)), nn.Input((2,))]), ValueError, r"Input must come first"),
]


@pytest.mark.parametrize("case", range(len(BAD_SETTINGS)))
def test_bad_setting_is_refused(case):
    make, error, message = BAD_SETTINGS[case]
    with pytest.raises(error, match=message):
        make()


BAD_SHAPES = [
    (nn.Dense(3), (6,), r"\[dense\] expected a batch of vectors.*Received: x.shape=\(6,\).*help"),
    (nn.Maxout(3), (6,), r"\[(maxout|dense)\].*Received: x.shape=\(6,\)"),
    (nn.Reshape((4, 2)), (5, 6), r"\[reshape\].*(\(5, 6\)|30)"),
    (nn.Reshape((-1, -1)), (5, 6), r"\[reshape\]"),
]


@pytest.mark.parametrize("case", range(len(BAD_SHAPES)))
def test_bad_shape_is_refused(case):
    layer, shape, message = BAD_SHAPES[case]
    with pytest.raises(ShapeError, match=message):
        layer(np.ones(shape, "float32"))


def test_another_width_than_before_is_refused():
    layer = nn.Dense(3)
    layer(X)
    with pytest.raises(ShapeError, match=r"\[dense\] expected input with last dimension 6. Received: x.shape=\(5, 7\)"):
        layer(np.ones((5, 7), "float32"))


def test_module_that_returns_none_is_refused():
    class Forgot(nn.Module):
        def forward(self, x):
            ops.exp(x)

    with pytest.raises(TypeError, match=r"(?s)\[forgot\] forward\(\) of Forgot returned None. help:.*return"):
        Forgot()(X)
    model = nn.Sequential([nn.Input((6,)), Forgot()])
    with pytest.raises(TypeError, match="Forgot returned None"):
        model.predict(X)


def test_module_without_forward_is_refused():
    class Nothing(nn.Module):
        pass

    with pytest.raises(NotImplementedError, match=r"write forward\(self, x\) in class Nothing"):
        Nothing()(X)


def test_module_that_returns_no_tensor_is_refused():
    class Odd(nn.Module):
        def __init__(self):
            super().__init__()
            self.d = nn.Dense(1)

        def forward(self, x):
            return [self.d(x), None]

    model = Odd()
    model.compile(optimizer="sgd", loss="mse")
    with pytest.raises(TypeError, match=r"expected forward\(\) to return a tensor, or .*NoneType as output"):
        model.fit(X, np.ones((5, 1), "float32"), verbose=0)


def test_frozen_weights_are_not_constrained():
    model = nn.Sequential([nn.Input((6,)), nn.Dense(4, kernel_constraint=regularizers.MaxNorm(0.1)), nn.Dense(1)])
    model.compile(optimizer="sgd", loss="mse", seed=0)
    model.layers[0].trainable = False
    before = model.get_weights()
    model.fit(X, np.ones((5, 1), "float32"), verbose=0)
    assert np.array_equal(model.get_weights()[0], before[0])


@pytest.mark.parametrize("given", ["max_norm", "maxnorm", regularizers.MaxNorm, regularizers.MaxNorm()])
def test_constraints_have_names(given):
    """A name, a class and an object are alike, in layers and in a layer of one's own."""

    class Own(nn.Module):
        def build(self, input_shape):
            self.add_weight("w", (input_shape[-1], 1), "ones", regularizer="l2", constraint=given)

        def forward(self, x):
            return x @ self.w

    for layer in (nn.Dense(1, kernel_initializer="ones", kernel_constraint=given), Own()):
        model = nn.Sequential([nn.Input((6,)), layer])
        model.compile(optimizer="sgd", loss="mse", seed=0)
        model.fit(X, np.full((5, 1), 99.0, "float32"), epochs=3, verbose=0)
        assert np.linalg.norm(model.get_weights()[0]) == pytest.approx(2.0, rel=1e-5)


@pytest.mark.parametrize("call", ["fit", "train_on_batch", "evaluate"])
def test_failed_call_builds_nothing(call):
    """A model without Input takes its width from the first good data, not from data that were refused."""
    model = nn.Sequential([nn.Dense(4), nn.Sequential([nn.Dense(4)]), nn.Dense(3)])
    model.compile(optimizer="sgd", loss="cross_entropy", seed=0)
    with pytest.raises(ValueError, match="help"):
        getattr(model, call)(X, np.array([0, 1, 2, 3, 4]))
    assert not model.built
    assert not list(model.named_parameters())
    wider = np.ones((5, 9), "float32")
    getattr(model, call)(wider, np.array([0, 1, 2, 0, 1]))
    assert model.layers[0].w.shape == (9, 4)
    again = nn.Sequential([nn.Dense(4), nn.Sequential([nn.Dense(4)]), nn.Dense(3)])
    again.compile(optimizer="sgd", loss="cross_entropy", seed=0)
    getattr(again, call)(wider, np.array([0, 1, 2, 0, 1]))
    assert all(np.array_equal(a, b) for a, b in zip(model.get_weights(), again.get_weights(), strict=True))


def test_failed_build_can_be_repeated():
    model = nn.Sequential([nn.Dense(4), nn.Reshape((3,)), nn.Dense(1)])
    with pytest.raises(ShapeError):
        model.build((1, 6))
    assert not model.built
    with pytest.raises(ShapeError):
        model(X)
    with pytest.raises(RuntimeError, match="not built"):
        model.get_weights()
    assert not list(model.named_parameters())


def test_dtype_is_chosen_before_the_weights():
    model = small()
    model.build((1, 6))
    with pytest.raises(RuntimeError, match="before the weights are built"):
        model.astype("float64")


def test_layer_added_after_build():
    model = nn.Sequential([nn.Input((6,)), nn.Dense(4)])
    assert model.predict(X).shape == (5, 4)
    first = model.get_weights()
    model.add(nn.Dense(2))
    assert model.predict(X).shape == (5, 2)
    assert all(np.array_equal(a, b) for a, b in zip(first, model.get_weights(), strict=False))
    assert len(model.get_weights()) == 4


def test_layer_added_after_training_is_trained_too():
    """Also where the last layer so far ended in a softmax that the loss applied."""
    model = nn.Sequential([nn.Input((6,)), nn.Dense(3, activation="softmax")])
    model.compile(optimizer=optim.SGD(0.1), loss="cross_entropy", seed=0)
    y = np.array([0, 1, 2, 0, 1])
    model.fit(X, y, verbose=0)
    model.add(nn.Dense(3, activation="softmax"))
    model.fit(X, y, verbose=0)
    w1, b1, w2, b2 = model.get_weights()
    np.testing.assert_allclose(model.predict(X), softmax(softmax(X @ w1 + b1) @ w2 + b2), rtol=1e-5)


def test_recording_refuses_changes_but_eager_allows_them():
    layer = nn.Dropout(0.1)
    layer.rate = 0.2
    from pynn.core.program import record

    with record(), pytest.raises(CaptureError, match=r"\[dropout\] attribute 'rate' was changed"):
        layer.rate = 0.3
    assert layer.rate == 0.2
    with record(), pytest.raises(CaptureError, match="trainable was changed"):
        layer.trainable = False
    assert layer.trainable


def test_parameters_have_gradients_after_backward():
    model = small()
    model(X)
    loss = ops.mean(ops.square(model(X)))
    loss.backward()
    assert [w.grad.shape for w in model.parameters()] == [(6, 4), (4,), (4, 2), (2,)]
    assert pynn.graph(loss)[-1]["op"] in ("mean", "sum", "mul", "div")


def test_build_builds_a_module_of_ones_own():
    class Two(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.second = nn.Dense(4), nn.Dense(2)

        def forward(self, x):
            return self.second(self.first(x))

    class Scaled(nn.Module):
        def build(self, input_shape):
            super().build(input_shape)
            self.add_weight("scale", input_shape[-1:], "ones")

        def forward(self, x):
            return x * self.scale

    model = Two()
    model.build((None, 3))
    assert model.built
    assert [w.shape for w in model.get_weights()] == [(3, 4), (4,), (4, 2), (2,)]
    before = [w.tobytes() for w in model.get_weights()]
    model.build((5, 3))
    assert [w.tobytes() for w in model.get_weights()] == before
    assert model.predict(np.ones((2, 3), "float32")).shape == (2, 2)
    assert Scaled()(np.ones((2, 3), "float32")).shape == (2, 3)
    with pytest.raises(ShapeError):
        Two().build((None,))
    for unbuilt in (Two(), nn.Sequential([Two()])):
        with pytest.raises(ShapeError, match=r"\[build\].*batch axis. Received: .*\(3,\). help: build\(\(None, 3\)\)"):
            unbuilt.build((3,))
    with pytest.raises(ShapeError, match=r"\[dense\] .*x\.shape=\(3,\)"):
        Two()(np.ones(3, "float32"))


def test_sizes_and_rates_may_be_numpys(tmp_path):
    y = np.array([0, 1, 2])
    model = nn.Sequential(
        [nn.Input((np.int64(4),)), nn.Reshape((np.int64(2), np.int32(2))), nn.Flatten(), nn.Dropout(np.float32(0.5)),
         nn.Dense(np.max(y) + 1)], seed=0
    )  # fmt: skip
    assert model.predict(np.ones((2, 4), "float32")).shape == (2, 3)
    model.save(tmp_path / "m.pynn")
    assert pynn.load(tmp_path / "m.pynn").layers[-1].units == 3


def test_an_embedding_begins_with_a_matrix(tmp_path):
    matrix = np.arange(12.0).reshape(4, 3)
    layer = nn.Embedding(4, 3, embeddings_initializer=pynn.init.Constant(matrix))
    model = nn.Sequential([layer, nn.GlobalAvgPool()])
    assert model(np.array([[1, 1]])).numpy().tolist() == [[3.0, 4.0, 5.0]]
    matrix[:] = 0  # a copy was taken
    assert layer.w.numpy()[3, 2] == 11
    model.save(tmp_path / "m.pynn")
    assert pynn.load(tmp_path / "m.pynn")(np.array([[1, 1]])).numpy().tolist() == [[3.0, 4.0, 5.0]]
    with pytest.raises(ShapeError, match=r"shape \(5, 3\). Received: an array of \(4, 3\)"):
        nn.Embedding(5, 3, pynn.init.Constant(matrix))(np.array([[1]]))
    with pytest.raises(ValueError, match="finite numbers"):
        pynn.init.Constant([[np.nan]])
