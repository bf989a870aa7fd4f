"""The named recipes: what each shows, what it needs, what it reaches, and how it is run."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pynn.names import Registry

__all__ = ["ACCURACY", "Measure", "Options", "Recipe", "Result", "find", "known", "recipe"]


@dataclass(frozen=True)
class Measure:
    """The figure by which a recipe is judged.

    Parameters
    ----------
    key : str
        Its name in `Result.test`.
    name : str
        Its name for people, such as "test accuracy".
    unit : str, default "%"
        "%" shows a share from 0 to 1 as a percentage; any other unit follows the number.
    higher : bool, default True
        Whether more is better.
    digits : int, default 3
        Significant digits of a figure that is no percentage.

    Examples
    --------
    >>> ACCURACY.text(0.9777)
    '97.77%'
    >>> Measure("nats", "validation loss", "nats", higher=False).text(1.482)
    '1.48 nats'
    """

    key: str
    name: str
    unit: str = "%"
    higher: bool = True
    digits: int = 3

    def text(self, value: float, digits: int = 4) -> str:
        """Return a value with its unit; `digits` counts those of a percentage."""
        if self.unit == "%":
            return f"{100 * value:.{digits}g}%"
        return f"{value:.{self.digits}g} {self.unit}".rstrip()

    def reached(self, value: float, expected: float) -> bool:
        """Return whether a value is as good as the expected one."""
        return value >= expected if self.higher else value <= expected


ACCURACY = Measure("accuracy", "test accuracy")


@dataclass(frozen=True)
class Options:
    """How to run a recipe; what is left out is the recipe's own choice.

    Parameters
    ----------
    data : path-like, optional
        Folder of data files, for recipes that need them.
    epochs, batch_size : int, optional
        Default: the recipe's.
    threads : int, optional
        Default: pynn's.
    seed : int, default 0
        Seed of initial weights, shuffling and dropout.
    out : Path, optional
        Folder for the weights, the history and the pictures. Default: they are not written.
    json : Path, optional
        File for the result. Default: it is not written.
    quiet : bool, default False
        Print the result alone.
    checkpoint : Path, optional
        Folder into which training is saved now and then, and from which it goes on. Default: neither.
    precision : {"highest", "high", "medium"}, optional
        Of :func:`pynn.set_precision`. Default: the one that is set.
    """

    data: Path | None = None
    epochs: int | None = None
    batch_size: int | None = None
    threads: int | None = None
    seed: int = 0
    out: Path | None = None
    json: Path | None = None
    quiet: bool = False
    checkpoint: Path | None = None
    precision: str | None = None


@dataclass(frozen=True)
class Result:
    """What a run of a recipe came to; ``dataclasses.asdict`` of it is what ``--json`` writes.

    Parameters
    ----------
    recipe : str
        Name of the recipe.
    test : dict of str to float
        The figures on the test part; a classifier's are ``loss`` and ``accuracy``.
    expected : float
        What the recipe's record promises of its measure, for its own number of epochs.
    epochs, batch_size, parameters, seed, threads : int
        What was run.
    train_seconds : float
        Time of ``fit``, without loading data and drawing.
    version : str
        Version of pynn.
    precision : str
        Of matrix products.
    details : dict
        More that one recipe alone has to say.
    """

    recipe: str
    test: dict[str, float]
    expected: float
    epochs: int
    batch_size: int
    train_seconds: float
    parameters: int
    seed: int
    threads: int
    version: str
    precision: str
    details: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Recipe:
    """A named experiment.

    Parameters
    ----------
    name : str
        What it is called on the command line.
    shows : str
        What one learns from it, in one line.
    data : str
        The data it needs.
    expected : float
        What it reaches in `epochs`, by its measure.
    epochs, batch_size : int
        Its own settings.
    play : callable
        The experiment: from this record and complete options to a result.
    measure : Measure, default the test accuracy
        What is expected of it.
    """

    name: str
    shows: str
    data: str
    expected: float
    epochs: int
    batch_size: int
    play: Callable[[Recipe, Options], Result]
    measure: Measure = ACCURACY

    def run(self, options: Options | None = None) -> Result:
        """Check that the results can be written, run the experiment, and write its result."""
        from pynn.recipes.runner import run

        return run(self, options or Options())

    def complete(self, options: Options) -> Options:
        """Return `options` with this recipe's own epochs and batch size where they were left out."""
        return dataclasses.replace(
            options,
            epochs=self.epochs if options.epochs is None else options.epochs,
            batch_size=self.batch_size if options.batch_size is None else options.batch_size,
        )


_RECIPES: Registry[Recipe] = Registry("recipe", Recipe, {})


def recipe(
    name: str,
    *,
    shows: str,
    data: str,
    expected: float,
    epochs: int,
    batch_size: int,
    measure: Measure = ACCURACY,
) -> Callable[[Callable[[Recipe, Options], Result]], Recipe]:
    """Register the decorated function as the recipe `name`; the fields are those of :class:`Recipe`."""

    def register(play: Callable[[Recipe, Options], Result]) -> Recipe:
        made = Recipe(name, shows, data, expected, epochs, batch_size, play, measure)
        _RECIPES.add(name, lambda: made)
        return made

    return register


def known() -> list[Recipe]:
    """Return all recipes, in the order in which they are best met."""
    return [make() for make in _RECIPES.values()]


def find(name: str | Recipe) -> Recipe:
    """Return the recipe of that name, or the recipe itself.

    Raises
    ------
    ValueError
        If there is none; the message says which name is nearest.
    """
    return _RECIPES.resolve(name)
