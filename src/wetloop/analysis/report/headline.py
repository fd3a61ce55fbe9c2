"""What anyone asks of a session first: who, when, on what, how it ended, and what went otherwise than planned."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from wetloop.analysis.report.numbers import Columns, Numbers
from wetloop.kernels.records import DELIVERED, FATES, LEASE_EXPIRED, PREEMPTED

if TYPE_CHECKING:
    from collections.abc import Iterator

    from wetloop.analysis.report.material import Material

EXPECTED = (DELIVERED, PREEMPTED, LEASE_EXPIRED)
"""Fates of pulses that are part of any protocol: feedback goes before the encoder, and sessions end."""


@dataclass(frozen=True)
class HeadlineNumbers(Numbers):
    """Facts of a session; ``subject`` and ``deviations`` have a row each."""

    identifier: str
    session_start: str
    condition: str
    task: str
    rig: str
    electrodes: int
    sampling_frequency_hz: float
    seed: int
    complete: bool
    ended: str
    duration_s: float
    minutes_in_play: float
    spikes: int
    mean_rate_hz: float
    pulses_delivered: int
    decisions: int
    late_decisions: int
    lost_samples: int
    episodes: int
    subject: Columns
    deviations: Columns


def measure(session: Material) -> HeadlineNumbers:
    """Return the facts, from the recording's own rows."""
    header, decisions, info = session.header, session.decisions, session.info
    decision_s = header["decision_samples"] / info.sampling_frequency
    told = {name: str(value) for name, value in header.get("subject", {}).items()}
    return HeadlineNumbers(
        identifier=header["identifier"],
        session_start=header["session_start"],
        condition=session.condition,
        task=session.task,
        rig=info.name,
        electrodes=info.n_channels,
        sampling_frequency_hz=info.sampling_frequency,
        seed=header["seed"],
        complete=session.complete,
        ended=str(session.summary.get("ended", "not finished")),
        duration_s=session.duration_s,
        minutes_in_play=float(decisions["playing"].sum()) * decision_s / 60,
        spikes=len(session.spikes),
        mean_rate_hz=len(session.spikes) / info.n_channels / session.activity.duration_s,
        pulses_delivered=len(session.delivered),
        decisions=len(decisions),
        late_decisions=int((decisions["lateness_us"] > info.late_us).sum()),
        lost_samples=int(session.blocks["lost_samples"].sum()),
        episodes=len(session.episodes),
        subject={"name": np.array(list(told), str), "value": np.array(list(told.values()), str)},
        deviations={"deviation": np.array(list(_deviations(session)), str)},
    )


def _deviations(session: Material) -> Iterator[str]:
    """Yield, a sentence each, what a reader has to know before believing the rest."""
    yield from _ending(session)
    yield from _losses(session)
    yield from _pulses(session)
    yield from _alarms(session.summary)


def _ending(session: Material) -> Iterator[str]:
    ended = session.summary.get("ended")
    if not session.complete:
        yield "The recording was never finished: it ends where its writer stopped."
    elif ended != "completed":
        yield f"The session did not run to its end: {ended}."
    if session.recovered:
        yield "The recording was recovered after a crash; some of it may be missing."
    if session.header.get("decoder_fitted"):
        yield "The decoder had been fitted to recordings: its score does not tell that a culture learned."
    if session.header["condition"] == "agent":
        agent = session.config["agent"]
        yield f"No culture played, but an agent: {agent['kind']}, shown {agent['sees']}."
    elif not session.info.reacts:
        yield "The spikes were a recording, which cannot react: the score says nothing about learning."
    if session.summary.get("recording_shortfall"):
        yield f"The recording lacks something: {session.summary['recording_shortfall']}"


def _losses(session: Material) -> Iterator[str]:
    lost = int(session.blocks["lost_samples"].sum())
    if lost:
        gaps = int((session.blocks["lost_samples"] > 0).sum())
        yield f"The rig lost {lost} samples ({1000 * lost / session.info.sampling_frequency:.4g} ms) in {gaps} gaps."
    late_us = session.info.late_us
    late = int((session.decisions["lateness_us"] > late_us).sum())
    if late:
        share = 100 * late / len(session.decisions)
        yield f"{late} decisions ({share:.3g} %) were more than {late_us / 1000:g} ms late."
    for what, n in session.summary.get("dropped", {}).items():
        if n:
            yield f"{n} {what} were dropped."
    for what, n in session.summary.get("task", {}).items():
        if n:
            yield f"The task's answer was {what} {n} times, because it came too late."


def _pulses(session: Material) -> Iterator[str]:
    fates, counts = np.unique(session.pulses["fate"], return_counts=True)
    odd = [
        (FATES[fate].replace("refused_", "refused by the guard: ").replace("_", " "), n)
        for fate, n in zip(fates, counts, strict=True)
        if fate not in EXPECTED
    ]
    if refused := int((session.pulses["fate"] == DELIVERED).sum() - session.reached.sum()):
        odd.append(("not taken by the stimulator", refused))
    if odd:
        yield "Pulses not delivered: " + "; ".join(f"{n} ({fate})" for fate, n in odd) + "."


def _alarms(summary: dict[str, Any]) -> Iterator[str]:
    raised = [str(alarm["watch"]) for alarm in summary.get("alarms", []) if alarm.get("state") == "raised"]
    for watch in dict.fromkeys(raised):
        yield f"Alarm of the watchdog {watch}: {raised.count(watch)} times."
    left_out = summary.get("alarms_left_out", 0)
    if left_out:
        yield f"{left_out} more alarms were not kept."
    if summary.get("guard_state") == "tripped":
        yield "The guard tripped: from then on nothing was stimulated."
