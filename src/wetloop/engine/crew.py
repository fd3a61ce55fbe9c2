"""The processes of a real-time session: started together, ready together, watched, and ended together."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
import traceback
from typing import TYPE_CHECKING, Any, NamedTuple

from wetloop.core.errors import RigError, WetloopError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping
    from multiprocessing.connection import Connection
    from multiprocessing.process import BaseProcess

READY_S = 240.0
"""Longest time to start, s: an empty cache of kernels is compiled in it."""
END_S, SETTLE_S = 30.0, 3.0


class Member(NamedTuple):
    """One process, and the line on which it reports."""

    process: BaseProcess
    link: Connection


class Crew:
    """Processes by role; ``parts`` gives each role's function and its arguments after the link.

    The end of a ``spared`` one is for others to notice, by ``failure``, not for ``check``.
    """

    def __init__(
        self, parts: Mapping[str, tuple[Callable[..., None], tuple[Any, ...]]], spared: Collection[str] = ()
    ) -> None:
        self._parts, self._spared = parts, spared
        self._members: dict[str, Member] = {}
        self.reports: dict[str, Any] = {}

    def start(self) -> None:
        """Start all processes, and wait until each has reported what it obtained.

        Raises
        ------
        RigError
            Naming the role that failed or did not get ready, and why; the others are ended.
        """
        context = multiprocessing.get_context("spawn")
        for role, (function, arguments) in self._parts.items():
            ours, theirs = context.Pipe()
            process = context.Process(
                target=run_member, args=(function, theirs, role, *arguments), name=f"wetloop-{role}", daemon=True
            )
            process.start()
            theirs.close()
            self._members[role] = Member(process, ours)
        try:
            for role in self._parts:
                self.reports[role] = self.receive(role, READY_S)
        except BaseException:
            self.kill()
            raise

    def receive(self, role: str, timeout_s: float) -> Any:
        """Return the next report of a process."""
        process, link = self._members[role]
        try:
            if link.poll(timeout_s):
                return self._report(role, link.recv())
        except (EOFError, OSError):
            process.join(1.0)
            raise RigError(f"the {role} process died (exit code {process.exitcode})") from None
        raise RigError(f"the {role} process did not answer within {timeout_s:g} s")

    def send(self, role: str, message: Any) -> None:
        """Tell a process something."""
        self._members[role].link.send(message)

    @staticmethod
    def _report(role: str, message: tuple[str, Any]) -> Any:
        kind, content = message
        if kind == "error":
            error, text = content
            raise error(f"{role} process: {text}")
        return content

    def check(self) -> None:
        """Raise a RigError if a process has died or reported an error."""
        for role in self._members.keys() - set(self._spared):
            self._check(role)

    def _check(self, role: str) -> None:
        process, link = self._members[role]
        if link.poll():
            self.receive(role, 0.0)
        if not process.is_alive():
            raise RigError(f"the {role} process died (exit code {process.exitcode})")

    def failure(self, role: str) -> str:
        """Return why a process has failed, in words; empty while it runs."""
        try:
            self._check(role)
        except WetloopError as error:
            return str(error)
        return ""

    def pid(self, role: str) -> int:
        """Return the process id of a role."""
        return int(self._members[role].process.pid or 0)

    def join(self) -> None:
        """Wait for all processes, and kill those that do not end."""
        end = time.monotonic() + END_S
        for process, link in self._members.values():
            process.join(max(0.0, end - time.monotonic()))
            link.close()
        self.kill()

    def wait_for(self, *roles: str) -> None:
        """Wait a little for some processes to end after they were told to; a stopped one does not."""
        end = time.monotonic() + SETTLE_S
        for role in roles:
            if role in self._members:
                self._members[role].process.join(max(0.0, end - time.monotonic()))

    def kill(self, *roles: str) -> None:
        """End these processes at once, by default all."""
        for role in roles or self._members:
            process = self._members[role].process
            if process.is_alive():
                process.kill()
                process.join()


def run_member(function: Callable[..., None], link: Connection, role: str, *arguments: Any) -> None:
    """Run a role in its own process: signals of the terminal are the session's to answer; errors are reported."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        function(link, *arguments)
    except WetloopError as error:
        report(link, "error", (type(error), str(error)))
    except Exception as error:  # noqa: BLE001  (whatever it is, the session must hear of it)
        where = traceback.extract_tb(error.__traceback__)[-1]
        report(link, "error", (RigError, f"{type(error).__name__}: {error} ({where.filename}:{where.lineno}, {role})"))


def report(link: Connection, kind: str, content: Any) -> None:
    """Send a report; a session that is gone does not hear it."""
    try:
        link.send((kind, content))
    except OSError:
        return


def orphaned() -> bool:
    """Tell whether the session's process is gone, even if it went before this one had begun to look."""
    parent = multiprocessing.parent_process()
    return parent is not None and os.getppid() != parent.pid
