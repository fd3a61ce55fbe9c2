"""A task as a recording tells it: what a program elsewhere has answered is taken from the file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from gymnasium import spaces

from wetloop.core.types import Answer
from wetloop.tasks.isolation import About, IsolatedTask, Reply, TaskLostError

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt

    from wetloop.core.types import Records
    from wetloop.tasks.isolation import Request
    from wetloop.tasks.remote_config import RemoteTaskConfig

    Vector = npt.NDArray[np.float32]


def told_of(config: RemoteTaskConfig, observation: Vector, events: set[str]) -> dict[str, Any]:
    """Return the info of an answer, the same whether it comes from the program or from the recording.

    The last elements of the observation are magnitudes, as many as the configuration names.
    """
    last = observation[len(observation) - len(config.magnitudes) :].tolist()
    sizes = {name: size for name, size in zip(config.magnitudes, last, strict=True) if name in events}
    return {"events": tuple(name for name in config.events if name in events), "magnitudes": sizes}


class RetoldWorker:
    """Answers as the recording does, whatever it is asked.

    Parameters
    ----------
    config
        Of the task.
    about
        What the recording tells of it.
    rows
        Decisions in which the task was asked, in order.
    """

    def __init__(self, config: RemoteTaskConfig, about: About, rows: Records) -> None:
        self.about, self.refused = about, dict[str, int]()
        self._config, self._rows = config, iter(rows)

    def submit(self, request: Request) -> None:
        """Take the request as the recorded one: that it is, the comparison of the actions shows."""

    def collect(self) -> Reply | None:
        """Return what was answered."""
        row = next(self._rows)
        if row["answer"] == Answer.RESTARTED:
            raise TaskLostError
        return self._reply(row) if row["answer"] == Answer.FRESH else None

    def picture(self) -> None:
        """Show nothing: pictures lie in the recording."""

    def close(self) -> None:
        """Do nothing."""

    def _reply(self, row: Records) -> Reply:
        happened = {name for bit, name in enumerate(self._config.events) if int(row["events"]) >> bit & 1}
        observation = row["observation"]
        info = told_of(self._config, observation, happened)
        return Reply(observation, float(row["reward"]), bool(row["terminated"]), bool(row["truncated"]), info)


def retold_task(config: RemoteTaskConfig, header: Mapping[str, Any], rows: Records) -> IsolatedTask:
    """Build the task of a replay from the decisions in which it was asked."""
    about = About(
        action_space=spaces.Box(-np.inf, np.inf, (header["n_actions"],), np.float64),
        observation_space=spaces.Box(-np.inf, np.inf, (header["n_observations"],), np.float32),
        action_names=tuple(header["action_names"]),
        observation_names=tuple(header["observation_names"]),
        frame_shape=(),
        metadata={},
        render_mode=None,
    )
    return IsolatedTask(RetoldWorker(config, about, rows))
