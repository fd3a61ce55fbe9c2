import numpy as np
import pytest
from pydantic import ValidationError

from wetloop.analysis.activity import rest_statistics, time_in_bursts
from wetloop.analysis.culture_trial import Plan, watch
from wetloop.core.errors import GuardError, RigError
from wetloop.core.guard import Pattern, Pulse, StimGuard
from wetloop.core.protocols import Source
from wetloop.core.types import Signal
from wetloop.culture.config import CultureConfig, ElectrodeConfig, NetworkConfig, ProbeConfig, StimulationConfig
from wetloop.culture.network import poisson_quantiles, template
from wetloop.culture.rig import effective_mv, recruitment_radius_mm
from wetloop.kernels.culture import make_packet
from wetloop.kernels.network import QUANTILES
from wetloop.kernels.records import PULSE, SPIKE

SILENT = NetworkConfig(mini_rate_hz=0, bias_mv=-5, bias_spread_mv=0, drift_mv=0)
"""A dish that never fires on its own."""
QUIET = ElectrodeConfig(noise_uv=0)
CENTRE = 27


def opened(seed=1, patterns=None, **config):
    culture = CultureConfig.model_validate(config).build(seed)
    culture.open()
    if patterns:
        culture.prepare(StimGuard(culture.info).prepare(patterns))
    return culture


def pulse(amplitude_mv=75.0, phase_us=200.0):
    return Pulse.balanced(amplitude_mv, phase_us, "mV")


def recorded(culture, seconds, triggers=()):
    """Read whole packets; return the spikes and samples."""
    waiting, spikes, samples = sorted(triggers), [], []
    stop = round(seconds * culture.info.sampling_frequency)
    done = 0
    while done < stop:
        while waiting and waiting[0][0] < done + 2 * culture.info.packet_samples + culture.info.frame_samples:
            at, pattern = waiting.pop(0)
            culture.trigger(pattern, at)
        block = culture.read()
        assert block.start_sample == done
        done += block.n_samples
        spikes.append(block.spikes)
        samples.append(block.samples)
    return np.concatenate(spikes), np.concatenate(samples)


def test_is_a_source_that_describes_itself_before_it_is_opened():
    culture = CultureConfig(probe=ProbeConfig(columns=4, rows=3), packet_samples=128).build(1)
    assert isinstance(culture, Source)
    info = culture.info
    assert (info.name, info.n_channels, info.packet_samples, info.frame_samples) == ("culture", 12, 128, 25)
    assert (info.signal, info.unit, info.lead_samples, info.reacts) == (Signal.SPIKES, "mV", 331, True)


def test_same_seed_same_bytes_and_another_seed_differs():
    first, again, other = (recorded(opened(seed, packet_ms=100), 5)[0] for seed in (3, 3, 4))
    assert len(first) > 50
    assert first.tobytes() == again.tobytes()
    assert first.tobytes() != other.tobytes()


def test_culture_seed_fixes_the_wiring_and_the_session_seed_the_noise():
    one, two = (opened(seed, culture_seed=7, packet_ms=100) for seed in (1, 2))
    assert np.array_equal(one.state.network.weight_mv, two.state.network.weight_mv)
    assert np.array_equal(one.state.electrodes.seen_uv, two.state.electrodes.seen_uv)
    assert recorded(one, 5)[0].tobytes() != recorded(two, 5)[0].tobytes()


def test_spikes_are_ordered_apart_and_beyond_the_threshold():
    spikes, _ = recorded(opened(packet_ms=100), 30)
    key = spikes["known_sample"] * 64 + spikes["channel_index"]
    assert (np.diff(key) > 0).all()
    assert (spikes["known_sample"] == spikes["sample_index"]).all()
    assert (spikes["amplitude_uv"] < -25).all()
    for channel in range(64):
        at = spikes["sample_index"][spikes["channel_index"] == channel]
        assert (np.diff(at) >= 25).all()


@pytest.mark.parametrize("seed", [601, 602])
def test_a_culture_bursts_at_rest_and_is_quieted_by_pulses_spread_over_the_array(seed):
    trial = watch(CultureConfig(culture_seed=seed), seed, Plan(rest_s=90, stimulated_s=45, n_probes=5))
    at_rest = rest_statistics(trial.rest)
    assert 80 / 64 < at_rest.mean_rate_hz < 420 / 64
    assert 12 < at_rest.bursts_per_min < 30
    assert 0.1 < at_rest.burst_duration_s < 0.9
    assert 0.75 < at_rest.share_in_bursts < 0.98
    assert 2 < trial.inhibitory_hz / trial.excitatory_hz < 9
    assert rest_statistics(trial.stimulated).share_in_bursts < 0.5 * at_rest.share_in_bursts
    assert time_in_bursts(trial.stimulated) < time_in_bursts(trial.rest)
    assert trial.evoked.direct > 1
    assert trial.evoked.direct_latency_ms < 0.6


