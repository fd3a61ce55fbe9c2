"""Records from any board that the Open Ephys GUI supports, through its ZMQ Interface or Falcon Output plug-in.

The GUI has to run with its HTTP server enabled and one of the plug-ins in the signal chain. Its sample number is the
session's clock. Samples come in microvolts and are kept as int16 of ``gain_uv`` each: exact for Intan chips at the
default, elsewhere to half of it. This source does not stimulate: the kinds ``open-ephys`` (TTL lines of the GUI),
``pulsepal`` and others do. Protocol-tested against python-oephys, open-ephys-python-tools and flatbuffers; not yet
hardware-tested.
"""

from __future__ import annotations

import time
from collections import deque
from typing import TYPE_CHECKING, Literal, Self

import numpy as np
from pydantic import Field, model_validator

from wetloop.core.errors import RigError
from wetloop.core.limits import StimLimits
from wetloop.core.plugin import SourceConfig
from wetloop.core.types import Block, RigInfo, Signal
from wetloop_drivers.arrays import ArrayConfig
from wetloop_drivers.links import ReconnectConfig
from wetloop_drivers.open_ephys_gui import DATA_PORT, FALCON_PORT, Gui, GuiConfig

if TYPE_CHECKING:
    from collections.abc import Sequence

    from wetloop.core.guard import PatternTable
    from wetloop_drivers.open_ephys_stream import Assembler, Subscription

LOOK_S = 0.1
FIRST_S = 5.0
"""How long the first buffer may take, s: a board is set up when acquisition starts."""
SPARE_MS = 3.0
"""For the way through engine and stimulator, ms."""
LIMITS = StimLimits(
    max_amplitude_mv=900, max_charge_nc=4, max_charge_density_uc_cm2=900, max_imbalance=0.001,
    max_electrodes=32, min_interval_ms=4, max_rate_hz=100, max_array_rate_hz=400,
)  # fmt: skip
"""Of titanium nitride contacts of 30 um, whatever stimulates them; the rig file tightens them for others."""
ACCESS_KOHM = 12.0
"""Spreading resistance of such a contact in saline: 0.72 ohm m over twice its diameter (Newman 1966)."""


class OpenEphysConfig(SourceConfig):
    """A stream of the Open Ephys GUI."""

    kind: Literal["open-ephys"] = "open-ephys"
    gui: GuiConfig = GuiConfig()
    """Where the GUI runs."""
    transport: Literal["zmq-interface", "falcon"] = "zmq-interface"
    """Plug-in that publishes the data; falcon is much cheaper for many channels."""
    data_port: int | None = Field(None, ge=1, le=65534)
    """Port of the plug-in; by default 5556 (zmq-interface; heartbeats go to the next one) or 3335 (falcon)."""
    signal: Literal["samples", "spikes"] = "samples"
    """Detect spikes in samples, or take those of the GUI's Spike Detector (zmq-interface only)."""
    stream: str | None = None
    """Name of the data stream; by default the first one that is heard."""
    sampling_frequency_hz: int = Field(30000, ge=1000, multiple_of=1000)
    """Of the stream, Hz; it is compared with what comes."""
    array: ArrayConfig = ArrayConfig()
    """Where the electrodes are."""
    channels: tuple[int, ...] | None = None
    """Channel of the stream (from 0) of each electrode; by default in their order."""
    electrodes: tuple[str, ...] | None = None
    """Spikes: name in the Spike Detector of each electrode; by default Electrode 1, Electrode 2 and so on."""
    buffer_ms: float = Field(10.0, gt=0, le=1000, allow_inf_nan=False)
    """What the GUI processes at once, ms (its audio settings: buffer size); larger buffers at the start are refused."""
    latency_ms: float = Field(2.0, ge=0, le=1000, allow_inf_nan=False)
    """From the last sample of a buffer to its arrival, at best, ms."""
    gain_uv: float = Field(0.195, gt=0, allow_inf_nan=False)
    """Microvolts per bit of the int16 samples that are kept; 0.195 is that of Intan chips."""
    reconnect: ReconnectConfig = ReconnectConfig()
    """What to do when the GUI is gone."""

    @model_validator(mode="after")
    def _parts_fit(self) -> Self:
        if self.signal == "spikes" and self.transport == "falcon":
            raise ValueError("the Falcon Output sends no spikes: set transport to zmq-interface, or signal to samples")
        for name, given in (("channels", self.channels), ("electrodes", self.electrodes)):
            if given is not None and (len(given) != self.array.n_electrodes or len(set(given)) != len(given)):
                raise ValueError(
                    f"{name} names {len(set(given))} different ones, but the array has {self.array.n_electrodes}: "
                    "name one for each electrode"
                )
        return self

    def build(self, seed: int) -> OpenEphysSource:
        _ = seed
        return OpenEphysSource(self)

    def misfits(self, table: PatternTable) -> Sequence[str]:
        if not len(table):
            return ()
        return ("this source cannot stimulate: set stimulator.kind (open-ephys for TTL lines, pulsepal ...)",)

    @property
    def port(self) -> int:
        """Port of the plug-in."""
        if self.data_port is not None:
            return self.data_port
        return FALCON_PORT if self.transport == "falcon" else DATA_PORT

    @property
    def wanted(self) -> tuple[int, ...]:
        """Channel of the stream of each electrode."""
        return tuple(range(self.array.n_electrodes)) if self.channels is None else self.channels

    @property
    def names(self) -> tuple[str, ...]:
        """Name in the Spike Detector of each electrode."""
        return self.electrodes or tuple(f"Electrode {k + 1}" for k in range(self.array.n_electrodes))


