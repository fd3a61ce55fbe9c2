"""``wetloop view``: a running session or a recording as a web page, or on the terminal."""

import ipaddress
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from wetloop.live.feed import Feed

NICE = 10
EXPOSED = (
    "wetloop: the page can be read by everyone who reaches {host}, and the token travels unencrypted: "
    "use this on a trusted network only"
)


def view(
    file: Annotated[
        Path | None, typer.Argument(help="A recording to play; by default the session that runs, and then the next.")
    ] = None,
    *,
    session: Annotated[
        str | None, typer.Option(metavar="ID", help="Where several sessions run: the identifier of one.")
    ] = None,
    host: Annotated[str, typer.Option(help="Address to serve the page on; others than 127.0.0.1 are reachable.")] = (
        "127.0.0.1"
    ),
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to serve the page on; 0 for any.")] = 8050,
    browser: Annotated[bool, typer.Option("--browser/--no-browser", help="Open the page in a browser.")] = True,
    terminal: Annotated[bool, typer.Option("--terminal", help="Show it on this terminal; no page.")] = False,
) -> None:
    """Watch a session while it runs, or a recording.

    The page shows spikes, pulses, the game, its score and the loop's timing; it disturbs nothing. Its address ends in a
    token; with it the page can also stop the stimulation. Ctrl-C ends the view, never the session.
    """
    feed = _feed(file, session)
    os.setpriority(os.PRIO_PROCESS, 0, max(NICE, os.getpriority(os.PRIO_PROCESS, 0)))
    try:
        if terminal:
            from wetloop.live.terminal import show

            show(feed)
        else:
            _serve(feed, host, port, browser=browser)
    finally:
        feed.close()


def _feed(file: Path | None, session: str | None) -> "Feed":
    if file is not None:
        from wetloop.live.replay_feed import ReplayFeed

        return ReplayFeed(file)
    from wetloop.live.arena_feed import LatestSession

    return LatestSession(session)


def _serve(feed: "Feed", host: str, port: int, *, browser: bool) -> None:
    import webbrowser

    from wetloop.live.gate import new_token
    from wetloop.live.web import Address, serve

    if not _is_loopback(host):
        typer.echo(EXPOSED.format(host=host), err=True)

    def ready(url: str) -> None:
        typer.echo(url)
        if browser:
            webbrowser.open(url)

    serve(feed, Address(host, port), new_token(), ready)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
