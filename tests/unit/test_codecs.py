"""Encoder, decoder and feedback rules on a real layout and a real pattern table."""

import math
from itertools import pairwise

import numpy as np
import pytest
from pydantic import ValidationError

from wetloop.coding.decoder_config import RegionRatioConfig
from wetloop.coding.decoders import ln
from wetloop.coding.encoder_config import NoEncoderConfig, PlaceRateConfig
from wetloop.coding.feedback_config import DishBrainConfig, NoFeedbackConfig, SilentConfig, YokedConfig
from wetloop.core.guard import StimGuard
from wetloop.core.layout import LayoutConfig, grid_probe
from wetloop.core.limits import StimLimits
from wetloop.core.plugin import BuildContext
from wetloop.core.types import (
    Kind,
    Outcome,
    Priority,
    Response,
    RigInfo,
    Signal,
    SpikeBatch,
    Tick,
    Timing,
    Update,
)
from wetloop.kernels.records import SPIKE

DECISION, DELAY = 250, 100
TICK = Tick(7, 7 * DECISION, 8 * DECISION, 8 * DECISION + DELAY)
SECOND = 25_000


def context(*configs, unit="mV", seed=1):
    probe = grid_probe(8, 8, 200.0)
    info = RigInfo(
        name="rig", sampling_frequency=float(SECOND), probe=probe, signal=Signal.SPIKES,
        gain_uv=np.ones(64, np.float32), packet_samples=25, lead_samples=50, unit=unit,
        limits=StimLimits(max_electrodes=32), electrode_area_um2=707.0, access_resistance_kohm=12.0,
    )  # fmt: skip
    layout = LayoutConfig().apply(probe)
    patterns = {name: pattern for config in configs for name, pattern in config.patterns(layout, unit).items()}
    return BuildContext(info, layout, StimGuard(info).prepare(patterns), DECISION, seed)


def built(config, seed=1):
    made = context(config, seed=seed)
    return config.build(made), made


def outcome(*events, x=0.5, y=0.5, paddle=0.5, playing=True, terminated=False):
    observation = np.array([x, y, 0.3, 0.1, paddle], np.float32)
    return Outcome(observation, 0.0, terminated, False, events, playing, {})


def later(decisions):
    return Tick(
        TICK.decision_index + decisions,
        TICK.start_sample + decisions * DECISION,
        TICK.stop_sample + decisions * DECISION,
        TICK.plan_sample + decisions * DECISION,
    )


# Encoder


def test_the_place_code_covers_the_field_in_equal_parts():
    config = PlaceRateConfig()
    encoder, made = built(config)
    for height in np.linspace(0, 1, 97):
        for paddle in (0.15, 0.5, 0.85):
            (setting,) = encoder.encode(outcome(y=height, paddle=paddle), TICK)
            relative = float(np.float32(height)) - float(np.float32(paddle))
            place = min(7, max(0, math.floor((relative + 0.5) * 8)))
            assert setting.patterns == made.table.find(f"sensory {place}")
            assert made.table.patterns[setting.patterns.first].channels == (made.layout.sensory[place],)


def test_the_rate_rises_from_4_to_40_hz_as_the_ball_nears():
    encoder, _ = built(PlaceRateConfig())
    rates = [SECOND / encoder.encode(outcome(x=x), TICK)[0].period_samples for x in np.linspace(1, 0, 50)]
    np.testing.assert_allclose(rates, np.linspace(4, 40, 50), rtol=1e-6)


def test_the_rate_stays_in_its_range_beyond_near_and_far():
    encoder, _ = built(PlaceRateConfig(near=0.2, far=0.8))
    assert [encoder.rate_hz(x) for x in (0.0, 0.2, 0.5, 0.8, 1.0)] == pytest.approx([40, 40, 22, 4, 4])


