"""A synthetic session for the tests of recordings; also run by their child processes."""

import json
import resource
import signal
import sys
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from wetloop.core.errors import RecordingError
from wetloop.core.guard import Pattern, Pulse, StimGuard
from wetloop.core.layout import LayoutConfig, grid_probe
from wetloop.core.limits import StimLimits
from wetloop.core.types import RigInfo, Signal
from wetloop.kernels.records import BLOCK, COMMAND, PULSE, SPIKE
from wetloop.recording.header import Header
from wetloop.recording.schema import decision_dtype
from wetloop.recording.writer import Writer

RATE_HZ = 25_000
DECISION = decision_dtype(1, 3)
BLOCK_SAMPLES = 25


def make_header() -> Header:
    probe = grid_probe(8, 8, 200.0)
    gain_uv = np.full(64, 0.195, np.float32)
    gain_uv[63] = np.nan
    limits = StimLimits(max_amplitude_ua=3.0, forbidden_channels=(63,))
    info = RigInfo("culture", RATE_HZ, probe, Signal.SAMPLES, gain_uv, 25, 50, "uA", limits, 707.0, 100.0)
    layout = LayoutConfig().apply(probe)
    pulse = Pulse(-1.25, 200.0, 1.25, 200.0, "uA", 20.0)
    patterns = {f"place {i}": Pattern(pulse, (channel,)) for i, channel in enumerate(layout.sensory)}
    patterns["predictable"] = Pattern(Pulse.balanced(1.5, 160.0, "uA"), layout.sensory)
    guard = StimGuard(info, StimLimits(max_rate_hz=40.0))
    return Header(
        identifier="0a4f6c1e-5d0c-4ab1-9a35-2f4f6f1f7c11",
        session_start=datetime(2025, 3, 1, 12, 30, tzinfo=UTC),
        description="Synthetic session.",
        config_json=json.dumps({"task": {"kind": "pong"}, "seed": 7}),
        seed=7,
        versions={"wetloop": "0.1.0", "python": "3.11.9"},
        info=info,
        layout=layout,
        table=guard.prepare(patterns),
        limits=guard.limits,
        decision_samples=250,
        event_names=("hit", "miss"),
        action_names=("move",),
        observation_names=("ball_x", "ball_y", "paddle"),
        n_actions=1,
        n_observations=3,
        condition="stimulus",
        subject={"culture_id": "dish-3", "species": "Homo sapiens"},
    )


