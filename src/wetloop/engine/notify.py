"""Tells others what happened, from a thread of its own: nobody waits for a command or a webhook, or fails with it."""

from __future__ import annotations

import json
import logging
import queue
import subprocess
import threading
import time
from typing import TYPE_CHECKING, Any
from urllib.request import HTTPRedirectHandler, ProxyHandler, Request, build_opener

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from wetloop.engine.watch_config import NotifyConfig

LOG = logging.getLogger("wetloop.notify")
LOG.addHandler(logging.NullHandler())
WAITING = 64
"""Notifications that may wait; more are lost, and that is logged."""


class _StaysThere(HTTPRedirectHandler):
    """Follows no redirection: it could lead to another machine."""

    def redirect_request(self, *_: object, **__: object) -> None:
        """Refuse."""


class Notifier:
    """Runs the command and calls the webhook.

    Parameters
    ----------
    config
        What to run and call; where that is nothing, no thread is started.
    about
        What every notification says: rig, file and the like.
    clock
        Time in s, for the limit of the rate.
    """

    def __init__(
        self, config: NotifyConfig, about: Mapping[str, Any], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._config, self._about, self._clock = config, dict(about), clock
        self._told_s: dict[str, float] = {}
        self._suppressed: dict[str, int] = {}
        self._queue: queue.Queue[bytes | None] = queue.Queue(WAITING)
        self._thread: threading.Thread | None = None
        if config.command or config.webhook:
            self._thread = threading.Thread(target=self._work, name="notify", daemon=True)
            self._thread.start()

    def tell(self, kind: str, content: Mapping[str, Any]) -> None:
        """Tell something, unless the last of its kind was too short a time ago; returns at once."""
        if self._thread is None or not self._is_due(kind):
            return
        told = {"kind": kind, **self._about, **content, "suppressed": self._suppressed.pop(kind, 0)}
        try:
            self._queue.put_nowait(json.dumps(told, default=str).encode())
        except queue.Full:
            LOG.warning("notification lost", extra={"kind": kind})

    def close(self) -> None:
        """Wait a little for what has been told; a command that hangs is left to its timeout."""
        if self._thread is None:
            return
        thread, self._thread = self._thread, None
        try:
            self._queue.put_nowait(None)
        except queue.Full:
            return
        thread.join(2 * self._config.timeout_s)

    def _is_due(self, kind: str) -> bool:
        now_s = self._clock()
        if now_s - self._told_s.get(kind, -float("inf")) < self._config.at_most_every_s:
            self._suppressed[kind] = self._suppressed.get(kind, 0) + 1
            return False
        self._told_s[kind] = now_s
        return True

    def _work(self) -> None:
        opener = build_opener(ProxyHandler({}), _StaysThere())
        while (message := self._queue.get()) is not None:
            self._run(message)
            self._post(opener.open, message)

    def _run(self, message: bytes) -> None:
        """Run the command in a session of its own, which the terminal's signals do not reach."""
        if not self._config.command:
            return
        try:
            done = subprocess.run(  # noqa: S603  (the owner of the configuration wants it)
                self._config.command,
                input=message,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                timeout=self._config.timeout_s,
                check=False,
                start_new_session=True,
            )
        except (OSError, subprocess.SubprocessError) as error:
            LOG.warning("notify.command failed", extra={"error": str(error)})
        else:
            if done.returncode:
                LOG.warning("notify.command failed", extra={"error": f"exit code {done.returncode}"})

    def _post(self, post: Callable[..., Any], message: bytes) -> None:
        if self._config.webhook is None:
            return
        request = Request(self._config.webhook, message, {"Content-Type": "application/json"})  # noqa: S310  (checked)
        try:
            with post(request, timeout=self._config.timeout_s):
                pass
        except (OSError, ValueError) as error:
            LOG.warning("notify.webhook failed", extra={"error": str(error)})
