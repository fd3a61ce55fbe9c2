"""Who plays in a replay: the same parts again, and a task that is late where the recorded one was."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wetloop import assembly
from wetloop.tasks.isolation import replayed_task

if TYPE_CHECKING:
    from wetloop.assembly import Players, Setting
    from wetloop.core.types import Records
    from wetloop.recording.reader import Recording
    from wetloop.tasks.isolation import AnyEnv


def replay_players(setting: Setting, decisions: Records, retold: AnyEnv | None) -> Players:
    """Return the players of a replay; ``retold`` is what ``retold_task`` gives."""
    answers = _asked(decisions)["answer"].tolist()
    task = retold or replayed_task(setting.played.task, setting.config.decision_ms, answers)
    return assembly.players(setting, task)


def retold_task(setting: Setting, recording: Recording, decisions: Records) -> AnyEnv | None:
    """Return the task as the file tells it, where it was a program elsewhere; None where it can be played again."""
    return setting.played.task.retold(recording.header, _asked(decisions))


def _asked(decisions: Records) -> Records:
    """Return the decisions in which the task was asked."""
    asked: Records = decisions[decisions["playing"] == 1]
    return asked
