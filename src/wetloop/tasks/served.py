"""A Gymnasium environment that answers the messages of a session: the far end of a remote task."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from gymnasium import spaces

from wetloop.core.errors import ConfigError
from wetloop.net.messages import (
    Answer,
    BadMessageError,
    BoxActions,
    Bye,
    DiscreteActions,
    Hello,
    Refusal,
    Reset,
    Step,
    Welcome,
    message_bytes,
    read_asked,
)
from wetloop.tasks.pictures import shrunk
from wetloop.tasks.runner import action_converter, observation_converter

if TYPE_CHECKING:
    import numpy.typing as npt

    from wetloop.net.messages import Told
    from wetloop.tasks.isolation import AnyEnv

IDLE_S = 5.0
"""A session that has been silent for so long may be followed by another one, s."""


@dataclass(frozen=True)
class TaskFacts:
    """What an environment does not tell by itself.

    Attributes
    ----------
    events
        Every name that ``info["events"]`` may hold.
    magnitudes
        Events of which ``info["magnitudes"]`` tells how large they were.
    picture
        Height and width of a grey picture for people to look at, made of what the environment renders, pixels.
    """

    events: tuple[str, ...] = ()
    magnitudes: tuple[str, ...] = ()
    picture: tuple[int, int] | None = None


class TaskPlayer:
    """Answers messages with an environment; of one session at a time."""

    def __init__(self, env: AnyEnv, facts: TaskFacts) -> None:
        self._env, self._facts = env, facts
        self._to_action, _ = action_converter(env.action_space)
        self._to_vector, n = observation_converter(env.observation_space)
        self._welcome = _welcome(env, facts, n)
        self._connection, self._session = b"", ""
        self._heard_s, self._seq = -IDLE_S, 0
        self._failure: Exception | None = None

    def answers(self, connection: bytes, frames: list[bytes]) -> list[list[bytes]]:
        """Return what is to be sent back: one message, or none."""
        try:
            message = read_asked(frames[0] if len(frames) == 1 else b"")
        except BadMessageError as error:
            return [[message_bytes(Refusal(kind=error.kind, message=str(error)[:1000]))]]
        if isinstance(message, Hello):
            return [[message_bytes(self._greet(connection, message))]]
        if isinstance(message, Bye):
            self._part(connection)
            return []
        return [self._turn(connection, message)]

    def raise_failure(self) -> None:
        """Raise what the environment has raised."""
        if self._failure is not None:
            raise self._failure

    def _greet(self, connection: bytes, hello: Hello) -> Told:
        if hello.session != self._session and time.monotonic() - self._heard_s < IDLE_S:
            return Refusal(kind="busy", message=f"another session plays; it is forgotten after {IDLE_S:g} s of silence")
        self._connection, self._session, self._heard_s = connection, hello.session, time.monotonic()
        self._seq = 0
        return self._welcome

    def _part(self, connection: bytes) -> None:
        if connection == self._connection:
            self._connection, self._session, self._heard_s = b"", "", -IDLE_S

    def _turn(self, connection: bytes, message: Reset | Step) -> list[bytes]:
        if connection != self._connection:
            return [message_bytes(Refusal(seq=message.seq, kind="stranger", message="say hello first"))]
        self._heard_s = time.monotonic()
        if message.seq <= self._seq:
            text = f"seq {message.seq} comes after {self._seq}"
            return [message_bytes(Refusal(seq=message.seq, kind="out of order", message=text))]
        self._seq = message.seq
        try:
            return self._played(message)
        except Exception as error:  # noqa: BLE001  (whatever it is, the session must hear of it)
            self._failure = error
            text = f"{type(error).__name__}: {error}"[:1000]
            return [message_bytes(Refusal(seq=message.seq, kind="failed", message=text))]

    def _played(self, message: Reset | Step) -> list[bytes]:
        reward, terminated, truncated = 0.0, False, False
        if isinstance(message, Reset):
            observation, info = self._env.reset(seed=message.seed)
        else:
            action = self._action(message.action)
            observation, reward, terminated, truncated, info = self._env.step(action)  # type: ignore[assignment]  # an environment may count rewards in anything
        answer = Answer(
            seq=message.seq,
            observation=tuple(self._to_vector(observation).tolist()),
            reward=float(reward),
            terminated=bool(terminated),
            truncated=bool(truncated),
            events=tuple(dict.fromkeys(info.get("events", ()))),
            magnitudes={k: float(v) for k, v in info.get("magnitudes", {}).items() if k in self._facts.magnitudes},
        )
        return [message_bytes(answer), *self._picture()]

    def _action(self, told: tuple[float, ...] | int) -> Any:
        space = self._env.action_space
        if isinstance(space, spaces.Discrete):
            if not (isinstance(told, int) and 0 <= told < space.n):
                raise ConfigError(f"{told!r} is no action of {space}")
            return space.start + told
        return self._to_action(np.array(told, np.float64))

    def _picture(self) -> list[bytes]:
        if self._facts.picture is None:
            return []
        return [shrunk(np.asarray(self._env.render(), np.uint8), self._facts.picture).tobytes()]


def _welcome(env: AnyEnv, facts: TaskFacts, n_observations: int) -> Welcome:
    space = env.action_space
    actions: BoxActions | DiscreteActions
    if isinstance(space, spaces.Discrete):
        actions = DiscreteActions(n=int(space.n))
    else:
        low, high = (_bounds(getattr(space, side)) for side in ("low", "high"))
        actions = BoxActions(low=low, high=high)
    names = _named(env, "observation_names") or tuple(f"observation {i}" for i in range(n_observations))
    return Welcome(
        actions=actions,
        action_names=_named(env, "action_names"),
        observation_names=names,
        events=facts.events,
        magnitudes=facts.magnitudes,
        picture=facts.picture,
    )


def _named(env: AnyEnv, what: str) -> tuple[str, ...]:
    """Return the names that the environment or one of its wrappers gives."""
    return tuple(env.get_wrapper_attr(what)) if env.has_wrapper_attr(what) else ()


def _bounds(values: npt.NDArray[Any]) -> tuple[float | None, ...]:
    return tuple(value if np.isfinite(value) else None for value in np.asarray(values, float).ravel().tolist())
