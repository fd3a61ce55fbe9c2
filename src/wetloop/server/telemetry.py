"""Telemetry: what happens on the rig, published for whoever listens; a slow listener loses messages, nobody waits.

Each message has two frames, the topic and a JSON object with ``seq``, which counts the topic's messages: a gap tells
that some were lost. Streams bring what is new since the message before, at most 20 times a second: ``spikes``,
``pulses`` and ``decisions`` with one list per column, and in ``lost`` how many rows were overwritten before they could
be read; ``rates`` with one value per channel, Hz, 10 times a second. ``state``, ``health`` and ``alarms`` are latest
values: a new subscriber is sent the last one.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np
import zmq

from wetloop.engine.alarm_rows import ALARM, Standing
from wetloop.engine.live import control_word, set_control_word
from wetloop.engine.words import CONTROL_WORDS, FORWARDED, HELD_BACK, LATE_BLOCKS, POSITION
from wetloop.kernels.records import PULSE, SPIKE, STATES
from wetloop.kernels.rings import DROPPED, load_head, new_ring, observe

if TYPE_CHECKING:
    from wetloop.core.types import Records, RigInfo
    from wetloop.engine.live import Shared
    from wetloop.kernels.rings import Ring

STREAMS = {
    "spikes": ("sample_index", "channel_index", "amplitude_uv"),
    "pulses": ("sample_index", "pattern", "kind", "fate"),
    "decisions": ("index", "stop_sample", "playing", "events", "reward", "action", "observation"),
}
"""Columns of each stream."""
LATEST = ("state", "health", "alarms")
TOPICS = (*STREAMS, "rates", *LATEST)
BATCH_S, RATES_S, HEALTH_S = 0.05, 0.1, 0.5
ROWS = 4096
"""Rows that are read at once from a ring."""
HIGH_WATER = 1000
"""Messages that wait for a slow listener before it loses some."""


class Observer:
    """Reads a ring from now on, or ``anew`` from the oldest record on, as one that may be lapped."""

    def __init__(self, ring: Ring, *, anew: bool = False) -> None:
        self._ring, self._cursor = ring, 0 if anew else load_head(ring.words)
        self._out = np.zeros(ROWS, ring.slots.dtype)

    def take(self) -> tuple[Records, int]:
        """Return the next rows, at most ROWS, and how many were lost before them."""
        n, self._cursor, lost = observe(self._ring, self._cursor, self._out)
        return self._out[:n], lost


def warm_up() -> None:
    """Load the kernels for the records of a session, so that no command waits for that."""
    for dtype in (SPIKE, PULSE, ALARM):
        Observer(new_ring(dtype, 2)).take()
    control = np.zeros(CONTROL_WORDS, np.int64)
    set_control_word(control, POSITION, control_word(control, POSITION))


class Telemetry:
    """Publishes on an XPUB socket what happens on this rig."""

    def __init__(self, socket: zmq.Socket[bytes], info: RigInfo) -> None:
        self._socket, self._sampling_frequency = socket, info.sampling_frequency
        self._numbers: Counter[str] = Counter()
        self._latest: dict[str, bytes] = {}
        self._due: dict[str, float] = {}
        self._standing: dict[str, Any] = {}
        self._shared: Shared | None = None
        self._observers: dict[str, Observer] = {}
        self._alarm_rows: Observer | None = None
        self._alarms = Standing()
        self._counts = np.zeros(info.n_channels, np.int64)
        self._counted_from = 0

    def greet(self) -> None:
        """Send the latest values to whoever has just subscribed."""
        while True:
            try:
                wish = self._socket.recv(zmq.NOBLOCK)
            except zmq.Again:
                return
            if wish[:1] == b"\x01":
                for topic, message in self._latest.items():
                    if topic.encode().startswith(wish[1:]):
                        self._socket.send_multipart([topic.encode(), message], zmq.NOBLOCK)

    def state(self, status: dict[str, Any]) -> None:
        """Publish how things stand, where that has changed."""
        if self._standing != status:
            self._standing = status
            self._publish("state", status)

    def follow(self, shared: Shared | None) -> None:
        """Publish what a session has done since the last call; of one that is over, what it did last."""
        if shared is not self._shared:
            self._tell_news()
            self._attach(shared)
        if shared is None:
            return
        self._tell_news()
        if self._is_due("rates", RATES_S):
            self._rates(shared)
        if self._is_due("health", HEALTH_S):
            self._publish("health", health(shared))

    def _attach(self, shared: Shared | None) -> None:
        self._shared, self._observers, self._alarm_rows = shared, {}, None
        if shared is not None:
            self._alarm_rows, self._alarms = Observer(shared.alarms, anew=True), Standing()
            self._publish("alarms", self._alarms.to_dict())
            rings = {"spikes": shared.rings.spikes, "pulses": shared.rings.pulses, "decisions": shared.decisions}
            self._observers = {topic: Observer(ring) for topic, ring in rings.items()}
            self._counts[:] = 0
            self._counted_from = int(shared.control[POSITION])

    def _tell_news(self) -> None:
        for topic, observer in self._observers.items():
            self._stream(topic, observer)
        if self._alarm_rows is not None and len(rows := self._alarm_rows.take()[0]):
            self._alarms.add(rows)
            self._publish("alarms", self._alarms.to_dict())

    def _stream(self, topic: str, observer: Observer) -> None:
        while True:
            rows, lost = observer.take()
            if not len(rows) and not lost:
                return
            if topic == "spikes":
                self._counts += np.bincount(rows["channel_index"], minlength=len(self._counts))[: len(self._counts)]
            columns = {name: _finite(rows[name]) for name in STREAMS[topic]}
            self._publish(topic, {"lost": lost, **columns})
            if len(rows) < ROWS:
                return

    def _rates(self, shared: Shared) -> None:
        start, stop = self._counted_from, int(shared.control[POSITION])
        if stop > start:
            rates_hz = self._counts * (self._sampling_frequency / (stop - start))
            self._publish("rates", {"start_sample": start, "stop_sample": stop, "rates_hz": rates_hz.tolist()})
        self._counts[:] = 0
        self._counted_from = stop

    def _is_due(self, topic: str, every_s: float) -> bool:
        now = time.monotonic()
        if now < self._due.get(topic, 0.0):
            return False
        self._due[topic] = now + every_s
        return True

    def _publish(self, topic: str, content: dict[str, Any]) -> None:
        self._numbers[topic] += 1
        message = json.dumps({"seq": self._numbers[topic], **content}, allow_nan=False).encode()
        if topic in LATEST:
            self._latest[topic] = message
        self._socket.send_multipart([topic.encode(), message], zmq.NOBLOCK)


def _finite(column: Records) -> list[Any]:
    """Return plain values, null in place of those that JSON does not have."""
    if column.dtype.kind != "f" or np.isfinite(column).all():
        return list(column.tolist())
    plain = column.astype(object)
    plain[~np.isfinite(column)] = None
    return list(plain.tolist())


def alarms(shared: Shared) -> Standing:
    """Return what stands of a session's alarms."""
    standing = Standing()
    standing.add(Observer(shared.alarms, anew=True).take()[0])
    return standing


def health(shared: Shared) -> dict[str, Any]:
    """Return how a session is doing."""
    words = {
        "position_sample": POSITION, "late_blocks": LATE_BLOCKS, "pulses_forwarded": FORWARDED,
        "pulses_held_back": HELD_BACK,
    }  # fmt: skip
    rings = {**shared.rings._asdict(), "packets": shared.packets.ring, "decisions": shared.decisions}
    core, recorder = shared.records.core[0], shared.health[0]
    return {name: int(shared.control[word]) for name, word in words.items()} | {
        "guard_state": STATES[int(core["state"])],
        "lost_samples": int(core["lost"]),
        "dropped": {name: int(ring.words[DROPPED]) for name, ring in rings.items()},
        "recorder": {name: int(recorder[name]) for name in recorder.dtype.names},
    }