def test_a_renewed_train_keeps_its_phase_and_ends_by_itself():
    encoder, _ = built(PlaceRateConfig())
    (setting,) = encoder.encode(outcome(), TICK)
    assert (setting.voice, setting.kind, setting.priority) == (0, Kind.SENSORY, Priority.SENSORY)
    assert (setting.update, setting.timing) == (Update.KEEP_PHASE, Timing.REGULAR)
    assert setting.start_sample == TICK.plan_sample
    assert setting.stop_sample - setting.start_sample == 0.05 * SECOND


@pytest.mark.parametrize("over", [{"playing": False}, {"terminated": True}])
def test_nothing_is_shown_while_nothing_is_played(over):
    encoder, _ = built(PlaceRateConfig())
    (setting,) = encoder.encode(outcome(**over), TICK)
    assert setting.voice == 0
    assert setting.start_sample == setting.stop_sample == TICK.plan_sample


def test_other_tasks_choose_their_columns():
    config = PlaceRateConfig(distance=2, near=0.0, far=0.6, place=3, reference=None, place_low=0, place_high=0.2)
    encoder, made = built(config)
    (setting,) = encoder.encode(outcome(), TICK)  # column 2 is 0.3, column 3 is 0.1
    assert setting.patterns == made.table.find("sensory 4")
    assert SECOND / setting.period_samples == pytest.approx(22, rel=1e-6)


@pytest.mark.parametrize("unit", ["mV", "uA"])
def test_patterns_are_balanced_in_the_rig_s_unit(unit):
    made = context(PlaceRateConfig(), DishBrainConfig(), unit=unit)
    low, high = {"mV": (75.0, 150.0), "uA": (1.0, 2.0)}[unit]
    table = dict(made.table)
    expected = {f"{kind} {i}" for kind in ("sensory", "random") for i in range(8)} | {"predictable"}
    assert set(table) == expected
    assert table["predictable"].channels == made.layout.sensory
    for name, pattern in table.items():
        amplitude = high if name.startswith("random") else low
        assert (pattern.pulse.first_amplitude, pattern.pulse.second_amplitude) == (-amplitude, amplitude)
        assert (pattern.pulse.first_us, pattern.pulse.second_us, pattern.pulse.unit) == (200, 200, unit)


def test_rest_shows_nothing():
    encoder, made = built(NoEncoderConfig())
    assert encoder.encode(outcome(), TICK) == ()
    assert len(made.table) == 0


@pytest.mark.parametrize("wrong", [{"near": 1.0}, {"place_low": 0.5}, {"min_rate_hz": 50}, {"amplitude_mv": 0}])
def test_an_empty_range_is_refused(wrong):
    with pytest.raises(ValidationError):
        PlaceRateConfig(**wrong)


# Decoder


def batch(made, *counts):
    """Return spikes of the regions, in these numbers, and one of no region."""
    channels = [np.resize(np.flatnonzero(made.layout.regions == r), n) for r, n in enumerate(counts)]
    spikes = np.zeros(sum(counts) + 1, SPIKE)
    spikes["channel_index"] = np.concatenate([*channels, np.flatnonzero(made.layout.regions < 0)[:1]])
    return SpikeBatch(TICK.start_sample, TICK.stop_sample, spikes)


def decoder_of(**options):
    made = context()
    return RegionRatioConfig(**options).build(made), made


def decode(decoder, made, counts, held=False):
    return float(decoder.decode(batch(made, *counts), held=held)[0])


def test_a_constant_imbalance_cancels():
    decoder, made = decoder_of(gain_s=3.0)
    actions = [decode(decoder, made, (5, 2)) for _ in range(6000)]
    assert actions[20] == 1.0
    assert abs(actions[-1]) < 1e-3


def test_the_action_has_the_sign_of_the_change_and_is_clipped():
    for counts, sign in (((9, 1), 1), ((1, 9), -1)):
        decoder, made = decoder_of()
        for _ in range(200):
            assert decode(decoder, made, (3, 3)) == 0
        actions = [decode(decoder, made, counts) for _ in range(100)]
        assert all(action * sign > 0 for action in actions)
        assert actions[-1] == sign


