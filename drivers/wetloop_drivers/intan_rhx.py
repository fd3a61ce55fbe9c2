"""Intan RHD and RHS controllers through the TCP ports of Intan's RHX software.

Samples or spikes come from the data ports; an RHS controller stimulates when one of eight keys (F1 to F8) is pressed by
command, each with pulses that were loaded before. RHX takes data from the controller about 30 times a second: whatever
is asked of it, nothing is known earlier than about 34 ms.

Protocol-tested against an emulator that python-intan reads; not yet hardware-tested.
"""

from __future__ import annotations

import re
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from wetloop.core.errors import LatePulseError, RigError
from wetloop.core.rig_pulses import SEEN
from wetloop_drivers.intan_rhx_console import Console
from wetloop_drivers.intan_rhx_keys import parameters, plan_keys
from wetloop_drivers.intan_rhx_streams import Streams, interleaved
from wetloop_drivers.intan_rhx_wire import same_value
from wetloop_drivers.intan_rhx_witness import StimWitness

if TYPE_CHECKING:
    from wetloop.core.guard import PatternTable
    from wetloop.core.types import Block, Records
    from wetloop_drivers.intan_rhx_config import IntanRhxConfig
    from wetloop_drivers.intan_rhx_keys import KeyPlan

OLDEST = (3, 3, 1)
"""Version from which a client can open the data ports."""
TYPES = {"rhs": ("ControllerStimRecord",), "rhd": ("ControllerRecordUSB2", "ControllerRecordUSB3")}
STALE_NS = 250_000_000
"""Without frames for so long, nothing is stimulated: it would be blind, and might arrive at any time."""
RETRY_S = 0.1


class _Loaded(NamedTuple):
    """What was prepared: the keys, and the command of each pattern."""

    plan: KeyPlan
    commands: tuple[bytes, ...]


class RhxSource:
    """Frames or spikes from RHX, which is started at the first ``read``: until then it can be loaded.

    Attributes
    ----------
    outages
        How often RHX was lost and found again.
    """

    def __init__(self, config: IntanRhxConfig) -> None:
        self.config, self.info = config, config.describe()
        self.outages = 0
        self._console: Console | None = None
        self._streams: Streams | None = None
        self._loaded: _Loaded | None = None
        self._witness: StimWitness | None = None
        self._lost_s: float | None = None
        self._running = False
        self._pause = threading.Event()

    @property
    def lost_for_s(self) -> float | None:
        """For how long RHX has been lost, s; None while it is there."""
        return None if self._lost_s is None else time.monotonic() - self._lost_s

    def open(self) -> None:
        self._console = Console(self.config.host, self.config.command_port)
        self._check(self._console)
        self._stop_running(self._console)
        self._configure(self._console)

    def read(self) -> Block:
        if not self._running:
            self._start()
        try:
            return self._next_block(self._found())
        except RigError as error:
            if self.config.reconnect.policy == "stop":
                raise
            return self._without(error)

    def close(self) -> None:
        console, self._console = self._console, None
        if console is not None:
            with suppress(RigError):
                self._stop_running(console)
                self._disarm(console)
            console.close()
        if self._streams is not None:
            self._streams.close()
        self._running = False

    def _check(self, console: Console) -> None:
        """Refuse an RHX that is not what the configuration says."""
        config = self.config
        version = tuple(int(part) for part in re.findall(r"\d+", console.get("Version"))[:3])
        if version < OLDEST:
            raise RigError(f"RHX is of version {'.'.join(map(str, version))}; 3.3.1 or newer is needed: update it")
        kind = console.get("Type")
        if kind not in TYPES[config.controller]:
            raise RigError(f"RHX has a {kind}, but source.controller is {config.controller}: correct the configuration")
        wanted = {"SampleRateHertz": str(config.sampling_frequency_hz), "Playback": "False"}
        if config.controller == "rhs":
            wanted["StimStepSizeMicroAmps"] = f"{config.stim_step_ua:g}"
        for name, value in wanted.items():
            told = console.get(name)
            if not same_value(told, value):
                raise RigError(f"RHX's {name} is {told}, but the configuration says {value}: change one of them")

    def _stop_running(self, console: Console) -> None:
        mode = console.get("RunMode").lower()
        if mode == "run":
            console.order("set runmode stop")
        elif mode != "stop":
            raise RigError(f"RHX is in RunMode {mode}, so somebody else is at work: stop it in RHX first")

    def _configure(self, console: Console) -> None:
        console.order("execute clearalldataoutputs")
        console.assign({"TCPNumberDataBlocksPerWrite": "1"})
        output = "TCPDataOutputEnabled" + ("" if self.config.signal == "samples" else "Spike")
        settings = [f"set {name}.{output} True" for name in self.config.names]
        if self.config.threshold_uv is not None:
            threshold = f"SpikeThresholdMicroVolts {self.config.threshold_uv:g}"
            settings += [f"set {name}.{threshold}" for name in self.config.names]
        console.order(*settings)

    def _start(self) -> None:
        """Connect the data ports and start the controller."""
        if self._console is None:
            raise RigError("read was called before open")
        wide = self.config.signal == "samples"
        stim = () if self._loaded is None else tuple(self._loaded.plan.pulses)
        if not wide and not stim:
            self._console.order(f"set {self.config.names[0]}.TCPDataOutputEnabled True")
        columns, stim_columns, n_words = interleaved(self.info.n_channels, wide=wide, stim=stim)
        self._streams = Streams(
            self.config.names, columns, max(1, n_words), self.config.packet_blocks, self.info.sampling_frequency
        )
        if self._loaded is not None and stim:
            self._witness = StimWitness(stim_columns)
        self._connect_data(self._console, self._streams, "Connected")
        self._console.order("set runmode run")
        self._require_running(self._console)
        self._running = True

    def _connect_data(self, console: Console, streams: Streams, refused: str) -> None:
        """Have RHX listen on its data ports, and connect."""
        takes_spikes = self.config.signal == "spikes"
        for output in ("Waveform", "Spike") if takes_spikes else ("Waveform",):
            status = console.get(f"TCP{output}DataOutputConnectionStatus")
            if status == refused:
                raise RigError(f"RHX's {output.lower()} output has another client: close that program")
            if status == "Connected":
                console.order(f"execute DisconnectTCP{output}DataOutput")
            if status != "Pending":
                console.order(f"execute ConnectTCP{output}DataOutput")
        streams.connect(self.config.host, self.config.waveform_port, self.config.spike_port if takes_spikes else None)

    def _require_running(self, console: Console) -> None:
        mode = console.get("RunMode")
        if mode.lower() != "run":
            raise RigError(f"RHX should be running, but its RunMode is {mode}")

    def _next_block(self, streams: Streams) -> Block:
        run = streams.next_run()
        if run is None:
            return streams.nothing()
        if self._witness is not None:
            self._witness.watch(run)
        return streams.block(run)

    def _found(self) -> Streams:
        """Return the streams, connected anew where they were lost."""
        if self._streams is None:
            raise RigError("RHX is closed")
        if self._lost_s is not None:
            console = Console(self.config.host, self.config.command_port)
            try:
                self._require_running(console)
                self._connect_data(console, self._streams, "")
            except RigError:
                console.close()
                raise
            self._console, self._lost_s = console, None
            self.outages += 1
        return self._streams

    def _without(self, error: RigError) -> Block:
        """Return an empty block while RHX is lost, until patience is over."""
        now_s, patience_s = time.monotonic(), self.config.reconnect.patience_s
        streams = self._streams
        if self._lost_s is None:
            self._lost_s = now_s
            self._hang_up()
        if now_s - self._lost_s > patience_s or streams is None:
            raise RigError(f"RHX was lost and did not come back within {patience_s:g} s: {error}") from error
        self._pause.wait(RETRY_S)
        return streams.nothing()

    def _hang_up(self) -> None:
        if self._console is not None:
            self._console.close()
        if self._streams is not None:
            self._streams.close()

    def _disarm(self, console: Console) -> None:
        """Leave no channel behind that a key could stimulate."""
        if self._loaded is None:
            return
        console.order(*(f"set {self.config.names[c]}.StimEnabled False" for c in self._loaded.plan.pulses))
        console.upload()


