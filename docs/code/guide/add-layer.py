# %% layer
import numpy as np
import pynn
from pynn import nn


@pynn.register
class Gated(nn.Module):
    """y = (x w + b) * sigmoid(x v + c): a gate for every unit.

    Parameters
    ----------
    units : int
    """

    w: pynn.Tensor  # what build() declares, so that editors and type checkers know it
    v: pynn.Tensor
    b: pynn.Tensor
    c: pynn.Tensor

    def __init__(self, units, name=None, seed=None):
        super().__init__(name, seed)
        self.units = units

    def build(self, input_shape):
        for weight, gate in (("w", "v"), ("b", "c")):
            shape = (input_shape[-1], self.units) if weight == "w" else (self.units,)
            start = "glorot_uniform" if weight == "w" else "zeros"
            self.add_weight(weight, shape, start)
            self.add_weight(gate, shape, start)

    def forward(self, x):
        return (x @ self.w + self.b) * (x @ self.v + self.c).sigmoid()


# %% used
x, y = pynn.datasets.moons(200, seed=0)
model = nn.Sequential([nn.Input((2,)), Gated(16), nn.Dense(1, activation="sigmoid")])
model.compile(pynn.optim.Adam(0.02), "binary_cross_entropy", ["accuracy"], seed=0)
model.fit(x, y, batch_size=32, epochs=60, verbose=0)
print("accuracy:", model.evaluate(x, y)["accuracy"])

# %% checked
from pynn import testing

layer = Gated(3, seed=0).astype("float64")
layer(np.zeros((1, 4)))
testing.gradcheck(
    lambda x: layer(x).sum(), [np.random.default_rng(0).normal(size=(2, 4))]
)

# %% saved
model.save("model.pynn")
print(np.array_equal(pynn.load("model.pynn").predict(x), model.predict(x)))

# %% exported
from pynn.export import numpy_source, to_c

print(to_c(model, "model.c"))
source = numpy_source(model)
print(source[source.index("    # gated") : source.index("    return")])