def test_the_action_is_the_standard_score_of_the_log_ratio():
    decoder, made = decoder_of(gain_s=2.0)
    counts = np.random.default_rng(2).poisson((2.0, 1.0), (500, 2))
    actions = [decode(decoder, made, pair) for pair in counts]
    fast, slow = 0.01 / 0.11, 0.01 / 2.01
    rates, mean, variance = np.zeros(2), 0.0, 0.1
    for pair, action in zip(counts, actions, strict=True):
        rates += fast * (pair / 0.01 - rates)
        ratio = np.log((20 + rates[0]) / (20 + rates[1]))
        mean += slow * (ratio - mean)
        variance += slow * ((ratio - mean) ** 2 - variance)
        assert action == pytest.approx(np.clip((ratio - mean) / np.sqrt(variance), -1, 1), abs=1e-12)
    assert np.mean(np.abs(actions) < 1) > 0.3


def test_held_windows_leave_no_trace():
    (held, made), (free, _) = decoder_of(), decoder_of()
    rng = np.random.default_rng(3)
    for _ in range(50):
        counts = rng.poisson((2.0, 2.0))
        assert decode(held, made, (30, 0), held=True) == 0
        assert decode(held, made, counts) == decode(free, made, counts)


def test_silence_and_spikes_of_no_region_move_nothing():
    decoder, made = decoder_of()
    assert decoder.decode(SpikeBatch(0, DECISION, np.empty(0, SPIKE)), held=False).tolist() == [0.0]
    assert decode(decoder, made, (0, 0)) == 0


def test_the_portable_logarithm_agrees_with_the_library_s():
    values = np.concatenate([np.logspace(-8, 8, 4001), np.linspace(0.5, 2, 1001)])
    np.testing.assert_allclose([ln(float(x)) for x in values], np.log(values), rtol=4e-16, atol=2e-16)


# Feedback


def hold_ms(response):
    return (response.hold_samples - DELAY) / SECOND * 1000


def test_a_hit_earns_ten_pulses_on_all_electrodes_and_no_pause():
    feedback, made = built(DishBrainConfig())
    (setting,), hold = feedback.respond(outcome("bounce", "hit"), TICK)
    assert hold == 0
    assert (setting.voice, setting.kind, setting.priority) == (8, Kind.PREDICTABLE, Priority.FEEDBACK)
    assert (setting.update, setting.timing) == (Update.REPLACE, Timing.REGULAR)
    assert setting.patterns == made.table.find("predictable")
    assert setting.start_sample == TICK.plan_sample
    pulses = np.arange(setting.start_sample, setting.stop_sample, setting.period_samples)
    assert len(pulses) == 10


def test_a_miss_earns_random_pulses_and_a_rest():
    feedback, made = built(DishBrainConfig())
    response = feedback.respond(outcome("miss", terminated=True), TICK)
    (setting,) = response.program
    assert (setting.voice, setting.kind, setting.priority) == (9, Kind.RANDOM, Priority.FEEDBACK)
    assert (setting.update, setting.timing) == (Update.REPLACE, Timing.POISSON)
    assert setting.patterns == made.table.find(*(f"random {i}" for i in range(8)))
    assert (setting.start_sample, setting.stop_sample) == (TICK.plan_sample, TICK.plan_sample + 4 * SECOND)
    assert setting.period_samples == SECOND / 5
    assert hold_ms(response) == 8000


def test_every_random_train_has_its_own_seed_and_every_session_the_same_ones():
    def seeds(seed):
        feedback, _ = built(DishBrainConfig(), seed)
        return [feedback.respond(outcome("miss"), later(800 * k)).program[0].seed for k in range(20)]

    assert len(set(seeds(1))) == 20
    assert seeds(1) == seeds(1)
    assert not set(seeds(1)) & set(seeds(2))


