from typing import Any, final

import numpy as np

RULES: dict[str, int]

def shuffled(n: int, state: int) -> np.ndarray: ...

@final
class Rows:
    n: int
    features: int
    def __init__(
        self, dense: Any, values: Any = None, columns: Any = None, starts: Any = None, features: int = 0
    ) -> None: ...
    def largest(self) -> float: ...
    def outputs(self, theta: np.ndarray) -> np.ndarray: ...

@final
class Unit:
    def __init__(self, theta: np.ndarray, rule: str, bias: bool, l2: float = 0, l1: float = 0) -> None: ...
    def run(
        self,
        rows: Rows,
        y: np.ndarray,
        weight: np.ndarray | None,
        order: np.ndarray,
        at: int,
        rate: float,
        alone: bool = False,
    ) -> tuple[int, int, float]: ...
