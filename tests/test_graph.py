"""The computational graph: gradients against formulas, second derivatives, what is kept and what is freed."""

import gc
import threading
import weakref

import numpy as np
import pytest

import pynn
from pynn import nn, ops
from pynn.core.card import CARDS
from pynn.core.gradients import gradients
from pynn.core.graph import execute
from pynn.core.state import state
from pynn.errors import DTypeError, NonFiniteError, ShapeError
from pynn.ops.elementwise import FUSED


def leaf(x, dtype="float64"):
    return pynn.tensor(np.asarray(x, dtype), requires_grad=True)


def assert_close(tensor, expected, rtol=1e-12):
    np.testing.assert_allclose(tensor.numpy(), expected, rtol=rtol, atol=1e-14)


# Gradients against formulas


def test_a_tensor_used_twice():
    x = leaf([1.0, 2.0, 3.0])
    (x * x).sum().backward()
    assert_close(x.grad, [2, 4, 6])
    (x + x).sum().backward()
    assert_close(x.grad, [2, 2, 2])
    (x - x).sum().backward()
    assert_close(x.grad, [0, 0, 0])
    (x / x).sum().backward()
    assert_close(x.grad, [0, 0, 0])


def test_a_leaf_used_many_times():
    x = leaf(1.5)
    y = sum((x * float(k) for k in range(50)), start=x)
    y.backward()
    assert_close(x.grad, 1 + sum(range(50)))


def test_shared_subexpressions():
    """u = exp(x), v = u * u + tanh(u), z = v * u: dz/dx = (3 u**2 + tanh u + u (1 - tanh(u)**2)) u."""
    at = np.array([-0.3, 0.2, 0.9])
    x = leaf(at)
    u = x.exp()
    v = u * u + u.tanh()
    (v * u).sum().backward()
    u = np.exp(at)
    assert_close(x.grad, (3 * u**2 + np.tanh(u) + u * (1 - np.tanh(u) ** 2)) * u)


def test_a_diamond_is_walked_once():
    """Doubling thirty times has 2**30 paths; each node is visited once."""
    x = y = leaf(1.0)
    for _ in range(30):
        y = y + y
    y.backward()
    assert x.grad.item() == 2.0**30


def test_two_layers_against_formulas(rng):
    """h = tanh(x w + b), p = sigmoid(h v + c), loss = mean((p - t)**2), every gradient by hand."""
    x, t = rng.standard_normal((7, 4)), rng.random((7, 2))
    w, b, v, c = (leaf(rng.standard_normal(s)) for s in [(4, 5), (5,), (5, 2), (2,)])
    h = (pynn.tensor(x) @ w + b).tanh()
    p = (h @ v + c).sigmoid()
    loss = (p - t).square().mean()
    loss.backward()
    hn, pn = np.tanh(x @ w.numpy() + b.numpy()), p.numpy()
    assert_close(p, 1 / (1 + np.exp(-(hn @ v.numpy() + c.numpy()))))
    assert loss.item() == pytest.approx(np.mean((pn - t) ** 2), rel=1e-13)
    dz2 = 2 * (pn - t) / pn.size * pn * (1 - pn)
    dz1 = dz2 @ v.numpy().T * (1 - hn**2)
    assert_close(v.grad, hn.T @ dz2, 1e-11)
    assert_close(c.grad, dz2.sum(0), 1e-11)
    assert_close(w.grad, x.T @ dz1, 1e-11)
    assert_close(b.grad, dz1.sum(0), 1e-11)


def test_the_fused_layer_agrees_with_its_parts(rng):
    x, w, b = (rng.standard_normal(s) for s in [(6, 3), (3, 4), (4,)])
    fused = [leaf(a) for a in (x, w, b)]
    parts = [leaf(a) for a in (x, w, b)]
    ops.dense(*fused, activation="sigmoid").sum().backward()
    (parts[0] @ parts[1] + parts[2]).sigmoid().sum().backward()
    for f, p in zip(fused, parts, strict=True):
        assert_close(f.grad, p.grad.numpy(), 1e-11)


def test_a_nested_expression_by_the_chain_rule():
    """f(x) = exp(tanh(x**2)) / (1 + x): f' = f (2 x (1 - tanh(x**2)**2) - 1 / (1 + x))."""
    at = np.linspace(-0.8, 1.5, 9)
    x = leaf(at)
    y = (x**2).tanh().exp() / (1 + x)
    y.sum().backward()
    t = np.tanh(at**2)
    f = np.exp(t) / (1 + at)
    assert_close(y, f)
    assert_close(x.grad, f * (2 * at * (1 - t**2) - 1 / (1 + at)), 1e-11)


