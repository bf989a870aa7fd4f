# %% value
import math


class Value:
    """A number that remembers what it was computed from."""

    def __init__(self, data, parents=(), pull=None):
        self.data, self.grad = data, 0.0
        self.parents, self.pull = parents, pull

    def __add__(self, other):
        other = as_value(other)
        return Value(self.data + other.data, (self, other), lambda g: (g, g))

    def __mul__(self, other):
        other = as_value(other)

        def pull(g):
            return g * other.data, g * self.data

        return Value(self.data * other.data, (self, other), pull)

    def tanh(self):
        t = math.tanh(self.data)
        return Value(t, (self,), lambda g: (g * (1 - t * t),))

    def __neg__(self):
        return self * -1.0

    def __sub__(self, other):
        return self + -as_value(other)

    __radd__, __rmul__ = __add__, __mul__

    def backward(self):
        order = self.before()
        for value in order:
            value.grad = 0.0
        self.grad = 1.0
        for value in reversed(order):  # a value is done before its parents are
            if value.pull is not None:
                parts = value.pull(value.grad)
                for parent, part in zip(value.parents, parts, strict=True):
                    parent.grad += part

    def before(self):
        """All values that this one rests on, each after its parents."""
        order, seen = [], set()

        def visit(value):
            if id(value) not in seen:
                seen.add(id(value))
                for parent in value.parents:
                    visit(parent)
                order.append(value)

        visit(self)
        return order


def as_value(x):
    return x if isinstance(x, Value) else Value(float(x))


# %% check
import pynn

a, b = Value(0.6), Value(-1.1)
c = (a * b + a * a).tanh() * a  # a is used four times
c.backward()

u = pynn.tensor(0.6, dtype="float64", requires_grad=True)
v = pynn.tensor(-1.1, dtype="float64", requires_grad=True)
w = (u * v + u * u).tanh() * u
w.backward()
print("c       ", c.data, w.item())
print("dc/da   ", a.grad, u.grad.item())
print("dc/db   ", b.grad, v.grad.item())

# %% network
import random


class Layer:
    def __init__(self, inputs, units):
        draw = random.Random(inputs * units)
        self.w = [
            [Value(draw.uniform(-1, 1)) for _ in range(inputs)] for _ in range(units)
        ]
        self.b = [Value(0.0) for _ in range(units)]

    def __call__(self, x):
        return [
            sum((w * xi for w, xi in zip(row, x, strict=True)), start=b).tanh()
            for row, b in zip(self.w, self.b, strict=True)
        ]

    def numbers(self):
        return [w for row in self.w for w in row] + self.b


layers = [Layer(2, 4), Layer(4, 1)]


def answer(x):
    for layer in layers:
        x = layer(x)
    return x[0]


corners = [([0, 0], 1), ([0, 1], -1), ([1, 0], -1), ([1, 1], 1)]  # XNOR

# %% learn
for step in range(301):
    cost = Value(0.0)
    for corner, target in corners:
        error = answer(corner) - target
        cost += error * error * 0.25
    cost.backward()
    for number in layers[0].numbers() + layers[1].numbers():
        number.data -= 0.3 * number.grad
    if step % 100 == 0:
        print(f"step {step:3}: cost {cost.data:.4f}")
print("answers", [round(answer(corner).data, 2) for corner, _ in corners])

# %% arrays
import numpy as np


def forward(x, y, weights):
    w1, b1, w2, b2 = weights
    h = np.tanh(x @ w1 + b1)
    a = np.tanh(h @ w2 + b2)
    return h, a, np.mean((a - y) ** 2)


def backward(x, y, weights, h, a):
    w2 = weights[2]
    delta2 = 2 * (a - y) / len(x) * (1 - a * a)
    delta1 = delta2 @ w2.T * (1 - h * h)
    return x.T @ delta1, delta1.sum(axis=0), h.T @ delta2, delta2.sum(axis=0)


x = np.array([c for c, _ in corners], float)
y = np.array([[t] for _, t in corners], float)
weights = [
    np.array([[value.data for value in row] for row in layers[0].w]).T,
    np.array([value.data for value in layers[0].b]),
    np.array([[value.data for value in row] for row in layers[1].w]).T,
    np.array([value.data for value in layers[1].b]),
]
h, a, cost_of_arrays = forward(x, y, weights)
total = Value(0.0)
for corner, target in corners:
    error = answer(corner) - target
    total += error * error * 0.25
total.backward()
gradient = backward(x, y, weights, h, a)[0]
print("cost    ", cost_of_arrays, total.data)
print("dC/dw11 ", gradient[0, 0], layers[0].w[0][0].grad)

# %% pace
import time

from pynn import nn


def microseconds(step, times):
    step()
    start = time.perf_counter()
    for _ in range(times):
        step()
    return (time.perf_counter() - start) / times * 1e6


def by_values():
    cost = Value(0.0)
    for corner, target in corners:
        error = answer(corner) - target
        cost += error * error * 0.25
    cost.backward()


def by_arrays():
    h, a, _ = forward(x, y, weights)
    backward(x, y, weights, h, a)


model = nn.Sequential([nn.Input((2,)), nn.Dense(4, "tanh"), nn.Dense(1, "tanh")])
model.compile("sgd", "mse", seed=0)
update = model.train_fn()
xs, ys = x.astype("float32"), y.astype("float32")
for name, one_step, times in (
    ("one number at a time", by_values, 20),
    ("arrays of NumPy", by_arrays, 500),
    ("a recorded program of pynn, with the update", lambda: update(xs, ys), 2000),
):
    print(f"{microseconds(one_step, times):8.1f} µs a step: {name}")
