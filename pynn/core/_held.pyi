from collections.abc import Callable
from types import TracebackType
from typing import Any, TypeVar, final

F = TypeVar("F", bound=Callable[..., Any])

@final
class Held:
    def __init__(self, target: Any, gives: Any = None, /, **values: Any) -> None: ...
    def __enter__(self) -> Any: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None: ...
    def __call__(self, function: F) -> F: ...
