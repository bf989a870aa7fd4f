"""Losses: values, gradients, weights, targets and their errors, names."""

import numpy as np
import pytest

import pynn
from pynn import losses, nn, ops
from pynn.errors import DataError, DTypeError, NonFiniteError, ShapeError

# loss -> (object, predictions, targets, PyTorch's loss of tensors)


def cases():
    r = np.random.default_rng(3)
    y, t = r.normal(size=(6, 4)), r.normal(size=(6, 4))
    labels, one_hot = r.integers(0, 4, 6), np.eye(4)[r.integers(0, 4, 6)]
    soft = r.dirichlet(np.ones(4), 6)
    p = np.exp(y) / np.exp(y).sum(-1, keepdims=True)
    bits = (r.random((6, 4)) > 0.5) * 1.0
    signs = 2 * bits - 1

    def f(name, **k):
        return lambda F, torch, a, b: getattr(F, name)(a, b, **k)

    return {
        "mse": (losses.MSE(), y, t, f("mse_loss")),
        "mse_half": (losses.MSEHalf(), y, t, lambda F, torch, a, b: F.mse_loss(a, b) / 2),
        "mae": (losses.MAE(), y, t, f("l1_loss")),
        "huber": (losses.Huber(0.7), y, t, f("huber_loss", delta=0.7)),
        "poisson": (
            losses.Poisson(), np.exp(y), labels[:, None] + 0 * y, f("poisson_nll_loss", log_input=False, eps=1e-7)
        ),
        "hinge": (losses.Hinge(), y, signs, lambda F, torch, a, b: torch.clamp(1 - a * b, min=0).mean()),
        "squared_hinge": (
            losses.SquaredHinge(), y, signs, lambda F, torch, a, b: (torch.clamp(1 - a * b, min=0) ** 2).mean()
        ),
        "bce": (losses.BinaryCrossEntropy(), y, bits, f("binary_cross_entropy_with_logits")),
        "bce_probs": (
            losses.BinaryCrossEntropy(from_logits=False), 1 / (1 + np.exp(-y)), bits, f("binary_cross_entropy")
        ),
        "labels": (losses.CrossEntropy(), y, labels, f("cross_entropy")),
        "one_hot": (losses.CrossEntropy(), y, one_hot, f("cross_entropy")),
        "soft": (losses.CrossEntropy(), y, soft, f("cross_entropy")),
        "labels_probs": (
            losses.CrossEntropy(from_logits=False), p, labels,
            lambda F, torch, a, b: F.nll_loss((a / a.sum(-1, keepdim=True)).log(), b)  # as Keras takes them
        ),
        "soft_probs": (
            losses.CrossEntropy(from_logits=False), p, soft,
            lambda F, torch, a, b: -(b * (a / a.sum(-1, keepdim=True)).log()).sum(-1).mean()
        ),
        "kl": (
            losses.KLDivergence(), p, soft, lambda F, torch, a, b: F.kl_div(a.log(), b, reduction="batchmean")
        ),
        "kl_logits": (
            losses.KLDivergence(from_logits=True), y, soft,
            lambda F, torch, a, b: F.kl_div(F.log_softmax(a, -1), b, reduction="batchmean"),
        ),
    }  # fmt: skip


CASES = cases()


