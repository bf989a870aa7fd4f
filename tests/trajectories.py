"""What optimizers do with known gradients, in pynn and in NumPy."""

import numpy as np

import pynn
from pynn import optim

STEPS = 20
SHAPES = ((7, 5), (5,), (33,), (1,))  # none fills whole vectors, so the flat buffer has gaps


def gradient(p, t):
    """A gradient that depends on the parameters, changes sign, and is zero here and there."""
    g = np.sin(3 * p + 0.7 * t) * (1 + 0.3 * np.arange(p.size).reshape(p.shape) % 3)
    return np.where(np.arange(p.size).reshape(p.shape) % 7 == 3, 0, g).astype(p.dtype)


# NumPy references: step(p, g, s, lr, t) updates in place


def sgd(momentum=0.0, nesterov=False):
    def step(p, g, s, lr, t):
        if momentum:
            v = s["v"] = momentum * s.get("v", 0) + g
            g = g + momentum * v if nesterov else v
        p -= lr * g

    return step


def adagrad(eps=1e-10, initial=0.0):
    def step(p, g, s, lr, t):
        s["s"] = s.get("s", initial) + g * g
        p -= lr * g / (np.sqrt(s["s"]) + eps)

    return step


def adadelta(rho=0.9, eps=1e-6):
    def step(p, g, s, lr, t):
        s["s"] = rho * s.get("s", 0) + (1 - rho) * g * g
        u = s.get("u", np.zeros_like(p))
        d = np.sqrt(u + eps) / np.sqrt(s["s"] + eps) * g
        s["u"] = rho * u + (1 - rho) * d * d
        p -= lr * d

    return step


def rmsprop(rho=0.9, eps=1e-7, momentum=0.0, centered=False):
    def step(p, g, s, lr, t):
        s["s"] = rho * s.get("s", 0) + (1 - rho) * g * g
        spread = s["s"]
        if centered:
            s["a"] = rho * s.get("a", 0) + (1 - rho) * g
            spread = np.maximum(spread - s["a"] ** 2, 0)
        u = g / (np.sqrt(spread) + eps)
        if momentum:
            u = s["v"] = momentum * s.get("v", 0) + u
        p -= lr * u

    return step


def adam(b1=0.9, b2=0.999, eps=1e-8, amsgrad=False):
    def step(p, g, s, lr, t):
        m = s["m"] = b1 * s.get("m", 0) + (1 - b1) * g
        v = s["v"] = b2 * s.get("v", 0) + (1 - b2) * g * g
        if amsgrad:
            v = s["top"] = np.maximum(s.get("top", 0), v)
        p -= lr * m / (1 - b1**t) / (np.sqrt(v / (1 - b2**t)) + eps)

    return step


def adamax(b1=0.9, b2=0.999, eps=1e-8):
    def step(p, g, s, lr, t):
        m = s["m"] = b1 * s.get("m", 0) + (1 - b1) * g
        u = s["u"] = np.maximum(b2 * s.get("u", 0), np.abs(g) + eps)
        p -= lr * m / (1 - b1**t) / u

    return step


def nadam(b1=0.9, b2=0.999, eps=1e-8, psi=0.004):
    def step(p, g, s, lr, t):
        mu, after = b1 * (1 - 0.5 * 0.96 ** (t * psi)), b1 * (1 - 0.5 * 0.96 ** ((t + 1) * psi))
        product = s["product"] = s.get("product", 1.0) * mu
        m = s["m"] = b1 * s.get("m", 0) + (1 - b1) * g
        v = s["v"] = b2 * s.get("v", 0) + (1 - b2) * g * g
        top = (1 - mu) / (1 - product) * g + after / (1 - product * after) * m
        p -= lr * top / (np.sqrt(v / (1 - b2**t)) + eps)

    return step


