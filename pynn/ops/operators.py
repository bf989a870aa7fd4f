"""What Tensor's operators and methods stand for: each calls the function of its name here."""

from __future__ import annotations

from pynn.core.tensor import FUNCTIONS
from pynn.ops import activation, math, parts, reduce, shape

vars(FUNCTIONS).update(
    abs=activation.abs,
    clip=activation.clip,
    cos=activation.cos,
    exp=activation.exp,
    log=activation.log,
    neg=activation.neg,
    relu=activation.relu,
    sigmoid=activation.sigmoid,
    sin=activation.sin,
    sqrt=activation.sqrt,
    square=activation.square,
    tanh=activation.tanh,
    add=math.add,
    div=math.div,
    equal=math.equal,
    less=math.less,
    less_equal=math.less_equal,
    matmul=math.matmul,
    mul=math.mul,
    not_equal=math.not_equal,
    pow=math.pow,
    sub=math.sub,
    argmax=reduce.argmax,
    max=reduce.max,
    mean=reduce.mean,
    min=reduce.min,
    sum=reduce.sum,
    var=reduce.var,
    cast=shape.cast,
    reshape=shape.reshape,
    slice=parts.slice,
    transpose=shape.transpose,
)
