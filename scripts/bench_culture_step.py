"""CPU time per simulated millisecond of the culture: ``python scripts/bench_culture_step.py [seconds]``."""

import sys
import time

import numpy as np

from wetloop.culture.config import CultureConfig
from wetloop.kernels.culture import make_packet
from wetloop.kernels.records import PULSE, SPIKE


def us_per_ms(signal, seconds, packet_ms):
    culture = CultureConfig(signal=signal).build(1)
    culture.open()
    n_samples = packet_ms * culture.info.frame_samples
    pulses, spikes = np.zeros(0, PULSE), np.zeros((packet_ms + 1) * culture.info.n_channels, SPIKE)
    samples = np.zeros((n_samples, culture.state.carry.samples.shape[1]), np.int16)
    make_packet(culture.state, pulses, 0, n_samples, samples, spikes)
    start = time.thread_time()
    for _ in range(seconds * 1000 // packet_ms):
        make_packet(culture.state, pulses, 0, n_samples, samples, spikes)
    return (time.thread_time() - start) / seconds * 1e3


def main():
    seconds = int(sys.argv[1]) if len(sys.argv) > 1 else 20
    print(f"1,000 cells, 64 electrodes, {seconds} s at rest; us of CPU per simulated ms, median of 5")
    for signal in ("spikes", "samples"):
        for packet_ms in (1, 10, 100):
            took = [us_per_ms(signal, seconds, packet_ms) for _ in range(5)]
            print(f"{signal:8s} packets of {packet_ms:3d} ms: {np.median(took):6.2f} (least {min(took):.2f})")


if __name__ == "__main__":
    main()
