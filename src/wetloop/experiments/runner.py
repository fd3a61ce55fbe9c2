"""Plays the runs of an experiment that are still to be played, on as many workers as are given.

A run is made of its plan alone and its results are measured from its recording, so that it does not matter who plays it
and when. A line in ``runs.jsonl`` is what makes it finished: who starts again plays what has none.
"""

from __future__ import annotations

import time
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple

from wetloop.core import jsonl
from wetloop.core.errors import WetloopError, WorkerError
from wetloop.experiments.crew import Crew, Workers, at_work, gathered
from wetloop.experiments.folder import COMPLETED, RUNS, load, locked, note_differences, note_failure, register
from wetloop.experiments.plan import config_of, config_sha256, made_from, versions

__all__ = ["Job", "Played", "Workers", "perform", "run_experiment"]

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from wetloop.experiments.folder import Experiment
    from wetloop.experiments.plan import PlannedRun
    from wetloop.experiments.protocol import Metric

INTERRUPTED = ("interrupted", "stopped")
PATIENCE_S = 2.0
"""How long runs may go on after Ctrl-C, so that those that are nearly done are kept, s."""


@dataclass(frozen=True)
class Job:
    """One run for a worker: its plan, its configuration as JSON, what is measured when, and with which packages."""

    run: PlannedRun
    config_json: str
    metrics: tuple[Metric, ...]
    windows_s: dict[str, tuple[float, float]]
    rallies: int | None
    packages: tuple[str, ...]


class Played(NamedTuple):
    """How far an experiment has come; ``message`` says why a run failed."""

    done: int
    total: int
    code: str
    message: str = ""


def run_experiment(
    protocol_file: Path, folder: Path, workers: Workers, on_run: Callable[[Played], None] | None = None
) -> Experiment:
    """Register an experiment, or take up a registered one, and play what is to be played.

    Raises
    ------
    KeyboardInterrupt
        After Ctrl-C; finished runs are kept, the others are played by the next start.
    WorkerError
        Where a worker died, with the same consequence.
    """
    planned = made_from(protocol_file)
    with locked(folder):
        register(folder, planned, protocol_file)
        note_differences(folder, planned)
        experiment = load(folder)
        done = {run.code for run in experiment.runs}
        jobs = [_job(experiment, run) for run in experiment.planned if run.code not in done]
        _play(experiment, jobs, workers, on_run or (lambda _: None))
    return load(folder)


def _job(experiment: Experiment, run: PlannedRun) -> Job:
    from wetloop.config import to_json

    config = config_of(experiment.plan, experiment.conditions, run, experiment.folder.resolve())
    windows_s = {name: (start, stop) for name, (start, stop) in experiment.plan["windows_s"].items()}
    protocol, packages = experiment.protocol, tuple(experiment.plan["versions"])
    return Job(run, to_json(config), protocol.metrics, windows_s, protocol.windows.rallies, packages)


def _play(experiment: Experiment, jobs: Sequence[Job], workers: Workers, on_run: Callable[[Played], None]) -> None:
    total, folder = len(experiment.planned), experiment.folder
    done = total - len(jobs)

    def finished(code: str, outcome: dict[str, Any]) -> None:
        nonlocal done
        if outcome.get("ended") in INTERRUPTED:
            return
        if "failed" in outcome:
            note_failure(folder, code, outcome["failed"])
        else:
            jsonl.append(folder / RUNS, outcome)
        done += 1
        on_run(Played(done, total, code, outcome.get("failed", "")))

    if workers.dask is None and workers.jobs == 1:
        for job in jobs:
            outcome = perform(job)
            finished(job.run.code, outcome)
            _stop_if_interrupted(outcome)
    elif jobs:
        with gathered(workers) as crew:
            _collect(crew, iter(jobs), finished)


def _collect(crew: Crew, jobs: Iterator[Job], finished: Callable[[str, dict[str, Any]], None]) -> None:
    """Keep every worker busy and take results as they come; after Ctrl-C, also those of runs that were nearly done.

    No more is handed out than is being played: what waits inside an executor could not be taken back.
    """
    playing = {crew.executor.submit(perform, job): job for job in islice(jobs, crew.size)}
    try:
        while playing:
            for future in wait(playing, return_when=FIRST_COMPLETED).done:
                outcome = _result(future, crew.died)
                finished(playing.pop(future).run.code, outcome)
                _stop_if_interrupted(outcome)
                playing |= {crew.executor.submit(perform, job): job for job in islice(jobs, 1)}
    except BaseException:
        for future in wait(playing, PATIENCE_S).done:
            if not future.cancelled() and future.exception() is None:
                finished(playing[future].run.code, future.result())
        raise


def _result(future: Future[dict[str, Any]], died: tuple[type[BaseException], ...]) -> dict[str, Any]:
    try:
        return future.result()
    except died as error:
        raise WorkerError(
            f"a worker of the experiment died ({type(error).__name__}: {error}): killed, or out of memory. "
            "Finished runs are kept; start the experiment again to go on, with fewer --jobs if memory was short"
        ) from error


def _stop_if_interrupted(outcome: dict[str, Any]) -> None:
    if outcome.get("ended") in INTERRUPTED:
        raise KeyboardInterrupt


def perform(job: Job) -> dict[str, Any]:
    """Play one run and return its line for ``runs.jsonl``, or ``{"failed": why}``."""
    begun = time.monotonic()
    try:
        return _performed(job) | {"wall_s": round(time.monotonic() - begun, 3)}
    except WetloopError as error:
        return {"failed": f"{type(error).__name__}: {error}"}


def _performed(job: Job) -> dict[str, Any]:
    from pathlib import Path

    from wetloop.config import from_json
    from wetloop.engine.signals import stop_on_signal
    from wetloop.experiments.metrics import measured
    from wetloop.session import run_session

    config, run = from_json(job.config_json), job.run
    file = Path(config.recording.folder) / f"{run.code}.nwb"
    _set_aside(file)
    with nullcontext() if at_work() else stop_on_signal() as stop:
        summary = run_session(config, accelerated=True, stop=stop)
    told = asdict(run) | {"file": f"{file.parent.name}/{file.name}", "ended": summary.ended}
    told |= {"config_sha256": config_sha256(config), "versions": versions(job.packages)}
    if summary.ended != COMPLETED:
        return told | {"metrics": {}, "episodes": {}}
    found = measured(file, job.metrics, job.windows_s, job.rallies)
    return told | {"metrics": found.metrics, "episodes": found.episodes}


def _set_aside(file: Path) -> None:
    """Rename what an earlier start left unfinished: nothing that was recorded is written over."""
    journal = file.with_name(f"{file.name}.journal")
    for path in (file, journal):
        if path.exists():
            n = 1
            while (aside := path.with_name(path.name.replace(".nwb", f".unfinished-{n}.nwb", 1))).exists():
                n += 1
            path.rename(aside)
