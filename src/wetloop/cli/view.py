"""``wetloop view``: a running session or a recording as a web page, or on the terminal."""

import ipaddress
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Mapping

    from wetloop.live.facts import Facts
    from wetloop.live.feed import Feed

EXPOSED = (
    "wetloop: the page can be read by everyone who reaches {host}, and the token travels unencrypted: "
    "use this on a trusted network only"
)


def view(  # noqa: PLR0913  (typer: one parameter per option)
    file: Annotated[
        Path | None, typer.Argument(help="A recording to play; by default the session that runs, and then the next.")
    ] = None,
    *,
    session: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Where several sessions run: one of --list, or how its name begins."),
    ] = None,
    listed: Annotated[bool, typer.Option("--list", help="List the sessions that run, and end.")] = False,
    host: Annotated[str, typer.Option(help="Address to serve the page on; others than 127.0.0.1 are reachable.")] = (
        "127.0.0.1"
    ),
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to serve the page on; 0 for any.")] = 8050,
    browser: Annotated[bool, typer.Option("--browser/--no-browser", help="Open the page in a browser.")] = True,
    terminal: Annotated[bool, typer.Option("--terminal", help="Show it on this terminal; no page.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print the list as one JSON object.")] = False,
    note: Annotated[Path | None, typer.Option(hidden=True)] = None,
) -> None:
    """Watch a session while it runs, or a recording.

    The page shows spikes, pulses, the game, its score and the loop's timing; it disturbs nothing. Its address ends in a
    token; with it the page can also stop the stimulation. Ctrl-C ends the view, never the session.
    """
    if listed:
        _list(json=json)
        return
    feed = _feed(file, session, note)
    try:
        if terminal:
            from wetloop.engine.host import obtain
            from wetloop.live.terminal import show

            obtain("viewer")
            show(feed)
        else:
            _serve(feed, host, port, browser=browser)
    finally:
        feed.close()


def _list(*, json: bool) -> None:
    from wetloop.cli.output import echo_json
    from wetloop.live.arena_feed import running

    sessions = running()
    if json:
        echo_json({"sessions": [{"name": name, "file": facts.file} for name, facts in sessions.items()]})
        return
    typer.echo(_told(sessions) or "no session is running on this computer")


def _told(sessions: "Mapping[str, Facts]") -> str:
    return "\n".join(f"{name}  {facts.header['description']}  {facts.file}" for name, facts in sessions.items())


def _feed(file: Path | None, session: str | None, note: Path | None) -> "Feed":
    if file is not None:
        from wetloop.live.replay_feed import ReplayFeed

        return ReplayFeed(file)
    from wetloop.live.arena_feed import LatestSession

    if note is not None:
        from wetloop.engine.host import die_with_parent

        die_with_parent(signal.SIGTERM)
    return LatestSession(None if note is not None else _chosen(session), note)


def _chosen(session: str | None) -> str | None:
    """Return the name of the session that is meant; None where none runs yet."""
    from wetloop.core.errors import ConfigError, RigError
    from wetloop.live.arena_feed import running

    sessions = running()
    meant = {name: facts for name, facts in sessions.items() if name.startswith(session or "")}
    if len(meant) > 1:
        raise ConfigError(f"several sessions run: choose one with --session NAME\n{_told(meant)}")
    if session is not None and not meant:
        raise RigError(f"no session called {session} is running; {_told(sessions) or 'none is'}")
    return next(iter(meant)) if session is not None else None


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
