"""Slips of a script that type checkers find: what each complaint must mention stands at the end of its line."""

import numpy as np

import pynn
from pynn import losses, metrics, nn, optim, schedules, train

x, y = np.ones((8, 4), "float32"), np.zeros(8, "int64")
model = nn.Sequential([nn.Input((4,)), nn.Dense(8, activation="relu"), nn.Dense(2)])

# fit, evaluate, predict, compile
model.compile(optimizer=3)  # error: optimizer
model.compile(loss=3)  # error: loss
model.compile(metric=["accuracy"])  # error: metric
model.compile("adam", "cross_entropy", metrics=[3])  # error: int
model.compile(seed="one")  # error: seed
model.fitt(x, y)  # error: fitt
model.fit(x, y, epoch=3)  # error: epoch
model.fit(x, y, epochs="three")  # error: epochs
model.fit(x, y, epochs=2.5)  # error: epochs
model.fit(x, y, batchsize=16)  # error: batchsize
model.fit(x, y, batch_size="16")  # error: batch_size
model.fit(x, y, verbose=3)  # error: verbose
model.fit(x, y, callbacks=["early stopping"])  # error: Callback
model.fit(x, y, shuffle="no")  # error: shuffle
model.fit(x, y, 16)  # error: positional
model.evaluate(x, y, batchsize=16)  # error: batchsize
model.evaluate(x, y, verbose="loud")  # error: verbose
model.predict(x, batchsize=16)  # error: batchsize
model.predict(x, steps="all")  # error: steps
model.predict()  # error: x
model.predict_fn(rows=3)  # error: rows
model.save()  # error: path
model.save("m.pynn", optimizer=False)  # error: optimizer
model.summary(80)  # error: positional
model.layer  # error: layer
model.history  # error: history
model.optimizer.lr  # error: lr
model.train_on_batch(x)  # error: y

# What they return
history = model.fit(x, y)
history.losses  # error: losses
history.history.get(3)  # error: get
history.plot(file="curves.png")  # error: file
model.predict(x).nmpy()  # error: nmpy
model.evaluate(x, y).los  # error: los
pynn.lod("m.pynn")  # error: lod
pynn.load("m.pynn").fitt(x, y)  # error: fitt
pynn.load(path=3)  # error: path
model(x).nump()  # error: nump
pynn.tensor([1.0], dtyp="float32")  # error: dtyp
pynn.tensor([1.0]).backwards()  # error: backwards

# Layers and their weights
nn.Dense("three")  # error: "Dense" | units
nn.Dense(unit=3)  # error: unit
nn.Dense(3, use_biases=False)  # error: use_biases
nn.Dense(3).kernel  # error: kernel
nn.Dense(3).w.shapes  # error: shapes
nn.Dense(3)(x).shapes  # error: shapes
nn.Conv2D(8, kernel=3)  # error: kernel
nn.Conv2D(8, 3, stride=2)  # error: stride
nn.LSTM(8, return_sequence=True)  # error: return_sequence
nn.LSTM(8).kernel  # error: kernel
nn.BatchNormalization().moving_var  # error: moving_var
nn.Dropout(p=0.5)  # error: "p"
nn.Dropout("half")  # error: "Dropout" | rate
nn.Embedding(100).w  # error: output_dim
nn.Sequential(layer=[])  # error: layer
nn.Dens(3)  # error: Dens
nn.Dense(3, kernel_initializer=3)  # error: kernel_initializer
nn.Dense(3, kernel_regularizer=0.01)  # error: kernel_regularizer
nn.Conv2D(8, 3, padding=0.5)  # error: padding
pynn.ops.rellu(model(x))  # error: rellu

# Optimizers, losses, metrics, schedules, callbacks
optim.Adam(lr=0.1)  # error: lr
optim.Adam(0.1, weightdecay=0.1)  # error: weightdecay
optim.Adam("fast")  # error: "Adam" | learning_rate
optim.AdamW(betas=(0.9, 0.999))  # error: betas
optim.SGD(0.1, momentums=0.9)  # error: momentums
optim.SGD(0.1, clipnorm=1.0)  # error: clipnorm
optim.RMSprop(0.1, nesterov=True)  # error: nesterov
optim.Adagrad(0.1, clip_norm="one")  # error: clip_norm
optim.Adm(0.1)  # error: Adm
schedules.Cosine(0.1, step=100)  # error: step
losses.CrossEntropy(from_logit=True)  # error: from_logit
metrics.AUC(curves="ROC")  # error: curves
train.EarlyStopping(patients=3)  # error: patients
train.EarlyStopping(patience="three")  # error: patience
train.ModelCheckpoint("runs", monitors="val_loss")  # error: monitors
