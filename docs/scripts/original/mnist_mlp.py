from tensorflow import keras
from tensorflow.keras import layers

(x, y), (xt, yt) = keras.datasets.mnist.load_data()
x = x.reshape(60000, 784).astype("float32") / 255
xt = xt.reshape(10000, 784).astype("float32") / 255
y = keras.utils.to_categorical(y, 10)
yt = keras.utils.to_categorical(yt, 10)

model = keras.Sequential()
model.add(keras.Input((784,)))
model.add(layers.Dense(512, activation="relu"))
model.add(layers.Dropout(0.2))
model.add(layers.Dense(512, activation="relu"))
model.add(layers.Dropout(0.2))
model.add(layers.Dense(10, activation="softmax"))

model.compile(
    optimizer=keras.optimizers.RMSprop(),
    loss="categorical_crossentropy",
    metrics=["accuracy"])
model.fit(x, y, batch_size=128, epochs=20,
          validation_data=(xt, yt))
print(model.evaluate(xt, yt))
