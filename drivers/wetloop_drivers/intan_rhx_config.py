"""What can be set of an Intan controller behind RHX, and what is known of it before RHX is asked."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

from wetloop.core.layout import grid_probe
from wetloop.core.limits import StimLimits
from wetloop.core.plugin import SourceConfig
from wetloop.core.types import RigInfo, Signal
from wetloop_drivers.intan_rhx_keys import MAX_PHASE_US, MAX_STEPS, misfits
from wetloop_drivers.intan_rhx_wire import (
    BLOCK_FRAMES,
    MICROVOLTS_PER_BIT,
    is_native_name,
    native_names,
    usb_blocks,
)
from wetloop_drivers.links import ReconnectConfig

if TYPE_CHECKING:
    from collections.abc import Sequence

    from probeinterface import Probe

    from wetloop.core.guard import PatternTable
    from wetloop_drivers.intan_rhx import RhxSource

RHS_HZ = (20_000, 25_000, 30_000)
STEPS_UA = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
MAX_PATTERNS = 255
"""Ways to press some of eight keys."""


class RhxProbeConfig(BaseModel):
    """A rectangular electrode array, wired to the amplifier channels row by row from the upper left."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    columns: int = Field(8, ge=1)
    """Electrodes along x."""
    rows: int = Field(8, ge=1)
    """Electrodes along y."""
    pitch_um: float = Field(200.0, gt=0)
    """Distance between neighbours, um."""
    diameter_um: float = Field(30.0, gt=0)
    """Diameter of an electrode, um."""


