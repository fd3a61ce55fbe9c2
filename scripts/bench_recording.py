"""How fast recordings are written and verified, and how large they are: ``python scripts/bench_recording.py [--json]``.

Raw samples of 1,024 channels x 20 kHz (noise of 5 uV at 0.195 uV a bit) go through the recording's writer, against a
plain ``write`` of the same bytes to the same disk in the same run; CPU is that of the process. The long session is
written from made-up rows (1,000 spikes a second, 1 kHz timing, 100 decisions a second); the verified one is played.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from pathlib import Path

import numpy as np

from wetloop import assembly, stages
from wetloop.config import parse_config
from wetloop.kernels.records import BLOCK, PULSE, SPIKE
from wetloop.recording.writer import Writer
from wetloop.replay import verify
from wetloop.session import run_session

N_CHANNELS, RATE_HZ, BLOCK_ROWS = 1024, 20_000, 2_000
LARGE = ["source.probe.columns=32", "source.probe.rows=32", "source.probe.pitch_um=50", "source.signal=samples"]
LARGE_20K = [*LARGE, f"source.sampling_frequency_hz={RATE_HZ}"]
MEGABYTE = 1e6


def header(settings: list[str]):
    setting, _ = assembly.describe(parse_config("", "bench", settings))
    return stages.header_of(setting, assembly.players(setting).task)


def noise() -> np.ndarray:
    return np.random.default_rng(1).normal(0, 5 / 0.195, (10 * BLOCK_ROWS, N_CHANNELS)).astype(np.int16)


def write_plain(path: Path, samples: np.ndarray, seconds: int) -> tuple[float, float]:
    wall_s, cpu_s = time.perf_counter(), time.process_time()
    with path.open("wb", buffering=0) as file:
        for k in range(seconds * RATE_HZ // BLOCK_ROWS):
            at = k % 10 * BLOCK_ROWS
            file.write(samples[at : at + BLOCK_ROWS].data)
        os.fsync(file.fileno())
    return time.perf_counter() - wall_s, time.process_time() - cpu_s


def write_recording(path: Path, samples: np.ndarray, seconds: int, compression: str) -> tuple[float, float]:
    writer = Writer(path, header(LARGE_20K), raw_samples=True, compression=compression)
    wall_s, cpu_s = time.perf_counter(), time.process_time()
    for k in range(seconds * RATE_HZ // BLOCK_ROWS):
        at = k % 10 * BLOCK_ROWS
        writer.append(samples=samples[at : at + BLOCK_ROWS])
        if k % 10 == 9:
            writer.flush()
    writer.finish({})
    return time.perf_counter() - wall_s, time.process_time() - cpu_s


def raw(folder: Path, seconds: int):
    """Yield the figures of raw samples; the order is turned round once, and the better run of each counts."""
    samples, bytes_ = noise(), seconds * RATE_HZ * N_CHANNELS * 2
    plain, direct = [], []
    for turn in range(4):
        jobs = [
            lambda: plain.append(write_plain(folder / "plain", samples, seconds)),
            lambda: direct.append(write_recording(folder / f"direct-{len(direct)}.nwb", samples, seconds, "none")),
        ]
        for job in jobs[:: 1 if turn % 2 else -1]:
            job()
            for made in folder.iterdir():
                made.unlink()
    best_plain_s, best_direct_s = (min(wall for wall, _ in runs) for runs in (plain, direct))
    yield (
        "raw samples uncompressed, share of a plain write's speed",
        ">= 0.7",
        {
            "share": round(best_plain_s / best_direct_s, 2),
            "mb_per_s": round(bytes_ / MEGABYTE / best_direct_s),
            "cpu_percent_of_a_core_at_live_rate": round(100 * min(cpu for _, cpu in direct) / seconds, 1),
        },
    )
    _, cpu_s = write_recording(folder / "lz4.nwb", samples, seconds, "bitshuffle-lz4")
    share = (folder / "lz4.nwb").stat().st_size / bytes_
    values = {"cpu_percent": round(100 * cpu_s / seconds, 1), "size_share": round(share, 2)}
    yield "raw samples in bitshuffle-lz4: CPU at the live rate", "<= 10 % of a core", values


def rows_of(second: int, rng: np.random.Generator, dtype: np.dtype) -> dict[str, np.ndarray]:
    start, rate = second * 25_000, 25_000
    spikes = np.zeros(1000, SPIKE)
    spikes["known_sample"] = start + np.sort(rng.integers(40, rate, 1000))
    spikes["sample_index"], spikes["channel_index"] = spikes["known_sample"] - 30, rng.integers(0, 64, 1000)
    spikes["amplitude_uv"] = -rng.gamma(4.0, 10.0, 1000)
    blocks = np.zeros(1000, BLOCK)
    blocks["start_sample"] = start + 25 * np.arange(1000)
    blocks["n_samples"], blocks["newest_sample"] = 25, blocks["start_sample"] + 25
    blocks["arrival_ns"] = 40_000 * blocks["start_sample"] + rng.integers(0, 60_000, 1000)
    blocks["start_ns"], blocks["done_ns"] = blocks["arrival_ns"] + 1000, blocks["arrival_ns"] + 4000
    pulses = np.zeros(80, PULSE)
    pulses["sample_index"], pulses["serial"] = start + 300 * np.arange(80), 100 * second
    decisions = np.zeros(100, dtype)
    decisions["index"] = 100 * second + np.arange(100)
    decisions["start_sample"] = 250 * decisions["index"]
    decisions["stop_sample"], decisions["playing"] = decisions["start_sample"] + 250, 1
    decisions["spikes_crc"] = rng.integers(0, 2**32, 100)
    decisions["action"], decisions["observation"] = rng.normal(size=(100, 1)), rng.random((100, 5))
    return {"spikes": spikes, "pulses": pulses, "blocks": blocks, "decisions": decisions}


def long_session(folder: Path):
    """Yield size and finalising time of 30 minutes without raw samples."""
    head, rng = header([]), np.random.default_rng(2)
    writer = Writer(folder / "long.nwb", head)
    for second in range(1800):
        writer.append(**rows_of(second, rng, head.decision_dtype))
        writer.flush()
    begun_s = time.perf_counter()
    writer.finish({})
    values = {
        "mb": round((folder / "long.nwb").stat().st_size / MEGABYTE, 1),
        "finalising_s": round(time.perf_counter() - begun_s, 2),
    }
    yield "30 minutes, 1.8 M spikes, no raw samples", "<= 60 MB, <= 3 s", values


def verified(folder: Path):
    """Yield how fast a replay verifies a 20-minute session."""
    summary = run_session(parse_config("", "bench", ["duration=20min", f"recording.folder={folder}"]), accelerated=True)
    report = verify(Path(summary.file))
    values = {"times_real_time": round(report.seconds_rig / report.seconds_wall, 1), "agrees": report.agrees}
    yield "20-minute session verified", ">= 100x real time", values


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=int, default=10, help="of raw samples")
    parser.add_argument("--folder", type=Path, help="where to write; by default a temporary folder")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory(dir=arguments.folder) as name:
        folder = Path(name)
        for figure, goal, values in (*raw(folder, arguments.seconds), *long_session(folder), *verified(folder)):
            rows.append({"figure": figure, "goal": goal, **values})
            if not arguments.json:
                told = "  ".join(f"{key} {value}" for key, value in values.items())
                print(f"{figure:58s} {told}   (goal {goal})", flush=True)
    if arguments.json:
        print(json.dumps(rows))


if __name__ == "__main__":
    main()