def test_a_gate_gives_gradients_to_both_factors():
    x, p = leaf([1.0, -2.0]), leaf([0.5, 3.0])
    (x * p).backward([10.0, 100.0])
    assert_close(x.grad, [5, 300])
    assert_close(p.grad, [10, -200])


@pytest.mark.parametrize("function", [ops.maximum, ops.minimum])
def test_a_tie_is_shared(function):
    a, b = leaf([1.0, 2.0, 3.0]), leaf([2.0, 2.0, 2.0])
    function(a, b).sum().backward()
    assert a.grad.numpy()[1] == 0.5
    assert b.grad.numpy()[1] == 0.5
    assert_close(a.grad + b.grad, [1, 1, 1])
    x = leaf([[5.0, 1.0, 5.0, 5.0]])
    x.max(1).sum().backward()
    assert_close(x.grad, [[1 / 3, 0, 1 / 3, 1 / 3]])


def test_slopes_at_kinks():
    for name, expected in {"relu": 0.0, "abs": 0.0, "leaky_relu": 0.1, "elu": 1.0}.items():
        x = leaf([0.0])
        getattr(ops, name)(x).sum().backward()
        assert x.grad.item() == pytest.approx(expected), name
    x = leaf([-1.0, 1.0, 2.0])
    x.clip(-1, 1).sum().backward()
    assert_close(x.grad, [1, 1, 0])


def test_a_power_of_zero_has_a_gradient():
    base, exponent = leaf([0.0, 2.0]), leaf([2.0, 3.0])
    (base**exponent).sum().backward()
    assert_close(base.grad, [0, 12])
    assert_close(exponent.grad, [0, 8 * np.log(2)])


# What backward writes


def test_gradients_are_written_not_accumulated():
    x = leaf([1.0, 2.0])
    for _ in range(3):
        (x * 3.0).sum().backward()
        assert_close(x.grad, [3, 3])


def test_only_leaves_that_ask_receive_gradients():
    x, w, const = leaf(2.0), leaf(3.0), pynn.tensor(4.0, "float64")
    y = x * w
    z = y * const
    z.backward()
    assert (x.grad.item(), w.grad.item()) == (12, 8)
    assert y.grad is None
    assert const.grad is None
    other = leaf(1.0)
    assert other.grad is None


def test_retain_grad():
    x = leaf(2.0)
    y = (x * 3.0).retain_grad()
    z = (y * y).retain_grad()
    z.backward()
    assert y.grad.item() == 12
    assert z.grad.item() == 1
    assert x.grad.item() == 36
    assert x.retain_grad() is x


def test_backward_twice_through_one_graph():
    x = leaf([1.0, 2.0])
    y = (x * x * x).sum()
    y.backward()
    first = x.grad.numpy()
    y.backward()
    assert np.array_equal(x.grad.numpy(), first)


def test_a_gradient_has_the_dtype_and_no_graph():
    x = leaf([1.0], "float32")
    (x * 2.0).sum().backward()
    assert x.grad.dtype == np.float32
    assert not x.grad.requires_grad
    assert x.grad.node is None


def test_backward_of_a_leaf():
    x = leaf(2.0)
    x.backward()
    assert x.grad.item() == 1


def test_integers_and_bools_carry_no_gradient():
    x = leaf([1.0, 2.0])
    for y in (x > 1.0, x.argmax(0), x.astype("int64"), ops.step(x)):
        assert not y.requires_grad
    index = pynn.tensor([1, 1])
    ops.gather(x, index).sum().backward()
    assert_close(x.grad, [0, 2])


def test_no_grad():
    x = leaf(2.0)
    with pynn.no_grad():
        y = x * x
        with pynn.no_grad():
            pass
        z = x * y
    assert not y.requires_grad
    assert z.node is None
    assert (x * x).requires_grad
    with pytest.raises(RuntimeError, match=r"does not depend on any tensor with requires_grad=True.*help:"):
        y.backward()
    with pytest.raises(ZeroDivisionError), pynn.no_grad():
        raise ZeroDivisionError
    assert state.grad_enabled


def test_detach_cuts():
    x = leaf(3.0)
    (x * x.detach()).backward()
    assert x.grad.item() == 3