class IntanRhxConfig(SourceConfig):
    """An Intan controller behind RHX."""

    kind: Literal["intan-rhx"] = "intan-rhx"
    controller: Literal["rhs", "rhd"] = "rhs"
    """Controller: RHS stimulates, RHD only records."""
    signal: Literal["samples", "spikes"] = "samples"
    """Deliver samples, or the spikes that RHX finds."""
    host: str = "127.0.0.1"
    """Where RHX runs."""
    command_port: int = Field(5000, ge=1, le=65535)
    """Port of RHX's commands."""
    waveform_port: int = Field(5001, ge=1, le=65535)
    """Port of RHX's waveform output."""
    spike_port: int = Field(5002, ge=1, le=65535)
    """Port of RHX's spike output."""
    sampling_frequency_hz: int = Field(25_000, ge=1000, le=30_000, multiple_of=1000)
    """Samples per second as chosen at the start of RHX; RHS has 20000, 25000 and 30000."""
    probe: RhxProbeConfig = RhxProbeConfig()
    """The electrode array."""
    channels: tuple[str, ...] = ()
    """Native name of each electrode's amplifier channel (A-000), row by row; by default channels_per_port on each
    port, in order."""
    channels_per_port: int = Field(32, ge=1, le=128)
    """Amplifier channels on each of the ports A, B and so on, where channels is not given."""
    threshold_uv: float | None = Field(None, ge=-5000, le=5000)
    """Spike threshold of every channel, uV; by default as set in RHX."""
    stim_step_ua: float = 0.1
    """Step of stimulation amplitudes as chosen in RHX, uA; 255 steps are the largest amplitude."""
    refractory_us: float = Field(1000.0, ge=0, le=1e6)
    """Time after a pulse in which its channel cannot be triggered, us."""
    settle_us: float = Field(1000.0, ge=0, le=500_000)
    """Time after a pulse in which its channel's amplifier settles fast, us; 0: it does not."""
    latency_ms: float = Field(5.0, ge=0, le=1000)
    """From the last sample of a burst to its arrival, ms."""
    trigger_latency_ms: float = Field(1.0, ge=0, le=100)
    """From a command to its pulse, ms; what a recording tells of pulses seen says what it really was."""
    slack_ms: float = Field(8.0, ge=1, le=1000)
    """How much later than usual a burst may come without a pulse coming too late, ms."""
    reconnect: ReconnectConfig = ReconnectConfig()
    """What to do when RHX is lost."""

    @model_validator(mode="after")
    def _is_possible(self) -> Self:
        if self.controller == "rhs" and self.sampling_frequency_hz not in RHS_HZ:
            raise ValueError(f"sampling_frequency_hz {self.sampling_frequency_hz}: RHS has 20000, 25000 and 30000")
        if self.stim_step_ua not in STEPS_UA:
            raise ValueError(f"stim_step_ua {self.stim_step_ua:g}: RHX has {', '.join(map(str, STEPS_UA))}")
        if self.refractory_us < self.settle_us:
            raise ValueError(f"refractory_us {self.refractory_us:g} is under settle_us {self.settle_us:g}")
        n, odd = self.probe.columns * self.probe.rows, [c for c in self.channels if not is_native_name(c)]
        if odd:
            raise ValueError(
                f"channels: {odd[0]!r} is no amplifier channel: write a port and three digits, as in A-000"
            )
        if self.channels and (len(self.channels) != n or len(set(self.channels)) != n):
            raise ValueError(f"channels names {len(set(self.channels))} channels, but the probe has {n} electrodes")
        if not self.channels and n > 8 * self.channels_per_port:
            raise ValueError(f"{n} electrodes do not fit 8 ports of {self.channels_per_port}: set channels_per_port")
        return self

    @property
    def names(self) -> tuple[str, ...]:
        """Native names in the order in which RHX sends them; a channel index is a place among them."""
        return tuple(sorted(self.channels or self._names_of_electrodes))

    @property
    def _names_of_electrodes(self) -> tuple[str, ...]:
        return self.channels or native_names(self.probe.columns * self.probe.rows, self.channels_per_port)

    @property
    def packet_blocks(self) -> int:
        """Blocks of 128 samples that come at once."""
        return usb_blocks(self.sampling_frequency_hz)

    def build(self, seed: int) -> RhxSource:
        from wetloop_drivers.intan_rhx import RhxRig, RhxSource

        _ = seed
        return RhxRig(self) if self.controller == "rhs" else RhxSource(self)

    def misfits(self, table: PatternTable) -> Sequence[str]:
        if self.controller == "rhd" and len(table):
            return (f"{len(table)} patterns are asked for, but an RHD controller cannot stimulate: name a stimulator",)
        return misfits(table, self.sampling_frequency_hz)

    def array(self) -> Probe:
        """Return the probe, wired."""
        probe = grid_probe(self.probe.columns, self.probe.rows, self.probe.pitch_um, self.probe.diameter_um)
        ranks = {name: rank for rank, name in enumerate(self.names)}
        probe.set_device_channel_indices([ranks[name] for name in self._names_of_electrodes])
        return probe

    def describe(self) -> RigInfo:
        """Return what is known without asking RHX."""
        rate, packet = self.sampling_frequency_hz, self.packet_blocks * BLOCK_FRAMES
        lead_ms = self.latency_ms + self.trigger_latency_ms + self.slack_ms
        return RigInfo(
            name=self.kind,
            sampling_frequency=float(rate),
            probe=self.array(),
            signal=Signal[self.signal.upper()],
            gain_uv=np.full(len(self.names), MICROVOLTS_PER_BIT, np.float32),
            packet_samples=packet,
            lead_samples=packet + math.ceil((lead_ms + 1) * rate / 1000),
            unit="uA",
            limits=_limits(self.stim_step_ua),
            electrode_area_um2=math.pi * (self.probe.diameter_um / 2) ** 2,
            access_resistance_kohm=12.0,
            max_patterns=MAX_PATTERNS,
            amplitude_step=self.stim_step_ua,
            real_time=True,
            latency_ms=self.latency_ms,
            immediate=True,
            trigger_latency_ms=self.trigger_latency_ms,
        )


def _limits(step_ua: float) -> StimLimits:
    """Return what an RHS controller and a titanium nitride electrode of 30 um allow."""
    return StimLimits(
        max_amplitude_ua=MAX_STEPS * step_ua, max_phase_us=MAX_PHASE_US, max_charge_nc=4,
        max_charge_density_uc_cm2=900, max_imbalance=0.001, max_electrodes=32, min_interval_ms=4, max_rate_hz=100,
        max_array_rate_hz=400, max_charge_nc_per_s=500, max_charge_nc_per_min=15_000, max_charge_nc_per_session=100_000,
    )  # fmt: skip
