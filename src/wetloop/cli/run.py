"""``wetloop run``: one session, or with ``--dry-run`` what it would do."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

if TYPE_CHECKING:
    from wetloop.config import SessionConfig
    from wetloop.stages import Stage

RECORDED = ("spikes", "pulses", "blocks", "decisions", "frames")
EXIT_CODES = {"interrupted": 130, "stopped": 130, "tripped": 4}


def run(  # noqa: PLR0913  (typer: one parameter per option)
    config: Annotated[Path, typer.Argument(help="Configuration file (YAML); wetloop new-config writes one.")],
    *,
    overrides: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Replace a value, such as task.paddle=0.4; may be repeated."),
    ] = None,
    duration: Annotated[
        str | None, typer.Option(metavar="TIME", help="Length of the session, such as 90s, 20min or 1h.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of everything random.")] = None,
    condition: Annotated[
        str | None, typer.Option(metavar="NAME", help="Experimental arm, such as stimulus, silent or rest.")
    ] = None,
    accelerated: Annotated[
        bool, typer.Option("--accelerated", help="As fast as the simulation goes, not in real time.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would be done; stimulate and write nothing.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print the result as one JSON object.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress on stderr.")] = False,
) -> None:
    """Run a session; it ends with a summary and the recording's name.

    Ctrl-C ends it early with stimulation off and a complete file; twice, at once. SIGTERM silences the rig first.
    """
    from wetloop.config import load_config

    given = {"duration": duration, "seed": seed, "condition": condition}
    own = [f"{name}={value}" for name, value in given.items() if value is not None]
    settings = load_config(config, [*(overrides or ()), *own])
    if dry_run:
        from wetloop.cli.dry_run import rehearse

        rehearse(settings, json=json)
    else:
        _session(settings, accelerated=accelerated, json=json, quiet=quiet)


def _session(settings: "SessionConfig", *, accelerated: bool, json: bool, quiet: bool) -> NoReturn:
    from wetloop.cli.output import echo_json, show
    from wetloop.cli.progress import progress_view
    from wetloop.cli.render import summary_view
    from wetloop.core.errors import RecordingError
    from wetloop.engine.signals import stop_on_signal
    from wetloop.session import run_session

    with stop_on_signal() as stop, progress_view(settings.duration, quiet=quiet) as report:

        def on_stage(stage: "Stage") -> None:
            if stage.shared is not None:
                stop.attach(stage.shared.control)

        summary = run_session(settings, accelerated=accelerated, on_progress=report, stop=stop, on_stage=on_stage)
    result = summary.to_dict()
    if json:
        echo_json(result)
    else:
        show(*summary_view(result))
    if summary.recording_shortfall:
        raise RecordingError(f"{summary.file}: {summary.recording_shortfall}")
    lost = ", ".join(f"{n} {name}" for name, n in summary.dropped.items() if n and name in RECORDED)
    if lost:
        raise RecordingError(f"{summary.file} is incomplete: there was no room for {lost}; the session itself is whole")
    raise typer.Exit(EXIT_CODES.get(summary.ended, 0))
