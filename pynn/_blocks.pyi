import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Any, ParamSpec, TypeVar, final

P = ParamSpec("P")
T = TypeVar("T")

@final
class Leaving:
    def __init__(
        self,
        *calls: tuple[Any, ...],
        failed: bool = False,
        ignore: type[BaseException] | tuple[type[BaseException], ...] = (),
    ) -> None: ...
    def __enter__(self) -> Leaving: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None: ...

@final
class Opened:
    def __init__(self, path: str | os.PathLike[str], flags: int) -> None: ...
    def __enter__(self) -> int: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None: ...

def context(function: Callable[P, Iterator[T]]) -> Callable[P, AbstractContextManager[T]]: ...
