"""Intan's RHX software with a controller behind it, as seen from its three TCP ports (RHX 3.4.0).

Data come in bursts as RHX takes them from the USB port. Keys stimulate the culture. Bands are not filtered: LOW and
HIGH are the wide band.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
from pydantic import Field

from wetloop.core.errors import RigError
from wetloop.core.guard import Pattern, Pulse
from wetloop.core.layout import pitch_um, positions_um
from wetloop.core.plugin import EmulatorConfig
from wetloop_drivers.emulators.intan_rhx_board import OUTPUTS, Board, Hooks
from wetloop_drivers.emulators.intan_rhx_data import Acquisition, Outputs, stim_words
from wetloop_drivers.emulators.tcp_ports import Port, Ports
from wetloop_drivers.intan_rhx_wire import (
    BLOCK_FRAMES,
    native_names,
    usb_blocks,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from wetloop.core.protocols import Dish
    from wetloop.core.types import Block
    from wetloop_drivers.intan_rhx_wire import Words

RHS_HZ = (20_000, 25_000, 30_000)
PHASES = ("First", "Second")


class IntanRhxEmulatorConfig(EmulatorConfig):
    """RHX and its controller."""

    kind: Literal["intan-rhx"] = "intan-rhx"
    controller: Literal["rhs", "rhd"] = "rhs"
    """Controller: RHS stimulates, RHD only records."""
    host: str = "127.0.0.1"
    """Address to listen on."""
    command_port: int = Field(5000, ge=0, le=65535)
    """Port for commands; 0: any free one."""
    waveform_port: int = Field(5001, ge=0, le=65535)
    """Port for samples; 0: any free one."""
    spike_port: int = Field(5002, ge=0, le=65535)
    """Port for spikes; 0: any free one."""
    version: str = "3.4.0"
    """What RHX says of its version."""
    stim_step_ua: float = Field(0.1, gt=0)
    """Step of stimulation amplitudes, uA."""
    burst_blocks: int | None = Field(None, ge=1)
    """Blocks of 128 samples that are taken from the controller at once; by default as many as RHX takes."""
    outputs: Literal["Pending", "Disconnected"] = "Pending"
    """Whether a person has opened the data ports in RHX; a driver can do it too."""
    channels_per_port: int = Field(32, ge=1, le=128)
    """Amplifier channels on each of the ports A, B and so on."""

    def build(self, dish: Dish) -> IntanRhxEmulator:
        return IntanRhxEmulator(self, dish)


class _Loaded(NamedTuple):
    """A pulse on some channels that a key delivers: its number in the dish, and its STIM words."""

    number: int
    channels: tuple[int, ...]
    words: Words


class IntanRhxEmulator:
    """RHX in front of a dish.

    Attributes
    ----------
    board
        Its command interpreter.
    """

    def __init__(self, config: IntanRhxEmulatorConfig, dish: Dish) -> None:
        self._config, self._dish, self._info = config, dish, dish.info
        self._names = native_names(dish.info.n_channels, config.channels_per_port)
        hooks = Hooks(self._press, self._upload, self._start, self._stop, self._listen, self._hang_up, self._state_of)
        hooks.newest_sample = lambda: -1 if self._run is None else self._run.sent_samples - 1
        self.board = Board(self._names, self._facts(), stimulates=config.controller == "rhs", hooks=hooks)
        self._command = Port(config.host, config.command_port, self.board.hear, lasting=True)
        self._outputs = {
            "Waveform": Port(config.host, config.waveform_port, lambda _: b"", lasting=False),
            "Spike": Port(config.host, config.spike_port, lambda _: b"", lasting=False),
        }
        self._ports = Ports((self._command, *self._outputs.values()))
        self._lock = threading.Lock()
        self._armed: dict[int, tuple[str, Pulse]] = {}
        self._keys: dict[str, list[_Loaded]] = {}
        self._run: Acquisition | None = None

    def open(self) -> Mapping[str, Any]:
        rate = self._info.sampling_frequency
        if self._config.controller == "rhs" and rate not in RHS_HZ:
            raise RigError(
                f"an RHS controller takes {', '.join(map(str, RHS_HZ))} samples per second, but the culture has "
                f"{rate:g}: set culture.sampling_frequency_hz to one of them"
            )
        self._command.listen()
        for port in self._outputs.values():
            port.listen()
            if self._config.outputs == "Disconnected":
                port.close()
        self._ports.open()
        return self._settings()

    def deliver(self, block: Block) -> None:
        with self._lock:
            written = None if self._run is None else self._run.take(block)
        if written is not None:
            for port, data in zip(self._outputs.values(), written, strict=True):
                port.send(data)
            self._ports.ring()

    def unplug(self) -> None:
        for port in (self._command, *self._outputs.values()):
            port.close()

    def close(self) -> None:
        self._ports.close()

    def _facts(self) -> dict[str, str]:
        kind = {"rhs": "ControllerStimRecord", "rhd": "ControllerRecordUSB3"}[self._config.controller]
        return {
            "Type": kind,
            "Version": self._config.version,
            "SampleRateHertz": f"{self._info.sampling_frequency:g}",
            "StimStepSizeMicroAmps": f"{self._config.stim_step_ua:g}",
            "Synthetic": "False",
            "Playback": "False",
            "HeadstagePresent": "True",
        }

    def _settings(self) -> dict[str, Any]:
        where = positions_um(self._info.probe)
        columns, rows = (len(np.unique(where[:, axis])) for axis in (0, 1))
        return {
            "controller": self._config.controller,
            "signal": self._info.signal.name.lower(),
            "host": self._config.host,
            "command_port": self._command.port,
            "waveform_port": self._outputs["Waveform"].port,
            "spike_port": self._outputs["Spike"].port,
            "sampling_frequency_hz": round(self._info.sampling_frequency),
            "stim_step_ua": self._config.stim_step_ua,
            "probe": {"columns": columns, "rows": rows, "pitch_um": pitch_um(where)},
        }

    def _listen(self, output: str) -> None:
        self._outputs[output].listen()

    def _hang_up(self, output: str) -> None:
        self._outputs[output].close()

    def _state_of(self, output: str) -> str:
        return self._outputs[output].state

    def _upload(self, name: str) -> None:
        """Load a channel's parameters as they are now."""
        channel = self._names.index(name)
        self._armed.pop(channel, None)
        if self.board.value(f"{name}.StimEnabled") == "True":
            self._armed[channel] = self.board.value(f"{name}.Source").lower(), self._pulse(name)

    def _pulse(self, name: str) -> Pulse:
        def value(item: str) -> float:
            return float(self.board.value(f"{name}.{item}"))

        step = self._config.stim_step_ua
        amplitudes = [step * min(255, round(value(f"{phase}PhaseAmplitudeMicroAmps") / step)) for phase in PHASES]
        widths = [value(f"{phase}PhaseDurationMicroseconds") for phase in PHASES]
        sign = -1 if self.board.value(f"{name}.Polarity") == "NegativeFirst" else 1
        paused = self.board.value(f"{name}.Shape") == "BiphasicWithInterphaseDelay"
        pause_us = value("InterphaseDelayMicroseconds") if paused else 0.0
        return Pulse(sign * amplitudes[0], widths[0], -sign * amplitudes[1], widths[1], "uA", pause_us)

    def _start(self) -> None:
        groups: dict[tuple[str, Pulse], list[int]] = {}
        for channel, armed in sorted(self._armed.items()):
            groups.setdefault(armed, []).append(channel)
        self._keys = {}
        for (source, pulse), channels in groups.items():
            number = self._dish.load(Pattern(pulse, tuple(channels)))
            words = stim_words(pulse, self._config.stim_step_ua, self._info.sampling_frequency)
            self._keys.setdefault(source, []).append(_Loaded(number, tuple(channels), words))
        with self._lock:
            self._run = Acquisition(self._info, self._names, self._enabled())

    def _enabled(self) -> Outputs:
        """Return what is to be sent, as it is set now."""
        value, names = self.board.value, self._names
        on = [
            (channel, band)
            for channel, name in enumerate(names)
            for band in OUTPUTS
            if value(f"{name}.TCPDataOutputEnabled{band}") == "True"
        ]
        return Outputs(
            tuple(entry for entry in on if entry[1] != "Spike"),
            frozenset(channel for channel, band in on if band == "Spike"),
            np.array([float(value(f"{name}.SpikeThresholdMicroVolts")) for name in names]),
            BLOCK_FRAMES * (self._config.burst_blocks or usb_blocks(self._info.sampling_frequency)),
            BLOCK_FRAMES * int(value("TCPNumberDataBlocksPerWrite")),
        )

    def _stop(self) -> None:
        with self._lock:
            self._run = None
        self._dish.silence()

    def _press(self, key: int) -> None:
        with self._lock:
            if self._run is None:
                return
            for loaded in self._keys.get(f"keypressf{key + 1}", ()):
                at = self._dish.stimulate(loaded.number)
                self._run.stimulated(at, loaded.channels, loaded.words)
