"""Two scripts beside each other: the one that many courses show, and pynn's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

__all__ = ["sides"]

SCRIPTS = Path(__file__).resolve().parents[1] / "scripts"


def sides(argument: str, uri: str, texts: dict[str, Any]) -> str:
    """Return docs/scripts/original/NAME.py, under its heading, beside docs/scripts/NAME.py."""
    name, _, heading = (part.strip() for part in argument.partition("|"))
    columns = {heading: SCRIPTS / "original" / f"{name}.py", "pynn": SCRIPTS / f"{name}.py"}
    parts = [
        f"<div markdown>\n\n**{title}**\n\n````python\n{path.read_text(encoding='utf-8').strip()}\n````\n\n</div>"
        for title, path in columns.items()
    ]
    return '<div class="sides" markdown>\n\n' + "\n\n".join(parts) + "\n\n</div>"
