"""Detection against a plain reference in NumPy and SciPy, and its answers to what goes wrong on a rig."""

from __future__ import annotations

import ctypes
import mmap

import numpy as np
import pytest
from pydantic import ValidationError
from scipy.signal import butter, sosfilt
from scipy.stats import norm

from wetloop.core.errors import ConfigError
from wetloop.engine.detector import DetectionConfig, channel_slots, new_detector, noise_uv
from wetloop.kernels.detection import detect, end_frame
from wetloop.kernels.records import NEVER, SPIKE

FREQUENCY = 25_000
FRAME = 25
GAIN_UV = 0.5
CONFIG = DetectionConfig(warm_up_ms=200)
CLIPPED_MEAN = norm.expect(lambda z: min(abs(z), 1.5), lb=-8, ub=8)


def run(detector, samples, start=0, room=100_000):
    """Detect in whole frames."""
    found, n_found = np.zeros(room, SPIKE), 0
    for first in range(0, len(samples), FRAME):
        frame = samples[first : first + FRAME]
        n_found = detect(detector, frame, start + first, found, n_found)
        end_frame(detector, len(frame))
    return found[:n_found]


def detector_of(n_channels, config=CONFIG, gain_uv=GAIN_UV):
    return new_detector(FREQUENCY, np.full(n_channels, gain_uv, np.float32), config)


def waveform(depth_uv):
    """Return a spike of 1.6 ms in bits, with its trough at sample 10."""
    t = np.arange(40)
    trough, hump = np.exp(-0.5 * ((t - 10) / 3.0) ** 2), np.exp(-0.5 * ((t - 22) / 6.0) ** 2)
    return depth_uv / GAIN_UV * (0.3 * hump - trough)


def recording(n_channels, seconds, *, rate_hz=5.0, depth_uv=120.0, noise_uv=10.0, seed=0):
    """Return int16 noise with planted spikes at least 6 ms apart, and their (trough sample, channel)."""
    rng = np.random.default_rng(seed)
    n_samples = int(seconds * FREQUENCY)
    signal = rng.normal(0, noise_uv / GAIN_UV, (n_samples, n_channels))
    truth = []
    for channel in range(n_channels):
        at = np.cumsum(rng.exponential(FREQUENCY / rate_hz, int(3 * rate_hz * seconds) + 10) + 150).astype(int)
        for first in at[at < n_samples - 40]:
            signal[first : first + 40, channel] += waveform(depth_uv)
            truth.append((first + 10, channel))
    return signal.round().astype(np.int16), truth


