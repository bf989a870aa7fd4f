"""The parameters of an estimator: each is an attribute that holds what the constructor was given."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["keep"]


def keep(arguments: Mapping[str, Any]) -> None:
    """Keep the arguments of a constructor, its ``locals()``, as attributes of the same names, and change none of them.

    scikit-learn reads the names of the parameters off the signature, so that every class has to write it out.
    """
    estimator = arguments["self"]
    for name, value in arguments.items():
        if name not in ("self", "__class__"):
            setattr(estimator, name, value)
