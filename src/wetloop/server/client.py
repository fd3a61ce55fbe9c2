"""A Python client of a rig's server; the command line uses it too."""

from __future__ import annotations

import getpass
import itertools
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import zmq

from wetloop.core.errors import ServerError
from wetloop.net.keys import key_pair, public_key
from wetloop.net.waiting import received
from wetloop.server.protocol import VERSION

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from wetloop.net.keys import Role

TIMEOUT_S = 5.0


class Client:
    """Talks to a server; a context, at whose end the connection is closed.

    Parameters
    ----------
    address
        The server's control address.
    who
        Who asks, for the record; by default the name of this machine's user.
    keys
        Folder with the server's public key and the pair of ``role``; None for a server without keys.
    role
        Whose pair is used.
    timeout_s
        How long to wait for an answer, s.
    """

    def __init__(
        self,
        address: str = "tcp://127.0.0.1:5601",
        *,
        who: str | None = None,
        keys: str | Path | None = None,
        role: Role = "control",
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        self._address, self._who = address, who or getpass.getuser()
        self._keys, self._role, self._timeout_s = None if keys is None else Path(keys), role, timeout_s
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._numbers = itertools.count(1)
        try:
            self._socket = self._connected(zmq.DEALER, address)
        except BaseException:
            self._context.destroy(linger=0)
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self._context.destroy(linger=0)

    def status(self) -> dict[str, Any]:
        """Return how things stand: state, who made it and why, the session, the last one, how many are queued."""
        return self.request("status")

    def info(self) -> dict[str, Any]:
        """Return rig, addresses, topics and number of channels."""
        return self.request("info")

    def start(self, config: str | None = None, overrides: Sequence[str] = (), why: str = "") -> dict[str, Any]:
        """Start a session.

        Parameters
        ----------
        config
            Path on the server's machine; by default the rig's own configuration.
        overrides
            Values that replace the file's, each ``a.b=value``.
        why
            For the record.
        """
        return self.request("start", config=config, overrides=list(overrides), why=why)

    def pause(self, why: str = "") -> dict[str, Any]:
        """Stop stimulating and hold the task; the recording goes on."""
        return self.request("pause", why=why)

    def resume(self, why: str = "") -> dict[str, Any]:
        """Go on after a pause."""
        return self.request("resume", why=why)

    def stop(self, why: str = "") -> dict[str, Any]:
        """End the session with a complete file."""
        return self.request("stop", why=why)

    def stop_now(self, why: str = "") -> dict[str, Any]:
        """Silence the rig at once; ``silent_s`` tells how long that took, null where the rig did not confirm it."""
        return self.request("stop_now", why=why)

    def arm(self, why: str = "") -> dict[str, Any]:
        """Allow sessions, after a trip too."""
        return self.request("arm", why=why)

    def disarm(self, why: str = "") -> dict[str, Any]:
        """Allow no session."""
        return self.request("disarm", why=why)

    def queue_add(self, config: str | None = None, overrides: Sequence[str] = (), why: str = "") -> dict[str, Any]:
        """Play this after everything else; return the queue."""
        return self.request("queue_add", config=config, overrides=list(overrides), why=why)

    def queue_list(self) -> dict[str, Any]:
        """Return the queue."""
        return self.request("queue_list")

    def queue_resume(self, why: str = "") -> dict[str, Any]:
        """Go on with a queue that the server found when it started; until then it is held."""
        return self.request("queue_resume", why=why)

    def queue_clear(self, why: str = "") -> dict[str, Any]:
        """Empty the queue."""
        return self.request("queue_clear", why=why)

    def shutdown(self, why: str = "") -> dict[str, Any]:
        """End the session, then the server."""
        return self.request("shutdown", why=why)

    def request(self, command: str, **body: Any) -> dict[str, Any]:
        """Send any command and return the answer's body.

        Raises
        ------
        ServerError
            Where the server refuses, with its ``kind``, or does not answer.
        """
        number = next(self._numbers)
        message = {"version": VERSION, "id": number, "who": self._who, "command": command, "body": body}
        self._socket.send(json.dumps(message).encode())
        while True:
            if not self._socket.poll(round(self._timeout_s * 1000)):
                raise ServerError(
                    f"{self._address} does not answer within {self._timeout_s:g} s: does the server run (wetloop "
                    "serve), and are the keys the ones that it knows?", "silent",
                )  # fmt: skip
            reply = json.loads(self._socket.recv())
            if reply["id"] in {number, 0}:
                break
        if not reply["ok"]:
            raise ServerError(reply["error"]["message"], reply["error"]["kind"])
        return dict(reply["body"])

    def listen(self, *topics: str) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield telemetry as (topic, content), without end; see ``wetloop.server.telemetry`` for the topics."""
        port = self.info()["telemetry"].rpartition(":")[2]
        socket = self._connected(zmq.SUB, f"{self._address.rpartition(':')[0]}:{port}")
        try:
            for topic in topics or ("",):
                socket.subscribe(topic)
            while True:
                topic_bytes, content = received(socket)
                yield topic_bytes.decode(), json.loads(content)
        finally:
            socket.close(linger=0)

    def _connected(self, kind: int, address: str) -> zmq.Socket[bytes]:
        socket = self._context.socket(kind)
        if self._keys is not None:
            socket.curve_serverkey = public_key(self._keys, "server")
            socket.curve_publickey, socket.curve_secretkey = key_pair(self._keys, self._role)
        socket.connect(address)
        return socket
