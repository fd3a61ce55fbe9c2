"""Stored sequences of commands."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Self
from uuid import uuid4

from .link import ask

if TYPE_CHECKING:
    from .util import Command


class Sequence:
    """Commands that the server keeps, and carries out one after the other when it is told."""

    def __init__(self, token: str | None = None, initial_delay: int = 100, *, persistent: bool = False) -> None:
        self.token, self._persistent = token or uuid4().hex, persistent
        ask(f"sequence_new {self.token} {initial_delay}")

    def append(self, command: Command) -> Self:
        """Add a command."""
        ask(f"sequence_append {self.token}\n{command.text()}")
        return self

    def send(self) -> str:
        """Carry the sequence out."""
        return ask(f"sequence_send {self.token}")

    def __del__(self) -> None:
        if not self._persistent:
            with suppress(Exception):
                ask(f"sequence_delete {self.token}")
