from typing import Any, Final, final

@final
class Watch:
    changed: Final[str]
    generators: Final[list[tuple[str, Any]]]
    foreign: Final[bool]
    def __init__(self, *roots: Any) -> None: ...
    def unchanged(self) -> bool: ...
    def settled(self) -> bool: ...