def test_cotangents():
    x = leaf([[1.0, 2.0], [3.0, 4.0]])
    y = x * x
    with pytest.raises(ShapeError, match=r"one element\. Received: shape=\(2, 2\)\. help: .*sum"):
        y.backward()
    y.backward([[1.0, 0.0], [0.0, 2.0]])
    assert_close(x.grad, [[2, 0], [0, 16]])
    y.backward(pynn.tensor(np.ones((2, 2))))
    assert_close(x.grad, 2 * x.numpy())
    for wrong in ([1.0, 2.0], np.ones((2, 2, 1)), 1.0):
        with pytest.raises(ShapeError, match=r"a gradient like the tensor, \(2, 2\)"):
            y.backward(wrong)
    with pytest.raises(ShapeError, match=r"float64.*Received: .*float32"):
        y.backward(pynn.tensor(np.ones((2, 2), np.float32)))
    with pytest.raises(DTypeError):
        y.backward("wrong")
    (x.sum().reshape(1, 1)).backward()
    assert_close(x.grad, np.ones((2, 2)))


def test_a_failed_call_changes_nothing():
    x = leaf([1.0, 2.0])
    (x * 2.0).sum().backward()
    with pytest.raises(ShapeError):
        (x * 5.0).backward()
    assert_close(x.grad, [2, 2])


# Functions that return gradients


def test_grad_of_a_function():
    df = pynn.grad(lambda x, y: x * x * y)
    assert df(3.0, 4.0).item() == 24
    assert [g.item() for g in pynn.grad(lambda x, y: x * x * y, argnums=(0, 1))(3.0, 4.0)] == [24, 9]
    assert pynn.grad(lambda x, y: x * x * y, argnums=1)(3.0, 4.0).item() == 9
    assert pynn.grad(lambda x, k=2.0: x * k)(1.0, k=5.0).item() == 5
    assert pynn.grad(lambda x: x.sum())([1.0, 2.0]).tolist() == [1, 1]


def test_grad_where_nothing_depends():
    assert pynn.grad(lambda x, y: pynn.tensor(x), argnums=1)(1.0, 3.0).item() == 0
    assert pynn.grad(lambda x: pynn.tensor(1.0))([1.0, 2.0]).tolist() == [0, 0]
    assert pynn.grad(lambda x: x.detach().sum())([1.0, 2.0]).tolist() == [0, 0]


def test_grad_leaves_its_arguments_alone():
    x = leaf(2.0)
    assert pynn.grad(lambda a: a * a)(x).item() == 4
    assert x.grad is None
    plain = pynn.tensor(2.0)
    pynn.grad(lambda a: a * a)(plain)
    assert not plain.requires_grad


def test_grad_under_no_grad():
    with pynn.no_grad():
        assert pynn.grad(lambda x: x * x)(3.0).item() == 6
    assert state.grad_enabled


def test_grad_errors():
    with pytest.raises(TypeError, match=r"expected the function to return a tensor\. Received: float"):
        pynn.grad(lambda x: 1.0)(2.0)
    with pytest.raises(ShapeError, match="one element"):
        pynn.grad(lambda x: x)([1.0, 2.0])
    assert state.grad_enabled
    with pytest.raises(DTypeError, match=r"floating-point arguments.*int64.*2\.0"):
        pynn.grad(lambda x: x * x)(2)
    with pytest.raises(DTypeError, match="floating-point arguments"):
        pynn.jacobian(lambda x: x * x, [1, 2])


AT = np.array([0.3, 0.7, 1.9])
SECOND = {
    "square": (lambda x: x.square(), lambda x: 2 + 0 * x),
    "cube": (lambda x: x * x * x, lambda x: 6 * x),
    "power": (lambda x: x**3.5, lambda x: 3.5 * 2.5 * x**1.5),
    "exp": (lambda x: x.exp(), np.exp),
    "log": (lambda x: x.log(), lambda x: -1 / x**2),
    "sqrt": (lambda x: x.sqrt(), lambda x: -0.25 * x**-1.5),
    "tanh": (lambda x: x.tanh(), lambda x: -2 * np.tanh(x) * (1 - np.tanh(x) ** 2)),
    "reciprocal": (lambda x: 1 / x, lambda x: 2 / x**3),
    "sigmoid": (lambda x: x.sigmoid(), lambda x: np.exp(-x) * (np.exp(-x) - 1) / (1 + np.exp(-x)) ** 3),
    "softplus": (ops.softplus, lambda x: np.exp(-x) / (1 + np.exp(-x)) ** 2),
    "relu": (ops.relu, lambda x: 0 * x),
    "quotient": (lambda x: x.exp() / (1 + x), lambda x: np.exp(x) * (x**2 + 1) / (1 + x) ** 3),
}


