"""What the documentation shows raises no complaint, and has the types that editors complete from."""

from typing import assert_type

import numpy as np

import pynn
from pynn import datasets, losses, metrics, nn, ops, optim, schedules, train
from pynn.nn.symbol import Symbol
from pynn.train import History, Results

x, y = np.ones((8, 4), "float32"), np.zeros(8, "int64")

# A model, from the first line to the last
model = nn.Sequential([nn.Input((4,)), nn.Flatten(), nn.Dense(64, activation="relu"), nn.Dropout(0.2), nn.Dense(10)])
model.compile(optimizer=optim.Adam(1e-3), loss="cross_entropy", metrics=["accuracy"], seed=0)
model.compile("sgd", losses.CrossEntropy(label_smoothing=0.1), ["accuracy", metrics.AUC()])
model.compile(optim.SGD, losses.MSE, "accuracy", run_eagerly=True)
model.compile(loss=lambda y_true, y_pred: ops.mse(y_true, y_pred))
history = model.fit(
    x,
    y,
    batch_size=32,
    epochs=30,
    validation_split=0.1,
    validation_data=(x, y),
    callbacks=[train.EarlyStopping("val_loss", patience=3), train.CSVLogger("log.csv")],
    class_weight={0: 1.0, 1: 2.0},
    verbose=0,
)
assert_type(history, History)
assert_type(history.epoch, list[int])
assert_type(history.interrupted, bool)
best = max(history.history["val_accuracy"])
history.to_csv("history.csv")
history.plot("history.png")
model.fit(((x, y) for _ in range(3)), steps_per_epoch=3)
model.fit(x, y, batch_size=None, resume="runs", callbacks=train.TerminateOnNaN())
results = model.evaluate(x, y, batch_size=256, verbose=1)
assert_type(results, Results)
loss, accuracy = results
print(f"{results['accuracy']:.3f}", results[0], dict(results))
predicted = model.predict(x)
assert_type(predicted, np.ndarray)
model.predict_fn()(x).argmax()
assert_type(model.train_on_batch(x, y), Results)
model.save("m.pynn", metadata={"classes": ["a", "b"]})
again = pynn.load("m.pynn")
assert_type(again, nn.Module)
again.predict(x)
again.layers[0].w.numpy()
model.summary()
model.profile(x, y)
print(model.optimizer.learning_rate, model.loss)
model.optimizer.learning_rate = 0.1
model.stop_training = True

# Layers, weights, calls
dense = nn.Dense(3, "relu", kernel_initializer="he_normal", kernel_regularizer=pynn.regularizers.L2(1e-4))
assert_type(dense, nn.Dense)
assert_type(dense.w, pynn.Tensor)
assert_type(dense(x), pynn.Tensor)
assert_type(dense(pynn.tensor(x), training=True), pynn.Tensor)
assert_type(model(x), pynn.Tensor)
assert_type(dense(nn.Input((4,))), Symbol)
assert_type(dense.astype("float64"), nn.Dense)
for layer in model.layers:
    print(layer.name, layer.w.shape, layer.activation)
one, two = model.layers[1:]
one.trainable = False
dense.activation = "tanh"
dense.set_weights([w * 0 for w in dense.get_weights()])
for name, parameter in model.named_parameters():
    print(name, parameter.numpy().std())
nn.Conv2D(8, (3, 3), strides=2, padding="same", activation="relu").w.numpy()
nn.MaxPool2D(2, padding=(0, 1))
nn.ZeroPadding2D(((1, 0), (2, 2)))
nn.Dense(3, kernel_initializer=pynn.init.Constant(0.1), bias_initializer=pynn.init.Zeros, kernel_constraint="max_norm")
nn.Dense(3, kernel_regularizer="l2", bias_regularizer=lambda w: (w * w).sum())
nn.BatchNormalization().moving_mean.numpy()
lstm = nn.LSTM(8, return_sequences=True, return_state=True)
print(lstm.w, lstm.u, lstm.b)
out, h, c = lstm(np.ones((2, 5, 3), "float32"))
nn.Bidirectional(nn.GRU(4))
nn.Sequential([nn.Embedding(100, 8), nn.LSTM(4), nn.Dense(1, activation="sigmoid")])

# Branches
image = nn.Input((28, 28, 1))
fine = nn.Conv2D(8, 3, padding="same", activation="relu")(image)
both = nn.GlobalAvgPool()(nn.Concatenate()([fine, nn.Conv2D(8, 7, padding="same")(image)]))
branched = nn.Model(image, nn.Dense(10)(both))
branched(np.ones((1, 28, 28, 1))).numpy()
nn.Model([image, nn.Input((3,))], nn.Dense(10)(both)).fit((x, x), y)

# Tensors
t = pynn.tensor([[1.0, 2.0]], requires_grad=True)
total = ((t @ t.T + 1.0) * 2 / 3).exp().sum()
total.backward()
print(t.grad.numpy(), total.item(), float(total), t.shape, t[0, 1], t.reshape(-1), t.T)
t.grad = None
assert_type(ops.relu(t), pynn.Tensor)
assert_type(ops.leaky_relu(t, slope=0.2), pynn.Tensor)
assert_type(ops.dense(t, t, None, "relu"), pynn.Tensor)
ops.conv2d(np.ones((1, 8, 8, 1)), np.ones((3, 3, 1, 2)), strides=[2, 2], padding="same")
ops.lstm(np.ones((1, 8, 1)), np.ones((1, 4)), np.ones((1, 4)))
ops.softmax(ops.max_pool2d(np.ones((1, 8, 8, 1)), (2, 2)))
pynn.grad(lambda t: (t * t).sum())(t)
with pynn.no_grad():
    pynn.viz.draw_graph(total)

# The rest of a script
(train_x, train_y), (test_x, test_y) = datasets.digits()
optim.Adam(schedules.Cosine(0.1, steps=1000), clip_norm=1.0, weight_decay=0.01)
optim.SGD(0.1, momentum=0.9, nesterov=True)
print(schedules.Exponential(0.1, rate=0.5, every=250)(np.arange(3)[1]))
pynn.set_num_threads(2)
pynn.set_precision("highest")
pynn.export.to_c(model, "model.c")
pynn.onnx.export(model, "model.onnx")
pynn.onnx.load("model.onnx").predict(x)
pynn.text.Tokenizer().fit(["the cat sat"]).encode("the cat")
pynn.estimators.MLPClassifier(hidden_layer_sizes=(16,)).fit(x, y).predict(x)
pynn.viz.trace(model, x, y)
pynn.io.read_metadata("m.pynn")["classes"]
