from tensorflow import keras
from tensorflow.keras import layers

(x, y), (xt, yt) = keras.datasets.imdb.load_data(num_words=20000)
x = keras.preprocessing.sequence.pad_sequences(x, maxlen=100)
xt = keras.preprocessing.sequence.pad_sequences(xt, maxlen=100)

model = keras.Sequential([
    layers.Embedding(20000, 128),
    layers.Dropout(0.25),
    layers.Conv1D(64, 5, activation="relu"),
    layers.MaxPooling1D(4),
    layers.LSTM(70),
    layers.Dense(1, activation="sigmoid"),
])
model.compile(
    optimizer="adam",
    loss="binary_crossentropy",
    metrics=["accuracy"])
model.fit(x, y, batch_size=30, epochs=2,
          validation_data=(xt, yt))
print(model.evaluate(xt, yt, batch_size=30))
