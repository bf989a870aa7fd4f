"""What recurrent layers refuse, and how they say it."""

import numpy as np
import pytest

from pynn import nn
from pynn.errors import DataError, DTypeError, ShapeError

N, T, D, H = 5, 7, 4, 6
LENGTHS = np.array([7, 3, 1, 5, 7], "int32")


def data(*shape, seed=3):
    return np.random.default_rng(seed).standard_normal(shape)


X = data(N, T, D).astype("float32")
LSTM, LSTM2 = nn.LSTM(H), nn.LSTM(H)
BAD = {
    "length zero": (lambda: LSTM(X, lengths=[1, 2, 0, 1, 1]), DataError, r"from 1 to 7.*lengths\[2\]=0"),
    "length too large": (lambda: LSTM(X, lengths=[1, 2, 8, 1, 1]), DataError, r"lengths\[2\]=8"),
    "float lengths": (lambda: LSTM(X, lengths=[1.0] * 5), DTypeError, "whole numbers"),
    "number of lengths": (lambda: LSTM(X, lengths=[1, 2]), ShapeError, r"lengths of shape \(5,\)"),
    "mask shape": (lambda: LSTM(X, mask=np.ones((5, 6), bool)), ShapeError, r"mask of shape \(5, 7\)"),
    "mask and lengths": (lambda: LSTM(X, mask=np.ones((5, 7), bool), lengths=LENGTHS), ValueError, "both"),
    "state shape": (lambda: LSTM(X, [np.ones((5, 3), "float32")] * 2), ShapeError, r"initial state of shape \(5, 6\)"),
    "number of states": (lambda: LSTM(X, np.ones((5, H), "float32")), ShapeError, "expected 2 initial states"),
    "mask without a step": (
        lambda: LSTM(X, mask=np.arange(7) < np.array([[7], [0], [1], [2], [3]])), DataError, r"mask\[1\].*everywhere",
    ),
    "cell state shape": (
        lambda: LSTM(X, [np.ones((5, H), "float32"), np.ones((4, H), "float32")]), ShapeError, r"cell state of shape",
    ),
    "bidirectional mask": (lambda: nn.Bidirectional(LSTM2)(X, mask=np.ones((5, 9), bool)), ShapeError, r"\(5, 7\)"),
    "jordan output": (lambda: nn.JordanRNN(3, 2, output_activation="sofmax"), ValueError, "softmax"),
    "layer norm epsilon": (lambda: nn.LayerNormLSTM(3, epsilon=0.0), ValueError, "epsilon to be a finite number"),
    "layer norm peephole": (lambda: nn.LayerNormLSTM(3, peephole=True), ValueError, "nn.LSTM"),
    "no features": (lambda: nn.LSTM(3)(np.ones((2, 3), "float32")), ShapeError, "nn.Embedding"),
    "units": (lambda: nn.LSTM(0), ValueError, "units"),
    "dropout": (lambda: nn.GRU(3, recurrent_dropout=1.0), ValueError, r"recurrent_dropout to be a number in \[0, 1\)"),
    "activation": (lambda: nn.SimpleRNN(3, activation="tahn"), ValueError, "tanh"),
    "merge mode": (lambda: nn.Bidirectional(nn.LSTM(3), merge_mode="cat"), ValueError, "concat"),
    "bidirectional dense": (lambda: nn.Bidirectional(nn.Dense(3)), TypeError, "recurrent layer"),
    "bidirectional backwards": (
        lambda: nn.Bidirectional(nn.LSTM(3, go_backwards=True)), ValueError, "go_backwards=True",
    ),
    "jordan targets": (lambda: nn.JordanRNN(3, 2)(X, X), ShapeError, r"targets of shape \(5, 7, 2\)"),
    "time distributed": (lambda: nn.TimeDistributed(nn.Dense(3))(X[0]), ShapeError, r"\[N, T, ...\]"),
}  # fmt: skip


@pytest.mark.parametrize("name", list(BAD))
def test_bad_input_is_refused(name):
    call, kind, pattern = BAD[name]
    with pytest.raises(kind, match=f"(?s){pattern}"):
        call()


def test_a_stateful_layer_that_is_trained_refuses_another_batch_size():
    layer = nn.LSTM(H, stateful=True)
    layer(X, training=True)
    with pytest.raises(ShapeError, match=r"batches of 5 sequences.*Received: 3.*reset_states"):
        layer(X[:3], training=True)
    layer.reset_states()
    assert layer(X[:3], training=True).shape == (3, H)


def test_a_stateful_model_refuses_an_incomplete_last_batch():
    model = nn.Sequential([nn.LSTM(H, stateful=True), nn.Dense(2)])
    model.compile("sgd", "cross_entropy", seed=0)
    with pytest.raises(ShapeError, match=r"batches of 2 sequences.*Received: 1.*incomplete last batch"):
        model.fit(X, np.zeros(5, int), batch_size=2, shuffle=False, verbose=0)


class WithLengths(nn.Module):
    """Takes lengths as data, so that a program meets new ones in every batch."""

    def __init__(self):
        super().__init__()
        self.rnn = nn.GRU(3)

    def forward(self, x, lengths):
        return self.rnn(x, lengths=lengths.reshape((-1,)).astype("int32"))


@pytest.mark.parametrize("bad", [8, 0, -1])
def test_a_bad_length_in_a_later_batch_stops_a_program_and_is_named(bad):
    x, lengths = np.repeat(X, 4, 0), np.full((20, 1), 7.0, "float32")
    lengths[13] = bad
    model = WithLengths()
    model.compile("sgd", "mse", seed=0)
    with pytest.raises(DataError, match=rf"lengths from 1 to 7\. Received: lengths\[3\] = {bad}"):
        model.fit((x, lengths), np.zeros((20, 3)), batch_size=5, shuffle=False, verbose=0)
