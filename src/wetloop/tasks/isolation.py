"""A task whose answers may come late or never: a process of its own, a program elsewhere, or a recording runs it.

The session never waits for longer than the task's deadline. While a request is under way, the last observation is told
again (``Answer.REUSED``) and nothing new is asked; the late answer is told at the next decision, as the answer to what
had been asked. Where the task is lost, the episode is cut short (``Answer.RESTARTED``) and the next one begins in a new
task. A replay goes through the same steps, told by the recorded answers.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol, TypeAlias

import gymnasium
import numpy as np

from wetloop.core.types import Answer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from wetloop.core.plugin import TaskConfig

    AnyEnv: TypeAlias = gymnasium.Env[Any, Any]


class About(NamedTuple):
    """What is known of a task without playing it: spaces, names, the shape of its picture, how it can be drawn."""

    action_space: gymnasium.Space[Any]
    observation_space: gymnasium.Space[Any]
    action_names: tuple[str, ...]
    observation_names: tuple[str, ...]
    frame_shape: tuple[int, ...]
    metadata: dict[str, Any]
    render_mode: str | None

    @classmethod
    def of(cls, env: AnyEnv) -> About:
        """Describe an environment."""
        told = [
            tuple(getattr(env.unwrapped, name, ())) for name in ("action_names", "observation_names", "frame_shape")
        ]
        return cls(env.action_space, env.observation_space, told[0], told[1], told[2], env.metadata, env.render_mode)


class Request(NamedTuple):
    """What a task is asked: to reset with a seed (or None), or to step with an action."""

    name: Literal["reset", "step"]
    argument: Any


class Reply(NamedTuple):
    """What a task answers; a reset neither earns nor ends anything."""

    observation: Any
    reward: float = 0.0
    terminated: bool = False
    truncated: bool = False
    info: dict[str, Any] = {}  # noqa: RUF012  (never altered)


class TaskLostError(Exception):
    """The task has died or frozen; the worker has begun to start a new one."""


class Worker(Protocol):
    """Runs a task somewhere; one request at a time."""

    @property
    def about(self) -> About:
        """Describe the task."""

    @property
    def refused(self) -> Mapping[str, int]:
        """How many messages of the task changed nothing, by kind."""

    def submit(self, request: Request) -> None:
        """Ask the task something; not called while the answer to an earlier request is awaited."""

    def collect(self) -> Reply | None:
        """Return the answer if it comes within the deadline, else None; raise TaskLostError where none will come."""

    def picture(self) -> Any | None:
        """Return what the task's ``render`` gives, or None if that takes too long; not called while it is busy."""

    def close(self) -> None:
        """End the task; may be called twice."""


def perform(env: AnyEnv, request: Request) -> Reply:
    """Do with an environment what is asked."""
    if request.name == "step":
        observation, reward, terminated, truncated, info = env.step(request.argument)
        return Reply(observation, float(reward), terminated, truncated, info)
    observation, info = env.reset(seed=request.argument)
    return Reply(observation, info=info)


def restarted_seed(seed: int, restarts: int) -> int:
    """Return the seed with which a task goes on after so many restarts."""
    return int(np.random.SeedSequence((seed, restarts)).generate_state(1)[0])


class IsolatedTask(gymnasium.Env[Any, Any]):
    """Plays a task through its worker, and bridges what comes late with the last observation.

    Parameters
    ----------
    worker
        Runs the task; closed with it.
    """

    def __init__(self, worker: Worker) -> None:
        self._worker, about = worker, worker.about
        self.action_space, self.observation_space = about.action_space, about.observation_space
        self.action_names, self.observation_names = about.action_names, about.observation_names
        self.frame_shape, self.metadata, self.render_mode = about.frame_shape, about.metadata, about.render_mode
        self._seed = self._restarts = 0
        self._anew = self._awaited = False
        self._last = Reply(_nothing(self.observation_space), info=_blank(self.frame_shape))
        self._picture: Any = None

    @property
    def refused(self) -> Mapping[str, int]:
        """How many messages of the task changed nothing, by kind."""
        return self._worker.refused

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Begin an episode; the first one of a restarted task has a seed of its own."""
        _ = options
        if seed is not None:
            self._seed, self._restarts = seed, 0
        elif self._anew:
            seed = restarted_seed(self._seed, self._restarts)
        self._anew = False
        reply = self._turn(Request("reset", seed))
        return reply.observation, reply.info

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Return the answer to this action or to what had been asked before, or the last observation again."""
        return self._turn(Request("step", action))

    def render(self) -> Any:
        """Return the task's picture; the last one while the task is busy."""
        picture = None if self._awaited else self._worker.picture()
        self._picture = self._picture if picture is None else picture
        return self._picture

    def close(self) -> None:
        """End the task."""
        self._worker.close()

    def _turn(self, request: Request) -> Reply:
        try:
            if not self._awaited:
                self._worker.submit(request)
                self._awaited = True
            reply = self._worker.collect()
        except TaskLostError:
            return self._begin_anew()
        if reply is None:
            return self._again(Answer.REUSED)
        self._awaited, self._last = False, reply
        return reply

    def _begin_anew(self) -> Reply:
        self._awaited, self._anew = False, True
        self._restarts += 1
        return self._again(Answer.RESTARTED)

    def _again(self, answer: Answer) -> Reply:
        info = {"answer": answer, "frame": self._last.info.get("frame")}
        return Reply(self._last.observation, truncated=answer is Answer.RESTARTED, info=info)


class RecordedWorker:
    """Runs a task in this process, as late and as often anew as a recording tells.

    Parameters
    ----------
    make
        Makes the task.
    answers
        ``Answer`` of each recorded decision in which the task was asked, in order.
    """

    def __init__(self, make: Callable[[], AnyEnv], answers: Iterable[int]) -> None:
        self._make, self._answers = make, iter(answers)
        self.refused: dict[str, int] = {}
        self._env = make()
        self._request: Request

    @property
    def about(self) -> About:
        """Describe the task."""
        return About.of(self._env)

    def submit(self, request: Request) -> None:
        """Keep the request until it is to be answered."""
        self._request = request

    def collect(self) -> Reply | None:
        """Answer as at the same place of the recording; beyond its end, at once."""
        answer = next(self._answers, Answer.FRESH)
        if answer == Answer.RESTARTED:
            self._env.close()
            self._env = self._make()
            raise TaskLostError
        return perform(self._env, self._request) if answer == Answer.FRESH else None

    def picture(self) -> Any | None:
        """Draw the task."""
        return self._env.render()

    def close(self) -> None:
        """End the task."""
        self._env.close()


def replayed_task(config: TaskConfig, decision_ms: float, answers: Iterable[int]) -> IsolatedTask:
    """Build a task in this process, as late and as often anew as the recorded ``answers`` say."""
    return IsolatedTask(RecordedWorker(lambda: config.build(decision_ms), answers))


def _nothing(space: gymnasium.Space[Any]) -> Any:
    """Return what is told before the first answer: zeros in a Box, of other spaces always the same element."""
    if isinstance(space, gymnasium.spaces.Box):
        return np.clip(np.zeros(space.shape, space.dtype), space.low, space.high)
    space = copy.deepcopy(space)
    space.seed(0)
    return space.sample()


def _blank(frame_shape: tuple[int, ...]) -> dict[str, Any]:
    return {"frame": np.zeros(frame_shape, np.uint8)} if frame_shape else {}
