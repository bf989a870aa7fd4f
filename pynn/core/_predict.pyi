from collections.abc import Callable, Sequence
from typing import Any, Final, final

import numpy as np

from pynn.core._kept import Kept
from pynn.core.program import Recording

Specs = list[tuple[tuple[int, ...], np.dtype]]

@final
class Prepared:
    output_shapes: Final[list[tuple[int, ...]]]
    apart: Any
    def __init__(
        self,
        recording: Recording,
        inputs: Specs,
        outputs: Specs,
        build: Callable[[list[np.ndarray]], Any] | None = None,
        kept: Sequence[tuple[int, Kept]] = (),
    ) -> None: ...
    @property
    def workspaces(self) -> int: ...
    def run(self, x: Any) -> list[np.ndarray]: ...

class Predictor:
    most: int
    def __init__(self, most: int = 0) -> None: ...
    def add(self, made: Prepared, rows: int) -> None: ...
    def join(self, x: Any, rows: int, apart: Any) -> None: ...
    def forget(self) -> None: ...
    def quick(self, x: Any) -> Any: ...
    def otherwise(self, x: Any) -> Any: ...
    def __call__(self, x: Any) -> Any: ...

class Batch:
    def __init__(
        self,
        recording: Recording,
        inputs: Specs,
        given: tuple[tuple[int, ...], np.dtype],
        kept: tuple[tuple[int, ...], np.dtype],
        low: float,
        high: float,
        outputs: Sequence[tuple[tuple[int, ...], np.dtype]] = (),
    ) -> None: ...
    def fits(self, x: Any, y: Any) -> bool: ...
    def holds(self) -> bool: ...

@final
class PreparedStep(Batch):
    def __init__(
        self,
        recording: Recording,
        inputs: Specs,
        given: tuple[tuple[int, ...], np.dtype],
        kept: tuple[tuple[int, ...], np.dtype],
        low: float,
        high: float,
        rows: int,
        ledger: list[Any],
    ) -> None: ...
    def step(
        self, x: Any, y: Any, rate: float, order: np.ndarray | None = None
    ) -> tuple[float, float, float, float] | None: ...

@final
class PreparedLoss(Batch):
    def run(self, x: Any, y: Any) -> list[np.ndarray] | None: ...
