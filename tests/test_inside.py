"""The graph as a picture, and backpropagation with every number written out."""

from __future__ import annotations

import itertools
import math
import re
from xml.etree import ElementTree

import numpy as np
import pytest

import pynn
from pynn import nn, viz
from pynn.viz.layout import layered


def boxes(drawing):
    return {box.title: box for box in drawing.boxes}


def test_the_course_example_of_a_composed_function():
    x = pynn.tensor(0.7, dtype="float64", requires_grad=True)
    h = x**2
    g = h.sin()
    f = g.exp()
    drawing = viz.draw_graph(f, names={"x": x, "h": h, "g": g, "f": f}, local=True)
    factors = {drawing.boxes[a.start].title.split(" ")[0]: float(a.derivative) for a in drawing.arrows if a.derivative}
    by_hand = {"x": 2 * 0.7, "h": math.cos(0.49), "g": math.exp(math.sin(0.49))}
    assert factors == pytest.approx(by_hand, rel=1e-3)
    f.backward()
    assert x.grad.item() == pytest.approx(math.prod(by_hand.values()), rel=1e-12)
    assert float(boxes(drawing)["x"].derivative) == pytest.approx(x.grad.item(), rel=1e-3)
    second = pynn.grad(pynn.grad(lambda t: (t**2).sin().exp()))(pynn.tensor(0.7, dtype="float64")).item()
    c, s = math.cos(0.49), math.sin(0.49)
    assert second == pytest.approx(math.exp(s) * (4 * 0.49 * (c * c - s) + 2 * c), rel=1e-10)


@pytest.mark.parametrize("way", ["tensors", "layers"])
def test_the_course_example_of_two_layers(way):
    """dL/dw(2) = a(1) (a - y), dL/dw(1) = (a - y) w(2) (1 - a(1)^2) x: tanh, then sigmoid with its cross-entropy."""
    x1, x2, y = 0.6, -1.1, 1.0
    w11, w21, b1, w2, b2 = 0.4, -0.7, 0.05, 1.3, -0.2
    a1 = math.tanh(w11 * x1 + w21 * x2 + b1)
    a2 = 1 / (1 + math.exp(-(w2 * a1 + b2)))
    back = (a2 - y) * w2 * (1 - a1**2)
    by_hand = {"w11": back * x1, "w21": back * x2, "b1": back, "w2": a1 * (a2 - y), "b2": a2 - y}
    if way == "tensors":
        leaf = {
            name: pynn.tensor(value, dtype="float64", requires_grad=True)
            for name, value in {"w11": w11, "w21": w21, "b1": b1, "w2": w2, "b2": b2}.items()
        }
        hidden = (leaf["w11"] * x1 + leaf["w21"] * x2 + leaf["b1"]).tanh()
        a = (leaf["w2"] * hidden + leaf["b2"]).sigmoid()
        loss = -(y * a.log() + (1 - y) * (1 - a).log())
        loss.backward()
        assert {name: t.grad.item() for name, t in leaf.items()} == pytest.approx(by_hand, rel=1e-12)
        drawn = boxes(viz.draw_graph(loss, names=leaf))
        assert {name: float(drawn[name].derivative) for name in leaf} == pytest.approx(by_hand, rel=2e-3)
        assert loss.item() == pytest.approx(-math.log(a2), rel=1e-12)
        return
    model = nn.Sequential([nn.Input((2,)), nn.Dense(1, "tanh"), nn.Dense(1, "sigmoid")])
    first, second = model.layers
    for weight, values in ((first.w, [[w11], [w21]]), (first.b, [b1]), (second.w, [[w2]]), (second.b, [b2])):
        weight.view()[...] = values
    found = viz.trace(model, [[x1, x2]], [[y]], loss="binary_cross_entropy")
    one, two = found.layers
    assert (one.a.item(), two.a.item()) == pytest.approx((a1, a2), rel=1e-6)
    assert (one.delta.item(), two.delta.item()) == pytest.approx((back, a2 - y), rel=1e-5)
    got = {
        "w11": one.gradients["w"][0, 0],
        "w21": one.gradients["w"][1, 0],
        "b1": one.gradients["b"][0],
        "w2": two.gradients["w"][0, 0],
        "b2": two.gradients["b"][0],
    }
    assert got == pytest.approx(by_hand, rel=1e-5)
    text = str(found)
    for number in (a1, a2, back, a2 - y):
        assert f"{number:.5f}".rstrip("0") in text