@pytest.mark.parametrize("name", list(SECOND))
def test_second_derivatives_against_formulas(name):
    f, expected = SECOND[name]
    second = pynn.grad(lambda x: pynn.grad(lambda z: f(z).sum())(x).sum())
    assert_close(second(pynn.tensor(AT)), expected(AT), 1e-9)


def test_third_and_fourth_derivatives():
    f = lambda x: x * x * x * x  # noqa: E731
    for expected in (4 * 2.0**3, 12 * 2.0**2, 24 * 2.0, 24.0, 0.0):
        f = pynn.grad(f)
        assert f(2.0).item() == pytest.approx(expected)
    tanh = lambda x: x.tanh()  # noqa: E731
    t = np.tanh(0.5)
    assert pynn.grad(pynn.grad(pynn.grad(tanh)))(0.5).item() == pytest.approx((1 - t**2) * (6 * t**2 - 2), rel=1e-5)


def test_second_derivatives_through_sums_slices_and_products(rng):
    """The Hessian of sum((A x)**2) / 2 is A^T A."""
    a, x = rng.standard_normal((5, 3)), rng.standard_normal(3)

    def f(x):
        y = pynn.tensor(a) @ x
        return 0.5 * (y[:2].square().sum() + ops.concat([y[2:4], y[4:]]).reshape(1, 3).transpose(1, 0).square().sum())

    hessian = np.stack([pynn.grad(lambda z, i=i: pynn.grad(f)(z)[i])(pynn.tensor(x)).numpy() for i in range(3)])
    np.testing.assert_allclose(hessian, a.T @ a, rtol=1e-10)


def test_an_inner_derivative_that_depends_on_an_outer_variable():
    """d/dx [d/dy (x y**2) at y = 3] = 6: the inner gradient belongs to the graph of x."""
    f = lambda x: pynn.grad(lambda y: x * y * y)(3.0)  # noqa: E731
    assert f(2.0 + pynn.tensor(0.0)).item() == 12
    assert pynn.grad(f)(2.0).item() == 6
    assert pynn.grad(lambda x: x * pynn.grad(lambda y: x * y)(x))(2.0).item() == 4  # x * x
    assert pynn.grad(lambda x: pynn.grad(lambda y: x * y)(x))(2.0).item() == 1


def test_an_argument_is_a_variable_of_its_own():
    """In f(a) = a * x called with a = x, only a moves."""
    x = leaf(3.0)
    assert pynn.grad(lambda a: a * x)(x).item() == 3
    assert [g.item() for g in pynn.grad(lambda a, b: a * a * b, argnums=(0, 1))(x, x)] == [18, 9]


def test_a_gradient_as_part_of_a_loss():
    """A penalty on a gradient: L(w) = (d/dx (w x**2) at 2)**2 = (4 w)**2, dL/dw = 32 w."""
    w = leaf(1.5)
    g = pynn.grad(lambda x: w * x * x)(pynn.tensor(2.0, "float64"))
    (g * g).backward()
    assert w.grad.item() == 48


def test_a_second_derivative_through_a_fused_gradient_is_refused():
    with pytest.raises(RuntimeError, match=r"\[gelu\.grad\] is a fused gradient.*help: write the expression with"):
        pynn.grad(pynn.grad(lambda x: ops.gelu(x).sum()))(0.5)


def differences(f, x, at, eps=1e-6):
    plus, minus = x.copy(), x.copy()
    plus[at] += eps
    minus[at] -= eps
    return (np.sum(f(plus).numpy() ** 2) - np.sum(f(minus).numpy() ** 2)) / (2 * eps)


@pytest.mark.parametrize("activation", FUSED)
def test_second_derivatives_through_layers_with_an_activation_inside(activation, rng):
    w, b, x = rng.normal(size=(3, 4)), rng.normal(size=4), rng.normal(size=(2, 3))
    kernel, image = rng.normal(size=(2, 2, 2, 3)), rng.normal(size=(1, 3, 4, 2))
    for layer, inputs in (
        (lambda x, w, b: ops.dense(x, w, b, activation), (x, w, b)),
        (lambda x, w, b: ops.conv2d(x, w, b, activation=activation), (image, kernel, rng.normal(size=3))),
    ):
        for k, value in enumerate(inputs):

            def slope(v, layer=layer, inputs=inputs, k=k):
                args = [v if i == k else pynn.tensor(a) for i, a in enumerate(inputs)]
                return pynn.grad(lambda *a: layer(*a).square().sum(), k)(*args)

            got = pynn.grad(lambda v, slope=slope: slope(v).square().sum())(pynn.tensor(value)).numpy()
            at = tuple(0 for _ in value.shape)
            assert got[at] == pytest.approx(differences(slope, value, at), rel=1e-5, abs=1e-7)


