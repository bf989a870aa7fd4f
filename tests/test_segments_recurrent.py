"""Recurrent layers of a batch in segments: one loop over time for all rows, with the bits of each segment's own."""

import numpy as np
import pytest
from test_segments import compiled, same, trained

import pynn
from pynn import nn, ops, optim
from pynn.core.card import CARDS
from pynn.core.graph import execute
from pynn.core.tensor import Tensor
from pynn.ops import rnn_shared
from pynn.train import segments

R = np.random.default_rng(6)
WORDS, TAGS = R.integers(0, 30, (50, 7)), R.integers(0, 5, (50, 7))
LONG, LAST = R.integers(0, 30, (12, 170)), R.integers(0, 5, 12)


def tagger(*layers, size=9, steps=7):
    def make(**settings):
        inner = [layer() for layer in layers]
        return compiled([nn.Input((steps,)), nn.Embedding(30, size), *inner, nn.Dense(5)], **settings)

    return make


def steps(kind, units=12, **settings):
    return lambda: kind(units, return_sequences=True, **settings)


# Gradients of large weights are products of their own, and sums of columns.
LARGE = [steps(nn.LSTM, 300), steps(nn.GRU, 300), steps(nn.SimpleRNN, 300)]
LARGE.append(steps(nn.GRU, 300, reset_after=False, go_backwards=True))
NETWORKS = {
    "lstm": tagger(steps(nn.LSTM, dropout=0.2), steps(nn.LSTM, 11)),
    "gru": tagger(steps(nn.GRU, go_backwards=True), steps(nn.GRU, reset_after=False)),
    "simple_rnn": tagger(steps(nn.SimpleRNN, use_bias=False), steps(nn.SimpleRNN, activation="relu")),
    "both ways": tagger(lambda: nn.Bidirectional(nn.LSTM(8, return_sequences=True))),
    "large": tagger(*LARGE, size=300),
}


def calls_of(monkeypatch):
    """Return a list to which the names of cards and the numbers of operands are added."""
    calls = []

    def noted(card, operands, *more, **options):
        calls.append((card.name, len(operands)))
        return execute(card, operands, *more, **options)

    monkeypatch.setattr(rnn_shared, "execute", noted)
    return calls


def both_ways(monkeypatch, make, x, y, accumulate, **more):
    """Return weights and losses where each segment has its own loops, and where all have one."""
    found = []
    for least in (1 << 40, 0):
        monkeypatch.setattr(segments, "LARGE", least)
        monkeypatch.setattr(segments, "MEMORY", 1 << 30)
        weights, history = trained(make, x, y, accumulate, batch=20, **more)
        found.append([*weights, np.array(history["loss"])])
    return found


def vectors():
    return pynn.core.config.ISA_NAMES[pynn.core.config.isa()] != "generic"


CASES = [(name, *case) for name in NETWORKS for case in ((8, "float32"), (3, "float32"), (2, "float64"))]


@pytest.mark.parametrize(("name", "accumulate", "dtype"), CASES)
def test_one_loop_for_all_rows_gives_the_bits_of_each_segment_s_own(name, accumulate, dtype, monkeypatch):
    calls = calls_of(monkeypatch)
    settings = {"compile": {"optimizer": optim.Adam(0.01, clip_norm=1.0)}}

    def make(**more):
        return NETWORKS[name](**more).astype(dtype)

    for more in ({}, {"run_eagerly": True}, {"threads": 2})[: 1 if name == "large" else 3]:
        alone, together = both_ways(monkeypatch, make, WORDS, TAGS, accumulate, **settings, **more)
        assert same(alone, together)
    grads = {count for card, count in calls if card.endswith(".grad")}
    # Of three segments, which are no power of two, each has its own gradient: without the places where segments begin.
    assert grads == ({14 if accumulate == 3 else 15} if vectors() else set())


def test_pieces_of_more_terms_than_a_block_of_a_product(monkeypatch):
    calls = calls_of(monkeypatch)
    make = tagger(lambda: nn.LSTM(12), steps=170)
    alone, together = both_ways(monkeypatch, make, LONG, LAST, 2)
    assert same(alone, together)
    assert (("lstm.grad", 15) in calls) == vectors()


def test_first_states_and_last_ones_are_those_of_each_segment_s_rows(monkeypatch):
    class Continued(nn.Module):
        """A network whose second layer begins where the first one ends."""

        def __init__(self):
            super().__init__()
            self.words = nn.Embedding(30, 6)
            self.read, self.write = nn.LSTM(8, return_state=True), nn.LSTM(8, return_sequences=True)
            self.out = nn.Dense(5)

        def forward(self, ids):
            x = self.words(ids)
            _, h, c = self.read(x)
            return self.out(self.write(x, (h, c)))

    def make(**more):
        model = Continued()
        model.compile("adam", "cross_entropy", seed=3)
        return model

    calls = calls_of(monkeypatch)
    alone, together = both_ways(monkeypatch, make, WORDS, TAGS, 4)
    assert same(alone, together)
    assert (("lstm.grad", 15) in calls) == vectors()


def test_states_that_outlive_a_batch(monkeypatch):
    make = tagger(steps(nn.LSTM, stateful=True))
    alone, together = both_ways(monkeypatch, make, WORDS[:40], TAGS[:40], 4, shuffle=False)
    assert same(alone, together)


def test_weights_that_are_used_twice_or_frozen_have_gradients_of_their_own(monkeypatch):
    def twice(**more):
        layer = nn.LSTM(9, return_sequences=True, seed=1)
        return tagger(lambda: layer, lambda: layer)(**more)

    def frozen(**more):
        model = tagger(steps(nn.LSTM), steps(nn.LSTM))(**more)
        model.layers[1].trainable = False
        model.compile("adam", "cross_entropy", seed=3)
        return model

    for make in (twice, frozen):
        alone, together = both_ways(monkeypatch, make, WORDS, TAGS, 4)
        assert same(alone, together)


@pytest.mark.parametrize("layer", [steps(nn.LSTM, peephole=True), steps(nn.GRU, recurrent_dropout=0.3)])
def test_layers_that_sum_in_another_way_have_loops_of_their_own(layer, monkeypatch):
    calls = calls_of(monkeypatch)
    alone, together = both_ways(monkeypatch, tagger(layer), WORDS, TAGS, 4)
    assert same(alone, together)
    assert calls == []


def test_places_beyond_the_batch_are_refused():
    x, w, u, b = (Tensor.state(R.standard_normal(s).astype("float32")) for s in ((4, 3, 2), (2, 12), (3, 12), (12,)))
    _, h, _ = ops.lstm(x, w, u, b)
    outs = execute(CARDS["lstm"], (x, w, u, b, None, None, None, None, None), {})
    needs = dict.fromkeys(("x", "w", "u", "b", "h0", "c0", "peep"), True)
    for cuts in ([0, 2, 5], [0, 3, 2], [-1, 2, 4]):
        given = Tensor.state(np.array(cuts, np.int64))
        operands = (outs[3], None, h, None, x, w, u, b, None, None, None, None, None, outs[4], given)
        with pytest.raises(IndexError, match=r"lstm\.grad"):
            execute(CARDS["lstm.grad"], operands, {"needs": needs, "cell": 1})