def test_the_four_equations_hold_in_a_trace():
    rng = np.random.default_rng(0)
    model = nn.Sequential([nn.Input((4,)), nn.Dense(5, "tanh"), nn.Dense(3, "sigmoid"), nn.Dense(2)])
    x, y = rng.normal(size=(6, 4)).astype("float32"), rng.normal(size=(6, 2)).astype("float32")
    model.compile("sgd", "mse")
    one, two, three = viz.trace(model, x, y).layers
    close = {"rtol": 1e-4, "atol": 1e-6}
    np.testing.assert_allclose(three.delta, 2 * (three.a - y) / y.size, **close)
    np.testing.assert_allclose(two.delta, three.delta @ three.weights["w"].T * two.a * (1 - two.a), **close)
    np.testing.assert_allclose(one.delta, two.delta @ two.weights["w"].T * (1 - one.a**2), **close)
    for layer, before in ((one, x), (two, one.a), (three, two.a)):
        np.testing.assert_allclose(layer.gradients["w"], before.T @ layer.delta, **close)
        np.testing.assert_allclose(layer.gradients["b"], layer.delta.sum(axis=0), **close)


def test_a_trace_leaves_gradients_alone_and_equals_backward():
    model = nn.Sequential([nn.Input((3,)), nn.Dense(4, "relu"), nn.Dropout(0.5), nn.Dense(2, "softmax")])
    x, y = np.random.default_rng(1).normal(size=(5, 3)).astype("float32"), np.array([0, 1, 1, 0, 1])
    model.compile("sgd", "cross_entropy")
    model.fit(x, y, verbose=0)
    kept = [w.grad.numpy().copy() for w in model.parameters()]
    found = viz.trace(model, x, y, steps=True)
    for before, w in zip(kept, model.parameters(), strict=True):
        np.testing.assert_array_equal(before, w.grad.numpy())
    z = model.layers[-1].w
    loss = pynn.losses.get("cross_entropy")(_logits(model, x), y)
    loss.backward()
    np.testing.assert_array_equal(found.layers[-1].gradients["w"], z.grad.numpy())
    assert found.loss == loss.item()
    last = [value for name, value in found.steps if name.startswith("v")][-1]
    assert last == found.loss


def _logits(model, x):
    layers = model.layers
    hidden = layers[1](layers[0](pynn.tensor(x)))
    return hidden @ layers[-1].w + layers[-1].b


def test_a_trace_as_markdown_and_html():
    model = nn.Sequential([nn.Input((2,)), nn.Dense(1)])
    found = viz.trace(model, [[1.0, 2.0]], [[0.0]], loss="mse", steps=True)
    assert "**backward: dense**" in found.markdown()
    ElementTree.fromstring(found.html())
    assert found._repr_html_() == found.html()
    assert any(name.startswith("∂C/∂") for name, _ in found.steps)


def test_trace_refuses_what_it_cannot_follow():
    with pytest.raises(TypeError, match=r"\[trace\] expected a Sequential.*Received: Dense.*draw_graph"):
        viz.trace(nn.Dense(2), [[1.0]], [[1.0]], loss="mse")
    model = nn.Sequential([nn.Input((2,)), nn.Dense(1)])
    with pytest.raises(RuntimeError, match="not compiled"):
        viz.trace(model, [[1.0, 2.0]], [[0.0]])


def test_a_drawing_is_well_formed_svg_and_is_written(tmp_path):
    x = pynn.tensor([1.0, 2.0], requires_grad=True)
    drawing = viz.draw_graph((x * x).sum(), tmp_path / "graph.svg", names={"x < y": x})
    root = ElementTree.fromstring((tmp_path / "graph.svg").read_text())
    assert root.tag.endswith("svg")
    texts = [text.text for text in root.iter("{http://www.w3.org/2000/svg}text")]
    assert "x < y" in texts
    assert "sum" in texts
    assert drawing._repr_svg_() == str(drawing)
    assert "3 boxes" in repr(drawing)


