"""Cards and kernels fit together: no kernel without a card, no card without kernel, reference and samples."""

import importlib
import pkgutil
import re
from pathlib import Path

import numpy as np
import pytest

import pynn
from pynn import config, testing
from pynn.core import _core
from pynn.core.card import CARDS, COMPOSITES, Card, Lowered, Sample, Spec, register
from pynn.core.gradients import gradients
from pynn.core.graph import execute
from pynn.core.tensor import DTYPE_INDEX, FLOATS, Tensor

for module in pkgutil.iter_modules(pynn.ops.__path__):
    importlib.import_module(f"pynn.ops.{module.name}")

ISAS = range(3)
SINGLE = {"dynamic_bytes", "static_bytes", "byte_matmul", "byte_conv", "byte_lstm"}  # kernels of float32 alone
COMPUTING = sorted(name for name, card in CARDS.items() if card.kernel)


def test_every_kernel_is_used_by_a_card():
    used = {card.kernel for card in CARDS.values()}
    assert [name for name in _core.kernel_names() if name not in used and not name.startswith("mock_")] == []


def test_every_card_names_a_kernel_that_exists():
    names = set(_core.kernel_names())
    assert {name: card.kernel for name, card in CARDS.items() if card.kernel and card.kernel not in names} == {}


@pytest.mark.parametrize("name", COMPUTING)
def test_the_kernel_exists_for_the_floating_dtypes_and_every_isa(name):
    kernel = CARDS[name].kernel
    for dtype in FLOATS:
        for isa in ISAS:
            found = _core.find_kernel(kernel, DTYPE_INDEX[dtype], isa)
            assert bool(found) != (kernel in SINGLE and dtype == "float64")


def test_an_unknown_kernel_is_not_found():
    assert _core.find_kernel("no_such_kernel", 0, 0) == 0
    assert _core.find_kernel("tanh_fwd", DTYPE_INDEX[np.dtype("int64")], 0) == 0


@pytest.mark.parametrize("name", sorted(CARDS))
def test_differentiable_cards_have_a_gradient_a_reference_and_samples(name):
    card = CARDS[name]
    if name.endswith(".grad"):
        assert name.removesuffix(".grad") in CARDS
        return
    assert card.has_gradient or not card.differentiable
    assert card.ref is not None
    assert list(testing.samples(card))


@pytest.mark.parametrize("name", sorted(COMPOSITES))
def test_composites_have_a_reference_and_samples(name):
    made = COMPOSITES[name]
    assert made.ref is not None
    assert list(testing.samples(made))
    assert made.function.__doc__


@pytest.mark.parametrize("name", sorted(CARDS))
def test_cards_say_what_they_compute(name):
    if not name.endswith(".grad"):
        assert CARDS[name].doc.strip()


def test_names_are_unique():
    with pytest.raises(ValueError, match="exists already"):
        register(Card("add", CARDS["add"].infer))


FUSED = sorted(name for name, card in CARDS.items() if not card.has_gradient and name.endswith(".grad"))


@pytest.mark.parametrize("name", FUSED)
def test_a_second_derivative_through_a_fused_gradient_is_refused(name):
    base = CARDS[name.removesuffix(".grad")]
    if base.smooth_vjp is not None:
        return  # that gradient is made of differentiable ops instead; test_graph.py compares it with formulas
    sample = next(s for s in testing.samples(base) if s.inputs[0].size > 1)
    inputs = [None if x is None else pynn.tensor(x) for x in sample.inputs]

    def f(x):
        return execute(base, (x, *inputs[1:]), sample.attrs)[0].sum()

    first = pynn.grad(f)(inputs[0])
    assert first.shape == inputs[0].shape
    with pytest.raises(RuntimeError, match=r"fused gradient and has no derivative.*help:"):
        pynn.grad(lambda x: pynn.grad(f)(x).square().sum())(inputs[0])


@pytest.mark.parametrize("name", sorted(name for name, card in CARDS.items() if card.smooth_vjp))
def test_the_gradient_that_may_be_differentiated_again_is_the_same(name):
    card = CARDS[name]
    for sample in testing.samples(card):
        inputs = [x if x is None or x.dtype.kind != "f" else x.astype("float64") for x in sample.inputs]
        inputs = [None if x is None else x if isinstance(x, Tensor) else pynn.tensor(x) for x in inputs]
        by = [x for x in inputs if x is not None and x.dtype in FLOATS]
        if max(x.size for x in by) > 2000:
            continue
        for x in by:
            x.requires_grad = True
        out = execute(card, inputs, sample.attrs)[0]
        weights = pynn.tensor(np.cos(np.arange(out.size, dtype="float64")).reshape(out.shape))
        one, two = (gradients(out, weights, by, create_graph=again) for again in (False, True))
        assert one.keys() == two.keys()
        for key, (_, found) in one.items():
            np.testing.assert_allclose(two[key][1].numpy(), found.numpy(), rtol=1e-9, atol=1e-12)


