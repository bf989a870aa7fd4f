import pynn
from pynn import nn

(x, y), (xt, yt) = pynn.datasets.mnist()

model = nn.Sequential([
    nn.Input((28, 28)),
    nn.Flatten(),
    nn.Dense(10, activation="softmax", kernel_initializer="zeros"),
])
model.compile(
    optimizer=pynn.optim.SGD(0.5),
    loss="cross_entropy",
    metrics=["accuracy"],
    seed=0,
)
model.fit(x, y, batch_size=100, epochs=2)
print(model.evaluate(xt, yt)["accuracy"])
