"""What the codes of an encoder can tell and what they cost, in words."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from wetloop.cli.render import table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.table import Table

    from wetloop.coding.codes import CodeFacts
    from wetloop.core.limits import StimLimits


def code_row(code: CodeFacts, limits: StimLimits) -> dict[str, Any]:
    """Return the facts of a code as plain values."""
    return {
        "kind": code.kind,
        "place": code.place or None,
        "rates": [curve._asdict() for curve in code.curves],
        "min_rate_hz": code.min_rate_hz,
        "max_rate_hz": code.max_rate_hz,
        "electrodes": len(code.channels),
        "electrodes_at_once": code.at_once,
        "grid": list(code.grid) if code.grid else None,
        "levels_in_hold": code.levels(code.hold_ms),
        "levels_in_1_s": code.levels(1000),
        "hold_ms": code.hold_ms,
        "latency_ms_at_min_rate": code.latency_ms(code.min_rate_hz),
        "latency_ms_at_max_rate": code.latency_ms(code.max_rate_hz),
        "largest_total_hz": code.largest_total_hz,
        "session_limit_after_min": code.session_min(limits),
    }


def told(code: CodeFacts) -> str:
    """Return what a code tells, with its range."""
    if not code.curves:
        return f"pulses when announced: {code.place}"
    rates = [f"{c.quantity} {c.low:g} to {c.high:g}{_silence(c.silent_below)}" for c in code.curves]
    return "; ".join([f"place: {code.place}"] * bool(code.place) + [f"rate: {', '.join(rates)}"])


def resolution(code: CodeFacts) -> str:
    """Return how finely a code tells it."""
    if not code.curves:
        return "to the sample"
    levels = f"{code.levels(code.hold_ms)} rates told apart in {code.hold_ms:g} ms, {code.levels(1000)} in 1 s"
    if code.grid:
        return f"{code.grid[0]} x {code.grid[1]} fields; {levels}"
    return f"{len(code.channels)} places; {levels}" if code.place else levels


def latency(code: CodeFacts) -> str:
    """Return the mean time from a value to the pulse that follows it."""
    if not code.curves:
        return "as announced"
    slow, fast = (f"{code.latency_ms(rate):.4g} ms at {rate:g} Hz" for rate in (code.min_rate_hz, code.max_rate_hz))
    return f"{slow}, {fast}"


def cost(code: CodeFacts, limits: StimLimits) -> str:
    """Return the most that a code stimulates."""
    most = f"at most {code.largest_total_hz:g} pulses/s on {code.at_once} of {len(code.channels)} electrodes at once"
    left = code.session_min(limits)
    return f"{most}; session's charge lasts {left:.3g} min at {code.max_rate_hz:g} Hz" if math.isfinite(left) else most


def codes_view(codes: Sequence[CodeFacts], limits: StimLimits) -> Table:
    """Return a table of the codes."""
    view = table("code", "tells", "resolution", "mean latency", "cost", title="Encoder")
    for code in codes:
        view.add_row(code.kind, told(code), resolution(code), latency(code), cost(code, limits))
    return view


def _silence(below: float | None) -> str:
    return "" if below is None else f" (silent under {below:g})"