def test_gradients_of_a_tensor_by_others():
    x, w = leaf([1.0, 2.0]), leaf(3.0)
    loss = (w * x * x * x).sum()
    first, of_w = pynn.grad(loss, [x, w], create_graph=True)
    assert (first.numpy().tolist(), of_w.item(), x.grad) == ([9, 36], 9, None)
    assert pynn.grad(first.sum(), x).numpy().tolist() == [18, 36]
    first.square().sum().backward()  # (9 x^4) w^2, by w
    assert w.grad.item() == 2 * 3 * 9 * (1 + 16)
    assert not pynn.grad((x * x).sum(), x).requires_grad
    for call, error, text in (
        (lambda: pynn.grad((x * x).sum(), [w]), RuntimeError, "does not depend on tensor 0"),
        (lambda: pynn.grad((x * x).sum()), TypeError, r"tensors to differentiate by\. Received: 0"),
        (lambda: pynn.grad(3.0), TypeError, r"a function, or a tensor.*Received: 3\.0"),
        (lambda: pynn.grad(lambda x: x, create_graph=True), TypeError, "as it is"),
    ):
        with pytest.raises(error, match=text):
            call()


def test_a_penalty_on_the_gradient_of_a_model(rng):
    """As in a Wasserstein critic: the penalty's gradient by a weight equals its differences."""
    model = nn.Sequential([nn.Input((3,)), nn.Dense(5, "tanh"), nn.Dense(1)]).astype("float64")
    model.build((1, 3))
    x = leaf(rng.normal(size=(4, 3)))

    def penalty():
        (slope,) = pynn.grad(model(x).sum(), [x], create_graph=True)
        return (slope.square().sum(1).sqrt() - 1.0).square().mean()

    penalty().backward()
    w = model.layers[0].w
    found, eps = w.grad.numpy()[1, 2], 1e-6
    values = w.numpy()
    sides = []
    for sign in (1, -1):
        moved = values.copy()
        moved[1, 2] += sign * eps
        model.set_weights([moved, *model.get_weights()[1:]])
        sides.append(penalty().item())
    assert found == pytest.approx((sides[0] - sides[1]) / (2 * eps), rel=1e-5)


def test_the_hessian_of_a_product_of_matrices(rng):
    w = rng.standard_normal((4, 3))
    x = leaf(rng.standard_normal((2, 4)))
    first = pynn.grad(lambda z: (z @ pynn.tensor(w)).tanh().sum())
    got = pynn.grad(lambda z: first(z).square().sum())(x).numpy()
    eps = 1e-6
    for at in [(0, 0), (1, 3)]:
        plus, minus = x.numpy(), x.numpy()
        plus[at] += eps
        minus[at] -= eps
        numeric = (np.sum(first(plus).numpy() ** 2) - np.sum(first(minus).numpy() ** 2)) / (2 * eps)
        assert got[at] == pytest.approx(numeric, rel=1e-6)


def test_jacobian(rng):
    a = rng.standard_normal((4, 3))
    j = pynn.jacobian(lambda x: (pynn.tensor(a) @ x).tanh(), rng.standard_normal(3))
    assert j.shape == (4, 3)
    x = np.array([0.5, 2.0])
    assert_close(pynn.jacobian(lambda x: x.exp(), x), np.diag(np.exp(x)))
    assert pynn.jacobian(lambda x: x.sum(), np.ones((2, 3))).shape == (2, 3)
    assert pynn.jacobian(lambda x: x.reshape(3, 2), np.ones((2, 3))).shape == (3, 2, 2, 3)
    assert_close(pynn.jacobian(lambda x: pynn.tensor([1.0]), x), [[0, 0]])
    at = rng.standard_normal(3)
    assert_close(pynn.jacobian(lambda x: pynn.tensor(a) @ x, at), a)


# The graph as data


