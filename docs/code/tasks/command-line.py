# %% model
import pynn
from pynn import nn

(x, y), (x_test, y_test) = pynn.datasets.digits()
model = nn.Sequential([
    nn.Input((8, 8)),
    nn.Flatten(),
    nn.Dense(32, "relu"),
    nn.Dense(10, "softmax"),
])
model.compile("adam", "cross_entropy", metrics=["accuracy"], seed=0)
model.fit(x, y, epochs=20, verbose=0)
model.save("digits.pynn", metadata={"classes": [f"digit {i}" for i in range(10)]})

# %% sh
import shlex
from pynn.cli import main


def sh(command):
    """Run a line of the shell in this process, and show it."""
    print("$", command)
    main(shlex.split(command)[1:])


# %% summary
sh("pynn summary digits.pynn")

# %% predict
from pathlib import Path
import numpy as np

np.save("new.npy", x_test[:3])
sh("pynn predict digits.pynn --input new.npy --output guess.csv")
print(Path("guess.csv").read_text())

# %% table
table = [";".join(["name", *(f"p{i}" for i in range(64))])]
for i, image in enumerate(x_test[:3]):
    table.append(
        ";".join([
            f"scan {i}",
            *(f"{value:.4f}".replace(".", ",") for value in image.ravel()),
        ])
    )
Path("new.csv").write_text("\n".join(table))
print(table[1][:40], "...")
sh("pynn predict digits.pynn --input new.csv --columns 2-65 --output guess.npy")
print(np.load("guess.npy").argmax(axis=1), y_test[:3])

# %% wrong
import contextlib
import sys

Path("gap.csv").write_text(Path("new.csv").read_text().replace(";0,0000;", ";;", 1))
with contextlib.redirect_stderr(sys.stdout):
    sh("pynn predict digits.pynn --input gap.csv --columns 2-65")
    sh("pynn predict digits.pynn --input new.csv --columns 1-64")
    sh("pynn predict digits.pyn --input new.csv")

# %% export
sh("pynn export digits.pynn --to c --out digits.c --main")
sh("pynn export digits.pynn --to onnx --out digits.onnx")
sh("pynn export digits.pynn --to numpy --out digits.py")

# %% run
sh("pynn run xor --quiet")
