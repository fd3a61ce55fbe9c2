"""Stimulates with the units of a MaxOne or MaxTwo through the vendor's ``maxlab`` package.

Every pattern is a sequence that the server stores before the run; the loop only sends it. All units stay powered and
connected: those of a pattern take converter 0, which makes the pulse, the others converter 1, which rests at 0 V.
In voltage mode a unit inverts: a negative phase is a code above the middle.

Protocol-tested against a stand-in for the package that checks the order of calls; not yet hardware-tested.
"""

from __future__ import annotations

import math
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from wetloop.core.clock import wait_until
from wetloop.core.errors import RigError
from wetloop.core.layout import positions_um
from wetloop.core.limits import StimLimits
from wetloop.core.plugin import StimulatorConfig
from wetloop_drivers.maxlab import read_routing
from wetloop_drivers.maxlab_wire import electrodes_at
from wetloop_drivers.vendor_package import import_package, told

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from contextlib import AbstractContextManager

    from wetloop.core.guard import Pattern, PatternTable, Pulse
    from wetloop.core.types import RigInfo

N_UNITS = 32
MID, MOST_STEPS = 512, 511
PULSING, RESTING = 0, 1
SPARE_MS = 3.0
STEP_TOLERANCE = 0.01
INSTALL = "install it into this Python, or set stimulator.package_folder to the folder that it lies in"


class MaxLabStimulatorConfig(StimulatorConfig):
    """Stimulation units of a MaxOne, or of one well of a MaxTwo."""

    kind: Literal["maxlab"] = "maxlab"
    package_folder: str | None = None
    """Folder in which the vendor's package ``maxlab`` lies, where it is not installed."""
    configuration: str = "array.cfg"
    """File saved by MaxLab Live, as of the source; it is downloaded to the chip."""
    model: Literal["maxone", "maxtwo"] = "maxone"
    """The rig."""
    well: int = Field(0, ge=0, le=23)
    """MaxTwo: the well, from 0; it is the only one that is activated."""
    gain: Literal[1, 7, 112, 512, 1024, 2048] = 512
    """Gain of the amplifiers, as of the source: the chip is set up here."""
    event_threshold: float = Field(5.0, gt=0, allow_inf_nan=False)
    """Threshold of the server's spike detection, standard deviations of the noise."""
    dac_step_mv: float = Field(2.9, gt=0, allow_inf_nan=False)
    """Step of the converters, mV; it is compared with what the server tells."""
    sample_us: float = Field(50.0, gt=0, allow_inf_nan=False)
    """Unit of delays in a sequence, us: phases are whole multiples."""
    initial_delay_samples: int = Field(100, ge=0, le=2000)
    """Delay before each sequence; 100, or 5 ms, is the vendor's."""
    send_ms: float = Field(1.0, ge=0, le=100, allow_inf_nan=False)
    """From sending a sequence to its beginning on the chip, ms."""
    settle_s: float = Field(5.0, ge=0, le=60, allow_inf_nan=False)
    """How long the chip is left alone after it was initialised, configured and compensated, s; 15 for a MaxTwo."""

    def describe(self, rig: RigInfo) -> RigInfo:
        own = StimLimits(max_amplitude_mv=MOST_STEPS * self.dac_step_mv, min_phase_us=self.sample_us)
        latency_ms = self.initial_delay_samples * self.sample_us / 1000 + self.send_ms
        return replace(
            rig,
            unit="mV",
            limits=rig.limits.tightened(own),
            max_patterns=256,
            amplitude_step=self.dac_step_mv,
            immediate=True,
            trigger_latency_ms=latency_ms,
            lead_samples=rig.lead_samples + rig.samples(latency_ms + SPARE_MS),
        )

    def misfits(self, table: PatternTable) -> Sequence[str]:
        odd = [fault for name, pattern in table for fault in self._odd_times(name, pattern.pulse)]
        used = {channel for pattern in table.patterns for channel in pattern.channels}
        if len(used) > N_UNITS:
            odd.append(f"{len(used)} electrodes are stimulated, but the chip has {N_UNITS} units: use fewer")
        return odd

    def _odd_times(self, name: str, pulse: Pulse) -> Iterator[str]:
        for field in ("first_us", "interphase_us", "second_us"):
            samples = getattr(pulse, field) / self.sample_us
            if not math.isclose(samples, round(samples), abs_tol=1e-6):
                yield (
                    f"pattern {name!r}: {field} is {getattr(pulse, field):g} us, but MaxLab times in steps of "
                    f"{self.sample_us:g} us: take a multiple"
                )

    def build(self, info: RigInfo) -> MaxLabStimulator:
        return MaxLabStimulator(self, info)


