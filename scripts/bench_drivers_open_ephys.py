"""How much faster than a live rig the Open Ephys streams are parsed, on one core.

    python scripts/bench_drivers_open_ephys.py [--seconds 2]

Each row: from the frames of a message, as a socket gives them, to int16 blocks, against the rate of a live rig.
Goal: Falcon Output, 384 channels at 30 kHz, 10 times. The ZMQ Interface stands beside it for comparison.
"""

import argparse
import sys
import time

import numpy as np

from wetloop_drivers.open_ephys import OpenEphysConfig
from wetloop_drivers.open_ephys_falcon import FalconMessage, pack_falcon
from wetloop_drivers.open_ephys_stream import ChannelBlocks, FalconBlocks
from wetloop_drivers.open_ephys_wire import DataMessage, pack_data

RATE_HZ = 30_000
BUFFER = 300
"""Samples of a buffer of 10 ms."""


def falcon_messages(n_buffers, samples):
    for k in range(n_buffers):
        message = FalconMessage(k, "probe", k * BUFFER, RATE_HZ, 0.0, samples, np.zeros(BUFFER, np.uint16))
        yield [pack_falcon(message)]


def channel_messages(n_buffers, samples):
    for k in range(n_buffers):
        for c, row in enumerate(samples):
            yield pack_data(DataMessage(k * len(samples) + c, "probe", c, k * BUFFER, RATE_HZ, row), f"CH{c + 1}", 0)


def times_live(assembler_of, messages_of, n_channels, seconds):
    """Return how many times faster than live the messages become blocks, the best of three."""
    info = OpenEphysConfig(array={"columns": n_channels, "rows": 1}).build(1).info
    samples = np.random.default_rng(1).normal(0, 20, (n_channels, BUFFER)).astype(np.float32)
    messages, best = list(messages_of(round(seconds * RATE_HZ / BUFFER), samples)), 0.0
    for _ in range(3):
        assembler = assembler_of(info, range(n_channels), None)
        begun = time.process_time()
        blocks = [block for message in messages if (block := assembler.take(message)) is not None]
        best = max(best, len(blocks) * BUFFER / RATE_HZ / (time.process_time() - begun))
    return best


def open_ephys_rows(seconds):
    """Return rows of the table of drivers: (name, times the live rate, goal or None)."""
    return [
        ("Falcon Output 384 ch x 30 kHz", times_live(FalconBlocks, falcon_messages, 384, seconds), 10.0),
        ("ZMQ Interface 384 ch x 30 kHz", times_live(ChannelBlocks, channel_messages, 384, seconds), None),
        ("ZMQ Interface 64 ch x 30 kHz", times_live(ChannelBlocks, channel_messages, 64, seconds), None),
    ]


def told(name, times, goal):
    verdict = "" if goal is None else f"   >= {goal:g} x: {'ok' if times >= goal else 'UNDER'}"
    print(f"{name:38s} {times:7.1f} x live{verdict}")
    return goal is None or times >= goal


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=2.0)
    good = [told(*row) for row in open_ephys_rows(parser.parse_args().seconds)]
    sys.exit(not all(good))


if __name__ == "__main__":
    main()