class RhxRig(RhxSource):
    """An RHS controller: source and stimulator."""

    def prepare(self, table: PatternTable) -> None:
        if self._console is None:
            raise RigError("prepare was called before open")
        faults = self.config.misfits(table)
        if faults:
            raise RigError("RHX cannot hold the patterns:\n  " + "\n  ".join(faults))
        plan = plan_keys(table)
        self._loaded = _Loaded(plan, tuple(plan.press(pattern) for pattern in range(len(table))))
        self._load(self._console, plan)

    def trigger(self, pattern: int, at_sample: int) -> None:
        console, streams = self._console, self._streams
        if self._loaded is None or console is None or streams is None:
            raise RigError("trigger was called before the rig was prepared and running")
        if self._lost_s is not None or time.monotonic_ns() - streams.heard_ns > STALE_NS:
            raise LatePulseError(f"the pulse for sample {at_sample} is left out: nothing is heard of RHX")
        try:
            console.tell(self._loaded.commands[pattern])
        except RigError as error:
            if self.config.reconnect.policy == "stop":
                raise
            raise LatePulseError(f"the pulse for sample {at_sample} is left out: {error}") from error

    def silence(self) -> None:
        """Let go of every key; pulses are single, so none is left that could come later."""
        if self._running and self._console is not None and self._loaded is not None:
            with suppress(RigError):
                self._console.tell(self._loaded.plan.release())

    def take_seen(self) -> Records:
        """Return the pulses that STIM words told of since the last call."""
        return np.zeros(0, SEEN) if self._witness is None else self._witness.take()

    def _load(self, console: Console, plan: KeyPlan) -> None:
        """Set, read back and upload: stimulated channels get their pulse, every other one is disarmed."""
        names, config = self.config.names, self.config
        values = {f"{name}.StimEnabled": "False" for name in names}
        for key, channels in enumerate(plan.channels_of_key):
            for channel in channels:
                own = parameters(plan.pulses[channel], key, config.refractory_us, config.settle_us)
                values |= {f"{names[channel]}.{item}": value for item, value in own.items()}
        values |= {f"{names[c]}.TCPDataOutputEnabledStim": "True" for c in plan.pulses}
        console.assign(values)
        console.upload()
