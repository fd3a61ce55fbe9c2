"""How a view shows itself, in a terminal and in a notebook; nothing is read for it."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from wetloop.recording.fields import Field

HEADINGS = ("column", "type", "unit", "what it is")


def as_text(name: str, n_rows: int, fields: Collection[Field]) -> str:
    """Return a table's name, length and columns as lines."""
    rows = [HEADINGS, *_cells(fields)]
    widths = [max(len(row[k]) for row in rows) for k in range(len(HEADINGS) - 1)]
    lines = ["  ".join([*(c.ljust(w) for c, w in zip(row, widths, strict=False)), row[-1]]).rstrip() for row in rows]
    return "\n".join([f"{name}: {n_rows} rows, unread", *(f"  {line}" for line in lines)])


def as_html(name: str, n_rows: int, fields: Collection[Field]) -> str:
    """Return the same as an HTML table."""
    body = "".join(_row("td", cells) for cells in _cells(fields))
    caption = f"<b>{html.escape(name)}</b>: {n_rows} rows, unread"
    return f"<p>{caption}</p><table><thead>{_row('th', HEADINGS)}</thead><tbody>{body}</tbody></table>"


def _cells(fields: Iterable[Field]) -> Iterable[tuple[str, ...]]:
    for field in fields:
        yield field.name, "text" if field.words_only else str(field.dtype), field.unit, field.description


def _row(tag: str, cells: Sequence[str]) -> str:
    told = "".join(f'<{tag} style="text-align:left">{html.escape(cell)}</{tag}>' for cell in cells)
    return f"<tr>{told}</tr>"
