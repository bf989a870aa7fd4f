"""Waiting for messages: without occupying a core, and not for ever."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from typing import Any

__all__ = ["LostRankError", "wait"]

YIELDS = 200  # looks before it sleeps; each lets other processes on
FIRST_SLEEP, LONGEST_SLEEP = 20e-6, 500e-6  # seconds


class LostRankError(RuntimeError):
    """A rank did not answer in time: it was stopped or killed, or went another way than the others."""


def wait(pending: Mapping[int, list[Any]], seconds: float, lost: Callable[[list[int], float], Exception]) -> None:
    """Wait until requests are done.

    Parameters
    ----------
    pending : dict of int to list
        Of each other rank its requests, with a method Test().
    seconds : float
        How long a rank may take.
    lost : callable (ranks, seconds) -> exception
        What to raise of those that took longer.
    """
    left = {rank: list(requests) for rank, requests in pending.items()}
    begun, looks, sleep = time.monotonic(), 0, FIRST_SLEEP
    while True:
        for rank in list(left):
            try:
                left[rank] = [r for r in left[rank] if not r.Test()]
            except RuntimeError as error:  # of MPI: its process is no longer there
                raise lost([rank], time.monotonic() - begun) from error
            if not left[rank]:
                del left[rank]
        if not left:
            return
        looks += 1
        if looks < YIELDS:
            _let_others_on()
            continue
        time.sleep(sleep)
        sleep = min(1.5 * sleep, LONGEST_SLEEP)
        passed = time.monotonic() - begun
        if passed > seconds:
            raise lost(sorted(left), passed)


def _let_others_on() -> None:
    if hasattr(os, "sched_yield"):
        os.sched_yield()
    else:
        time.sleep(0)
