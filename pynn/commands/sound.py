"""Sounds for ``pynn predict``: a model file that says what it was fed of a recording gets the same again."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pynn.audio.packed import SOUNDS
from pynn.errors import DataError

__all__ = ["is_sound", "read_sounds"]


def is_sound(paths: Sequence[Path]) -> bool:
    """Return whether all files are sounds, by their names."""
    return all(path.suffix.lower() in SOUNDS for path in paths)


def read_sounds(metadata: Mapping[str, Any], paths: Sequence[Path]) -> np.ndarray:
    """Return the features of files of sound, one row each; what had to be converted is said once.

    Parameters
    ----------
    metadata : dict
        Of the model file; ``audio`` holds the settings of :class:`pynn.audio.Features`.
    paths : sequence of Path

    Raises
    ------
    DataError
        If the model was not made for sounds, or a file is damaged.
    ImportError
        If the extra ``audio`` is needed and not installed.
    """
    from pynn.audio import Features, load

    if "audio" not in metadata:
        raise DataError(
            "[predict] expected a model of sounds, which says in its metadata what it is fed. Received: another. "
            'help: save it with metadata={"audio": features.get_config()}, features of pynn.audio.Features.'
        )
    features = Features.from_config(metadata["audio"])
    return features(load(paths, features.rate, tell=lambda sentence: print(sentence, file=sys.stderr)))
