"""What goes into a run of a recipe, and what comes out: the measure, the options, the result."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["ACCURACY", "Measure", "Options", "Result", "spread"]


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


def spread(values: list[float]) -> dict[str, Any]:
    """Return the mean of two or more figures, their standard deviation (with n - 1), and all of them.

    Examples
    --------
    >>> spread([1.0, 2.0, 3.0])
    {'mean': 2.0, 'deviation': 1.0, 'all': [1.0, 2.0, 3.0]}
    """
    return {"mean": float(np.mean(values)), "deviation": float(np.std(values, ddof=1)), "all": values}


ACCURACY = Measure("accuracy", "test accuracy")


@dataclass(frozen=True)
class Options:
    """How to run a recipe; what is left out is the recipe's own choice.

    Parameters
    ----------
    data : path-like, optional
        Folder of data files, for recipes that need them.
    epochs : int, optional
        Default: the recipe's.
    batch_size : int, optional
        Default: the recipe's.
        Default: the recipe's.
    threads : int, optional
        Default: pynn's.
    seed : int, default 0
        Seed of initial weights, shuffling and dropout.
    seeds : int, default 1
        Run so often, with `seed`, `seed` + 1, ...: the figures are means, their spread stands in the details. What is
        written into `out` and `checkpoint` gets a folder for each.
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
    full : bool, default False
        Run the larger size of a recipe that has one.
    """

    data: Path | None = None
    epochs: int | None = None
    batch_size: int | None = None
    threads: int | None = None
    seed: int = 0
    seeds: int = 1
    out: Path | None = None
    json: Path | None = None
    quiet: bool = False
    checkpoint: Path | None = None
    precision: str | None = None
    full: bool = False


@dataclass(frozen=True)
class Result:
    """What a run of a recipe came to; ``dataclasses.asdict`` of it is what ``--json`` writes.

    Parameters
    ----------
    recipe : str
        Name of the recipe.
    test : dict of str to float
        The figures on the test part; a classifier's are ``loss`` and ``accuracy``. Of several seeds, their means.
    expected : float
        What the recipe's record promises of its measure, for its own number of epochs.
    epochs : int
    batch_size : int
        What was run.
    train_seconds : float
        Time of ``fit``, without loading data and drawing.
    parameters : int
        Numbers learnt.
    seed : int
        The first of several.
    threads : int
    version : str
        Version of pynn.
    precision : str
        Of matrix products.
    details : dict, optional
        More that one recipe alone has to say. Of several seeds it is that of the first, and ``details["seeds"]`` has
        the :func:`spread` of every figure.
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
