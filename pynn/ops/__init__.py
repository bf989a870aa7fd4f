"""Operations on tensors. Each is a card (or a composition of them) in the module of its family."""

from __future__ import annotations

import importlib
from inspect import isfunction
from typing import TYPE_CHECKING, Any

from pynn.core.card import CARDS as CARDS
from pynn.core.card import COMPOSITES as COMPOSITES
from pynn.errors import no_such_name
from pynn.ops import carry, numpy_calls, operators
from pynn.ops.activation import *  # noqa: F403  (the rows of elementwise functions)
from pynn.ops.dense import dense as dense
from pynn.ops.elementwise import linear as linear
from pynn.ops.embedding import embedding as embedding
from pynn.ops.embedding import sequence_lengths as sequence_lengths
from pynn.ops.entropy import cross_entropy as cross_entropy
from pynn.ops.entropy import kl_divergence as kl_divergence
from pynn.ops.lengths import mask_steps as mask_steps
from pynn.ops.lengths import reverse_steps as reverse_steps
from pynn.ops.lengths import with_lengths as with_lengths
from pynn.ops.lengths import without_lengths as without_lengths
from pynn.ops.loss import binary_cross_entropy as binary_cross_entropy
from pynn.ops.loss import hinge as hinge
from pynn.ops.loss import huber as huber
from pynn.ops.loss import mae as mae
from pynn.ops.loss import mse as mse
from pynn.ops.loss import mse_half as mse_half
from pynn.ops.loss import poisson as poisson
from pynn.ops.loss import squared_hinge as squared_hinge
from pynn.ops.loss import weighted_mean as weighted_mean
from pynn.ops.math import add as add
from pynn.ops.math import div as div
from pynn.ops.math import equal as equal
from pynn.ops.math import less as less
from pynn.ops.math import less_equal as less_equal
from pynn.ops.math import matmul as matmul
from pynn.ops.math import maximum as maximum
from pynn.ops.math import minimum as minimum
from pynn.ops.math import mul as mul
from pynn.ops.math import not_equal as not_equal
from pynn.ops.math import pow as pow
from pynn.ops.math import sub as sub
from pynn.ops.math import where as where
from pynn.ops.optim import clip_norm as clip_norm
from pynn.ops.optim import clip_value as clip_value
from pynn.ops.optim import max_norm as max_norm
from pynn.ops.optim import penalty as penalty
from pynn.ops.parts import concat as concat
from pynn.ops.parts import slice as slice
from pynn.ops.random import bernoulli as bernoulli
from pynn.ops.random import dropout as dropout
from pynn.ops.random import normal as normal
from pynn.ops.random import uniform as uniform
from pynn.ops.reduce import argmax as argmax
from pynn.ops.reduce import expand as expand
from pynn.ops.reduce import max as max
from pynn.ops.reduce import mean as mean
from pynn.ops.reduce import min as min
from pynn.ops.reduce import sum as sum
from pynn.ops.reduce import var as var
from pynn.ops.shape import cast as cast
from pynn.ops.shape import copy as copy
from pynn.ops.shape import eye_rows as eye_rows
from pynn.ops.shape import gather as gather
from pynn.ops.shape import ones as ones
from pynn.ops.shape import reshape as reshape
from pynn.ops.shape import transpose as transpose
from pynn.ops.shape import zeros as zeros
from pynn.ops.softmax import log_softmax as log_softmax
from pynn.ops.softmax import softmax as softmax

if TYPE_CHECKING:  # editors and type checkers see what is loaded when first used
    from pynn.ops import augment as augment
    from pynn.ops import byte_products as byte_products
    from pynn.ops import conv as conv
    from pynn.ops import filters as filters
    from pynn.ops import image as image
    from pynn.ops import jordan as jordan
    from pynn.ops import local as local
    from pynn.ops import local_norm as local_norm
    from pynn.ops import local_transpose as local_transpose
    from pynn.ops import norm as norm
    from pynn.ops import pool as pool
    from pynn.ops import rnn as rnn
    from pynn.ops import rnn_norm as rnn_norm
    from pynn.ops import segments as segments
    from pynn.ops import word2vec as word2vec
    from pynn.ops.contraction import einsum as einsum
    from pynn.ops.conv import conv2d as conv2d
    from pynn.ops.conv import conv2d_transpose as conv2d_transpose
    from pynn.ops.conv import patches2d as patches2d
    from pynn.ops.filters import convolve2d as convolve2d
    from pynn.ops.filters import correlate2d as correlate2d
    from pynn.ops.filters import image_filter as image_filter
    from pynn.ops.image import crop2d as crop2d
    from pynn.ops.image import pad2d as pad2d
    from pynn.ops.image import upsample2d as upsample2d
    from pynn.ops.jordan import jordan_rnn as jordan_rnn
    from pynn.ops.local import locally_connected2d as locally_connected2d
    from pynn.ops.local_norm import local_contrast_norm as local_contrast_norm
    from pynn.ops.local_norm import local_response_norm as local_response_norm
    from pynn.ops.local_transpose import locally_connected2d_transpose as locally_connected2d_transpose
    from pynn.ops.norm import batch_norm as batch_norm
    from pynn.ops.norm import group_norm as group_norm
    from pynn.ops.norm import layer_norm as layer_norm
    from pynn.ops.pool import avg_pool2d as avg_pool2d
    from pynn.ops.pool import l2_pool2d as l2_pool2d
    from pynn.ops.pool import max_pool2d as max_pool2d
    from pynn.ops.rnn import gru as gru
    from pynn.ops.rnn import lstm as lstm
    from pynn.ops.rnn import simple_rnn as simple_rnn
    from pynn.ops.rnn_norm import layer_norm_lstm as layer_norm_lstm

# Families that are loaded when first used, so that `import pynn` stays quick.
_LAZY = {
    "augment": (),
    "byte_products": (),
    "conv": ("conv2d", "conv2d_transpose", "patches2d"),
    "contraction": ("einsum",),
    "filters": ("convolve2d", "correlate2d", "image_filter"),
    "image": ("crop2d", "pad2d", "upsample2d"),
    "local": ("locally_connected2d",),
    "local_norm": ("local_contrast_norm", "local_response_norm"),
    "local_transpose": ("locally_connected2d_transpose",),
    "jordan": ("jordan_rnn",),
    "norm": ("batch_norm", "group_norm", "layer_norm"),
    "norm_shared": (),
    "pool": ("avg_pool2d", "l2_pool2d", "max_pool2d"),
    "rnn": ("gru", "lstm", "simple_rnn"),
    "rnn_norm": ("layer_norm_lstm",),
    "segments": (),
    "word2vec": (),
}

__all__ = sorted(
    [name for name, thing in globals().items() if isfunction(thing) and thing.__module__.startswith("pynn.ops.")]
    + [name for names in _LAZY.values() for name in names]
)


if not TYPE_CHECKING:  # type checkers find slips in names

    def __getattr__(name: str) -> Any:
        for family, names in _LAZY.items():
            if name in names or name == family:
                module = importlib.import_module(f"pynn.ops.{family}")
                return module if name == family else getattr(module, name)
        raise no_such_name(__name__, name, __all__)


def load_all() -> None:
    """Load every family, so that the table of cards is complete."""
    for family in _LAZY:
        importlib.import_module(f"pynn.ops.{family}")
