"""What travels over LSL: rows of spikes or samples with time stamps, and numbered pulses, told in the description.

A stream of spikes has an irregular rate and two channels, ``channel`` and ``amplitude_uv``. A stream of samples has
one channel for each electrode, in microvolts or in bits. A stream of pulses has one int32 channel: the number of a
pattern of the table in its description, or ``SILENCE``.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from wetloop.core.errors import RigError
from wetloop.core.guard import Pattern, Pulse
from wetloop.kernels.records import SPIKE

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from wetloop.core.types import Records

SILENCE = -1
"""Number that says: deliver nothing any more."""
SPIKE_CHANNELS = ("channel", "amplitude_uv")
FIELDS = ("first_amplitude", "first_us", "second_amplitude", "second_us", "interphase_us")


class Read(NamedTuple):
    """Spikes of a stream, and how many rows were none or too old."""

    spikes: Records
    strange: int
    old: int


def spikes_of(
    rows: npt.NDArray[np.float64],
    sample_index: npt.NDArray[np.int64],
    start: int,
    stop: int,
    oldest: int,
    n_channels: int,
) -> Read:
    """Return the spikes that rows of a stream tell, as they become known in the block from ``start`` to ``stop``.

    Parameters
    ----------
    rows
        Channel and amplitude in uV, shape (n, 2).
    sample_index
        When each spike was, int64, shape (n,).
    start, stop
        The block, half-open.
    oldest
        Spikes before this sample are too old to be used.
    n_channels
        Channels that there are.
    """
    channel, amplitude_uv = rows[:, 0], rows[:, 1]
    with np.errstate(invalid="ignore"):
        good = (channel >= 0) & (channel < n_channels) & (channel == np.floor(channel)) & np.isfinite(amplitude_uv)
    new = good & (sample_index >= oldest)
    spikes = np.zeros(int(new.sum()), SPIKE)
    spikes["known_sample"] = np.clip(sample_index[new], start, stop - 1)
    spikes["sample_index"] = np.minimum(sample_index[new], spikes["known_sample"])
    spikes["channel_index"], spikes["amplitude_uv"] = channel[new], amplitude_uv[new]
    order = np.lexsort((spikes["channel_index"], spikes["known_sample"]))
    return Read(spikes[order], int((~good).sum()), int((good & ~new).sum()))


def pack_table(patterns: Sequence[Pattern]) -> str:
    """Return the text that tells the patterns of a stream of pulses."""
    return json.dumps([
        {"channels": p.channels, "unit": p.pulse.unit} | {field: getattr(p.pulse, field) for field in FIELDS}
        for p in patterns
    ])  # fmt: skip


def parse_table(text: str) -> list[Pattern]:
    """Return the patterns that a description tells.

    Raises
    ------
    RigError
        Where it does not hold a table.
    """
    try:
        return [
            Pattern(
                Pulse(**{field: float(row[field]) for field in FIELDS}, unit=str(row["unit"])),
                tuple(int(channel) for channel in row["channels"]),
            )
            for row in json.loads(text)
        ]
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
        raise RigError(f"the description of a stream of pulses holds no table ({error!r})") from error
