"""Layers and models."""

from pynn.nn.activations import (
    ELU,
    GELU,
    SELU,
    HardSigmoid,
    HardSwish,
    LeakyReLU,
    LogSoftmax,
    Mish,
    PReLU,
    ReLU,
    ReLU6,
    Sigmoid,
    SiLU,
    Softmax,
    Softplus,
    Softsign,
    Tanh,
)
from pynn.nn.augment import (
    ElasticDeformation,
    RandomAffine,
    RandomCrop,
    RandomErasing,
    RandomFlip,
    RandomRotation,
    RandomShear,
    RandomShift,
    RandomZoom,
)
from pynn.nn.color import RandomPCAColor
from pynn.nn.conv import Conv1D, Conv2D
from pynn.nn.conv_separable import DepthwiseConv2D, SeparableConv2D
from pynn.nn.conv_transpose import Conv2DTranspose
from pynn.nn.counting import Count, LayerCount, count
from pynn.nn.dbm import DBM
from pynn.nn.embedding import Embedding
from pynn.nn.functional import Model
from pynn.nn.jordan import JordanRNN
from pynn.nn.layers import Activation, Dense, Dropout, Flatten, Input, Maxout, Reshape
from pynn.nn.local import LocallyConnected2D
from pynn.nn.masking import Masking
from pynn.nn.merge import Add, Concatenate, Multiply
from pynn.nn.module import Module
from pynn.nn.neocognitron import CCells, SCells
from pynn.nn.norm import (
    BatchNormalization,
    GroupNormalization,
    LayerNormalization,
    LocalContrastNormalization,
    LocalResponseNormalization,
    SpatialDropout2D,
)
from pynn.nn.normalization import Normalization
from pynn.nn.pool import (
    AvgPool1D,
    AvgPool2D,
    Cropping2D,
    GlobalAvgPool,
    GlobalMaxPool,
    MaxPool1D,
    MaxPool2D,
    UpSampling2D,
    ZeroPadding2D,
)
from pynn.nn.pool_l2 import L2Pool2D
from pynn.nn.rbm import RBM
from pynn.nn.rescaling import Rescaling
from pynn.nn.rnn import GRU, LSTM, SimpleRNN, reset_states
from pynn.nn.rnn_norm import LayerNormLSTM
from pynn.nn.self_organization import self_organize
from pynn.nn.sequence import Bidirectional, TimeDistributed
from pynn.nn.sequential import Sequential

__all__ = [
    "DBM",
    "ELU",
    "GELU",
    "GRU",
    "LSTM",
    "RBM",
    "SELU",
    "Activation",
    "Add",
    "AvgPool1D",
    "AvgPool2D",
    "BatchNormalization",
    "Bidirectional",
    "CCells",
    "Concatenate",
    "Conv1D",
    "Conv2D",
    "Conv2DTranspose",
    "Count",
    "Cropping2D",
    "Dense",
    "DepthwiseConv2D",
    "Dropout",
    "ElasticDeformation",
    "Embedding",
    "Flatten",
    "GlobalAvgPool",
    "GlobalMaxPool",
    "GroupNormalization",
    "HardSigmoid",
    "HardSwish",
    "Input",
    "JordanRNN",
    "L2Pool2D",
    "LayerCount",
    "LayerNormLSTM",
    "LayerNormalization",
    "LeakyReLU",
    "LocalContrastNormalization",
    "LocalResponseNormalization",
    "LocallyConnected2D",
    "LogSoftmax",
    "Masking",
    "MaxPool1D",
    "MaxPool2D",
    "Maxout",
    "Mish",
    "Model",
    "Module",
    "Multiply",
    "Normalization",
    "PReLU",
    "RandomAffine",
    "RandomCrop",
    "RandomErasing",
    "RandomFlip",
    "RandomPCAColor",
    "RandomRotation",
    "RandomShear",
    "RandomShift",
    "RandomZoom",
    "ReLU",
    "ReLU6",
    "Rescaling",
    "Reshape",
    "SCells",
    "SeparableConv2D",
    "Sequential",
    "SiLU",
    "Sigmoid",
    "SimpleRNN",
    "Softmax",
    "Softplus",
    "Softsign",
    "SpatialDropout2D",
    "Tanh",
    "TimeDistributed",
    "UpSampling2D",
    "ZeroPadding2D",
    "count",
    "reset_states",
    "self_organize",
]
