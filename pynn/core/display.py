"""How a tensor looks in a notebook."""

from __future__ import annotations

from typing import Any

from pynn.core.state import state

__all__ = ["tensor_html"]

ROWS, COLUMNS = 20, 12


def tensor_html(t: Any) -> str:
    """Return a tensor of one or two axes as a table of at most 20 x 12 numbers, any other as text; then its facts."""
    from html import escape  # here: importing pynn needs none

    if state.recorder is not None or t.ndim not in (1, 2) or not t.size:
        return f"<pre>{escape(repr(t))}</pre>"
    values = t.view().reshape(-1, t.shape[-1])
    cell = "padding:1px 8px;text-align:right;font-family:monospace"
    lines = []
    for row in values[:ROWS]:
        cells = [f"{v:.5g}" for v in row[:COLUMNS].tolist()] + (["…"] if values.shape[1] > COLUMNS else [])
        lines.append("<tr>" + "".join(f'<td style="{cell}">{text}</td>' for text in cells) + "</tr>")
    if len(values) > ROWS:
        lines.append(f'<tr><td style="{cell}">…</td></tr>')
    facts = [f"shape {t.shape}", str(t.dtype)]
    if t.node is not None:
        facts.append(f"made by {escape(t.node.card.name)}")
    elif t.requires_grad:
        facts.append("requires_grad")
    return f"<table>{''.join(lines)}</table><small>{', '.join(facts)}</small>"
