"""What Intan's RHX software sends and understands over TCP, as bytes: no sockets here.

A *block* is a magic number and 128 *frames*; a frame is a timestamp (the sample index) and one 16-bit *word* per
enabled signal. A spike is a record of 14 bytes. Commands and replies are text without a terminator of replies. All
numbers are little-endian (RHX 3.4.0).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from collections.abc import Sequence

    from wetloop.core.types import Samples

Words: TypeAlias = npt.NDArray[np.uint16]
Timestamps: TypeAlias = npt.NDArray[np.uint32]

WAVEFORM_MAGIC = 0x2EF07A08
SPIKE_MAGIC = 0x3AE2710F
BLOCK_FRAMES = 128
MICROVOLTS_PER_BIT = 0.195
ZERO_WORD = 0x8000
"""Word of an amplifier at 0 uV."""
STIM_MAGNITUDE, STIM_NEGATIVE = 0x00FF, 0x0100
"""Bits of a STIM word: the magnitude in steps, 0 while nothing flows, and the polarity."""
SPIKE_IDS = (0x01, 0x02, 0x04, 0x08, 0x40, 0x80)
"""Sorted as type 1 to 4, not sorted, and likely an artefact."""
ARTEFACT_ID = 0x80
USB_READS_HZ = 31.0
"""RHX empties the controller about so often, in whole blocks, whatever it then sends at once."""

SPIKE_RECORD = np.dtype([("magic", "<u4"), ("name", "S5"), ("timestamp", "<u4"), ("id", "u1")])
SEEN_SPIKE = np.dtype([("timestamp", "<u4"), ("channel_index", "<i4"), ("id", "u1")])
_FRAME_INDEX = np.arange(BLOCK_FRAMES, dtype=np.uint32)
_NAME = re.compile(r"[A-H]-\d{3}")


def usb_blocks(sampling_frequency: float) -> int:
    """Return how many blocks RHX takes from the controller at once: 8 at 30 kHz, 6 at 25 kHz, 5 at 20 kHz."""
    return max(1, round(sampling_frequency / (BLOCK_FRAMES * USB_READS_HZ)))


def is_native_name(name: str) -> bool:
    """Return whether a name is that of an amplifier channel, such as A-000."""
    return _NAME.fullmatch(name) is not None


def native_names(n_channels: int, per_port: int) -> tuple[str, ...]:
    """Return the names of so many amplifier channels, port after port."""
    return tuple(f"{'ABCDEFGH'[k // per_port]}-{k % per_port:03d}" for k in range(n_channels))


def block_dtype(n_words: int) -> np.dtype[np.void]:
    """Return the layout of a block with so many words in a frame."""
    frame = np.dtype([("timestamp", "<u4"), ("words", "<u2", (n_words,))])
    return np.dtype([("magic", "<u4"), ("frames", frame, (BLOCK_FRAMES,))])


def encode_blocks(start_sample: int, words: Words) -> bytes:
    """Return whole blocks; ``words`` has shape (n_blocks * 128, n_words)."""
    n_frames, n_words = words.shape
    blocks = np.zeros(n_frames // BLOCK_FRAMES, block_dtype(n_words))
    blocks["magic"] = WAVEFORM_MAGIC
    timestamps = (np.arange(start_sample, start_sample + n_frames) & 0xFFFFFFFF).astype(np.uint32)
    blocks["frames"]["timestamp"] = timestamps.reshape(-1, BLOCK_FRAMES)
    blocks["frames"]["words"] = words.reshape(-1, BLOCK_FRAMES, n_words)
    return blocks.tobytes()


def encode_spikes(names: Sequence[str], timestamps: npt.NDArray[np.int64], spike_id: int = 0x40) -> bytes:
    """Return the records of spikes on these channels at these sample indices, shape (n_spikes,)."""
    records = np.zeros(len(names), SPIKE_RECORD)
    records["magic"], records["id"] = SPIKE_MAGIC, spike_id
    records["name"] = [name.encode() for name in names]
    records["timestamp"] = timestamps & 0xFFFFFFFF
    return records.tobytes()


def to_samples(words: Words, columns: npt.NDArray[np.intp] | None = None) -> Samples:
    """Return amplifier words as int16 with 0 uV at 0, all of them or some columns."""
    chosen = words if columns is None else words[:, columns]
    return (chosen ^ np.uint16(ZERO_WORD)).view(np.int16)


def to_words(samples: Samples) -> Words:
    """Return int16 samples as amplifier words."""
    return np.ascontiguousarray(samples).view(np.uint16) ^ np.uint16(ZERO_WORD)


def stim_onsets(words: Words, before: Words) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Return (frame, column) of the first frame of each pulse.

    Parameters
    ----------
    words
        STIM words, shape (n_frames, n_columns).
    before
        Those of the frame before, shape (n_columns,).
    """
    on = (np.vstack([before[None], words]) & STIM_MAGNITUDE) != 0
    frames, columns = np.nonzero(on[1:] & ~on[:-1])
    return frames, columns


