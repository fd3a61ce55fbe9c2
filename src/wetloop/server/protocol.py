"""The control protocol: what a client may ask, what the server answers, and what makes a message refused.

A message is one frame of JSON, at most MAX_BYTES long; a REQ socket's empty delimiter may stand before it. ``id``
counts up within a connection, so that a message that comes twice or late changes nothing. Every message gets one
Reply, with its ``id`` (0 where it could not be read).
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeAlias, get_args

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError
from pydantic_core import from_json

from wetloop.core.errors import WetloopError

VERSION = 1
MAX_BYTES = 64 * 1024
"""Longest message, bytes."""

Kind: TypeAlias = Literal[
    "malformed", "oversized", "version", "unknown", "out of order", "not allowed", "refused", "invalid", "internal"
]
"""Why a request changed nothing: no message of this protocol; too long; another version; a command that does not
exist; an ``id`` not above the last; not for this role; not in this state; a configuration that cannot be used; a fault
of the server."""

Who = Annotated[str, Field(min_length=1, max_length=60)]
Why = Annotated[str, Field(max_length=250)]


class RefusalError(WetloopError):
    """A request that changed nothing."""

    def __init__(self, kind: Kind, message: str, number: int = 0) -> None:
        super().__init__(message)
        self.kind, self.number = kind, number


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class Nothing(_Model):
    """A body without content."""


class Reason(_Model):
    """Why something is wanted, for the record."""

    why: Why = ""
    """In the words of who asks."""


class Play(Reason):
    """A session to play on the rig."""

    config: str | None = Field(None, max_length=4096)
    """Path on the server's machine; by default the rig's own configuration. Source and rig must be the rig's."""
    overrides: tuple[Annotated[str, Field(max_length=4096)], ...] = Field((), max_length=200)
    """Values that replace the file's, each ``a.b=value``."""


BODIES: dict[str, type[_Model]] = {
    "status": Nothing, "info": Nothing, "start": Play, "pause": Reason, "resume": Reason, "stop": Reason,
    "stop_now": Reason, "arm": Reason, "disarm": Reason, "queue_add": Play, "queue_list": Nothing,
    "queue_clear": Reason, "queue_resume": Reason, "shutdown": Reason,
}  # fmt: skip
"""The commands, and what each takes."""
VIEW = ("status", "info", "queue_list")
"""Commands that change nothing, allowed to every role."""


class Request(_Model):
    """What a client sends."""

    model_config = ConfigDict(strict=True)

    version: Literal[1]
    """Of the protocol."""
    id: int = Field(ge=1, lt=2**53)
    """Larger than that of the request before, on this connection."""
    who: Who
    """Who asks, for the record; with keys, the role stands before it."""
    command: str = Field(max_length=64)
    """One of the commands."""
    body: dict[str, JsonValue] = {}
    """What the command takes."""


class Fault(_Model):
    """Why a request was refused."""

    kind: Kind
    message: str


class Reply(_Model):
    """What the server answers: ``body`` where the command was carried out, else ``error``."""

    version: Literal[1] = 1
    id: int
    """That of the request; 0 where it could not be read."""
    ok: bool
    body: dict[str, JsonValue] | None = None
    error: Fault | None = None


def read_request(data: bytes) -> tuple[Request, _Model]:
    """Return a request and its body.

    Raises
    ------
    RefusalError
        Where the bytes are no request; whatever they are, nothing else is raised.
    """
    if len(data) > MAX_BYTES:
        raise RefusalError("oversized", f"a message has at most {MAX_BYTES} bytes, this one {len(data)}")
    content = _mapping(data)
    number = content.get("id")
    number = number if type(number) is int and 0 < number < 2**53 else 0
    version = content.get("version")
    if type(version) is not int or version != VERSION:
        raise RefusalError("version", f"version {VERSION} is spoken here, not {version!r:.40}", number)
    try:
        request = Request.model_validate(content)
        if request.command not in BODIES:
            known = ", ".join(BODIES)
            raise RefusalError("unknown", f"there is no command {request.command!r}; there are {known}", number)
        return request, BODIES[request.command].model_validate(request.body)
    except ValidationError as error:
        raise RefusalError("malformed", _first_fault(error), number) from None


def _mapping(data: bytes) -> dict[str, Any]:
    try:
        content = from_json(data, allow_inf_nan=False)
    except ValueError as error:
        raise RefusalError("malformed", f"not JSON: {error}") from None
    if not isinstance(content, dict):
        raise RefusalError("malformed", "a message is one JSON object")
    return content


def _first_fault(error: ValidationError) -> str:
    detail = error.errors(include_url=False, include_input=False)[0]
    where = ".".join(map(str, detail["loc"]))
    return f"{where}: {detail['msg']}"


def reply_bytes(number: int, body: dict[str, Any]) -> bytes:
    """Return the reply to a request that was carried out."""
    return Reply(id=number, ok=True, body=body).model_dump_json().encode()


def refusal_bytes(refusal: RefusalError) -> bytes:
    """Return the reply to a request that was refused."""
    fault = Fault(kind=refusal.kind, message=str(refusal))
    return Reply(id=refusal.number, ok=False, error=fault).model_dump_json().encode()


def schema() -> dict[str, Any]:
    """Return the JSON schema of requests and replies."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Wetloop control protocol",
        "version": VERSION,
        "max_bytes": MAX_BYTES,
        "request": Request.model_json_schema(),
        "bodies": {command: body.model_json_schema() for command, body in BODIES.items()},
        "view_commands": list(VIEW),
        "error_kinds": list(get_args(Kind)),
        "reply": Reply.model_json_schema(),
    }
