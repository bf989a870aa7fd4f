"""Timing sides in turn, and verifying that they compute the same."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Sequence
from statistics import quantiles

import numpy as np

from .side import Side

BLOCK_SECONDS = 0.03
ROW_SECONDS = 25.0  # enough for all rounds of all but the slowest workloads, which take fewer
LEAST_ROUNDS = 3
# Relative differences of results: of one forward pass, and after a pass over the batches, where rounding errors grow.
SAME = {"highest": (1e-4, 2e-2), "high": (1e-4, 2e-2), "medium": (2e-2, 1e-1)}


class Disagreement(RuntimeError):
    """Two sides do not compute the same."""


Clock = Callable[[], float]


def steps_per_block(side: Side, clock: Clock = time.perf_counter) -> int:
    """Warm the side up, then choose a number of steps that takes about BLOCK_SECONDS."""
    side.run(side.quantum)
    steps = side.quantum
    while True:
        started = clock()
        side.run(steps)
        if (elapsed := clock() - started) > BLOCK_SECONDS / 4:
            break
        steps *= 4
    return side.quantum * max(1, round(steps * BLOCK_SECONDS / elapsed / side.quantum))


def settle() -> None:
    """Wait, for half a second at most, until the threads of the side before have stopped looking for more work."""
    for _ in range(50):
        before = time.process_time()
        time.sleep(0.01)
        if time.process_time() - before < 0.0005:
            return


def measure(
    sides: Sequence[Side], rounds: int, threads: int, clock: Clock = time.perf_counter
) -> dict[str, list[float]]:
    """Microseconds of one step, per side and round; fewer rounds where ROW_SECONDS do not suffice."""
    sides = list(sides)
    steps = {side.name: steps_per_block(side, clock) for side in sides}
    times: dict[str, list[float]] = {side.name: [] for side in sides}
    gc.collect()
    gc.disable()
    deadline = time.perf_counter() + ROW_SECONDS
    for turn in range(rounds):
        if turn >= LEAST_ROUNDS and time.perf_counter() > deadline:
            break
        shift = turn % len(sides)
        for side in sides[shift:] + sides[:shift]:
            if threads > 1:
                settle()
            if not side.whole_pass:  # which is long enough to warm itself
                side.run(side.quantum)
            started = clock()
            side.run(steps[side.name])
            times[side.name].append((clock() - started) / steps[side.name] * 1e6)
    gc.enable()
    return times


def spread(values: Sequence[float]) -> dict[str, float]:
    """Least value, quartiles, greatest value and number of the rounds."""
    if len(values) == 1:
        low = middle = high = values[0]
    else:
        low, middle, high = quantiles(values, n=4, method="inclusive")
    return {
        "min": min(values), "low": low, "median": middle, "high": high, "max": max(values), "rounds": len(values)
    }  # fmt: skip


def difference(a: float | np.ndarray, b: float | np.ndarray) -> float:
    """The largest difference of two results, relative to the largest value; infinite where one is not finite."""
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    if a.shape != b.shape or not (np.isfinite(a).all() and np.isfinite(b).all()):
        return float("inf")
    return float(np.abs(a - b).max() / max(np.abs(a).max(), np.abs(b).max(), 1e-12))


def verify(sides: Sequence[Side], steps: int, learns: bool, precision: str = "highest") -> dict[str, float]:
    """Start all sides from the same weights; their results must agree, before and after the same steps.

    Parameters
    ----------
    sides : sequence of Side
        The first is compared with the others.
    steps : int
        Of one pass over the batches; 0 for predictions.
    learns : bool
        Whether the result is a loss, which must have become less.
    precision : str
        Which differences are allowed.

    Returns
    -------
    dict
        The largest differences, "start" and "pass".

    Raises
    ------
    Disagreement
    """
    found: dict[str, dict[str, float | np.ndarray]] = {"start": {}, "pass": {}}
    for side in sides:
        side.reset()
        found["start"][side.name] = side.result()
        if steps:
            side.run(steps)
            found["pass"][side.name] = side.result()
            if learns and not found["pass"][side.name] < found["start"][side.name]:
                raise Disagreement(f"{side.name} does not learn: {found['start'][side.name]} before, "
                                   f"{found['pass'][side.name]} after {steps} steps")  # fmt: skip
        side.reset()
    worst = {}
    for when, limit in zip(("start", "pass"), SAME[precision], strict=True):
        results = found[when]
        first = sides[0].name
        for name, result in results.items():
            off = difference(results[first], result)
            worst[when] = max(worst.get(when, 0.0), off)
            if not off <= limit:
                raise Disagreement(f"{name} does not compute what {first} does ({when}): {result} against "
                                   f"{results[first]}")  # fmt: skip
    return worst
