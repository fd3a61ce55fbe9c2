"""Cortical Labs CL1 through the vendor's Python API ``cl``, on the device or on the vendor's simulator.

One connection, held by one process, records and stimulates. Frames and spikes are read by their timestamp, so that what
waited is not lost; a pattern is a stim plan that is run at a timestamp ahead. A plan whose time has passed would be run
at once: what comes so late is refused here. The device tells of every pulse that it delivers.

Wetloop runs in the Python that has ``cl`` (3.12 or newer): on a CL1 it is there, elsewhere ``pip install cl-sdk``
brings the simulator. Tested against the simulator of cl-sdk 1.0.0 and a stand-in for the API; not yet hardware-tested.
"""

from __future__ import annotations

import math
import threading
import time
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np
from pydantic import Field, model_validator

from wetloop.core.clock import wait_until
from wetloop.core.errors import LatePulseError, RigError
from wetloop.core.layout import probe_at
from wetloop.core.limits import StimLimits
from wetloop.core.plugin import SourceConfig
from wetloop.core.rig_pulses import seen_rows
from wetloop.core.types import Block, RigInfo, Signal
from wetloop.kernels.records import SPIKE
from wetloop_drivers.cl1_wire import (
    N_CHANNELS,
    USABLE,
    UV_PER_BIT,
    channel_positions_um,
    design,
    indices_of,
    lead_samples,
    pulse_faults,
    spike_records,
)
from wetloop_drivers.vendor_package import import_package, told

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from contextlib import AbstractContextManager

    from wetloop.core.guard import PatternTable
    from wetloop.core.types import Records

LOOK_S = 0.1
HISTORY_S = 4.0
"""The device lets about 5 s be read; who is further behind goes on from now."""
INSTALL = (
    "run Wetloop with the Python that has it (3.12 or newer; on a CL1 it is there, elsewhere pip install cl-sdk brings "
    "the simulator), or set source.package_folder to the folder that it lies in"
)
LIMITS = StimLimits(
    max_amplitude_ua=3, min_phase_us=20, max_phase_us=2000, max_charge_nc=1.5, max_imbalance=0.001,
    max_electrodes=len(USABLE), min_interval_ms=5, max_rate_hz=200, max_array_rate_hz=400,
)  # fmt: skip
"""Of the API: 3 uA, and 3 nC per pulse, both phases counted. A channel that is asked for more than 200 pulses a second
queues them, and they would come late. The rate of the array is a matter of cultures, not of the device."""


