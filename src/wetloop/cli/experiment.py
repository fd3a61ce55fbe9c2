"""``wetloop experiment``: all runs of a protocol, and what they say."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from wetloop.experiments import Experiment
    from wetloop.experiments.runner import Workers


def experiment(  # noqa: PLR0913  (typer: one parameter per option)
    protocol: Annotated[Path, typer.Argument(help="Protocol file (YAML): arms, cultures, layouts, tests.")],
    *,
    jobs: Annotated[int, typer.Option(min=1, help="Sessions at a time; results do not depend on it.")] = 1,
    out: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Folder of the experiment; default experiments/NAME.")
    ] = None,
    dask: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="Play on a Dask scheduler's workers (wetloop[dask]).")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would be run and tested; write nothing.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print the result as one JSON object.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress on stderr.")] = False,
) -> None:
    """Run an experiment: everything is registered before the first run, and what differs later is told.

    Start it again to go on after Ctrl-C or a crash: finished runs are kept.
    """
    from wetloop.experiments.plan import made_from
    from wetloop.experiments.protocol import read_protocol
    from wetloop.experiments.runner import Workers

    if dry_run:
        from wetloop.cli.experiment_view import plan_result, plan_view

        _say(plan_result(made_from(protocol).plan), plan_view, json=json)
        return
    folder = out or Path("experiments") / read_protocol(protocol)[0].name
    done = _run(protocol, folder, Workers(jobs, dask), quiet=quiet)
    from wetloop.cli.experiment_view import result_of, result_view

    _say(result_of(done), result_view, json=json)
    if not done.complete:
        raise typer.Exit(3)


def _run(protocol: Path, folder: Path, workers: "Workers", *, quiet: bool) -> "Experiment":
    from wetloop.cli.progress import runs_view
    from wetloop.experiments.runner import run_experiment

    try:
        with runs_view(quiet=quiet) as report:
            return run_experiment(protocol, folder, workers, report)
    except KeyboardInterrupt:
        typer.echo(f"\nstopped; finished runs are in {folder}. Start it again to go on.", err=True)
        raise typer.Exit(130) from None


def _say(result: "dict[str, object]", view: "object", *, json: bool) -> None:
    from wetloop.cli.output import echo_json, show

    if json:
        echo_json(result)
    elif callable(view):
        show(*view(result))
