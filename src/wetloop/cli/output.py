"""What the commands print: results on stdout, everything else on stderr."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from rich.console import RenderableType

FILE_WIDTH = 160


def echo_json(value: object) -> None:
    """Print one JSON value on stdout."""
    typer.echo(json.dumps(finite(value), allow_nan=False, ensure_ascii=False))


def finite(value: Any) -> Any:
    """Return the value with null in place of infinity and NaN, which JSON does not have."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): finite(item) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [finite(item) for item in value]
    return value


def show(*parts: RenderableType) -> None:
    """Print text and tables on stdout."""
    from rich.console import Console

    console = Console(highlight=False, soft_wrap=True)
    if not console.is_terminal:
        console.width = FILE_WIDTH
    for part in parts:
        console.print(part, markup=False)


def outline(data: Mapping[str, Any], indent: int = 0) -> str:
    """Return nested data as an indented outline; counts stand in one line, without those that are 0."""
    pad, lines = " " * indent, []
    for key, value in data.items():
        if isinstance(value, Mapping) and value and not _counts(value):
            lines += [f"{pad}{key}:", outline(value, indent + 2)]
        else:
            lines.append(f"{pad}{key}: {worded(value)}")
    return "\n".join(lines)


def _counts(data: Mapping[str, Any]) -> bool:
    return all(type(value) is int for value in data.values())


def worded(value: object) -> str:
    """Return a value as a person writes it."""
    if value is None or value in ({}, [], ()):
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {worded(item)}" for name, item in value.items() if item) or "none"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ", ".join(worded(item) for item in value)
    return str(value)
