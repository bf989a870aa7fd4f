"""Data sets of a program's own: batches by number."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pynn.keywords import Spelled

__all__ = ["PyDataset", "Sequence"]


class PyDataset(Spelled):
    """Batches by number: write ``__len__`` and ``__getitem__``; fit takes it as x.

    Parameters
    ----------
    workers : int, default 1
    use_multiprocessing : bool, default False
    max_queue_size : int, default 10
        All three are taken and change nothing: batches are made when they are needed.
    """

    def __init__(self, workers: int = 1, use_multiprocessing: bool = False, max_queue_size: int = 10):
        self.workers, self.use_multiprocessing, self.max_queue_size = workers, use_multiprocessing, max_queue_size

    def __getitem__(self, index: int) -> Any:
        raise NotImplementedError(f"[Sequence] write __getitem__(self, index) in class {type(self).__name__}.")

    def __len__(self) -> int:
        raise NotImplementedError(f"[Sequence] write __len__(self) in class {type(self).__name__}.")

    @property
    def num_batches(self) -> int:
        """The number of batches."""
        return len(self)

    def on_epoch_begin(self) -> None:
        """Do what is to be done before each pass."""

    def on_epoch_end(self) -> None:
        """Do what is to be done after each pass."""

    def __iter__(self) -> Iterator[Any]:
        return (self[i] for i in range(len(self)))


Sequence = PyDataset
