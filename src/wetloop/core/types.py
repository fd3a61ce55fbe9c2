"""Values that travel through the loop.

Time is an integer ``sample_index`` on the rig's clock; windows are half-open. A *channel* is a column of the
recording, named by ``channel_index``. A *voice* is one numbered pulse train of the engine.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from collections.abc import Mapping

    from probeinterface import Probe

    from wetloop.core.limits import StimLimits

Records: TypeAlias = npt.NDArray[np.void]
Samples: TypeAlias = npt.NDArray[np.int16]


class Signal(IntEnum):
    """What a rig delivers."""

    SPIKES = 0
    SAMPLES = 1


@dataclass(frozen=True)
class RigInfo:
    """What is known of a rig before it is opened.

    Attributes
    ----------
    name
        Registered name of the source.
    sampling_frequency
        Samples per second of the rig's clock, Hz; one frame is 1 ms of it.
    probe
        Electrode geometry; ``device_channel_indices`` gives the channel of each contact.
    signal
        Whether blocks carry int16 samples or spikes.
    gain_uv
        Microvolts per bit of each channel, shape (n_channels,); NaN marks a channel that cannot be used.
    packet_samples
        Samples that the rig delivers at once.
    lead_samples
        How far ahead of the last frame every pulse must be decided: at least one packet and one frame.
    unit
        ``"mV"`` for voltage-controlled pulses, ``"uA"`` for current-controlled ones.
    limits
        What the hardware allows; the rig file and the session can only tighten it.
    electrode_area_um2
        Geometric area of a stimulating electrode, for charge density.
    access_resistance_kohm
        Resistance used to bound the charge of a voltage pulse; ignored for current pulses.
    max_patterns
        Patterns that can be loaded before a run.
    amplitude_step
        Smallest amplitude step of the stimulator, in ``unit``.
    reacts
        False where nothing that is stimulated can answer (a recording).
    real_time
        Whether ``read`` waits for the rig's own clock; else a real-time session paces it by the host's.
    latency_ms
        Time from the last sample of a packet to its arrival, ms; of a simulated rig, what it is to imitate.
    clock_drift_ppm
        How much faster a simulated rig's clock runs than the host's, parts per million.
    immediate
        Whether the stimulator delivers when it is told: it is then told at the due time. Otherwise it keeps an agenda.
    trigger_latency_ms
        Time from telling an immediate stimulator to the pulse, ms: it is told so much earlier.
    """

    name: str
    sampling_frequency: float
    probe: Probe
    signal: Signal
    gain_uv: npt.NDArray[np.float32]
    packet_samples: int
    lead_samples: int
    unit: str
    limits: StimLimits
    electrode_area_um2: float
    access_resistance_kohm: float
    max_patterns: int = 256
    amplitude_step: float = 0.0
    reacts: bool = True
    real_time: bool = False
    latency_ms: float = 0.0
    clock_drift_ppm: float = 0.0
    immediate: bool = False
    trigger_latency_ms: float = 0.0

    @property
    def n_channels(self) -> int:
        """Number of recording channels."""
        return len(self.gain_uv)

    @property
    def frame_samples(self) -> int:
        """Samples of one frame: 1 ms."""
        return round(self.sampling_frequency / 1000)

    @property
    def packet_wait_us(self) -> float:
        """How long a window that closes within a packet may wait for the packet's end, us: no decision's fault."""
        return max(0.0, (self.packet_samples - self.frame_samples) / self.sampling_frequency * 1e6)

    @property
    def late_us(self) -> float:
        """A decision is late when it comes longer than this after its window closed, us."""
        return 1000.0 + self.packet_wait_us

    def samples(self, ms: float) -> int:
        """Return the number of samples nearest to ``ms`` milliseconds."""
        return round(ms * self.sampling_frequency / 1000)


class Block(NamedTuple):
    """What a rig delivers at once.

    Either ``samples``, int16 of shape (n_samples, n_channels) as the hardware delivers them, or ``spikes``, records
    of dtype ``wetloop.kernels.records.SPIKE`` ordered by ``known_sample`` then ``channel_index``. A block of no samples
    says that nothing has come for a while.
    """

    start_sample: int
    n_samples: int
    samples: Samples
    spikes: Records
    lost_samples: int = 0


class Tick(NamedTuple):
    """One decision: the window that closed, the first sample that a program made now may use, how late it came."""

    decision_index: int
    start_sample: int
    stop_sample: int
    plan_sample: int
    lateness_us: float = 0.0


class SpikeBatch(NamedTuple):
    """Spikes that became known in the half-open window; dtype ``wetloop.kernels.records.SPIKE``.

    Those that ``exclusion`` keeps from decoding (artefacts, evoked responses) are recorded but not among them.
    """

    start_sample: int
    stop_sample: int
    spikes: Records


class Answer(IntEnum):
    """Where a task's observation comes from: its step; the last one again, as the task is late; a task begun anew."""

    FRESH = 0
    REUSED = 1
    RESTARTED = 2


class Outcome(NamedTuple):
    """What the task answered to an action.

    ``playing`` is False while a feedback rule holds the task (feedback and rest of DishBrain): the observation
    repeats, reward is 0 and no event is told twice. ``frame`` is the picture that a player would see, uint8 of shape
    (height, width) or (height, width, 3), where the task has one. ``info["magnitudes"]`` may tell how large an event
    was, by its name (health lost, say).
    """

    observation: npt.NDArray[np.float32]
    reward: float
    terminated: bool
    truncated: bool
    events: tuple[str, ...]
    playing: bool
    info: Mapping[str, Any]
    frame: npt.NDArray[np.uint8] | None = None
    answer: Answer = Answer.FRESH


class Timing(IntEnum):
    """When a voice's pulses fall: on a regular grid, or as a Poisson process of the same mean rate."""

    REGULAR = 0
    POISSON = 1


class Update(IntEnum):
    """What a new setting does to a voice that is running.

    ``REPLACE`` starts anew at ``start_sample``; ``APPEND`` waits for the running train to end; ``KEEP_PHASE`` carries
    the elapsed part of the running interval over to the new period, as a rate code needs.
    """

    REPLACE = 0
    APPEND = 1
    KEEP_PHASE = 2


class Priority(IntEnum):
    """A pulse is preempted while a voice of higher priority is on."""

    SENSORY = 0
    FEEDBACK = 1
    REFLEX = 2


class Kind(IntEnum):
    """Why a pulse was asked for; recorded with each pulse and counted in the summary."""

    SENSORY = 0
    PREDICTABLE = 1
    RANDOM = 2
    REFLEX = 3


class PatternSet(NamedTuple):
    """``size`` consecutive entries of a PatternTable from ``first``; a random voice draws one per pulse."""

    first: int
    size: int


class VoiceSetting(NamedTuple):
    """Set one voice of the engine.

    ``period_samples`` is the interval (``REGULAR``) or mean interval (``POISSON``) in samples. A setting whose
    ``stop_sample`` equals its ``start_sample`` switches the voice off.
    """

    voice: int
    patterns: PatternSet
    kind: Kind
    priority: Priority
    update: Update
    timing: Timing
    start_sample: int
    stop_sample: int
    period_samples: float
    seed: int = 0


StimProgram: TypeAlias = tuple[VoiceSetting, ...]


class Response(NamedTuple):
    """A feedback rule's answer: pulses, and how long the task is to be held (0: not at all)."""

    program: StimProgram = ()
    hold_samples: int = 0
