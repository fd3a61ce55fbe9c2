"""What each electrode was given: pulses and charge."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from wetloop.analysis.report.numbers import Columns, Numbers, worded
from wetloop.analysis.report.style import KIND_COLOURS, Panel, new_figure
from wetloop.kernels.records import KINDS
from wetloop.recording.dose import Ledger

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from wetloop.analysis.report.material import Material

MOST_LABELLED = 24
LEDGER = (("subject", "culture_id"), ("care", "ledger"))
"""Where a session's configuration names the culture and the folder of its ledger."""
LIFETIME = (
    "lifetime_sessions", "lifetime_hours", "lifetime_pulses", "lifetime_largest_charge_nc",
    "lifetime_sessions_unaccounted",
)  # fmt: skip


@dataclass(frozen=True)
class DoseNumbers(Numbers):
    """Delivered dose; a row of ``electrodes`` per stimulated electrode and kind, a row of ``fates`` per kind and fate.

    Charge is that of the larger phase, summed over the pulses: an upper bound where pulses are voltage-controlled.
    What begins with ``lifetime`` is the culture's, by its ledger as it stands now: a row per contact; None without one.
    """

    electrodes_stimulated: int
    pulses_delivered: int
    pulses_asked_for: int
    charge_nc: float
    largest_charge_nc: float
    limit_charge_nc_per_session: float
    electrodes: Columns
    fates: Columns
    lifetime_sessions: int | None
    lifetime_hours: float | None
    lifetime_pulses: int | None
    lifetime_largest_charge_nc: float | None
    lifetime_sessions_unaccounted: int | None
    lifetime: Columns


def measure(session: Material) -> DoseNumbers:
    """Return pulses and charge by electrode and kind."""
    n, n_kinds = session.info.n_channels, len(KINDS)
    counts, charge = np.zeros((n, n_kinds), np.int64), np.zeros((n, n_kinds))
    delivered = session.reached
    for number, pattern in enumerate(session.patterns.values()):
        used = delivered & (session.pulses["pattern"] == number)
        kinds = session.pulses["kind"][used]
        channels = list(pattern.channels)
        counts[channels] += np.bincount(kinds, minlength=n_kinds)
        charge[channels] += np.bincount(kinds, weights=session.charge_nc[used], minlength=n_kinds)
    channel, kind = np.nonzero(counts)
    return DoseNumbers(
        electrodes_stimulated=len(np.unique(channel)),
        pulses_delivered=int(delivered.sum()),
        pulses_asked_for=len(delivered),
        charge_nc=float(charge.sum()),
        largest_charge_nc=float(charge.sum(axis=1).max(initial=0.0)),
        limit_charge_nc_per_session=session.limits.max_charge_nc_per_session,
        electrodes={
            "channel_index": channel,
            "kind": np.array(KINDS)[kind],
            "pulses": counts[channel, kind],
            "charge_nc": charge[channel, kind],
        },
        fates=_fates(session),
        **_lifetime(session),
    )


def _lifetime(session: Material) -> dict[str, Any]:
    """Return what the culture was given over its life, where the session names its ledger and that is here."""
    culture_id, ledger = (session.config.get(part, {}).get(name) for part, name in LEDGER)
    book = Ledger(Path(ledger).expanduser(), culture_id) if ledger and culture_id else None
    if book is None or not book.path.is_file():
        told: list[Any] = [None] * 5
        charge: dict[str, float] = {}
    else:
        dose = book.dose()
        told = [dose.sessions, dose.hours, dose.pulses, dose.most_charge_nc, len(dose.unaccounted)]
        charge = dose.charge_nc
    columns = {"contact": np.array(list(charge), str), "charge_nc": np.array(list(charge.values()), float)}
    return {**dict(zip(LIFETIME, told, strict=True)), "lifetime": columns}


def _fates(session: Material) -> Columns:
    from wetloop.kernels.records import FATES

    codes = session.pulses["kind"].astype(np.int64) * len(FATES) + session.pulses["fate"]
    found, counts = np.unique(codes, return_counts=True)
    kind, fate = np.divmod(found, len(FATES))
    return {"kind": np.array(KINDS)[kind], "fate": np.array(FATES)[fate], "pulses": counts}


def draw(numbers: DoseNumbers) -> Figure:
    """Draw stacked bars of pulses and of charge."""
    figure, axes = new_figure(2, height_in=4.2, sharex=True)
    told = numbers.electrodes
    channels, place = np.unique(told["channel_index"], return_inverse=True)
    for ax, column, label in zip(axes, ("pulses", "charge_nc"), ("pulses", "charge (nC)"), strict=True):
        base = np.zeros(len(channels))
        for kind in KINDS:
            chosen = told["kind"] == kind
            if chosen.any():
                heights = np.bincount(place[chosen], weights=told[column][chosen], minlength=len(channels))
                ax.bar(np.arange(len(channels)), heights, bottom=base, color=KIND_COLOURS[kind], label=kind, width=0.8)
                base += heights
        ax.set_ylabel(label)
        ax.grid(visible=False, axis="x")
    step = -(-len(channels) // MOST_LABELLED)
    axes[-1].set_xticks(np.arange(len(channels))[::step], [str(c) for c in channels[::step]])
    axes[-1].set_xlabel("electrode (channel index)")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper left", ncols=4)
    return figure


def _life_told(numbers: DoseNumbers) -> str:
    if numbers.lifetime_sessions is None:
        return "No ledger of the culture's life is here."
    missing = numbers.lifetime_sessions_unaccounted
    unknown = f"; of {missing} more, which never ended, it is not known" if missing else ""
    return (
        f"Over its life, by its ledger, the culture had {worded(numbers.lifetime_pulses)} pulses in "
        f"{worded(numbers.lifetime_hours)} hours of {numbers.lifetime_sessions} sessions, at most "
        f"{worded(numbers.lifetime_largest_charge_nc)} nC through one electrode{unknown}."
    )


def panel(session: Material) -> Panel:
    """Return the figure of the dose."""
    numbers = measure(session)
    limit = numbers.limit_charge_nc_per_session
    allowed = f"; the guard allowed {worded(limit)} nC per electrode" if np.isfinite(limit) else ""
    return Panel(
        "dose",
        "Dose",
        "Pulses delivered to each stimulated electrode, and their charge (larger phase, summed): "
        f"{worded(numbers.charge_nc)} nC in all, at most {worded(numbers.largest_charge_nc)} nC on one "
        f"electrode{allowed}. {numbers.pulses_asked_for - numbers.pulses_delivered} of "
        f"{worded(numbers.pulses_asked_for)} pulses asked for were not delivered. {_life_told(numbers)}",
        numbers,
        lambda: draw(numbers),
        "" if numbers.pulses_delivered else "No pulse was delivered.",
    )
