"""An alarm as it travels: from the session to the recorder and to whoever looks on, under the same names everywhere."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import astuple, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from wetloop.engine.words import text_bytes

if TYPE_CHECKING:
    from wetloop.core.types import Records
    from wetloop.engine.watch_config import Policy

ALARM = np.dtype(
    [
        ("watch", "S32"), ("state", "S8"), ("sample_index", "<i8"), ("at", "S32"), ("value", "<f8"), ("limit", "<f8"),
        ("unit", "S32"), ("policy", "S16"), ("meaning", "S512"),
    ]
)  # fmt: skip
"""The fields of an ``Alarm``, texts in UTF-8."""
HELD = 256
"""Alarms that may wait for the recorder, and that an observer still finds."""
RECENT = 8
"""Alarms that are shown."""


@dataclass(frozen=True)
class Alarm:
    """An alarm that was ``raised`` or is ``over``.

    By which watchdog, when on the rig's clock and on the host's (ISO 8601, UTC), the measured value with its limit and
    unit, the policy that followed, and the same in words.
    """

    watch: str
    state: str
    sample_index: int
    at: str
    value: float
    limit: float
    unit: str
    policy: Policy
    meaning: str

    def row(self) -> tuple[Any, ...]:
        """Return it as one record of ``ALARM``; what is too long is cut."""
        fields = zip(ALARM.names or (), astuple(self), strict=True)
        return tuple(text_bytes(v, name, ALARM) if isinstance(v, str) else v for name, v in fields)


def plain(rows: Records) -> list[dict[str, Any]]:
    """Return records of ``ALARM`` as the fields of an ``Alarm``; None for numbers that JSON does not have."""
    names = ALARM.names or ()
    return [dict(zip(names, map(_plain, row), strict=True)) for row in rows.tolist()]


def _plain(value: bytes | float) -> str | float | None:
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    return value if math.isfinite(value) else None


class Standing:
    """What stands of the alarms of one session.

    Attributes
    ----------
    recent
        The newest alarms, as plain data, the last one last.
    active
        Watchdogs whose alarm is not over, in the order in which they were raised.
    count
        All alarms so far.
    """

    def __init__(self) -> None:
        self.recent: deque[dict[str, Any]] = deque(maxlen=RECENT)
        self.active: list[str] = []
        self.count = 0

    def add(self, rows: Records) -> None:
        """Take account of further alarms."""
        for told in plain(rows):
            self.recent.append(told)
            self.active = [watch for watch in self.active if watch != told["watch"]]
            self.active += [told["watch"]] * (told["state"] == "raised")
        self.count += len(rows)

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain data."""
        return {"active": list(self.active), "count": self.count, "recent": list(self.recent)}
