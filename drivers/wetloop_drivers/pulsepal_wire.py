"""The bytes of a Pulse Pal 2: what the host sends, what comes back, and the settings in both of their layouts.

Facts are from the firmware's source (2.0.1, which calls itself 21). Every message begins with 213 and an operation.
``READ`` returns not the settings in effect but a file on the device's card, in an order of its own; so to read back
what is in effect, it is saved first.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from wetloop.core.types import Records

START = 213
HANDSHAKE, PROGRAM, PROGRAM_ONE, CUSTOM_1, CUSTOM_2, TRIGGER, DISPLAY = range(72, 79)
HOLD, ABORT, DISCONNECT, CONTINUOUS = range(79, 83)
READ, SET_LINE, GET_LINE = range(85, 88)
CLIENT, FILE = 89, 90
DONE, HELLO = 1, ord("K")
N_OUTPUTS = 4
CYCLE_US = 50
"""Period of the firmware's timer, on whose grid everything lies."""
STEP_MV = 20_000 / 65_536
"""Step of the 16-bit converter over its 20 V."""
ZERO_WORD = 32_768
OLDEST_FIRMWARE = 20
"""Older ones are Pulse Pal 1, with converters of 8 bits and another layout."""

TIMES = (
    "phase1_cycles", "interphase_cycles", "phase2_cycles", "interpulse_cycles",
    "burst_cycles", "interburst_cycles", "train_cycles", "delay_cycles",
)  # fmt: skip
WORDS = ("phase1_word", "phase2_word", "resting_word")
FLAGS = ("biphasic", "custom_train", "custom_target", "custom_loop")
SETTINGS = np.dtype(
    [
        (
            "outputs",
            [(name, "<u4") for name in TIMES]
            + [(FLAGS[0], "u1")]
            + [(name, "<u2") for name in WORDS]
            + [(name, "u1") for name in FLAGS[1:]],
            (N_OUTPUTS,),
        ),
        ("triggers", [("mode", "u1"), ("links", "u1", (N_OUTPUTS,))], (2,)),
    ]
)
"""All settings, laid out as in a file of the device's card: 178 bytes."""
_PROGRAM = np.dtype(
    [
        ("times", "<u4", (N_OUTPUTS, 8)), ("words", "<u2", (N_OUTPUTS, 3)), ("flags", "u1", (N_OUTPUTS, 4)),
        ("links", "u1", (2, N_OUTPUTS)), ("modes", "u1", (2,)),
    ]
)  # fmt: skip
_SIZES = {
    HANDSHAKE: 0, PROGRAM: SETTINGS.itemsize, TRIGGER: 1, HOLD: 3, ABORT: 0, DISCONNECT: 0, CONTINUOUS: 2, READ: 0,
    SET_LINE: 2, GET_LINE: 1, CLIENT: 6,
}  # fmt: skip
PARAMETERS = dict(enumerate((FLAGS[0], *WORDS[:2], *TIMES), 1)) | {
    12: "link1", 13: "link2", 14: FLAGS[1], 15: FLAGS[2], 16: FLAGS[3], 17: WORDS[2], 128: "mode",
}  # fmt: skip
"""Name of each parameter that ``PROGRAM_ONE`` sets, by its code."""


class Message(NamedTuple):
    """One message of the host: operation, and the bytes after it."""

    operation: int
    arguments: bytes


def message(operation: int, arguments: bytes = b"") -> bytes:
    """Return a message of the host."""
    return bytes((START, operation)) + arguments


def text_message(text: bytes) -> bytes:
    """Return the message that shows a text; byte 254 begins the second row."""
    return message(DISPLAY, bytes((len(text),)) + text)


def save_message(name: str) -> bytes:
    """Return the message that saves the settings in effect to a file of the card, which ``READ`` then returns."""
    return message(FILE, bytes((1, len(name))) + name.encode("ascii"))


def blank_settings() -> Records:
    """Return settings under which no output does anything: 0 V at rest, in pulses, and no trigger linked."""
    settings = np.zeros((), SETTINGS)
    for name in WORDS:
        settings["outputs"][name] = ZERO_WORD
    for name in ("phase1_cycles", "phase2_cycles", "train_cycles", "interpulse_cycles"):
        settings["outputs"][name] = 1
    return settings


def encode_program(settings: Records) -> bytes:
    """Return the arguments of ``PROGRAM``."""
    program, outputs, triggers = np.zeros((), _PROGRAM), settings["outputs"], settings["triggers"]
    for field, names in (("times", TIMES), ("words", WORDS), ("flags", FLAGS)):
        program[field] = np.stack([outputs[name] for name in names], axis=1)
    program["links"], program["modes"] = triggers["links"], triggers["mode"]
    return program.tobytes()


