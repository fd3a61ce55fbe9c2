"""Runs a task at the other end of a link: mostly in a process of its own.

That process ends with all that it started when the session does, however that ends.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

from wetloop.core.errors import TaskError, WetloopError
from wetloop.engine.host import die_with_parent, obtain
from wetloop.tasks.isolation import About, IsolatedTask, Reply, Request, TaskLostError, perform

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from multiprocessing.connection import Connection

    from wetloop.core.plugin import TaskConfig
    from wetloop.tasks.isolation import AnyEnv

START_S = 60.0
"""Longest time for a task to start, s."""
MOST_FAILURES = 3
"""A task that fails to start this often in a row is given up."""
END_S = 1.0
RENDER: Final = "render"


class Patience(NamedTuple):
    """How long a session waits for its task at a decision, and in all before the task is begun anew; both in s."""

    deadline_s: float
    restart_after_s: float


UNHURRIED = Patience(30.0, 30.0)
"""Where no clock runs, only a task that hangs is begun anew."""


class Failure(NamedTuple):
    """Why a task's process ended."""

    error: type[WetloopError]
    text: str


class TaskDiedError(Exception):
    """The task's process has ended; ``failure`` says why."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.text)
        self.failure = failure


class Link(Protocol):
    """Leads to a task that begins when the link is made.

    Messages are (serial, request); answers (serial, answer), after an ``About`` that tells that the task is ready.
    """

    def send(self, message: tuple[int, Request | str] | None) -> None:
        """Tell it something; that it has died is noticed when its answer is received."""

    def receive(self, timeout_s: float) -> Any | None:
        """Return its next message, or None if there is none in time; raise TaskDiedError if it has ended."""

    def kill(self) -> None:
        """End it at once."""

    def close(self) -> None:
        """End it in peace; may be called twice."""


class Origin(NamedTuple):
    """Where links to a task come from: what it is called, how it begins, and for how long to wait for that, s."""

    name: str
    begin: Callable[[], Link]
    start_s: float = START_S


class TaskProcess:
    """One spawned process, the leader of a group of its own, and the pipe to it."""

    def __init__(self, config: TaskConfig, decision_ms: float) -> None:
        context = multiprocessing.get_context("spawn")
        self._link, theirs = context.Pipe()
        arguments = (theirs, os.getpid(), config, decision_ms)
        self._process = context.Process(target=serve, args=arguments, name="wetloop-task", daemon=True)
        self._process.start()
        theirs.close()

    @property
    def pid(self) -> int:
        """Process id."""
        return int(self._process.pid or 0)

    def send(self, message: tuple[int, Request | str] | None) -> None:
        """Tell it something; one that has died is noticed when its answer is received."""
        with suppress(OSError):
            self._link.send(message)

    def receive(self, timeout_s: float) -> Any | None:
        """Return its next message, or None if there is none in time; raise TaskDiedError if it has ended."""
        try:
            message = self._link.recv() if self._link.poll(timeout_s) else None
        except (EOFError, OSError):
            raise TaskDiedError(Failure(TaskError, "its process died")) from None
        if isinstance(message, Failure):
            raise TaskDiedError(message)
        return message

    def kill(self) -> None:
        """Kill it and its group, stopped or not; what it started without a group ends by itself."""
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self._process.kill()
        self._link.close()

    def close(self) -> None:
        """Let it end by itself if it does so in time, and collect it with all that were killed before."""
        if not self._link.closed:
            self.send(None)
            with suppress(TaskDiedError):
                self.receive(END_S)
            self.kill()
        self._process.join(END_S)
        multiprocessing.active_children()


class LinkWorker:
    """Plays a task over a link, and begins another one where it dies or freezes.

    A new link is not waited for: requests lie in it until the task is ready.

    Attributes
    ----------
    refused
        Messages of the task that could not be used and changed nothing, by kind.

    Raises
    ------
    WetloopError
        Where the task cannot be started, or dies again and again before it is ready.
    """

    def __init__(self, origin: Origin, patience: Patience, refused: Mapping[str, int] | None = None) -> None:
        self._origin, self._patience, self.refused = origin, patience, {} if refused is None else refused
        self._serial = self._failures = 0
        self._asked_s = 0.0
        self._ready = True
        self._link = origin.begin()
        self.about = self._introduction()

    def submit(self, request: Request) -> None:
        """Send the request."""
        self._send(request)

    def collect(self) -> Reply | None:
        """Wait for the answer, at most until the deadline."""
        try:
            answer = self._answer()
        except TaskDiedError as error:
            raise self._begin_anew(error.failure.text) from None
        longest_s = self._patience.restart_after_s if self._ready else self._origin.start_s
        if answer is None and time.monotonic() - self._asked_s >= longest_s:
            raise self._begin_anew(f"no answer within {longest_s:g} s")
        return answer

    def picture(self) -> Any | None:
        """Ask for the picture; that a task has died is left to the next request."""
        self._send(RENDER)
        try:
            return self._answer()
        except TaskDiedError:
            return None

    def close(self) -> None:
        """End the task."""
        self._link.close()

    def _introduction(self) -> About:
        name, _, start_s = self._origin
        try:
            about = self._link.receive(start_s)
        except TaskDiedError as error:
            self.close()
            raise error.failure.error(f"{name}: {error}") from None
        if about is None:
            self._link.kill()
            raise TaskError(f"{name} did not start within {start_s:g} s")
        return about  # type: ignore[no-any-return]  # a pipe carries anything

    def _send(self, what: Request | str) -> None:
        self._serial += 1
        if self._ready:
            self._asked_s = time.monotonic()
        self._link.send((self._serial, what))

    def _answer(self) -> Any | None:
        """Return the answer to the newest message; a new process introduces itself before, an old answer is dropped."""
        end_s = time.monotonic() + self._patience.deadline_s
        while (message := self._link.receive(max(0.0, end_s - time.monotonic()))) is not None:
            if isinstance(message, About):
                self._ready, self._failures, self._asked_s = True, 0, time.monotonic()
            elif message[0] == self._serial:
                return message[1]
        return None

    def _begin_anew(self, why: str) -> TaskLostError:
        self._link.kill()
        self._failures += not self._ready
        if self._failures >= MOST_FAILURES:
            raise TaskError(f"{self._origin.name} could not be started again after {MOST_FAILURES} attempts: {why}")
        self._link = self._origin.begin()
        self._ready, self._asked_s = False, time.monotonic()
        return TaskLostError(why)


class ProcessWorker(LinkWorker):
    """Plays a task in a process of its own."""

    _link: TaskProcess

    def __init__(self, config: TaskConfig, decision_ms: float, patience: Patience) -> None:
        super().__init__(Origin(f"task {config.kind}", lambda: TaskProcess(config, decision_ms)), patience)

    @property
    def pid(self) -> int:
        """Process id of the task."""
        return self._link.pid


def timed(config: TaskConfig, decision_ms: float) -> Patience:
    """Return how long a session in real time waits for its task."""
    return Patience((config.deadline_ms or decision_ms / 2) / 1000, config.restart_after_s)


def own_task(config: TaskConfig, decision_ms: float, *, real_time: bool) -> AnyEnv:
    """Build a task, in a process of its own where its configuration says so."""
    if not config.own_process:
        return config.build_timed(decision_ms, real_time=real_time)
    patience = timed(config, decision_ms) if real_time else UNHURRIED
    return IsolatedTask(ProcessWorker(config, decision_ms, patience))


def serve(link: Connection, parent_pid: int, config: TaskConfig, decision_ms: float) -> None:
    """Play the task for the session at the other end; what Ctrl-C means is the session's to say."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.setpgid(0, 0)
    die_with_parent(parent_pid=parent_pid)
    obtain("task")
    os.set_inheritable(link.fileno(), False)
    with suppress(OSError, EOFError):
        try:
            env = config.build(decision_ms)
            link.send(About.of(env))
            _answer_all(link, env)
        except WetloopError as error:
            link.send(Failure(type(error), str(error)))
        except EOFError:
            return
        except Exception as error:  # noqa: BLE001  (whatever it is, the session must hear of it)
            link.send(Failure(TaskError, f"{type(error).__name__}: {error}"))


def _answer_all(link: Connection, env: AnyEnv) -> None:
    while (message := link.recv()) is not None:
        serial, what = message
        link.send((serial, env.render() if what == RENDER else perform(env, what)))
    env.close()
