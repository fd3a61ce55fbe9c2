"""A session that an agent plays."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wetloop.agents.court import Court, Decisions
from wetloop.agents.learners import learner, play_at_random
from wetloop.agents.views import view_of
from wetloop.core.plugin import seeded

if TYPE_CHECKING:
    import threading

    from wetloop.assembly import Players
    from wetloop.config import SessionConfig
    from wetloop.engine.rig import Rig
    from wetloop.recording.log import DecisionLog


class AgentSession:
    """One session in which an agent acts, sees and learns; the same rig, task, pauses and log as of a culture."""

    def __init__(self, rig: Rig, players: Players, log: DecisionLog, config: SessionConfig) -> None:
        self._rig, self._players, self._log = rig, players, log
        self._kind, self._seed = config.agent.kind, config.seed
        self._view = view_of(config.agent.sees, players.task, config.decision_ms)

    def run(self, n_decisions: int, stop: threading.Event) -> None:
        """Play until the decisions are made, ``stop`` is set or the source ends."""
        court = Court(Decisions(self._rig, self._players, self._log, n_decisions, stop), self._view)
        play = play_at_random if self._kind == "random" else learner(self._kind)
        play(court, n_decisions, seeded(self._seed, "agent"))
