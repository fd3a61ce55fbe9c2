"""The messages between a session and a program that is its task.

The program listens (ROUTER), a session connects (DEALER). A message is one frame of JSON, at most MAX_BYTES long; a
second frame, uint8 row by row, carries an answer's picture. A session says ``hello`` and is told ``welcome``; then each
of its requests, numbered by ``seq``, gets one ``answer`` with the same number, or a ``refusal``. ``bye`` ends it.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeAlias, get_args

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError
from pydantic_core import from_json

VERSION = 1
MAX_BYTES = 256 * 1024
"""Longest message, bytes."""
MAX_PICTURE_BYTES = 512 * 512
"""Largest picture, one byte each pixel."""
LARGEST_BYTES = 16 * MAX_BYTES
"""A longer frame ends the connection before it fills the memory."""
MAX_ELEMENTS = 4096

BadKind: TypeAlias = Literal["malformed", "oversized", "version"]
"""What makes bytes no message of this protocol: not of its form; too long; of another version."""
RefusalKind: TypeAlias = Literal["malformed", "oversized", "version", "busy", "stranger", "out of order", "failed"]
"""Why a program refuses: bytes that are no message; it plays for another session; no hello came before; a ``seq`` not
above the last; the task itself failed."""

Seq = Annotated[int, Field(ge=1, lt=2**53)]
Name = Annotated[str, Field(min_length=1, max_length=60)]
Values = Annotated[tuple[float, ...], Field(max_length=MAX_ELEMENTS)]
Names = Annotated[tuple[Name, ...], Field(max_length=MAX_ELEMENTS)]
Events = Annotated[tuple[Name, ...], Field(max_length=32)]
Side = Annotated[int, Field(ge=1, le=512)]


class _Message(BaseModel):
    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, allow_inf_nan=False, use_attribute_docstrings=True
    )


class Hello(_Message):
    """Begins a session, or resumes one after silence."""

    type: Literal["hello"] = "hello"
    version: int = VERSION
    """Of these messages."""
    session: Annotated[str, Field(min_length=1, max_length=64)]
    """The same for every hello of one session."""
    decision_ms: float
    """What a step lasts on the rig's clock, ms."""


class _Asking(_Message):
    seq: Seq
    """Larger than that of the request before."""
    deadline_ms: float
    """An answer that takes longer is late: the last observation stands in for it, ms."""


class Reset(_Asking):
    """Asks for a new episode."""

    type: Literal["reset"] = "reset"
    seed: int | None
    """Seed of everything random from now on; null goes on with the generators as they are."""


class Step(_Asking):
    """Asks for one step."""

    type: Literal["step"] = "step"
    action: Values | int
    """Of the declared space: one number for each element of a box, or the number of a discrete action."""


class Bye(_Message):
    """Ends a session; it is not answered."""

    type: Literal["bye"] = "bye"


class BoxActions(_Message):
    """Actions are vectors; null as a bound is none."""

    low: tuple[float | None, ...] = Field(min_length=1, max_length=MAX_ELEMENTS)
    high: tuple[float | None, ...] = Field(min_length=1, max_length=MAX_ELEMENTS)


class DiscreteActions(_Message):
    """Actions are numbers from 0 to below ``n``."""

    n: int = Field(ge=1, le=MAX_ELEMENTS)


class Welcome(_Message):
    """Tells what the task is."""

    type: Literal["welcome"] = "welcome"
    version: int = VERSION
    """Of these messages."""
    actions: BoxActions | DiscreteActions
    """What a step takes."""
    action_names: Names = ()
    """One for each element of a box or each discrete action; empty where they have none."""
    observation_names: Names = Field(min_length=1)
    """One for each element of the observation."""
    events: Events = ()
    """Every event that an answer may name."""
    magnitudes: Events = ()
    """The events of which an answer also tells how large they were."""
    picture: tuple[Side, Side] | None = None
    """Height and width of the picture in the second frame of each answer, pixels; null where there is none."""


class Answer(_Message):
    """Answers a reset or a step."""

    type: Literal["answer"] = "answer"
    seq: Seq
    """That of the request."""
    observation: Values
    """As long as the names that were declared."""
    reward: float = 0.0
    terminated: bool = False
    truncated: bool = False
    events: Events = ()
    """What happened, each once."""
    magnitudes: dict[Name, float] = Field(default={}, max_length=32)
    """How large an event was, by its name."""


class Refusal(_Message):
    """Tells why there is no answer."""

    type: Literal["refusal"] = "refusal"
    seq: int = 0
    """That of the request; 0 where it has none."""
    kind: RefusalKind
    message: str = Field(max_length=1000)


Asked: TypeAlias = Hello | Reset | Step | Bye
Told: TypeAlias = Welcome | Answer | Refusal
_ASKED: TypeAdapter[Asked] = TypeAdapter(Annotated[Asked, Field(discriminator="type")])
_TOLD: TypeAdapter[Told] = TypeAdapter(Annotated[Told, Field(discriminator="type")])


class BadMessageError(Exception):
    """Bytes that are no message of this protocol."""

    def __init__(self, kind: BadKind, message: str) -> None:
        super().__init__(message)
        self.kind: BadKind = kind


def read_asked(data: bytes) -> Asked:
    """Return what a session says; raise BadMessageError, and nothing else, where the bytes are no such message."""
    asked: Asked = _read(_ASKED, data)
    return asked


def read_told(data: bytes) -> Told:
    """Return what a program says; raise BadMessageError, and nothing else, where the bytes are no such message."""
    told: Told = _read(_TOLD, data)
    return told


def _read(adapter: TypeAdapter[Any], data: bytes) -> Any:
    if len(data) > MAX_BYTES:
        raise BadMessageError("oversized", f"a message has at most {MAX_BYTES} bytes, this one {len(data)}")
    try:
        message = adapter.validate_json(data)
    except ValidationError as error:
        _require_version(data)
        detail = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, detail["loc"]))
        raise BadMessageError("malformed", f"{where}: {detail['msg']}".removeprefix(": ")) from None
    _require(getattr(message, "version", VERSION))
    return message


def _require_version(data: bytes) -> None:
    """Blame the version, where there is another one, rather than what it has brought."""
    try:
        content = from_json(data)
    except ValueError:
        return
    if isinstance(content, dict) and content.get("type") in ("hello", "welcome"):
        _require(content.get("version"))


def _require(version: object) -> None:
    if version != VERSION:
        raise BadMessageError("version", f"version {VERSION} is spoken here, not {version!r:.40}")


def message_bytes(message: Asked | Told) -> bytes:
    """Return a message as it is sent."""
    return message.model_dump_json().encode()


def schema() -> dict[str, Any]:
    """Return the JSON schema of all messages."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Wetloop remote task protocol",
        "version": VERSION,
        "max_bytes": MAX_BYTES,
        "max_picture_bytes": MAX_PICTURE_BYTES,
        "session": {name.__name__.lower(): name.model_json_schema() for name in get_args(Asked)},
        "program": {name.__name__.lower(): name.model_json_schema() for name in get_args(Told)},
    }
