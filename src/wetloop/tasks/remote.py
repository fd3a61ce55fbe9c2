"""The session's end of a task that a program elsewhere plays.

Only the answer to the request under way counts. Whatever else comes (late for a request that was given up, told twice,
malformed, oversized, not of the declared shape) is counted by kind and changes nothing.
"""

from __future__ import annotations

import math
import time
import uuid
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import zmq
from gymnasium import spaces

from wetloop.core.errors import ConfigError, TaskError
from wetloop.net.keys import key_pair, public_key
from wetloop.net.messages import (
    LARGEST_BYTES,
    MAX_PICTURE_BYTES,
    Answer,
    BadMessageError,
    Bye,
    DiscreteActions,
    Hello,
    Refusal,
    Reset,
    Step,
    Welcome,
    message_bytes,
    read_told,
)
from wetloop.tasks.isolation import About, IsolatedTask, Reply, Request
from wetloop.tasks.retold import told_of
from wetloop.tasks.worker import Failure, LinkWorker, Origin, Patience, TaskDiedError, timed

if TYPE_CHECKING:
    import numpy.typing as npt

    from wetloop.tasks.remote_config import RemoteTaskConfig

GOODBYE_MS = 200
"""How long a closed link tries to get its last message out, ms."""


class RemoteLink:
    """One connection to the program; a lost program is met again over a new one.

    Parameters
    ----------
    config
        Of the task.
    hello
        The first message, the same for every link of a session.
    deadline_ms
        What the program is told of the time it has, ms.
    refused
        Counts what changed nothing.
    """

    def __init__(self, config: RemoteTaskConfig, hello: Hello, deadline_ms: float, refused: Counter[str]) -> None:
        self._config, self._deadline_ms, self._refused = config, deadline_ms, refused
        self._about: Welcome | None = None
        self._asked = self._answered = 0
        self._drawn: list[tuple[int, Any]] = []
        self._picture: npt.NDArray[np.uint8] | None = None
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        try:
            self._socket = self._connected()
        except BaseException:
            self._context.destroy(linger=0)
            raise
        self._socket.send(message_bytes(hello))

    def send(self, message: tuple[int, Request | str] | None) -> None:
        """Send a request; the picture is the one that came with the last answer."""
        if message is None:
            self._socket.send(message_bytes(Bye()))
            return
        serial, what = message
        if isinstance(what, Request):
            self._asked = serial
            self._socket.send(self._request_bytes(serial, what))
        else:
            self._drawn.append((serial, self._picture))

    def receive(self, timeout_s: float) -> Any | None:
        """Return the next message that counts, or None if there is none in time; raise TaskDiedError on a refusal."""
        if self._drawn:
            return self._drawn.pop(0)
        end_s = time.monotonic() + timeout_s
        while self._socket.poll(math.ceil(max(0.0, end_s - time.monotonic()) * 1000)):
            message = self._read()
            if message is not None or time.monotonic() > end_s:
                return message
        return None

    def kill(self) -> None:
        """Break the connection off."""
        self._context.destroy(linger=0)

    def close(self) -> None:
        """Say goodbye and break the connection off."""
        if not self._socket.closed:
            self.send(None)
            self._context.destroy(linger=GOODBYE_MS)

    def _connected(self) -> zmq.Socket[bytes]:
        socket = self._context.socket(zmq.DEALER)
        socket.set(zmq.MAXMSGSIZE, LARGEST_BYTES)
        socket.set(zmq.IPV6, int("[" in self._config.address))
        if self._config.keys is not None:
            keys = Path(self._config.keys).expanduser()
            socket.curve_serverkey = public_key(keys, "remote")
            socket.curve_publickey, socket.curve_secretkey = key_pair(keys, "server")
        try:
            socket.connect(self._config.address)
        except zmq.ZMQError as error:
            raise ConfigError(f"task.address {self._config.address} cannot be reached: {error.strerror}") from None
        return socket

    def _request_bytes(self, seq: int, request: Request) -> bytes:
        if request.name == "reset":
            return message_bytes(Reset(seq=seq, seed=request.argument, deadline_ms=self._deadline_ms))
        action = request.argument
        told = int(action) if np.ndim(action) == 0 else tuple(np.asarray(action, float).ravel().tolist())
        return message_bytes(Step(seq=seq, action=told, deadline_ms=self._deadline_ms))

    def _read(self) -> About | tuple[int, Reply] | None:
        """Return what has come, or None where it changes nothing."""
        frames = self._socket.recv_multipart()
        try:
            message = read_told(frames[0])
        except BadMessageError as error:
            if error.kind == "version":
                raise TaskDiedError(Failure(TaskError, str(error))) from None
            self._refused[error.kind] += 1
            return None
        if isinstance(message, Answer):
            return self._answer(message, frames[1:])
        if isinstance(message, Welcome) and self._about is None:
            return self._introduced(message)
        if isinstance(message, Refusal) and message.seq in {0, self._asked}:
            raise TaskDiedError(Failure(TaskError, f"the program refuses ({message.kind}): {message.message}"))
        self._refused["out of order"] += 1
        return None

    def _introduced(self, welcome: Welcome) -> About:
        self._about = welcome
        for what in ("events", "magnitudes"):
            unknown = sorted(set(getattr(welcome, what)) - set(getattr(self._config, what)))
            if unknown:
                raise TaskDiedError(
                    Failure(ConfigError, f"the program tells {unknown[0]!r}, which task.{what} does not name: add it")
                )
        if welcome.picture:
            self._picture = np.zeros(welcome.picture, np.uint8)
        return about_of(welcome, self._config)

    def _answer(self, answer: Answer, frames: list[bytes]) -> tuple[int, Reply] | None:
        if self._about is None or answer.seq != self._asked or answer.seq == self._answered:
            self._refused["duplicate" if answer.seq == self._answered else "out of order"] += 1
            return None
        if not self._fits(self._about, answer, frames):
            self._refused["invalid"] += 1
            return None
        self._answered = answer.seq
        if self._about.picture:
            self._picture = np.frombuffer(frames[0], np.uint8).reshape(self._about.picture)
        return answer.seq, reply_of(answer, self._config)

    def _fits(self, about: Welcome, answer: Answer, frames: list[bytes]) -> bool:
        """Return whether an answer has the shape that the program itself has declared."""
        height, width = about.picture or (0, 0)
        wanted = [height * width] if about.picture else []
        return (
            len(answer.observation) == len(about.observation_names)
            and set(answer.events) <= set(about.events)
            and set(answer.magnitudes) <= set(about.magnitudes)
            and [len(frame) for frame in frames] == wanted
            and height * width <= MAX_PICTURE_BYTES
        )


