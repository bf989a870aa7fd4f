"""``keras.datasets.cifar100``."""

from __future__ import annotations

from typing import Any

from pynn.keras.missing import refused

__all__ = ["load_data"]


def load_data(label_mode: str = "fine") -> Any:
    """Refuse: pynn reads CIFAR-10 alone.

    Parameters
    ----------
    label_mode : str
    """
    refused("keras.datasets.cifar100", "its files are pickles, which are not read; CIFAR-10 is there")
