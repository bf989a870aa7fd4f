from tensorflow import keras
from tensorflow.keras import layers

(x, y), (xt, yt) = keras.datasets.mnist.load_data()
x = x[..., None].astype("float32") / 255
xt = xt[..., None].astype("float32") / 255
y = keras.utils.to_categorical(y, 10)
yt = keras.utils.to_categorical(yt, 10)

model = keras.Sequential([
    keras.Input((28, 28, 1)),
    layers.Conv2D(32, (3, 3), activation="relu"),
    layers.Conv2D(64, (3, 3), activation="relu"),
    layers.MaxPooling2D((2, 2)),
    layers.Dropout(0.25),
    layers.Flatten(),
    layers.Dense(128, activation="relu"),
    layers.Dropout(0.5),
    layers.Dense(10, activation="softmax"),
])
model.compile(
    optimizer=keras.optimizers.Adadelta(1.0),
    loss="categorical_crossentropy",
    metrics=["accuracy"])
model.fit(x, y, batch_size=128, epochs=12,
          validation_data=(xt, yt))
print(model.evaluate(xt, yt))