def unwrapped(timestamps: Timestamps, near: int) -> npt.NDArray[np.int64]:
    """Return 32-bit timestamps as sample indices, each the one nearest to ``near``; RHX's counter wraps every day."""
    behind = (timestamps.astype(np.int64) - near) & 0xFFFFFFFF
    return near + np.where(behind >= 1 << 31, behind - (1 << 32), behind)


class Run(NamedTuple):
    """Frames that follow each other without a gap; ``words`` has shape (n_frames, n_words)."""

    start_sample: int
    words: Words

    @property
    def stop_sample(self) -> int:
        """The sample after the last."""
        return self.start_sample + len(self.words)


class WaveformParser:
    """Finds blocks in a stream of bytes, however it is cut; only a block that is whole and sound counts.

    Attributes
    ----------
    expected_sample
        The sample that comes next if nothing is lost; None before the first block.
    skipped_bytes
        Bytes that were part of no sound block.
    repeated_samples
        Samples that came again, or before others, and were left out.
    """

    def __init__(self, n_words: int) -> None:
        self._dtype, self._bytes = block_dtype(n_words), bytearray()
        self.expected_sample: int | None = None
        self.skipped_bytes = self.repeated_samples = 0

    def feed(self, data: bytes) -> None:
        """Take in what has come."""
        self._bytes += data

    def restart(self) -> None:
        """Forget a block that is not whole: the connection it came through is gone."""
        self._bytes.clear()

    def take(self, max_blocks: int) -> Run | None:
        """Return the next frames without a gap, of at most so many blocks; None where no block is whole yet."""
        while len(self._bytes) >= self._dtype.itemsize:
            n = min(max_blocks, len(self._bytes) // self._dtype.itemsize)
            blocks = np.frombuffer(bytes(self._bytes[: n * self._dtype.itemsize]), self._dtype)
            n_sound = _n_sound(blocks, bytes(self._bytes[n * self._dtype.itemsize : n * self._dtype.itemsize + 4]))
            if not n_sound:
                self._seek()
                continue
            del self._bytes[: n_sound * self._dtype.itemsize]
            run = self._new_part(blocks["frames"][:n_sound])
            if run is not None:
                return run
        return None

    def _seek(self) -> None:
        self.skipped_bytes += _seek(self._bytes, WAVEFORM_MAGIC)

    def _new_part(self, frames: npt.NDArray[np.void]) -> Run | None:
        """Return what has not come before; None if nothing of it is new."""
        first = frames["timestamp"][0, :1]
        start = int(first[0] if self.expected_sample is None else unwrapped(first, self.expected_sample)[0])
        words: Words = frames["words"].reshape(-1, frames["words"].shape[-1])
        known = 0 if self.expected_sample is None else min(len(words), max(0, self.expected_sample - start))
        self.repeated_samples += known
        if known == len(words):
            return None
        self.expected_sample = start + len(words)
        return Run(start + known, words[known:])


def _n_sound(blocks: npt.NDArray[np.void], after: bytes) -> int:
    """Return how many blocks from the first on are sound and follow each other.

    Bytes that are missing in a block's last words show in what comes next alone, so that has to be a magic number.
    """
    timestamps, magic = blocks["frames"]["timestamp"], blocks["magic"] == WAVEFORM_MAGIC
    sound = magic & (timestamps == timestamps[:, :1] + _FRAME_INDEX).all(axis=1)
    sound[:-1] &= magic[1:]
    sound[-1] &= WAVEFORM_MAGIC.to_bytes(4, "little").startswith(after)
    sound[1:] &= timestamps[1:, 0] == timestamps[:-1, 0] + np.uint32(BLOCK_FRAMES)
    return int(np.argmin(sound)) if not sound.all() else len(sound)


def _seek(data: bytearray, magic: int) -> int:
    """Drop bytes up to the next magic number after the first byte, or what cannot be its begin; return how many."""
    found = data.find(magic.to_bytes(4, "little"), 1)
    drop = found if found > 0 else max(1, len(data) - 3)
    del data[:drop]
    return drop


class SpikeParser:
    """Finds spikes in a stream of bytes; only a whole record of a known channel with a known id counts.

    Parameters
    ----------
    names
        Native names by channel index, in alphabetical order.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self._names, self._bytes = np.array([name.encode() for name in names], "S5"), bytearray()
        self.skipped_bytes = 0

    def feed(self, data: bytes) -> None:
        """Take in what has come."""
        self._bytes += data

    def restart(self) -> None:
        """Forget a record that is not whole."""
        self._bytes.clear()

    def take(self) -> npt.NDArray[np.void]:
        """Return the spikes that are whole, dtype ``SEEN_SPIKE``, in the order in which they came."""
        parts = [np.zeros(0, SEEN_SPIKE)]
        while (n := len(self._bytes) // SPIKE_RECORD.itemsize) > 0:
            records = np.frombuffer(bytes(self._bytes[: n * SPIKE_RECORD.itemsize]), SPIKE_RECORD)
            channels = np.minimum(np.searchsorted(self._names, records["name"]), len(self._names) - 1)
            sound = (records["magic"] == SPIKE_MAGIC) & (self._names[channels] == records["name"])
            sound &= np.isin(records["id"], SPIKE_IDS)
            n_sound = int(np.argmin(sound)) if not sound.all() else n
            parts.append(_seen(records[:n_sound], channels[:n_sound]))
            del self._bytes[: n_sound * SPIKE_RECORD.itemsize]
            if n_sound < n:
                self.skipped_bytes += _seek(self._bytes, SPIKE_MAGIC)
        return np.concatenate(parts)


def _seen(records: npt.NDArray[np.void], channels: npt.NDArray[np.intp]) -> npt.NDArray[np.void]:
    seen = np.zeros(len(records), SEEN_SPIKE)
    seen["timestamp"], seen["channel_index"], seen["id"] = records["timestamp"], channels, records["id"]
    return seen


class Reply(NamedTuple):
    """What RHX said: complaints about commands before, and the value that was asked for; None while it is not there."""

    complaints: str
    value: str | None


def parse_reply(text: str, parameter: str) -> Reply:
    """Take a reply to ``get parameter`` apart: RHX names the parameter, of a channel without the channel, or does not.

    Replies have no end: what is there may grow.
    """
    before, found, said = text.partition("Return: ")
    if not found:
        return Reply(text.strip(), None)
    name, _, value = said.partition(" ")
    named = name.lower() in {parameter.lower(), parameter.rpartition(".")[2].lower()}
    answer = value if named else said
    return Reply(before.strip(), answer.strip() or None)


def same_value(told: str, wanted: str) -> bool:
    """Return whether two values of a parameter are the same: as numbers where they are numbers, else as words."""
    try:
        return abs(float(told) - float(wanted)) < 1e-6
    except ValueError:
        return told.lower() == wanted.lower()
