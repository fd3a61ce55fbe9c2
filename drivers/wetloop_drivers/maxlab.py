"""Records from MaxOne and MaxTwo (MaxWell Biosystems) through the streams that the MaxLab Live server publishes.

The frame number is the session's clock. Which electrode feeds which channel is told by the configuration file that
MaxLab Live saves (``configuration``), or by ``electrodes`` and ``channels``. This source does not stimulate: the kind
``maxlab`` among the stimulators does. The server must be running, with a configuration downloaded to the chip.

What a MaxTwo publishes of several wells is known for spikes, whose records name the well, and not for amplitudes: of a
MaxTwo only spikes are taken. Protocol-tested against the layouts that public client code reads; not yet
hardware-tested.
"""

from __future__ import annotations

import time
from collections import deque
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Self

import numpy as np
from pydantic import Field, model_validator

from wetloop.core.errors import ConfigError, RigError
from wetloop.core.layout import probe_at
from wetloop.core.limits import StimLimits
from wetloop.core.plugin import SourceConfig
from wetloop.core.types import Block, RigInfo, Signal
from wetloop_drivers.links import ReconnectConfig
from wetloop_drivers.maxlab_wire import (
    COLUMNS,
    FILTERED_PORT,
    FULL_SCALE_UV,
    N_CHANNELS,
    RAW_PORT,
    Routing,
    electrode_positions_um,
    fits_other_layout,
    parse_routing,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from wetloop.core.guard import PatternTable
    from wetloop.core.types import Records
    from wetloop_drivers.maxlab_stream import Assembler, Subscription

LOOK_S = 0.1
FIRST_S = 5.0
SPARE_MS = 3.0
"""For the way through engine and stimulator, ms."""
MID_SCALE, FINE_STEPS = 512.0, 16.0
"""Raw amplitudes rest in the middle of the converter; filtered ones rest at 0 and have fractions."""
LATENCY_MS = {"raw": 0.5, "filtered": 1.0}
"""From a frame to its arrival at best, of the filter with infinite response; the other takes 102 ms."""
LIMITS = StimLimits(
    max_amplitude_mv=900, max_phase_us=5000, max_charge_nc=4, max_imbalance=0.001, max_electrodes=32,
    min_interval_ms=4, max_rate_hz=100, max_array_rate_hz=400,
)  # fmt: skip
"""Of platinum contacts under voltage control: the amplitude stays inside the water window."""
WIDTH_UM, HEIGHT_UM = 9.3, 5.45
"""Of an electrode (Müller et al., Lab Chip 15, 2015); later chips have larger ones."""
DIAMETER_UM = 8.0
"""Of a round contact of that area."""
ACCESS_KOHM = 45.0
"""Spreading resistance of such a contact in saline: 0.72 ohm m over twice its diameter (Newman 1966)."""
STEPS = (0, 11, 23, 34, 46, 57, 69, 80)
EIGHT_BY_EIGHT = tuple(column + COLUMNS * row for row in STEPS for column in STEPS)
"""The electrodes nearest to a grid of 200 um."""


class MaxLabConfig(SourceConfig):
    """A stream of the MaxLab Live server."""

    kind: Literal["maxlab"] = "maxlab"
    host: str = "127.0.0.1"
    """Where the server runs."""
    model: Literal["maxone", "maxtwo"] = "maxone"
    """The rig."""
    well: int = Field(0, ge=0, le=23)
    """MaxTwo: the well, from 0."""
    stream: Literal["filtered", "raw"] = "filtered"
    """Which stream is read; spikes come with the filtered one."""
    port: int | None = Field(None, ge=1, le=65535)
    """Of the stream; by default 7205 (filtered) or 7204 (raw)."""
    signal: Literal["spikes", "samples"] = "spikes"
    """Take the spikes that the server detects, or detect them here in the amplitudes."""
    sampling_frequency_hz: int | None = Field(None, ge=1000, multiple_of=1000)
    """Frames per second; by default 20000 (MaxOne) or 10000 (MaxTwo)."""
    spike_record_bytes: Literal[16, 24] = 16
    """Size of a spike record: 16 for present servers, 24 for old ones; another one than comes is refused."""
    gain: Literal[1, 7, 112, 512, 1024, 2048] = 512
    """Gain of the amplifiers, as set on the chip: it tells how large a step of the converter is."""
    configuration: str | None = None
    """File saved by MaxLab Live that tells which electrode feeds which channel."""
    electrodes: tuple[int, ...] = EIGHT_BY_EIGHT
    """Without such a file: the recorded electrodes; by default 64 in the upper left corner, about 200 um apart."""
    channels: tuple[int, ...] | None = None
    """Without such a file: the channel of each electrode; by default 0, 1, 2 and so on."""
    packet_ms: float = Field(1.0, gt=0, le=100, allow_inf_nan=False)
    """What is taken at once, ms."""
    latency_ms: float | None = Field(None, ge=0, le=1000, allow_inf_nan=False)
    """From a frame to its arrival, at best, ms; by default 0.5 (raw) or 1 (filtered; 103 for the filter with finite
    response)."""
    reconnect: ReconnectConfig = ReconnectConfig()
    """What to do when the server is gone."""

    @model_validator(mode="after")
    def _parts_fit(self) -> Self:
        if self.signal == "spikes" and self.stream == "raw":
            raise ValueError("the raw stream has no spikes: set stream to filtered, or signal to samples")
        if self.model == "maxtwo" and (self.signal == "samples" or self.spike_record_bytes == 24):
            raise ValueError(
                "of a MaxTwo only spike records of 16 bytes tell their well: set signal to spikes, the size to 16"
            )
        if self.model == "maxone" and self.well:
            raise ValueError(f"a MaxOne has one well, 0, not {self.well}: set model to maxtwo, or leave well out")
        if self.channels is not None and len(self.channels) != len(self.electrodes):
            raise ValueError(f"{len(self.channels)} channels for {len(self.electrodes)} electrodes: name one for each")
        wanted = self._given.channels
        if not wanted or len(set(wanted)) != len(wanted) or not 0 <= min(wanted) <= max(wanted) < N_CHANNELS:
            raise ValueError(f"channels are different ones from 0 to {N_CHANNELS - 1}, one or more")
        return self

    @property
    def _given(self) -> Routing:
        channels = tuple(range(len(self.electrodes))) if self.channels is None else self.channels
        return Routing(channels, self.electrodes, electrode_positions_um(self.electrodes))

    @cached_property
    def routing(self) -> Routing:
        """Which electrode feeds which channel."""
        return self._given if self.configuration is None else read_routing(self.configuration, "source")

    @property
    def rate_hz(self) -> int:
        """Frames per second, Hz."""
        return self.sampling_frequency_hz or (20_000 if self.model == "maxone" else 10_000)

    @property
    def address(self) -> str:
        """Of the stream."""
        return f"tcp://{self.host}:{self.port or (RAW_PORT if self.stream == 'raw' else FILTERED_PORT)}"

    @property
    def steps(self) -> float:
        """Steps of a sample in one of the converter."""
        return 1.0 if self.stream == "raw" else FINE_STEPS

    def build(self, seed: int) -> MaxLabSource:
        _ = seed
        return MaxLabSource(self)

    def misfits(self, table: PatternTable) -> Sequence[str]:
        if not len(table):
            return ()
        return ("this source does not stimulate: set stimulator.kind (maxlab for the units on the chip)",)


def read_routing(path: str, section: str) -> Routing:
    """Return the routing that a saved configuration tells."""
    try:
        return parse_routing(Path(path).expanduser().read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"{section}.configuration: {path} cannot be read ({error}): save the configuration in MaxLab Live"
        ) from error
    except ConfigError as error:
        raise ConfigError(f"{section}.configuration: {path}: {error}") from None


class MaxLabSource:
    """Source of spikes or samples."""

    def __init__(self, config: MaxLabConfig) -> None:
        self._config, self.info = config, _info(config)
        self._subscription: Subscription | None = None
        self._assembler: Assembler | None = None
        self._ready: deque[Block] = deque()
        self._heard_s = 0.0
        self._is_stale = True

    def open(self) -> None:
        from wetloop_drivers.maxlab_stream import Assembler, Subscription

        config = self._config
        offset = MID_SCALE if config.stream == "raw" else 0.0
        self._assembler = Assembler(
            self.info, config.routing.channels, well=config.well, record_bytes=config.spike_record_bytes,
            offset=offset, steps=config.steps,
        )  # fmt: skip
        self._subscription = Subscription(config.address, 1 / config.rate_hz)
        self._heard_s = time.monotonic()
        self._await_first()

    def read(self) -> Block:
        if self._is_stale:
            self._skip_to_now()
        if not self._ready:
            self._receive(LOOK_S)
        return self._ready.popleft() if self._ready else self._nothing()

    def close(self) -> None:
        if self._subscription is not None:
            self._subscription.close()
            self._subscription = None

    def _await_first(self) -> None:
        end_s = self._heard_s + FIRST_S
        while not self._ready and time.monotonic() < end_s:
            self._receive(LOOK_S)
        if not self._ready:
            strange = self._assembler.strange_frames if self._assembler is not None else 0
            told = f"{strange} messages came, but none of them is a frame" if strange else "nothing came"
            raise RigError(
                f"no frame has come from the MaxLab server at {self._config.address} in {FIRST_S:g} s ({told}): start "
                "the server, download a configuration to the chip, and compare host, port and stream"
            )

    def _skip_to_now(self) -> None:
        """Forget what came between opening and the first reading: it would be old."""
        self._is_stale = False
        self._ready.clear()
        self._heard_s = time.monotonic()
        if self._subscription is not None:
            self._subscription.flush()

    def _receive(self, timeout_s: float) -> None:
        """Take in at most a packet of frames."""
        if self._subscription is None or self._assembler is None:
            raise RigError("the source is not open")
        try:
            messages = self._subscription.receive(self._assembler.wanted, timeout_s)
        except ConnectionError:
            self._lose_connection()
            return
        strange_spikes = self._assembler.strange_spikes
        self._ready.extend(self._assembler.take(messages))
        if self._ready:
            self._heard_s = time.monotonic()
        if self._assembler.strange_spikes > strange_spikes:
            self._refuse_other_layout(messages)

    def _refuse_other_layout(self, messages: Sequence[Sequence[bytes]]) -> None:
        other = fits_other_layout(messages, self._config.spike_record_bytes)
        if other is not None:
            raise RigError(
                f"the MaxLab server sends spike records of {other} bytes, not {self._config.spike_record_bytes}: set "
                f"source.spike_record_bytes to {other}"
            )

    def _lose_connection(self) -> None:
        if self._config.reconnect.policy == "stop":
            raise RigError(
                f"the connection to the MaxLab server at {self._config.address} was cut: look at the server and at the "
                "network, or set source.reconnect.policy to reconnect"
            )

    def _nothing(self) -> Block:
        """Return the block that says that nothing has come; lose patience where that lasts."""
        silent_s = time.monotonic() - self._heard_s
        if silent_s > self._config.reconnect.patience_s:
            raise RigError(
                f"no frame has come from the MaxLab server at {self._config.address} for {silent_s:.1f} s: look "
                "whether it still runs"
            )
        return Block(0, 0, np.empty((0, self.info.n_channels), np.int16), _no_spikes())


def _no_spikes() -> Records:
    from wetloop.kernels.records import SPIKE

    return np.empty(0, SPIKE)


def _info(config: MaxLabConfig) -> RigInfo:
    """Describe the rig; a pulse is decided two packets ahead: one on its way, one begun on the chip."""
    frame, routing = config.rate_hz // 1000, config.routing
    packet = max(1, round(config.packet_ms * frame))
    latency_ms = LATENCY_MS[config.stream] if config.latency_ms is None else config.latency_ms
    waiting = -(-round(latency_ms * frame) // packet) * packet
    lsb_uv = FULL_SCALE_UV / config.gain
    probe = probe_at(routing.positions_um, DIAMETER_UM)
    probe.set_contact_ids([str(electrode) for electrode in routing.electrodes])
    return RigInfo(
        name="maxlab",
        sampling_frequency=float(config.rate_hz),
        probe=probe,
        signal=Signal[config.signal.upper()],
        gain_uv=np.full(len(routing.channels), lsb_uv / config.steps, np.float32),
        packet_samples=packet,
        lead_samples=2 * packet + waiting + round(SPARE_MS * frame),
        unit="mV",
        limits=LIMITS,
        electrode_area_um2=WIDTH_UM * HEIGHT_UM,
        access_resistance_kohm=ACCESS_KOHM,
        real_time=True,
        latency_ms=latency_ms,
    )
