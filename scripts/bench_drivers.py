"""Times what drivers do with the bytes of a rig, on one core, against the rate at which the rig sends them.

    python scripts/bench_drivers.py [--seconds 5]

Budget of each row: how many times as fast as live it has to be.
"""

import argparse
import sys
import time

import numpy as np

from wetloop_drivers.intan_rhx_wire import BLOCK_FRAMES, WaveformParser, encode_blocks, to_samples

RECEIVED_BYTES = 1 << 18


def rhx_times_live(n_channels, rate_hz, seconds):
    """Parse RHX's waveform stream as it comes from a socket, into int16 samples; return how many times live."""
    n_blocks = round(rate_hz // BLOCK_FRAMES)
    words = np.random.default_rng(1).integers(0, 1 << 16, (n_blocks * BLOCK_FRAMES, n_channels)).astype(np.uint16)
    data, parser, parsed, took_s = encode_blocks(0, words), WaveformParser(n_channels), 0, 0.0
    while parsed < seconds * rate_hz:
        parser.expected_sample = None
        begun = time.perf_counter()
        for start in range(0, len(data), RECEIVED_BYTES):
            parser.feed(data[start : start + RECEIVED_BYTES])
            while (run := parser.take(8)) is not None:
                parsed += len(to_samples(run.words))
        took_s += time.perf_counter() - begun
    return parsed / rate_hz / took_s


ROWS = {
    "intan-rhx: 128 channels x 30 kHz": (lambda seconds: rhx_times_live(128, 30_000, seconds), 10.0),
}
"""What is timed, and the budget."""


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=5.0, help="of data per row")
    seconds, good = parser.parse_args().seconds, []
    for name, (times_live, budget) in ROWS.items():
        reached = times_live(seconds)
        good.append(reached >= budget)
        print(f"{name:38s} {reached:8.1f} x live   >= {budget:g}: {'ok' if good[-1] else 'UNDER'}")
    sys.exit(not all(good))


if __name__ == "__main__":
    main()
