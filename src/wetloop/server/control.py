"""The control socket: reads requests, sees who may ask what, and answers each exactly once."""

from __future__ import annotations

import logging
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

import zmq

from wetloop.core.errors import WetloopError
from wetloop.server.protocol import VIEW, Play, Reason, RefusalError, read_request, refusal_bytes, reply_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pydantic import BaseModel

    from wetloop.net.keys import Role
    from wetloop.server.keeper import Keeper
    from wetloop.server.protocol import Request

LOG = logging.getLogger("wetloop.server")
CONNECTIONS = 1024
"""Connections whose last number is remembered."""


class Desk:
    """Answers requests about one rig.

    Parameters
    ----------
    keeper
        Carries them out.
    socket
        A bound ROUTER.
    roles
        Role of each key; None where no keys are asked for, which makes everybody who reaches the socket an operator.
    info
        What ``info`` tells.
    """

    def __init__(
        self, keeper: Keeper, socket: zmq.Socket[bytes], roles: Mapping[str, Role] | None, info: dict[str, Any]
    ) -> None:
        self._keeper, self._socket, self._roles, self._info = keeper, socket, roles, info
        self._numbers: OrderedDict[bytes, int] = OrderedDict()
        self.closing = False

    def serve(self) -> None:
        """Answer everything that waits."""
        while True:
            try:
                frames = self._socket.recv_multipart(zmq.NOBLOCK, copy=False)
            except zmq.Again:
                return
            envelope = [frame.bytes for frame in frames[:2] if frame is frames[0] or not len(frame.bytes)]
            answer = self._answer(frames[0].bytes, frames[len(envelope) :])
            self._socket.send_multipart([*envelope, answer], zmq.NOBLOCK)

    def _answer(self, connection: bytes, frames: list[zmq.Frame]) -> bytes:
        number = 0
        try:
            request, body = read_request(_only(frames).bytes)
            number = request.id
            self._require_order(connection, number)
            who = self._author(frames[0], request)
            return reply_bytes(number, self._carry_out(request.command, who, body))
        except RefusalError as refusal:
            refusal.number = refusal.number or number
            LOG.info("refused", extra={"kind": refusal.kind, "reason": str(refusal)})
            return refusal_bytes(refusal)
        except WetloopError as error:
            return refusal_bytes(RefusalError("internal", str(error), number))
        except Exception as error:
            LOG.exception("request failed")
            return refusal_bytes(RefusalError("internal", f"{type(error).__name__}: {error}", number))

    def _author(self, frame: zmq.Frame, request: Request) -> str:
        """Return who asks, with the role of the key; refuse what the role may not do."""
        if self._roles is None:
            return request.who
        role = self._roles[str(frame.get("User-Id"))]
        if role == "view" and request.command not in VIEW:
            raise RefusalError("not allowed", f"{request.command} needs the control key; this is the view key")
        return f"{role}: {request.who}"

    def _require_order(self, connection: bytes, number: int) -> None:
        last = self._numbers.pop(connection, 0)
        self._numbers[connection] = max(last, number)
        while len(self._numbers) > CONNECTIONS:
            self._numbers.popitem(last=False)
        if number <= last:
            raise RefusalError("out of order", f"id {number} comes after id {last}", number)

    def _carry_out(self, command: str, who: str, body: BaseModel) -> dict[str, Any]:
        if isinstance(body, Play):
            return self._keeper.start(who, body) if command == "start" else self._keeper.queue_add(who, body)
        if isinstance(body, Reason):
            return self._with_reason()[command](who, body.why)
        asked: dict[str, Callable[[], dict[str, Any]]] = {
            "status": self._keeper.status, "info": lambda: self._info, "queue_list": self._keeper.queue_list,
        }  # fmt: skip
        return asked[command]()

    def _with_reason(self) -> dict[str, Callable[[str, str], dict[str, Any]]]:
        keeper = self._keeper
        return {
            "pause": keeper.pause, "resume": keeper.resume, "stop": keeper.stop, "stop_now": keeper.stop_now,
            "arm": keeper.arm, "disarm": keeper.disarm, "queue_clear": keeper.queue_clear,
            "queue_resume": keeper.queue_resume, "shutdown": self._shut_down,
        }  # fmt: skip

    def _shut_down(self, who: str, why: str) -> dict[str, Any]:
        LOG.info("shutting down", extra={"who": who, "why": why})
        self.closing = True
        return {"closing": True}


def _only(frames: list[zmq.Frame]) -> zmq.Frame:
    if len(frames) != 1:
        raise RefusalError("malformed", f"a message is one frame, not {len(frames)}")
    return frames[0]
