"""Which pulses reached the culture: what the engine delivered, without what the stimulator did not take."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from wetloop.kernels.records import DELIVERED, DELIVERY
from wetloop.recording import schema
from wetloop.recording.tables import read_rows

if TYPE_CHECKING:
    import numpy.typing as npt

    from wetloop.recording.reader import Recording

NAMES = ["sample_index", "pattern", "voice", "serial"]
"""What tells one pulse from another."""


def reached(recording: Recording) -> npt.NDArray[np.bool_]:
    """Return whether each pulse reached the culture, as far as a computer can know, shape (n_pulses,)."""
    given: npt.NDArray[np.bool_] = recording.column(schema.PULSES, "fate") == DELIVERED
    if recording.has(schema.REFUSALS.path):
        n_rows = recording.n_rows(schema.REFUSALS)
        refused = read_rows(recording.values, schema.REFUSALS, DELIVERY, n_rows)
        given &= ~np.isin(recording.pulses()[NAMES], refused[NAMES])
    return given
