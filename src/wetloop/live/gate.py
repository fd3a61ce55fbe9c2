"""Who may come in: the Host and Origin of every request, and what a page may do.

A name that some other site makes point at this machine (DNS rebinding) arrives in ``Host``; another site's page arrives
in ``Origin``. Both are refused. Numbers cannot be made to point elsewhere.
"""

from __future__ import annotations

import ipaddress
import secrets
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.websockets import WebSocketClose

if TYPE_CHECKING:
    from collections.abc import Collection

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}
REFUSED = 1008
TOKEN_BYTES = 16


def new_token() -> str:
    """Return what is needed to control anything, 128 random bits as text."""
    return secrets.token_urlsafe(TOKEN_BYTES)


class Gate:
    """Refuses requests by name or from another site, and adds headers to every answer.

    Parameters
    ----------
    app
        What stands behind.
    names
        Host names that are this machine's, beside every IP address.
    """

    def __init__(self, app: ASGIApp, names: Collection[str]) -> None:
        self._app, self._names = app, {name.lower() for name in names}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let it pass, or refuse."""
        if scope["type"] == "lifespan" or self._admits(Headers(scope=scope)):
            await self._app(scope, receive, _with_headers(send))
        elif scope["type"] == "websocket":
            await WebSocketClose(REFUSED)(scope, receive, send)
        else:
            refusal = PlainTextResponse("Refused: open the page by the address that wetloop view printed.\n", 403)
            await refusal(scope, receive, _with_headers(send))

    def _admits(self, headers: Headers) -> bool:
        host, origin = headers.get("host", ""), headers.get("origin")
        return self._is_ours(host) and (origin is None or origin.lower() == f"http://{host.lower()}")

    def _is_ours(self, host: str) -> bool:
        try:
            name = urlsplit(f"//{host}").hostname or ""
        except ValueError:
            return False
        return name in self._names or _is_address(name)


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _with_headers(send: Send) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            MutableHeaders(scope=message).update(HEADERS)
        await send(message)

    return sending
