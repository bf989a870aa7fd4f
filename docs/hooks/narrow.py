"""Tables of sentences on small screens: their cells stand one below the other, each with the heading of its column."""

from __future__ import annotations

import html
import re

__all__ = ["with_headings"]

TABLE = re.compile(r"<table>\n(.*?)</table>", re.DOTALL)
HEAD = re.compile(r"<th\b[^>]*>(.*?)</th>", re.DOTALL)
ROW = re.compile(r"<tr>(.*?)</tr>", re.DOTALL)
CELL = re.compile(r"<td\b([^>]*)>(.*?)</td>", re.DOTALL)
TAG = re.compile(r"<[^>]+>")
SENTENCE = 40  # letters; tables whose cells are all shorter are numbers and names, which are compared side by side


def with_headings(page: str) -> str:
    r"""Return a page as HTML, in which cells know their headings, in tables of sentences with three columns or more.

    Examples
    --------
    >>> long = "what it does, in more words than fit beside others"
    >>> row = f"<tr>\n<td>a</td>\n<td>1</td>\n<td>{long}</td>\n</tr>"
    >>> heads = "<tr><th>name</th><th>n</th><th>what</th></tr>"
    >>> print(with_headings(f"<table>\n{heads}\n{row}\n</table>").split("\n")[4])
    <td data-column="n">1</td>
    """
    return TABLE.sub(_table, page)


def _table(match: re.Match[str]) -> str:
    heads = [_plain(head) for head in HEAD.findall(match[1])]
    if len(heads) < 3 or max(len(_plain(cell)) for _, cell in CELL.findall(match[1])) < SENTENCE:
        return match[0]
    return f"<table data-rows>\n{ROW.sub(lambda row: _row(row, heads), match[1])}</table>"


def _row(row: re.Match[str], heads: list[str]) -> str:
    columns = iter(heads)

    def cell(found: re.Match[str]) -> str:
        head = html.escape(next(columns))
        return f'<td{found[1]} data-column="{head}">{found[2]}</td>'

    return f"<tr>{CELL.sub(cell, row[1])}</tr>"


def _plain(text: str) -> str:
    return html.unescape(TAG.sub("", text)).strip()
