"""The model inside an estimator as bytes: what pickle and joblib see of it."""

from __future__ import annotations

from typing import Any

__all__ = ["from_bytes", "to_bytes"]


def to_bytes(model: Any) -> bytes:
    """Return a model with the state of its optimizer, as the bytes of a model file."""
    from pynn.io.model_file import dumps

    return dumps(model)


def from_bytes(data: bytes) -> Any:
    """Return the model of :func:`to_bytes`. Nothing in the bytes is unpickled, evaluated or imported."""
    from pynn.models import loads

    return loads(data)
