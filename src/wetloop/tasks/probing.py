"""Probe pulses on the task's clock: when one is announced, and which decisions lie in the window after it."""

from __future__ import annotations

from typing import NamedTuple

from wetloop.core.errors import ConfigError


class Probing(NamedTuple):
    """A regular probe; all times are in decisions.

    ``period`` lies between two pulses; each is announced ``ahead`` of the sample at which it falls, and answered in the
    decisions from ``first`` up to ``last`` (not included) after it.
    """

    period: int
    ahead: int
    first: int
    last: int

    @classmethod
    def of(cls, *, period_ms: float, ahead_ms: float, window_ms: tuple[float, float], decision_ms: float) -> Probing:
        """Return the probe in decisions.

        Raises
        ------
        ConfigError
            Where a time is no whole number of decisions, or an answer would come after the next announcement.
        """
        told = {"period": period_ms, "ahead_ms": ahead_ms, "window_ms": window_ms[0], "window_ms end": window_ms[1]}
        made = cls(*(_whole(name, ms, decision_ms) for name, ms in told.items()))
        if made.first >= made.last or made.ahead < 1:
            raise ConfigError("task: ahead_ms must be at least a decision, and window_ms end after it begins")
        if made.ahead + made.last >= made.period:
            raise ConfigError(
                f"task: the window ends {ahead_ms + window_ms[1]:g} ms after the announcement, too late for a period "
                f"of {period_ms:g} ms"
            )
        return made

    def announces(self, step: int) -> bool:
        """Return whether a pulse is announced at the end of this step, from 0."""
        return step % self.period == 0

    def listens(self, step: int) -> bool:
        """Return whether what was counted in this step lies in the window after a pulse."""
        return self.ahead + self.first < step % self.period <= self.ahead + self.last

    def closes(self, step: int) -> bool:
        """Return whether this step is the last of a window."""
        return step % self.period == self.ahead + self.last


def _whole(name: str, ms: float, decision_ms: float) -> int:
    n = round(ms / decision_ms)
    if abs(n * decision_ms - ms) > 1e-6 * decision_ms:
        raise ConfigError(f"task: {name} of {ms:g} ms is no whole number of decisions of {decision_ms:g} ms")
    return n
