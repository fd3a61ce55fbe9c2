"""Records from any stream of the Lab Streaming Layer: spikes, or samples of one channel for each electrode.

LSL's own clock, brought onto this computer by its time correction, is the session's clock: sample 0 is where the source
was opened. Of spikes, a block is delivered ``latency_ms`` after its end, whether or not there were any; spikes that
come later are known later, and those older than ``max_age_ms`` are left out and counted. Samples are counted as they
come, and a jump of their time stamps is a gap. This source does not stimulate: ``lsl`` among the stimulators marks
pulses for other devices. Tested with liblsl through pylsl; never with a laboratory's device.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np
from pydantic import Field, model_validator

from wetloop.core.clock import wait_until
from wetloop.core.errors import RigError
from wetloop.core.extras import from_extra
from wetloop.core.layout import grid_probe, probe_at
from wetloop.core.limits import StimLimits
from wetloop.core.plugin import SourceConfig
from wetloop.core.types import Block, RigInfo, Signal
from wetloop_drivers.links import ReconnectConfig

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt
    from probeinterface import Probe

    from wetloop.core.guard import PatternTable
    from wetloop.core.types import Records

LOOK_S = 0.1
FOUND_S = 5.0
AGAIN_S = 10.0
"""How often the offset to the sender's clock is measured anew, s."""
BUFFER_S = 1
"""What liblsl keeps for a reader that waits; its own default of 360 s would be stale data."""
SPARE_MS = 3.0
LIMITS = StimLimits(
    max_amplitude_mv=900, max_charge_nc=4, max_charge_density_uc_cm2=900, max_imbalance=0.001,
    max_electrodes=32, min_interval_ms=4, max_rate_hz=100, max_array_rate_hz=400,
)  # fmt: skip
"""Of titanium nitride contacts of 30 um, whatever stimulates them; the rig file tightens them for others."""
DIAMETER_UM, ACCESS_KOHM = 30.0, 12.0
"""Spreading resistance of such a contact in saline: 0.72 ohm m over twice its diameter (Newman 1966)."""


class LslConfig(SourceConfig):
    """A stream of the Lab Streaming Layer."""

    kind: Literal["lsl"] = "lsl"
    stream: str = "wetloop-culture"
    """Name of the stream."""
    signal: Literal["spikes", "samples"] = "spikes"
    """Rows of channel and amplitude_uv as they occur, or samples of every electrode at a regular rate."""
    sampling_frequency_hz: int = Field(25000, ge=1000, multiple_of=1000)
    """Of samples, as the stream tells; of spikes, the grid on which their times are kept."""
    columns: int = Field(8, ge=1)
    """Electrodes along x."""
    rows: int = Field(8, ge=1)
    """Electrodes along y; channels go row by row from the upper edge."""
    pitch_um: float = Field(200.0, gt=0, allow_inf_nan=False)
    """Distance between neighbours, um."""
    positions_um: tuple[tuple[float, float], ...] | None = Field(None, min_length=1)
    """Position (x, y) of each channel, um, in place of the grid."""
    gain_uv: float = Field(0.195, gt=0, allow_inf_nan=False)
    """Microvolts per bit: of int16 samples as they come, or as which samples in microvolts are kept."""
    packet_ms: float = Field(5.0, ge=1, le=100, allow_inf_nan=False)
    """What is delivered at once, ms."""
    latency_ms: float = Field(5.0, ge=0, le=1000, allow_inf_nan=False)
    """How long a block of spikes is waited for after its end, ms; of samples, how late they come at best."""
    max_age_ms: float = Field(100.0, gt=0, le=10_000, allow_inf_nan=False)
    """Spikes that come later than this are left out; time stamps of samples that jump by more are a gap, ms."""
    reconnect: ReconnectConfig = ReconnectConfig()
    """What to do when the stream is gone."""

    @model_validator(mode="after")
    def _age_covers_latency(self) -> Self:
        if self.max_age_ms < self.latency_ms + self.packet_ms:
            raise ValueError(
                f"max_age_ms {self.max_age_ms:g} is under latency_ms + packet_ms: spikes in time would be too old"
            )
        if self.signal == "spikes" and self.reconnect.policy == "reconnect":
            raise ValueError(
                "liblsl does not tell a cut stream of spikes from a silent one: set reconnect.policy to stop"
            )
        return self

    def probe(self) -> Probe:
        """Return where the channels are."""
        if self.positions_um is None:
            return grid_probe(self.columns, self.rows, self.pitch_um, DIAMETER_UM)
        return probe_at(np.array(self.positions_um), DIAMETER_UM)

    def build(self, seed: int) -> LslSource:
        _ = seed
        return LslSource(self)

    def misfits(self, table: PatternTable) -> Sequence[str]:
        if not len(table):
            return ()
        return ("this source does not stimulate: set stimulator.kind (lsl to mark pulses for another device)",)


