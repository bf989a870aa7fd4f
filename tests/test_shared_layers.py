"""Layers that several models train, layers that are frozen for a while, and what optimizers keep of each."""

import numpy as np
import pytest

import pynn
from pynn import nn, optim
from pynn.core.flat import Flat
from pynn.errors import DataError, DTypeError

R = np.random.default_rng(0)
X = R.normal(size=(32, 4)).astype("float32")
Y = X.sum(1, keepdims=True)
NAMES = sorted(optim.NAMES)


def two(optimizer="adam", seed=0, dtype="float32"):
    model = nn.Sequential([nn.Input((4,)), nn.Dense(8, activation="tanh"), nn.Dense(1)], seed=seed).astype(dtype)
    model.compile(optimizer, "mse", seed=seed)
    return model


def fit(model, epochs=1, x=X, y=Y, **options):
    model.fit(x, y, epochs=epochs, batch_size=16, shuffle=False, verbose=0, **options)
    return model.get_weights()


def same(a, b):
    return all(np.array_equal(p, q) for p, q in zip(a, b, strict=True))


# Two models


@pytest.mark.parametrize("eagerly", [False, True])
@pytest.mark.parametrize("name", NAMES)
def test_models_that_share_a_layer_train_in_turn_as_one_would_by_hand(name, eagerly):
    """Each has its own moments of what it trains; the layer is at one place, and none of them works on a copy."""
    shared = nn.Dense(8, activation="tanh", seed=1)
    models = [nn.Sequential([nn.Input((4,)), shared, nn.Dense(1, seed=2 + i)]) for i in range(2)]
    for model in models:
        model.compile(optim.get(name), "mse", seed=0, run_eagerly=eagerly)
        model.build((None, 4))
    layers = [[pynn.tensor(w.numpy()) for w in models[0].parameters()], None]
    layers[1] = [*layers[0][:2], *(pynn.tensor(w.numpy()) for w in models[1].parameters()[2:])]
    rules = [optim.get(name).bind(each) for each in layers]
    for turn in range(6):
        i = turn % 2 if turn < 4 else 0
        target = Y if turn % 3 else -Y
        models[i].train_on_batch(X, target)
        w, b, v, c = layers[i]
        for t in layers[0] + layers[1]:
            t.grad = None
        error = (pynn.tensor(X) @ w + b).tanh() @ v + c - pynn.tensor(target)
        error.square().mean().backward()
        rules[i].step()
        for mine, theirs in zip(models[i].parameters(), layers[i], strict=True):
            np.testing.assert_allclose(mine.numpy(), theirs.numpy(), rtol=2e-4, atol=2e-5)
    assert models[0].layers[0].w is models[1].layers[0].w


def test_no_weight_moves_after_it_was_first_trained():
    """What was prepared, recorded or bound on its memory holds, whoever else trains it."""
    shared = nn.Dense(8, activation="tanh")
    first = nn.Sequential([nn.Input((4,)), shared, nn.Dense(1)])
    second = nn.Sequential([nn.Input((4,)), shared, nn.Dense(1)])
    for model in (first, second):
        model.compile("adam", "mse", seed=0)
    fit(first)
    at = [w.buffer.address for w in first.parameters()]
    fit(second)
    shared.trainable = False
    fit(first)
    shared.trainable = True
    first.add(nn.Dense(1))
    for model in (first, second, first):
        fit(model)
    assert [w.buffer.address for w in first.parameters()[:4]] == at
    recordings = [model._trainer.cache.recordings for model in (first, second)]
    for model in (first, second, first, second):
        fit(model)
    assert [model._trainer.cache.recordings for model in (first, second)] == recordings


