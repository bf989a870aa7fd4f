"""The neocognitron's cells against the formulas written out, and its rule of learning."""

import numpy as np
import pytest

import pynn
from pynn import nn
from pynn.errors import ShapeError
from pynn.nn.self_organization import representatives


def s_cells_by_hand(layer, x, top, left):
    """Equations 1 to 3 of the paper, cell by cell."""
    a, b, r = (np.asarray(v, float) for v in (layer.a, layer.b, layer.selectivity))
    rows, columns, below, planes = a.shape
    c = layer.decay ** np.hypot(
        *np.indices((rows, columns)) - np.reshape([(rows - 1) / 2, (columns - 1) / 2], (2, 1, 1))
    )
    c = np.repeat(c[:, :, None] / (below * c.sum()), below, 2)
    padded = np.pad(x, ((0, 0), (top, rows - 1 - top), (left, columns - 1 - left), (0, 0)))
    out = np.zeros((*x.shape[:3], planes))
    for n, i, j in np.ndindex(x.shape[:3]):
        seen = padded[n, i : i + rows, j : j + columns]
        v = np.sqrt((c * seen**2).sum())
        for k in range(planes):
            e = (a[..., k] * seen).sum()
            out[n, i, j, k] = r * max(0, (1 + e) / (1 + 2 * r / (1 + r) * b[k] * v) - 1)
    return out