class MaxLabStimulator:
    """Sends stored sequences."""

    def __init__(self, config: MaxLabStimulatorConfig, info: RigInfo) -> None:
        self._config, self._electrodes = config, electrodes_at(positions_um(info.probe))
        self._maxlab: Any = None
        self._units: dict[int, int] = {}
        self._sequences: list[Any] = []
        self._is_silent = False

    def prepare(self, table: PatternTable) -> None:
        misfits = self._config.misfits(table)
        if misfits:
            raise RigError("MaxLab cannot deliver this:\n  " + "\n  ".join(misfits))
        used = sorted({channel for pattern in table.patterns for channel in pattern.channels})
        self._maxlab = import_package("maxlab", self._config.package_folder, INSTALL)
        with _told("setting up the chip"):
            self._set_up_chip()
            self._wire(used)
            self._read_back_step()
            self._rest_units()
            self._sequences = [self._stored(k, pattern) for k, pattern in enumerate(table.patterns)]

    def trigger(self, pattern: int, at_sample: int) -> None:
        _ = at_sample
        if not self._sequences:
            raise RigError("the MaxLab stimulator is not prepared")
        if not self._is_silent:
            with _told("sending a sequence"):
                _require_ok(self._sequences[pattern].send())

    def silence(self) -> None:
        """Cut the power of all stimulation units: a sequence that runs has no effect any more."""
        self._is_silent = True
        if self._maxlab is not None:
            with _told("switching stimulation off"):
                self._power_off()

    def ping(self) -> None:
        """Ask for the step of the converters."""
        with _told("asking for the converters' step"):
            self._maxlab.query_DAC_lsb_mV()

    def close(self) -> None:
        if self._maxlab is None:
            return
        with suppress(Exception):
            self._power_off()
        self._sequences.clear()
        self._maxlab = None

    def _power_off(self) -> None:
        _require_ok(self._maxlab.send(self._maxlab.chip.Core().enable_stimulation_power(False)))

    def _set_up_chip(self) -> None:
        maxlab, config = self._maxlab, self._config
        if config.model == "maxtwo":
            _require_ok(maxlab.util.activate([config.well]))
        _require_ok(maxlab.util.initialize())
        self._settle()
        _require_ok(maxlab.send(maxlab.chip.Core().enable_stimulation_power(True)))
        _require_ok(maxlab.send(maxlab.chip.Amplifier().set_gain(config.gain)))
        _require_ok(maxlab.send_raw(f"stream_set_event_threshold {config.event_threshold:g}"))

    def _wire(self, channels: Sequence[int]) -> None:
        """Wire electrodes to units, and read back that they are, and that they feed the channels of the file."""
        routing = read_routing(self._config.configuration, "stimulator")
        channel_of = dict(zip(routing.electrodes, routing.channels, strict=True))
        array = self._maxlab.chip.Array("stimulation")
        _require_ok(array.reset())
        _require_ok(array.load_config(str(Path(self._config.configuration).expanduser())))
        for channel in channels:
            self._units[channel] = self._wired(array, self._electrodes[channel], channel_of)
        if len(set(self._units.values())) < len(channels):
            raise RigError(f"electrodes share stimulation units ({self._units}): choose others, a few rows apart")
        _require_ok(array.download())
        self._settle()
        _require_ok(self._maxlab.util.offset())
        self._settle()

    def _wired(self, array: Any, electrode: int, channel_of: dict[int, int]) -> int:
        if electrode not in channel_of:
            raise RigError(
                f"electrode {electrode} is stimulated, but {self._config.configuration} does not route it: give source "
                "and stimulator the same configuration"
            )
        _require_ok(array.connect_electrode_to_stimulation(electrode))
        unit, channel = (
            str(query(electrode)).strip()
            for query in (array.query_stimulation_at_electrode, array.query_amplifier_at_electrode)
        )
        if not unit.isdigit():
            raise RigError(f"electrode {electrode} cannot be wired to a stimulation unit: choose its neighbour")
        if channel != str(channel_of[electrode]):
            raise RigError(
                f"electrode {electrode} feeds channel {channel or 'none'}, not {channel_of[electrode]} as in "
                f"{self._config.configuration}: save the configuration anew"
            )
        return int(unit)

    def _read_back_step(self) -> None:
        step_mv, expected_mv = float(self._maxlab.query_DAC_lsb_mV()), self._config.dac_step_mv
        if not math.isclose(step_mv, expected_mv, rel_tol=STEP_TOLERANCE):
            raise RigError(
                f"the converters step by {step_mv:g} mV, not {expected_mv:g}: set stimulator.dac_step_mv to {step_mv:g}"
            )

    def _rest_units(self) -> None:
        for converter in (PULSING, RESTING):
            _require_ok(self._maxlab.send(self._maxlab.chip.DAC(converter, MID)))
        for unit in self._units.values():
            _require_ok(self._maxlab.send(self._unit(unit, RESTING)))

    def _unit(self, unit: int, converter: int) -> Any:
        powered = self._maxlab.chip.StimulationUnit(unit).power_up(True).connect(True)
        return powered.set_voltage_mode().dac_source(converter)

    def _stored(self, number: int, pattern: Pattern) -> Any:
        """Store a sequence: units to the pulsing converter, the pulse, units back to rest; a mark tells its number."""
        maxlab, pulse, config = self._maxlab, pattern.pulse, self._config
        sequence = maxlab.Sequence(f"wetloop_{number}", initial_delay=config.initial_delay_samples, persistent=False)
        steps = [self._unit(self._units[channel], PULSING) for channel in pattern.channels]
        steps.append(maxlab.system.Event(config.well, 1, number, f"wetloop {number}"))
        times_us = (pulse.first_us, pulse.interphase_us, pulse.second_us)
        for amplitude_mv, width_us in zip((pulse.first_amplitude, 0.0, pulse.second_amplitude), times_us, strict=True):
            if width_us:
                steps.append(maxlab.chip.DAC(PULSING, MID - round(amplitude_mv / config.dac_step_mv)))
                steps.append(maxlab.system.DelaySamples(round(width_us / config.sample_us)))
        steps.append(maxlab.chip.DAC(PULSING, MID))
        steps += [self._unit(self._units[channel], RESTING) for channel in pattern.channels]
        for step in steps:
            sequence.append(step)
        return sequence

    def _settle(self) -> None:
        wait_until(lambda: False, self._config.settle_s)


def _told(doing: str) -> AbstractContextManager[None]:
    return told("MaxLab", doing, "look at the server's window")


def _require_ok(reply: object) -> None:
    """Raise where the server's answer tells of an error; newer packages raise by themselves."""
    if isinstance(reply, str) and "error" in reply.lower():
        raise RigError(f"the MaxLab server refused a command: {reply.strip()}")