def test_a_discriminator_that_is_frozen_in_turn_is_recorded_once():
    generator = nn.Sequential([nn.Input((4,)), nn.Dense(3)])
    critic = nn.Sequential([nn.Input((3,)), nn.Dense(4, activation="relu"), nn.Dense(1, activation="sigmoid")])
    critic.compile("adam", "binary_cross_entropy", seed=0)
    both = nn.Sequential([generator, critic])
    both.compile("adam", "binary_cross_entropy", seed=0)
    both.build((None, 4))
    ones, fake = np.ones((32, 1), "float32"), R.normal(size=(32, 3)).astype("float32")
    weights = lambda model: [w.numpy() for w in model.parameters()]  # noqa: E731
    for _ in range(5):
        critic.trainable = True
        before, others = weights(critic), weights(generator)
        critic.train_on_batch(fake, ones)
        assert not same(before, weights(critic))
        assert same(others, weights(generator))
        critic.trainable = False
        before = [w.numpy() for _, w in critic.named_parameters()]
        both.train_on_batch(X, ones)
        assert same(before, [w.numpy() for _, w in critic.named_parameters()])
        assert not same(others, weights(generator))
    assert [model._trainer.cache.recordings for model in (critic, both)] == [1, 1]


def test_a_layer_that_is_frozen_in_one_model_learns_nothing_of_the_past_in_the_other():
    shared = nn.Dense(8, activation="tanh")
    first = nn.Sequential([nn.Input((4,)), shared, nn.Dense(1)])
    second = nn.Sequential([nn.Input((4,)), shared, nn.Dense(1)])
    first.compile(optim.SGD(0.1), "mse", seed=0)
    second.compile(optim.SGD(0.1), "mse", seed=0)
    fit(first)
    shared.trainable = False
    assert not shared.w.requires_grad
    before = shared.w.numpy()
    fit(second)
    fit(first)
    assert np.array_equal(shared.w.numpy(), before)
    shared.trainable = True
    assert shared.w.requires_grad
    fit(first)
    assert not np.array_equal(shared.w.numpy(), before)


def test_one_optimizer_of_two_models_keeps_one_set_of_moments_per_weight():
    """As if both models' steps were made on the same parameters by hand, with one optimizer."""
    optimizer = optim.Adam(0.01)
    shared = nn.Dense(8, activation="tanh", seed=1)
    models = [nn.Sequential([nn.Input((4,)), shared, nn.Dense(1, seed=2 + i)]) for i in range(2)]
    for model in models:
        model.compile(optimizer, "mse", seed=0)
    for i in (0, 0, 1, 0, 1):
        models[i].train_on_batch(X, Y)
    counts = [int(optimizer.table[w].count.view()[0]) for m in models for w in m.parameters()]
    assert counts == [5, 5, 3, 3, 5, 5, 2, 2]


# Freezing


