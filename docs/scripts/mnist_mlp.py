import pynn
from pynn import nn

(x, y), (xt, yt) = pynn.datasets.mnist()

model = nn.Sequential([
    nn.Input((28, 28)),
    nn.Flatten(),
    nn.Dense(512, activation="relu"),
    nn.Dropout(0.2),
    nn.Dense(512, activation="relu"),
    nn.Dropout(0.2),
    nn.Dense(10, activation="softmax"),
])
model.compile(
    optimizer=pynn.optim.RMSprop(),
    loss="cross_entropy",
    metrics=["accuracy"],
    seed=0,
)
model.fit(x, y, batch_size=128, epochs=20, validation_split=0.1)
print(model.evaluate(xt, yt))
