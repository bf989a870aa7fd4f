# %% curves
import numpy as np
import pynn
from pynn import ops

x = np.linspace(-4, 4, 401) + 1e-3  # no point lies on a kink
panels = {}
for f in (ops.sigmoid, ops.tanh, ops.relu, ops.leaky_relu, ops.elu, ops.softplus):
    z = pynn.tensor(x, requires_grad=True)
    a = f(z)
    a.sum().backward()  # the derivative at every point at once
    panels[f.__name__] = {"f(z)": (x, a.numpy()), "f'(z)": (x, z.grad.numpy())}
pynn.viz.plot_curves(panels, "activations.svg", x="z")

# %% slopes
for name in ("sigmoid", "tanh", "relu"):
    z = pynn.tensor([-5.0, -1.0, 0.5, 5.0], requires_grad=True)
    getattr(z, name)().sum().backward()
    print(f"{name:8}f'(z) at -5, -1, 0.5, 5:", z.grad.numpy().round(4))

# %% maxout
from pynn import nn

layer = nn.Maxout(3, pieces=2, seed=0)
print(
    layer(np.ones((1, 4), "float32")).numpy(),
    "weights",
    [w.shape for w in layer.parameters()],
)
