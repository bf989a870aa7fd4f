"""What every recipe does: check, train, test, say how it went, write what came of it."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

import pynn
from pynn.recipes import report
from pynn.recipes.files import check_file, check_folder, write_json
from pynn.recipes.registry import Options, Recipe, Result

__all__ = ["run", "train_classifier"]

Part = tuple[np.ndarray, np.ndarray]


def run(recipe: Recipe, options: Options) -> Result:
    """Run a recipe; whatever can be refused is refused before its data are touched.

    Raises
    ------
    ValueError
        If a number is out of range.
    OSError
        If a result could not be written.
    ImportError
        If pictures are wanted and matplotlib is not installed.
    """
    options = recipe.complete(options)
    for name in ("epochs", "batch_size", "threads"):
        value = getattr(options, name)
        if value is not None and value < 1:
            raise ValueError(f"[{recipe.name}] expected {name} of 1 or more. Received: {value!r}.")
    if options.out is not None:
        report.check_drawing()
        check_folder(options.out, "--out")
    if options.json is not None:
        check_file(options.json, "--json")
    before = pynn.get_num_threads()
    try:
        if options.threads is not None:
            pynn.set_num_threads(options.threads)
        if not options.quiet:
            print(f"{recipe.name}: {recipe.shows}\n")
        result = recipe.play(recipe, options)
    finally:
        pynn.set_num_threads(before)
    if options.json is not None:
        write_json(options.json, dataclasses.asdict(result))
    return result


def train_classifier(
    recipe: Recipe,
    options: Options,
    model: Any,
    train: Part,
    test: Part,
    *,
    details: Mapping[str, Any] | None = None,
    pictures: Mapping[str, Callable[[Path], Any]] | None = None,
) -> Result:
    """Train a compiled classifier, test it, print the result beside the expected one, and fill ``--out``.

    The test part is only looked at, for the curves and at the end; nothing is chosen by it.

    Parameters
    ----------
    recipe, options : Recipe, Options
        What is run and how, complete.
    model : Model
        Compiled with the metric accuracy. One output column means two classes.
    train, test : tuple of ndarray
        Inputs and integer labels.
    details : dict, optional
        More for the result.
    pictures : dict of str to callable, optional
        File names to functions that draw to a path, beside the pictures that every recipe has.

    Raises
    ------
    KeyboardInterrupt
        If Ctrl-C ended the training; the epochs that were finished are told and written before.
    """
    (x, y), (xt, yt) = train, test
    if not options.quiet:
        model.summary()
        print(f"\n{len(x):,} items to learn from, {len(xt):,} to be tested on")
    start = time.perf_counter()
    history = model.fit(
        x,
        y,
        batch_size=options.batch_size,
        epochs=options.epochs,
        validation_data=test,
        verbose=0 if options.quiet else 1,
    )
    seconds = time.perf_counter() - start
    if not history.epoch:
        raise KeyboardInterrupt
    scores = model.evaluate(xt, yt)
    result = Result(
        recipe=recipe.name,
        test={name: float(scores[name]) for name in ("loss", "accuracy")},
        expected=recipe.expected,
        epochs=len(history.epoch),
        batch_size=options.batch_size or recipe.batch_size,
        train_seconds=round(seconds, 3),
        parameters=model.count_parameters(),
        seed=options.seed,
        threads=pynn.get_num_threads(),
        version=pynn.__version__,
        details=dict(details or {}),
    )
    print(_sentence(recipe, result, options.quiet))
    if options.out is not None:
        written = report.write(options.out, model, history, xt, yt, pictures or {})
        if not options.quiet:
            print(f"wrote to {options.out}: {', '.join(written)}")
    if history.interrupted:  # what was learnt until then is told and written all the same
        raise KeyboardInterrupt
    return result


def _sentence(recipe: Recipe, result: Result, short: bool) -> str:
    expected = f"expected {recipe.expected:.1%}"
    if result.epochs != recipe.epochs:
        expected += f" after {recipe.epochs} epochs"
    accuracy, loss = f"{result.test['accuracy']:.2%}", f"{result.test['loss']:.4f}"
    plural = "s" if result.epochs > 1 else ""
    work = f"{result.epochs} epoch{plural} in {result.train_seconds:.2f} s"
    if short:
        return f"{recipe.name}: test accuracy {accuracy} ({expected}), test loss {loss}, {work}"
    return (
        f"\ntest accuracy  {accuracy}   {expected}\n"
        f"test loss      {loss}\n"
        f"training       {work}, threads {result.threads}, seed {result.seed}, {result.parameters:,} parameters"
    )