class Cl1Config(SourceConfig):
    """A CL1."""

    kind: Literal["cl1"] = "cl1"
    package_folder: str | None = None
    """Folder in which the vendor's package ``cl`` lies, where it is not installed."""
    signal: Literal["spikes", "samples"] = "spikes"
    """Take the spikes that the device detects, or detect them here in the frames."""
    channels: tuple[int, ...] = USABLE
    """Channels that are recorded and may be stimulated; by default all but 0, 7, 56, 63 (ground) and 4 (reference)."""
    sampling_frequency_hz: int = Field(25_000, ge=1000, multiple_of=1000)
    """Frames per second; it is compared with what the device tells."""
    uv_per_bit: float = Field(UV_PER_BIT, gt=0, allow_inf_nan=False)
    """Microvolts per unit of a frame, uV: ``uV_per_sample_unit`` of the vendor's recordings."""
    pitch_um: float = Field(200.0, gt=0, allow_inf_nan=False)
    """Distance between neighbouring electrodes, um."""
    diameter_um: float = Field(30.0, gt=0, allow_inf_nan=False)
    """Diameter of an electrode, um: not published, so measure yours."""
    amplitude_step_ua: float = Field(0.0, ge=0, le=1, allow_inf_nan=False)
    """Amplitudes are rounded to multiples of this, uA; the vendor does not tell the step of its converters."""
    packet_ms: float = Field(1.0, gt=0, le=100, allow_inf_nan=False)
    """What is read at once, ms."""
    latency_ms: float = Field(0.4, ge=0, le=1000, allow_inf_nan=False)
    """From a frame to the moment in which it can be read, ms."""
    margin_ms: float = Field(0.5, ge=0, le=100, allow_inf_nan=False)
    """A plan is not run any more when less than this is left, ms."""
    slack_ms: float = Field(3.0, ge=0, le=100, allow_inf_nan=False)
    """For the way through engine and operating system, ms; part of the lead."""
    patience_s: float = Field(3.0, gt=0, allow_inf_nan=False)
    """How long the device's clock may stand still, s; then the session ends."""

    @model_validator(mode="after")
    def _channels_are_usable(self) -> Self:
        odd = sorted(set(self.channels) - set(USABLE))
        if odd or not self.channels or len(set(self.channels)) != len(self.channels):
            told = f", not {odd}: they are grounded, the reference, or none" if odd else ""
            raise ValueError(f"channels are different ones from {USABLE[0]} to {USABLE[-1]}, one or more{told}")
        return self

    def describe(self) -> RigInfo:
        """Return the rig."""
        rate = self.sampling_frequency_hz
        packet = max(1, round(self.packet_ms * rate / 1000))
        waits_ms = self.latency_ms + self.margin_ms + self.slack_ms
        probe = probe_at(channel_positions_um(self.channels, self.pitch_um), self.diameter_um)
        probe.set_contact_ids([str(channel) for channel in self.channels])
        return RigInfo(
            name=self.kind,
            sampling_frequency=float(rate),
            probe=probe,
            signal=Signal[self.signal.upper()],
            gain_uv=np.full(len(self.channels), self.uv_per_bit, np.float32),
            packet_samples=packet,
            lead_samples=2 * packet + math.ceil(waits_ms * rate / 1000) + lead_samples(rate),
            unit="uA",
            limits=LIMITS,
            electrode_area_um2=math.pi * (self.diameter_um / 2) ** 2,
            access_resistance_kohm=12.0,
            amplitude_step=self.amplitude_step_ua,
            real_time=True,
            latency_ms=self.latency_ms,
        )

    def build(self, seed: int) -> Cl1Rig:
        _ = seed
        return Cl1Rig(self)

    def misfits(self, table: PatternTable) -> Sequence[str]:
        return [f"pattern {name!r}: {fault}" for name, pattern in table for fault in pulse_faults(pattern.pulse)]


