"""RHX's two data ports as one sequence of blocks: frames give the time, spikes are put in where they become known."""

from __future__ import annotations

import select
import time
from typing import TYPE_CHECKING

import numpy as np

from wetloop.core.errors import RigError
from wetloop.core.types import Block
from wetloop.kernels.records import SPIKE
from wetloop_drivers.intan_rhx_wire import (
    ARTEFACT_ID,
    SEEN_SPIKE,
    SpikeParser,
    WaveformParser,
    to_samples,
    unwrapped,
)
from wetloop_drivers.links import connect, drop

if TYPE_CHECKING:
    import socket
    from collections.abc import Sequence

    import numpy.typing as npt

    from wetloop.core.types import Records
    from wetloop_drivers.intan_rhx_wire import Run

WAIT_S = 0.1
STALL_NS = 1_000_000_000
START_NS = 5_000_000_000
"""A controller that has just been started may take so long to send its first frames, ns."""
SPIKE_GRACE_S = 0.002
"""RHX sends the spikes of a burst right after its frames."""
CHUNK_BYTES = 1 << 18


class Streams:
    """The data ports, from the first connection to the last.

    Parameters
    ----------
    names
        Native names by channel index.
    columns
        Column of each channel's wide band in a frame; None where only spikes are taken.
    n_words
        Words in a frame.
    packet_blocks
        Most blocks of 128 frames to deliver at once.

    Attributes
    ----------
    heard_ns
        When sound frames came last, ns of the host's monotonic clock.
    artefacts, implausible_spikes
        Records that RHX itself marks as artefacts, and those whose time is far from that of the frames: left out.
    """

    def __init__(
        self, names: Sequence[str], columns: npt.NDArray[np.intp] | None, n_words: int, packet_blocks: int, fs: float
    ) -> None:
        self._columns = None if columns is not None and len(columns) == n_words else columns
        self._n_shown, self._packet_blocks, self._fs = (0 if columns is None else len(names)), packet_blocks, fs
        self._no_samples, self._has_samples = np.empty((0, len(names)), np.int16), columns is not None
        self.waveforms, self._spikes = WaveformParser(n_words), SpikeParser(names)
        self._waveform_link: socket.socket | None = None
        self._spike_link: socket.socket | None = None
        self._waiting = np.zeros(0, SEEN_SPIKE)
        self.heard_ns = self.artefacts = self.implausible_spikes = 0
        self._patient_until_ns = 0

    def connect(self, host: str, waveform_port: int, spike_port: int | None) -> None:
        """Connect, also anew; what had come of an unfinished block is forgotten."""
        self.close()
        self.waveforms.restart()
        self._spikes.restart()
        self._waveform_link = connect(host, waveform_port, "RHX's waveform output")
        if spike_port is not None:
            self._spike_link = connect(host, spike_port, "RHX's spike output")
        self._patient_until_ns = time.monotonic_ns() + START_NS

    def close(self) -> None:
        """Hang up; may be called twice."""
        for link in (self._waveform_link, self._spike_link):
            if link is not None:
                drop(link)
        self._waveform_link = self._spike_link = None

    def next_run(self) -> Run | None:
        """Return the next frames; None when none have come for 0.1 s.

        Raises
        ------
        RigError
            When the connection is lost, nothing has come for a second, or the frames are not what was asked for.
        """
        end_s = time.monotonic() + WAIT_S
        while (run := self.waveforms.take(self._packet_blocks)) is None:
            if not self._receive(end_s - time.monotonic()):
                self._refuse_stall()
                return None
        self.heard_ns, self._patient_until_ns = time.monotonic_ns(), 0
        return run

    def block(self, run: Run) -> Block:
        """Return frames and the spikes that have become known with them as a block."""
        samples = to_samples(run.words, self._columns) if self._has_samples else self._no_samples
        return Block(run.start_sample, len(run.words), samples, self._spikes_of(run))

    def nothing(self) -> Block:
        """Return the block that says that nothing has come."""
        return Block(self.waveforms.expected_sample or 0, 0, self._no_samples, np.zeros(0, SPIKE))

    def _receive(self, wait_s: float) -> bool:
        """Take in what has come; return whether anything has."""
        links = [link for link in (self._waveform_link, self._spike_link) if link is not None]
        try:
            ready = select.select(links, [], [], max(0.0, wait_s))[0]
            for link in ready:
                data = link.recv(CHUNK_BYTES)
                if not data:
                    raise RigError("RHX has closed its data output")
                self._feed(link, data)
        except (OSError, ValueError) as error:
            raise RigError(f"the connection to RHX's data output is lost ({error})") from error
        return bool(ready)

    def _feed(self, link: socket.socket, data: bytes) -> None:
        if link is self._spike_link:
            self._spikes.feed(data)
            return
        self.waveforms.feed(data)

    def _refuse_stall(self) -> None:
        waveforms = self.waveforms
        if waveforms.repeated_samples > self._fs:
            raise RigError("RHX's clock has gone back: it was stopped and started during the session")
        if time.monotonic_ns() > max(self._patient_until_ns, self.heard_ns + STALL_NS):
            skipped = f"; {waveforms.skipped_bytes} bytes could not be read" if waveforms.skipped_bytes else ""
            raise RigError(
                f"RHX has sent nothing for {STALL_NS / 1e9:g} s{skipped}: is it running, is the cable in place?"
            )

    def _spikes_of(self, run: Run) -> Records:
        if self._spike_link is None:
            return np.zeros(0, SPIKE)
        self._receive_late_spikes()
        came = np.concatenate([self._waiting, self._spikes.take()])
        at = unwrapped(came["timestamp"], run.start_sample)
        near = np.abs(at - run.start_sample) <= self._fs
        real = came["id"] != ARTEFACT_ID
        self.implausible_spikes += int((~near).sum())
        self.artefacts += int((near & ~real).sum())
        came, at = came[near & real], at[near & real]
        due = at < run.stop_sample
        self._waiting = came[~due]
        return _known(came["channel_index"][due], at[due], run.start_sample)

    def _receive_late_spikes(self) -> None:
        end_s = time.monotonic() + SPIKE_GRACE_S
        while (left_s := end_s - time.monotonic()) > 0 and self._spike_link is not None:
            if select.select([self._spike_link], [], [], left_s)[0]:
                self._receive(0.0)


def _known(channels: npt.NDArray[np.int32], at: npt.NDArray[np.int64], start_sample: int) -> Records:
    """Return spikes in order; one that comes after the frames of its time is known when the next ones begin."""
    spikes = np.zeros(len(at), SPIKE)
    spikes["sample_index"], spikes["channel_index"] = at, channels
    spikes["known_sample"] = np.maximum(at, start_sample)
    return spikes[np.lexsort((spikes["channel_index"], spikes["known_sample"]))]


def interleaved(
    n_channels: int, *, wide: bool, stim: Sequence[int]
) -> tuple[npt.NDArray[np.intp] | None, dict[int, int], int]:
    """Return the column of each wide band, that of each STIM word by channel, and the number of words in a frame."""
    bands = [
        (c, band) for c in range(n_channels) for band in ("wide", "stim") if (wide if band == "wide" else c in stim)
    ]
    columns = np.array([k for k, (_, band) in enumerate(bands) if band == "wide"], np.intp)
    return (columns if wide else None), {c: k for k, (c, band) in enumerate(bands) if band == "stim"}, len(bands)
