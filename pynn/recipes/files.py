"""Writing results: checked before a run begins, and whole or not at all."""

from __future__ import annotations

import json
import secrets
from pathlib import Path
from typing import Any

from pynn.files import write_whole

__all__ = ["check_file", "check_folder", "write_json", "write_whole"]


def check_folder(folder: Path, option: str) -> None:
    """Make `folder` and prove that a file can be made in it; `option` names it in the error.

    Raises
    ------
    OSError
        If it cannot be made or written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = _unique(folder / "probe")
        probe.touch(exist_ok=False)
        probe.unlink()
    except OSError as error:
        below_file = isinstance(error, (FileExistsError, NotADirectoryError))
        reason = "a part of it is a file" if below_file else error.strerror
        raise OSError(
            f"expected {option} to be a folder that can be written to. Received: {str(folder)!r} ({reason})."
        ) from error


def check_file(path: Path, option: str) -> None:
    """Prove that the file `path` can be written; `option` names it in the error.

    Raises
    ------
    OSError
        If `path` is a folder, or its folder cannot be made or written to.
    """
    if path.is_dir():
        raise OSError(f"expected {option} to be a file. Received: {str(path)!r} (a folder).")
    check_folder(path.parent, f"the folder of {option}")


def write_json(path: Path, value: Any) -> None:
    """Write `value` as JSON, whole or not at all."""
    write_whole(path, (json.dumps(value, indent=2) + "\n").encode())


def _unique(path: Path) -> Path:
    return path.with_name(f".{path.name}.{secrets.token_hex(8)}.tmp")
