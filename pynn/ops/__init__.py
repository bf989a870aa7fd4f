"""Operations on tensors. Each is a card (or a composition of them) in the module of its family."""

from __future__ import annotations

import importlib
from typing import Any

from pynn.core.card import CARDS, COMPOSITES
from pynn.ops import carry, numpy_calls, operators
from pynn.ops.activation import *  # noqa: F403  (the rows of elementwise functions)
from pynn.ops.dense import dense
from pynn.ops.embedding import embedding, sequence_lengths
from pynn.ops.entropy import cross_entropy, kl_divergence
from pynn.ops.lengths import mask_steps, reverse_steps, with_lengths, without_lengths
from pynn.ops.loss import (
    binary_cross_entropy,
    hinge,
    huber,
    mae,
    mse,
    mse_half,
    poisson,
    squared_hinge,
    weighted_mean,
)
from pynn.ops.math import (
    add,
    div,
    equal,
    less,
    less_equal,
    matmul,
    maximum,
    minimum,
    mul,
    not_equal,
    pow,
    sub,
    where,
)
from pynn.ops.optim import clip_norm, clip_value, max_norm, penalty
from pynn.ops.random import dropout, normal, uniform
from pynn.ops.reduce import argmax, expand, max, mean, min, sum, var
from pynn.ops.shape import cast, concat, copy, eye_rows, gather, ones, reshape, slice, transpose, zeros
from pynn.ops.softmax import log_softmax, softmax

# Families that are loaded when first used, so that `import pynn` stays quick.
_LAZY = {
    "augment": (),
    "conv": ("conv2d", "conv2d_transpose", "patches2d"),
    "filters": ("convolve2d", "correlate2d", "image_filter"),
    "image": ("crop2d", "pad2d", "upsample2d"),
    "local": ("locally_connected2d",),
    "local_norm": ("local_contrast_norm", "local_response_norm"),
    "jordan": ("jordan_rnn",),
    "norm": ("batch_norm", "group_norm", "layer_norm"),
    "pool": ("avg_pool2d", "max_pool2d"),
    "rnn": ("gru", "lstm", "simple_rnn"),
    "rnn_norm": ("layer_norm_lstm",),
    "word2vec": (),
}


def __getattr__(name: str) -> Any:
    for family, names in _LAZY.items():
        if name in names or name == family:
            module = importlib.import_module(f"pynn.ops.{family}")
            return module if name == family else getattr(module, name)
    raise AttributeError(f"module 'pynn.ops' has no attribute {name!r}")


def load_all() -> None:
    """Load every family, so that the table of cards is complete."""
    for family in _LAZY:
        importlib.import_module(f"pynn.ops.{family}")
