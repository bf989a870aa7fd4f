# %% files
from pathlib import Path
import numpy as np
from PIL import Image, ImageDraw

rng = np.random.default_rng(0)


def drawing(shape):
    picture = Image.new("RGB", (40, 30), tuple(rng.integers(150, 256, 3).tolist()))
    (left, top), size = rng.integers(2, 12, 2).tolist(), int(rng.integers(13, 17))
    draw = {"circle": "ellipse", "square": "rectangle"}.get(shape)
    color = tuple(rng.integers(0, 120, 3).tolist())
    if draw:
        getattr(ImageDraw.Draw(picture), draw)(
            (left, top, left + size, top + size), fill=color
        )
    else:
        corners = [
            (left, top + size),
            (left + size, top + size),
            (left + size // 2, top),
        ]
        ImageDraw.Draw(picture).polygon(corners, fill=color)
    return picture


for shape in ("circle", "square", "triangle"):
    Path("photos", shape).mkdir(parents=True)
    for i in range(120):
        drawing(shape).save(f"photos/{shape}/{i}.png")


# %% read
def read_image(path, size=(32, 32)):
    with Image.open(path) as picture:
        return np.asarray(picture.convert("RGB").resize(size), "uint8")


files = sorted(Path("photos").glob("*/*.png"))
classes = sorted({file.parent.name for file in files})
x = np.stack([read_image(file) for file in files])
y = np.array([classes.index(file.parent.name) for file in files])
order = np.random.default_rng(0).permutation(len(x))
x, y = x[order], y[order]
x, y, x_test, y_test = x[:270], y[:270], x[270:], y[270:]
print(x.shape, x.dtype, classes)

# %% network
import pynn
from pynn import nn

model = nn.Sequential([
    nn.Input((32, 32, 3)),
    nn.RandomFlip(),
    nn.Conv2D(16, 3, activation="relu"),
    nn.MaxPool2D(),
    nn.Conv2D(32, 3, activation="relu"),
    nn.MaxPool2D(),
    nn.Flatten(),
    nn.Dropout(0.3),
    nn.Dense(len(classes), activation="softmax"),
])
model.compile(pynn.optim.Adam(0.003), "cross_entropy", metrics=["accuracy"], seed=0)
history = model.fit(x, y, epochs=40, validation_split=0.1, verbose=0)
print(f"test accuracy {model.evaluate(x_test, y_test)['accuracy']:.1%}")

# %% look
figure = pynn.viz.plot_history(history)
figure.savefig("learning.png", dpi=80)
guess = model.predict(x_test).argmax(axis=1)
print(pynn.metrics.confusion_matrix(y_test, guess))

# %% scale
floats = x_test.astype("float32")
for name, given in (("floats up to 1", floats / 255), ("floats up to 255", floats)):
    print(
        f"{name}: as the bytes, "
        f"{np.allclose(model.predict(given), model.predict(x_test), atol=1e-5)}"
    )
try:
    model.predict(np.moveaxis(x_test, 3, 1))
except ValueError as error:
    print(error)

# %% command
import contextlib
import sys
from pynn.cli import main

model.save("shapes.pynn", metadata={"classes": classes})
with contextlib.redirect_stderr(sys.stdout):
    main([
        "predict",
        "shapes.pynn",
        "--input",
        "photos/circle/0.png",
        "photos/triangle/0.png",
    ])