def c_cells_by_hand(layer, x, step):
    """Equations 4 to 6."""
    rows, columns = layer.kernel_size
    middle = (rows - 1) / 2, (columns - 1) / 2
    d = layer.decay ** np.hypot(
        *np.meshgrid(np.arange(rows) - middle[0], np.arange(columns) - middle[1], indexing="ij")
    )
    size = [(s - k) // step + 1 for s, k in zip(x.shape[1:3], (rows, columns), strict=True)]
    out = np.zeros((len(x), *size, x.shape[3]))
    for n, i, j in np.ndindex(out.shape[:3]):
        own = (d[:, :, None] * x[n, i * step : i * step + rows, j * step : j * step + columns]).sum((0, 1))
        z = np.maximum((1 + own) / (1 + own.mean()) - 1, 0)
        out[n, i, j] = z / (layer.saturation + z)
    return out


def test_cells_compute_what_the_paper_says(rng):
    x = np.abs(rng.normal(0, 1, (2, 7, 6, 3))) * (rng.random((2, 7, 6, 3)) < 0.5)
    layer = nn.SCells(4, (5, 3), "same", selectivity=2.5).astype("float64")
    layer.build(x.shape)
    layer.a, layer.b = rng.random(layer.a.shape), rng.random(4)
    np.testing.assert_allclose(layer(x).numpy(), s_cells_by_hand(layer, x, 2, 1), rtol=1e-9, atol=1e-9)
    cells = nn.CCells((3, 2), 2, saturation=0.7).astype("float64")
    np.testing.assert_allclose(cells(x).numpy(), c_cells_by_hand(cells, x, 2), rtol=1e-9, atol=1e-12)
    assert float(layer.inhibition(3).sum()) == pytest.approx(1)


def test_what_a_plane_has_learnt_it_answers_by_the_cosine(rng):
    """After much of one feature p: (1 + r) cos(x, p) - r, weighted by c, and nothing below cos = r / (1 + r)."""
    p = rng.random((1, 5, 5, 2))
    model = nn.Sequential([nn.Input((5, 5, 2)), nn.SCells(1, 5, selectivity=3.0)]).astype("float64")
    nn.self_organize(model, p, rates=1e5, columns=1, passes=3)
    layer = model.layers[0]
    c = layer.inhibition(2)
    for share in (0.0, 0.3, 3.0):
        x = p + share * rng.random(p.shape)
        cosine = (c * x * p).sum() / np.sqrt((c * x * x).sum() * (c * p * p).sum())
        assert model(x).numpy().item() == pytest.approx(max(0, 4 * cosine - 3), abs=1e-3)


def test_the_strongest_of_overlapping_columns_represent_their_planes():
    y = np.zeros((6, 6, 3))
    y[0, 0, 0], y[0, 1, 1], y[5, 5, 0], y[5, 0, 2] = 0.9, 0.8, 0.7, 0.1
    # (0, 1) of plane 1 loses to (0, 0) in the first column but leads the next one; (5, 5) loses to (0, 0) in its plane.
    assert representatives(y, 2) == {0: (0, 0), 1: (0, 1), 2: (5, 0)}
    assert representatives(y, 6) == {0: (0, 0)}
    assert representatives(y, 99) == {0: (0, 0)}
    assert representatives(np.zeros((3, 3, 2)), 2) == {}


def test_reinforcement_is_the_rule(rng):
    x = rng.random((1, 6, 6, 2))
    model = nn.Sequential([nn.Input((6, 6, 2)), nn.SCells(3, 3, "same")]).astype("float64")
    layer = model.layers[0]
    a, b, c = layer.a.numpy(), layer.b.numpy(), layer.inhibition(2)
    chosen = representatives(model(x).numpy()[0], 4)
    padded = np.pad(x[0], ((1, 1), (1, 1), (0, 0)))
    for k, (i, j) in chosen.items():
        seen = padded[i : i + 3, j : j + 3]
        a[..., k] += 2.0 * c * seen
        b[k] += np.sqrt((c * seen**2).sum())
    counts = nn.self_organize(model, x, rates=2.0, columns=4)
    np.testing.assert_allclose(layer.a.numpy(), a, rtol=1e-12)
    np.testing.assert_allclose(layer.b.numpy(), b, rtol=1e-12)
    assert counts[0].tolist() == [int(k in chosen) for k in range(3)]


def test_layers_learn_together_or_one_after_the_other(rng):
    x = (rng.random((3, 9, 9, 1)) < 0.3).astype("float32")

    def made():
        return nn.Sequential([nn.Input((9, 9, 1)), nn.SCells(4, 3), nn.CCells(3, 2), nn.SCells(4, 3)])

    both, first, staged = made(), made(), made()
    nn.self_organize(both, x)
    nn.self_organize(staged, x, together=False)
    nn.self_organize(nn.Sequential([nn.Input((9, 9, 1)), first.layers[0]]), x)
    np.testing.assert_array_equal(staged.layers[0].a.numpy(), first.layers[0].a.numpy())
    np.testing.assert_array_equal(both.layers[0].a.numpy(), first.layers[0].a.numpy())
    assert not np.array_equal(both.layers[2].a.numpy(), staged.layers[2].a.numpy())


def test_what_was_learnt_is_saved_and_travels(tmp_path, rng):
    x = (rng.random((4, 8, 8, 1)) < 0.3).astype("float32")
    model = nn.Sequential(
        [nn.Input((8, 8, 1)), nn.SCells(4, 3, "same"), nn.CCells(3, 2, 1), nn.SCells(3, 4), nn.Flatten()]
    )
    nn.self_organize(model, x, passes=3)
    model.save(tmp_path / "m.pynn")
    np.testing.assert_array_equal(pynn.load(tmp_path / "m.pynn").predict(x), model.predict(x))
    assert model.predict(x).max() > 0.1
    assert model.layers[0].b.numpy().max() > 0


def test_other_planes_than_those_it_was_built_for():
    layer = nn.SCells(4, 5)
    layer(np.ones((1, 6, 6, 3), "float32"))
    with pytest.raises(ShapeError, match="images of 3 planes"):
        layer(np.ones((1, 6, 6, 2), "float32"))


def test_silence_has_a_slope():
    from pynn.core.gradients import gradients

    layer = nn.SCells(2, 3)
    x = pynn.tensor(np.zeros((1, 4, 4, 1), "float32"), requires_grad=True)
    y = layer(x)
    assert np.isfinite(gradients(y, pynn.tensor(np.ones(y.shape, "float32")), [x])[id(x)][1].numpy()).all()


@pytest.mark.parametrize(
    ("layer", "place"),
    [(nn.SCells(4, 5), "s_cells"), (nn.CCells(5), "c_cells")],
)
def test_a_stage_larger_than_its_image_is_named(layer, place):
    with pytest.raises(ShapeError, match=rf"\[{place}\] the kernel does not fit.*it has 5 rows.*image 4"):
        nn.Sequential([nn.Input((4, 4, 1)), layer]).build((None, 4, 4, 1))


@pytest.mark.parametrize(
    ("model", "images", "options", "error", "message"),
    [
        ([nn.SCells(2, 3)], np.ones((2, 4, 4)), {}, ShapeError, r"expected images \[N, H, W, C\]"),
        ([nn.SCells(2, 3)], -np.ones((2, 4, 4, 1)), {}, ValueError, "at least 0"),
        ([nn.SCells(2, 3)], np.full((2, 4, 4, 1), np.nan), {}, ValueError, "finite"),
        ([nn.CCells(3)], np.ones((2, 4, 4, 1)), {}, ValueError, "none among its layers"),
        ([nn.SCells(2, 3)], np.ones((2, 4, 4, 1)), {"rates": (1, 2)}, ValueError, "one for each of 1 layers"),
        ([nn.SCells(2, 3)], np.ones((2, 4, 4, 1)), {"columns": 0}, ValueError, "columns"),
        ([nn.SCells(2, 3)], np.ones((2, 4, 4, 1)), {"passes": 0}, ValueError, "passes"),
        ([nn.SCells(2, 3)], np.ones((2, 4, 4, 1)), {"rates": -1}, ValueError, "rates"),
    ],
)
def test_what_cannot_organize_itself(model, images, options, error, message):
    with pytest.raises(error, match=message):
        nn.self_organize(nn.Sequential([nn.Input((4, 4, 1)), *model]), images, **options)


def test_what_is_no_chain_or_no_numbers():
    with pytest.raises(TypeError, match=r"nn\.Sequential"):
        nn.self_organize(nn.SCells(2, 3), np.ones((1, 4, 4, 1)))
    chain = nn.Sequential([nn.Input((4, 4, 1)), nn.SCells(2, 3)])
    with pytest.raises((TypeError, ValueError), match="images"):
        nn.self_organize(chain, np.ones((1, 4, 4, 1), "complex64"))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: nn.SCells(0, 5), "planes"),
        (lambda: nn.SCells(2, 5, selectivity=0), "selectivity"),
        (lambda: nn.SCells(2, 5, decay=1.5), "decay"),
        (lambda: nn.SCells(2, 5, initial=-1), "initial"),
        (lambda: nn.CCells(5, saturation=0), "saturation"),
        (lambda: nn.CCells(5, padding="some"), "padding"),
    ],
)
def test_settings_out_of_range(make, message):
    with pytest.raises(ValueError, match=message):
        make()