def make_rows(seed: int = 0, start_sample: int = 0, n_decisions: int = 200) -> dict[str, np.ndarray]:
    """Return random rows of every kind; what the engine orders in time is in order."""
    rng = np.random.default_rng(seed)
    n_samples = 250 * n_decisions
    known = start_sample + 40 + np.sort(rng.integers(0, n_samples - 40, 10 * n_decisions))
    spikes = np.zeros(len(known), SPIKE)
    spikes["known_sample"], spikes["sample_index"] = known, known - 30
    spikes["channel_index"] = rng.integers(0, 60, len(known))
    spikes["amplitude_uv"] = -rng.gamma(4.0, 10.0, len(known))
    pulses = np.zeros(n_decisions, PULSE)
    pulses["sample_index"] = start_sample + np.sort(rng.integers(0, n_samples, n_decisions))
    pulses["serial"] = pulses["sample_index"] // 250
    for name, count in {"pattern": 9, "voice": 4, "kind": 4, "priority": 3, "fate": 12}.items():
        pulses[name] = rng.integers(0, count, n_decisions)
    return {
        "spikes": spikes,
        "pulses": pulses,
        "decisions": _decisions(rng, start_sample, n_decisions),
        "blocks": _blocks(rng, start_sample, n_samples // BLOCK_SAMPLES),
        "operator_commands": _commands(start_sample),
    }


def _decisions(rng, start_sample, count):
    rows = np.zeros(count, DECISION)
    rows["index"] = start_sample // 250 + np.arange(count)
    rows["start_sample"] = 250 * rows["index"]
    rows["stop_sample"] = rows["start_sample"] + 250
    rows["serial"] = rows["index"] + 1
    rows["n_spikes"] = rng.poisson(10, count)
    rows["spikes_crc"] = rng.integers(0, 2**32, count)
    rows["playing"] = rng.random(count) < 0.9
    rows["events"] = rng.choice([0, 1, 2, 3], count, p=[0.9, 0.06, 0.03, 0.01])
    rows["truncated"] = rng.random(count) < 0.01
    rows["reward"] = rng.normal(size=count)
    rows["lateness_us"] = rng.gamma(2.0, 30.0, count)
    rows["action"] = rng.normal(size=(count, 1))
    rows["observation"] = rng.random((count, 3))
    return rows


def _blocks(rng, start_sample, count):
    rows = np.zeros(count, BLOCK)
    rows["start_sample"] = start_sample + BLOCK_SAMPLES * np.arange(count)
    rows["n_samples"] = BLOCK_SAMPLES
    rows["newest_sample"] = rows["start_sample"] + BLOCK_SAMPLES
    rows["serial"] = rows["start_sample"] // 250
    rows["arrival_ns"] = 40_000 * rows["start_sample"] + rng.integers(0, 60_000, count)
    rows["start_ns"] = rows["arrival_ns"] + 3_000
    rows["done_ns"] = rows["start_ns"] + rng.integers(40_000, 200_000, count)
    rows["n_spikes"] = rng.poisson(1, count)
    rows["n_pulses"] = rng.poisson(0.1, count)
    return rows


def _commands(start_sample):
    rows = np.zeros(2, COMMAND)
    rows["serial"] = (1, 2)
    rows["action"] = 2
    rows["start_sample"] = (1, 2)
    rows["period_samples"] = (0.0, 1250.5)
    rows["seed"] = (3, 2**64 - 1)
    rows["lease_until"] = start_sample + 1250
    return rows


def write(path: Path, n_batches: int = 1, **options) -> dict[str, np.ndarray]:
    """Record a session in this many batches and return all its rows."""
    writer = Writer(path, make_header(), **options)
    batches = [make_rows(seed, 50_000 * seed) for seed in range(n_batches)]
    for batch in batches:
        writer.append(**batch)
        writer.flush()
    writer.finish({"score": 3, "worst": np.float32(1.5)})
    return {name: np.concatenate([batch[name] for batch in batches]) for name in batches[0]}


def say(*words: object) -> None:
    sys.stdout.write(f"{' '.join(map(str, words))}\n")
    sys.stdout.flush()


def wait_to_be_killed(path: Path) -> None:
    """Flush two batches, take in a third, say so and wait."""
    writer = Writer(path, make_header())
    for seed in range(3):
        writer.append(**make_rows(seed, 50_000 * seed))
        if seed < 2:
            writer.flush()
    say("ready")
    signal.pause()


def fill_the_disk(path: Path) -> None:
    """Go on until no file may grow any further, then do all that a careless caller might."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (2_000_000, 2_000_000))
    writer = Writer(path, make_header(), compression="none")
    try:
        for seed in range(1000):
            writer.append(**make_rows(seed, 50_000 * seed))
            writer.flush()
            say(seed + 1)
    except RecordingError as error:
        say(error.exit_code, error)
    for careless in (writer.flush, writer.append, lambda: writer.finish({})):
        try:
            careless()
        except RecordingError:
            say("refused")
    writer.abort()


def forget_to_close(path: Path) -> None:
    """End the process with a recording under way."""
    writer = Writer(path, make_header())
    writer.append(**make_rows())
    sys.exit(0)


if __name__ == "__main__":
    {f.__name__: f for f in (wait_to_be_killed, fill_the_disk, forget_to_close)}[sys.argv[1]](Path(sys.argv[2]))
