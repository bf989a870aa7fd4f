import pynn
from pynn import nn

(x, y), (xt, yt) = pynn.datasets.mnist()
x, xt = x[..., None], xt[..., None]

model = nn.Sequential([
    nn.Input((28, 28, 1)),
    nn.Conv2D(32, 3, activation="relu"),
    nn.Conv2D(64, 3, activation="relu"),
    nn.MaxPool2D(2),
    nn.Dropout(0.25),
    nn.Flatten(),
    nn.Dense(128, activation="relu"),
    nn.Dropout(0.5),
    nn.Dense(10, activation="softmax"),
])
model.compile(
    optimizer=pynn.optim.Adadelta(1.0),
    loss="cross_entropy",
    metrics=["accuracy"],
    seed=0,
)
model.fit(x, y, batch_size=128, epochs=12, validation_split=0.1)
print(model.evaluate(xt, yt))
