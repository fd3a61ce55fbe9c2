"""Who gets which sensory electrodes, where several codes stand side by side."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from wetloop.core.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from wetloop.core.layout import Layout


def share(layout: Layout, first: int, n: int | None) -> Layout:
    """Return the layout with ``n`` sensory electrodes from the ``first`` on, or all that follow it.

    Whole rows stay rows; any other share counts as one row.
    """
    there = len(layout.sensory)
    n = there - first if n is None else n
    if first + n > there:
        raise ConfigError(
            f"encoder: {n} sensory electrodes asked for, but {max(0, there - first)} of {there} are left: "
            "raise layout.sensory_electrodes, or ask for fewer"
        )
    per_row = there // layout.sensory_rows
    rows = 1 if first % per_row or n % per_row else n // per_row
    return replace(layout, sensory=layout.sensory[first : first + n], sensory_rows=max(1, rows))


def shares(layout: Layout, needs: Sequence[int | None]) -> list[Layout]:
    """Return one share after the other; the one code that needs no certain number gets what the others leave."""
    if needs.count(None) > 1:
        raise ConfigError("encoder: more than one part has no number of electrodes: give it to all but one")
    left = len(layout.sensory) - sum(n or 0 for n in needs)
    if None in needs and left < 1:
        raise ConfigError(
            f"encoder: no sensory electrode is left for part {needs.index(None) + 1}: the others need "
            f"{len(layout.sensory) - left} of {len(layout.sensory)}; raise layout.sensory_electrodes"
        )
    sizes = [left if n is None else n for n in needs]
    return [share(layout, sum(sizes[:k]), n) for k, n in enumerate(sizes)]