def test_a_card_made_elsewhere_gets_every_check():
    """An op that reuses a kernel under another name, as a user would add one, passes; a wrong one does not."""

    def infer(x):
        return Lowered((Spec(x.shape, x.dtype),), (x.size,))

    def vjp(g, dy):
        return (dy * g.outs[0],)

    def samples(r):
        yield Sample((r(3, 5),))

    good = Card("my_exp", infer, "exp_fwd", vjp=vjp, ref=np.exp, samples=samples, inplace=True, doc="y = e**x")
    testing.check(good)
    wrong_value = Card("my_exp", infer, "exp_fwd", vjp=vjp, ref=np.exp2, samples=samples)
    with pytest.raises(AssertionError, match=r"\[my_exp\]"):
        testing.check_values(wrong_value)
    wrong_gradient = Card("my_exp", infer, "exp_fwd", vjp=lambda g, dy: (dy,), ref=np.exp, samples=samples)
    with pytest.raises(AssertionError, match="gradient by input 0"):
        testing.check_gradients(wrong_gradient)

    def too_small(x):
        return Lowered((Spec((x.size - 1,), x.dtype),), (x.size,))

    with pytest.raises(MemoryError, match="outside a buffer"):
        testing.check_guards(Card("my_exp", too_small, "exp_fwd", samples=samples, differentiable=False))

    def errors(r):
        yield (r(3),), {}, ValueError, "never"

    with pytest.raises(AssertionError, match="expected ValueError"):
        testing.check_errors(Card("my_exp", infer, "exp_fwd", samples=samples, errors=errors))


def _negative(r):
    yield Sample((-1 - np.abs(r(7)),))


def test_an_in_place_kernel_that_may_not_be_one_is_found():
    """A flip of the rows may not write over its input."""

    def infer(x):
        return CARDS["slice"].infer(x, (x.shape[0] - 1,), (-1,), x.shape)

    flip = Card("flip", infer, "strided_copy", inplace=True, differentiable=False, samples=_negative)
    testing.check_threads(flip)
    with pytest.raises(AssertionError, match="in place"):
        testing.check_inplace(flip)


def test_a_result_that_depends_on_the_instruction_set_is_found():
    def infer(x):
        return Lowered((Spec(x.shape, x.dtype),), (x.size,), (1.0 + 0.01 * config.isa() * (x.dtype.itemsize == 4),))

    card = Card("drift", infer, "leaky_relu_fwd", differentiable=False, samples=_negative)
    if len(_core.isa_available()) > 1:
        with pytest.raises(AssertionError, match=_core.isa_available()[1]):
            testing.check_isa(card)


def test_a_result_that_depends_on_the_threads_is_found():
    def infer(x):
        return Lowered((Spec(x.shape, x.dtype),), (x.size,), (1.0 + pynn.get_num_threads(),))

    card = Card("drift", infer, "leaky_relu_fwd", differentiable=False, samples=_negative)
    if _core.has_threads():
        with pytest.raises(AssertionError, match="2 threads"):
            testing.check_threads(card)


def test_one_wrong_element_among_many_is_found():
    """Inputs with many elements are moved in random directions, to which every element contributes."""

    def infer(x):
        return Lowered((Spec(x.shape, x.dtype),), (x.size,))

    def vjp(g, dy):
        mask = np.ones(g.inputs[0].shape)
        mask[3, 17] = 0.99
        return (dy * g.outs[0] * mask.astype(dy.dtype),)

    wrong = Card("my_exp", infer, "exp_fwd", vjp=vjp, samples=lambda r: iter([Sample((r(50, 60),))]))
    with pytest.raises(AssertionError, match="gradient by input 0"):
        testing.check_gradients(wrong)


def test_a_target_takes_what_it_lacks_from_its_fallbacks():
    """Kernels in C and in Cython are found alike, and a table of its own comes before the generic one."""
    generic, avx512, amx = (config.TARGETS.index(name) for name in ("generic", "avx512", "amx"))
    ours = _core.find_kernel("dense_fwd", 0, generic)
    assert ours
    assert {_core.find_kernel("dense_fwd", 0, target) for target in (avx512, amx)} == {ours}
    relu = _core.find_kernel("relu_fwd", 0, generic)
    assert _core.find_kernel("relu_fwd", 0, amx) == _core.find_kernel("relu_fwd", 0, avx512) != relu
    theirs = _core.find_kernel("copy", 0, generic)
    try:
        _core.register_kernel("dense_fwd", 0, theirs, avx512)
        assert _core.find_kernel("dense_fwd", 0, avx512) == _core.find_kernel("dense_fwd", 0, amx) == theirs
        assert _core.find_kernel("dense_fwd", 0, generic) == ours
    finally:
        _core.register_kernel("dense_fwd", 0, 0, avx512)
    assert _core.find_kernel("dense_fwd", 0, avx512) == ours


def test_one_row_of_targets_def_names_each_table():
    assert config.TARGETS[: len(config.ISA_NAMES)] == config.ISA_NAMES
    assert set(_core.isa_available()) <= set(config.ISA_NAMES)
    assert set(_core.units_available()) <= set(config.TARGETS) - set(config.ISA_NAMES)
    with config.use_isa("generic"):
        assert config.TARGETS[config.target()] == config.ISA_NAMES[config.isa()] == "generic"


def test_operands_of_kernels_have_names():
    """No kernel says arg[3] or dim[7]: enumerators or a struct that is read once name what they are."""
    root = Path(__file__).resolve().parents[1]
    sources = [*root.glob("csrc/**/*.[ch]"), *root.glob("pynn/core/kernels/*.px[iy]")]
    if not sources:
        pytest.skip("no source tree here")
    numbered = re.compile(r"\bI(?:->|\.)(?:arg|dim)\[\d+\]")
    found = [f"{path.name}: {match[0]}" for path in sources for match in numbered.finditer(path.read_text("utf-8"))]
    assert found == []