@pytest.mark.parametrize("name", NAMES)
def test_the_first_step_after_freezing_is_the_one_that_would_have_come(name):
    """The other layer's weights move as if the frozen one had only had a learning rate of 0."""
    steps = []
    for freeze in (False, True):
        model = two(optim.get(name))
        fit(model, 40)
        model.layers[0].trainable = not freeze
        before = model.layers[1].w.numpy()
        model.train_on_batch(X, Y)
        steps.append(model.layers[1].w.numpy() - before)
    np.testing.assert_allclose(*steps, rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize("name", ["adam", "nadam", "adamax", "momentum"])
def test_a_layer_that_was_frozen_goes_on_with_its_own_moments_and_its_own_count(name):
    model = two(optim.get(name))
    fit(model, 5)
    frozen, free = model.layers[0].w, model.layers[1].w
    table = model.optimizer.table
    kept = {key: slot.numpy() for key, slot in table[frozen].named().items()}
    model.layers[0].trainable = False
    fit(model, 5)
    assert same(kept.values(), [slot.numpy() for slot in table[frozen].named().values()])
    assert (table[frozen].count.numpy()[0], table[free].count.numpy()[0]) == (10, 20)
    model.layers[0].trainable = True
    fit(model, 1)
    assert (table[frozen].count.numpy()[0], table[free].count.numpy()[0]) == (12, 22)


def test_a_layer_that_was_frozen_from_the_start_begins_at_step_one():
    """Adam's first step of a weight is one learning rate long, whenever it comes."""
    model = two(optim.Adam(1e-3))
    model.layers[0].trainable = False
    fit(model, 500)
    model.layers[0].trainable = True
    before = model.layers[0].w.numpy()
    model.train_on_batch(X, Y)
    assert np.abs(model.layers[0].w.numpy() - before).max() == pytest.approx(1e-3, rel=1e-2)


@pytest.mark.parametrize("eagerly", [False, True])
@pytest.mark.parametrize("name", NAMES)
def test_freezing_and_back_is_the_same_recorded_and_by_hand(name, eagerly):
    model = two(optim.get(name))
    model._trainer.run_eagerly = eagerly
    for turn in range(4):
        model.layers[0].trainable = turn % 2 == 0
        fit(model, 2)
    other = two(optim.get(name))
    for turn in range(4):
        other.layers[0].trainable = turn % 2 == 0
        fit(other, 2)
    assert same(model.get_weights(), other.get_weights())


def test_a_layer_that_is_frozen_every_other_step_is_not_recorded_without_end():
    model = two()
    for turn in range(12):
        model.layers[0].trainable = turn % 2 == 0
        model.train_on_batch(X, Y)
    assert model._trainer.cache.recordings <= 4


def test_clipping_by_norm_is_over_what_is_trained():
    """The gradient of a frozen layer, however large it was, does not count."""
    moves = []
    for other in (1.0, 1e4):
        model = two(optim.SGD(1.0, clip_norm=1e-3))
        fit(model, 1, y=Y * other)
        model.set_weights(two().get_weights())
        model.layers[0].trainable = False
        before = model.layers[1].get_weights()
        model.train_on_batch(X, Y)
        moves.append(
            np.sqrt(sum(np.sum((a - b) ** 2) for a, b in zip(before, model.layers[1].get_weights(), strict=True)))
        )
    np.testing.assert_allclose(moves, 1e-3, rtol=1e-4)


def test_a_frozen_embedding_and_one_that_two_models_look_up():
    ids = R.integers(0, 20, (32, 5))
    for sparse in (False, True):
        table = nn.Embedding(30, 4, sparse=sparse, seed=0)
        models = [nn.Sequential([table, nn.Flatten(), nn.Dense(1, seed=1 + i)]) for i in range(2)]
        for model in models:
            model.compile(optim.Adam(0.01), "mse", seed=0)
        fit(models[0], x=ids, y=Y)
        before = table.w.numpy()
        for rows, model in ((slice(0, 16), models[1]), (slice(16, 32), models[0])):
            model.train_on_batch(ids[rows], Y[rows])
            gradient = model._trainer.flat.into[id(table.w)].numpy()
            assert not gradient[np.setdiff1d(np.arange(30), ids[rows])].any()
        assert not np.array_equal(table.w.numpy(), before)
        assert np.array_equal(table.w.numpy()[20:], before[20:])
        table.trainable = False
        before = table.w.numpy()
        fit(models[1], x=ids, y=Y)
        assert np.array_equal(table.w.numpy(), before)


def test_float64_nested_models_and_a_layer_used_twice():
    layer = nn.Dense(4, activation="tanh", seed=1)
    inner = nn.Sequential([nn.Input((4,)), layer, layer])
    outer = nn.Sequential([nn.Input((4,)), inner, nn.Dense(1, seed=2)]).astype("float64")
    side = nn.Sequential([inner, nn.Dense(1, seed=3)]).astype("float64")
    for model in (outer, side):
        model.compile(optim.Adam(0.01), "mse", seed=0)
        model.build((None, 4))
    x, y = X.astype("float64"), Y.astype("float64")
    for model in (outer, side, outer):
        before = layer.w.numpy()
        assert before.dtype == np.float64
        fit(model, x=x, y=y)
        assert not np.array_equal(before, layer.w.numpy())
    assert int(outer.optimizer.table[layer.w].count.view()[0]) == 4
    inner.trainable = False
    before = layer.w.numpy()
    fit(outer, x=x, y=y)
    assert np.array_equal(before, layer.w.numpy())


def test_a_batch_normalization_that_is_frozen_keeps_its_averages_while_others_train():
    critic = nn.Sequential([nn.Input((4,)), nn.Dense(4), nn.BatchNormalization(), nn.Dense(1)])
    critic.compile("adam", "mse", seed=0)
    both = nn.Sequential([nn.Input((4,)), nn.Dense(4), critic])
    both.compile("adam", "mse", seed=0)
    for _ in range(2):
        critic.trainable = True
        fit(critic)
        critic.trainable = False
        before = critic.get_weights()
        fit(both)
        assert same(before, critic.get_weights())


def test_one_weight_in_two_layers_is_updated_once():
    first, second = nn.Dense(4, use_bias=False, seed=0), nn.Dense(4, use_bias=False)
    model = nn.Sequential([nn.Input((4,)), first, second, nn.Dense(1, seed=1)])
    model.build((None, 4))
    second._weights["w"] = first.w
    model.compile(optim.SGD(0.1), "mse", seed=0)
    w, v, c = (pynn.tensor(t.numpy(), requires_grad=True) for t in (first.w, *model.layers[2]._weights.values()))
    model.train_on_batch(X, Y)
    (pynn.tensor(X) @ w @ w @ v + c - pynn.tensor(Y)).square().mean().backward()
    np.testing.assert_allclose(first.w.numpy(), w.numpy() - 0.1 * w.grad.numpy(), rtol=1e-5, atol=1e-6)
    assert second.w is first.w


def test_a_functional_model_beside_a_sequential():
    layer = nn.Dense(6, activation="relu")
    x = nn.Input((4,))
    graph = nn.Model(x, nn.Dense(1)(layer(x)))
    chain = nn.Sequential([nn.Input((4,)), layer, nn.Dense(1)])
    for model in (graph, chain):
        model.compile("adam", "mse", seed=0)
        model.predict(X)
    for model in (graph, chain, graph):
        before = layer.w.numpy()
        fit(model)
        assert not np.array_equal(before, layer.w.numpy())


def test_a_layer_added_after_training_begins_and_the_others_go_on():
    model = two(optim.Adam(0.01))
    fit(model, 3)
    old = model.parameters()
    slots = [model.optimizer.table[w].slots["v"].numpy() for w in old]
    model.add(nn.Dense(1))
    fit(model, 1, x=X[:16], y=Y[:16])
    counts = [int(model.optimizer.table[w].count.view()[0]) for w in model.parameters()]
    assert counts == [7, 7, 7, 7, 1, 1]
    assert all((model.optimizer.table[w].slots["v"].numpy() > 0.998 * v).all() for w, v in zip(old, slots, strict=True))


def test_a_weight_that_is_frozen_by_hand_is_not_trained_in_silence():
    model = two()
    fit(model)
    model.layers[0].w.requires_grad = False
    before = model.get_weights()
    with pytest.raises(DataError, match=r"'layers.0.w' to have requires_grad=True.*help: freeze the layer"):
        fit(model)
    assert same(before, model.get_weights())
    model.layers[0].trainable = False
    fit(model)
    assert np.array_equal(before[0], model.layers[0].w.numpy())
    assert not np.array_equal(before[2], model.layers[1].w.numpy())


def test_layers_that_a_callback_frees_one_after_the_other():
    """What is freed in the middle of fit is trained from the next step on, recorded and by hand."""
    ends = []
    for eagerly in (False, True):
        model = two(optim.Adam(0.01))
        model.layers[0].trainable = False
        before = model.layers[0].w.numpy()
        moved = []

        def free(epoch, logs=None, model=model, before=before, moved=moved):
            moved.append(not np.array_equal(before, model.layers[0].w.numpy()))
            model.layers[0].trainable = epoch >= 2

        fit(model, 5, run_eagerly=eagerly, callbacks=[pynn.train.LambdaCallback(on_epoch_begin=free)])
        assert moved == [False, False, False, True, True]
        assert int(model.optimizer.table[model.layers[0].w].count.view()[0]) == 6
        ends.append(model.get_weights())
    assert same(*ends)


# Looking changes nothing


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("look", ["evaluate", "predict", "profile", "validation", "save"])
def test_looking_while_a_layer_is_frozen_changes_nothing(look, name, tmp_path):
    ends = []
    for looks in (False, True):
        model = two(optim.get(name))
        fit(model, 3)
        model.layers[0].trainable = False
        if looks:
            if look == "evaluate":
                model.evaluate(X, Y)
            elif look == "predict":
                model.predict(X)
            elif look == "profile":
                model.profile(X, Y, steps=2)
            elif look == "save":
                model.save(tmp_path / "a.pynn")
        model.layers[0].trainable = True
        fit(model, 2, validation_data=(X, Y) if looks and look == "validation" else None)
        ends.append((model.get_weights(), model.optimizer.state().values()))
    assert same(ends[0][0], ends[1][0])
    assert same(*(end[1] for end in ends))


def test_a_model_without_anything_to_train_can_be_looked_at():
    model = two()
    model.trainable = False
    assert set(model.evaluate(X, Y).keys()) == {"loss"}
    with pytest.raises(DataError, match=r"no trainable parameters. help: set layer.trainable = True"):
        fit(model)


# Files


@pytest.mark.parametrize("name", NAMES)
def test_moments_of_frozen_layers_and_counts_are_in_the_file(name, tmp_path):
    model = two(optim.get(name))
    fit(model, 3)
    model.layers[0].trainable = False
    fit(model, 2)
    model.save(tmp_path / "a.pynn")
    again = pynn.load(tmp_path / "a.pynn")
    assert not again.layers[0].w.requires_grad
    for one in (model, again):
        one.layers[0].trainable = True
        fit(one, 2)
    assert same(model.get_weights(), again.get_weights())
    assert same(model.optimizer.state().values(), again.optimizer.state().values())


def test_a_file_tells_counts_only_where_they_differ(tmp_path):
    model = two("nadam")
    fit(model, 3)
    model.save(tmp_path / "a.pynn")
    names = pynn.io.read_info(tmp_path / "a.pynn")["tensors"]
    assert "optimizer/mu_product" in names
    assert not any("step" in name for name in names)
    model.layers[0].trainable = False
    fit(model, 3)
    model.save(tmp_path / "b.pynn")
    names = pynn.io.read_info(tmp_path / "b.pynn")["tensors"]
    assert {"optimizer/step/layers.0.w", "optimizer/mu_product/layers.0.w"} <= set(names)


# On tensors, by hand


def test_two_optimizers_may_hold_one_tensor():
    a, b = pynn.tensor([1.0], requires_grad=True), pynn.tensor([1.0], requires_grad=True)
    first, second = optim.SGD(0.1).bind([a, b]), optim.SGD(0.1).bind([b])
    (a * 2.0 + b).backward()
    first.step()
    assert (a.item(), b.item()) == (pytest.approx(0.8), pytest.approx(0.9))
    (b * 3.0).backward()
    second.step()
    assert b.item() == pytest.approx(0.6)
    (a + b).backward()
    first.step()
    assert (a.item(), b.item()) == (pytest.approx(0.7), pytest.approx(0.5))


def test_a_gradient_is_used_once():
    a, b = pynn.tensor([1.0], requires_grad=True), pynn.tensor([1.0], requires_grad=True)
    optimizer = optim.SGD(0.1).bind([a, b])
    (a * 2.0 + b).backward()
    optimizer.step()
    assert a.grad.item() == 2.0  # it can still be read
    (b * 5.0).backward()
    optimizer.step()
    assert (a.item(), b.item()) == (pytest.approx(0.8), pytest.approx(0.4))
    given = pynn.tensor([1.0])
    for _ in range(2):  # what is set anew counts anew
        a.grad = given
        optimizer.step()
    assert a.item() == pytest.approx(0.6)


def test_parameters_that_are_bound_later_keep_the_moments_of_the_others():
    a, b = pynn.tensor([1.0], requires_grad=True), pynn.tensor([1.0], requires_grad=True)
    optimizer = optim.Adam(0.1).bind([a])
    for _ in range(3):
        (a * a).sum().backward()
        optimizer.step()
    before = a.item(), optimizer.state()["v"].copy()
    optimizer.bind([a, b])
    assert optimizer.state()["v"][0] == before[1][0]
    assert optimizer.state()["step"].tolist() == [3, 0]
    (a * a + b * b).sum().backward()
    optimizer.step()
    assert b.item() == pytest.approx(0.9, rel=1e-4)


def test_parameters_of_two_dtypes_are_refused():
    with pytest.raises(DTypeError, match=r"one floating dtype. Received: float32, float64. help"):
        Flat([pynn.tensor([1.0]), pynn.tensor(np.array([1.0]))])
