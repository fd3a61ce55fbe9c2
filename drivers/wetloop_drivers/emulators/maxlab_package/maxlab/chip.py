"""What is on the chip."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

from .link import ask

if TYPE_CHECKING:
    from collections.abc import Iterable


class Core:
    """The chip's own settings."""

    def __init__(self) -> None:
        self._has_power = False

    def enable_stimulation_power(self, enable: bool) -> Self:
        """Switch the power of all stimulation units."""
        self._has_power = enable
        return self

    def text(self) -> str:
        """Return the command as the server reads it."""
        return f"mea_set_core stimulation_power {int(self._has_power)}"


class Amplifier:
    """The amplifiers."""

    def __init__(self) -> None:
        self._gain = 512

    def set_gain(self, gain: int) -> Self:
        """Set the gain."""
        self._gain = gain
        return self

    def text(self) -> str:
        """Return the command as the server reads it."""
        return f"system_gain {self._gain}"


@dataclass(frozen=True)
class DAC:
    """Set a converter; 512 is 0 V."""

    dac_no: int
    dac_code: int

    def text(self) -> str:
        """Return the command as the server reads it."""
        return f"mea_set_dac {self.dac_no} {self.dac_code}"


class StimulationUnit:
    """Settings of one of the 32 units."""

    def __init__(self, unit_no: int | str) -> None:
        self._unit, self._power, self._connect, self._current, self._dac = int(unit_no), 0, 0, 0, 0

    def power_up(self, power_up: bool) -> Self:
        """Switch its power."""
        self._power = int(power_up)
        return self

    def connect(self, connect: bool) -> Self:
        """Connect it to its electrode."""
        self._connect = int(connect)
        return self

    def set_voltage_mode(self) -> Self:
        """Control the voltage."""
        self._current = 0
        return self

    def dac_source(self, dac_no: int) -> Self:
        """Take the signal of one of the converters."""
        self._dac = dac_no
        return self

    def text(self) -> str:
        """Return the command as the server reads it."""
        return f"mea_set_stimulation_unit {self._unit} {self._power} {self._connect} {self._current} 0 {self._dac} 0"


class Array:
    """Which electrode is wired to what."""

    def __init__(self, name: str = "online") -> None:
        self._name = name
        ask(f"mea_array_new {name}")

    def reset(self) -> str:
        """Forget all wires."""
        return self._command("mea_array_reset")

    def load_config(self, name: str) -> str:
        """Take the wires that a saved configuration tells."""
        return self._command(f"mea_array_set_config {Path(name).read_text()}")

    def select_electrodes(self, electrodes: Iterable[int], weight: int = 1) -> str:
        """Name the electrodes to be wired to amplifiers."""
        return self._command(f"mea_array_select_electrodes {' '.join(f'{e}/{weight}' for e in electrodes)}")

    def select_stimulation_electrodes(self, electrodes: Iterable[int]) -> str:
        """Name the electrodes that must be wired."""
        return self.select_electrodes(electrodes, 1000)

    def route(self) -> str:
        """Find wires for the electrodes that were named."""
        return self._command("mea_array_route")

    def connect_electrode_to_stimulation(self, electrode: int) -> str:
        """Wire an electrode to a stimulation unit."""
        return self._command(f"mea_array_connect_electrode_to_stimulation {electrode}")

    def query_stimulation_at_electrode(self, electrode: int) -> str:
        """Return the number of the unit; empty where there is none."""
        return self._command(f"mea_array_query_stimulation_at_electrode {electrode}")

    def query_amplifier_at_electrode(self, electrode: int) -> str:
        """Return the number of the channel; empty where there is none."""
        return self._command(f"mea_array_query_amplifier_at_electrode {electrode}")

    def download(self) -> str:
        """Bring the wires to the chip."""
        return self._command("mea_array_download")

    def _command(self, command: str) -> str:
        return ask(f"mea_array_command {self._name}\n{command}")
