# %% loop
import numpy as np
from pynn import nn, optim

layer = nn.SimpleRNN(2, return_sequences=True, seed=0)
x = np.array([[[1.0], [0.0], [-1.0]]], "float32")  # one sequence of 3 steps
h = layer(x).numpy()
w, u, b = layer.get_weights()

state = np.zeros((1, 2), "float32")
for t in range(3):
    state = np.tanh(x[:, t] @ w + state @ u + b)  # the same w, u, b at every step
    print(f"t = {t + 1}: by hand {state[0].round(4)}, by the layer {h[0, t].round(4)}")

# %% hidden_graph
from pynn.recipes.unrolled import plot_unrolled

plot_unrolled("hidden", "hidden.svg")

# %% hidden
from pynn.recipes.topologies import binary_addition

model = nn.Sequential([
    nn.Input((16, 2)),
    nn.SimpleRNN(16, return_sequences=True),
    nn.Dense(1, activation="sigmoid"),
])
model.compile(optim.Adam(1e-2), "binary_cross_entropy", ["accuracy"], seed=0)
model.fit(*binary_addition(2000, 16, seed=0), batch_size=32, epochs=12, verbose=0)
print(
    "numbers of 64 bits added:",
    model.evaluate(*binary_addition(200, 64, seed=1))["accuracy"],
)

# %% output_graph
plot_unrolled("output", "output.svg")

# %% output
jordan = nn.JordanRNN(8, 1, seed=0)
x, targets = np.ones((1, 4, 1), "float32"), np.full((1, 4, 1), 0.5, "float32")
print("its own outputs come back:", jordan(x).numpy().ravel().round(3))
print("teacher forcing:          ", jordan(x, targets).numpy().ravel().round(3))

# %% last_graph
plot_unrolled("last", "last.svg")

# %% last
from pynn.recipes.topologies import symbol_order

model = nn.Sequential([
    nn.Input((16, 8)),
    nn.SimpleRNN(32),
    nn.Dense(1, activation="sigmoid"),
])
model.compile(optim.Adam(3e-3), "binary_cross_entropy", ["accuracy"], seed=0)
model.fit(*symbol_order(2000, 16, seed=0), batch_size=32, epochs=12, verbose=0)
print(
    "which mark came first:", model.evaluate(*symbol_order(500, 16, seed=1))["accuracy"]
)