# name -> (pynn, NumPy, PyTorch's class and arguments, learning rate)
RULES = {
    "sgd": (lambda lr: optim.SGD(lr), sgd(), ("SGD", {}), 0.1),
    "momentum": (lambda lr: optim.SGD(lr, 0.9), sgd(0.9), ("SGD", {"momentum": 0.9}), 0.05),
    "nesterov": (
        lambda lr: optim.SGD(lr, 0.9, nesterov=True),
        sgd(0.9, True),
        ("SGD", {"momentum": 0.9, "nesterov": True}),
        0.05,
    ),
    "adagrad": (lambda lr: optim.Adagrad(lr), adagrad(), ("Adagrad", {}), 0.1),
    "adagrad_initial": (
        lambda lr: optim.Adagrad(lr, initial_accumulator=0.5),
        adagrad(initial=0.5),
        ("Adagrad", {"initial_accumulator_value": 0.5}),
        0.1,
    ),
    "adadelta": (lambda lr: optim.Adadelta(lr), adadelta(), ("Adadelta", {}), 1.0),
    "rmsprop": (lambda lr: optim.RMSprop(lr), rmsprop(), ("RMSprop", {"alpha": 0.9, "eps": 1e-7}), 0.02),
    "rmsprop_momentum": (
        lambda lr: optim.RMSprop(lr, momentum=0.8),
        rmsprop(momentum=0.8),
        ("RMSprop", {"alpha": 0.9, "eps": 1e-7, "momentum": 0.8}),
        0.02,
    ),
    "rmsprop_centered": (
        lambda lr: optim.RMSprop(lr, rho=0.95, eps=1e-3, centered=True),
        rmsprop(0.95, 1e-3, centered=True),
        ("RMSprop", {"alpha": 0.95, "eps": 1e-3, "centered": True}),
        0.02,
    ),
    "rmsprop_both": (
        lambda lr: optim.RMSprop(lr, momentum=0.5, eps=1e-3, centered=True),
        rmsprop(eps=1e-3, momentum=0.5, centered=True),
        ("RMSprop", {"alpha": 0.9, "eps": 1e-3, "momentum": 0.5, "centered": True}),
        0.02,
    ),
    "adam": (lambda lr: optim.Adam(lr), adam(), ("Adam", {}), 0.05),
    "adam_betas": (
        lambda lr: optim.Adam(lr, 0.8, 0.9, 1e-3),
        adam(0.8, 0.9, 1e-3),
        ("Adam", {"betas": (0.8, 0.9), "eps": 1e-3}),
        0.05,
    ),
    "amsgrad": (lambda lr: optim.AMSGrad(lr, beta_1=0.9, beta_2=0.9), adam(b2=0.9, amsgrad=True),
                ("Adam", {"betas": (0.9, 0.9), "amsgrad": True}), 0.05),
    "adamax": (lambda lr: optim.AdaMax(lr), adamax(), ("Adamax", {}), 0.05),
    "nadam": (lambda lr: optim.Nadam(lr), nadam(), ("NAdam", {}), 0.05),
}  # fmt: skip


def start(dtype, seed=0):
    r = np.random.default_rng(seed)
    return [r.normal(size=s).astype(dtype) for s in SHAPES]


def run(make, lr, dtype, steps=STEPS, **common):
    """Return the parameters after every step."""
    optimizer = make(lr)
    for key, value in common.items():
        setattr(optimizer, key, value)
    tensors = [pynn.tensor(p) for p in start(dtype)]
    optimizer.bind(tensors)
    path = []
    for t in range(steps):
        for p in tensors:
            p.grad = pynn.tensor(gradient(p.numpy(), t))
        optimizer.step()
        path.append([p.numpy() for p in tensors])
    return path, optimizer, tensors


def run_numpy(rule, lr, steps=STEPS, decay=0.0):
    values = start("float64")
    states = [{} for _ in values]
    path = []
    for t in range(steps):
        for p, s in zip(values, states, strict=True):
            g = gradient(p, t)
            p *= 1 - lr * decay
            rule(p, g, s, lr, t + 1)
        path.append([p.copy() for p in values])
    return path


def assert_paths(got, want, tolerance):
    for t, (a, b) in enumerate(zip(got, want, strict=True)):
        for x, y in zip(a, b, strict=True):
            np.testing.assert_allclose(x, y, rtol=tolerance, atol=tolerance, err_msg=f"step {t}")
