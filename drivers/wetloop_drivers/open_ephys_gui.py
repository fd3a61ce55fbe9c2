"""The Open Ephys GUI's remote control over HTTP: what source and stimulator have in common."""

from __future__ import annotations

import json
import time
from http.client import HTTPConnection, HTTPException
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from wetloop.core.errors import RigError

IDLE, ACQUIRE = "IDLE", "ACQUIRE"
HTTP_PORT, DATA_PORT, FALCON_PORT = 37497, 5556, 3335
EVENTS_PORT = 5558
"""Not the plug-in's own default, 5556, which is the ZMQ Interface's as well."""
FRESH_S = 2.0
"""A connection opened ahead is used for so long, s: well before the GUI's server drops one that says nothing (5 s)."""


class GuiConfig(BaseModel):
    """Where the GUI runs."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    host: str = "127.0.0.1"
    """Name or address of the computer."""
    http_port: int = Field(HTTP_PORT, ge=1, le=65535)
    """Port of the GUI's HTTP server (File > Enable HTTP Server)."""
    timeout_s: float = Field(2.0, gt=0, le=60, allow_inf_nan=False)
    """How long the GUI may take to answer, s."""
    start_acquisition: bool = True
    """Start acquisition where the GUI is idle, and stop it at the end; otherwise an idle GUI is refused."""


class Gui:
    """Controls the GUI. Every request has a connection of its own: a request is then never repeated by mistake."""

    def __init__(self, config: GuiConfig) -> None:
        self._config, self._started = config, False
        self._ahead: HTTPConnection | None = None
        self._ahead_until_s = 0.0

    def require_acquisition(self) -> None:
        """Start acquisition, or refuse a GUI that is idle."""
        if self.mode() != IDLE:
            return
        if not self._config.start_acquisition:
            raise RigError(
                f"the Open Ephys GUI on {self._where} is idle: press its play button, or set "
                "gui.start_acquisition to true"
            )
        self._request("PUT", "/api/status", {"mode": ACQUIRE})
        self._started = True
        if (mode := self.mode()) == IDLE:
            raise RigError(
                f"the Open Ephys GUI on {self._where} was told to acquire but is {mode}: look at its message bar for "
                "what is missing in the signal chain"
            )

    def mode(self) -> str:
        """Return IDLE, ACQUIRE or RECORD."""
        answer = self._request("GET", "/api/status")
        mode = answer.get("mode") if isinstance(answer, dict) else None
        if not isinstance(mode, str):
            raise RigError(f"what answers on {self._where} is no Open Ephys GUI: check gui.http_port")
        return mode

    def broadcast(self, text: str) -> None:
        """Send a message to every processor of the signal chain."""
        self._request("PUT", "/api/message", {"text": text})

    def connect_ahead(self) -> None:
        """Open the connection of the next request, which then leaves at once; it leaves later where this fails."""
        self._drop_ahead()
        connection = self._new_connection()
        try:
            connection.connect()
        except OSError:
            return
        self._ahead, self._ahead_until_s = connection, time.monotonic() + FRESH_S

    def close(self) -> None:
        """Stop the acquisition that was started here; a GUI that is gone has stopped itself."""
        self._drop_ahead()
        if not self._started:
            return
        self._started = False
        try:
            self._request("PUT", "/api/status", {"mode": IDLE})
        except RigError:
            return

    @property
    def _where(self) -> str:
        return f"{self._config.host}:{self._config.http_port}"

    def _request(self, method: str, path: str, content: dict[str, str] | None = None) -> Any:
        body = None if content is None else json.dumps(content).encode()
        connection = self._connection()
        try:
            connection.request(method, path, body, {"Content-Type": "application/json"} if body else {})
            response = connection.getresponse()
            answer = response.read()
        except (OSError, HTTPException) as error:
            raise RigError(
                f"the Open Ephys GUI does not answer on {self._where} ({error!r}): start it, and enable its HTTP "
                "server (File > Enable HTTP Server)"
            ) from error
        finally:
            connection.close()
        if response.status != 200:
            raise RigError(f"the Open Ephys GUI on {self._where} refused {method} {path}: {response.status} {answer!r}")
        try:
            return json.loads(answer)
        except (ValueError, RecursionError):
            return None

    def _connection(self) -> HTTPConnection:
        """Return the connection opened ahead while it is fresh, else one that connects with its request."""
        if self._ahead is None or time.monotonic() > self._ahead_until_s:
            self._drop_ahead()
            return self._new_connection()
        connection, self._ahead = self._ahead, None
        return connection

    def _new_connection(self) -> HTTPConnection:
        return HTTPConnection(self._config.host, self._config.http_port, timeout=self._config.timeout_s)

    def _drop_ahead(self) -> None:
        if self._ahead is not None:
            self._ahead.close()
            self._ahead = None