@pytest.mark.parametrize("config", [DishBrainConfig(), SilentConfig(), YokedConfig(), NoFeedbackConfig()])
@pytest.mark.parametrize("events", [(), ("serve",), ("bounce",)])
def test_nothing_else_is_answered(config, events):
    feedback, _ = built(config)
    assert feedback.respond(outcome(*events), TICK) == Response((), 0)


def test_silence_holds_as_long_without_a_pattern_or_pulse():
    timing = {"rest_s": 2.5, "random": {"duration_s": 1.5}}
    (silent, made), (loud, _) = built(SilentConfig(**timing)), built(DishBrainConfig(**timing))
    assert len(made.table) == 0
    for events in (("hit",), ("miss",), ("bounce",)):
        quiet = silent.respond(outcome(*events), TICK)
        assert quiet == Response((), loud.respond(outcome(*events), TICK).hold_samples)
    assert hold_ms(silent.respond(outcome("miss"), TICK)) == 4000


def test_no_feedback_neither_stimulates_nor_holds():
    feedback, _ = built(NoFeedbackConfig())
    assert feedback.respond(outcome("miss", terminated=True), TICK) == Response((), 0)


def test_any_event_can_be_answered_and_the_bad_one_outranks_the_good():
    feedback, _ = built(DishBrainConfig(predictable_events=("kill", "pickup"), random_events=("damage",)))
    assert feedback.respond(outcome("pickup"), TICK).program[0].kind == Kind.PREDICTABLE
    assert feedback.respond(outcome("damage", "kill"), TICK).program[0].kind == Kind.RANDOM
    assert feedback.respond(outcome("miss"), TICK) == Response((), 0)
    with pytest.raises(ValidationError, match="hit stands in"):
        DishBrainConfig(random_events=("hit", "miss"))


def test_yoked_kinds_are_drawn_from_those_earned():
    feedback, _ = built(YokedConfig())
    first = [feedback.respond(outcome("hit"), TICK).program[0].kind for _ in range(20)]
    assert set(first) == {Kind.PREDICTABLE}
    earned, drawn = [Kind.PREDICTABLE] * 20, []
    for k in range(400):
        event = "miss" if k % 4 else "hit"
        earned.append(Kind.RANDOM if k % 4 else Kind.PREDICTABLE)
        drawn.append(feedback.respond(outcome(event), later(k)).program[0].kind)
    expected = np.mean([np.mean(np.array(earned[: 21 + k]) == Kind.RANDOM) for k in range(400)])
    assert np.mean(np.array(drawn) == Kind.RANDOM) == pytest.approx(expected, abs=0.08)
    agree = np.mean(np.array(drawn) == np.array(earned[20:]))
    assert agree < 0.75


def test_yoked_pauses_do_not_tell_what_was_drawn_after_a_miss_and_spare_blind_play_after_a_hit():
    feedback, _ = built(YokedConfig())
    pauses = set()
    for k in range(200):
        for event in ("miss", "hit"):
            response = feedback.respond(outcome(event), later(k))
            pauses.add((event, response.program[0].kind, response.hold_samples))
    assert pauses == {
        ("miss", Kind.RANDOM, DELAY + 8 * SECOND),
        ("miss", Kind.PREDICTABLE, DELAY + 8 * SECOND),
        ("hit", Kind.RANDOM, DELAY + 4 * SECOND),
        ("hit", Kind.PREDICTABLE, 0),
    }


def test_same_seed_same_yoked_session():
    def kinds(seed):
        feedback, _ = built(YokedConfig(), seed)
        events = ("miss", "hit") * 40
        return [feedback.respond(outcome(event), later(k)).program[0].kind for k, event in enumerate(events)]

    assert kinds(1) == kinds(1)
    assert kinds(1) != kinds(2)
    assert any(a != b for a, b in pairwise(kinds(1)))
