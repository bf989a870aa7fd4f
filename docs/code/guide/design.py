# %% same_bits
import numpy as np
import pynn
from pynn import nn

x, y = pynn.datasets.moons(500, seed=0)
weights = []
for eager, threads in ((True, 1), (False, 1), (False, 2)):
    pynn.set_num_threads(threads)
    model = nn.Sequential([
        nn.Input((2,)),
        nn.Dense(32, "relu"),
        nn.Dropout(0.2),
        nn.Dense(1, "sigmoid"),
    ])
    model.compile("adam", "binary_cross_entropy", seed=0, run_eagerly=eager)
    model.fit(x, y, batch_size=32, epochs=2, verbose=0)
    weights.append(np.concatenate([w.ravel() for w in model.get_weights()]))
pynn.set_num_threads(None)
print("eager equals program:     ", np.array_equal(weights[0], weights[1]))
print("one thread equals two:    ", np.array_equal(weights[1], weights[2]))

# %% capture
from pynn.errors import CaptureError


class Peeks(nn.Module):
    def forward(self, x):
        return x if float(x.sum()) > 0 else -x


model = nn.Sequential([nn.Input((2,)), Peeks(), nn.Dense(1)])
model.compile("sgd", "mse", seed=0)
try:
    model.fit(np.ones((4, 2), "float32"), np.ones((4, 1), "float32"), verbose=0)
except CaptureError as error:
    print("CaptureError:", error)

# %% error
try:
    nn.Dense(3)(np.zeros((2, 4), "float32")) @ np.zeros((4, 1), "float32")
except ValueError as error:
    print(type(error).__name__ + ":", error)