def test_the_graph_lists_its_nodes():
    x, w = leaf([[1.0, 2.0]]), leaf([[3.0], [4.0]])
    z = (x @ w).tanh().sum()
    rows = pynn.graph(z)
    assert [r["op"] for r in rows] == ["matmul", "tanh", "sum"]
    assert [r["shape"] for r in rows] == [(1, 1), (1, 1), ()]
    assert rows[0]["inputs"] == ["leaf", "leaf"]
    assert rows[1]["inputs"] == [rows[0]["id"]]
    assert rows[2]["inputs"] == [rows[1]["id"]]
    assert {r["dtype"] for r in rows} == {"float64"}
    assert_close(pynn.tensor(rows[0]["value"]), [[11.0]])
    assert rows[2]["attrs"]["axis"] == 0
    assert [r["id"] for r in rows] == sorted(r["id"] for r in rows)
    assert pynn.graph(x) == []


def test_every_tensor_knows_what_made_it():
    x = leaf(2.0)
    y = x * 3.0
    assert y.node.card is CARDS["mul"]
    assert y.node.inputs[0] is x
    assert not y.is_leaf
    assert "mul" in repr(y.node)


def test_a_shared_node_is_listed_once():
    x = leaf(2.0)
    u = x.exp()
    assert [r["op"] for r in pynn.graph(u * u + u)] == ["exp", "mul", "add"]


# Size, memory, threads


def test_a_deep_chain():
    x = y = leaf(1.0)
    for _ in range(5000):
        y = y + 1.0
    assert len(pynn.graph(y)) == 5000
    y.backward()
    assert x.grad.item() == 1
    del y  # freeing a long chain does not overflow the stack either


def test_the_graph_is_freed_with_its_last_tensor():
    gc.collect()
    gc.disable()
    try:
        x = leaf([1.0, 2.0])
        h = x * 2.0
        ref = weakref.ref(h)
        z = h.exp().sum()
        del h
        assert ref() is not None
        z.backward()
        assert ref() is not None
        del z
        assert ref() is None
        assert x.grad is not None
        # neither retain_grad nor a second derivative leaves a cycle
        h = (x * 2.0).retain_grad()
        ref = weakref.ref(h)
        z = h.sum()
        z.backward()
        del h, z
        assert ref() is None
        seen = []

        def f(a):
            h = a * a
            seen.append(weakref.ref(h))
            return (h * a).sum()

        pynn.grad(lambda a: pynn.grad(f)(a).sum())(x)
        assert [r() for r in seen] == [None]
    finally:
        gc.enable()


def test_gradients_do_not_keep_the_graph():
    x = leaf([1.0, 2.0])
    h = x * 2.0
    ref = weakref.ref(h)
    h.exp().sum().backward()
    del h
    assert ref() is None
    assert x.grad is not None


def test_numpy_returns_a_copy():
    x = leaf([1.0, 2.0])
    y = x * 2.0
    y.numpy()[0] = 100
    assert y.tolist() == [2, 4]
    y.sum().backward()
    x.grad.numpy()[0] = 100
    assert x.grad.tolist() == [2, 2]


def test_threads_have_states_of_their_own():
    seen = []

    def other():
        seen.append(state.grad_enabled)
        x = leaf(3.0)
        (x * x).backward()
        seen.append(x.grad.item())

    with pynn.no_grad():
        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
    assert seen == [True, 6.0]


def test_targets_inside_the_graph():
    x = leaf(2.0)
    y = x * x
    z = y * 3.0
    found = gradients(z, ops.ones((), "float64"), [y])
    assert [g.item() for _, g in found.values()] == [3.0]


def test_an_output_nobody_used_counts_as_zero():
    """A node's gradient sees zeros for outputs that did not reach the result."""
    x, w = leaf([[1.0, 2.0]]), leaf([[1.0], [1.0]])
    (y,) = execute(CARDS["dense"], (x, w, None), {"activation": "linear"})
    y.sum().backward()
    assert_close(x.grad, [[1, 1]])
    assert_close(w.grad, [[1], [2]])


def test_an_index_out_of_range_names_the_layer():
    from pynn.core.state import scope

    with (
        pytest.raises(IndexError, match=r"model/embed: \[take\] an index lies outside"),
        scope("model"),
        scope("embed"),
    ):
        ops.gather(np.zeros((3, 2)), [3])


def test_debugging_finds_a_nan_where_it_is_made():
    pynn.config.set_debug(True)
    try:
        with pytest.raises(NonFiniteError, match=r"^\[log\] made NaN of finite inputs"):
            pynn.tensor([-1.0]).log()
        assert np.isnan(pynn.tensor([np.nan]).log().item())
    finally:
        pynn.config.set_debug(False)