def test_drawing_leaves_gradients_alone():
    x = pynn.tensor(3.0, requires_grad=True)
    y = (x * x).retain_grad()
    viz.draw_graph(y.exp())
    assert x.grad is None
    assert y.grad is None


def test_what_flows_along_the_edges_adds_up_at_the_box():
    x = pynn.tensor(0.5, dtype="float64", requires_grad=True)
    y = x * 3.0 + x.exp() * x
    drawing = viz.draw_graph(y, names={"x": x})
    at = next(i for i, box in enumerate(drawing.boxes) if box.title == "x")
    parts = [float(arrow.derivative) for arrow in drawing.arrows if arrow.start == at]
    assert len(parts) == 3
    assert sum(parts) == pytest.approx(3 + math.exp(0.5) * 1.5, rel=1e-3)


def test_layers_collapse_when_the_graph_is_large():
    model = nn.Sequential([nn.Input((4,)), *(nn.Dense(4, "gelu", name=f"layer_{i}") for i in range(40))])
    loss = model(pynn.tensor(np.ones((2, 4), "float32"))).sum()
    drawing = viz.draw_graph(loss)
    assert len(drawing.boxes) <= 60
    assert sum(box.kind == "layer" for box in drawing.boxes) == 40
    assert [box.title for box in viz.draw_graph(loss, max_nodes=20).boxes if box.kind == "layer"] == ["sequential"]
    plain = pynn.tensor(1.0, requires_grad=True)
    for _ in range(70):
        plain = plain.tanh()
    with pytest.raises(ValueError, match=r"at most max_nodes=60 boxes. Received: 71, with the ops.*collapsed.*help"):
        viz.draw_graph(plain)
    with pytest.raises(ValueError, match="at most max_nodes=60 boxes"):
        viz.draw_graph(loss, collapse=False)


def test_what_has_no_graph_is_refused():
    x = pynn.tensor(2.0, requires_grad=True)
    for bad, error, message in (
        ((x * x).detach(), ValueError, r"\[draw_graph\].*a detached tensor.*requires_grad=True"),
        (x, ValueError, "a leaf"),
        (2.0, TypeError, "expected a tensor. Received: float"),
    ):
        with pytest.raises(error, match=message):
            viz.draw_graph(bad)
    y = x
    for _ in range(2100):
        y = y * 1.0
    with pytest.raises(ValueError, match=r"at most 2000 ops. Received: 2100"):
        viz.draw_graph(y)


def test_boxes_of_a_column_do_not_touch():
    rng = np.random.default_rng(3)
    n = 40
    edges = [(int(rng.integers(0, i)), i) for i in range(1, n) for _ in range(2)]
    heights = rng.uniform(20, 80, n).tolist()
    ranks, ys, bends = layered(heights, edges, 10.0)
    assert all(ranks[a] < ranks[b] for a, b in edges)
    assert all(len(path) == ranks[b] - ranks[a] - 1 for (a, b), path in zip(edges, bends, strict=True))
    for rank in set(ranks):
        column = sorted((ys[v] - heights[v] / 2, ys[v] + heights[v] / 2) for v in range(n) if ranks[v] == rank)
        assert all(b[0] - a[1] >= 10 - 1e-6 for a, b in itertools.pairwise(column))


def test_numbers_in_a_drawing_are_short():
    x = pynn.tensor(np.linspace(0, 1, 12).reshape(3, 4), requires_grad=True)
    drawing = viz.draw_graph(x.tanh().sum())
    assert all(re.fullmatch(r"(-?[\d.e+-]+|3×4, rms [\d.e+-]+)", box.value) for box in drawing.boxes)  # noqa: RUF001


def test_notebooks_show_tensors_and_models():
    t = pynn.tensor(np.arange(100.0).reshape(4, 25), requires_grad=True)
    table = t._repr_html_()
    assert table.count("<tr>") == 4
    assert ">11</td>" in table
    assert ">12</td>" not in table
    assert "shape (4, 25), float64, requires_grad" in table
    assert "made by mul" in (t * 2.0)._repr_html_()
    assert pynn.tensor(3.0)._repr_html_().startswith("<pre>Tensor(3.")
    model = nn.Sequential([nn.Input((4,)), nn.Dense(3)])
    assert "Dense(3" in model._repr_html_()
    model.build((1, 4))
    assert "parameters" in model._repr_html_()
