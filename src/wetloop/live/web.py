"""The page: a session or a recording in a browser, served by a process that nobody waits for."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import secrets
import socket
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from starlette.applications import Starlette
from starlette.routing import Mount, WebSocketRoute
from starlette.staticfiles import StaticFiles
from starlette.websockets import WebSocketDisconnect

from wetloop.core.errors import ConfigError, WetloopError
from wetloop.engine.emergency import stop_now
from wetloop.engine.host import obtain
from wetloop.live import messages
from wetloop.live.board import Board
from wetloop.live.gate import Gate
from wetloop.live.hub import Hub
from wetloop.live.replay_feed import ReplayFeed

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from starlette.websockets import WebSocket

    from wetloop.live.feed import Feed

T = TypeVar("T")
STATIC = Path(__file__).parent / "static"
PERIOD_S, PICTURES_S, IDLE_S = 0.1, 0.05, 1.0
"""From one batch to the next: pages interpolate numbers, but not pictures; without a page, only counts are kept."""
FIGURES_EVERY = 5
"""Batches from one telling of the figures to the next."""
MOST_PAGES = 32
MOST_BYTES = 2048
"""A message from a page is a short command."""
TRY_LATER = 1013
NO_TOKEN = "view only: open the page by the whole address that wetloop view printed, which ends in a token"  # noqa: S105
CANNOT = "a running session cannot be paused or moved from here"


class Address(NamedTuple):
    """Where the page is served, as the user gave it; port 0 is any that is free."""

    host: str
    port: int


class Viewer:
    """One feed, shown on any number of pages.

    Whatever touches the feed or the board happens in one thread beside the loop that serves the pages: finding a
    session may take seconds (kernels are loaded), reading a file too. That thread gives way to everybody; the loop does
    not, for STOP comes through it.

    Parameters
    ----------
    feed
        What is shown; all pages show the same moment of it.
    token
        What a page must send along to stop the stimulation, or to steer a replay.
    """

    def __init__(self, feed: Feed, token: str) -> None:
        self._feed, self._token, self._hub = feed, token, Hub()
        self._aside = ThreadPoolExecutor(1, "feed", obtain, ("viewer",))
        self._board: Board | None = None
        self._pages = self._session = self._steps = 0
        self._hurry = False
        self._arrived = asyncio.Event()

    @contextlib.asynccontextmanager
    async def lifespan(self, _app: Starlette) -> AsyncIterator[None]:
        """Follow the feed as long as the page is served."""
        task = asyncio.create_task(self._follow())
        try:
            yield
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
            self._aside.shutdown()

    async def _follow(self) -> None:
        clock = asyncio.get_running_loop().time
        due_s = clock()
        while True:
            for text in await self._apart(self._step):
                self._hub.publish(text)
            due_s = max(due_s + self._period_s(), clock())
            await (asyncio.sleep(due_s - clock()) if self._pages else self._idle(due_s - clock()))

    def _period_s(self) -> float:
        if not self._pages:
            return IDLE_S
        pictured = self._board is not None and self._board.facts.pictured
        return PICTURES_S if pictured else PERIOD_S

    async def _idle(self, seconds: float) -> None:
        """Wait for the first page, but not for long."""
        self._arrived.clear()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._arrived.wait(), seconds)

    async def _apart(self, work: Callable[..., T], *arguments: Any) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._aside, work, *arguments)

    def _step(self) -> list[str]:
        """Take what is new from the feed, and return what the pages are told; a replay waits for the first one."""
        if isinstance(self._feed, ReplayFeed) and not self._pages:
            return []
        batch, self._steps = self._feed.take(), self._steps + 1
        told = [self._text(self._facts())] if self._another() else []
        if self._board is not None and batch is not None:
            self._board.add(batch)
            told += [self._text(messages.news(self._board, batch))] if self._pages else []
        if self._pages and (self._hurry or not self._steps % FIGURES_EVERY):
            told.append(self._text(self._figures()))
            self._hurry = False
        return told

    def _another(self) -> bool:
        """Begin a new board where the feed shows another session than before."""
        facts = self._feed.facts
        if facts is None or (self._board is not None and facts is self._board.facts):
            return False
        self._board = Board(facts)
        self._session += 1
        return True

    def _text(self, message: dict[str, Any]) -> str:
        return messages.text(message | {"session": self._session, "step": self._steps})

    def _facts(self) -> dict[str, Any]:
        return (
            {"is": "none"}
            if self._board is None
            else messages.facts_message(self._board.facts)
            | {"period_s": PICTURES_S if self._board.facts.pictured else PERIOD_S}
        )

    def _figures(self) -> dict[str, Any]:
        health, feed = self._feed.health(), self._feed
        if self._board is None:
            return {"is": "waiting", "state": health.state}
        told = messages.figures(self._board, health)
        if isinstance(feed, ReplayFeed):
            told |= {"speed": feed.speed, "paused": feed.paused}
        return told | {"pages": self._pages, "nice": os.getpriority(os.PRIO_PROCESS, 0)}

    def _greeting(self) -> list[str]:
        """Return what a page is told that has just come; texts of this step and of earlier ones are then old."""
        told = [self._facts(), self._figures()]
        if self._board is not None and self._board.recent:
            told.insert(1, messages.past(self._board))
        return [self._text(message) for message in told]

    async def serve_page(self, page: WebSocket) -> None:
        """Tell one page everything until it goes, and do what it asks for."""
        await page.accept()
        if self._pages >= MOST_PAGES:
            await page.close(TRY_LATER)
            return
        self._pages += 1
        self._arrived.set()
        telling = asyncio.create_task(self._tell(page))
        try:
            async for request in page.iter_text():
                await page.send_text(self._text({"is": "reply", "text": await self._answer(request, page)}))
        except (WebSocketDisconnect, RuntimeError):
            return
        finally:
            self._pages -= 1
            telling.cancel()
            with contextlib.suppress(asyncio.CancelledError, WebSocketDisconnect, RuntimeError):
                await telling

    async def _tell(self, page: WebSocket) -> None:
        texts = self._hub.texts()
        for text in await self._apart(self._greeting):
            await page.send_text(text)
        async for text in texts:
            await page.send_text(text)

    async def _answer(self, request: str, page: WebSocket) -> str:
        """Do what a page asks for, and say what was done or why not."""
        try:
            asked = json.loads(request)
            given, what = str(asked["token"]), str(asked["do"])
        except (ValueError, TypeError, KeyError):
            return "not understood"
        if not secrets.compare_digest(given.encode(), self._token.encode()):
            return NO_TOKEN
        try:
            return await self._do(what, asked.get("value"), page.client.host if page.client else "unknown")
        except (WetloopError, ValueError, TypeError) as error:
            return f"not done: {error}"

    async def _do(self, what: str, value: Any, who: str) -> str:
        feed = self._feed
        if what == "stop":
            if not feed.arena_name:
                return "nothing to stop: this is a recording, or no session runs"
            took_s = await asyncio.to_thread(stop_now, feed.arena_name, f"live view, {who}")
            return f"stimulation is off ({took_s * 1000:.1f} ms)"
        if not isinstance(feed, ReplayFeed):
            return CANNOT
        return await self._apart(self._steer, feed, what, value)

    def _steer(self, feed: ReplayFeed, what: str, value: Any) -> str:
        if what == "pause":
            feed.pause(paused=bool(value))
        elif what == "seek":
            feed.seek(float(value))
        elif what == "speed":
            feed.set_speed(float(value))
        else:
            return "not understood"
        self._hurry = True
        return ""


def application(viewer: Viewer, names: set[str]) -> Gate:
    """Return the page and its socket behind the gate."""
    routes = [
        WebSocketRoute("/socket", viewer.serve_page),
        Mount("/", StaticFiles(directory=STATIC, html=True)),
    ]
    return Gate(Starlette(routes=routes, lifespan=viewer.lifespan), names)


def serve(feed: Feed, address: Address, token: str, on_ready: Callable[[str], None]) -> None:
    """Serve the page until interrupted.

    Parameters
    ----------
    feed
        What is shown.
    address
        Where.
    token
        What it takes to control anything.
    on_ready
        Called with the page's address, token included, when it can be opened.
    """
    import uvicorn

    names = {"localhost", address.host, socket.gethostname()}
    listening = _listen(address)
    config = uvicorn.Config(
        application(Viewer(feed, token), names),
        log_level="error",
        ws="websockets-sansio",
        ws_max_size=MOST_BYTES,
        ws_per_message_deflate=False,
        timeout_graceful_shutdown=1,
        server_header=False,
    )
    shown = f"[{address.host}]" if ":" in address.host else address.host
    on_ready(f"http://{shown}:{listening.getsockname()[1]}/#{token}")
    with listening, contextlib.suppress(KeyboardInterrupt):
        uvicorn.Server(config).run(sockets=[listening])


def _listen(address: Address) -> socket.socket:
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind(tuple(address))
    except OSError as error:
        listening.close()
        raise ConfigError(
            f"the page cannot be served on {address.host}, port {address.port}: {error.strerror}; choose another --port"
        ) from None
    listening.listen()
    return listening
