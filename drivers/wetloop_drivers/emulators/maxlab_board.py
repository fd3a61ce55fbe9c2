"""The command side of an emulated MaxLab server: arrays, stimulation units, converters and stored sequences.

It is strict about the order of calls: what a chip would silently ignore is an error here.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from wetloop.core.errors import ConfigError
from wetloop.core.guard import Pattern, Pulse
from wetloop_drivers.maxlab_wire import parse_routing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from wetloop.core.protocols import Dish

STEP_MV = 2.9
MID, TOP = 512, 1023
N_UNITS, N_CONVERTERS = 32, 3
SAMPLE_US = 50.0
FIRST = ("system_initialize", "system_set_activated_wells")
"""What may come before the system is initialised."""


class _RefusedError(Exception):
    """A command that came out of order, or cannot be carried out."""


@dataclass
class _Array:
    """Wires of an array that is being set up."""

    amplifiers: dict[int, int] = field(default_factory=dict)
    units: dict[int, int] = field(default_factory=dict)


class _Phase(NamedTuple):
    """A converter away from 0 V."""

    start_samples: int
    n_samples: int
    code: int
    electrodes: tuple[int, ...]


class Board:
    """Carries out commands.

    Parameters
    ----------
    dish
        The culture.
    channel_of
        Channel of the dish of each electrode under which it has one.

    Attributes
    ----------
    heard
        Every command, in order.
    """

    def __init__(self, dish: Dish, channel_of: Mapping[int, int]) -> None:
        self._dish, self._channel_of = dish, channel_of
        self.heard: list[str] = []
        self._reset()

    def _reset(self) -> None:
        self._is_ready = self._has_power = False
        self._arrays: dict[str, _Array] = {}
        self._wires: dict[int, int] | None = None
        self._sources: dict[int, int] = {}
        self._sequences: dict[str, list[str]] = {}
        self._loaded: dict[str, list[tuple[int, int]]] = {}

    def answer(self, command: str) -> str:
        """Carry out a command and return the answer."""
        self.heard.append(command)
        head, _, body = command.partition("\n")
        name, *words = head.split() or [""]
        try:
            return self._carry_out(name, words, body) or "Ok"
        except (_RefusedError, ConfigError, ValueError, IndexError, KeyError) as error:
            return f"Error: {error}"

    def _carry_out(self, name: str, words: list[str], body: str) -> str | None:
        act = self._commands().get(name)
        if act is None:
            raise _RefusedError(f"{name} is no command")
        if name not in FIRST and not self._is_ready:
            raise _RefusedError(f"{name} before system_initialize")
        return act(words, body)

    def _commands(self) -> dict[str, Callable[[list[str], str], str | None]]:
        return {
            "system_initialize": self._initialize, "system_offset": self._offset, "system_gain": _taken,
            "system_set_activated_wells": _taken, "stream_set_event_threshold": _taken,
            "system_query_dac_lsb_mv": lambda _words, _body: str(STEP_MV), "mea_set_core": self._set_core,
            "mea_array_new": self._new_array, "mea_array_command": self._array_command,
            "mea_set_stimulation_unit": self._set_unit, "mea_set_dac": self._set_converter,
            "sequence_new": self._new_sequence, "sequence_append": self._append, "sequence_send": self._send,
            "sequence_delete": self._delete,
        }  # fmt: skip

    def _initialize(self, _words: list[str], _body: str) -> None:
        self._dish.silence()
        self._reset()
        self._is_ready = True

    def _offset(self, _words: list[str], _body: str) -> None:
        self._require_download("system_offset")

    def _set_core(self, words: list[str], _body: str) -> None:
        self._has_power = words == ["stimulation_power", "1"]
        if not self._has_power:
            self._dish.silence()

    def _new_array(self, words: list[str], _body: str) -> None:
        self._arrays[words[0]] = _Array()

    def _array_command(self, words: list[str], body: str) -> str | None:
        array, (name, *rest) = self._arrays[words[0]], body.split(maxsplit=1)
        given = rest[0] if rest else ""
        match name:
            case "mea_array_reset":
                self._arrays[words[0]] = _Array()
            case "mea_array_set_config":
                routing = parse_routing(given)
                array.amplifiers = dict(zip(routing.electrodes, routing.channels, strict=True))
            case "mea_array_connect_electrode_to_stimulation":
                self._connect(array, int(given))
            case "mea_array_query_stimulation_at_electrode":
                return str(array.units.get(int(given), "")) or " "
            case "mea_array_query_amplifier_at_electrode":
                return str(array.amplifiers.get(int(given), "")) or " "
            case "mea_array_download":
                self._wires = dict(array.units)
            case _:
                raise _RefusedError(f"{name} is no command of an array")
        return None

    def _connect(self, array: _Array, electrode: int) -> None:
        if electrode not in array.amplifiers:
            raise _RefusedError(f"electrode {electrode} is not in the configuration")
        if len(array.units) < N_UNITS:
            array.units.setdefault(electrode, len(array.units))

    def _require_download(self, name: str) -> dict[int, int]:
        if self._wires is None:
            raise _RefusedError(f"{name} before mea_array_download")
        return self._wires

    def _set_unit(self, words: list[str], _body: str) -> None:
        wires, (unit, power, connect, current, _, source, _) = self._require_download("unit"), map(int, words)
        if unit not in wires.values():
            raise _RefusedError(f"unit {unit} has no electrode")
        if power and not self._has_power:
            raise _RefusedError("a unit is powered before stimulation power is enabled")
        if current or not 0 <= source < N_CONVERTERS:
            raise _RefusedError("units control the voltage, of converters 0 to 2")
        self._sources[unit] = source if power and connect else -1

    def _set_converter(self, words: list[str], _body: str) -> None:
        _converter(words)

    def _new_sequence(self, words: list[str], _body: str) -> None:
        delay = int(words[1]) if len(words) > 1 else 100
        self._sequences[words[0]], self._loaded[words[0]] = [f"system_delay_samples {delay}"], []

    def _append(self, words: list[str], body: str) -> None:
        sequence = self._sequences[words[0]]
        sequence.append(body)
        name, *rest = body.split()
        if name == "mea_set_dac" and _converter(rest)[1] == MID:
            self._loaded[words[0]] = [(at, self._dish.load(pattern)) for at, pattern in self._pulses(sequence)]

    def _send(self, words: list[str], _body: str) -> None:
        self._require_download("sequence_send")
        if not self._has_power:
            raise _RefusedError("sequence_send without stimulation power")
        frequency = self._dish.info.sampling_frequency
        for at, number in self._loaded[words[0]]:
            self._dish.stimulate(number, round(at * SAMPLE_US * frequency / 1e6))

    def _delete(self, words: list[str], _body: str) -> None:
        self._sequences.pop(words[0])
        self._loaded.pop(words[0])

    def _pulses(self, sequence: Sequence[str]) -> Iterator[tuple[int, Pattern]]:
        """Yield what a sequence delivers, and after how many samples; two phases make a pulse."""
        phases = list(self._phases(sequence))
        for first, second in zip(phases[::2], phases[1::2], strict=False):
            gap = second.start_samples - first.start_samples - first.n_samples
            pulse = Pulse(
                (MID - first.code) * STEP_MV, first.n_samples * SAMPLE_US,
                (MID - second.code) * STEP_MV, second.n_samples * SAMPLE_US, "mV", gap * SAMPLE_US,
            )  # fmt: skip
            channels = tuple(self._channel_of[electrode] for electrode in first.electrodes)
            if channels:
                yield first.start_samples, Pattern(pulse, channels)

    def _phases(self, sequence: Sequence[str]) -> Iterator[_Phase]:
        sources, at, converter, code = dict(self._sources), 0, 0, MID
        electrode_of = {unit: electrode for electrode, unit in self._require_download("a sequence").items()}
        for command in sequence:
            name, *words = command.split()
            if name == "mea_set_dac":
                converter, code = _converter(words)
            elif name == "mea_set_stimulation_unit":
                sources[int(words[0])] = int(words[5]) if words[1:3] == ["1", "1"] else -1
            elif name == "system_delay_samples":
                if code != MID:
                    driven = [electrode_of[unit] for unit, source in sources.items() if source == converter]
                    yield _Phase(at, int(words[0]), code, tuple(sorted(driven)))
                at += int(words[0])


def _taken(_words: list[str], _body: str) -> None:
    """Take a command that changes nothing here."""


def _converter(words: Sequence[str]) -> tuple[int, int]:
    number, code = int(words[0]), int(words[1])
    if not (0 <= number < N_CONVERTERS and 0 <= code <= TOP):
        raise _RefusedError(f"converter {number} cannot be set to {code}")
    return number, code
