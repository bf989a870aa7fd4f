# %% composed
import math
import pynn

x = pynn.tensor(0.7, dtype="float64", requires_grad=True)
h = x**2
g = h.sin()
f = g.exp()
f.backward()
print("f(x)  =", f.item())
print("f'(x) =", x.grad.item())
print("by hand", math.exp(math.sin(0.49)) * math.cos(0.49) * 2 * 0.7)

# %% composed_graph
pynn.viz.draw_graph(
    f, "composed.svg", names={"x": x, "h": h, "g": g, "f": f}, local=True
)

# %% several
a = pynn.tensor(0.5, dtype="float64", requires_grad=True)
y = a * 3.0 + a.exp() * a  # a is used three times: its derivatives add up
y.backward()
print(a.grad.item(), "=", 3 + math.exp(0.5) * 0.5 + math.exp(0.5))

# %% two_layers
x1, x2, target = 0.6, -1.1, 1.0
weights = {"w1(1)": 0.4, "w2(1)": -0.7, "b(1)": 0.05, "w(2)": 1.3, "b(2)": -0.2}
t = {
    name: pynn.tensor(value, dtype="float64", requires_grad=True)
    for name, value in weights.items()
}

a1 = (t["w1(1)"] * x1 + t["w2(1)"] * x2 + t["b(1)"]).tanh()
a2 = (t["w(2)"] * a1 + t["b(2)"]).sigmoid()
loss = -(target * a2.log() + (1 - target) * (1 - a2).log())
loss.backward()

back = (a2.item() - target) * weights["w(2)"] * (1 - a1.item() ** 2)
by_hand = {
    "w1(1)": back * x1,
    "w2(1)": back * x2,
    "b(1)": back,
    "w(2)": (a2.item() - target) * a1.item(),
    "b(2)": a2.item() - target,
}
for name, tensor in t.items():
    print(f"dC/d{name:6}= {tensor.grad.item():+.10f}   by hand {by_hand[name]:+.10f}")

# %% two_layers_graph
pynn.viz.draw_graph(
    loss, "two_layers.svg", names=t | {"a(1)": a1, "a(2)": a2, "C": loss}
)

# %% jacobian
import numpy as np

point = pynn.tensor([1.0, 2.0, 3.0])
print(pynn.jacobian(pynn.ops.softmax, point).numpy().round(4))
p = pynn.ops.softmax(point).numpy()
print((np.diag(p) - np.outer(p, p)).round(4))

# %% blocks
from pynn import ops

rng = np.random.default_rng(0)
x, p, t = rng.normal(size=(3, 4))
w, answer = rng.normal(size=(4, 3)), np.eye(4)[2]
s = np.exp(x) / np.exp(x).sum()  # softmax of x

# what a block does, and what it makes of g, the derivative by its output
blocks = {
    "linear": (lambda x: x.reshape((1, 4)) @ w, lambda g: g @ w.T),
    "ReLU": (lambda x: ops.relu(x), lambda g: g * (x > 0)),
    "softmax": (lambda x: ops.softmax(x), lambda g: s * (g - (s * g).sum())),
    "Hadamard": (lambda x: x * p, lambda g: g * p),
    "square": (lambda x: ((x - t) ** 2).sum(), lambda g: g * 2 * (x - t)),
    "cross entropy": (
        lambda x: -(ops.log_softmax(x) * answer).sum(),
        lambda g: g * (s - answer),
    ),
}
for name, (forward, backward) in blocks.items():
    g = rng.normal(size=forward(pynn.tensor(x)).shape)
    found = pynn.grad(lambda x, f=forward, g=g: (f(x) * g).sum())(x).numpy()
    difference = np.abs(found - backward(g)).max()
    print(f"{name:13} largest difference {difference:.0e}, derivative {found.round(3)}")