def reference(samples, settling_frames, config=CONFIG):
    """Return (sample_index, known_sample, channel_index), the rule written plainly in double precision."""
    sos = butter(2, [config.low_hz, config.high_hz], "bandpass", fs=FREQUENCY, output="sos")
    y = sosfilt(sos, samples * GAIN_UV, axis=0)
    peak, lockout = round(config.peak_ms * 25), round(config.lockout_ms * 25)
    threshold = np.empty_like(y)
    sigma = np.full(y.shape[1], 1e9)
    for frame in range(len(y) // FRAME):
        rows = slice(frame * FRAME, (frame + 1) * FRAME)
        threshold[rows] = -config.threshold_sigma * sigma if frame >= config.warm_up_ms else -np.inf
        weight = max(1 / config.noise_ms, 1 / (max(0, frame - settling_frames) + 1))
        measured = np.minimum(abs(y[rows]), 1.5 * sigma).mean(0) / CLIPPED_MEAN
        sigma = np.maximum(config.sigma_floor_uv, (1 - weight) * sigma + weight * measured)
    events = []
    for channel in range(y.shape[1]):
        known, last_uv = -NEVER, 0.0
        for t in np.flatnonzero(y[:, channel] < threshold[:, channel]):
            free = t > known + lockout or (t > known and y[t, channel] < config.retrigger * last_uv)
            if free and t + peak < len(y):
                known, last_uv = t + peak, y[t : t + peak + 1, channel].min()
                events.append((t + y[t : t + peak + 1, channel].argmin(), known, channel))
    return sorted(events, key=lambda event: event[1:])


def tuples(found):
    return [(s["sample_index"], s["known_sample"], s["channel_index"]) for s in found]


def settled(events):
    """Return the events that are clearly after the warm-up."""
    return [event for event in events if event[0] > 1.05 * CONFIG.warm_up_ms * FRAME]


@pytest.mark.parametrize("n_channels", [1, 7, 15, 16, 17, 59, 60, 64, 1024])
def test_equals_the_plain_reference(n_channels):
    samples, _ = recording(n_channels, 0.6 if n_channels < 1000 else 0.3, rate_hz=20)
    detector = detector_of(n_channels)
    found = run(detector, samples)
    assert len(found) > 0
    assert tuples(found) == reference(samples, detector.core["ring_samples"][0] // FRAME)


def test_amplitude_is_the_filtered_trough_in_uv():
    samples, _ = recording(4, 0.5)
    y = sosfilt(butter(2, [300, 3000], "bandpass", fs=FREQUENCY, output="sos"), samples * GAIN_UV, axis=0)
    found = run(detector_of(4), samples)
    np.testing.assert_allclose(found["amplitude_uv"], y[found["sample_index"], found["channel_index"]], rtol=1e-4)


def test_finds_planted_spikes_once():
    samples, truth = recording(32, 3.0)
    found = run(detector_of(32), samples)
    expected = settled(truth)
    hits = sum(
        np.any((abs(found["sample_index"] - sample) < 12) & (found["channel_index"] == channel))
        for sample, channel in expected
    )
    assert hits / len(expected) > 0.99
    assert hits / len(settled(tuples(found))) > 0.99


def test_sigma_is_the_standard_deviation_of_the_noise():
    samples, _ = recording(16, 1.0, rate_hz=0.01)
    detector = detector_of(16)
    run(detector, samples)
    sos = butter(2, [300, 3000], "bandpass", fs=FREQUENCY, output="sos")
    expected = sosfilt(sos, samples * GAIN_UV, axis=0).std(0)
    np.testing.assert_allclose(noise_uv(detector), expected, rtol=0.1)


def test_the_ringing_of_a_large_spike_is_not_a_second_spike():
    samples, truth = recording(16, 2.0, depth_uv=200)
    n_true = len(settled(truth))
    assert len(settled(tuples(run(detector_of(16), samples)))) == n_true
    hasty = CONFIG.model_copy(update={"lockout_ms": 0.5})
    assert len(settled(tuples(run(detector_of(16, hasty), samples)))) > 1.1 * n_true


def test_a_second_spike_within_the_lockout_is_found_if_ringing_cannot_explain_it():
    samples, _ = recording(16, 0.8, rate_hz=0.01)
    for first in range(6000, 19_000, 500):
        samples[first : first + 40, 5] += waveform(150).astype(np.int16)
        samples[first + 30 : first + 70, 5] += waveform(150).astype(np.int16)
    n_pairs = len(range(6000, 19_000, 500))
    assert len(run(detector_of(16), samples)) == 2 * n_pairs
    strict = CONFIG.model_copy(update={"retrigger": np.inf})
    offsets = (run(detector_of(16, strict), samples)["sample_index"] - 6000) % 500
    assert np.sum(offsets < 30) == n_pairs
    assert np.sum((offsets >= 30) & (offsets < 60)) == 0


def test_nothing_is_reported_during_the_warm_up():
    samples, _ = recording(8, 1.0, rate_hz=50)
    found = run(detector_of(8), samples)
    crossing = found["known_sample"] - round(CONFIG.peak_ms * 25)
    assert crossing.min() >= CONFIG.warm_up_ms * FRAME
    eager = run(detector_of(8, CONFIG.model_copy(update={"warm_up_ms": 0})), samples)
    assert eager["known_sample"].min() < CONFIG.warm_up_ms * FRAME


def test_offsets_do_not_matter_after_the_warm_up():
    samples, _ = recording(16, 0.6)
    offsets = np.linspace(-20_000, 20_000, 16).astype(np.int16)
    assert tuples(run(detector_of(16), samples + offsets)) == tuples(run(detector_of(16), samples))


@pytest.mark.parametrize("level", [0, 1, -20_000, 32767, -32768])
def test_a_constant_channel_never_fires(level):
    samples, _ = recording(20, 0.6)
    samples[:, 17] = level
    detector = detector_of(20)
    found = run(detector, samples)
    assert len(found) > 0
    assert 17 not in found["channel_index"]
    assert abs(detector.planes[:4, channel_slots(20)[17]]).max() < abs(level) + 1


def test_a_channel_that_falls_silent_is_not_left_with_subnormal_state():
    samples, _ = recording(16, 0.4)
    samples[5000:] = 0
    detector = detector_of(16)
    run(detector, samples)
    state = abs(detector.planes[:4])
    assert np.all((state == 0) | (state > np.finfo(np.float32).tiny))


def test_a_channel_without_gain_never_fires():
    samples, _ = recording(20, 0.6, rate_hz=20)
    gain_uv = np.full(20, GAIN_UV, np.float32)
    gain_uv[[3, 19]] = np.nan
    detector = new_detector(FREQUENCY, gain_uv, CONFIG)
    found = run(detector, samples)
    assert set(found["channel_index"].tolist()) == set(range(20)) - {3, 19}
    assert np.isfinite(detector.planes).all()


@pytest.mark.parametrize("rail", [32767, -32768])
@pytest.mark.parametrize("n_rail", [1, 5, 300])
def test_a_channel_that_touches_a_rail_gives_no_spikes(rail, n_rail):
    clean, _ = recording(20, 0.8, rate_hz=0.01, seed=3)
    samples = clean.copy()
    for first in range(6000, 19_000, 611):
        samples[first : first + n_rail, 18] = rail
    detector = detector_of(20)
    found = run(detector, samples)
    assert 18 not in found["channel_index"]
    assert detector.channels["n_saturated"][18] >= 20
    assert detector.channels["n_saturated"].sum() == detector.channels["n_saturated"][18]


def test_noise_is_remembered_while_a_channel_is_saturated():
    samples, _ = recording(16, 0.8, rate_hz=0.01)
    detector, untouched = detector_of(16), detector_of(16)
    run(detector, np.where(np.arange(len(samples))[:, None] < 10_000, samples, np.int16(32767)))
    run(untouched, samples[:10_000])
    np.testing.assert_array_equal(noise_uv(detector), noise_uv(untouched))


def test_events_are_ordered_and_appended():
    samples, _ = recording(60, 0.6, rate_hz=50)
    detector = detector_of(60)
    found = np.zeros(100, SPIKE)
    found["channel_index"][:3] = 99
    for first in range(0, len(samples), FRAME):
        n_found = detect(detector, samples[first : first + FRAME], first, found, 3)
        end_frame(detector, FRAME)
        new = found[3:n_found]
        assert new.tolist() == np.sort(new, order=["known_sample", "channel_index"]).tolist()
        assert np.all((new["known_sample"] >= first) & (new["known_sample"] < first + FRAME))
    assert found["channel_index"][:3].tolist() == [99, 99, 99]


def test_events_without_room_are_dropped_and_counted():
    samples, _ = recording(40, 0.5)
    samples[8000:8020] -= 2000
    every, few = detector_of(40), detector_of(40)
    everything = run(every, samples)
    assert len(everything) > 40
    kept = run(few, samples, room=11)
    np.testing.assert_array_equal(kept, everything[:11])
    assert few.core["n_dropped"][0] == len(everything) - 11
    assert every.core["n_dropped"][0] == 0


def test_samples_across_the_end_of_a_frame_are_refused():
    detector = detector_of(4)
    detect(detector, np.zeros((20, 4), np.int16), 0, np.zeros(4, SPIKE), 0)
    with pytest.raises(ValueError, match="end of a frame"):
        detect(detector, np.zeros((6, 4), np.int16), 20, np.zeros(4, SPIKE), 0)
    with pytest.raises(ValueError, match="number of channels"):
        detect(detector, np.zeros((5, 5), np.int16), 20, np.zeros(4, SPIKE), 0)


def test_detection_goes_on_after_lost_samples():
    samples, _ = recording(16, 1.0, rate_hz=50)
    detector, found = detector_of(16), np.zeros(1000, SPIKE)
    run(detector, samples[:10_000])
    assert detect(detector, samples[10_000:10_010], 10_000, found, 0) == 0
    n_found = detect(detector, samples[20_005:20_025], 20_005, found, 0)
    end_frame(detector, 20)
    for first in range(20_025, 25_000, FRAME):
        n_found = detect(detector, samples[first : first + FRAME], first, found, n_found)
        end_frame(detector, FRAME)
    assert n_found > 20
    assert found["known_sample"][:n_found].min() >= 20_005


@pytest.mark.parametrize("n_channels", [1, 7, 31, 60])
def test_nothing_is_read_beyond_the_samples(n_channels):
    page, libc = mmap.PAGESIZE, ctypes.CDLL(None, use_errno=True)
    size = FRAME * n_channels * 2
    pages = mmap.mmap(-1, 2 * page)
    address = ctypes.addressof(ctypes.c_char.from_buffer(pages))
    assert libc.mprotect(ctypes.c_void_p(address + page), ctypes.c_size_t(page), 0) == 0
    samples = np.frombuffer(pages, np.int16, FRAME * n_channels, page - size).reshape(FRAME, n_channels)
    assert detect(detector_of(n_channels), samples, 0, np.zeros(1, SPIKE), 0) == 0


def test_read_only_samples_are_accepted():
    samples, _ = recording(17, 0.4)
    expected = run(detector_of(17), samples)
    samples.flags.writeable = False
    np.testing.assert_array_equal(run(detector_of(17), samples), expected)


def test_a_band_beyond_half_the_sampling_frequency_is_refused():
    with pytest.raises(ConfigError, match=r"high_hz: 3000 Hz is not below 2500 Hz"):
        new_detector(5000, np.ones(4, np.float32), DetectionConfig())


@pytest.mark.parametrize("field", [{"low_hz": 3000.0}, {"threshold_sigma": 0.0}, {"peak_ms": 0.0}, {"tresholds": 5}])
def test_impossible_settings_are_refused(field):
    with pytest.raises(ValidationError):
        DetectionConfig.model_validate(field)
