"""Commands to the whole system."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from .link import ask

if TYPE_CHECKING:
    from collections.abc import Iterable


class Command(Protocol):
    """Anything that can be sent, or appended to a sequence."""

    def text(self) -> str:
        """Return the command as the server reads it."""


def initialize() -> str:
    """Bring the system into its first state."""
    return ask("system_initialize")


def activate(wells: Iterable[int]) -> str:
    """Activate wells."""
    return ask(f"system_set_activated_wells {','.join(map(str, wells))}")


def offset() -> str:
    """Compensate the offset of the amplifiers."""
    return ask("system_offset")


def send(command: Command) -> str:
    """Carry out a command now."""
    return ask(command.text())


def send_raw(text: str) -> str:
    """Carry out a command that is given as text."""
    return ask(text)


def query_DAC_lsb_mV() -> float:
    """Return the step of the converters that stimulate, mV."""
    return float(ask("system_query_dac_lsb_mv"))