class OpenEphysSource:
    """Source of samples or spikes."""

    def __init__(self, config: OpenEphysConfig) -> None:
        self._config, self.info = config, _info(config)
        self._gui = Gui(config.gui)
        self._subscription: Subscription | None = None
        self._assembler: Assembler = _assembler(config, self.info)
        self._ready: deque[Block] = deque()
        self._heard_s = 0.0
        self._is_cut = self._is_read = False

    def open(self) -> None:
        from wetloop_drivers.open_ephys_stream import Subscription

        self._gui.mode()
        address, control = f"tcp://{self._config.gui.host}:{self._config.port}", None
        if self._config.transport == "zmq-interface":
            control = f"tcp://{self._config.gui.host}:{self._config.port + 1}"
        self._subscription = Subscription(address, control)
        self._gui.require_acquisition()
        self._heard_s = time.monotonic()
        self._await_first(address)

    def read(self) -> Block:
        if not self._is_read:
            self._begin()
        if not self._ready:
            self._receive(time.monotonic() + LOOK_S)
        return self._ready.popleft() if self._ready else self._nothing()

    def close(self) -> None:
        if self._subscription is not None:
            self._subscription.close()
            self._subscription = None
        self._gui.close()

    def _await_first(self, address: str) -> None:
        end_s = time.monotonic() + FIRST_S
        while not self._ready and time.monotonic() < end_s:
            self._receive(time.monotonic() + LOOK_S)
        if not self._ready:
            raise RigError(
                f"the Open Ephys GUI is acquiring, but no whole buffer of {len(self._config.wanted)} channels has come "
                f"from {address} in {FIRST_S:g} s: put a {self._config.transport} plug-in with these channels into the "
                "signal chain, and compare port, stream and channels"
            )
        n_samples = sum(piece.n_samples for piece in self._ready)
        if n_samples > self.info.packet_samples:
            least_ms = n_samples / self.info.frame_samples
            raise RigError(
                f"the Open Ephys GUI sends {n_samples} samples at once, {least_ms:g} ms, but source.buffer_ms is "
                f"{self._config.buffer_ms:g}: set it to {least_ms:.4g}, or reduce the buffer in the GUI's settings"
            )

    def _begin(self) -> None:
        """Begin with what comes now: the other parts of a session may have taken their time to start."""
        if self._subscription is not None:
            self._subscription.drain()
        self._assembler, self._is_read = _assembler(self._config, self.info), True
        self._ready.clear()
        self._heard_s = time.monotonic()

    def _receive(self, end_s: float) -> None:
        """Take in messages until they make a block, or it is time."""
        from wetloop_drivers.open_ephys_stream import pieces

        if self._subscription is None:
            raise RigError("the source is not open")
        while not self._ready:
            try:
                frames = self._subscription.receive(end_s - time.monotonic())
            except ConnectionError:
                self._lose_connection()
                continue
            block = self._assembler.take(frames) if frames is not None else None
            if block is not None:
                self._ready.extend(pieces(block, self.info.packet_samples))
                self._heard_s, self._is_cut = time.monotonic(), False
            elif time.monotonic() >= end_s:
                return

    def _lose_connection(self) -> None:
        self._is_cut = True
        if self._config.reconnect.policy == "stop":
            raise RigError(
                "the connection to the Open Ephys GUI was cut: look at the GUI and at the network, or set "
                "source.reconnect.policy to reconnect"
            )

    def _nothing(self) -> Block:
        """Return the block that says that nothing has come; lose patience where that lasts."""
        silent_s = time.monotonic() - self._heard_s
        if silent_s > self._config.reconnect.patience_s:
            cause = "its connection was cut" if self._is_cut else "acquisition was stopped or started anew"
            raise RigError(f"nothing new has come from the Open Ephys GUI for {silent_s:.1f} s: {cause}")
        return Block(0, 0, np.empty((0, self.info.n_channels), np.int16), _no_spikes())


def _no_spikes() -> np.ndarray:
    from wetloop.kernels.records import SPIKE

    return np.empty(0, SPIKE)


def _assembler(config: OpenEphysConfig, info: RigInfo) -> Assembler:
    from wetloop_drivers.open_ephys_stream import ChannelBlocks, FalconBlocks, SpikeBlocks

    if config.transport == "falcon":
        return FalconBlocks(info, config.wanted, config.stream)
    if config.signal == "spikes":
        return SpikeBlocks(info, config.wanted[0], config.stream, {name: k for k, name in enumerate(config.names)})
    return ChannelBlocks(info, config.wanted, config.stream)


def _info(config: OpenEphysConfig) -> RigInfo:
    """Describe the rig; a pulse is decided two buffers ahead: one on its way, one begun in the GUI."""
    frame = config.sampling_frequency_hz // 1000
    packet = max(1, round(config.buffer_ms * frame))
    waiting = -(-round(config.latency_ms * frame) // packet) * packet
    return RigInfo(
        name="open-ephys",
        sampling_frequency=float(config.sampling_frequency_hz),
        probe=config.array.probe(),
        signal=Signal[config.signal.upper()],
        gain_uv=np.full(config.array.n_electrodes, config.gain_uv, np.float32),
        packet_samples=packet,
        lead_samples=2 * packet + waiting + round(SPARE_MS * frame),
        unit="uA",
        limits=LIMITS,
        electrode_area_um2=config.array.area_um2,
        access_resistance_kohm=ACCESS_KOHM,
        real_time=True,
        latency_ms=config.latency_ms,
    )
