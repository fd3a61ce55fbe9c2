"""From a trigger to its bytes at the far end of the wire: rows of ``bench_drivers.py``.

A serial line is a pseudo-terminal, TCP is loopback: the figures are what this computer adds. A device's USB port adds
up to 1 ms, a network its own. The far end of TCP is a thread of this process, which has to get Python's lock first.
"""

import os
import pty
import select
import socket
import threading
import time
import tty

import numpy as np

from wetloop.core.guard import Pattern, Pulse, StimGuard
from wetloop.culture.config import PoissonConfig
from wetloop.emulation import bench
from wetloop.registry import find

GOAL_US = 200.0
PAUSE_S = 0.003
"""Between two triggers."""
PULSES = {"mV": Pulse.balanced(100, 200, "mV"), "uA": Pulse.balanced(5, 200, "uA")}
SERIAL = ("pulsepal", "stimjim", "harp")


class SilentDish:
    """A dish that stimulates nothing, and takes no time to."""

    info = PoissonConfig().build(1).info

    def load(self, pattern):
        return hash(pattern)

    def stimulate(self, number, delay_samples=0):
        return number + delay_samples

    def silence(self):
        pass


class FarEnd:
    """The device's end of a line: a thread answers while patterns are loaded, the benchmark itself while it times."""

    def __init__(self, kind):
        self.emulator = find("wetloop.emulators", kind)().build(SilentDish())
        self.settings = dict(self.emulator.open())
        self.near, self.far = pty.openpty()
        tty.setraw(self.far)
        self.settings["ports"] = [os.ttyname(self.far)]
        self.loaded = threading.Event()
        self.thread = threading.Thread(target=self.serve)
        self.thread.start()

    def serve(self):
        while not self.loaded.is_set():
            if select.select([self.near], [], [], 0.01)[0]:
                self.answer(os.read(self.near, 4096))

    def answer(self, data):
        now_s = time.monotonic()
        if hasattr(self.emulator, "board"):
            os.write(self.near, self.emulator.board.hear(data, round(now_s * 1e6)))
        else:
            os.write(self.near, self.emulator.firmware.hear(data, now_s))

    def take_over(self):
        self.loaded.set()
        self.thread.join()

    def close(self):
        self.take_over()
        self.emulator.close()
        os.close(self.near)
        os.close(self.far)


def serial_us(kind, n_triggers):
    """Return the times from each trigger until its bytes are read at the far end, us."""
    end = FarEnd(kind)
    config = find("wetloop.stimulators", kind)(**end.settings)
    info = config.describe(SilentDish.info)
    stimulator, took = config.build(info), np.empty(n_triggers)
    try:
        stimulator.prepare(StimGuard(info).prepare({"pulse": Pattern(PULSES[info.unit], (0,))}))
        end.take_over()
        for k in range(n_triggers):
            time.sleep(PAUSE_S)
            begun_ns = time.monotonic_ns()
            stimulator.trigger(0, 0)
            data = os.read(end.near, 4096)
            took[k] = (time.monotonic_ns() - begun_ns) / 1000
            end.answer(data)
    finally:
        stimulator.close()
        end.close()
    return took


class Relay:
    """Stands between a driver and one port of what it talks to, and notes when the driver's bytes come."""

    def __init__(self, port):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port, self.target = self.listener.getsockname()[1], port
        self.came_ns, self.came = 0, threading.Event()
        self.links = []
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                near, _ = self.listener.accept()
            except OSError:
                return
            far = socket.create_connection(("127.0.0.1", self.target))
            for link in (near, far):
                link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.links += [near, far]
            threading.Thread(target=self.pump, args=(near, far, True), daemon=True).start()
            threading.Thread(target=self.pump, args=(far, near, False), daemon=True).start()

    def pump(self, source, sink, noted):
        try:
            while data := source.recv(4096):
                if noted and not self.came.is_set():
                    self.came_ns = time.monotonic_ns()
                    self.came.set()
                sink.sendall(data)
        except OSError:
            pass

    def close(self):
        for link in (self.listener, *self.links):
            link.close()


def relayed_us(relay, stimulator, n_triggers, between):
    """Return the times from each trigger until its bytes are received, us; ``between`` is called before each."""
    took = np.empty(n_triggers)
    for k in range(n_triggers):
        between()
        relay.came.clear()
        begun_ns = time.monotonic_ns()
        stimulator.trigger(0, 0)
        relay.came.wait(1.0)
        took[k] = (relay.came_ns - begun_ns) / 1000
    return took


def open_ephys_us(n_triggers):
    """Raise a line of the acquisition board by the GUI's HTTP server."""
    ports = [f"open-ephys.{name}=0" for name in ("http_port", "data_port", "events_port")]
    dish, emulators = bench(["open-ephys"], ["culture.kind=poisson", *ports])
    settings = dish.start(emulators)
    relay = Relay(settings["gui"]["http_port"])
    line = {"line": 1, "electrodes": [0], "amplitude": 100, "phase_us": 200}
    config = find("wetloop.stimulators", "open-ephys")(
        through="message", gui={**settings["gui"], "http_port": relay.port}, lines=[line]
    )
    info, source = config.describe(dish.info), find("wetloop.sources", "open-ephys")(**own(settings)).build(1)
    source.open()
    source.read()
    stimulator = config.build(info)
    try:
        stimulator.prepare(StimGuard(info).prepare({"pulse": Pattern(PULSES["mV"], (0,))}))
        return relayed_us(relay, stimulator, n_triggers, lambda: time.sleep(0.025))
    finally:
        for part in (stimulator, source, relay, dish):
            part.close()


def own(settings):
    """Return an emulator's settings that the source has."""
    fields = find("wetloop.sources", "open-ephys").model_fields
    return {key: value for key, value in settings.items() if key in fields}


def rhx_us(n_triggers):
    """Press a key of RHX by its command port, while data come."""
    ports = [f"intan-rhx.{name}=0" for name in ("command_port", "waveform_port", "spike_port")]
    dish, emulators = bench(["intan-rhx"], ["culture.kind=poisson", *ports])
    settings = dish.start(emulators)
    relay = Relay(settings["command_port"])
    rig = find("wetloop.sources", "intan-rhx")(**{**settings, "command_port": relay.port}).build(1)
    rig.open()
    try:
        rig.prepare(StimGuard(rig.info).prepare({"pulse": Pattern(PULSES["uA"], (0,))}))
        rig.read()
        return relayed_us(relay, rig, n_triggers, rig.read)
    finally:
        for part in (rig, relay, dish):
            part.close()


def rows(n_triggers):
    """Yield (name, times in us, goal of the median)."""
    for kind in SERIAL:
        yield f"{kind}, pty", serial_us(kind, n_triggers), GOAL_US
    yield "intan-rhx, TCP", rhx_us(min(n_triggers, 300)), GOAL_US
    yield "open-ephys, HTTP", open_ephys_us(min(n_triggers, 300)), GOAL_US