def test_stimulation_changes_what_follows():
    at = 2000
    patterns = {"one": Pattern(pulse(150), (CENTRE,))}
    still, _ = recorded(opened(patterns=patterns), 1)
    moved, _ = recorded(opened(patterns=patterns), 1, [(at, 0)])
    before = still["sample_index"] < at
    assert before.any()
    assert still[before].tobytes() == moved[moved["sample_index"] < at].tobytes()
    assert still.tobytes() != moved.tobytes()


def recruited(culture, pattern=0, repeats=20):
    """Mean number of cells that fire in the ms of a pulse, in a dish that is silent otherwise."""
    fired = 0
    for _ in range(repeats):
        start = culture.read().start_sample + culture.info.packet_samples
        culture.trigger(pattern, start + 3)
        before = culture.state.network.core["n_spikes"][0]
        culture.read()
        fired += culture.state.network.core["n_spikes"][0] - before
        for _ in range(100):
            culture.read()
    return fired / repeats


def test_recruitment_grows_with_strength_and_falls_with_distance():
    amplitudes = 30, 75, 150
    culture = opened(network=SILENT, settle_s=0, patterns={str(a): Pattern(pulse(a), (CENTRE,)) for a in amplitudes})
    counts = [recruited(culture, k) for k in range(3)]
    assert counts[0] < counts[1] < counts[2]
    assert 15 < counts[1] < 40
    chance = culture.recruitment(Pattern(pulse(), (CENTRE,)))
    apart = np.linalg.norm(culture.cells.at_mm - np.array([0.6, 0.6]), axis=1)
    order = np.argsort(apart)
    assert (np.diff(chance[order]) <= 0).all()
    assert chance[order[0]] > 0.9
    assert (chance[apart > 0.4] == 0).all()


def test_several_electrodes_recruit_as_independent_ones():
    culture = opened(settle_s=0)
    one, two = (culture.recruitment(Pattern(pulse(), (c,))) for c in (CENTRE, CENTRE + 1))
    both = culture.recruitment(Pattern(pulse(), (CENTRE, CENTRE + 1)))
    near = (one > 0) & (two > 0)
    assert near.any()
    assert np.allclose(both[near], (1 - (1 - one) * (1 - two))[near])


def test_recruitment_radius_follows_amplitude_and_width():
    config = StimulationConfig()
    assert recruitment_radius_mm(config, pulse(75)) == pytest.approx(0.16)
    assert recruitment_radius_mm(config, pulse(150)) == pytest.approx(0.245)
    assert effective_mv(config, pulse(75, 400)) == pytest.approx(75 * 2 / 1.5)


def test_a_refractory_cell_is_not_recruited():
    culture = opened(network=SILENT, settle_s=0, patterns={"all": Pattern(pulse(150), (CENTRE,))})
    culture.state.network.recruit[0, culture.cells.slot] = 1
    culture.trigger(0, 0)
    culture.trigger(0, 30)
    culture.read()
    assert culture.state.network.core["n_spikes"][0] == 1000
    culture.read()
    assert culture.state.network.core["n_spikes"][0] == 1000


@pytest.mark.parametrize("excitatory", [True, False])
def test_cells_of_both_kinds_are_seen(excitatory):
    culture = opened(network=SILENT, settle_s=0, patterns={"x": Pattern(pulse(), (CENTRE,))})
    slots = culture.cells.slot[culture.cells.excitatory == excitatory]
    culture.state.network.recruit[:] = 0
    culture.state.network.recruit[0, slots] = 1
    culture.trigger(0, 0)
    assert len(np.unique(culture.read().spikes["channel_index"])) > 10


@pytest.mark.parametrize("signal", ["spikes", "samples"])
def test_a_pulse_into_the_past_or_of_no_pattern_is_refused(signal):
    culture = opened(signal=signal, packet_samples=37, settle_s=0, patterns={"x": Pattern(pulse(), (CENTRE,))})
    culture.read()
    with pytest.raises(RigError, match="already simulated up to 50"):
        culture.trigger(0, 49)
    with pytest.raises(RigError, match="pattern 1 is not among the 1"):
        culture.trigger(1, 1000)
    culture.trigger(0, 50)


def test_silence_forgets_planned_pulses():
    culture = opened(network=SILENT, settle_s=0, patterns={"x": Pattern(pulse(), (CENTRE,))})
    culture.trigger(0, 10)
    culture.silence()
    culture.read()
    assert culture.state.network.core["n_spikes"][0] == 0


def test_limits_refuse_what_would_harm_the_electrode():
    culture = CultureConfig().build(1)
    with pytest.raises(GuardError, match="charge per phase"):
        StimGuard(culture.info).prepare({"x": Pattern(pulse(900, 200), (0,))})


def test_noise_has_the_configured_size_and_no_memory():
    culture = opened(signal="samples", network=SILENT, settle_s=0, packet_ms=100)
    _, samples = recorded(culture, 2)
    noise_uv = samples * 0.195
    assert noise_uv.std(axis=0) == pytest.approx(np.full(64, 5), rel=0.05)
    assert abs(noise_uv.mean()) < 0.1
    assert abs(np.corrcoef(noise_uv[:-1, 0], noise_uv[1:, 0])[0, 1]) < 0.03


