"""Compare online detection with the arithmetic floor of the machine, with SciPy and with SpikeInterface.

One run, one thread, ratios of CPU time (medians), so that a busy machine disturbs little. Needs the ``dev`` extra.
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numba.core.errors import NumbaWarning
from scipy.signal import butter, sosfilt

from wetloop.engine.detector import DetectionConfig, new_detector
from wetloop.kernels import simd
from wetloop.kernels.detection import Detector, detect, end_frame
from wetloop.kernels.jit import kernel
from wetloop.kernels.records import SPIKE

if TYPE_CHECKING:
    from collections.abc import Callable

    from spikeinterface.core import BaseRecording

GAIN_UV = 0.1
CONFIG = DetectionConfig()
FLOOR_CYCLES = 6.5
"""13 vector operations per 16 channel-samples (5 products, 3 sums, 2 conversions, 2 minima, 1 magnitude) on four
half-width pipes; a fused product and sum of full width takes one cycle."""


class Row(NamedTuple):
    """One line of the table; ``goal`` bounds ``value`` from below, or from above where ``at_most``."""

    name: str
    value: float
    unit: str
    goal: float
    at_most: bool = False

    @property
    def met(self) -> bool:
        return self.value <= self.goal if self.at_most else self.value >= self.goal


class Events(NamedTuple):
    """Detected spikes, each array of shape (n_events,)."""

    sample_index: np.ndarray
    channel_index: np.ndarray


@kernel
def detect_block(  # noqa: PLR0913, PLR0917 - arrays are unpacked faster one by one than in a tuple
    core, planes, channels, busy, filtered, padded, pending, places, samples, start, found, n_found
):
    """Detect in one block that comes from Python."""
    d = Detector(core, planes, channels, busy, filtered, padded, pending, places)
    n_found = detect(d, samples, start, found, n_found)
    end_frame(d, samples.shape[0])
    return n_found


@kernel
def detect_blocks(d, blocks, n_blocks, found):
    """Detect in many blocks, over and over the same recording, with Python out of the loop."""
    n_found, n_samples = 0, blocks.shape[1]
    for i in range(n_blocks):
        n_found += detect(d, blocks[i % blocks.shape[0]], d.core[0].n_frames * n_samples, found, 0)
        end_frame(d, n_samples)
    return n_found


@kernel
def multiply_add(n, out):
    """Run eight independent chains of fused products and sums, each of them n long."""
    factor, term = simd.splat(np.float32(0.999)), simd.load(out, 0)
    a, b, c, d = simd.load(out, 0), simd.load(out, 1), simd.load(out, 2), simd.load(out, 3)
    e, f, g, h = simd.load(out, 4), simd.load(out, 5), simd.load(out, 6), simd.load(out, 7)
    for _ in range(n):
        a, b = simd.fma(a, factor, term), simd.fma(b, factor, term)
        c, d = simd.fma(c, factor, term), simd.fma(d, factor, term)
        e, f = simd.fma(e, factor, term), simd.fma(f, factor, term)
        g, h = simd.fma(g, factor, term), simd.fma(h, factor, term)
    ab, cd, ef, gh = simd.add(a, b), simd.add(c, d), simd.add(e, f), simd.add(g, h)
    simd.store(out, 0, simd.add(simd.add(ab, cd), simd.add(ef, gh)))


def noisy_recording(n_channels: int, sampling_frequency: int, seconds: float) -> np.ndarray:
    """Return int16 noise of 10 uV with 5 spikes of 130 uV per second and channel."""
    rng = np.random.default_rng(1)
    n_samples, n_spikes = int(sampling_frequency * seconds), int(5 * seconds * n_channels)
    signal = rng.standard_normal((n_samples, n_channels), dtype=np.float32) * 10
    first, channel = rng.integers(0, n_samples - 40, n_spikes), rng.integers(0, n_channels, n_spikes)
    t = np.arange(40)
    shape = 40 * np.exp(-0.5 * ((t - 22) / 6.0) ** 2) - 133 * np.exp(-0.5 * ((t - 10) / 3.0) ** 2)
    for i in t:
        np.add.at(signal, (first + i, channel), shape[i])
    return (signal / GAIN_UV).astype(np.int16)


def cpu_seconds(*work: Callable[[], object], repeats: int = 5) -> list[float]:
    """Return the median CPU time of each piece of work, run in turns after one run to warm up."""
    for run in work:
        run()
    spent: list[list[float]] = [[] for _ in work]
    for _ in range(repeats):
        for run, times in zip(work, spent, strict=True):
            begin = time.process_time()
            run()
            times.append(time.process_time() - begin)
    return [float(np.median(times)) for times in spent]


def detector_of(n_channels: int, sampling_frequency: float) -> Detector:
    return new_detector(sampling_frequency, np.full(n_channels, GAIN_UV, np.float32), CONFIG)


def ours(recording: np.ndarray, sampling_frequency: int) -> Callable[[], Events]:
    """Detect in blocks of 1 ms, each a call from Python."""
    n_samples, found = sampling_frequency // 1000, np.zeros(1_000_000, SPIKE)
    detector = detector_of(recording.shape[1], sampling_frequency)
    initial = [part.copy() for part in detector]

    def run() -> Events:
        n_found = 0
        for part, before in zip(detector, initial, strict=True):
            part[...] = before
        for start in range(0, len(recording) - n_samples + 1, n_samples):
            n_found = detect_block(*detector, recording[start : start + n_samples], start, found, n_found)
        return Events(found["sample_index"][:n_found], found["channel_index"][:n_found])

    return run


def scipy_blocks(recording: np.ndarray, sampling_frequency: int) -> Callable[[], int]:
    """Detect in blocks of 1 ms with sosfilt and NumPy, noise included; peak search and lockout are left out."""
    n_samples, n_channels = sampling_frequency // 1000, recording.shape[1]
    band = [CONFIG.low_hz, CONFIG.high_hz]
    sos = butter(2, band, "bandpass", fs=sampling_frequency, output="sos")

    def run() -> int:
        state, sigma, n_found = np.zeros((2, 2, n_channels)), np.full(n_channels, 100.0), 0
        for start in range(0, len(recording) - n_samples + 1, n_samples):
            y, state = sosfilt(sos, recording[start : start + n_samples], axis=0, zi=state)
            measured = 1.2533 * np.minimum(np.abs(y), CONFIG.threshold_sigma * sigma).mean(0)
            sigma += (measured - sigma) / CONFIG.noise_ms
            n_found += len(np.nonzero(y < -CONFIG.threshold_sigma * sigma)[0])
        return n_found

    return run


def with_probe(recording: np.ndarray, sampling_frequency: int) -> BaseRecording:
    from probeinterface import generate_multi_columns_probe
    from spikeinterface.core import NumpyRecording

    n_channels = recording.shape[1]
    n_columns = int(np.sqrt(n_channels))
    probe = generate_multi_columns_probe(n_columns, n_channels // n_columns, xpitch=50, ypitch=50)
    probe.set_device_channel_indices(np.arange(n_channels))
    made = NumpyRecording([recording], sampling_frequency)
    return made.set_probe(probe) or made


def spikeinterface_chain(recording: BaseRecording, method: str) -> Callable[[], Events]:
    """Detect with SpikeInterface: causal band-pass of the same order, its own noise levels, chunks of 1 s."""
    from spikeinterface.core import get_noise_levels
    from spikeinterface.preprocessing import bandpass_filter
    from spikeinterface.sortingcomponents.peak_detection import detect_peaks

    band = {"freq_min": CONFIG.low_hz, "freq_max": CONFIG.high_hz, "filter_order": 2, "margin_ms": 5.0}
    filtered = bandpass_filter(recording, **band, filter_mode="sos", direction="forward", dtype="float32")
    settings = {
        "peak_sign": "neg",
        "detect_threshold": CONFIG.threshold_sigma,
        "noise_levels": np.array(get_noise_levels(filtered, return_in_uV=False, progress_bar=False)),
        "exclude_sweep_ms": CONFIG.peak_ms,
    }
    if method == "locally_exclusive":
        settings["radius_um"] = 75
    job = {"n_jobs": 1, "chunk_duration": "1s", "progress_bar": False}

    def run() -> Events:
        peaks = detect_peaks(filtered, method=method, method_kwargs=settings, job_kwargs=job)
        return Events(peaks["sample_index"], peaks["channel_index"])

    return run


def against_scipy() -> Row:
    recording = noisy_recording(64, 25_000, 2)
    mine, theirs = cpu_seconds(ours(recording, 25_000), scipy_blocks(recording, 25_000))
    return Row("SciPy and NumPy, 64 ch x 25 kHz, 1 ms blocks from Python", theirs / mine, "x less CPU", 20)


def against_spikeinterface(n_channels: int, sampling_frequency: int, seconds: float, goal: float) -> Row:
    recording = noisy_recording(n_channels, sampling_frequency, seconds)
    chain = spikeinterface_chain(with_probe(recording, sampling_frequency), "locally_exclusive")
    mine, theirs = cpu_seconds(ours(recording, sampling_frequency), chain, repeats=3)
    name = f"SpikeInterface, {n_channels} ch x {sampling_frequency // 1000} kHz, 1 s chunks (ours 1 ms)"
    return Row(name, theirs / mine, "x less CPU", goal)


def against_floor(n_channels: int, sampling_frequency: int, goal: float) -> list[Row]:
    n_samples = sampling_frequency // 1000
    blocks = noisy_recording(n_channels, sampling_frequency, 1).reshape(-1, n_samples, n_channels)
    detector, found, out = (
        detector_of(n_channels, sampling_frequency),
        np.zeros(65536, SPIKE),
        np.arange(23, dtype=np.float32),
    )
    n_blocks, n_steps = 40_000_000 // (n_channels * n_samples), 2_000_000
    block_s, step_s = cpu_seconds(
        lambda: detect_blocks(detector, blocks, n_blocks, found), lambda: multiply_add(n_steps, out), repeats=7
    )
    floor_s = FLOOR_CYCLES * step_s / (8 * n_steps) * n_channels * n_samples / simd.LANES
    name = f"{n_channels} ch x {sampling_frequency // 1000} kHz, Python out of the loop"
    return [
        Row(f"arithmetic floor, {name}", block_s / n_blocks / floor_s, "x the floor", goal, at_most=True),
        Row(f"CPU time of a 1 ms block, {name}", block_s / n_blocks * 1e6, "us", np.inf, at_most=True),
    ]


def matched(times: np.ndarray, others: np.ndarray, tolerance: int) -> np.ndarray:
    """Return which of ``times`` have one of the sorted ``others`` within ``tolerance`` samples."""
    if len(others) == 0:
        return np.zeros(len(times), bool)
    right = np.searchsorted(others, times).clip(1, max(1, len(others) - 1))
    nearest = np.minimum(abs(others[right - 1] - times), abs(others[right.clip(max=len(others) - 1)] - times))
    return nearest <= tolerance


def score(events: Events, spikes: np.ndarray, troughs_uv: np.ndarray, sampling_frequency: int) -> tuple[float, float]:
    """Return recall (on each unit's largest channel) and precision (any unit above the noise there counts)."""
    first, tolerance = sampling_frequency, round(0.8e-3 * sampling_frequency)
    spikes = spikes[spikes["sample_index"] > first]
    recalled, right, n_events = 0, 0, 0
    for channel in range(troughs_uv.shape[1]):
        times = np.sort(events.sample_index[(events.channel_index == channel) & (events.sample_index > first)])
        main = np.isin(spikes["unit_index"], np.flatnonzero(troughs_uv.argmin(1) == channel))
        audible = np.isin(spikes["unit_index"], np.flatnonzero(troughs_uv[:, channel] < -10))
        recalled += matched(spikes["sample_index"][main], times, tolerance).sum()
        right += matched(times, spikes["sample_index"][audible], tolerance).sum()
        n_events += len(times)
    return recalled / len(spikes), right / n_events


def accuracy() -> list[Row]:
    from spikeinterface.core import generate_ground_truth_recording

    frequency = 25_000
    rates = {"firing_rates": 5, "refractory_period_ms": 4.0}
    made, sorting = generate_ground_truth_recording(
        [20.0], frequency, num_channels=64, num_units=40, generate_sorting_kwargs=rates, seed=3
    )
    troughs_uv = made.templates.min(axis=1)
    samples = (made.get_traces() / GAIN_UV).round().clip(-32768, 32767).astype(np.int16)
    spikes = sorting.to_spike_vector()
    theirs = spikeinterface_chain(with_probe(samples, frequency), "by_channel")()
    recall, precision = score(ours(samples, frequency)(), spikes, troughs_uv, frequency)
    their_recall, their_precision = score(theirs, spikes, troughs_uv, frequency)
    return [
        Row("recall, generated ground truth (goal: SpikeInterface, same threshold)", recall, "", their_recall),
        Row("precision, generated ground truth (same)", precision, "", their_precision),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    as_json = parser.parse_args().json
    warnings.simplefilter("ignore", NumbaWarning)
    rows = [
        against_scipy(),
        against_spikeinterface(64, 25_000, 10, goal=4),
        against_spikeinterface(1024, 20_000, 2, goal=25),
        *against_floor(64, 25_000, goal=2.5),
        *against_floor(1024, 20_000, goal=np.inf),
        *accuracy(),
    ]
    if as_json:
        goals = [row.goal if np.isfinite(row.goal) else None for row in rows]
        print(json.dumps([{**r._asdict(), "goal": g, "met": bool(r.met)} for r, g in zip(rows, goals, strict=True)]))
        return
    for row in rows:
        bound = "<=" if row.at_most else ">="
        goal = f"goal {bound} {row.goal:.3g}: {'met' if row.met else 'MISSED'}" if np.isfinite(row.goal) else ""
        print(f"{row.name:72s} {row.value:8.3f} {row.unit:12s} {goal}")


if __name__ == "__main__":
    main()
