import pynn
from pynn import nn

(x, y), (xt, yt) = pynn.datasets.imdb(num_words=20000, maxlen=100)

model = nn.Sequential([
    nn.Input((100,)),
    nn.Embedding(20000, 128),
    nn.Dropout(0.25),
    nn.Conv1D(64, 5, activation="relu"),
    nn.MaxPool1D(4),
    nn.LSTM(70),
    nn.Dense(1, activation="sigmoid"),
])
model.compile(
    optimizer="adam",
    loss="binary_cross_entropy",
    metrics=["accuracy"],
    seed=0,
)
model.fit(x, y, batch_size=30, epochs=2, validation_split=0.1)
print(model.evaluate(xt, yt))