def test_the_waveform_is_biphasic_and_its_peak_is_one():
    wave = template(25000)
    assert wave.min() == -1
    assert wave.argmin() in (7, 8)
    assert 0.2 < wave.max() < 0.5
    assert wave.argmax() > wave.argmin()
    assert abs(wave[-1]) < 0.01


def test_amplitude_in_samples_falls_with_distance():
    culture = opened(
        signal="samples", cells=1000, network=SILENT, electrodes=QUIET, settle_s=0, packet_ms=10,
        stimulation=StimulationConfig(artefact_share=0), patterns={"x": Pattern(pulse(), (CENTRE,))},
    )  # fmt: skip
    electrodes = np.array(culture.info.probe.contact_positions) / 1000
    apart = np.linalg.norm(culture.cells.at_mm[:, None] - electrodes, axis=2)
    cell = apart[:, CENTRE].argmin()
    culture.state.network.recruit[:] = 0
    culture.state.network.recruit[0, culture.cells.slot[cell]] = 1
    culture.trigger(0, 0)
    peak_uv = -0.195 * culture.read().samples.min(axis=0)
    near = np.argsort(apart[cell])[:4]
    assert (np.diff(peak_uv[near]) <= 0).all()
    assert peak_uv[near[0]] > 10
    ratio = 2 ** ((apart[cell, near[1]] - apart[cell, near[0]]) * 1000 / 40)
    assert peak_uv[near[0]] == pytest.approx(peak_uv[near[1]] * ratio, abs=0.2 * ratio)


def test_the_artefact_follows_the_pulse_and_is_largest_on_the_stimulated_electrode():
    patterns = {"x": Pattern(pulse(), (CENTRE,))}
    culture = opened(signal="samples", network=SILENT, electrodes=QUIET, settle_s=0, packet_ms=10, patterns=patterns)
    culture.state.network.recruit[:] = 0
    assert not culture.read().samples.any()
    culture.trigger(0, 260)
    samples = culture.read().samples.astype(int)
    assert not samples[:10].any()
    assert samples[10, CENTRE] == 32767
    others = np.delete(samples, CENTRE, axis=1)
    assert 0 < others.max() < 32767
    assert samples[10, CENTRE + 1] > samples[10, CENTRE + 3] > 0
    assert samples[30, CENTRE + 1] < 0.2 * samples[10, CENTRE + 1]
    assert not culture.read().samples.any()


def test_spikes_in_samples_stand_where_the_spikes_signal_has_them():
    spikes, _ = recorded(opened(packet_ms=100), 2)
    _, samples = recorded(opened(packet_ms=100, signal="samples"), 2)
    inside = spikes[spikes["sample_index"] < 49_900]
    peak = np.array([samples[s["sample_index"] + 5 : s["sample_index"] + 11, s["channel_index"]].min() for s in inside])
    assert len(inside) > 50
    assert np.mean(0.195 * peak < -15) > 0.9


def test_a_checkpoint_is_a_copy_of_the_arrays():
    culture = opened(packet_ms=100)
    none, samples, spikes = np.zeros(0, PULSE), np.zeros((2500, 0), np.int16), np.zeros(7000, SPIKE)
    copy = type(culture.state)(*(type(part)(*(a.copy() for a in part)) for part in culture.state))
    expected = culture.read().spikes
    n = make_packet(copy, none, 0, 2500, samples, spikes)
    assert spikes[:n].tobytes() == expected.tobytes()


def test_mini_counts_are_poisson():
    counts = poisson_quantiles(60.0)
    assert counts.shape == (QUANTILES,)
    assert counts.mean() == pytest.approx(60, rel=0.01)
    assert counts.var() == pytest.approx(60, rel=0.03)
    assert not poisson_quantiles(0.0).any()


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"packet_ms": 1, "packet_samples": 25}, "keep one"),
        ({"lead_ms": 1.5}, "lead_ms 1.5 is under 2"),
        ({"packet_samples": 37, "lead_ms": 3}, "lead_ms 3.0 is under 3.48"),
        ({"packet_ms": 0.001}, "shorter than one sample"),
        ({"sampling_frequency_hz": 24414}, "multiple of 1000"),
        ({"cells": 100, "network": {"synapses_per_cell": 100}}, "needs more than 100 cells"),
        ({"stimulation": {"radius_at_double_mm": 0.1}}, "radius_at_double_mm 0.1 is under radius_mm 0.16"),
        ({"plasticity": "on"}, "where a configuration is loaded"),
        ({"colour": "red"}, "Extra inputs are not permitted"),
    ],
)  # fmt: skip
def test_config_refuses(config, message):
    with pytest.raises(ValidationError, match=message):
        CultureConfig.model_validate(config)
