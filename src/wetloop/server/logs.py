"""Logs of a server and of its sessions: one JSON object a line, in files of bounded size."""

from __future__ import annotations

import json
import logging
from contextlib import contextmanager
from datetime import UTC, datetime
from logging.handlers import RotatingFileHandler
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MAX_BYTES, FILES = 1_000_000, 5
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime"}


class JsonLines(logging.Formatter):
    """Writes a record, with everything that was given as ``extra``, as one JSON object."""

    def format(self, record: logging.LogRecord) -> str:
        at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        row = {"at": at, "level": record.levelname.lower(), "event": record.getMessage()}
        row |= {key: value for key, value in vars(record).items() if key not in _STANDARD}
        if record.exc_info:
            row["traceback"] = self.formatException(record.exc_info)
        return json.dumps(row, default=str)


@contextmanager
def logging_to(path: Path, max_bytes: int = MAX_BYTES, files: int = FILES) -> Iterator[None]:
    """Have what server, sessions and notifiers of this process say written to a file of at most ``max_bytes``.

    ``files`` older ones are kept beside it, ``.1`` being the newest.
    """
    handler = RotatingFileHandler(path, maxBytes=max_bytes, backupCount=files, encoding="utf-8")
    handler.setFormatter(JsonLines())
    loggers = [logging.getLogger(f"wetloop.{name}") for name in ("server", "session", "notify")]
    for logger in loggers:
        logger.setLevel(logging.INFO)
        logger.propagate = False
        logger.addHandler(handler)
    try:
        yield
    finally:
        for logger in loggers:
            logger.removeHandler(handler)
        handler.close()
