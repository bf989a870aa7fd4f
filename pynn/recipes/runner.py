"""What every recipe does: check, train, test, say how it went, write what came of it."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import pynn
from pynn import viz
from pynn.language import said
from pynn.recipes import report
from pynn.recipes.files import check_file, check_folder, write_json
from pynn.recipes.records import Options, Result, spread
from pynn.recipes.spanish import told

if TYPE_CHECKING:
    from pynn.recipes.registry import Recipe

__all__ = ["apart", "conclude", "curves", "hold_out", "rounded", "run", "timed_fit", "train_classifier"]

CHECKPOINT_SECONDS = 30.0
HELD_OUT, HELD_OUT_MOST = 10, 5000  # one item of so many, but no more than so many items

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
    for name in ("epochs", "batch_size", "threads", "seeds"):
        value = getattr(options, name)
        if value is not None and value < 1:
            raise ValueError(f"[{recipe.name}] expected {name} of 1 or more. Received: {value!r}.")
    if options.out is not None:
        report.check_drawing()
        check_folder(options.out, "--out")
    if options.checkpoint is not None:
        check_folder(options.checkpoint, "--checkpoint")
    if options.json is not None:
        check_file(options.json, "--json")
    before = pynn.get_num_threads(), pynn.get_precision()
    try:
        if options.precision is not None:
            pynn.set_precision(options.precision)
        if options.threads is not None:
            pynn.set_num_threads(options.threads)
        if not options.quiet:
            print(f"{recipe.name}: {told('shows', recipe.shows, recipe.name)}\n")
        result = _seeds(recipe, options) if options.seeds > 1 else recipe.play(recipe, options)
    finally:
        pynn.set_num_threads(before[0])
        pynn.set_precision(before[1])
    if options.json is not None:
        write_json(options.json, dataclasses.asdict(result))
    return result


def _seeds(recipe: Recipe, options: Options) -> Result:
    """Run a recipe with several seeds and return the means of its figures."""
    results = []
    for seed in range(options.seed, options.seed + options.seeds):
        folders: dict[str, Any] = {}
        for name in ("out", "checkpoint"):
            if (folder := getattr(options, name)) is not None:
                folders[name] = folder / f"seed-{seed}"
                check_folder(folders[name], f"--{name}")
        own = dataclasses.replace(options, seed=seed, seeds=1, quiet=True, **folders)
        results.append(recipe.play(recipe, own))
    spreads = {name: spread([result.test[name] for result in results]) for name in results[0].test}
    of = spreads[recipe.measure.key]
    text = recipe.measure.text
    print(
        f"{recipe.name}: {recipe.measure.name} {text(of['mean'])} in the mean of {len(results)} seeds "
        f"({text(min(of['all']))} to {text(max(of['all']))}), expected {text(recipe.expected)}"
    )
    return dataclasses.replace(
        results[0],
        test={name: values["mean"] for name, values in spreads.items()},
        train_seconds=round(float(np.mean([result.train_seconds for result in results])), 3),
        details={**results[0].details, "seeds": spreads},
    )


def hold_out(x: np.ndarray, y: np.ndarray) -> tuple[Part, Part]:
    """Split a training part into what is learnt from and what is watched meanwhile: a tenth, from 1 to 5,000 items.

    Which items are held out depends on their number alone, not on the seed of a run. The order stays.

    Parameters
    ----------
    x, y : ndarray [N, ...]

    Returns
    -------
    train, validation : tuple of ndarray
        Inputs and targets of each part.

    Examples
    --------
    >>> (x, y), (xv, yv) = hold_out(np.arange(50.0), np.arange(50))
    >>> len(x), len(yv), np.array_equal(np.sort(np.concatenate([x, xv])), np.arange(50))
    (45, 5, True)
    """
    count = min(max(len(x) // HELD_OUT, 1), HELD_OUT_MOST)
    held = np.zeros(len(x), bool)
    held[np.random.default_rng(0).permutation(len(x))[:count]] = True
    return (x[~held], y[~held]), (x[held], y[held])


def train_classifier(
    recipe: Recipe,
    options: Options,
    model: Any,
    train: Part,
    validation: Part,
    test: Part,
    *,
    details: Mapping[str, Any] | None = None,
    pictures: Mapping[str, Callable[[Path], Any]] | None = None,
) -> Result:
    """Train a compiled classifier, test it, print the result beside the expected one, and fill ``--out``.

    The curves are those of the validation part. The test part is looked at once, at the end; nothing is chosen by it.

    Parameters
    ----------
    recipe, options : Recipe, Options
        What is run and how, complete.
    model : Model
        Compiled with the metric accuracy. One output column means two classes.
    train, validation, test : tuple of ndarray
        Inputs and integer labels; :func:`hold_out` makes the first two of a training part.
    details : dict, optional
        More for the result.
    pictures : dict of str to callable, optional
        File names to functions that draw to a path, beside the pictures that every recipe has.

    Raises
    ------
    KeyboardInterrupt
        If Ctrl-C ended the training; the epochs that were finished are told and written before.
    """
    if not options.quiet:
        model.summary()
        sizes = f"{len(train[0]):,} items to learn from, {len(validation[0]):,} to watch meanwhile"
        print("\n" + said(f"{sizes}, {len(test[0]):,} to be tested on at the end"))
    history, seconds = timed_fit(options, model, *train, validation_data=validation)
    scores = model.evaluate(*test)
    result = conclude(
        recipe,
        options,
        {name: float(scores[name]) for name in ("loss", "accuracy")},
        epochs=len(history.epoch),
        seconds=seconds,
        parameters=model.count_parameters(),
        details={**(details or {}), "curves": curves(history)},
    )
    if options.out is not None:
        written = report.write(options.out, recipe.name, model, history, *test, pictures or {})
        if not options.quiet:
            print(said(f"wrote to {options.out}: {', '.join(written)}"))
    if history.interrupted:  # what was learnt until then is told and written all the same
        raise KeyboardInterrupt
    return result


def timed_fit(options: Options, model: Any, x: Any, y: Any = None, **fit: Any) -> tuple[Any, float]:
    """Fit a compiled model as the options say; return its history and the seconds that it took, drawing left out.

    Parameters
    ----------
    options : Options
        Complete: `epochs`, `batch_size`, `quiet` and `checkpoint` count.
    model : Model
    x, y
        As for ``fit``.
    **fit
        More for ``fit``.

    Raises
    ------
    KeyboardInterrupt
        If Ctrl-C ended the training before its first epoch was over; later the history says ``interrupted``.
    """
    settings: dict[str, Any] = {"batch_size": options.batch_size, "epochs": options.epochs}
    settings |= {"verbose": 0 if options.quiet else 1, **fit}
    if options.checkpoint is not None:
        from pynn.train import ModelCheckpoint  # here, because listing the recipes needs no training

        check_folder(options.checkpoint, "--checkpoint")  # that of a model apart is made here
        saver = ModelCheckpoint(options.checkpoint, every_epochs=1, every_seconds=CHECKPOINT_SECONDS)
        settings |= {"callbacks": [*settings.get("callbacks", ()), saver], "resume": options.checkpoint}
    start = time.perf_counter()
    history = model.fit(x, y, **settings)
    drawing = sum(callback.spent for callback in settings.get("callbacks", ()) if isinstance(callback, viz.Frames))
    seconds = time.perf_counter() - start - drawing
    if not history.epoch:
        raise KeyboardInterrupt
    return history, seconds


def apart(options: Options, name: str) -> Options:
    """Return options for one of several models of a recipe: with a folder of its own for checkpoints.

    Examples
    --------
    >>> apart(Options(checkpoint=Path("saved")), "two columns").checkpoint.as_posix()
    'saved/two-columns'
    """
    folder = None if options.checkpoint is None else options.checkpoint / name.replace(" ", "-")
    return dataclasses.replace(options, checkpoint=folder)


def curves(history: Any) -> dict[str, list[float]]:
    """Return the curves of a training for the details of a result, as :func:`pynn.viz.plot_history` draws them.

    Parameters
    ----------
    history : History
        What ``fit`` returned.
    """
    return rounded(history.history)


def rounded(found: Mapping[str, Sequence[float]]) -> dict[str, list[float]]:
    """Return curves with values to five digits after the point.

    Examples
    --------
    >>> rounded({"accuracy": [0.1234567, 1]})
    {'accuracy': [0.12346, 1.0]}
    """
    return {name: [round(float(value), 5) for value in values] for name, values in found.items()}


def conclude(
    recipe: Recipe,
    options: Options,
    test: Mapping[str, float],
    *,
    epochs: int,
    seconds: float,
    parameters: int = 0,
    details: Mapping[str, Any] | None = None,
) -> Result:
    """Return the result of a run, and print its figure beside the expected one.

    Parameters
    ----------
    recipe, options : Recipe, Options
        What was run and how, complete.
    test : dict of str to float
        The figures, that of the recipe's measure among them.
    epochs : int
        Passes over the data that were made.
    seconds : float
        What the training took.
    parameters : int, default 0
        Numbers that were learnt.
    details : dict, optional
        More for the result.
    """
    result = Result(
        recipe=recipe.name,
        test={name: float(value) for name, value in test.items()},
        expected=recipe.expected,
        epochs=epochs,
        batch_size=options.batch_size or recipe.batch_size,
        train_seconds=round(seconds, 3),
        parameters=parameters,
        seed=options.seed,
        threads=pynn.get_num_threads(),
        version=pynn.__version__,
        precision=pynn.get_precision(),
        details=dict(details or {}),
    )
    print(_sentence(recipe, result, options.quiet))
    return result


def _sentence(recipe: Recipe, result: Result, short: bool) -> str:
    measure = recipe.measure
    expected = f"expected {measure.text(recipe.expected)}"
    if result.epochs != recipe.epochs:
        expected += f" after {recipe.epochs} epoch{'s' if recipe.epochs > 1 else ''}"
    expected = said(expected)
    figures = {told("measure", measure.name): measure.text(result.test[measure.key])}
    if "loss" in result.test and measure.key != "loss":
        figures[said("test loss")] = f"{result.test['loss']:.4f}"
    plural = "s" if result.epochs > 1 else ""
    work = said(f"{result.epochs} epoch{plural} in {result.train_seconds:.2f} s")
    if short:
        shown = [f"{name} {value}" for name, value in figures.items()]
        shown[0] += f" ({expected})"
        return f"{recipe.name}: {', '.join(shown)}, {work}"
    training = said("training")
    width = max(len(training), *map(len, figures)) + 2
    lines = [f"{name:{width}}{value}" for name, value in figures.items()]
    lines[0] += f"   {expected}"
    made = said(f", {result.parameters:,} parameters") if result.parameters else ""
    if result.precision != "highest":
        made += f", precision {result.precision} ({pynn.config.matrix_unit() or 'float32: no unit for it here'})"
    lines.append(f"{training:{width}}{work}, {said(f'threads {result.threads}, seed {result.seed}')}{made}")
    return "\n" + "\n".join(lines)
