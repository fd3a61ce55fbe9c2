"""What MaxLab Live publishes: one ZMQ message per frame, and the file that tells which electrode feeds which channel.

A message has a frame number (uint64), the amplitudes of 1,024 channels (float32, in steps of the converter) and, where
there are any, spike records. Two layouts of these are in use, of 16 and of 24 bytes: which one a server sends has to be
known, as 48 bytes can be either.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from wetloop.core.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import numpy.typing as npt

    from wetloop.core.types import Records

RAW_PORT, FILTERED_PORT, COMMAND_PORT = 7204, 7205, 7210
N_CHANNELS = 1024
FRAME_BYTES, AMPLITUDES_BYTES = 8, 4 * N_CHANNELS
LARGEST_FRAME = 1 << 62
LARGEST_AMPLITUDE = 2047.0
"""The converter has 10 bits and a filter may overshoot: what is larger is no amplitude, in steps."""
FAR_FRAMES = 4096
"""A spike is told within so many frames of its peak: the slower filter takes 2,048."""
FULL_SCALE_UV = 3.3e6 / 1024
"""One step of the converter at gain 1, uV: 3.3 V over 10 bits."""
GAINS = (1, 7, 112, 512, 1024, 2048)
COLUMNS, ROWS, PITCH_UM = 220, 120, 17.5
"""Electrodes of MaxOne and of a MaxTwo well, counted along x, then y (Müller et al., Lab Chip 15, 2015)."""

SPIKE_16 = np.dtype(
    {
        "names": ["frame", "amplitude", "channel", "well"], "formats": ["<u8", "<f4", "<u2", "u1"],
        "offsets": [0, 8, 12, 14], "itemsize": 16,
    }
)  # fmt: skip
SPIKE_24 = np.dtype(
    {
        "names": ["frame", "channel", "amplitude"], "formats": ["<i8", "<i4", "<f4"],
        "offsets": [8, 16, 20], "itemsize": 24,
    }
)  # fmt: skip
LAYOUTS = {16: SPIKE_16, 24: SPIKE_24}
TOLD_SPIKE = np.dtype(
    [("frame", "<i8"), ("told_frame", "<i8"), ("channel", "<i4"), ("well", "<i4"), ("amplitude", "<f4")]
)
"""A spike of either layout, and the frame with which it came; ``well`` is 0 where the layout has none."""


class Frames(NamedTuple):
    """What a number of messages held.

    Attributes
    ----------
    numbers
        Of the frames that are whole, int64, shape (n_frames,), as they came.
    amplitudes
        In steps of the converter, float32, shape (n_frames, 1024); no columns where they were not asked for.
    spikes
        TOLD_SPIKE records.
    strange_frames, strange_spikes
        What did not hold to the format and was left out.
    """

    numbers: npt.NDArray[np.int64]
    amplitudes: npt.NDArray[np.float32]
    spikes: Records
    strange_frames: int
    strange_spikes: int


def parse_frames(messages: Sequence[Sequence[bytes]], record_bytes: int, *, with_amplitudes: bool) -> Frames:
    """Return what messages hold; what is not whole is left out and counted.

    Parameters
    ----------
    messages
        Each the parts of one message.
    record_bytes
        Size of a spike record, 16 or 24.
    with_amplitudes
        Whether amplitudes are wanted, and frames without them strange.
    """
    least = 2 if with_amplitudes else 1
    whole = [
        parts
        for parts in messages
        if len(parts) >= least
        and len(parts[0]) == FRAME_BYTES
        and (not with_amplitudes or len(parts[1]) == AMPLITUDES_BYTES)
    ]
    numbers = np.frombuffer(b"".join([parts[0] for parts in whole]), "<u8")
    n_columns = N_CHANNELS if with_amplitudes else 0
    told = b"".join([parts[1] for parts in whole]) if with_amplitudes else b""
    amplitudes = np.frombuffer(told, "<f4").reshape(len(whole), n_columns)
    good = (numbers < LARGEST_FRAME) & (np.abs(amplitudes) <= LARGEST_AMPLITUDE).all(axis=1)
    if not good.all():
        whole = [parts for parts, is_good in zip(whole, good, strict=True) if is_good]
        numbers, amplitudes = numbers[good], amplitudes[good]
    spikes, strange_spikes = _spikes_of(whole, numbers.astype(np.int64), record_bytes)
    return Frames(numbers.astype(np.int64), amplitudes, spikes, len(messages) - len(whole), strange_spikes)


def _spikes_of(
    messages: Sequence[Sequence[bytes]], numbers: npt.NDArray[np.int64], record_bytes: int
) -> tuple[Records, int]:
    """Return the spikes, and how many parts and records were none."""
    parts = [(k, part) for k, message in enumerate(messages) for part in message[2:] if part]
    if not parts:
        return np.empty(0, TOLD_SPIKE), 0
    whole = [(k, part) for k, part in parts if len(part) % record_bytes == 0]
    told = np.frombuffer(b"".join([part for _, part in whole]), LAYOUTS[record_bytes])
    counts = [len(part) // record_bytes for _, part in whole]
    spikes = np.zeros(len(told), TOLD_SPIKE)
    spikes["told_frame"] = np.repeat(numbers[[k for k, _ in whole]], counts)
    for field in told.dtype.names or ():
        spikes[field] = told[field]
    good = np.isfinite(spikes["amplitude"]) & (spikes["channel"] >= 0) & (spikes["channel"] < N_CHANNELS)
    behind = spikes["told_frame"] - np.where(spikes["frame"] < 0, -FAR_FRAMES, spikes["frame"])
    good &= (behind >= -FAR_FRAMES) & (behind <= FAR_FRAMES) & (spikes["frame"] >= 0)
    return spikes[good], len(parts) - len(whole) + int((~good).sum())


def fits_other_layout(messages: Sequence[Sequence[bytes]], record_bytes: int) -> int | None:
    """Return the size of spike records that fits these messages where the given one fits none; else None."""
    other = 40 - record_bytes
    here, there = (parse_frames(messages, size, with_amplitudes=False) for size in (record_bytes, other))
    if here.strange_spikes and not len(here.spikes) and len(there.spikes) and not there.strange_spikes:
        return other
    return None


def pack_frame(number: int, amplitudes: bytes, spikes: Records, record_bytes: int) -> list[bytes]:
    """Return the parts of a message; ``amplitudes`` are 1,024 float32, ``spikes`` TOLD_SPIKE records."""
    parts = [number.to_bytes(FRAME_BYTES, "little"), amplitudes]
    if len(spikes):
        records = np.zeros(len(spikes), LAYOUTS[record_bytes])
        for field in records.dtype.names or ():
            records[field] = spikes[field]
        parts.append(records.tobytes())
    return parts


class Routing(NamedTuple):
    """Which electrode feeds which channel; positions in um, shape (n, 2)."""

    channels: tuple[int, ...]
    electrodes: tuple[int, ...]
    positions_um: npt.NDArray[np.float64]


_ENTRY = re.compile(r"\s*(\d+)\((\d+)\)(-?\d+(?:\.\d+)?)/(-?\d+(?:\.\d+)?)\s*")


def parse_routing(text: str) -> Routing:
    """Return the routing that the text of a configuration (``channel(electrode)x/y;``) tells.

    Raises
    ------
    ConfigError
        Where an entry cannot be read, or a channel does not exist or comes twice.
    """
    found = [_entry(part) for part in text.split(";") if part.strip()]
    if not found:
        raise ConfigError("the configuration holds no entry channel(electrode)x/y;: save it anew in MaxLab Live")
    channels, electrodes, x, y = zip(*found, strict=True)
    if len(set(channels)) != len(channels) or max(channels) >= N_CHANNELS:
        raise ConfigError(f"channels of a configuration are different ones from 0 to {N_CHANNELS - 1}")
    return Routing(channels, electrodes, np.column_stack([x, y]))


def _entry(text: str) -> tuple[int, int, float, float]:
    match = _ENTRY.fullmatch(text)
    if match is None:
        raise ConfigError(
            f"the configuration has an entry {text.strip()[:40]!r}, not channel(electrode)x/y: save it in MaxLab Live"
        )
    channel, electrode, x, y = match.groups()
    return int(channel), int(electrode), float(x), float(y)


def pack_routing(routing: Routing) -> str:
    """Return the text of a configuration."""
    entries = zip(routing.channels, routing.electrodes, routing.positions_um.tolist(), strict=True)
    return "".join(f"{channel}({electrode}){x}/{y};" for channel, electrode, (x, y) in entries)


def electrode_positions_um(electrodes: Iterable[int]) -> npt.NDArray[np.float64]:
    """Return where electrodes lie, um, shape (n, 2)."""
    number = np.array(list(electrodes), np.int64)
    return np.column_stack([number % COLUMNS, number // COLUMNS]).astype(np.float64) * PITCH_UM


def electrodes_at(positions_um: npt.NDArray[np.float64]) -> tuple[int, ...]:
    """Return the electrodes nearest to these positions, um, shape (n, 2)."""
    column, row = np.rint(np.asarray(positions_um) / PITCH_UM).astype(np.int64).T
    inside = np.clip(column, 0, COLUMNS - 1) + COLUMNS * np.clip(row, 0, ROWS - 1)
    return tuple(int(electrode) for electrode in inside)
