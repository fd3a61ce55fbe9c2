"""Who plays the runs of an experiment: processes of this computer, or the workers of a Dask scheduler."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from concurrent.futures import BrokenExecutor, CancelledError, Executor, ProcessPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

from wetloop.core.errors import ConfigError
from wetloop.core.extras import from_extra

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

ANSWERS_WITHIN_S = 10
"""How long a Dask scheduler is given to answer, and to show a worker, s."""


class Workers(NamedTuple):
    """Who plays: processes of this computer, or a Dask scheduler by its address."""

    jobs: int = 1
    dask: str | None = None


class Crew(NamedTuple):
    """An executor, how many runs it plays at a time, and the errors that say that a worker died."""

    executor: Executor
    size: int
    died: tuple[type[BaseException], ...]


def gathered(workers: Workers) -> AbstractContextManager[Crew]:
    """Return a context that gives the workers; after an error at its end none of this computer is left.

    Workers of a scheduler end the run that they play, and its result is dropped.
    """
    return _processes(workers.jobs) if workers.dask is None else _dask(workers.dask)


@contextmanager
def _processes(jobs: int) -> Iterator[Crew]:
    others = set(multiprocessing.active_children())
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(jobs, mp_context=spawn, initializer=_begin_work) as executor:
        try:
            yield Crew(executor, jobs, (BrokenExecutor,))
        except BaseException:
            for worker in set(multiprocessing.active_children()) - others:
                worker.terminate()
            raise


def at_work() -> bool:
    """Return whether this is a worker, which leaves signals to the one who gives the work."""
    return multiprocessing.parent_process() is not None or threading.current_thread() is not threading.main_thread()


def _begin_work() -> None:
    """Leave Ctrl-C to the one who gives the work, and end when that one has died."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_die_with_parent, name="parent", daemon=True).start()


def _die_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


@contextmanager
def _dask(address: str) -> Iterator[Crew]:
    distributed = from_extra("distributed", "dask")
    try:
        client = distributed.Client(address, timeout=ANSWERS_WITHIN_S)
    except (OSError, ValueError) as error:
        raise ConfigError(f"--dask {address}: no Dask scheduler answers there: {error}") from error
    with client:
        died = (CancelledError, distributed.KilledWorker)
        yield Crew(client.get_executor(pure=False), _size(client, address), died)


def _size(client: Any, address: str) -> int:
    try:
        client.wait_for_workers(1, timeout=ANSWERS_WITHIN_S)
    except TimeoutError as error:
        raise ConfigError(
            f"--dask {address}: the scheduler has no workers; start some: dask worker {address} --nthreads 1"
        ) from error
    return len(client.ncores())
