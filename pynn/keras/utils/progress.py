"""Keras's bar of progress."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable
from typing import Any

import numpy as np

__all__ = ["Progbar"]


class Progbar:
    """A bar of progress with means of values.

    Parameters
    ----------
    target : int or None
        Steps in all.
    width : int, default 20
    verbose : {0, 1, 2}, default 1
        1: a bar; 2: a line at the end.
    interval : float, default 0.05
        Seconds between two pictures.
    stateful_metrics : iterable of str, optional
        Names whose last value is shown, instead of the mean.
    unit_name : str, default "step"
    """

    def __init__(
        self, target: int | None, width: int = 20, verbose: int = 1, interval: float = 0.05,
        stateful_metrics: Iterable[str] | None = None, unit_name: str = "step",
    ):  # fmt: skip
        self.target, self.width, self.verbose, self.interval = target, width, verbose, interval
        self.stateful_metrics, self.unit_name = set(stateful_metrics or ()), unit_name
        self._sums: dict[str, list[float]] = {}
        self._start, self._shown, self._seen, self._wide = time.time(), 0.0, 0, 0

    def update(self, current: int, values: Any = None, finalize: bool | None = None) -> None:
        """Show how far things are.

        Parameters
        ----------
        current : int
            Steps that are done.
        values : sequence of (str, float), optional
        finalize : bool, optional
            Whether it is the last one; by default, if current is the target.
        """
        steps = max(current - self._seen, 1)
        for name, value in values or ():
            number = float(np.mean(np.asarray(value)))
            if name in self.stateful_metrics:
                self._sums[name] = [number, 1.0]
            else:
                total = self._sums.setdefault(name, [0.0, 0.0])
                total[0] += number * steps
                total[1] += steps
        self._seen = current
        last = finalize if finalize is not None else self.target is not None and current >= self.target
        now = time.time()
        if not self.verbose or (self.verbose == 2 and not last) or (now - self._shown < self.interval and not last):
            return
        self._shown = now
        told = "".join(f" - {name}: {total / max(n, 1):.4f}" for name, (total, n) in self._sums.items())
        if self.verbose == 1:
            share = 0.0 if not self.target else min(current / self.target, 1.0)
            done = int(self.width * share)
            line = f"{current}/{self.target or 'Unknown'} [{'=' * done}{'.' * (self.width - done)}]"
            line += f" - {now - self._start:.0f}s{told}"
            sys.stdout.write("\r" + line.ljust(self._wide) + ("\n" if last else ""))
            self._wide = len(line)
        else:
            sys.stdout.write(f"{current}/{self.target} - {now - self._start:.0f}s{told}\n")
        sys.stdout.flush()

    def add(self, n: int, values: Any = None) -> None:
        """Show that n more steps are done.

        Parameters
        ----------
        n : int
        values : sequence of (str, float), optional
        """
        self.update(self._seen + n, values)
