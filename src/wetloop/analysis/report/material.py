"""What a report needs of one recording, read once."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from wetloop.analysis.activity import Activity
from wetloop.kernels.records import EXCLUSIONS, KINDS
from wetloop.recording import schema
from wetloop.recording.reached import reached
from wetloop.recording.reader import Recording

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt

    from wetloop.core.guard import Pattern
    from wetloop.core.layout import Layout
    from wetloop.core.limits import StimLimits
    from wetloop.core.types import Records, RigInfo

    Floats = npt.NDArray[np.float64]

ARTEFACT = EXCLUSIONS.index("artefact")


@dataclass(frozen=True)
class Material:
    """One recorded session.

    Attributes
    ----------
    path
        File of the recording.
    complete
        Whether the session was finished.
    header, config, summary, recovered
        What the recording says of itself (``Recording``).
    info, layout, limits, patterns
        The rig, the roles of its channels, the tightest limits, the prepared patterns.
    extent
        First sample and end of the recording.
    spikes, pulses, decisions, episodes, blocks
        Records as ``Recording`` gives them.
    reached
        Which pulses reached the culture, shape (n_pulses,).
    charge_nc
        Charge of the larger phase of each pulse on each of its electrodes, nC, shape (n_pulses,).
    """

    path: Path
    complete: bool
    header: dict[str, Any]
    config: dict[str, Any]
    summary: dict[str, Any]
    recovered: dict[str, Any]
    info: RigInfo
    layout: Layout
    limits: StimLimits
    patterns: dict[str, Pattern]
    extent: tuple[int, int]
    spikes: Records
    pulses: Records
    reached: npt.NDArray[np.bool_]
    decisions: Records
    episodes: Records
    blocks: Records
    charge_nc: npt.NDArray[np.float32]

    @property
    def condition(self) -> str:
        """Experimental arm of the session."""
        return str(self.header["condition"])

    @property
    def task(self) -> str:
        """Kind of the task."""
        return str(self.config.get("task", {}).get("kind", ""))

    @property
    def start_s(self) -> float:
        """Start of the recording on the rig's clock, s."""
        return self.extent[0] / self.info.sampling_frequency

    @property
    def duration_s(self) -> float:
        """Length of the recording, s."""
        return (self.extent[1] - self.extent[0]) / self.info.sampling_frequency

    @cached_property
    def activity(self) -> Activity:
        """All spikes but those that were marked as artefacts; times since the start of the recording."""
        kept = self.spikes[self.spikes["excluded"] != ARTEFACT]
        made = Activity.of(kept, *self.extent, self.info.sampling_frequency, self.info.n_channels)
        return made if self.duration_s else Activity(made.times_s, made.channels, made.n_channels, 1.0)

    @cached_property
    def delivered(self) -> Records:
        """Pulses that reached the culture, ordered in time."""
        kept = self.pulses[self.reached]
        ordered: Records = kept[np.argsort(kept["sample_index"], kind="stable")]
        return ordered

    def since_start_s(self, samples: npt.NDArray[Any]) -> Floats:
        """Return samples of the rig's clock as times since the start of the recording, s."""
        since: Floats = (samples - self.extent[0]) / self.info.sampling_frequency
        return since

    def happened(self, event: str) -> npt.NDArray[np.bool_]:
        """Return at which decisions the event was reported, shape (n_decisions,)."""
        names = self.header["event_names"]
        bit = 1 << names.index(event) if event in names else 0
        told: npt.NDArray[np.bool_] = (self.decisions["events"] & np.uint32(bit)) != 0
        return told

    @property
    def kinds(self) -> list[str]:
        """Kinds of the pulses that were delivered, by name."""
        return [KINDS[code] for code in np.unique(self.delivered["kind"])]


def material(path: Path, *, trusted: bool = False) -> Material:
    """Read a recording; one that was not finished as far as it goes."""
    with Recording(path, trusted=trusted) as recording:
        return Material(
            path=path,
            complete=recording.complete,
            header=recording.header,
            config=recording.config,
            summary=recording.summary,
            recovered=recording.recovered,
            info=recording.info,
            layout=recording.layout,
            limits=recording.limits,
            patterns=recording.patterns,
            extent=recording.extent(),
            spikes=recording.spikes(),
            pulses=recording.pulses(),
            reached=reached(recording),
            decisions=recording.decisions(),
            episodes=_counted(recording),
            blocks=recording.blocks(),
            charge_nc=recording.pulse_parameters()["charge_nc"],
        )


def _counted(recording: Recording) -> Records:
    """Return the episodes; one that still ran at the end counts if it had a hit, as in the session's own summary."""
    found = recording.episodes()
    counted: Records = found[(found["ended_by"] != schema.SESSION_END) | (found["hits"] > 0)]
    return counted
