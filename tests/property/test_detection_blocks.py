"""However the samples are cut into calls, detection gives the same bits."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wetloop.engine.detector import DetectionConfig, new_detector
from wetloop.kernels.detection import detect, end_frame
from wetloop.kernels.records import SPIKE

FREQUENCY = 20_000
FRAME = 20
N_FRAMES = 60
CONFIG = DetectionConfig(warm_up_ms=5, threshold_sigma=3)


def rough_recording(n_channels, seed):
    """Return noise with spikes, steps on all channels at once, rails and a silent stretch."""
    rng = np.random.default_rng(seed)
    samples = rng.normal(0, 30, (N_FRAMES * FRAME, n_channels))
    for _ in range(10 * n_channels):
        first, channel = rng.integers(len(samples) - 10), rng.integers(n_channels)
        samples[first : first + 10, channel] -= 400
    samples[500:520] -= 5000
    samples[700:703, rng.integers(n_channels)] = 40_000
    samples[900:1000, rng.integers(n_channels)] = 0
    return samples.clip(-32768, 32767).astype(np.int16)


def run(samples, cuts, room):
    """Detect frames cut at the given offsets; return the events and the state after each frame."""
    gain_uv = np.full(samples.shape[1], 0.5, np.float32)
    gain_uv[1:2] = np.nan
    detector = new_detector(FREQUENCY, gain_uv, CONFIG)
    found, n_found, states = np.zeros(room, SPIKE), 0, []
    for frame in range(N_FRAMES):
        edges = [0, *sorted(cuts[frame % len(cuts)]), FRAME]
        for a, b in pairwise(edges):
            first, last = frame * FRAME + a, frame * FRAME + b
            n_found = detect(detector, samples[first:last], first, found, n_found)
        end_frame(detector, FRAME)
        states.append(b"".join(part.tobytes() for part in detector))
    return found[:n_found], states


@pytest.mark.parametrize("n_channels", [1, 7, 16, 33, 60])
@settings(max_examples=25, deadline=None)
@given(
    cuts=st.lists(st.sets(st.integers(0, FRAME), max_size=FRAME), min_size=1, max_size=7),
    room=st.sampled_from([30, 10_000]),
)
def test_any_cutting_gives_the_same_events_and_state(n_channels, cuts, room):
    samples = rough_recording(n_channels, seed=n_channels)
    found, states = run(samples, [()], room)
    cut_found, cut_states = run(samples, cuts, room)
    assert len(found) > 5
    assert found.tobytes() == cut_found.tobytes()
    assert states == cut_states


def test_a_checkpoint_is_a_copy():
    samples = rough_recording(33, seed=1)
    detector = new_detector(FREQUENCY, np.full(33, 0.5, np.float32), CONFIG)
    found = np.zeros(1000, SPIKE)
    for frame in range(30):
        detect(detector, samples[frame * FRAME :][:FRAME], frame * FRAME, found, 0)
        end_frame(detector, FRAME)
    checkpoint = type(detector)(*(part.copy() for part in detector))
    rest = [slice(frame * FRAME, (frame + 1) * FRAME) for frame in range(30, N_FRAMES)]
    results = []
    for state in (detector, checkpoint):
        n_found = 0
        for rows in rest:
            n_found = detect(state, samples[rows], rows.start, found, n_found)
            end_frame(state, FRAME)
        results.append((found[:n_found].tobytes(), [part.tobytes() for part in state]))
    assert results[0] == results[1]
    assert len(results[0][0]) > 0
