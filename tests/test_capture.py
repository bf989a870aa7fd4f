"""The rules of capture about values, memory and gradients, each as the footgun that it rules out."""

import numpy as np
import pytest
from classifiers import OPTIMIZERS, assert_same_bits, bits, blobs, mlp, programs

import pynn
from pynn import nn, ops, optim
from pynn.core.tensor import Tensor
from pynn.errors import CaptureError


def addresses(model):
    """Return where every parameter and every slot of the optimizer lies."""
    trainer = model._trainer
    slots = [t for t in vars(trainer.optimizer).values() if isinstance(t, Tensor)]
    return [w.buffer.address for _, w in model.named_parameters()] + [t.buffer.address for t in slots]


# Rule 3: reading a value while recording is refused


def reading(how):
    class Reads(nn.Module):
        def __init__(self):
            super().__init__()
            self.dense = nn.Dense(3)

        def forward(self, x):
            out = self.dense(x)
            how(out)
            return out

    return Reads()


READS = {
    "numpy": lambda t: t.numpy(),
    "item": lambda t: ops.mean(t).item(),
    "float": lambda t: float(ops.mean(t)),
    "int": lambda t: int(ops.mean(t)),
    "bool": lambda t: bool(ops.mean(t) > 0),
    "not": lambda t: not ops.mean(t),
    "tolist": lambda t: t.tolist(),
    "asarray": lambda t: np.asarray(t),
    "array function": lambda t: np.ceil(t),
    "tensor": lambda t: pynn.tensor(t),
}


@pytest.mark.parametrize("how", READS)
def test_reading_a_value_while_recording_changes_nothing(how):
    model = reading(READS[how])
    model.compile(optimizer="adam", loss="cross_entropy", seed=1)
    x, y = blobs(32)
    model.build(x.shape)
    model(x)  # builds the inner layer
    before = bits(model)
    with pytest.raises(CaptureError, match=r"(?s)read while a step was being recorded.*help:.*run_eagerly=True"):
        model.fit(x, y, batch_size=16, verbose=0)
    assert bits(model) == before
    assert not list(model._trainer.cache)
    # The state of the process is usable again: values can be read, and the same model can be trained.
    assert pynn.tensor([1.0]).numpy() == 1
    assert int(model._trainer.slots.step.view()[0]) == 0
    model.fit(x, y, batch_size=16, verbose=0, run_eagerly=True)
    assert bits(model) != before


def test_reading_in_predict_is_refused_too():
    model = reading(lambda t: t.numpy())
    model.compile(optimizer="sgd", loss="cross_entropy")
    x, _ = blobs(8)
    model(x)
    with pytest.raises(CaptureError):
        model.predict(x)


def test_printing_a_tensor_while_recording_is_allowed():
    seen = []
    model = reading(lambda t: seen.append(repr(t)))
    model.compile(optimizer="sgd", loss="cross_entropy")
    x, y = blobs(8)
    model.fit(x, y, batch_size=8, verbose=0)
    assert any("recording" in text for text in seen)


def test_changing_a_layer_while_recording_is_refused():
    class Grows(nn.Module):
        def __init__(self):
            super().__init__()
            self.dense = nn.Dense(3)
            self.calls = 0

        def forward(self, x):
            self.calls += 1
            return self.dense(x)

    model = Grows()
    model.compile(optimizer="sgd", loss="cross_entropy")
    x, y = blobs(8)
    model(x)
    before = bits(model)
    with pytest.raises(CaptureError, match=r"(?s)\[grows\] attribute 'calls' was changed.*help:"):
        model.fit(x, y, verbose=0)
    assert bits(model) == before
    model.fit(x, y, verbose=0, run_eagerly=True)


