import pynn
from pynn import nn

(x, y), (xt, yt) = pynn.datasets.imdb(num_words=20000, maxlen=80)

model = nn.Sequential([
    nn.Input((80,)),
    nn.Embedding(20000, 128, mask_zero=True),
    nn.LSTM(128, dropout=0.2, recurrent_dropout=0.2),
    nn.Dense(1, activation="sigmoid"),
])
model.compile(
    optimizer="adam",
    loss="binary_cross_entropy",
    metrics=["accuracy"],
    seed=0,
)
model.fit(x, y, batch_size=32, epochs=15, validation_split=0.1)
print(model.evaluate(xt, yt))
