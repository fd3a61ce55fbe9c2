"""Marks pulses on an LSL stream: a device that listens delivers them, other recorders keep them.

Each marker is the number of a pattern; the table of the patterns is in the stream's description, -1 says: nothing any
more. LSL has no way back: that a marker was sent does not say that a pulse was delivered. Tested with liblsl through
pylsl; never with a stimulator.
"""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from wetloop.core.clock import wait_until
from wetloop.core.errors import RigError
from wetloop.core.extras import from_extra
from wetloop.core.limits import BoundLimits, StimLimits
from wetloop.core.plugin import StimulatorConfig

if TYPE_CHECKING:
    from wetloop.core.guard import PatternTable
    from wetloop.core.types import RigInfo

BUFFER_S = 1
SETTLED_S = 0.5
"""A stream lives so long after a listener came, s: liblsl crashes where it ends while one is being connected."""
SPARE_MS = 3.0


class LslMarkersConfig(StimulatorConfig):
    """A stream of pulses for another device."""

    kind: Literal["lsl"] = "lsl"
    markers: str = "wetloop-pulses"
    """Name of the stream of pulses."""
    source_id: str = "wetloop-pulses"
    """Tells a listener that the stream is the same one again."""
    unit: Literal["mV", "uA"] = "mV"
    """What the device controls."""
    limits: BoundLimits = StimLimits()
    """What the device can do."""
    amplitude_step: float = Field(0.0, ge=0, allow_inf_nan=False)
    """Smallest step of its amplitude, in ``unit``; 0: any."""
    device_ms: float = Field(1.0, ge=0, le=1000, allow_inf_nan=False)
    """From a marker to its pulse, ms."""
    patience_s: float = Field(10.0, gt=0, le=600, allow_inf_nan=False)
    """How long to wait for a device that listens, s."""

    def describe(self, rig: RigInfo) -> RigInfo:
        return replace(
            rig,
            unit=self.unit,
            limits=rig.limits.tightened(self.limits),
            max_patterns=256,
            amplitude_step=self.amplitude_step,
            immediate=True,
            trigger_latency_ms=self.device_ms,
            lead_samples=rig.lead_samples + rig.samples(self.device_ms + SPARE_MS),
        )

    def build(self, info: RigInfo) -> LslMarkers:
        _ = info
        return LslMarkers(self)


class LslMarkers:
    """The outlet."""

    def __init__(self, config: LslMarkersConfig) -> None:
        self._config = config
        self._outlet: Any = None
        self._heard_s = 0.0

    def prepare(self, table: PatternTable) -> None:
        pylsl = from_extra("pylsl", "lsl")

        from wetloop_drivers.lsl_wire import pack_table

        name = self._config.markers
        info = pylsl.StreamInfo(name, "Markers", 1, pylsl.IRREGULAR_RATE, pylsl.cf_int32, self._config.source_id)
        info.desc().append_child_value("patterns", pack_table(table.patterns))
        self._outlet = pylsl.StreamOutlet(info, max_buffered=BUFFER_S)
        if not self._outlet.wait_for_consumers(self._config.patience_s):
            raise RigError(
                f"nobody listens to the LSL stream {name!r} after {self._config.patience_s:g} s: start the device, or "
                "correct stimulator.markers"
            )
        self._heard_s = time.monotonic()

    def trigger(self, pattern: int, at_sample: int) -> None:
        _ = at_sample
        self._require_listener()
        self._outlet.push_sample([pattern])

    def silence(self) -> None:
        if self._outlet is not None:
            self._push_silence()

    def ping(self) -> None:
        """Look whether anybody listens; LSL has no question that a listener would answer."""
        self._require_listener()

    def close(self) -> None:
        if self._outlet is not None:
            self._push_silence()
            wait_until(lambda: time.monotonic() - self._heard_s > SETTLED_S, SETTLED_S)
            self._outlet = None

    def _push_silence(self) -> None:
        from wetloop_drivers.lsl_wire import SILENCE

        self._outlet.push_sample([SILENCE])

    def _require_listener(self) -> None:
        if self._outlet is None:
            raise RigError("the LSL stream of pulses is not prepared")
        if not self._outlet.have_consumers():
            raise RigError(f"nobody listens to the LSL stream {self._config.markers!r} any more: look at the device")
