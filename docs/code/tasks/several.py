# %% data
import numpy as np
import pynn
from pynn import nn

(x, digit), (x_test, digit_test) = pynn.datasets.digits()
rng = np.random.default_rng(0)
pen, pen_test = (
    rng.integers(0, 2, (n, 1)).astype("float32") for n in (len(x), len(x_test))
)
x, x_test = (
    x * (0.5 + 0.5 * pen[:, :, None]),
    x_test * (0.5 + 0.5 * pen_test[:, :, None]),
)
ink, ink_test = x.mean(axis=(1, 2)), x_test.mean(axis=(1, 2))
print(x.shape, pen.shape, digit.shape, ink.shape)

# %% network
image = nn.Input((8, 8), name="image")
kind = nn.Input((1,), name="pen")
h = nn.Concatenate()([nn.Flatten()(image), kind])
h = nn.Dense(64, activation="relu")(h)
model = nn.Model(
    [image, kind],
    {
        "digit": nn.Dense(10, activation="softmax")(h),
        "ink": nn.Dense(1)(h),
    },
)
model.summary()

# %% fit
model.compile(
    "adam",
    loss={"digit": "cross_entropy", "ink": "mse"},
    loss_weights={"digit": 1.0, "ink": 20.0},
    metrics={"digit": ["accuracy"], "ink": ["mae"]},
    seed=0,
)
history = model.fit(
    {"image": x, "pen": pen},
    {"digit": digit, "ink": ink},
    epochs=30,
    validation_split=0.1,
    verbose=0,
)
print(sorted(history.history))
test = {"image": x_test, "pen": pen_test}
for name, value in model.evaluate(test, {"digit": digit_test, "ink": ink_test}).items():
    print(f"{name}: {value:.4f}")

# %% predict
found = model.predict({"image": x_test[:3], "pen": pen_test[:3]})
print(found["digit"].argmax(axis=1), digit_test[:3])
print(found["ink"][:, 0].round(2), ink_test[:3].round(2))

# %% partly
known = np.where(rng.random(len(x)) < 0.3, 1.0, 0.0)
model.compile(
    "adam",
    loss={"digit": "cross_entropy", "ink": "mse"},
    metrics={"digit": ["accuracy"]},
    seed=0,
)
model.fit(
    {"image": x, "pen": pen},
    {"digit": digit, "ink": np.where(known, ink, -1)},
    sample_weight={"ink": known},
    epochs=3,
    verbose=0,
)
print(
    f"{known.mean():.0%} of the rows tell ink; "
    f"{model.evaluate(test, {'digit': digit_test, 'ink': ink_test})}"
)


# %% module
class Tagger(nn.Module):
    def __init__(self):
        super().__init__()
        self.flat, self.wide = nn.Flatten(), nn.Dense(64, activation="relu")
        self.digit, self.ink = nn.Dense(10, activation="softmax"), nn.Dense(1)

    def forward(self, image, pen):
        h = self.wide(pynn.ops.concat([self.flat(image), pen], axis=1))
        return {"digit": self.digit(h), "ink": self.ink(h)}


own = Tagger()
own.compile(
    "adam",
    loss={"digit": "cross_entropy", "ink": "mse"},
    metrics={"digit": ["accuracy"]},
    seed=0,
)
own.fit({"image": x, "pen": pen}, {"digit": digit, "ink": ink}, epochs=30, verbose=0)
scores = own.evaluate(test, {"digit": digit_test, "ink": ink_test})
print(f"{scores['digit_accuracy']:.3f}")

# %% wrong
for wrong in ({"image": x}, {"image": x, "pens": pen}):
    try:
        model.fit(wrong, {"digit": digit, "ink": ink}, verbose=0)
    except (KeyError, ValueError) as error:
        print(error)
try:
    model.fit({"image": x, "pen": pen}, {"digit": digit}, verbose=0)
except (KeyError, ValueError) as error:
    print(error)
