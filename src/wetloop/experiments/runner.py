"""Plays the runs of an experiment that are still to be played, on as many workers as are given.

A run is made of its plan alone and its results are measured from its recording, so that it does not matter who plays it
and when. A line in ``runs.jsonl`` is what makes it finished: who starts again plays what has none.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from concurrent.futures import Executor, Future, ProcessPoolExecutor, as_completed
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from wetloop.core import jsonl
from wetloop.core.errors import WetloopError
from wetloop.experiments.folder import COMPLETED, RUNS, load, locked, note_differences, note_failure, register
from wetloop.experiments.plan import config_of, config_sha256, made_from, versions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from wetloop.experiments.folder import Experiment
    from wetloop.experiments.plan import PlannedRun
    from wetloop.experiments.protocol import Metric

INTERRUPTED = ("interrupted", "stopped")


@dataclass(frozen=True)
class Job:
    """One run for a worker: its plan, the session's configuration as JSON, and what is measured when."""

    run: PlannedRun
    config_json: str
    metrics: tuple[Metric, ...]
    windows_s: dict[str, tuple[float, float]]


class Played(NamedTuple):
    """How far an experiment has come; ``message`` says why a run failed."""

    done: int
    total: int
    code: str
    message: str = ""


class Workers(NamedTuple):
    """Who plays: processes of this computer, or a Dask scheduler by its address."""

    jobs: int = 1
    dask: str | None = None


def run_experiment(
    protocol_file: Path, folder: Path, workers: Workers, on_run: Callable[[Played], None] | None = None
) -> Experiment:
    """Register an experiment, or take up a registered one, and play what is to be played.

    Raises
    ------
    KeyboardInterrupt
        After Ctrl-C; finished runs are kept, the others are played by the next start.
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
    return Job(run, to_json(config), experiment.protocol.metrics, windows_s)


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
        with _executor(workers, len(jobs)) as executor:
            _collect({executor.submit(perform, job): job for job in jobs}, finished)


def _collect(futures: dict[Future[dict[str, Any]], Job], finished: Callable[[str, dict[str, Any]], None]) -> None:
    """Take results as they come; after Ctrl-C also those of runs that were nearly done."""
    waiting = dict(futures)
    try:
        for future in as_completed(futures):
            outcome = future.result()
            finished(waiting.pop(future).run.code, outcome)
            _stop_if_interrupted(outcome)
    except BaseException:
        running = [future for future in waiting if not future.cancel()]
        for future in running:
            if future.exception() is None:
                finished(waiting[future].run.code, future.result())
        raise


def _stop_if_interrupted(outcome: dict[str, Any]) -> None:
    if outcome.get("ended") in INTERRUPTED:
        raise KeyboardInterrupt


@contextmanager
def _executor(workers: Workers, n_jobs: int) -> Iterator[Executor]:
    if workers.dask is not None:
        from wetloop.core.extras import from_extra

        with from_extra("distributed", "dask").Client(workers.dask) as client:
            yield client.get_executor(pure=False)
        return
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(workers.jobs, n_jobs), mp_context=spawn, initializer=_begin_work) as executor:
        yield executor


def _begin_work() -> None:
    """Leave Ctrl-C to the session that is played, and end when the one who gives the work has died."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_die_with_parent, name="parent", daemon=True).start()


def _die_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


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
    in_main_thread = threading.current_thread() is threading.main_thread()
    with stop_on_signal() if in_main_thread else nullcontext() as stop:
        summary = run_session(config, accelerated=True, stop=stop)
    told = asdict(run) | {"file": f"{file.parent.name}/{file.name}", "ended": summary.ended, "versions": versions()}
    told["config_sha256"] = config_sha256(config)
    if summary.ended != COMPLETED:
        return told | {"metrics": {}, "episodes": {}}
    found = measured(file, job.metrics, job.windows_s)
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
