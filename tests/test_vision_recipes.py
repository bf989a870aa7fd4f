"""What the recipes unrolled-convolution, big-mlp, lrn-cifar and inception-cifar are made of, on few images."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from pynn import nn, ops, recipes
from pynn.core.gradients import backward
from pynn.core.tensor import tensor
from pynn.recipes import inception, lrn, unrolling
from pynn.recipes.big_mlp import deforming
from pynn.recipes.direct import Direct, compiled
from pynn.recipes.runner import apart, timed_fit

r = np.random.default_rng(0)


@pytest.mark.parametrize("stride", [1, 2])
def test_direct_loops_are_a_convolution_and_its_gradients(stride):
    library = compiled()
    if library is None:
        pytest.skip("no C compiler")
    x, w, b = r.normal(size=(3, 9, 9, 2)), r.normal(size=(3, 3, 2, 4)), r.normal(size=4)
    tensors = [tensor(a, requires_grad=True) for a in (x, w, b)]
    y = ops.conv2d(*tensors, strides=stride)
    dy = r.normal(size=y.shape)
    backward(y, tensor(dy), targets=tensors)
    loops = Direct(library, x.transpose(0, 3, 1, 2), w.transpose(3, 2, 0, 1), b, stride)
    np.testing.assert_allclose(loops.forward().transpose(0, 2, 3, 1), y.numpy(), rtol=1e-4, atol=1e-4)
    dx, dw, db = loops.backward(np.ascontiguousarray(dy.transpose(0, 3, 1, 2), np.float32))
    found = dx.transpose(0, 2, 3, 1), dw.transpose(2, 3, 1, 0), db
    for mine, t in zip(found, tensors, strict=True):
        np.testing.assert_allclose(mine, t.grad.numpy(), rtol=1e-3, atol=1e-3)


def test_the_ways_take_turns_and_each_has_a_time():
    found = unrolling.layer_times(9, 1, 2, images=2)
    assert set(found) == set(unrolling.WAYS) - ({"direct loops"} if compiled() is None else set())
    assert all(0 <= seconds < np.inf for seconds in found.values())


def test_a_crossover_lies_between_the_lengths_where_the_faster_changes():
    assert unrolling.crossover([10, 1000], [1.0, 100.0], [10.0, 10.0]) == 100.0
    assert unrolling.crossover([10, 100], [1.0, 1.0], [2.0, 2.0]) == float("inf")


def test_the_narrow_googlenet_costs_what_the_plain_network_does():
    whole, main = inception.narrow_googlenet()
    counts = [nn.count(model).multiply_adds for model in (main, inception.plain_network())]
    assert counts[0] == pytest.approx(counts[1], rel=0.02)
    assert len([layer for layer in main.layers if isinstance(layer, nn.Concatenate)]) == 9
    assert {key: y.shape for key, y in whole(np.zeros((2, 32, 32, 3), "float32")).items()} == dict.fromkeys(
        inception.HEADS, (2, 10)
    )
    assert inception.narrow_googlenet(auxiliary=False)[0].count_parameters() == main.count_parameters()


def test_heads_train_the_network_that_is_tested():
    whole, main = inception.narrow_googlenet(8)
    x, y = r.random((16, 32, 32, 3), np.float32), np.arange(16) % 10
    before = main.get_weights()[0].copy()
    whole.compile("sgd", "cross_entropy", ["accuracy"], seed=0, loss_weights=inception.WEIGHTS)
    history = whole.fit(x, dict.fromkeys(inception.HEADS, y), batch_size=8, epochs=1, verbose=0).history
    parts = [inception.WEIGHTS[name] * history[f"{name}_loss"][0] for name in inception.HEADS]
    assert history["loss"][0] == pytest.approx(sum(parts), rel=1e-5)
    assert not np.array_equal(main.get_weights()[0], before)


def test_krizhevskys_networks_are_equal_but_for_the_normalization():
    models = [lrn.krizhevsky(normalized) for normalized in (True, False)]
    for model in models:
        model(np.zeros((1, 32, 32, 3), "float32"))
    sizes = [[w.shape for w in model.get_weights()] for model in models]
    assert sizes[0] == sizes[1]
    kinds = [[type(layer) for layer in model.layers] for model in models]
    assert [kind for kind in kinds[0] if kind is not nn.LocalResponseNormalization] == kinds[1]
    assert kinds[0].count(nn.LocalResponseNormalization) == 2


def test_two_columns_have_as_many_weights():
    models = [lrn.krizhevsky(columns=columns) for columns in (False, True)]
    for model in models:
        model(np.zeros((1, 32, 32, 3), "float32"))
    one, two = (model.count_parameters() for model in models)
    assert one == pytest.approx(two, rel=0.01)


def test_digits_are_deformed_in_training_alone():
    model = nn.Sequential([nn.Input((28, 28, 1)), *deforming()])
    x = r.random((4, 28, 28, 1), np.float32)
    np.testing.assert_array_equal(model(x).numpy(), x)
    assert not np.array_equal(model(x, training=True).numpy(), x)


def test_each_of_several_models_keeps_its_checkpoints(tmp_path):
    options = recipes.Options(checkpoint=tmp_path, epochs=2, batch_size=4, quiet=True)
    x, y = r.random((8, 3), np.float32), np.arange(8) % 2
    for name in ("with", "two columns"):
        for epochs in (1, 2):  # the second time goes on from the first
            model = nn.Sequential([nn.Input((3,)), nn.Dense(2, activation="softmax")])
            model.compile("sgd", "cross_entropy", seed=0)
            now = dataclasses.replace(apart(options, name), epochs=epochs)
            history, _ = timed_fit(now, model, x, y)
            assert history.epoch == list(range(epochs))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["two-columns", "with"]


@pytest.mark.parametrize("name", ["big-mlp", "inception-cifar", "lrn-cifar"])
def test_there_is_a_larger_size(name):
    recipe = recipes.find(name)
    assert recipe.complete(recipes.Options(full=True)).epochs == recipe.full_epochs > recipe.epochs
    small = recipes.find("unrolled-convolution")
    with pytest.raises(ValueError, match=r"\[unrolled-convolution\] has one size alone"):
        small.complete(recipes.Options(full=True))


def test_models_of_a_recipe_have_folders_of_their_own():
    options = recipes.Options(checkpoint=Path("saved"))
    assert recipes.runner.apart(options, "two columns").checkpoint == Path("saved") / "two-columns"
    assert recipes.runner.apart(recipes.Options(), "plain").checkpoint is None
