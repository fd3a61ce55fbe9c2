"""An Open Ephys GUI in front of a culture: HTTP server, ZMQ Interface or Falcon Output, Network Events.

A stimulator is wired to its TTL lines, as the settings tell. Where the culture gives spikes, they are sent as those of
a Spike Detector, and one channel of zeros tells how far the GUI is.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import zmq
from pydantic import Field

from wetloop.core.errors import ConfigError, RigError
from wetloop.core.plugin import EmulatorConfig
from wetloop.core.types import Signal
from wetloop_drivers.arrays import array_of
from wetloop_drivers.emulators.open_ephys_gui import Answering, Chain, HttpServer, network_events
from wetloop_drivers.emulators.zmq_ports import bound
from wetloop_drivers.open_ephys_falcon import FalconMessage, pack_falcon
from wetloop_drivers.open_ephys_gui import DATA_PORT, EVENTS_PORT, FALCON_PORT, HTTP_PORT, IDLE
from wetloop_drivers.open_ephys_ttl import LineConfig
from wetloop_drivers.open_ephys_wire import DataMessage, SpikeMessage, answer_to_client, pack_data, pack_spike

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from wetloop.core.protocols import Dish
    from wetloop.core.types import Block, Records

STREAM = "acquisition_board"
SPIKE_SAMPLES, PEAK_AT = 40, 8
TRIES = 20
WIRED = tuple(
    LineConfig(line=k + 1, electrodes=electrodes, amplitude=100.0, phase_us=200.0)
    for k, electrodes in enumerate([*((k,) for k in range(8)), tuple(range(8))])
)
"""Lines 1 to 8 reach one electrode of the upper row each, line 9 all of them: what Pong needs."""


class OpenEphysEmulatorConfig(EmulatorConfig):
    """An emulated Open Ephys GUI."""

    kind: Literal["open-ephys"] = "open-ephys"
    host: str = "127.0.0.1"
    """Address to listen at."""
    http_port: int = Field(HTTP_PORT, ge=0, le=65535)
    """Of the HTTP server; 0: chosen by the system, as of the other ports."""
    data_port: int | None = Field(None, ge=0, le=65534)
    """Of the plug-in that publishes; by default 5556 (zmq-interface, which listens at the next one too) or 3335."""
    events_port: int = Field(EVENTS_PORT, ge=0, le=65535)
    """Of the Network Events plug-in."""
    transport: Literal["zmq-interface", "falcon"] = "zmq-interface"
    """Which plug-in is in the signal chain."""
    buffer_ms: float = Field(10.0, gt=0, le=1000)
    """What is published at once, ms."""
    unit: Literal["uA", "mV"] = "mV"
    """What the stimulator behind the lines controls."""
    lines: tuple[LineConfig, ...] = WIRED
    """What the lines are wired to."""

    def build(self, dish: Dish) -> OpenEphysEmulator:
        if self.transport == "falcon" and dish.info.signal is Signal.SPIKES:
            raise ConfigError("the Falcon Output sends samples: set culture.signal to samples")
        return OpenEphysEmulator(self, dish)


class OpenEphysEmulator:
    """The GUI while it runs."""

    def __init__(self, config: OpenEphysEmulatorConfig, dish: Dish) -> None:
        self._config, self._dish = config, dish
        self._chain = Chain(("Acquisition Board", "Spike Detector", config.transport, "Network Events"), self._fire)
        self._wired = {wired.line: dish.load(wired.pattern(config.unit)) for wired in config.lines}
        self._buffer = max(1, round(config.buffer_ms * dish.info.frame_samples))
        self._context = zmq.Context()
        self._publisher: zmq.Socket[bytes] | None = None
        self._listeners: list[HttpServer | Answering] = []
        self._publishing = threading.Lock()
        self._pending: list[Block] = []
        self._start = self._origin = self._number = 0

    def open(self) -> Mapping[str, Any]:
        config = self._config
        try:
            data_port = self._publish_at()
            http = HttpServer(self._chain, config.host, config.http_port)
            self._listeners.append(http)
            events, events_port = bound(self._context, zmq.REP, self._config.host, config.events_port)
        except (OSError, zmq.ZMQError) as error:
            self.close()
            raise RigError(
                f"the emulated GUI cannot listen ({error}): end what uses its ports, or set others (0: any free one)"
            ) from error
        self._listeners.append(Answering(events, network_events(self._chain)))
        return {
            "gui": {"host": config.host, "http_port": http.port}, "data_port": data_port, "events_port": events_port,
            "transport": config.transport, "buffer_ms": config.buffer_ms,
            "signal": self._dish.info.signal.name.lower(),
            "sampling_frequency_hz": round(self._dish.info.sampling_frequency),
            "gain_uv": float(self._dish.info.gain_uv[0]) if self._dish.info.signal is Signal.SAMPLES else 0.195,
            "array": array_of(self._dish.info.probe),
            "through": "network-events", "unit": config.unit,
            "lines": [wired.model_dump() for wired in config.lines],
        }  # fmt: skip

    def deliver(self, block: Block) -> None:
        with self._publishing:
            if self._publisher is None or self._chain.mode == IDLE:
                self._pending.clear()
                return
            if self._start != self._chain.starts:
                self._start, self._origin, self._number = self._chain.starts, block.start_sample, 0
                self._pending.clear()
            self._pending.append(block)
            if sum(pending.n_samples for pending in self._pending) < self._buffer:
                return
            frames, self._pending = self._frames(self._pending), []
            for message in frames:
                self._publisher.send_multipart(message, zmq.NOBLOCK)

    def unplug(self) -> None:
        self._end()

    def close(self) -> None:
        self._end()
        self._context.destroy(linger=0)

    def _end(self) -> None:
        for listener in self._listeners:
            listener.close()
        with self._publishing:
            if self._publisher is not None:
                self._publisher.close(linger=0)
                self._publisher = None

    def _publish_at(self) -> int:
        """Bind what publishes, and of the ZMQ Interface what hears its clients, one port above; return its port."""
        config = self._config
        if config.transport == "falcon":
            port = FALCON_PORT if config.data_port is None else config.data_port
            self._publisher, port = bound(self._context, zmq.PUB, self._config.host, port)
            return port
        wanted = DATA_PORT if config.data_port is None else config.data_port
        for left in reversed(range(TRIES)):
            self._publisher, port = bound(self._context, zmq.PUB, self._config.host, wanted)
            try:
                clients, _ = bound(self._context, zmq.REP, self._config.host, port + 1)
            except zmq.ZMQError:
                self._publisher.close(linger=0)
                self._publisher = None
                if wanted or not left:
                    raise
            else:
                self._listeners.append(Answering(clients, answer_to_client))
                return port
        raise RigError("there are no two free ports next to each other")

    def _fire(self, line: int) -> None:
        if line in self._wired:
            self._dish.stimulate(self._wired[line])

    def _frames(self, blocks: Sequence[Block]) -> list[list[bytes]]:
        """Return the messages of one buffer."""
        start = blocks[0].start_sample - self._origin
        if self._dish.info.signal is Signal.SPIKES:
            n_samples = sum(block.n_samples for block in blocks)
            spikes = np.concatenate([block.spikes for block in blocks])
            return [*self._spikes(spikes), *self._channels(start, np.zeros((1, n_samples), np.float32))]
        bits = np.concatenate([block.samples for block in blocks])
        samples_uv = np.ascontiguousarray((bits * self._dish.info.gain_uv).T, np.float32)
        if self._config.transport == "falcon":
            return [[pack_falcon(self._falcon(start, samples_uv))]]
        return list(self._channels(start, samples_uv))

    def _falcon(self, start: int, samples_uv: np.ndarray) -> FalconMessage:
        rate = round(self._dish.info.sampling_frequency)
        codes = np.zeros(samples_uv.shape[1], np.uint16)
        return FalconMessage(self._next(), STREAM, start, rate, time.time(), samples_uv, codes)

    def _channels(self, start: int, samples_uv: np.ndarray) -> Iterator[list[bytes]]:
        rate, timestamp_ms = self._dish.info.sampling_frequency, round(time.time() * 1000)
        for channel, row in enumerate(samples_uv):
            message = DataMessage(self._next(), STREAM, channel, start, rate, row)
            yield pack_data(message, f"CH{channel + 1}", timestamp_ms)

    def _spikes(self, spikes: Records) -> Iterator[list[bytes]]:
        """Yield spikes with a waveform of the usual length that is nothing but its peak."""
        timestamp_ms = round(time.time() * 1000)
        for spike in spikes[spikes["sample_index"] >= self._origin]:
            waveform = np.zeros((1, SPIKE_SAMPLES), np.float32)
            waveform[0, PEAK_AT] = spike["amplitude_uv"]
            name, at = f"Electrode {spike['channel_index'] + 1}", int(spike["sample_index"]) - self._origin
            yield pack_spike(SpikeMessage(self._next(), STREAM, name, at, 0, waveform), timestamp_ms)

    def _next(self) -> int:
        self._number += 1
        return self._number - 1