@pytest.mark.parametrize("change", ["trainable", "add", "rate"])
def test_every_way_to_change_a_model_while_recording_is_refused(change):
    class Changes(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = nn.Sequential([nn.Dense(4), nn.Dropout(0.1)])
            self.last = nn.Dense(3)

        def forward(self, x):
            out = self.last(self.inner(x))
            if self.__dict__.get("_armed"):
                if change == "trainable":
                    self.last.trainable = False
                elif change == "add":
                    self.inner.add(nn.Dense(4))
                else:
                    self.inner.layers[1].rate = 0.5
            return out

    model = Changes()
    model.compile(optimizer="sgd", loss="cross_entropy")
    x, y = blobs(8)
    model(x)
    trainer = model._trainer
    data = trainer.data(x, y)
    before = bits(model)
    object.__setattr__(model, "_armed", True)
    trainer.slots.set(offset=0, rate=trainer.optimizer.rates(0, 1))
    with pytest.raises(CaptureError):
        trainer.run_steps(data, np.arange(8), 8, 1, False, True)
    assert bits(model) == before


def test_fit_inside_forward_is_refused():
    class Nested(nn.Module):
        def __init__(self, other):
            super().__init__()
            self.dense = nn.Dense(3)
            self._other = other

        def forward(self, x):
            self._other.predict(np.zeros((1, 6), "float32"))
            return self.dense(x)

    inner = mlp()
    model = Nested(inner)
    model.compile(optimizer="sgd", loss="cross_entropy")
    x, y = blobs(8)
    model(x)
    before = bits(model)
    with pytest.raises(CaptureError, match="already under way"):
        model.fit(x, y, verbose=0)
    assert bits(model) == before


# Rule 4: what leaves a program is a copy


def test_predictions_of_two_calls_do_not_alias():
    model = mlp()
    x, _ = blobs(16)
    one = model.predict(x)
    kept = one.copy()
    two = model.predict(-x)
    assert not np.shares_memory(one, two)
    assert np.array_equal(one, kept)
    two[:] = 0
    assert np.array_equal(model.predict(x), kept)


def test_weights_that_were_read_do_not_follow_the_training():
    model = mlp()
    x, y = blobs(16)
    weights = model.get_weights()
    kept = [w.copy() for w in weights]
    model.fit(x, y, verbose=0)
    assert_same_bits(weights, kept)
    weights[0][:] = 1e9
    assert not np.any(model.get_weights()[0] == 1e9)


def test_user_data_are_never_written():
    model = mlp(nn.Dropout(0.5), optimizer="adam")
    x, y = blobs(50)
    w = np.ones(50, "float32")
    kept = x.copy(), y.copy(), w.copy()
    for a in (x, y, w):
        a.setflags(write=False)
    model.fit(x, y, sample_weight=w, batch_size=16, epochs=2, verbose=0)
    model.evaluate(x, y)
    model.predict(x)
    assert_same_bits([x, y, w], list(kept))


# Rule 5: state is never moved


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adadelta"])
def test_state_stays_where_it_is(optimizer):
    model = mlp(nn.Dropout(0.1), optimizer=optimizer)
    x, y = blobs(50)
    model.fit(x, y, batch_size=16, verbose=0)
    before = addresses(model)
    assert len(before) >= 4
    model.fit(x, y, batch_size=7, epochs=2, validation_split=0.2, verbose=0)
    model.predict(x)
    model.evaluate(x, y)
    model.set_weights([w * 0.5 for w in model.get_weights()])
    model.profile(x, y, steps=2)
    model.fit(x, y, batch_size=16, verbose=0)
    assert addresses(model) == before


def test_parameters_lie_in_one_flat_buffer_in_order():
    model = mlp()
    x, y = blobs(16)
    model.fit(x, y, verbose=0)
    home = model.parameters()[0].buffer.root()
    assert all(w.buffer.root() is home for w in model.parameters())
    at = [w.buffer.offset for w in model.parameters()]
    assert at == sorted(at)
    assert all(a % 64 == 0 for a in at)


def test_only_mutating_kernels_write_state():
    model = mlp(nn.Dropout(0.3), optimizer="adam")
    x, y = blobs(32)
    model.fit(x, y, batch_size=16, verbose=0)
    home = model.parameters()[0].buffer.root()
    low, high = home.address, home.address + home.nbytes
    writers = set()
    for program in programs(model):
        for instr in program.instrs:
            for b in instr.buffers[: instr.n_out]:
                if b is not None and low <= b.address < high:
                    writers.add(instr.card.name)
                    assert instr.card.mutates
    assert len(writers) == 1  # the optimizer's one pass


def test_prediction_follows_weights_that_another_model_took_over():
    """Also in a model that was never compiled, and so has no flat buffer of its own."""
    shared = nn.Dense(8, activation="tanh")
    plain = nn.Sequential([nn.Input((6,)), shared])
    x, y = blobs(32)
    for _ in range(2):
        plain.predict(x)
    model = nn.Sequential([nn.Input((6,)), shared, nn.Dense(3)])
    model.compile(optimizer=optim.SGD(0.5), loss="cross_entropy", seed=0)
    model.fit(x, y, verbose=0)
    np.testing.assert_array_equal(plain.predict(x), plain(x).numpy())
    model.fit(x, y, verbose=0)
    np.testing.assert_array_equal(plain.predict(x), plain(x).numpy())


def test_momentum_survives_the_moving_of_weights():
    """Two models that share a layer and are trained in turns keep the state of their optimizers."""
    x, y = blobs(32)
    shared = nn.Dense(3, seed=1)
    one, two = nn.Sequential([nn.Input((6,)), shared]), nn.Sequential([nn.Input((6,)), shared])
    for model in (one, two):
        model.compile(optimizer=optim.SGD(0.1, momentum=0.9), loss="cross_entropy", seed=0)
    alone = nn.Sequential([nn.Input((6,)), nn.Dense(3, seed=1)])
    alone.compile(optimizer=optim.SGD(0.1, momentum=0.9), loss="cross_entropy", seed=0)
    one.fit(x, y, batch_size=32, verbose=0)
    kept = one.get_weights()
    two.fit(x, y, batch_size=32, verbose=0)
    one.set_weights(kept)
    one.fit(x, y, batch_size=32, epochs=2, initial_epoch=1, verbose=0)
    alone.fit(x, y, batch_size=32, epochs=2, verbose=0)
    assert bits(one) == bits(alone)


def test_layer_shared_by_two_models_is_trained_by_both():
    """The second model moves the shared weights to a flat buffer of its own; the first must not train dead memory."""

    def two(eager):
        shared = nn.Dense(8, activation="tanh", seed=5)
        one = nn.Sequential([nn.Input((6,)), shared, nn.Dense(3)])
        two = nn.Sequential([nn.Input((6,)), shared, nn.Dense(2)])
        for model in (one, two):
            model.compile(optimizer=optim.SGD(0.1), loss="cross_entropy", seed=1, run_eagerly=eager)
        x, y = blobs(32)
        for model, labels in ((one, y), (two, y % 2), (one, y), (two, y % 2)):
            before = model.get_weights()
            model.fit(x, labels, batch_size=16, verbose=0)
            assert not np.array_equal(shared.get_weights()[0], before[0])
            model.predict(x)
        np.testing.assert_array_equal(one.layers[0].w.numpy(), two.layers[0].w.numpy())
        return bits(one) + bits(two), one.predict(x).tobytes()

    assert two(False) == two(True)


# Rule 7: gradients are written, not accumulated


def test_weight_of_two_layers_gets_the_sum():
    class Twice(nn.Module):
        def build(self, input_shape):
            self.add_weight("w", (4, 4))

        def forward(self, x):
            return ops.matmul(ops.tanh(ops.matmul(x, self.w)), self.w)

    r = np.random.default_rng(0)
    x = r.standard_normal((5, 4))
    model = Twice().astype("float64")
    model.compile(optimizer=optim.SGD(1.0), loss="mse", seed=0)
    model(x)
    w = model.w.numpy()
    target = np.zeros((5, 4))
    for _ in range(3):
        h = np.tanh(x @ w)
        e = 2 * (h @ w) / 20
        w = w - (h.T @ e + x.T @ ((e @ w.T) * (1 - h * h)))
        model.train_on_batch(x, target)
        np.testing.assert_allclose(model.w.numpy(), w, rtol=1e-12)


@pytest.mark.parametrize("eager", [False, True])
def test_same_batch_twice_needs_no_zeroing(eager):
    x, y = blobs(16, dtype="float64")
    model = nn.Sequential([nn.Input((6,)), nn.Dense(1)]).astype("float64")
    model.compile(optimizer=optim.SGD(0.01), loss="mse", seed=0, run_eagerly=eager)
    w, b = model.get_weights()
    target = y[:, None].astype("float64")
    for _ in range(5):
        model.train_on_batch(x, target)
        e = 2 * (x @ w + b - target) / 16
        w, b = w - 0.01 * x.T @ e, b - 0.01 * e.sum(0)
    np.testing.assert_allclose(model.layers[0].w.numpy(), w, rtol=1e-12)
    np.testing.assert_allclose(model.layers[0].b.numpy(), b, rtol=1e-12)


def test_backward_twice_writes_the_same_gradient():
    w = pynn.tensor([2.0, 3.0], requires_grad=True)
    for _ in range(3):
        (w * w).sum().backward()
        assert w.grad.tolist() == [4.0, 6.0]


@pytest.mark.parametrize("eager", [False, True])
def test_unused_parameter_gets_gradient_zero(eager):
    """Also when its memory holds the gradient of an earlier use."""

    class Branches(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Dense(3), nn.Dense(3)
            self._use_b = True

        def forward(self, x):
            return self.a(x) + self.b(x) if self._use_b else self.a(x)

    model = Branches()
    model.compile(optimizer=optim.SGD(0.1), loss="cross_entropy", seed=0, run_eagerly=eager)
    x, y = blobs(16)
    model.train_on_batch(x, y)
    model._use_b = False
    model.renewed = True  # so that the step is recorded anew
    before_a, before_b = model.a.w.numpy(), model.b.w.numpy()
    model.train_on_batch(x, y)
    assert np.any(before_b != 0)
    assert np.array_equal(model.b.w.numpy(), before_b)
    assert not np.array_equal(model.a.w.numpy(), before_a)
    assert not np.any(model._trainer.flat.into[id(model.b.w)].view())


def test_unused_parameter_of_a_module_is_not_moved_by_momentum_of_garbage():
    class Idle(nn.Module):
        def __init__(self):
            super().__init__()
            self.used, self.idle = nn.Dense(3), nn.Dense(3)

        def forward(self, x):
            if not self.idle.built:
                self.idle(x)
            return self.used(x)

    for name in OPTIMIZERS:
        if name == "weight decay" or name == "adamw":
            continue  # decays what it does not use
        model = Idle()
        model.compile(optimizer=OPTIMIZERS[name](), loss="cross_entropy", seed=0)
        x, y = blobs(16)
        model(x)
        before = model.idle.w.numpy()
        model.fit(x, y, batch_size=8, epochs=2, verbose=0)
        assert np.array_equal(model.idle.w.numpy(), before), name


# Rule 9: a fused gradient has no second derivative


def test_second_derivative_through_a_fused_gradient_is_refused():
    w = np.ones((3, 2), "float32")
    f = lambda x: ops.sum(ops.square(ops.gelu(ops.matmul(x, w))))  # noqa: E731
    assert pynn.grad(f)(np.ones((1, 3), "float32")).shape == (1, 3)
    with pytest.raises(RuntimeError, match=r"(?s)fused gradient.*second derivative.*help: write the expression"):
        pynn.grad(lambda x: ops.sum(pynn.grad(f)(x)))(np.ones((1, 3), "float32"))


def test_second_derivative_of_elementary_ops_is_right():
    second = pynn.grad(pynn.grad(lambda x: ops.exp(x * x)))
    assert second(pynn.tensor(0.5, dtype="float64")).item() == pytest.approx((2 + 4 * 0.25) * np.exp(0.25))
