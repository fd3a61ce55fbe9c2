"""What the Cortical Labs ``cl`` API says, as records: where channels are, spikes, and which pulses it can deliver.

Facts of API version 1.0: 64 channels numbered down the columns of an 8 by 8 array, four of them grounded and one the
reference; a ``Spike`` carries 25 samples before and 50 from the one that triggered its detection, in uV; phases of a
``StimDesign`` last multiples of 20 us, with neighbours of opposite sign and no gap.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from wetloop.kernels.records import SPIKE

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy.typing as npt

    from wetloop.core.guard import Pulse
    from wetloop.core.types import Records

N_CHANNELS, N_ROWS = 64, 8
GROUNDED, REFERENCE = (0, 7, 56, 63), (4,)
USABLE = tuple(channel for channel in range(N_CHANNELS) if channel not in GROUNDED + REFERENCE)
"""Channels with an electrode that records and stimulates."""
UV_PER_BIT = 0.195
STEP_US = 20
"""Of the width of a phase, us."""
LEAD_US = 80
"""From running a plan to its pulse, us."""
TRIGGER_AT, N_WAVEFORM = 25, 75
PEAK = slice(TRIGGER_AT, TRIGGER_AT + 25)
"""Samples of a spike's waveform among which its peak is looked for: 1 ms."""


def lead_samples(sampling_frequency: float) -> int:
    """Return the samples from running a plan to its pulse."""
    return round(LEAD_US * sampling_frequency / 1e6)


def channel_positions_um(channels: Sequence[int], pitch_um: float) -> npt.NDArray[np.float64]:
    """Return where channels are, um, shape (n_channels, 2); channel 0 is at the upper left, 8 to the right of it."""
    columns, rows = np.divmod(np.array(channels), N_ROWS)
    return np.column_stack([columns, rows]) * pitch_um


def channels_at(where_um: npt.NDArray[np.float64], pitch_um: float) -> npt.NDArray[np.int64]:
    """Return the channel at each position, shape (n_positions,); ValueError where an array of 8 by 8 has none."""
    columns, rows = np.rint((where_um - where_um.min(axis=0)) / pitch_um).astype(np.int64).T
    if max(columns.max(), rows.max()) >= N_ROWS:
        raise ValueError(f"{len(where_um)} electrodes do not lie in {N_ROWS} rows and columns, {pitch_um:g} um apart")
    channels: npt.NDArray[np.int64] = columns * N_ROWS + rows
    return channels


def indices_of(channels: Sequence[int]) -> npt.NDArray[np.int32]:
    """Return the channel index of each of the device's channels, -1 for those that are not taken, shape (64,)."""
    indices = np.full(N_CHANNELS, -1, np.int32)
    indices[list(channels)] = np.arange(len(channels))
    return indices


def spike_records(
    spikes: Sequence[Any], indices: npt.NDArray[np.int32], start_sample: int, stop_sample: int
) -> Records:
    """Return the spikes of a window as records, in order; those on channels that are not taken are left out.

    Parameters
    ----------
    spikes
        With ``timestamp``, ``channel`` and ``samples`` (75 values in uV), as the API tells them.
    indices
        As ``indices_of`` returns them.
    start_sample, stop_sample
        The window; spikes count as known within it.
    """
    taken = [spike for spike in spikes if 0 <= spike.channel < N_CHANNELS and indices[spike.channel] >= 0]
    records = np.zeros(len(taken), SPIKE)
    if not taken:
        return records
    told = np.array([spike.timestamp for spike in taken], np.int64)
    records["known_sample"] = np.clip(told, start_sample, stop_sample - 1)
    records["sample_index"] = np.minimum(told, records["known_sample"])
    records["channel_index"] = indices[[spike.channel for spike in taken]]
    records["amplitude_uv"] = _peaks_uv(np.array([spike.samples for spike in taken], np.float32))
    return records[np.lexsort((records["channel_index"], records["known_sample"]))]


def _peaks_uv(waveforms: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Return the largest deflection after the trigger of each waveform, with its sign, shape (n_spikes,)."""
    after = waveforms[:, PEAK]
    peaks: npt.NDArray[np.float32] = after[np.arange(len(after)), np.abs(after).argmax(axis=1)]
    return peaks


def design(pulse: Pulse) -> tuple[int, float, int, float]:
    """Return the arguments of a ``StimDesign``: width in us and current in uA of both phases."""
    return round(pulse.first_us), pulse.first_amplitude, round(pulse.second_us), pulse.second_amplitude


def pulse_faults(pulse: Pulse) -> Iterator[str]:
    """Yield why a ``StimDesign`` cannot be this pulse; none if it can."""
    if pulse.interphase_us:
        yield f"interphase_us is {pulse.interphase_us:g} us, but the phases of a StimDesign have no gap: set it to 0"
    if pulse.first_amplitude * pulse.second_amplitude > 0:
        yield "both phases have the same sign, but those of a StimDesign alternate"
    for field in ("first_us", "second_us"):
        width_us = getattr(pulse, field)
        if not math.isclose(width_us / STEP_US, round(width_us / STEP_US), abs_tol=1e-6):
            yield f"{field} is {width_us:g} us, but the device times in steps of {STEP_US} us: take a multiple"
