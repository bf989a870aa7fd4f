# %% start
import numpy as np
import pynn
from pynn import nn, optim

(x, y), (xt, yt) = pynn.datasets.digits()


def network(activation="relu", depth=2, start="he_normal", softmax=True):
    hidden = [
        nn.Dense(64, activation=activation, kernel_initializer=start)
        for _ in range(depth)
    ]
    last = nn.Dense(10, activation="softmax" if softmax else None)
    model = nn.Sequential([nn.Input((8, 8)), nn.Flatten(), *hidden, last])
    model.compile(optim.Adam(1e-3), "cross_entropy", ["accuracy"], seed=0)
    return model


for name, scale in (("as they are", 1.0), ("a hundred times larger", 100.0)):
    loss = network().evaluate(x * scale, y)["loss"]
    print(f"inputs {name}: loss before learning {loss:.2f}, ln 10 = {np.log(10):.2f}")

# %% one_batch
model = network()
for epochs in (1, 20, 100):
    model.fit(x[:16], y[:16], batch_size=16, epochs=epochs, verbose=0)
    print(f"loss of 16 samples: {model.evaluate(x[:16], y[:16])['loss']:.5f}")

# %% shuffled
rng = np.random.default_rng(0)
for name, labels in (
    ("right labels", y),
    ("labels in another order", rng.permutation(y)),
):
    model = network()
    model.fit(x, labels, epochs=5, verbose=0)
    print(f"{name}: test accuracy {model.evaluate(xt, yt)['accuracy']:.2f}")

# %% gradients
def slopes(model):
    """The size of the gradient of each layer's weights, for one batch."""
    found = pynn.viz.trace(model, x[:32], y[:32])
    layers = [layer for layer in found.layers if "w" in layer.gradients]
    return [float(np.sqrt(np.mean(layer.gradients["w"] ** 2))) for layer in layers]


curves = {
    "sigmoid, small weights": slopes(network("sigmoid", 8, pynn.init.Normal(std=0.05))),
    "sigmoid, Glorot": slopes(network("sigmoid", 8, "glorot_uniform")),
    "ReLU, He": slopes(network("relu", 8, "he_normal")),
}
for name, sizes in curves.items():
    print(f"{name:22} first layer {sizes[0]:.1e}, last layer {sizes[-1]:.1e}")
pynn.viz.plot_curves(
    {"Size of the gradient": curves},
    "gradients.svg",
    x="layer",
    y="root mean square",
    log_y=True,
)

# %% dead
model = network("relu", 1, pynn.init.Normal(std=1.0))
weights = model.get_weights()
weights[1] = np.where(np.arange(64) < 20, -90.0, weights[1])  # unlucky biases
model.set_weights(weights)
hidden = nn.Sequential([nn.Input((8, 8)), *model.layers[:2]])
silent = (hidden.predict(x) == 0).all(axis=0)
print(f"units that no sample wakes: {silent.sum()} of {len(silent)}")

# %% rates
for rate in (1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0):
    model = network()
    model.optimizer.learning_rate = rate
    history = model.fit(x, y, epochs=3, verbose=0).history
    print(f"rate {rate:7}: loss {history['loss'][-1]:8.3f}")
