# %% gates
import numpy as np
import pynn
from pynn import nn, optim

layer = nn.LSTM(3, return_sequences=True, seed=0)
x = np.random.default_rng(0).normal(size=(1, 5, 2)).astype("float32")
h_all = layer(x).numpy()
w, u, b = layer.get_weights()  # gates in the order i, f, g, o


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


h = c = np.zeros((1, 3), "float32")
for t in range(5):
    i, f, g, o = np.split(x[:, t] @ w + h @ u + b, 4, axis=1)
    c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    h = sigmoid(o) * np.tanh(c)
print("by hand: ", h[0].round(5))
print("by layer:", h_all[0, -1].round(5))

# %% shapes
for kind in (nn.SimpleRNN, nn.GRU, nn.LSTM):
    one = kind(32)
    one(np.zeros((1, 10, 8), "float32"))
    shapes = [w.shape for w in one.parameters()]
    print(f"{kind.__name__:10} {one.count_parameters():6,} numbers: {shapes}")

# %% memory
from pynn.recipes.memory import adding_problem

train, test, others = (
    adding_problem(n, 20, seed) for seed, n in enumerate((2000, 500, 500))
)
curves = {}
for kind in (nn.SimpleRNN, nn.LSTM, nn.GRU):
    model = nn.Sequential([nn.Input((20, 2)), kind(32), nn.Dense(1)])
    model.compile(optim.Adam(5e-3, clip_norm=1.0), "mse", seed=0)
    history = model.fit(
        *train, batch_size=50, epochs=12, validation_data=others, verbose=0
    ).history
    curves[kind.__name__] = history["val_loss"]
    print(
        f"{kind.__name__:10} test error "
        f"{model.evaluate(*test)['loss']:.4f} (answering 1 always: 0.1667)"
    )
pynn.viz.plot_curves(
    {"adding two of 20 numbers": curves},
    "memory.svg",
    y="error on other sequences",
    log_y=True,
)

# %% both
both = nn.Bidirectional(nn.LSTM(8))
print(
    "forward and backward states side by side:",
    both(np.zeros((4, 10, 3), "float32")).shape,
)
