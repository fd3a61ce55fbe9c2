"""Configuration of a task that a program elsewhere plays; importing it imports neither Gymnasium nor sockets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from wetloop.core.errors import ConfigError
from wetloop.core.plugin import TaskConfig
from wetloop.net.addresses import require_safe

if TYPE_CHECKING:
    from collections.abc import Mapping

    import gymnasium

    from wetloop.core.types import Records

Name = Annotated[str, Field(min_length=1, max_length=60)]
MAX_EVENTS = 32
REMEDY = "set task.keys to a folder of keys (wetloop keys new FOLDER makes them), or take a program on 127.0.0.1"


class RemoteTaskConfig(TaskConfig):
    """A program, on this machine or another, is the task; ``wetloop.remote.serve_task`` makes one of any environment.

    The program listens and the session connects. In real time it is waited for until the deadline, in a stepped session
    for ``connect_s``. A replay needs no program: it takes the answers from the recording.
    """

    kind: Literal["remote"] = "remote"
    address: str = "tcp://127.0.0.1:5570"
    """Where the program listens."""
    keys: str | None = None
    """Folder with ``remote.public`` and the pair ``server``; needed for a program on another machine."""
    connect_s: float = Field(10.0, gt=0, le=600)
    """How long to wait for the program to introduce itself, s; three times in a row when it was lost."""
    events: tuple[Name, ...] = Field((), max_length=MAX_EVENTS)
    """Every event that the program may tell; several in one answer are told in this order, each once."""
    magnitudes: tuple[Name, ...] = ()
    """Events of which it also tells how large they were; recorded as further elements of the observation."""

    @field_validator("address")
    @classmethod
    def _is_an_address(cls, address: str) -> str:
        try:
            require_safe(address, keys=True)
        except ConfigError as error:
            raise ValueError(str(error)) from None
        return address

    @model_validator(mode="after")
    def _leads_out_with_keys_only(self) -> Self:
        try:
            require_safe(self.address, keys=self.keys is not None, remedy=REMEDY)
        except ConfigError as error:
            raise ValueError(str(error)) from None
        return self

    @model_validator(mode="after")
    def _names_are_known_once(self) -> Self:
        if len(set(self.events)) != len(self.events):
            raise ValueError("events: each is named once")
        if unknown := [name for name in self.magnitudes if name not in self.events]:
            raise ValueError(f"magnitudes: {unknown[0]!r} is none of the events")
        if self.own_process:
            raise ValueError("own_process: a program elsewhere has its own; leave it out")
        return self

    def build(self, decision_ms: float) -> gymnasium.Env[Any, Any]:
        return self.build_timed(decision_ms, real_time=False)

    def build_timed(self, decision_ms: float, *, real_time: bool) -> gymnasium.Env[Any, Any]:
        from wetloop.tasks.remote import remote_task

        return remote_task(self, decision_ms, real_time=real_time)

    def retold(self, header: Mapping[str, Any], rows: Records) -> gymnasium.Env[Any, Any]:
        from wetloop.tasks.retold import retold_task

        return retold_task(self, header, rows)

    def event_names(self) -> tuple[str, ...]:
        return self.events