@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-6), ("float32", 3e-5)])
@pytest.mark.parametrize("name", CASES)
def test_value_and_gradient_are_those_of_pytorch(name, dtype, tolerance):
    torch = pytest.importorskip("torch")
    loss, y, t, peer = CASES[name]
    labels = t.dtype.kind == "i"
    a = torch.tensor(y.astype(dtype), requires_grad=True)
    want = peer(torch.nn.functional, torch, a, torch.tensor(t if labels else t.astype(dtype)))
    want.backward()
    x = pynn.tensor(y.astype(dtype), requires_grad=True)
    got = loss(x, t if labels else t.astype(dtype))
    got.backward()
    assert got.shape == ()
    assert got.dtype == dtype
    np.testing.assert_allclose(got.item(), want.item(), rtol=tolerance)
    np.testing.assert_allclose(x.grad.numpy(), a.grad.numpy(), rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("name", CASES)
def test_sample_weights(name):
    loss, y, t, _ = CASES[name]
    w = np.array([0.0, 2.0, 1.0, 0.5, 3.0, 1.0])
    x = pynn.tensor(y, requires_grad=True)
    got = loss(x, t, w)
    got.backward()
    rows = [loss(y[i : i + 1], t[i : i + 1]).item() for i in range(len(y))]
    np.testing.assert_allclose(got.item(), (rows * w).sum() / 6, rtol=1e-12)
    plain = pynn.tensor(y, requires_grad=True)
    loss(plain, t).backward()
    np.testing.assert_allclose(x.grad.numpy(), plain.grad.numpy() * w[:, None], rtol=1e-12)
    assert (x.grad.numpy()[0] == 0).all()


@pytest.mark.parametrize("name", ["soft", "soft_probs", "kl", "kl_logits"])
def test_gradients_flow_to_the_targets(name):
    loss, y, t, _ = CASES[name]
    target = pynn.tensor(t, requires_grad=True)
    loss(pynn.tensor(y), target).backward()
    numeric = np.zeros(t.shape)
    for i in np.ndindex(*t.shape):
        sides = []
        for eps in (1e-6, -1e-6):
            moved = t.copy()
            moved[i] += eps
            sides.append(loss(pynn.tensor(y), pynn.tensor(moved)).item())
        numeric[i] = (sides[0] - sides[1]) / 2e-6
    np.testing.assert_allclose(target.grad.numpy(), numeric, rtol=1e-6, atol=1e-8)


def test_labels_and_one_hot_rows_give_the_same():
    _, y, t, _ = CASES["labels"]
    for loss in (losses.CrossEntropy(), losses.CrossEntropy(from_logits=False)):
        p = np.exp(y) / np.exp(y).sum(-1, keepdims=True)
        found = [
            loss(p, kind).item() for kind in (t, t.astype("int32"), t[:, None], np.eye(4)[t], np.eye(4, dtype=int)[t])
        ]
        np.testing.assert_allclose(found, found[0], rtol=1e-13)


def test_cross_entropy_is_stable():
    loss = losses.CrossEntropy()
    z = np.array([[1000.0, 0.0, -1000.0]], "float32")
    assert loss(z, [0]).item() == 0.0
    assert loss(z, [1]).item() == 1000.0
    assert loss(z, [2]).item() == 2000.0
    x = pynn.tensor(z, requires_grad=True)
    loss(x, [2]).backward()
    np.testing.assert_array_equal(x.grad.numpy(), [[1.0, 0.0, -1.0]])
    small = np.array([[10.0, 0.0]], "float32")
    np.testing.assert_allclose(loss(small, [0]).item(), np.log1p(np.exp(-10.0)), rtol=1e-2)


def test_cross_entropy_where_a_class_is_excluded_by_minus_infinity():
    z = pynn.tensor([[0.0, -np.inf, 0.0]], requires_grad=True)
    for t in ([0], [[1.0, 0.0, 0.0]]):
        loss = losses.CrossEntropy()(z, np.array(t))
        loss.backward()
        np.testing.assert_allclose(loss.item(), np.log(2), rtol=1e-6)
        np.testing.assert_allclose(z.grad.numpy(), [[-0.5, 0.0, 0.5]], rtol=1e-6)


LIMITED = {"bce_probs", "labels_probs", "soft_probs", "kl"}  # an infinite probability is limited, or its logarithm is


@pytest.mark.parametrize(
    ("name", "bad"), [(name, np.nan) for name in CASES] + [(name, np.inf) for name in sorted(set(CASES) - LIMITED)]
)
def test_a_prediction_that_is_not_finite_makes_the_loss_not_finite(name, bad):
    loss, y, t, _ = CASES[name]
    y = y.copy()
    y[2, :] = bad
    assert not np.isfinite(loss(y.astype("float32"), t).item())


def test_binary_cross_entropy_is_stable():
    loss = losses.BinaryCrossEntropy()
    z = np.array([[100.0], [-100.0], [30.0], [-30.0]], "float32")
    assert loss(z, [1, 0, 1, 0]).item() < 1e-12
    assert loss(z[:2], [0, 1]).item() == 100.0
    probabilities = losses.BinaryCrossEntropy(from_logits=False)
    assert np.isfinite(probabilities([[0.0], [1.0]], [1, 0]).item())


def test_saturated_probabilities_still_learn():
    q = pynn.tensor([[0.0], [1.0]], requires_grad=True)
    losses.BinaryCrossEntropy(from_logits=False)(q, [1, 0]).backward()
    g = q.grad.numpy()
    assert np.isfinite(g).all()
    assert g[0, 0] < -1
    assert g[1, 0] > 1


def test_sequences_have_a_loss_per_position():
    r = np.random.default_rng(0)
    z, t = r.normal(size=(3, 5, 4)), r.integers(0, 4, (3, 5))
    loss = losses.CrossEntropy()
    flat = loss(z.reshape(15, 4), t.ravel()).item()
    assert loss(z, t).item() == flat
    w = np.array([1.0, 0.0, 2.0])
    want = loss(z.reshape(15, 4), t.ravel(), np.repeat(w, 5)).item()
    assert loss(z, t, w).item() == want
    assert loss(z, t, np.repeat(w, 5).reshape(3, 5)).item() == want
    with pytest.raises(ShapeError, match=r"a weight for each of 15 samples. Received: weight.shape=\(4,\)"):
        loss(z, t, np.ones(4))


def test_vector_and_column_are_the_same_for_one_output():
    y, t = np.array([[1.0], [2.0]]), np.array([0.0, 1.0])
    assert losses.MSE()(y, t).item() == losses.MSE()(y, t[:, None]).item() == 1.0
    assert losses.MSE()(y[:, 0], t[:, None]).item() == 1.0
    assert losses.MSE()(pynn.tensor(y), pynn.tensor(t)).item() == 1.0


def test_integer_targets_are_converted_for_real_losses():
    assert losses.MSE()(np.float32([[3.0]]), [[1]]).item() == 4.0
    assert losses.MSE()(pynn.tensor(np.float32([[3.0]])), pynn.tensor(np.array([[1]]))).item() == 4.0
    assert losses.BinaryCrossEntropy()(np.float32([[0.0]]), [True]).item() == pytest.approx(np.log(2))


def test_labels_outside_the_classes_are_refused_by_the_op_too():
    for t in ([0, 4], [-1, 0]):
        for from_logits in (True, False):
            with pytest.raises(IndexError, match="outside the table"):
                ops.cross_entropy(pynn.tensor(np.ones((2, 4))), np.array(t), from_logits)


def test_the_weighted_mean_is_summed_in_double():
    x = np.full(200_001, 0.1, "float32")
    assert ops.weighted_mean(x).item() == np.float32(0.1)


def test_second_derivatives():
    r = np.random.default_rng(0)
    y = r.normal(size=(3, 4))

    def hessian_diagonal(loss, t):
        g = pynn.grad(lambda x: loss(x, t))
        return pynn.grad(lambda x: g(x).sum())(pynn.tensor(y)).numpy()

    np.testing.assert_allclose(hessian_diagonal(losses.MSE(), y * 0), np.full((3, 4), 2 / 12))
    s = 1 / (1 + np.exp(-y))
    np.testing.assert_allclose(hessian_diagonal(losses.BinaryCrossEntropy(), y * 0), s * (1 - s) / 12, rtol=1e-12)
    # softmax' rows sum to 0, so the sum of the gradient is constant
    np.testing.assert_allclose(hessian_diagonal(losses.CrossEntropy(), np.array([0, 1, 2])), 0, atol=1e-15)


# Targets


@pytest.mark.parametrize(
    ("loss", "y", "shape", "kind", "words"),
    [
        ("cross_entropy", [0, 1, 3], (3, 3), DataError, r"labels from 0 to 2. Received: y\[2\] = 3\. .*has 3 units"),
        ("cross_entropy", [0, -1, 1], (3, 3), DataError, r"y\[1\] = -1.*help: labels count from 0"),
        ("cross_entropy", [1, 2, 3], (3, 3), DataError, r"y\[2\] = 3.*help: labels count from 0; pass y - 1"),
        ("cross_entropy", [0.5, 1, 2], (3, 3), DataError, r"whole numbers.*y\[0\] = 0.5.*loss='mse'"),
        ("cross_entropy", [0, np.nan, 2], (3, 3), DataError, r"finite targets. Received: y\[1\] = nan, and 1"),
        ("cross_entropy", np.eye(4)[:3], (3, 3), ShapeError, r"\(3, 3\)\. Received: y.shape=\(3, 4\)\..*4 units"),
        ("cross_entropy", [0, 1], (2, 1), ShapeError, r"an output per class, at least 2.*binary_cross_entropy"),
        ("cross_entropy", [[1, 1, 0]], (1, 3), DataError, r"sum to 1.*a sum of 2 in row 0.*binary_cross_entropy"),
        ("cross_entropy", [[1.5, -0.5, 0]], (1, 3), DataError, r"from 0 to 1. Received: y\[0, 0\] = 1.5"),
        ("cross_entropy", ["a", "b"], (2, 3), DTypeError, r"np.unique\(y, return_inverse=True\)"),
        ("cross_entropy", np.zeros((2, 4, 4)), (2, 3), ShapeError, r"labels of shape \(2,\) or one-hot.*\(2, 4, 4\)"),
        ("binary_cross_entropy", [0, 2], (2, 1), DataError, r"0 and 1.*y\[1, 0\] = 2.*cross_entropy"),
        ("binary_cross_entropy", [-1, 1], (2, 1), DataError, r"y\[0, 0\] = -1.*hinge.*\(y \+ 1\) / 2"),
        ("binary_cross_entropy", [0, 1], (2, 3), ShapeError, r"\(2, 3\)\. Received.*\(2,\).*loss='cross_entropy'"),
        ("binary_cross_entropy", [[0, 1], [1, 0]], (2, 1), ShapeError, r"one-hot.*pass y\[:, 1\]"),
        ("binary_cross_entropy", [0.0, np.inf], (2, 1), DataError, r"finite.*y\[1\] = inf"),
        ("mse", [0, 1, 2], (3, 5), ShapeError, r"\(3, 5\)\. Received.*\(3,\).*np.eye\(5\)\[y\]"),
        ("mse", [[0.0, 1.0]], (1, 3), ShapeError, r"last layer should have 2 units"),
        ("mse", [[np.nan]], (1, 1), DataError, r"y\[0, 0\] = nan"),
        ("mse", [None], (1, 1), DTypeError, r"numbers. Received: dtype=object"),
        ("poisson", [1.0, -2.0], (2, 1), DataError, r"at least 0. Received: y\[1, 0\] = -2.0"),
        ("hinge", [0, 1, 2], (3, 1), DataError, r"-1 and 1, or of 0 and 1. Received: y\[2, 0\] = 2.0"),
        ("hinge", [-1, 0, 1], (3, 1), DataError, r"y\[1, 0\] = 0.0"),
        ("kl_divergence", [[0.5, 0.6]], (1, 2), DataError, r"sum to 1"),
        ("kl_divergence", [0, 1], (2, 2), ShapeError, r"np.eye\(2\)\[y\]"),
    ],
)
def test_bad_targets(loss, y, shape, kind, words):
    with pytest.raises(kind, match=rf"(?s)\[{loss}\].*{words}"):
        losses.get(loss).check_targets(np.asarray(y), shape)


@pytest.mark.parametrize(
    ("loss", "y", "shape", "want"),
    [
        ("cross_entropy", [0.0, 2.0], (2, 3), np.array([0, 2], "int32")),
        ("cross_entropy", np.array([[0], [2]], "uint8"), (2, 3), np.array([0, 2], "int32")),
        ("cross_entropy", [True, False], (2, 2), np.array([1, 0], "int32")),
        ("cross_entropy", [[0, 1], [1, 0]], (2, 2), np.float32([[0, 1], [1, 0]])),
        ("cross_entropy", np.array([[0.25, 0.75]]), (1, 2), np.array([[0.25, 0.75]])),
        ("cross_entropy", [[0, 1, 2]], (1, 3, 5), np.array([[0, 1, 2]], "int32")),
        ("binary_cross_entropy", [0, 1], (2, 1), np.float32([[0], [1]])),
        ("binary_cross_entropy", [[0.5, 1.0]], (1, 2), np.array([[0.5, 1.0]])),
        ("hinge", [0, 1], (2, 1), np.float32([[-1], [1]])),
        ("hinge", [-1, 1], (2,), np.float32([-1, 1])),
        ("hinge", [1, 1], (2,), np.float32([1, 1])),
        ("mse", np.array([1, 2], "uint8"), (2, 1), np.float32([[1], [2]])),
        ("mse", [[1.0], [2.0]], (2,), np.array([1.0, 2.0])),
    ],
)
def test_good_targets(loss, y, shape, want):
    got = losses.get(loss).check_targets(np.asarray(y), shape)
    assert got.dtype == want.dtype
    np.testing.assert_array_equal(got, want)


def test_empty_targets_are_not_an_index_error():
    with pytest.raises(ShapeError, match="at least one sample"):
        losses.CrossEntropy()(np.zeros((0, 3)), np.zeros(0, int))


def test_class_weights():
    weights = losses.class_weights_to_sample_weights
    got = weights([0, 1, 2, 1], {1: 5, 2: 0.5})
    assert got.dtype == np.float32
    np.testing.assert_array_equal(got, [1, 5, 0.5, 5])
    np.testing.assert_array_equal(weights(np.eye(3)[[2, 0]], {2: 3.0}), [3, 1])
    np.testing.assert_array_equal(weights([[0.0], [1.0]], {1: 3.0}), [1, 3])
    np.testing.assert_array_equal(weights([-1.0, 1.0], {0: 2.0, 1: 3.0}), [2, 3])
    for bad, kind, words in (
        ({0: -1.0}, ValueError, "finite weights >= 0"),
        ({0: np.nan}, ValueError, "finite weights >= 0"),
        ({"a": 1.0}, ValueError, "classes from 0 on. Received: 'a'"),
        ([1.0, 2.0], TypeError, "dict of class -> weight"),
    ):
        with pytest.raises(kind, match=words):
            weights([0, 1], bad)
    with pytest.raises(ShapeError, match=r"one class per sample.*sample_weight"):
        weights([0.5, 1.5], {0: 1.0})


# Names and settings


@pytest.mark.parametrize("name", losses.NAMES)
def test_names(name):
    loss = losses.get(name)
    assert loss.name in losses.NAMES
    assert losses.get(loss) is loss
    assert hash(loss.config()) is not None
    assert repr(loss).startswith(type(loss).__name__)


def test_unknown_names():
    with pytest.raises(ValueError, match=r"unknown loss. Received: 'mse_los'. help: did you mean 'mse_half'|'mse'"):
        losses.get("mse_los")
    with pytest.raises(ValueError, match="did you mean 'cross_entropy'"):
        losses.get("crossentropy")
    with pytest.raises(TypeError, match=r"a name, a pynn.losses.Loss or a function.*y_true, y_pred"):
        losses.get(3)
    assert isinstance(losses.get(losses.Huber), losses.Huber)


def test_settings():
    for delta in (0, -1, np.nan, np.inf):
        with pytest.raises(ValueError, match="delta to be a finite number above 0"):
            losses.Huber(delta)
    assert losses.CrossEntropy().activation == "softmax"
    assert losses.BinaryCrossEntropy().activation == "sigmoid"
    assert losses.CrossEntropy(from_logits=False).activation == "softmax"
    assert losses.CrossEntropy(from_logits=False).of_logits().from_logits
    loss = losses.Huber(1.0)
    before = loss.config()
    loss.delta = 2.0
    assert loss.config() != before
    with pytest.raises(NotImplementedError, match="must define each"):
        losses.Loss()(np.ones((2, 1)), np.ones((2, 1)))


def test_debugging_finds_no_fault_with_a_wrong_and_certain_prediction():
    pynn.config.set_debug(True)
    try:
        losses.CrossEntropy()(np.float32([[80.0, -80.0]]), [1])
    except NonFiniteError as error:
        pytest.fail(str(error))
    finally:
        pynn.config.set_debug(False)


@pytest.mark.parametrize("name", CASES)
def test_a_program_gives_the_bits_of_eager(name):
    from pynn import nn

    loss, _, t, _ = CASES[name]
    x = np.random.default_rng(0).normal(size=(6, 5)).astype("float32")
    softmax = name in ("labels_probs", "soft_probs", "kl")
    activation = {"poisson": "softplus", "bce_probs": "sigmoid"}.get(name, "softmax" if softmax else None)
    weights, values = [], []
    for eagerly in (False, True):
        model = nn.Sequential([nn.Input((5,)), nn.Dense(4, activation=activation)], seed=1)
        model.compile(optimizer="adam", loss=loss, metrics=[], seed=0, run_eagerly=eagerly)
        history = model.fit(x, t, batch_size=4, epochs=3, verbose=0, sample_weight=np.linspace(0, 2, 6))
        values.append(history.history["loss"])
        weights.append([w.tobytes() for w in model.get_weights()])
    assert weights[0] == weights[1]
    assert values[0] == values[1]
    assert values[0][-1] < values[0][0]


@pytest.mark.parametrize(("loss", "activation"), [("cross_entropy", "softmax"), ("binary_cross_entropy", "sigmoid")])
def test_a_last_activation_is_fused_with_the_loss(loss, activation):
    from pynn import nn

    r = np.random.default_rng(0)
    x, y = r.normal(size=(8, 5)).astype("float32") * 1000, np.arange(8) % 2
    units = 2 if activation == "softmax" else 1
    found = []
    for last in (None, activation):
        model = nn.Sequential([nn.Input((5,)), nn.Dense(units, activation=last)], seed=1)
        model.compile(optimizer="sgd", loss=loss, metrics=[], seed=0)
        found.append(model.evaluate(x, y)["loss"])
    assert found[0] == found[1] > 20  # from probabilities it would be limited to 16


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_deviance_of_poisson(dtype):
    loss = losses.Poisson(deviance=True)
    y = np.array([[0.0, 2.0], [1e-3, 7.0]], dtype)
    assert loss(y, y).item() == 0
    rates = pynn.Tensor.state(np.array([[0.5, 3.0], [1e-3, 5.0]], dtype))
    rates.requires_grad = True
    found = loss(rates, y)
    p = rates.numpy()
    logs = np.where(y > 0, y * np.log(np.maximum(y, 1e-30) / p), 0)
    np.testing.assert_allclose(found.item(), (p - y + logs).mean(), rtol=1e-5)
    found.backward()
    np.testing.assert_allclose(rates.grad.numpy(), (1 - y / p) / 4, rtol=1e-5, atol=1e-7)
    np.testing.assert_array_equal(loss(np.zeros((1, 2), dtype), np.zeros((1, 2), dtype)).item(), 0)
    assert np.isfinite(loss(np.zeros((1, 2), dtype), y[:1]).item())


@pytest.mark.parametrize("kind", ["CrossEntropy", "BinaryCrossEntropy", "KLDivergence"])
def test_a_loss_of_logits_is_that_of_the_probabilities(kind, rng):
    """With the activation in the model, in the loss, or in both: the loss and its gradients are the same."""
    cls, activation = getattr(pynn.losses, kind), "sigmoid" if kind == "BinaryCrossEntropy" else "softmax"
    x, t = rng.normal(size=(6, 4)).astype("float32"), rng.random((6, 3)).astype("float32")
    t = t if kind == "BinaryCrossEntropy" else t / t.sum(1, keepdims=True)
    histories = []
    for ends, of_logits in ((activation, False), (None, True), (activation, True)):  # the last is taken off
        loss = cls(from_logits=of_logits)
        model = nn.Sequential([nn.Input((4,)), nn.Dense(3, activation=ends)])
        model.compile("sgd", loss, seed=3)
        histories.append(
            [*model.fit(x, t, epochs=3, verbose=0).history["loss"], model.evaluate(x, t, verbose=0)["loss"]]
        )
    for other in histories[1:]:
        np.testing.assert_allclose(other, histories[0], rtol=1e-5)
    assert histories[0][0] > histories[0][-1]


def test_probabilities_at_the_ends_have_finite_logits():
    from pynn.losses.logits import _logits

    for p in (np.array([0.0, 1e-30, 0.5, 1.0], "float32"), np.array([0.0, 1e-300, 0.5, 1.0])):
        found = _logits(pynn.tensor(p), "sigmoid").numpy()
        assert np.isfinite(found).all()
        assert found[2] == 0
        np.testing.assert_allclose(found[0], -found[3], rtol=0.05)


def test_what_is_known_of_outputs_holds_for_them(rng):
    """Probabilities are known by the bounds of the function that made them."""
    from pynn.core.tape import taped
    from pynn.losses.bounds import FUNCTIONS, bounds

    x = np.concatenate([rng.normal(size=(40, 3)) * 9, [[-1e4, 0, 1e4]]]).astype("float32")
    for name, (least, largest) in FUNCTIONS.items():
        with taped() as tape:
            y = getattr(ops, name)(x)
        assert bounds(y, tape) == (least, largest)
        assert least - 1e-6 <= np.nanmin(y.numpy())
        assert np.nanmax(y.numpy()) <= largest + 1e-6
    assert FUNCTIONS["softmax"] == FUNCTIONS["sigmoid"] == (0, 1)


@pytest.mark.parametrize("dtype", ["int32", "int64"])
@pytest.mark.parametrize("place", [0, 3, 6])
@pytest.mark.parametrize("label", [-1, 4, 2**31 - 1])
def test_a_label_that_is_no_class_is_refused_wherever_it_stands(dtype, place, label):
    labels = np.arange(7, dtype=dtype) % 4
    labels[place] = label
    for from_logits in (True, False):
        with pytest.raises(IndexError):
            ops.cross_entropy(np.full((7, 4), 0.25, "float32"), labels, from_logits=from_logits)
