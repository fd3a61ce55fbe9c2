"""For programs that are the task of a session: serve any Gymnasium environment, or an agent, on a socket.

``docs/protocol.md`` describes the messages, for programs in other languages.
"""

from __future__ import annotations

import signal
import sys
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gymnasium
import numpy as np
import zmq
from gymnasium import spaces

from wetloop.core.errors import ConfigError
from wetloop.net.addresses import require_safe
from wetloop.net.keys import admit, key_pair, public_key
from wetloop.net.messages import LARGEST_BYTES
from wetloop.net.waiting import received
from wetloop.tasks.served import TaskFacts, TaskPlayer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    import numpy.typing as npt

    from wetloop.tasks.isolation import AnyEnv

ADDRESS = "tcp://127.0.0.1:5570"
REMEDY = "give keys=FOLDER (wetloop keys new FOLDER makes them), or listen on 127.0.0.1"


def serve_task(
    env: AnyEnv,
    address: str = ADDRESS,
    facts: TaskFacts | None = None,
    *,
    keys: str | Path | None = None,
    on_ready: Callable[[str], None] | None = None,
) -> None:
    """Be the task of one session after the other, until interrupted or terminated.

    Parameters
    ----------
    env
        The task: Box or Discrete actions, observations that can be flattened.
    address
        Where to listen; port 0 takes any that is free. Beyond this machine ``keys`` are needed.
    facts
        What the environment does not tell by itself.
    keys
        Folder with ``server.public`` and the pair ``remote``.
    on_ready
        Is told the address once it can be reached.

    Raises
    ------
    ConfigError
        Where the address or the environment cannot be used. What the environment raises is told and raised again.
    """
    _heed_sigterm()
    player = TaskPlayer(env, facts or TaskFacts())
    with _listening(address, None if keys is None else Path(keys)) as socket:
        if on_ready is not None:
            on_ready(socket.get_string(zmq.LAST_ENDPOINT))
        while True:
            connection, *frames = received(socket)
            for answer in player.answers(connection, frames):
                socket.send_multipart([connection, *answer])
            player.raise_failure()


def serve_agent(
    answer: Callable[[npt.NDArray[np.float64]], Mapping[str, float]],
    channels: int,
    patterns: Sequence[str],
    address: str = ADDRESS,
    **options: Any,
) -> None:
    """Be the agent of one session after the other: spike counts in, pulse rates out.

    Parameters
    ----------
    answer
        Takes the spikes of the last decision on each channel, shape (channels,); returns the rate of each pattern that
        is to be played from now on, Hz, by its name. A pattern that is left out is silent.
    channels
        Counts that the session tells (decoder ``counts``).
    patterns
        Patterns that the session has prepared (encoder ``requested``), in their order.
    address, options
        As of ``serve_task``.
    """
    serve_task(AgentTask(answer, channels, patterns), address, **options)


class AgentTask(gymnasium.Env[Any, Any]):
    """An agent as a task without end: its actions are the culture's counts, its observation the rates asked for."""

    def __init__(
        self,
        answer: Callable[[npt.NDArray[np.float64]], Mapping[str, float]],
        channels: int,
        patterns: Sequence[str],
    ) -> None:
        self._answer, self.observation_names = answer, tuple(patterns)
        self.action_names = tuple(f"channel {i}" for i in range(channels))
        self.action_space = spaces.Box(0.0, np.inf, (channels,), np.float64)
        self.observation_space = spaces.Box(0.0, np.inf, (len(self.observation_names),), np.float32)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Ask for nothing."""
        super().reset(seed=seed, options=options)
        return np.zeros(len(self.observation_names), np.float32), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Return the rates that the agent asks for."""
        rates_hz = self._answer(action)
        if unknown := sorted(set(rates_hz) - set(self.observation_names)):
            raise ConfigError(
                f"the agent asks for pattern {unknown[0]!r}: there are {', '.join(self.observation_names)}"
            )
        wanted = [rates_hz.get(name, 0.0) for name in self.observation_names]
        return np.array(wanted, np.float32), 0.0, False, False, {}


def _heed_sigterm() -> None:
    """End on SIGTERM where nothing else is wanted: what draws an environment may take its default away for good."""
    main = threading.current_thread() is threading.main_thread()
    if main and signal.getsignal(signal.SIGTERM) == signal.SIG_DFL:
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))


@contextmanager
def _listening(address: str, keys: Path | None) -> Iterator[zmq.Socket[bytes]]:
    require_safe(address, keys=keys is not None, remedy=REMEDY)
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    authenticator = None
    try:
        socket = context.socket(zmq.ROUTER)
        socket.set(zmq.MAXMSGSIZE, LARGEST_BYTES)
        socket.set(zmq.IPV6, int("[" in address))
        if keys is not None:
            authenticator = admit(context, {public_key(keys, "server").decode()})
            socket.curve_server = True
            socket.curve_publickey, socket.curve_secretkey = key_pair(keys, "remote")
        try:
            socket.bind(address)
        except zmq.ZMQError as error:
            raise ConfigError(f"{address} cannot be listened on: {error.strerror}; choose another port") from None
        yield socket
    finally:
        if authenticator is not None:
            authenticator.stop()
        context.destroy(linger=200)