class Cl1Rig:
    """Source and stimulator over one connection; calls of the API never overlap."""

    def __init__(self, config: Cl1Config) -> None:
        self._config, self.info = config, config.describe()
        self._indices, self._columns = indices_of(config.channels), np.array(config.channels)
        rate = self.info.sampling_frequency
        self._lead, self._margin = lead_samples(rate), math.ceil(config.margin_ms * rate / 1000)
        self._history = round(HISTORY_S * rate)
        self._lock, self._held = threading.Lock(), ExitStack()
        self._cl: Any = None
        self._neurons: Any = None
        self._plans: tuple[Any, ...] = ()
        self._seen: list[tuple[int, int]] = []
        self._next: int | None = None
        self._heard_s = 0.0
        self._is_silent = False

    def open(self) -> None:
        self._cl = import_package("cl", self._config.package_folder, INSTALL)
        with _told("opening the device"):
            self._neurons = self._held.enter_context(self._cl.open())
            self._check()

    def prepare(self, table: PatternTable) -> None:
        faults = self._config.misfits(table)
        if faults:
            raise RigError("the CL1 cannot deliver this:\n  " + "\n  ".join(faults))
        with self._calling("preparing stim plans") as neurons:
            neurons.interrupt(self._every_channel())
            self._plans = tuple(self._plan(neurons, *design(p.pulse), channels=p.channels) for _, p in table)

    def read(self) -> Block:
        if self._next is None:
            self._next, self._heard_s = self._now(), time.monotonic()
        until = self._next + self.info.packet_samples
        if not wait_until(lambda: self._now() >= until, LOOK_S):
            return self._nothing(self._next)
        return self._packet(self._next)

    def trigger(self, pattern: int, at_sample: int) -> None:
        if self._is_silent:
            return
        run_at = at_sample - self._lead
        with self._calling("running a stim plan") as neurons:
            if neurons.timestamp() + self._margin > run_at:
                raise LatePulseError(f"sample {at_sample} is too near for a pulse")
            try:
                self._plans[pattern].run(at_timestamp=run_at)
            except self._cl.RunTimestampOrderError as error:
                raise LatePulseError(f"sample {at_sample} lies before a pulse that is planned already") from error

    def silence(self) -> None:
        """Interrupt every channel: what runs ends, what is planned is forgotten."""
        self._is_silent = True
        if self._neurons is not None:
            with self._calling("interrupting stimulation") as neurons:
                neurons.interrupt(self._every_channel())

    def take_seen(self) -> Records:
        """Return the pulses that the device told of since the last call."""
        seen, self._seen = self._seen, []
        return seen_rows([at for at, _ in seen], [self._indices[channel] for _, channel in seen])

    def ping(self) -> None:
        """Read the newest frame."""
        with self._calling("reading a frame") as neurons:
            neurons.read(1, neurons.timestamp() - 1)

    def close(self) -> None:
        with suppress(RigError):
            self.silence()
        with self._lock, suppress(Exception):
            self._held.close()
            if self._neurons is not None and self._cl.is_simulator():
                # its process notices neither that this context has ended nor that ours does
                self._cl.sim.clear_simulator_data_source()
        self._neurons, self._plans = None, ()

    def _check(self) -> None:
        """Refuse a device that is not what the configuration says, and an API that cannot read as is done here."""
        neurons, rate = self._neurons, self._config.sampling_frequency_hz
        if neurons.get_channel_count() != N_CHANNELS:
            raise RigError(f"the device has {neurons.get_channel_count()} channels, not the {N_CHANNELS} of a CL1")
        if neurons.get_frames_per_second() != rate:
            raise RigError(
                f"the device makes {neurons.get_frames_per_second()} frames per second, not {rate}: set "
                f"source.sampling_frequency_hz to {neurons.get_frames_per_second()}"
            )
        try:
            neurons.read(1, neurons.timestamp() - 1, analysis=True)
        except TypeError as error:
            raise RigError(f"this version of cl is older than 1.0 ({error}): update the device's software") from error

    def _every_channel(self) -> Any:
        return self._cl.ChannelSet(*self._config.channels)

    def _plan(self, neurons: Any, *phases: float, channels: Sequence[int]) -> Any:
        plan = neurons.create_stim_plan()
        plan.stim(self._cl.ChannelSet(*(self._config.channels[c] for c in channels)), self._cl.StimDesign(*phases))
        return plan

    @contextmanager
    def _calling(self, doing: str) -> Iterator[Any]:
        """Give the connection to one call at a time."""
        with _told(doing), self._lock:
            if self._neurons is None:
                raise RigError("the CL1 is not open")
            yield self._neurons

    def _now(self) -> int:
        """Return the first timestamp of which nothing can be read yet."""
        with self._calling("asking for the time") as neurons:
            return int(neurons.timestamp())

    def _packet(self, start: int) -> Block:
        """Read a packet; where the device has forgotten its begin, the newest one."""
        info, lost = self.info, 0
        if self._now() - start > self._history:
            fresh = self._now() - info.packet_samples
            start, lost = fresh, fresh - start
        stop = start + info.packet_samples
        samples, spikes = np.empty((0, info.n_channels), np.int16), np.empty(0, SPIKE)
        with self._calling("reading") as neurons:
            found = neurons.read(info.packet_samples, start, analysis=True)
            if info.signal is Signal.SAMPLES:
                samples = np.ascontiguousarray(neurons.read(info.packet_samples, start)[:, self._columns])
            else:
                spikes = spike_records(found.spikes, self._indices, start, stop)
            self._seen += [(stim.timestamp, stim.channel) for stim in found.stims]
        self._next, self._heard_s = stop, time.monotonic()
        return Block(start, info.packet_samples, samples, spikes, lost)

    def _nothing(self, expected: int) -> Block:
        """Return the block that says that nothing has come; lose patience where that lasts."""
        if self._now() < expected:
            raise RigError("the CL1's clock went back: the device was started anew; start the session anew")
        silent_s = time.monotonic() - self._heard_s
        if silent_s > self._config.patience_s:
            raise RigError(f"the CL1's clock has stood still for {silent_s:.1f} s: look whether the device runs")
        return Block(expected, 0, np.empty((0, self.info.n_channels), np.int16), np.empty(0, SPIKE))


def _told(doing: str) -> AbstractContextManager[None]:
    return told("the CL1", doing, "look whether the device runs, and whether another program controls it")
