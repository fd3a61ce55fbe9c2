"""The device as a script sees it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from .designs import N_CHANNELS, ChannelSet, StimDesign

if TYPE_CHECKING:
    from .link import Link, Packet

LEAD_US = 80
N_WAVEFORM, PEAK_AT = 75, 27
WAVEFORM = np.exp(-np.abs(np.arange(N_WAVEFORM) - PEAK_AT) / 4.0).astype(np.float32)
"""Of every spike, for an amplitude of 1."""


class TransactionRejected(RuntimeError):
    """The device refuses a plan."""


class RunTimestampOrderError(TransactionRejected):
    """A plan is to run before one that is planned already."""


class ControlRequestError(RuntimeError):
    """Another program controls the device."""


REFUSALS = {"order": RunTimestampOrderError, "control": ControlRequestError}


@dataclass(frozen=True)
class Spike:
    """A spike; ``samples`` are its waveform, uV, shape (75,)."""

    timestamp: int
    channel: int
    samples: np.ndarray[Any, np.dtype[np.float32]]
    channel_mean_sample: float = 0.0


@dataclass(frozen=True)
class Stim:
    """A pulse that was delivered."""

    timestamp: int
    channel: int


@dataclass(frozen=True)
class DetectionResult:
    """What was found in some frames."""

    start_timestamp: int
    stop_timestamp: int
    spikes: list[Spike] = field(default_factory=list)
    stims: list[Stim] = field(default_factory=list)


class StimPlan:
    """Pulses that can be delivered again and again; it is fixed when it has run once."""

    def __init__(self, link: Link) -> None:
        self._link, self._numbers, self._has_run = link, list[int](), False

    def stim(
        self, channel_set: ChannelSet, stim_design: StimDesign, burst_design: None = None, lead_time_us: int = LEAD_US
    ) -> None:
        """Add a pulse."""
        if self._has_run or burst_design is not None or lead_time_us != LEAD_US:
            raise RuntimeError("bursts, other lead times and changes after a run are not emulated")
        told = _order(self._link, do="load", channels=list(channel_set), phases=stim_design.phases)
        self._numbers.append(int(told["number"]))

    def run(self, at_timestamp: int | None = None) -> None:
        """Deliver the pulses at a timestamp, or as soon as possible; they follow after the lead time."""
        self._has_run = True
        _order(self._link, do="run", at=at_timestamp, numbers=self._numbers)


class Neurons:
    """The open device."""

    def __init__(self, link: Link) -> None:
        self._link = link

    def get_channel_count(self) -> int:
        """Return the number of channels."""
        return N_CHANNELS

    def get_frames_per_second(self) -> int:
        """Return the number of frames in a second."""
        return self._link.frames_per_second

    def timestamp(self) -> int:
        """Return the first timestamp of which nothing can be read yet."""
        return self._link.timestamp

    def read(self, frame_count: int, from_timestamp: int | None = None, *, analysis: bool = False) -> Any:
        """Return frames, int16 of shape (frame_count, 64), or what was found in them; waits for those to come."""
        start = self._link.timestamp - 1 if from_timestamp is None else from_timestamp
        packets = self._link.window(start, start + frame_count)
        if analysis:
            return _found(packets, start, start + frame_count)
        frames = np.concatenate([packet.frames for packet in packets])
        return frames[start - packets[0].start :][:frame_count]

    def create_stim_plan(self) -> StimPlan:
        """Return an empty plan."""
        return StimPlan(self._link)

    def stim(self, channel_set: ChannelSet, stim_design: StimDesign) -> None:
        """Deliver a pulse now."""
        plan = self.create_stim_plan()
        plan.stim(channel_set, stim_design)
        plan.run()

    def interrupt(self, channel_set: ChannelSet) -> None:
        """Forget the pulses of these channels."""
        _order(self._link, do="interrupt", channels=list(channel_set))


def _order(link: Link, **command: Any) -> dict[str, Any]:
    """Have the device do something; raise where it refuses."""
    answer = link.ask(command)
    if "refused" in answer:
        raise REFUSALS.get(answer["refused"], TransactionRejected)(answer["why"])
    return answer


def _found(packets: list[Packet], start: int, stop: int) -> DetectionResult:
    spikes = np.concatenate([packet.spikes for packet in packets])
    stims = np.concatenate([packet.stims for packet in packets])
    return DetectionResult(
        start,
        stop,
        [Spike(int(at), int(c), WAVEFORM * uv) for at, c, uv in spikes.tolist() if start <= at < stop],
        [Stim(int(at), int(c)) for at, c, _ in stims.tolist() if start <= at < stop],
    )
