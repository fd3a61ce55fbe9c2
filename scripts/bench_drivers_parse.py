"""How much faster than a live rig its bytes become blocks, on one core: rows of ``bench_drivers.py``."""

import threading
import time

import numpy as np
import zmq

from wetloop_drivers.intan_rhx_wire import BLOCK_FRAMES, WaveformParser, encode_blocks, to_samples
from wetloop_drivers.maxlab import MaxLabConfig
from wetloop_drivers.maxlab_stream import Assembler, Subscription
from wetloop_drivers.maxlab_wire import N_CHANNELS, TOLD_SPIKE, pack_frame
from wetloop_drivers.open_ephys import OpenEphysConfig
from wetloop_drivers.open_ephys_falcon import FalconMessage, pack_falcon
from wetloop_drivers.open_ephys_stream import ChannelBlocks, FalconBlocks
from wetloop_drivers.open_ephys_wire import DataMessage, pack_data

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


OPEN_EPHYS_HZ = 30_000
BUFFER = 300
"""Samples of a buffer of 10 ms."""


def falcon_messages(n_buffers, samples):
    for k in range(n_buffers):
        message = FalconMessage(k, "probe", k * BUFFER, OPEN_EPHYS_HZ, 0.0, samples, np.zeros(BUFFER, np.uint16))
        yield [pack_falcon(message)]


def channel_messages(n_buffers, samples):
    for k in range(n_buffers):
        for c, row in enumerate(samples):
            yield pack_data(
                DataMessage(k * len(samples) + c, "probe", c, k * BUFFER, OPEN_EPHYS_HZ, row), f"CH{c + 1}", 0
            )


def times_live(assembler_of, messages_of, n_channels, seconds):
    """Return how many times faster than live the messages become blocks, the best of three."""
    info = OpenEphysConfig(array={"columns": n_channels, "rows": 1}).build(1).info
    samples = np.random.default_rng(1).normal(0, 20, (n_channels, BUFFER)).astype(np.float32)
    messages, best = list(messages_of(round(seconds * OPEN_EPHYS_HZ / BUFFER), samples)), 0.0
    for _ in range(3):
        assembler = assembler_of(info, range(n_channels), None)
        begun = time.process_time()
        blocks = [block for message in messages if (block := assembler.take(message)) is not None]
        best = max(best, len(blocks) * BUFFER / OPEN_EPHYS_HZ / (time.process_time() - begun))
    return best


MAXLAB_HZ = 20_000
EVERY = tuple(range(N_CHANNELS))
MAXLAB_SETUPS = {
    "spikes, 16-byte records": {"signal": "spikes"},
    "spikes, 24-byte records": {"signal": "spikes", "spike_record_bytes": 24},
    "samples of 1,024 channels": {"signal": "samples"},
}


def configured(settings):
    electrodes = tuple(range(0, 2 * N_CHANNELS, 2))
    return MaxLabConfig(electrodes=electrodes, channels=EVERY, **settings)


def maxlab_assembler(config):
    return Assembler(
        config.build(1).info,
        config.routing.channels,
        well=0,
        record_bytes=config.spike_record_bytes,
        offset=0.0,
        steps=config.steps,
    )


def maxlab_frames(n, record_bytes):
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
    parts, packet = maxlab_assembler(config), config.build(1).info.packet_samples
    begun = time.thread_time()
    for k in range(0, len(messages), packet):
        parts.take(messages[k : k + packet])
    return len(messages) / (time.thread_time() - begun)


def received_hz(config, messages):
    """Return frames per second of CPU time of the thread that reads a socket; a publisher sends as fast as it can."""
    with zmq.Context() as context, context.socket(zmq.PUB) as publisher:
        publisher.setsockopt(zmq.SNDHWM, 0)
        port = publisher.bind_to_random_port("tcp://127.0.0.1")
        subscription, parts = Subscription(f"tcp://127.0.0.1:{port}", 0.0), maxlab_assembler(config)
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


def rows(seconds):
    """Yield (name, times the live rate, goal)."""
    yield "RHX 128 channels x 30 kHz", rhx_times_live(128, 30_000, seconds), 10.0
    for name, assembler, messages, n, goal in (
        ("Falcon Output 384 channels x 30 kHz", FalconBlocks, falcon_messages, 384, 10.0),
        ("ZMQ Interface 384 channels x 30 kHz", ChannelBlocks, channel_messages, 384, 1.0),
    ):
        yield name, times_live(assembler, messages, n, min(seconds, 2.0)), goal
    for name, settings in MAXLAB_SETUPS.items():
        config = configured(settings)
        messages = maxlab_frames(round(seconds * MAXLAB_HZ), config.spike_record_bytes)
        yield f"MaxLab 1,024 x 20 kHz, {name}", parsed_hz(config, messages) / MAXLAB_HZ, 3.0
        few = messages[: MAXLAB_HZ - MAXLAB_HZ // 10]
        yield f"MaxLab over TCP, {name}", received_hz(config, few) / MAXLAB_HZ, 3.0
