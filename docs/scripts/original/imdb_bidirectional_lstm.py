from tensorflow import keras
from tensorflow.keras import layers

(x, y), (xt, yt) = keras.datasets.imdb.load_data(num_words=20000)
x = keras.preprocessing.sequence.pad_sequences(x, maxlen=100)
xt = keras.preprocessing.sequence.pad_sequences(xt, maxlen=100)

model = keras.Sequential([
    layers.Embedding(20000, 128),
    layers.Bidirectional(layers.LSTM(64)),
    layers.Dropout(0.5),
    layers.Dense(1, activation="sigmoid"),
])
model.compile(
    optimizer="adam",
    loss="binary_crossentropy",
    metrics=["accuracy"])
model.fit(x, y, batch_size=32, epochs=4,
          validation_data=(xt, yt))
print(model.evaluate(xt, yt))