def decode_program(arguments: bytes) -> Records:
    """Return the settings in the arguments of ``PROGRAM``."""
    program, settings = np.frombuffer(arguments, _PROGRAM)[0], np.zeros((), SETTINGS)
    for field, names in (("times", TIMES), ("words", WORDS), ("flags", FLAGS)):
        for column, name in enumerate(names):
            settings["outputs"][name] = program[field][:, column]
    settings["triggers"]["links"], settings["triggers"]["mode"] = program["links"], program["modes"]
    return settings


def decode_file(answer: bytes) -> Records:
    """Return the settings in the answer to ``READ``."""
    settings: Records = np.frombuffer(answer, SETTINGS)[0].copy()
    return settings


def differences(told: Records, wanted: Records) -> list[str]:
    """Return where settings differ, in words."""
    found: list[str] = []
    for number in range(N_OUTPUTS):
        for name in (*TIMES, *WORDS, *FLAGS):
            is_, should = int(told["outputs"][number][name]), int(wanted["outputs"][number][name])
            found += [f"{name} of output {number + 1} is {is_}, not {should}"] if is_ != should else []
    for number in range(2):
        if told["triggers"][number] != wanted["triggers"][number]:
            found.append(f"trigger {number + 1} is {told['triggers'][number]}, not {wanted['triggers'][number]}")
    return found


def word_of(amplitude_mv: float) -> int:
    """Return the converter's word for a voltage on its grid."""
    return ZERO_WORD + round(amplitude_mv / STEP_MV)


def encode_hello(firmware: int) -> bytes:
    """Return the answer to ``HANDSHAKE``."""
    return struct.pack("<BI", HELLO, firmware)


HELLO_BYTES = 5


def decode_hello(answer: bytes) -> int | None:
    """Return the firmware's number; None where this is no answer of a Pulse Pal."""
    if len(answer) != HELLO_BYTES or answer[0] != HELLO:
        return None
    return int.from_bytes(answer[1:], "little")


class Messages:
    """Takes bytes as they come, and gives whole messages; what is between them is skipped, as the device does."""

    def __init__(self) -> None:
        self._pending = bytearray()

    @property
    def begun(self) -> bool:
        """Whether a message has begun and not ended."""
        return bool(self._pending)

    def clear(self) -> None:
        """Forget a message that has begun."""
        self._pending.clear()

    def feed(self, data: bytes) -> list[Message]:
        """Return the messages that are whole now."""
        self._pending += data
        found: list[Message] = []
        while True:
            start = self._pending.find(START)
            del self._pending[: len(self._pending) if start < 0 else start]
            end = _end(self._pending)
            if end is None or len(self._pending) < end:
                return found
            found.append(Message(self._pending[1], bytes(self._pending[2:end])))
            del self._pending[:end]


def _end(pending: bytearray) -> int | None:
    """Return where the message ends that begins here; None where more is needed to tell."""
    if len(pending) < 2:
        return None
    operation, arguments = pending[1], pending[2:]
    if operation == PROGRAM_ONE:
        return None if not arguments else 4 + parameter_bytes(arguments[0])
    if operation in {CUSTOM_1, CUSTOM_2}:
        return None if len(arguments) < 4 else 6 + 6 * int.from_bytes(arguments[:4], "little")
    if operation == DISPLAY:
        return None if not arguments else 3 + arguments[0]
    if operation == FILE:
        return None if len(arguments) < 2 else 4 + arguments[1]
    return 2 + _SIZES.get(operation, 0)


def parameter_bytes(code: int) -> int:
    """Return the size of a parameter's value; an unknown one has none."""
    name = PARAMETERS.get(code, "")
    if name in TIMES:
        return 4
    return 2 if name in WORDS else int(bool(name))


def set_parameter(settings: Records, arguments: bytes) -> None:
    """Do what ``PROGRAM_ONE`` with these arguments does; channels that do not exist are left alone."""
    name, channel = PARAMETERS.get(arguments[0], ""), arguments[1] - 1
    value = int.from_bytes(arguments[2:], "little")
    if name in ("link1", "link2") and 0 <= channel < N_OUTPUTS:
        settings["triggers"]["links"][int(name[-1]) - 1, channel] = value
    elif name == "mode" and 0 <= channel < 2:
        settings["triggers"]["mode"][channel] = value
    elif name in (*TIMES, *WORDS, *FLAGS) and 0 <= channel < N_OUTPUTS:
        settings["outputs"][name][channel] = value
