"""RHX's command port: commands that succeed in silence, questions one at a time, and complaints that come unasked."""

from __future__ import annotations

import select
import threading
import time
from typing import TYPE_CHECKING

from wetloop.core.errors import RigError
from wetloop_drivers.intan_rhx_wire import Reply, parse_reply, same_value
from wetloop_drivers.links import connect, drop

if TYPE_CHECKING:
    import socket
    from collections.abc import Mapping

QUIET_S = 0.004
"""A reply has no end: it is over when nothing more has come for so long."""
LOOK_S = 0.1
ANSWER_S = 3.0
UPLOAD_S = 10.0
COMPLAINT_S = 0.3
"""A complaint in place of an answer: nothing more has come for so long."""


class Console:
    """A connection to the command port. Commands may be told from any thread; each is sent as a whole."""

    def __init__(self, host: str, port: int) -> None:
        self._where = f"{host}:{port}"
        self._link: socket.socket = connect(host, port, "RHX (menu Network, Remote TCP Control, Connect)")
        self._link.settimeout(1.0)
        self._lock = threading.Lock()

    def close(self) -> None:
        """Hang up; what RHX has not got yet, it never gets."""
        drop(self._link)

    def tell(self, commands: bytes) -> None:
        """Send commands, each ended by a semicolon, and do not wait; what RHX said of earlier ones is raised."""
        with self._lock:
            self._refuse(self._heard(0.0).decode("latin-1"))
            self._send(commands)

    def order(self, *commands: str) -> None:
        """Send commands and make sure that RHX has taken them all."""
        self.tell("".join(f"{command};" for command in commands).encode())
        self.get("RunMode")

    def get(self, parameter: str) -> str:
        """Ask for a value.

        Raises
        ------
        RigError
            With what RHX says instead, or where it does not answer.
        """
        with self._lock:
            self._refuse(self._heard(0.0).decode("latin-1"))
            self._send(f"get {parameter};".encode())
            reply = self._answer(parameter)
        self._refuse(reply.complaints)
        if reply.value is None:
            raise RigError(f"RHX at {self._where} does not answer 'get {parameter}' within {ANSWER_S:g} s: is it busy?")
        return reply.value

    def assign(self, values: Mapping[str, str]) -> None:
        """Set parameters and read them back: RHX corrects or ignores values in silence."""
        self.order(*(f"set {name} {value}" for name, value in values.items()))
        for name, value in values.items():
            told = self.get(name)
            if not same_value(told, value):
                raise RigError(f"RHX at {self._where} was told to set {name} to {value}, but it says {told}")

    def upload(self) -> None:
        """Have all stimulation parameters loaded into the controller, and wait until they are."""
        self.order("execute uploadstimparameters")
        end_s = time.monotonic() + UPLOAD_S
        while self.get("UploadInProgress").lower() == "true":
            if time.monotonic() > end_s:
                raise RigError(f"RHX at {self._where} has been loading for {UPLOAD_S:g} s: restart it")

    def _answer(self, parameter: str) -> Reply:
        """Read until there is a value and nothing more comes, or a complaint and nothing more comes."""
        text, end_s = "", time.monotonic() + ANSWER_S
        reply = Reply("", None)
        while time.monotonic() < end_s:
            wait_s = QUIET_S if reply.value is not None else COMPLAINT_S if text else LOOK_S
            heard = self._heard(wait_s)
            if not heard and text:
                break
            text += heard.decode("latin-1")
            reply = parse_reply(text, parameter)
        return reply

    def _heard(self, wait_s: float) -> bytes:
        """Return what has come, if anything comes within this time."""
        try:
            if not select.select([self._link], [], [], wait_s)[0]:
                return b""
            heard = self._link.recv(1 << 16)
        except (OSError, ValueError) as error:
            raise RigError(f"the connection to RHX at {self._where} is lost ({error})") from error
        if not heard:
            raise RigError(f"RHX at {self._where} has closed the connection")
        return heard

    def _send(self, commands: bytes) -> None:
        try:
            self._link.sendall(commands)
        except OSError as error:
            raise RigError(f"the connection to RHX at {self._where} is lost ({error})") from error

    def _refuse(self, complaints: str) -> None:
        if complaints:
            raise RigError(f"RHX at {self._where} says: {complaints}")
