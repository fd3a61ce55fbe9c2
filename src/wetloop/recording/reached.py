"""Which pulses reached the culture: what the engine delivered, without what the rig did not take or never got."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from wetloop.core.rig_pulses import TAKEN, account, seen_rows
from wetloop.kernels.records import DELIVERED
from wetloop.recording import schema

if TYPE_CHECKING:
    import numpy.typing as npt

    from wetloop.core.rig_pulses import StimReport
    from wetloop.recording.reader import Recording

NAMES = ["sample_index", "pattern", "voice", "serial"]
"""What tells one pulse from another."""


def reached(recording: Recording) -> npt.NDArray[np.bool_]:
    """Return whether each pulse reached the culture, as far as a computer can know, shape (n_pulses,).

    Accelerated sessions deliver every pulse that the engine lets through. Of one in real time whose end is missing, the
    last pulses count as delivered unless the rig has refused them: a dose is rather told too high.
    """
    given: npt.NDArray[np.bool_] = recording.column(schema.PULSES, "fate") == DELIVERED
    if not recording.has(schema.TRIGGERS.path):
        return given
    pulses, triggers = recording.pulses()[NAMES], recording.triggers()
    taken = triggers["outcome"] == TAKEN
    if recording.complete and not recording.recovered:
        return given & np.isin(pulses, triggers[taken][NAMES])
    return given & ~np.isin(pulses, triggers[~taken][NAMES])


def stim_report(recording: Recording) -> StimReport:
    """Return what became of the pulses that the rig took, by what it told of them."""
    triggers, patterns = recording.triggers(), tuple(recording.patterns.values())
    taken = triggers[triggers["outcome"] == TAKEN]
    channels = [patterns[k].channels for k in taken["pattern"].tolist()]
    samples = np.repeat(taken["sample_index"], [len(each) for each in channels])
    asked = seen_rows(samples, [c for each in channels for c in each])
    return account(asked, recording.seen_pulses(), recording.info.sampling_frequency)