def about_of(welcome: Welcome, config: RemoteTaskConfig) -> About:
    """Return what a program has told of its task, with an element of the observation for each magnitude."""
    actions = welcome.actions
    space: spaces.Space[Any]
    if isinstance(actions, DiscreteActions):
        space = spaces.Discrete(actions.n)
    else:
        low = np.array([-np.inf if x is None else x for x in actions.low])
        space = spaces.Box(low, np.array([np.inf if x is None else x for x in actions.high]), dtype=np.float64)
    names = (*welcome.observation_names, *(f"{name} magnitude" for name in config.magnitudes))
    shows = "rgb_array" if welcome.picture else None
    observations = spaces.Box(-np.inf, np.inf, (len(names),), np.float32)
    return About(space, observations, welcome.action_names, names, (), {"render_modes": ["rgb_array"]}, shows)


def reply_of(answer: Answer, config: RemoteTaskConfig) -> Reply:
    """Return a program's answer as the session takes it: as the recording will have it."""
    sizes = (answer.magnitudes.get(name, 0.0) for name in config.magnitudes)
    observation = np.array((*answer.observation, *sizes)).astype(np.float32)
    info = told_of(config, observation, set(answer.events))
    return Reply(observation, answer.reward, answer.terminated, answer.truncated, info)


def remote_task(config: RemoteTaskConfig, decision_ms: float, *, real_time: bool) -> IsolatedTask:
    """Connect to the program.

    Raises
    ------
    TaskError
        Where it does not answer, or refuses.
    ConfigError
        Where it tells what the configuration does not name, or a key cannot be read.
    """
    patience = timed(config, decision_ms) if real_time else Patience(config.connect_s, config.connect_s)
    hello, refused = Hello(session=uuid.uuid4().hex, decision_ms=decision_ms), Counter[str]()

    def begin() -> RemoteLink:
        return RemoteLink(config, hello, patience.deadline_s * 1000, refused)

    name = f"task remote at {config.address} (is a program serving there? wetloop.remote.serve_task makes one)"
    return IsolatedTask(LinkWorker(Origin(name, begin, config.connect_s), patience, refused))
