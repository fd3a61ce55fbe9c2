"""RHX's command interpreter and what it knows: parameters, actions, and the texts with which it refuses."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

KEYS = tuple(f"f{k + 1}" for k in range(8))
TRUTH = ("True", "False")
SOURCES = (
    *(f"DigitalIn{k:02d}" for k in range(1, 17)), *(f"AnalogIn{k}" for k in range(1, 9)),
    *(f"KeyPressF{k}" for k in range(1, 9)),
)  # fmt: skip
OUTPUTS = ("", "Low", "High", "Spike", "DC", "Stim")
"""Bands of an amplifier channel in the order of their words; Spike has none."""


class Item(NamedTuple):
    """A parameter: its name, its first value, and either the words or the range that it takes.

    ``restricted`` is ``fixed`` where nothing changes it, ``stopped`` where it changes only while RHX stands still.
    """

    name: str
    value: str
    words: tuple[str, ...] = ()
    least: float = 0.0
    most: float = 0.0
    restricted: str = ""

    def accepted(self, value: str) -> str | None:
        """Return a value as RHX keeps it; None if it does not take it."""
        if self.words:
            return next((word for word in self.words if word.lower() == value.lower()), None)
        try:
            number = float(value)
        except ValueError:
            return None
        return f"{number:g}" if self.least <= number <= self.most else None

    @property
    def acceptable(self) -> str:
        """What it takes, in words."""
        return ", ".join(self.words) if self.words else f"between {self.least:g} and {self.most:g}"


def _us(name: str, value: float, most: float) -> Item:
    return Item(f"{name}Microseconds", f"{value:g}", most=most, restricted="stopped")


STIM_ITEMS = (
    Item("StimEnabled", "False", TRUTH, restricted="stopped"),
    Item("Source", "DigitalIn01", SOURCES, restricted="stopped"),
    Item("TriggerEdgeOrLevel", "Edge", ("Edge", "Level"), restricted="stopped"),
    Item("TriggerHighOrLow", "High", ("High", "Low"), restricted="stopped"),
    Item("PulseOrTrain", "SinglePulse", ("SinglePulse", "PulseTrain"), restricted="stopped"),
    Item("NumberOfStimPulses", "2", most=256, restricted="stopped"),
    Item("Shape", "Biphasic", ("Biphasic", "BiphasicWithInterphaseDelay", "Triphasic"), restricted="stopped"),
    Item("Polarity", "NegativeFirst", ("NegativeFirst", "PositiveFirst"), restricted="stopped"),
    _us("FirstPhaseDuration", 100, 5000),
    _us("SecondPhaseDuration", 100, 5000),
    _us("InterphaseDelay", 100, 5000),
    Item("FirstPhaseAmplitudeMicroAmps", "0", most=2550, restricted="stopped"),
    Item("SecondPhaseAmplitudeMicroAmps", "0", most=2550, restricted="stopped"),
    _us("PostTriggerDelay", 0, 500_000),
    _us("PulseTrainPeriod", 10_000, 1_000_000),
    _us("RefractoryPeriod", 1000, 1_000_000),
    _us("PreStimAmpSettle", 0, 500_000),
    _us("PostStimAmpSettle", 1000, 500_000),
    _us("PostStimChargeRecovOn", 0, 1_000_000),
    _us("PostStimChargeRecovOff", 0, 1_000_000),
    Item("MaintainAmpSettle", "False", TRUTH, restricted="stopped"),
    Item("EnableAmpSettle", "True", TRUTH, restricted="stopped"),
    Item("EnableChargeRecovery", "False", TRUTH, restricted="stopped"),
)  # fmt: skip
CHANNEL_ITEMS = (
    Item("Enabled", "True", TRUTH, restricted="stopped"),
    Item("SpikeThresholdMicroVolts", "-70", least=-5000, most=5000),
    *(Item(f"TCPDataOutputEnabled{band}", "False", TRUTH, restricted="stopped") for band in OUTPUTS),
)


@dataclass
class Hooks:
    """What the interpreter has the rest of the rig do; ``connected`` tells the state of an output by its name."""

    key_pressed: Callable[[int], None] = lambda _key: None
    uploaded: Callable[[str], None] = lambda _channel: None
    started: Callable[[], None] = lambda: None
    stopped: Callable[[], None] = lambda: None
    listen: Callable[[str], None] = lambda _output: None
    hang_up: Callable[[str], None] = lambda _output: None
    connected: Callable[[str], str] = lambda _output: "Disconnected"
    newest_sample: Callable[[], int] = lambda: -1


def _globals(facts: Mapping[str, str]) -> tuple[Item, ...]:
    return (
        *(Item(name, value, (value,), restricted="fixed") for name, value in facts.items()),
        Item("TCPNumberDataBlocksPerWrite", "10", least=1, most=100, restricted="stopped"),
        Item("AbsoluteThresholdMicroVolts", "-70", least=-5000, most=5000),
        Item("HighpassFilterCutoffFreqHertz", "250", least=0.1, most=20_000),
    )


@dataclass
class Board:
    """Interprets commands.

    Parameters
    ----------
    channels
        Native names of the amplifier channels, in order.
    facts
        Read-only parameters: Type, SampleRateHertz, Version and so on.
    stimulates
        Whether it is an RHS controller.
    upload_polls
        How often an upload says that it is still in progress.
    """

    channels: Sequence[str]
    facts: Mapping[str, str]
    stimulates: bool = True
    upload_polls: int = 1
    hooks: Hooks = field(default_factory=Hooks)
    run_mode: str = "Stop"

    def __post_init__(self) -> None:
        per_channel = CHANNEL_ITEMS + (STIM_ITEMS if self.stimulates else ())
        self._items = {item.name.lower(): item for item in _globals(self.facts)}
        self._items |= {f"{c}.{i.name}".lower(): i for c in self.channels for i in per_channel}
        self._values = {name: item.value for name, item in self._items.items()}
        self._upload_left = 0

    def value(self, name: str) -> str:
        """Return the value of a parameter, of a channel as ``A-000.StimEnabled``."""
        return self._values[name.lower()]

    def hear(self, said: bytes) -> bytes:
        """Do what a piece of text says, each command for itself; return the replies, which have no end."""
        commands = said.decode("latin-1").split(";")
        return "".join(self._obey(command.strip()) for command in commands if command.strip()).encode("latin-1")

    def _obey(self, command: str) -> str:
        verb, _, rest = command.partition(" ")
        first, _, second = rest.strip().partition(" ")
        match verb.lower():
            case "get" if first:
                return self._get(first)
            case "set" if second:
                return self._set(first, second.strip())
            case "execute" if first:
                return self._execute(first.lower(), second.strip().lower())
        return "Unrecognized command"

    def _get(self, name: str) -> str:
        item = self._items.get(name.lower())
        if item is not None:
            return f"Return: {item.name} {self._values[name.lower()]}"
        special = {
            "runmode": lambda: f"RunMode {self.run_mode}",
            "uploadinprogress": lambda: f"UploadInProgress {self._still_uploading()}",
            "currenttimestamp": lambda: str(self.hooks.newest_sample() if self.run_mode != "Stop" else -1),
            "tcpwaveformdataoutputconnectionstatus": lambda: self._output("Waveform"),
            "tcpspikedataoutputconnectionstatus": lambda: self._output("Spike"),
        }
        return f"Return: {special[name.lower()]()}" if name.lower() in special else "Unrecognized parameter"

    def _output(self, output: str) -> str:
        return f"TCP{output}DataOutputConnectionStatus {self.hooks.connected(output)}"

    def _still_uploading(self) -> bool:
        self._upload_left -= self._upload_left > 0
        return self._upload_left > 0

    def _set(self, name: str, value: str) -> str:
        if name.lower() == "runmode":
            return self._set_run_mode(value.lower())
        item = self._items.get(name.lower())
        if item is None:
            return "Unrecognized parameter"
        if item.restricted == "fixed":
            return f"{item.name} cannot be changed through software after startup."
        if item.restricted == "stopped" and self.run_mode != "Stop":
            return f"{item.name} cannot be set while the board is running"
        accepted = item.accepted(value)
        if accepted is None:
            return f"Invalid value for {item.name} command. Acceptable: {item.acceptable}"
        self._values[name.lower()] = accepted
        return ""

    def _set_run_mode(self, mode: str) -> str:
        if mode == "run" and self.run_mode == "Stop":
            self.run_mode = "Run"
            self.hooks.started()
            return ""
        if mode == "stop" and self.run_mode != "Stop":
            self.run_mode = "Stop"
            self.hooks.stopped()
            return ""
        refusals = {
            "run": "Board must be stopped in order to start running",
            "stop": "Board must be running in order to stop",
            "record": "Filename.BaseFilename and Filename.Path must both be specified before recording can occur",
        }
        return refusals.get(mode, "Invalid value for SetRunMode command")

    def _execute(self, action: str, argument: str) -> str:
        for output in ("Waveform", "Spike"):
            if action == f"connecttcp{output.lower()}dataoutput":
                self.hooks.listen(output)
                return ""
            if action == f"disconnecttcp{output.lower()}dataoutput":
                self.hooks.hang_up(output)
                return ""
        match action:
            case "clearalldataoutputs":
                self._values |= {name: "False" for name in self._values if ".tcpdataoutputenabled" in name}
            case "uploadstimparameters":
                return self._upload(argument)
            case "manualstimtriggerpulse":
                if argument in KEYS:
                    self.hooks.key_pressed(KEYS.index(argument))
            case "manualstimtriggeron" | "manualstimtriggeroff":
                pass
            case _:
                return "Unrecognized action"
        return ""

    def _upload(self, channel: str) -> str:
        if not self.stimulates:
            return ""
        if self._upload_left or (self.run_mode != "Stop" and not channel):
            return "UploadStimParameters cannot be executed while the board is running"
        self._upload_left = self.upload_polls + 1
        for name in self.channels:
            if channel in {"", name.lower()}:
                self.hooks.uploaded(name)
        return ""
