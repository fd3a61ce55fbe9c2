"""Times serial stimulators: from a trigger to its bytes at the far end of the line.

    python scripts/bench_drivers_serial.py [--triggers 2000]

The line is a pseudo-terminal: the figure is what this computer adds; USB adds up to 1 ms of its own. Goal: half of the
triggers within 200 us.
"""

import argparse
import os
import pty
import select
import sys
import threading
import time
import tty

import numpy as np

from wetloop.core.guard import Pattern, Pulse, StimGuard
from wetloop.culture.config import PoissonConfig
from wetloop.registry import find

GOAL_US = 200.0
PULSES = {"mV": Pulse.balanced(100, 200, "mV"), "uA": Pulse.balanced(5, 200, "uA")}
KINDS = ("pulsepal", "stimjim", "harp")


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


def trigger_us(kind, n_triggers):
    """Return the times from each trigger until its bytes are read at the far end, us."""
    end = FarEnd(kind)
    config = find("wetloop.stimulators", kind)(**end.settings)
    info = config.describe(SilentDish.info)
    stimulator, took = config.build(info), np.empty(n_triggers)
    try:
        stimulator.prepare(StimGuard(info).prepare({"pulse": Pattern(PULSES[info.unit], (0,))}))
        end.take_over()
        for k in range(n_triggers):
            time.sleep(0.003)
            begun_ns = time.monotonic_ns()
            stimulator.trigger(0, 0)
            data = os.read(end.near, 4096)
            took[k] = (time.monotonic_ns() - begun_ns) / 1000
            end.answer(data)
    finally:
        stimulator.close()
        end.close()
    return took


def serial_rows(n_triggers):
    """Return rows of the table of drivers: (name, p50, p99 and largest in us, goal of p50)."""
    rows = []
    for kind in KINDS:
        spread = np.percentile(trigger_us(kind, n_triggers), [50, 99, 100])
        rows.append((f"{kind}: trigger to bytes, pty", *spread, GOAL_US))
    return rows


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--triggers", type=int, default=2000)
    good = True
    for name, p50, p99, worst, goal in serial_rows(parser.parse_args().triggers):
        good &= p50 < goal
        verdict = "ok" if p50 < goal else "OVER"
        print(f"{name:34s} p50 {p50:7.1f}  p99 {p99:7.1f}  max {worst:7.1f} us   p50 < {goal:g} us: {verdict}")
    sys.exit(not good)


if __name__ == "__main__":
    main()
