"""A small rig whose blocks the test writes itself."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import mkdtemp

import numpy as np
import pytest
from hypothesis import settings

from wetloop.core.guard import Pattern, PatternTable, Pulse, StimGuard
from wetloop.core.layout import grid_probe
from wetloop.core.limits import StimLimits
from wetloop.core.types import Block, Kind, PatternSet, Priority, RigInfo, Signal, Timing, Update, VoiceSetting
from wetloop.engine.build import EngineParts, Safety, new_engine, new_rings
from wetloop.engine.detector import DetectionConfig
from wetloop.engine.engine import Engine
from wetloop.kernels.records import ARMED, RUNNING, SPIKE

_lsl = Path(mkdtemp(prefix="wetloop-lsl-")) / "lsl_api.cfg"
_lsl.write_text(f"[lab]\nSessionID = {_lsl.parent.name}\n[multicast]\nResolveScope = machine\n", encoding="utf-8")
os.environ["LSLAPICFG"] = str(_lsl)  # LSL streams of tests stay on this machine, and meet those of no other run

settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.load_profile("repeatable")  # every run tries the same examples; `--hypothesis-profile=default` tries new ones

FRAME = 25
FAR = 10**12


@dataclass
class Bench:
    """An engine in RUNNING, fed with blocks that hold nothing but given spikes."""

    info: RigInfo
    table: PatternTable
    engine: Engine
    packet: int = FRAME
    at: int = 0
    given: np.ndarray = field(default_factory=lambda: np.zeros(0, SPIKE))

    def run(self, until):
        while self.at < until:
            stop = self.at + self.packet
            mine = (self.given["known_sample"] >= self.at) & (self.given["known_sample"] < stop)
            empty = np.zeros((0, self.info.n_channels), np.int16)
            self.engine.advance(Block(self.at, self.packet, empty, self.given[mine]), stop)
            self.at = stop
        return self.engine.pulses.take()

    def set(self, *, voice=0, first=0, count=1, kind=Kind.SENSORY, priority=Priority.SENSORY, update=Update.REPLACE,
            timing=Timing.REGULAR, start, stop, period, seed=0, lease=FAR):  # fmt: skip
        setting = VoiceSetting(
            voice, PatternSet(first, count), kind, priority, update, timing, start, stop, period, seed
        )
        return self.engine.submit((setting,), lease)


@pytest.fixture
def bench():
    """Make a bench: eight single electrodes as patterns 0 to 7, all eight together as pattern 8, on 8 channels."""

    def make(*, limits=None, packet=FRAME, lead=75, trip=0, state=RUNNING, signal=Signal.SPIKES):
        info = RigInfo(
            name="bench", sampling_frequency=25000.0, probe=grid_probe(4, 2, 200.0), signal=signal,
            gain_uv=np.full(8, 0.195, np.float32), packet_samples=packet, lead_samples=lead, unit="mV",
            limits=limits or StimLimits(), electrode_area_um2=707.0, access_resistance_kohm=12.0,
        )  # fmt: skip
        guard = StimGuard(info)
        pulse = Pulse.balanced(75.0, 200.0, "mV")
        table = guard.prepare(
            {f"place {i}": Pattern(pulse, (i,)) for i in range(8)} | {"all": Pattern(pulse, tuple(range(8)))}
        )
        engine = Engine(
            new_engine(EngineParts(info, table, Safety(guard.limits, trip), DetectionConfig())), new_rings()
        )
        if state == RUNNING:
            engine.change_state(ARMED)
            engine.change_state(RUNNING)
        return Bench(info, table, engine, packet)

    return make
