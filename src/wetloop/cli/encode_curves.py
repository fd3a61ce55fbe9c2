"""The curves of ``wetloop encode-preview``: which value has which rate, and what that can tell."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

import numpy as np

from wetloop.cli.codes_view import cost, latency, resolution, told

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from wetloop.cli.encode_play import Preview
    from wetloop.coding.codes import CodeFacts, Curve

COLOURS = ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9")
"""Of Okabe and Ito (2008): people with any colour vision can tell them apart."""
MARKERS = "osD^vPX"
MOST_IN_LEGEND = 10


def draw_code(axes: Axes, code: CodeFacts, preview: Preview, wrap: int) -> None:
    """Draw rate against value, where values and rates are now, and the code's facts in lines of ``wrap`` letters."""
    several = len(code.curves) > 1
    for k, curve in enumerate(code.curves):
        _draw_curve(axes, code, curve, shared=several)
        _draw_values(axes, code, k, preview)
    now = sorted({round(preview.rates_hz.get(channel, 0.0), 3) for channel in code.channels})
    axes.plot([1.02] * len(now), now, "<", color="black", ms=6, transform=axes.get_yaxis_transform(), clip_on=False)
    axes.set(ylim=(-0.03 * code.max_rate_hz, 1.08 * code.max_rate_hz), ylabel="rate (Hz)")
    axes.set_title(f"{code.kind} (points: values now, triangles: rates now)", fontsize=10)
    axes.set_xlabel("value, from the first to the last of its range" if several else code.curves[0].quantity)
    axes.grid(color="0.9")
    if several:
        axes.legend(fontsize=7.5, frameon=False, loc="upper left")
    axes.annotate(_facts(code, preview, wrap), (0, -0.24), xycoords="axes fraction", va="top", fontsize=8.5)


def _draw_curve(axes: Axes, code: CodeFacts, curve: Curve, *, shared: bool) -> None:
    values = np.linspace(curve.low, curve.high, 501)
    shown = np.linspace(0, 1, 501) if shared else values
    axes.plot(shown, [code.rate_hz(curve, value) for value in values.tolist()], color=COLOURS[0], lw=2, zorder=1)


def _draw_values(axes: Axes, code: CodeFacts, k: int, preview: Preview) -> None:
    """Mark the present values of one curve."""
    curve = code.curves[k]
    values = _values_now(code, curve, preview)
    x = [curve.strength(v) if len(code.curves) > 1 else v for v in values]
    rates = [code.rate_hz(curve, value) for value in values]
    label = f"{curve.quantity}, {curve.low:g} to {curve.high:g}" if k < MOST_IN_LEGEND else None
    colour, marker = COLOURS[(k + 1) % len(COLOURS)], MARKERS[k % len(MARKERS)]
    axes.plot(x, rates, marker, color=colour, ms=7, markeredgecolor="black", label=label, clip_on=False)


def _values_now(code: CodeFacts, curve: Curve, preview: Preview) -> list[float]:
    from wetloop.coding.retinotopic import pool

    frame = preview.outcome.frame
    if code.grid is None:
        return [preview.observation[curve.quantity]] if curve.quantity in preview.observation else []
    if frame is None:
        return []
    pooled = pool(frame, *code.grid)
    values: list[float] = (1 - pooled if code.inverted else pooled).ravel().tolist()
    return values


def _facts(code: CodeFacts, preview: Preview, wrap: int) -> str:
    lines = {
        "tells": told(code),
        "resolution": resolution(code),
        "mean latency": latency(code),
        "cost": cost(code, preview.setting.limits),
    }
    return "\n".join(textwrap.fill(f"{name}: {line}", wrap, subsequent_indent="   ") for name, line in lines.items())
