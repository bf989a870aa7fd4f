# %% model
import numpy as np
import pynn
from pynn import nn

(x, y), (x_test, y_test) = pynn.datasets.digits()
model = nn.Sequential([
    nn.Input((8, 8, 1)),
    nn.Conv2D(8, 3, activation="relu"),
    nn.Flatten(),
    nn.Dense(10, activation="softmax"),
])
model.compile("adam", "cross_entropy", metrics=["accuracy"], seed=0)
model.fit(x[..., None], y, epochs=10, verbose=0)
expected = model.predict(x_test[..., None])
print(model.evaluate(x_test[..., None], y_test))

# %% function
digit = model.predict_fn()
print(
    digit(x_test[:1, :, :, None]).argmax(),
    np.array_equal(digit(x_test[..., None]), expected),
)

# %% c
from pathlib import Path
from pynn.export import to_c

to_c(model, "digit.c")
Path("main.c").write_text("""
#include <stdio.h>
#include "digit.h"

static float work[DIGIT_WORK_SIZE];

int main(void) {
    float x[DIGIT_INPUT_SIZE], y[DIGIT_OUTPUT_SIZE];
    for (;;) {
        for (int i = 0; i < DIGIT_INPUT_SIZE; i++)
            if (scanf("%f", &x[i]) != 1) return 0;
        if (digit_predict(x, y, work) != 0) return 1;
        for (int i = 0; i < DIGIT_OUTPUT_SIZE; i++) printf("%.9g ", y[i]);
    }
}
""")
print(Path("digit.h").read_text())

# %% compile
import subprocess

subprocess.run(["cc", "-O2", "main.c", "digit.c", "-lm", "-o", "digit"], check=True)
numbers = " ".join(map(str, x_test.ravel()))
said = subprocess.run(
    ["./digit"], input=numbers, capture_output=True, text=True, check=True
).stdout
found = np.array(said.split(), "float32").reshape(expected.shape)
print(f"{len(found)} samples, largest difference {np.abs(found - expected).max():.1e}")

# %% step
rng = np.random.default_rng(0)
steps = rng.normal(size=(200, 20, 3)).astype("float32")
level = np.cumsum(steps[:, :, :1], axis=1)
recurrent = nn.Sequential([
    nn.Input((20, 3)),
    nn.GRU(8, return_sequences=True),
    nn.Dense(1),
])
recurrent.compile(pynn.optim.Adam(0.01), "mse", seed=0)
recurrent.fit(steps, level, epochs=5, verbose=0)
to_c(recurrent, "sensor.c", step=True, main=True)  # main() reads a step from each line
print(
    next(
        line
        for line in Path("sensor.h").read_text().splitlines()
        if line.startswith("int")
    )
)

subprocess.run(["cc", "-O2", "sensor.c", "-lm", "-o", "sensor"], check=True)
rows = "\n".join(",".join(map(str, row)) for row in steps[0])
said = subprocess.run(
    ["./sensor"], input=rows, capture_output=True, text=True, check=True
).stdout
found = np.array(said.split(), "float32")
print(
    f"{len(found)} steps, largest difference "
    f"{np.abs(found - recurrent.predict(steps[:1]).ravel()).max():.1e}"
)

# %% onnx
import onnxruntime

pynn.onnx.export(model, "digit.onnx")
session = onnxruntime.InferenceSession("digit.onnx")
(name,) = (i.name for i in session.get_inputs())
(found,) = session.run(None, {name: x_test[..., None]})
print(
    session.get_inputs()[0].shape,
    f"largest difference {np.abs(found - expected).max():.1e}",
)

# %% open
pynn.onnx.export(recurrent, "sensor.onnx", input_shape=(None, 3))
session = onnxruntime.InferenceSession("sensor.onnx")
(taken,) = session.get_inputs()
print(
    taken.shape,
    [session.run(None, {taken.name: steps[:2, :t]})[0].shape for t in (1, 7, 20)],
)

# %% bytes
small = pynn.onnx.quantize(model, x[:300, :, :, None])
pynn.onnx.export(small, "small.onnx")
session = onnxruntime.InferenceSession("small.onnx")
(name,) = (i.name for i in session.get_inputs())
(found,) = session.run(None, {name: x_test[..., None]})
answers = small.predict(x_test[..., None])
print(
    f"accuracy {(answers.argmax(1) == y_test).mean():.4f}, "
    f"largest difference to onnxruntime {np.abs(found - answers).max():.1e}"
)
print(Path("digit.onnx").stat().st_size, Path("small.onnx").stat().st_size)

# %% numpy
import runpy
from pynn.export import to_numpy

to_numpy(model, "digit.py")
names = runpy.run_path("digit.py")  # elsewhere: import digit
print(
    "largest difference "
    f"{np.abs(names['predict'](x_test[..., None]) - expected).max():.1e}"
)


# %% wrong
class Centered(nn.Module):
    def forward(self, x):
        return x - x.mean(axis=0)


try:
    to_c(nn.Sequential([nn.Input((4,)), Centered(), nn.Dense(1)]), "centered.c")
except pynn.errors.DataError as error:
    print(error)
