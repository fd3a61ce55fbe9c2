"""Times the MaxLab driver: frames of 1,024 channels parsed in memory, and received over a ZMQ socket and parsed.

    python scripts/bench_drivers_maxlab.py [--seconds 4]

Budget: at least 3 times the live rate (20,000 frames a second) on one core. Every fourth frame carries 1 to 3 spikes,
5,000 x 2 a second, as of a network burst on the whole chip.
"""

import argparse
import sys
import threading
import time

import numpy as np
import zmq

from wetloop_drivers.maxlab import MaxLabConfig
from wetloop_drivers.maxlab_stream import Assembler, Subscription
from wetloop_drivers.maxlab_wire import N_CHANNELS, TOLD_SPIKE, pack_frame

LIVE_HZ = 20_000
EVERY = tuple(range(N_CHANNELS))
SETUPS = {
    "spikes, 16-byte records": {"signal": "spikes"},
    "spikes, 24-byte records": {"signal": "spikes", "spike_record_bytes": 24},
    "samples of 1,024 channels": {"signal": "samples"},
}


def configured(settings):
    electrodes = tuple(range(0, 2 * N_CHANNELS, 2))
    return MaxLabConfig(electrodes=electrodes, channels=EVERY, **settings)


def assembler(config):
    return Assembler(
        config.build(1).info,
        config.routing.channels,
        well=0,
        record_bytes=config.spike_record_bytes,
        offset=0.0,
        steps=config.steps,
    )


def frames(n, record_bytes):
    """Return messages as the server sends them."""
    rng = np.random.default_rng(1)
    amplitudes = [rng.normal(0, 2, N_CHANNELS).astype("<f4").tobytes() for _ in range(64)]
    messages = []
    for number in range(n):
        spikes = np.zeros(int(rng.integers(1, 4)) if number % 4 == 0 else 0, TOLD_SPIKE)
        spikes["frame"], spikes["channel"] = number, rng.integers(N_CHANNELS, size=len(spikes))
        spikes["amplitude"] = -20
        messages.append(pack_frame(number, amplitudes[number % 64], spikes, record_bytes))
    return messages


def parsed_hz(config, messages):
    """Return frames per second of CPU time from messages in memory."""
    parts, packet = assembler(config), config.build(1).info.packet_samples
    begun = time.thread_time()
    for k in range(0, len(messages), packet):
        parts.take(messages[k : k + packet])
    return len(messages) / (time.thread_time() - begun)


def received_hz(config, messages):
    """Return frames per second of CPU time of the thread that reads a socket; a publisher sends as fast as it can."""
    with zmq.Context() as context, context.socket(zmq.PUB) as publisher:
        publisher.setsockopt(zmq.SNDHWM, 0)
        port = publisher.bind_to_random_port("tcp://127.0.0.1")
        subscription, parts = Subscription(f"tcp://127.0.0.1:{port}", 0.0), assembler(config)
        subscription.receive(1, 0.5)
        sender = threading.Thread(target=lambda: [publisher.send_multipart(message) for message in messages])
        sender.start()
        sender.join()
        done, packet, begun = 0, config.build(1).info.packet_samples, time.thread_time()
        while taken := subscription.receive(packet, 0.5):
            parts.take(taken)
            done += len(taken)
        took = time.thread_time() - begun
        subscription.close()
    return done / took


def told(name, hz):
    times = hz / LIVE_HZ
    print(f"{name:52s} {hz:10,.0f} frames/s   {times:5.1f} x live, >= 3: {'ok' if times >= 3 else 'UNDER'}")
    return times >= 3


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=4.0)
    options, good = parser.parse_args(), []
    for name, settings in SETUPS.items():
        config = configured(settings)
        messages = frames(round(options.seconds * LIVE_HZ), config.spike_record_bytes)
        good.append(told(f"parsed, {name}", parsed_hz(config, messages)))
        few = messages[: LIVE_HZ - LIVE_HZ // 10]
        good.append(told(f"received over TCP and parsed, {name}", received_hz(config, few)))
    sys.exit(not all(good))


if __name__ == "__main__":
    main()
