"""The named recipes: what each shows, what it needs, what it reaches, and how it is run."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass

from pynn.names import Registry
from pynn.recipes.records import ACCURACY, Measure, Options, Result
from pynn.recipes.runner import run

__all__ = ["ACCURACY", "Measure", "Options", "Recipe", "Result", "find", "known", "recipe"]


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
    epochs : int
        Its own settings.
    batch_size : int
        Its own settings.
    play : callable
        The experiment: from this record and complete options to a result.
    measure : Measure, default the test accuracy
        What is expected of it.
    full_epochs : int, optional
        The epochs of its larger size, which ``--full`` asks for. Default: it has none.
    """

    name: str
    shows: str
    data: str
    expected: float
    epochs: int
    batch_size: int
    play: Callable[[Recipe, Options], Result]
    measure: Measure = ACCURACY
    full_epochs: int | None = None

    def run(self, options: Options | None = None) -> Result:
        """Check that the results can be written, run the experiment, and write its result."""
        return run(self, options or Options())

    def complete(self, options: Options) -> Options:
        """Return `options` with this recipe's own epochs and batch size where they were left out.

        Raises
        ------
        ValueError
            If the larger size is wanted of a recipe that has none.
        """
        if options.full and self.full_epochs is None:
            raise ValueError(f"[{self.name}] has one size alone. Received: full=True. help: leave --full out.")
        epochs = self.full_epochs if options.full else self.epochs
        return dataclasses.replace(
            options,
            epochs=epochs if options.epochs is None else options.epochs,
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
    full_epochs: int | None = None,
) -> Callable[[Callable[[Recipe, Options], Result]], Recipe]:
    """Register the decorated function as the recipe `name`; the fields are those of :class:`Recipe`.

    Parameters
    ----------
    name : str
        On the command line.
    shows : str
        What it shows, in one line.
    data : str
        Which data it needs.
    expected : float
        What it should reach.
    epochs : int
    batch_size : int
    measure : Measure, optional
        By what it is judged.
    full_epochs : int, optional
        Of its larger size.
    """

    def register(play: Callable[[Recipe, Options], Result]) -> Recipe:
        made = Recipe(name, shows, data, expected, epochs, batch_size, play, measure, full_epochs)
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
