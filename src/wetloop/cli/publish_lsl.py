"""``wetloop publish-lsl``: spikes, pulses and decisions of a running session as LSL streams."""

from typing import Annotated

import typer


def publish_lsl(
    *,
    session: Annotated[
        str | None, typer.Option(metavar="NAME", help="Follow only this session (wetloop view --list).")
    ] = None,
    prefix: Annotated[str, typer.Option(help="Streams are called PREFIX-spikes, -pulses and -decisions.")] = "wetloop",
) -> None:
    """Publish what a session does on the Lab Streaming Layer, for other recorders.

    Follows the session that runs, and then the next; it disturbs nothing. Ctrl-C ends the streams, never the session.
    """
    import contextlib
    import threading

    from wetloop.core.extras import from_extra
    from wetloop.engine.host import obtain
    from wetloop.live.arena_feed import LatestSession
    from wetloop.live.lsl_outlets import publish

    from_extra("pylsl", "lsl")
    obtain("viewer")
    feed = LatestSession(session)
    typer.echo(f"publishing as {prefix}-spikes, {prefix}-pulses, {prefix}-decisions; Ctrl-C ends", err=True)
    with contextlib.closing(feed), contextlib.suppress(KeyboardInterrupt):
        publish(feed, prefix, threading.Event())
