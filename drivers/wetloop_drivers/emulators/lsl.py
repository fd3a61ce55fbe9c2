"""A culture on the Lab Streaming Layer: an outlet of its spikes or samples, and a device that listens for pulses."""

from __future__ import annotations

import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Literal
from uuid import uuid4

import numpy as np
from pydantic import Field

from wetloop.core.errors import RigError
from wetloop.core.extras import from_extra
from wetloop.core.layout import positions_um
from wetloop.core.plugin import EmulatorConfig
from wetloop.core.types import Signal
from wetloop_drivers.lsl_wire import SILENCE, SPIKE_CHANNELS, parse_table

if TYPE_CHECKING:
    from collections.abc import Mapping

    from wetloop.core.protocols import Dish
    from wetloop.core.types import Block

LOOK_S, FOUND_S = 0.05, 5.0


class LslEmulatorConfig(EmulatorConfig):
    """A sender and a device on the Lab Streaming Layer."""

    kind: Literal["lsl"] = "lsl"
    stream: str = Field("wetloop-culture", min_length=1)
    """Name of the outlet."""
    markers: str = Field("wetloop-pulses", min_length=1)
    """Name of the stream of pulses that the device listens to."""

    def build(self, dish: Dish) -> LslEmulator:
        return LslEmulator(self, dish)


class LslEmulator:
    """Sender and device while they run."""

    def __init__(self, config: LslEmulatorConfig, dish: Dish) -> None:
        self._config, self._dish = config, dish
        self._outlet: Any = None
        self._origin_s: float | None = None
        self._sending, self._ended = threading.Lock(), threading.Event()
        self._device: threading.Thread | None = None

    def open(self) -> Mapping[str, Any]:
        pylsl = from_extra("pylsl", "lsl")

        info, has_spikes = self._dish.info, self._dish.info.signal is Signal.SPIKES
        n_channels, rate_hz = (2, pylsl.IRREGULAR_RATE) if has_spikes else (info.n_channels, info.sampling_frequency)
        form = pylsl.cf_float32 if has_spikes else pylsl.cf_int16
        stream = pylsl.StreamInfo(self._config.stream, "Spikes", n_channels, rate_hz, form, uuid4().hex)
        channels = stream.desc().append_child("channels")
        for label in SPIKE_CHANNELS if has_spikes else map(str, range(n_channels)):
            channels.append_child("channel").append_child_value("label", label)
        self._outlet = pylsl.StreamOutlet(stream, max_buffered=1)
        self._device = threading.Thread(target=self._listen, name="lsl device", daemon=True)
        self._device.start()
        return {
            "stream": self._config.stream, "markers": self._config.markers, "signal": info.signal.name.lower(),
            "sampling_frequency_hz": round(info.sampling_frequency), "positions_um": positions_um(info.probe).tolist(),
            "gain_uv": float(info.gain_uv[0]), "unit": info.unit,
        }  # fmt: skip

    def deliver(self, block: Block) -> None:
        pylsl = from_extra("pylsl", "lsl")

        rate_hz, end = self._dish.info.sampling_frequency, block.start_sample + block.n_samples
        with self._sending:
            if self._outlet is None:
                return
            if self._origin_s is None:
                self._origin_s = float(pylsl.local_clock()) - end / rate_hz
            if self._dish.info.signal is Signal.SAMPLES:
                last_s = self._origin_s + (end - 1) / rate_hz
                self._outlet.push_chunk(np.ascontiguousarray(block.samples), last_s)
                return
            for spike in block.spikes:
                row = [float(spike["channel_index"]), float(spike["amplitude_uv"])]
                self._outlet.push_sample(row, self._origin_s + float(spike["sample_index"]) / rate_hz)

    def unplug(self) -> None:
        self._end()

    def close(self) -> None:
        self._end()

    def _end(self) -> None:
        self._ended.set()
        with self._sending:
            self._outlet = None
        if self._device is not None:
            self._device.join()

    def _listen(self) -> None:
        """Be the device: find a stream of pulses and deliver them, again and again."""
        pylsl = from_extra("pylsl", "lsl")

        while not self._ended.is_set():
            for found in pylsl.resolve_byprop("name", self._config.markers, 1, LOOK_S):
                with suppress(pylsl.util.LostError, TimeoutError, RigError):
                    self._follow(pylsl.StreamInlet(found, max_buflen=1, recover=False))

    def _follow(self, inlet: Any) -> None:
        """Deliver what one stream asks for."""
        table = parse_table(inlet.info(FOUND_S).desc().child_value("patterns"))
        numbers = [self._dish.load(pattern) for pattern in table]
        try:
            inlet.open_stream(FOUND_S)
            while not self._ended.is_set():
                marker, _ = inlet.pull_sample(LOOK_S)
                if marker is None:
                    continue
                if marker[0] == SILENCE:
                    self._dish.silence()
                elif 0 <= marker[0] < len(numbers):
                    self._dish.stimulate(numbers[marker[0]])
        finally:
            inlet.close_stream()
