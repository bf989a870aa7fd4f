from collections.abc import Hashable
from typing import Any, Final, final

from pynn.core._core import Instr

def key_of(instr: Instr) -> tuple[Hashable, ...] | None: ...

@final
class Kept:
    nbytes: Final[int]
    def __init__(self, instr: Instr, room: Any) -> None: ...
    @property
    def held(self) -> int: ...
