"""What a session would do: configuration, electrodes, stimulation, disk; nothing is opened or written."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from rich.text import Text

from wetloop.cli.codes_view import code_row, codes_view
from wetloop.cli.electrode_map import electrode_map
from wetloop.cli.output import echo_json, show
from wetloop.cli.render import facts, table
from wetloop.cli.stimulation import Expected, expected_stimulation

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.table import Table

    from wetloop.assembly import Players, Setting
    from wetloop.config import SessionConfig
    from wetloop.core.guard import Pattern

SPIKES_PER_S = 5.0
"""Assumed for the disk estimate, per channel; cortical cultures fire at 0.1 to 10 Hz."""

REFLEX_ADDS = "at most one pulse per ms comes on top of these, within the guard's limits."


def rehearse(config: SessionConfig, *, json: bool) -> None:
    """Print what the session would do."""
    from wetloop.assembly import describe, engine_of, players
    from wetloop.coding.codes import facts_of
    from wetloop.config import to_yaml

    setting, _source = describe(config)
    engine_of(setting)
    patterns = list(pattern_rows(setting))
    with players(setting) as parts:
        expected, disk = expected_stimulation(setting, parts), disk_mb_per_h(setting, parts)
        codes = facts_of(parts.encoder)
    if json:
        echo_json(
            {
                "config": config.model_dump(mode="json"),
                "codes": [code_row(code, setting.limits) for code in codes],
                "patterns": patterns,
                "stimulation_per_min": [row._asdict() for row in expected],
                "disk_mb_per_h": disk,
            }
        )
        return
    show(
        Text(to_yaml(config)),
        electrode_map(setting),
        *([codes_view(codes, setting.limits)] if codes else []),
        _patterns_view(patterns, setting),
        _expected_view(expected),
        *([Text(f"Reflex {setting.reflex.name}: {REFLEX_ADDS}")] if setting.reflex else []),
    )
    show(facts("Disk, MB per hour", disk), Text("Dry run: nothing was stimulated, nothing was written."))


def pattern_rows(setting: Setting) -> Iterator[dict[str, Any]]:
    """Yield the pattern table, neighbours that differ in nothing but the electrode as one row."""
    info, rows = setting.info, list(zip(setting.table, setting.table.charge_nc, strict=True))
    start = 0
    for i in range(1, len(rows) + 1):
        if i < len(rows) and _alike(rows[i][0][1], rows[start][0][1]):
            continue
        (first, pattern), charge_nc = rows[start]
        last = rows[i - 1][0][0]
        yield {
            "pattern": first if i == start + 1 else f"{first} to {last}",
            "electrodes": len(pattern.channels),
            "amplitude": max(abs(pattern.pulse.first_amplitude), abs(pattern.pulse.second_amplitude)),
            "unit": pattern.pulse.unit,
            "phase_us": pattern.pulse.first_us,
            "charge_nc": float(charge_nc),
            "density_uc_cm2": float(charge_nc) / info.electrode_area_um2 * 1e5,
        }
        start = i


def disk_mb_per_h(setting: Setting, parts: Players) -> dict[str, float]:
    """Return the size of a recording by table, MB per hour of rig time, before compression."""
    from wetloop.kernels.records import BLOCK, SPIKE
    from wetloop.recording.schema import decision_dtype

    info, task = setting.info, parts.task
    per_decision = decision_dtype(len(task.action_names), len(task.observation_names)).itemsize
    bytes_per_s = {
        f"spikes (at {SPIKES_PER_S:g} Hz per channel)": info.n_channels * SPIKES_PER_S * SPIKE.itemsize,
        "decisions": 1000 / setting.config.decision_ms * per_decision,
        "blocks": info.sampling_frequency / info.packet_samples * BLOCK.itemsize,
    }
    if setting.config.recording.raw_samples:
        bytes_per_s["raw samples"] = info.n_channels * info.sampling_frequency * np.dtype(np.int16).itemsize
    bytes_per_s["together"] = sum(bytes_per_s.values())
    return {name: value * 3600 / 1e6 for name, value in bytes_per_s.items()}


def _alike(one: Pattern, other: Pattern) -> bool:
    return one.pulse == other.pulse and len(one.channels) == len(other.channels)


def _patterns_view(rows: list[dict[str, Any]], setting: Setting) -> Table:
    limits = setting.limits
    charge = f"charge nC (limit {limits.max_charge_nc:g})>"
    density = f"density uC/cm2 (limit {limits.max_charge_density_uc_cm2:g})>"
    view = table("pattern", "electrodes>", "amplitude>", "phase us>", charge, density, title="Pattern table")
    for row in rows:
        view.add_row(
            row["pattern"],
            str(row["electrodes"]),
            f"{row['amplitude']:g} {row['unit']}",
            f"{row['phase_us']:g}",
            f"{row['charge_nc']:.4g}",
            f"{row['density_uc_cm2']:.4g}",
        )
    return view


def _expected_view(expected: list[Expected]) -> Table:
    title = "Stimulation per minute, one phase of each pulse"
    columns = (
        "pulses typical>",
        "nC typical>",
        "pulses at most>",
        "nC at most>",
        "nC at most on one electrode>",
    )
    view = table("kind", *columns, title=title)
    for row in expected:
        view.add_row(row.kind, *(f"{value:.1f}" for value in row[1:]))
    return view
