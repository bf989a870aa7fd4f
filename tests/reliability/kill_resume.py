"""Kill a training that checkpoints, again and again, at random moments; look at every file; resume; compare.

    python tests/reliability/kill_resume.py --kills 1000

A child process trains and saves after every few updates; it gets SIGKILL after a random time, counted from its start or
from its first updates. Then every checkpoint in the folder must load, and the next child goes on from the newest.
Whenever a training reaches its end, its last checkpoint must have the very bytes of one that was never killed. Prints
the figures, and exits with 1 if any check failed.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np

import pynn
from pynn import nn
from pynn.train import Callback, EarlyStopping, ModelCheckpoint

ROWS, BATCH, EPOCHS, EVERY = 1000, 16, 40, 7


class Tell(Callback):
    """Close a pipe when training is under way."""

    def __init__(self, pipe: int):
        self.pipe = pipe

    def on_safe_point(self, point: object) -> None:
        if self.pipe >= 0:
            os.close(self.pipe)
            self.pipe = -1


def train(folder: Path, threads: int, pipe: int) -> None:
    """Train to the end, from wherever the folder says."""
    pynn.set_num_threads(threads)
    rng = np.random.default_rng(7)
    x = rng.normal(size=(ROWS, 32)).astype("float32")
    y = rng.integers(0, 5, ROWS)
    model = nn.Sequential(
        [
            nn.Input((32,)),
            nn.Dense(64, activation="relu"),
            nn.BatchNormalization(),
            nn.Dropout(0.3),
            nn.Dense(5, activation="softmax"),
        ]
    )
    schedule = pynn.schedules.Cosine(1e-2, steps=EPOCHS * ROWS // BATCH)
    model.compile(pynn.optim.AdamW(schedule), "cross_entropy", ["accuracy", "auc"], seed=11)
    callbacks = [
        EarlyStopping("val_loss", patience=EPOCHS, restore_best_weights=False),
        ModelCheckpoint(folder, monitor="val_loss", keep_last=2, every_batches=EVERY),
        Tell(pipe),
    ]
    model.fit(
        x, y, batch_size=BATCH, epochs=EPOCHS, verbose=0, validation_split=0.1, callbacks=callbacks, resume=folder
    )


def start(folder: Path, threads: int, until_under_way: bool = False) -> int:
    """Begin a training in a child process; return its number, at once or when it makes updates."""
    reading, writing = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of fork, where there are threads: they are idle
        child = os.fork()
    if child == 0:
        status = 1
        try:
            os.close(reading)
            train(folder, threads, writing)
            status = 0
        finally:
            os._exit(status)
    os.close(writing)
    if until_under_way:
        os.read(reading, 1)  # returns when the child closes its end, or dies
    os.close(reading)
    return child


def wait(child: int, seconds: float) -> int | None:
    """Return the child's exit status if it ends in time, else None."""
    end = time.monotonic() + seconds
    while True:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        if time.monotonic() >= end:
            return None
        time.sleep(0.001)


def unreadable(folder: Path) -> list[str]:
    """Return what is wrong with the checkpoints of a folder."""
    wrong = []
    for path in sorted(folder.glob("*.pynn")):
        try:
            pynn.load(path)
        except Exception as error:
            wrong.append(f"{path.name}: {error}")
    return wrong


def final(folder: Path) -> bytes:
    """Return the bytes of the newest checkpoint and of the best."""
    newest = sorted(folder.glob("step-*.pynn"))[-1]
    return newest.name.encode() + newest.read_bytes() + (folder / "best.pynn").read_bytes()


def main() -> int:
    """Run the experiment."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("--longest", type=float, default=0.4, help="seconds before a kill, at most")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    arguments = parser.parse_args()
    chance = random.Random(arguments.seed)
    base = Path(tempfile.mkdtemp(prefix="pynn-kill-"))
    figures = {"kills": 0, "unreadable": 0, "failed": 0, "completed": 0, "different": 0, "left_over": 0, "resumed": 0}
    begun = time.monotonic()
    try:
        whole, folder = base / "whole", base / "killed"
        whole.mkdir()
        if wait(start(whole, 1), 600) != 0:
            print("the training that is not killed failed", file=sys.stderr)
            return 1
        expected = final(whole)
        folder.mkdir()
        while figures["kills"] < arguments.kills:
            figures["resumed"] += any(folder.glob("step-*.pynn"))
            child = start(folder, chance.choice((1, 2)), until_under_way=chance.random() < 0.7)
            status = wait(child, chance.uniform(0.0, arguments.longest))
            if status is None:
                os.kill(child, signal.SIGKILL)
                os.waitpid(child, 0)
                figures["kills"] += 1
            elif status != 0:
                figures["failed"] += 1
                print(f"a child ended with {status}", file=sys.stderr)
            wrong = unreadable(folder)
            figures["unreadable"] += len(wrong)
            for text in wrong:
                print(text, file=sys.stderr)
            if status == 0:
                figures["completed"] += 1
                figures["different"] += final(folder) != expected
                figures["left_over"] += len([name for name in os.listdir(folder) if name.endswith(".tmp")])
            if status == 0 or wrong or figures["failed"]:
                shutil.rmtree(folder)
                folder.mkdir()
            if figures["failed"] > 10:
                break
        # The last one is brought to its end, so that every experiment compares at least once.
        if wait(start(folder, 2), 600) != 0:
            figures["failed"] += 1
        else:
            figures["completed"] += 1
            figures["different"] += final(folder) != expected
    finally:
        shutil.rmtree(base, ignore_errors=True)
    print(json.dumps({**figures, "seconds": round(time.monotonic() - begun, 1)}))
    if arguments.json:
        arguments.json.write_text(json.dumps(figures) + "\n")
    return int(any(figures[key] for key in ("unreadable", "failed", "different", "left_over")))


if __name__ == "__main__":
    sys.exit(main())