class LslSource:
    """Source of spikes or samples.

    Attributes
    ----------
    strange_rows, old_spikes
        Rows that tell no spike of this array, and spikes that came too late to be used.
    """

    def __init__(self, config: LslConfig) -> None:
        self._config, self.info = config, _info(config)
        self._inlet: Any = None
        self._ready: deque[Block] = deque()
        self._origin_s = self._offset_s = self._corrected_s = self._heard_s = 0.0
        self._next = 0
        self._is_stale = True
        self._waiting = np.empty((0, 3))
        self.strange_rows = self.old_spikes = 0

    def open(self) -> None:
        pylsl = from_extra("pylsl", "lsl")

        config = self._config
        found = pylsl.resolve_byprop("name", config.stream, 1, FOUND_S)
        if not found:
            raise RigError(
                f"no LSL stream is called {config.stream!r}: start its sender, or correct source.stream (the network "
                "must let multicast through)"
            )
        self._require_fit(found[0])
        self._inlet = pylsl.StreamInlet(found[0], max_buflen=BUFFER_S, recover=config.reconnect.policy == "reconnect")
        try:
            self._inlet.open_stream(FOUND_S)
            self._correct()
        except (RuntimeError, TimeoutError) as error:
            raise RigError(f"the LSL stream {config.stream!r} was found, but does not answer ({error})") from error

    def read(self) -> Block:
        if self._inlet is None:
            raise RigError("the source is not open")
        if self._is_stale:
            self._begin()
        if not self._ready:
            self._ready.extend(self._sample_blocks() if self.info.signal is Signal.SAMPLES else self._spike_blocks())
        return self._ready.popleft() if self._ready else self._nothing()

    def close(self) -> None:
        if self._inlet is not None:
            self._inlet.close_stream()
            self._inlet = None

    def _require_fit(self, found: Any) -> None:
        config, channels, rate_hz = self._config, found.channel_count(), found.nominal_srate()
        has_samples = config.signal == "samples"
        wanted = self.info.n_channels if has_samples else 2
        wanted_hz = float(config.sampling_frequency_hz) if has_samples else 0.0
        if (channels, rate_hz) != (wanted, wanted_hz):
            raise RigError(
                f"the LSL stream {config.stream!r} has {channels} channels at {rate_hz:g} Hz, but {config.signal} of "
                f"this array come in {wanted} at {wanted_hz:g} Hz (0: irregular): correct source.signal, the array, or "
                "the sampling frequency"
            )

    def _begin(self) -> None:
        """Start the clock, and forget what came before."""
        self._is_stale = False
        self._inlet.flush()
        self._origin_s = self._heard_s = _now_s()

    def _correct(self) -> None:
        self._offset_s, self._corrected_s = self._inlet.time_correction(FOUND_S), _now_s()

    def _pull(self, timeout_s: float) -> tuple[npt.NDArray[Any], npt.NDArray[np.float64]]:
        """Return rows as soon as there are any, and when they were on this computer's clock, s after the origin."""
        lost = from_extra("pylsl.util", "lsl").LostError

        try:
            # Without min_samples liblsl waits for the whole timeout, or for max_samples, whatever has come.
            rows, stamps_s = self._inlet.pull_chunk(timeout_s, max_samples=1 << 16, min_samples=1, as_numpy=True)
            if len(rows):
                self._heard_s = _now_s()
            if _now_s() - self._corrected_s > AGAIN_S:
                self._correct()
        except (lost, TimeoutError) as error:
            raise RigError(
                f"the LSL stream {self._config.stream!r} was lost: look at its sender (samples: or set "
                "source.reconnect.policy to reconnect)"
            ) from error
        return rows, np.asarray(stamps_s, float) + self._offset_s - self._origin_s

    def _spike_blocks(self) -> list[Block]:
        """Wait until the next block is due, and return it with the spikes that have come."""
        from wetloop_drivers.lsl_wire import spikes_of

        info, config = self.info, self._config
        start, stop = self._next, self._next + info.packet_samples
        due_s = self._origin_s + stop / info.sampling_frequency + config.latency_ms / 1000
        wait_until(lambda: False, min(LOOK_S, due_s - _now_s()))
        if _now_s() < due_s:
            return []
        rows, times_s = self._pull(0.0)
        if len(rows):
            self._waiting = np.vstack([self._waiting, np.column_stack([times_s, rows.astype(float)])])
        sample_index = np.rint(self._waiting[:, 0] * info.sampling_frequency).astype(np.int64)
        is_now = sample_index < stop
        oldest = stop - info.samples(config.max_age_ms)
        read = spikes_of(self._waiting[is_now, 1:], sample_index[is_now], start, stop, oldest, info.n_channels)
        self._waiting = self._waiting[~is_now]
        self.strange_rows += read.strange
        self.old_spikes += read.old
        self._next = stop
        return [Block(start, stop - start, np.empty((0, info.n_channels), np.int16), read.spikes)]

    def _sample_blocks(self) -> list[Block]:
        """Return the samples that have come, in pieces of a packet."""
        rows, times_s = self._pull(LOOK_S)
        if not len(rows):
            return []
        first = round(float(times_s[0]) * self.info.sampling_frequency)
        if not self._next or first - self._next > self.info.samples(self._config.max_age_ms):
            self._next = max(self._next, first, 0)
        bits = self._bits(rows)
        packet, start = self.info.packet_samples, self._next
        self._next += len(bits)
        return [
            Block(start + k, len(piece), piece, _no_spikes())
            for k in range(0, len(bits), packet)
            if len(piece := bits[k : k + packet])
        ]

    def _bits(self, rows: npt.NDArray[Any]) -> npt.NDArray[np.int16]:
        if np.issubdtype(rows.dtype, np.integer):
            return rows.astype(np.int16)
        limits = np.iinfo(np.int16)
        wanted = np.nan_to_num(np.rint(rows / self._config.gain_uv))
        bits: npt.NDArray[np.int16] = np.clip(wanted, limits.min, limits.max).astype(np.int16)
        return bits

    def _nothing(self) -> Block:
        """Return the block that says that nothing has come; lose patience with samples where that lasts."""
        silent_s = _now_s() - self._heard_s
        if self.info.signal is Signal.SAMPLES and silent_s > self._config.reconnect.patience_s:
            raise RigError(f"nothing has come over the LSL stream {self._config.stream!r} for {silent_s:.1f} s")
        return Block(0, 0, np.empty((0, self.info.n_channels), np.int16), _no_spikes())


def _now_s() -> float:
    pylsl = from_extra("pylsl", "lsl")

    return float(pylsl.local_clock())


def _no_spikes() -> Records:
    from wetloop.kernels.records import SPIKE

    return np.empty(0, SPIKE)


def _info(config: LslConfig) -> RigInfo:
    """Describe the rig; a pulse is decided two packets ahead: one on its way, one begun at the sender."""
    probe, frame = config.probe(), config.sampling_frequency_hz // 1000
    packet = max(1, round(config.packet_ms * frame))
    waiting = -(-round(config.latency_ms * frame) // packet) * packet
    return RigInfo(
        name="lsl",
        sampling_frequency=float(config.sampling_frequency_hz),
        probe=probe,
        signal=Signal[config.signal.upper()],
        gain_uv=np.full(len(probe.contact_positions), config.gain_uv, np.float32),
        packet_samples=packet,
        lead_samples=2 * packet + waiting + round(SPARE_MS * frame),
        unit="mV",
        limits=LIMITS,
        electrode_area_um2=float(np.pi * (DIAMETER_UM / 2) ** 2),
        access_resistance_kohm=ACCESS_KOHM,
        real_time=True,
        latency_ms=config.latency_ms,
    )
