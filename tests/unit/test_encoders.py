"""Encoders of pictures and features, one by one, combined, and through the engine within every limit."""

import threading
import tomllib
from dataclasses import replace
from pathlib import Path

import gymnasium
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from pydantic import ValidationError

from wetloop.assembly import describe, engine_of, players
from wetloop.coding.codes import facts_of
from wetloop.coding.combined_encoder_config import CombinedConfig
from wetloop.coding.encoder_config import NoEncoderConfig, PlaceRateConfig, RateConfig, RetinotopicConfig
from wetloop.coding.retinotopic import pool
from wetloop.config import from_json, parse_config, to_json
from wetloop.core.clock import Unpaced
from wetloop.core.errors import ConfigError
from wetloop.core.guard import StimGuard
from wetloop.core.layout import LayoutConfig, grid_probe
from wetloop.core.limits import StimLimits
from wetloop.core.plugin import BuildContext, TaskConfig
from wetloop.core.types import Outcome, RigInfo, Signal, Tick, Update
from wetloop.engine.rig import Devices, Rig
from wetloop.kernels.records import DELIVERED, FATES, PULSE

SECOND, DECISION, PLAN = 25_000, 250, 250
SHAPE = (24, 40)
NAMES = ("health", "wall", "enemy_x", "enemy_seen")
LIMITS = StimLimits(max_electrodes=32, min_interval_ms=4, max_rate_hz=100, max_array_rate_hz=400)
REFUSED = [name for name in FATES if name.startswith("refused")]


def context(config, *, electrodes=16, rows=4, shape=SHAPE, limits=LIMITS, names=NAMES):
    probe = grid_probe(8, 8, 200.0)
    info = RigInfo(
        name="rig", sampling_frequency=float(SECOND), probe=probe, signal=Signal.SPIKES,
        gain_uv=np.ones(64, np.float32), packet_samples=25, lead_samples=50, unit="mV",
        limits=limits, electrode_area_um2=707.0, access_resistance_kohm=12.0,
    )  # fmt: skip
    layout = LayoutConfig(sensory_electrodes=electrodes, sensory_rows=rows).apply(probe)
    table = StimGuard(info).prepare(config.patterns(layout, "mV"))
    return BuildContext(
        info, layout, table, DECISION, 1, observation_names=names, frame_shape=shape, limits=limits, plan_samples=PLAN
    )


def outcome(*observation, frame=None, playing=True):
    return Outcome(np.array(observation, np.float32), 0.0, False, False, (), playing, {}, frame)


def tick(index):
    return Tick(index, index * DECISION, (index + 1) * DECISION, (index + 1) * DECISION + PLAN)


def steady(encoder, seen):
    encoder.encode(seen, tick(0))
    return encoder.encode(seen, tick(90))


def rates(program):
    return [SECOND / s.period_samples if s.stop_sample > s.start_sample else 0.0 for s in program]


def channels(made, program):
    return [made.table.patterns[s.patterns.first].channels for s in program]


# Pictures


@settings(deadline=None, max_examples=40)
@given(arrays(np.uint8, st.tuples(st.integers(4, 30), st.integers(4, 30))), st.integers(1, 4), st.integers(1, 4))
def test_pooling_is_the_mean_of_each_part(frame, rows, columns):
    def parts(length, n):
        return [slice(k * length // n, (k + 1) * length // n) for k in range(n)]

    expected = [[frame[r, c].mean() / 255 for c in parts(frame.shape[1], columns)] for r in parts(len(frame), rows)]
    np.testing.assert_allclose(pool(frame, rows, columns), expected, rtol=1e-12)
    assert np.array_equal(pool(np.stack([frame] * 3, axis=2), rows, columns), pool(frame, rows, columns))


def test_colours_are_as_bright_as_they_look():
    red, green, blue = (pool(np.eye(3, dtype=np.uint8)[k][None, None] * 255, 1, 1).item() for k in range(3))
    assert (red, green, blue) == (0.299, 0.587, 0.114)


def test_each_electrode_tells_its_part_of_the_picture():
    config = RetinotopicConfig(min_rate_hz=5, max_rate_hz=25, max_total_hz=None)
    made = context(config)
    frame = np.zeros(SHAPE, np.uint8)
    frame[:6, 30:] = 255
    frame[12:18, :10] = 51
    program = steady(config.build(made), outcome(0, 0, 0, 0, frame=frame))
    expected = np.full(16, 5.0)
    expected[3], expected[8] = 25.0, 9.0
    assert rates(program) == pytest.approx(expected, rel=1e-6)
    assert channels(made, program) == [(channel,) for channel in made.layout.sensory]
    assert {s.update for s in program} == {Update.KEEP_PHASE}
    assert len({s.voice for s in program}) == 16
    assert {s.stop_sample - s.start_sample for s in program} == {0.05 * SECOND}


def test_a_line_of_electrodes_pools_columns():
    config = RetinotopicConfig(max_total_hz=None)
    made = context(config, electrodes=8, rows=1)
    frame = np.tile(np.repeat(np.arange(8), 5), (24, 1)).astype(np.uint8) * 36
    program = steady(config.build(made), outcome(0, 0, 0, 0, frame=frame))
    assert rates(program) == pytest.approx(4 + 36 * np.arange(8) * 36 / 255, rel=1e-6)


def test_near_may_be_dark_and_far_may_be_silent():
    config = RetinotopicConfig(invert=True, silent_below=0.5, electrodes=2, max_total_hz=None)
    made = context(config, electrodes=2, rows=1)
    frame = np.zeros(SHAPE, np.uint8)
    frame[:, 20:] = 204
    assert rates(steady(config.build(made), outcome(0, 0, 0, 0, frame=frame))) == pytest.approx([40, 0], rel=1e-6)


def test_a_picture_too_bright_for_the_budget_is_slowed_as_a_whole():
    config = RetinotopicConfig(min_rate_hz=2, max_rate_hz=40, max_total_hz=100)
    frame = np.full(SHAPE, 255, np.uint8)
    frame[:, :20] = 0
    program = steady(config.build(context(config)), outcome(0, 0, 0, 0, frame=frame))
    assert sum(rates(program)) == pytest.approx(100, rel=1e-6)
    assert max(rates(program)) / min(rates(program)) == pytest.approx(20, rel=1e-6)


@pytest.mark.parametrize(
    "seen", [outcome(0, 0, 0, 0), outcome(0, 0, 0, 0, frame=np.ones(SHAPE, np.uint8), playing=False)]
)
def test_without_a_picture_or_a_game_nothing_is_shown(seen):
    config = RetinotopicConfig()
    assert set(rates(steady(config.build(context(config)), seen))) == {0.0}


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((), "shows no picture"),
        ((24, 40, 4), "neither grey nor"),
        ((3, 40), "smaller than the grid of 4 x 4"),
    ],
)
def test_pictures_that_cannot_be_pooled_are_refused(shape, message):
    config = RetinotopicConfig()
    with pytest.raises(ConfigError, match=message):
        config.build(context(config, shape=shape))


def test_a_picture_of_another_shape_than_promised_is_refused():
    config = RetinotopicConfig()
    encoder = config.build(context(config))
    with pytest.raises(ConfigError, match=r"\(24, 40\) and showed one of \(40, 24\)"):
        encoder.encode(outcome(0, 0, 0, 0, frame=np.zeros(SHAPE[::-1], np.uint8)), tick(0))


# Features


def test_elements_are_told_by_rates_over_their_ranges():
    config = RateConfig(
        min_rate_hz=4,
        max_rate_hz=24,
        elements=[{"element": "health", "high": 100}, {"element": 1, "low": 8, "high": 0, "electrodes": 3}],
    )
    made = context(config)
    encoder = config.build(made)
    for health, wall, expected in ((0, 8, (4, 4)), (50, 6, (14, 9)), (100, 0, (24, 24)), (999, 99, (24, 4))):
        program = steady(encoder, outcome(health, wall, 0, 0))
        assert rates(program) == pytest.approx(expected, rel=1e-6)
    assert channels(made, program) == [made.layout.sensory[:1], made.layout.sensory[1:4]]


def test_places_are_chosen_by_name_and_only_what_is_seen_is_shown():
    config = PlaceRateConfig(
        distance="wall", place="enemy_x", reference=None, visible="enemy_seen", electrodes=4, max_total_hz=30
    )
    made = context(config)
    encoder = config.build(made)
    (setting,) = encoder.encode(outcome(1, 0, 0.3, 1), tick(0))
    assert channels(made, (setting,)) == [(made.layout.sensory[3],)]
    assert rates((setting,)) == pytest.approx([30])
    assert rates(encoder.encode(outcome(1, 0, 0.3, 0.4), tick(1))) == [0.0]


def test_names_and_numbers_mean_the_same():
    by_name = PlaceRateConfig(distance="wall", place="enemy_x", reference="health")
    by_number = PlaceRateConfig(distance_index=1, place_index=2, reference_index=0)
    seen = outcome(0.1, 0.4, 0.3, 1)
    assert [c.build(context(c)).encode(seen, tick(0)) for c in (by_name, by_number)][0::2] == [
        by_number.build(context(by_number)).encode(seen, tick(0))
    ]
    assert by_number == PlaceRateConfig(distance=1, place=2, reference=0)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (PlaceRateConfig(distance="wal"), "distance: the task shows no 'wal'; did you mean 'wall'"),
        (PlaceRateConfig(visible="xyz", reference=0), "visible: the task shows no 'xyz'; known: health, wall"),
        (PlaceRateConfig(), "reference: 4 is beyond the 4 elements shown"),
        (RateConfig(elements=[{"element": "helth"}]), r"elements\.0\.element: .* did you mean 'health'"),
    ],
)
def test_elements_that_are_not_shown_are_refused(config, message):
    with pytest.raises(ConfigError, match=message):
        config.build(context(config))


@pytest.mark.parametrize("element", [-1, 1.5, True, ""])
def test_an_element_is_a_name_or_a_number(element):
    with pytest.raises(ValidationError, match="by its name or by its number"):
        PlaceRateConfig(distance=element)


@pytest.mark.parametrize(
    "make",
    [
        lambda: RateConfig(elements=[]),
        lambda: RateConfig(elements=[{"element": 0, "low": 1}]),
        lambda: RateConfig(electrodes=3, elements=[{"element": 0}]),
        lambda: CombinedConfig(parts=[]),
        lambda: CombinedConfig(parts=[{"kind": "place-rate"}]),
    ],
)
def test_what_shows_nothing_is_refused(make):
    with pytest.raises(ValidationError):
        make()


# Combined


def parts_of(*parts):
    return CombinedConfig(parts=parts)


THREE = parts_of(
    PlaceRateConfig(electrodes=8, distance=1, place=2, reference=None, max_rate_hz=20),
    RateConfig(elements=[{"element": "health", "high": 100}, {"element": "wall", "electrodes": 7}], max_total_hz=60),
    RetinotopicConfig(max_rate_hz=10),
)


def test_parts_take_electrodes_in_turn_and_share_neither_these_nor_voices():
    made = context(THREE, electrodes=32)
    encoder = THREE.build(made)
    seen = outcome(50, 0.5, 0, 1, frame=np.full(SHAPE, 255, np.uint8))
    program = steady(encoder, seen)
    used = channels(made, program)
    sensory = made.layout.sensory
    assert used[0][0] in sensory[:8]
    assert used[1:3] == [sensory[8:9], sensory[9:16]]
    assert used[3:] == [(channel,) for channel in sensory[16:]]
    assert len({s.voice for s in program}) == len(program) == 19
    assert not {8, 9, 62, 63} & {s.voice for s in program}
    assert [facts.grid for facts in encoder.describe()] == [None, None, (2, 8)]


def test_parts_show_what_they_show_alone():
    alone = PlaceRateConfig(electrodes=8, distance=1, place=2, reference=None)
    made = context(parts_of(alone, RetinotopicConfig(max_total_hz=100)), electrodes=16, rows=2)
    together = parts_of(alone, RetinotopicConfig(max_total_hz=100)).build(made)
    single = alone.build(context(alone, electrodes=16, rows=2))
    for i, x in enumerate(np.linspace(-0.6, 0.6, 20)):
        seen = outcome(0, abs(x), x, 0, frame=np.zeros(SHAPE, np.uint8))
        mine, *_ = together.encode(seen, tick(i))
        (expected,) = single.encode(seen, tick(i))
        assert mine == expected


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ((PlaceRateConfig(), RetinotopicConfig()), "more than one part has no number of electrodes"),
        ((PlaceRateConfig(electrodes=16), RetinotopicConfig()), "no sensory electrode is left for part 2"),
        ((PlaceRateConfig(electrodes=12), RateConfig(elements=[{"element": i} for i in range(4)] * 2)), "8 .* 4 of 16"),
    ],
)
def test_electrodes_that_do_not_suffice_are_refused(parts, message):
    with pytest.raises(ConfigError, match=message):
        context(parts_of(*parts))


def test_a_combination_may_stand_in_a_combination_and_show_nothing():
    nested = parts_of(parts_of(PlaceRateConfig(electrodes=8, reference=0), NoEncoderConfig()), RetinotopicConfig())
    made = context(nested)
    program = steady(nested.build(made), outcome(0, 0, 0, 0, frame=np.zeros(SHAPE, np.uint8)))
    assert [c for group in channels(made, program) for c in group][1:] == list(made.layout.sensory[8:])


@pytest.fixture
def own_entry_points(tmp_path, monkeypatch):
    """Let plug-ins be found as the project file registers them, whatever was installed."""
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    folder = tmp_path / "wetloop-0.0.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: wetloop\nVersion: 0.0\n")
    groups = project["entry-points"].items()
    lines = [line for group, kinds in groups for line in (f"[{group}]", *(f"{k} = {v}" for k, v in kinds.items()))]
    (folder / "entry_points.txt").write_text("\n".join([*lines, ""]))
    monkeypatch.syspath_prepend(tmp_path)


COMBINED = """
layout: {sensory_electrodes: 16}
encoder:
  kind: combined
  parts:
    - {kind: place-rate, electrodes: 8, distance: ball_x}
    - kind: rate
      elements: [{element: paddle_y}]
"""


@pytest.mark.usefixtures("own_entry_points")
def test_parts_are_found_by_kind_and_stored():
    config = parse_config(COMBINED, "x.yaml")
    assert [type(part) for part in config.encoder.parts] == [PlaceRateConfig, RateConfig]
    assert from_json(to_json(config)).encoder == config.encoder


@pytest.mark.usefixtures("own_entry_points")
def test_faults_in_parts_are_found_where_they_stand():
    text = COMBINED.replace("distance:", "distanc:").replace("kind: rate", "kind: rat").replace("8", "0")
    with pytest.raises(ConfigError) as refusal:
        parse_config(text, "x.yaml")
    assert str(refusal.value).splitlines() == [
        "x.yaml:6:38: encoder.parts.0.electrodes: input should be greater than or equal to 1 (got 0)",
        "x.yaml:6:41: encoder.parts.0.distanc: unknown key; did you mean 'distance'?",
        "x.yaml:7:7: encoder.parts.1: no 'rat' among the wetloop.encoders; did you mean 'rate'?",
    ]
    with pytest.raises(ConfigError, match=r"parts\.1\.elements\.0\.hight: unknown key; did you mean 'high'"):
        parse_config(COMBINED.replace("paddle_y", "paddle_y, hight: 3"), "x.yaml")
    with pytest.raises(ConfigError, match=r"parts\.0: a part is a mapping with a kind"):
        parse_config("encoder: {kind: combined, parts: [place-rate]}", "x.yaml")


@pytest.mark.usefixtures("own_entry_points")
def test_the_numbers_of_older_recordings_are_still_read():
    stored = to_json(parse_config("", "x.yaml"))
    older = stored.replace('"distance"', '"distance_index"').replace('"place"', '"place_index"')
    assert older != stored
    assert from_json(older).encoder == from_json(stored).encoder == PlaceRateConfig()


# Limits


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        ({"max_rate_hz": 39}, "40 Hz on one electrode is over the limit of 39 Hz"),
        ({"min_interval_ms": 26}, r"intervals of 25 ms are under the limit of 26 ms: lower max_rate_hz to 38\.46 Hz"),
        ({"max_array_rate_hz": 214}, "200 Hz over 16 electrodes, which may put 215 pulses .* of 214 Hz"),
        ({"max_electrodes": 15}, "16 electrodes may pulse at once, over the limit of 15"),
        ({"max_charge_nc_per_s": 53}, r"53\.75 nC on one electrode in the guard's second .* limit of 53 nC"),
        ({"max_charge_nc_per_min": 3199}, r"3200 nC on one electrode in the guard's minute .* limit of 3199 nC"),
    ],
)
def test_rates_beyond_a_limit_are_refused_before_the_run(limits, message):
    config = RetinotopicConfig()
    made = context(config)
    config.build(replace(made, limits=StimLimits(max_array_rate_hz=215, max_rate_hz=40, min_interval_ms=25)))
    with pytest.raises(ConfigError, match=message):
        config.build(replace(made, limits=StimLimits(**limits)))


def test_parts_that_are_within_the_limits_may_be_beyond_them_together():
    two = parts_of(RetinotopicConfig(electrodes=8), RetinotopicConfig(electrodes=8))
    limits = LIMITS.tightened(StimLimits(max_array_rate_hz=300))
    assert RetinotopicConfig(electrodes=8).build(context(RetinotopicConfig(electrodes=8), limits=limits))
    with pytest.raises(ConfigError, match="400 Hz over 16 electrodes, which may put 414 pulses"):
        two.build(context(two, limits=limits))


def test_more_trains_than_voices_are_refused():
    config = RetinotopicConfig(max_rate_hz=5)
    limits = StimLimits(max_electrodes=64)
    assert config.build(context(config, electrodes=53, rows=1, limits=limits, shape=(60, 60)))
    with pytest.raises(ConfigError, match="54 trains asked for, but 53 voices are free"):
        config.build(context(config, electrodes=54, rows=1, limits=limits, shape=(60, 60)))


# Facts


def test_facts_tell_range_resolution_latency_and_cost():
    config = PlaceRateConfig(reference=0)
    (facts,) = config.build(context(config, electrodes=8, rows=1)).describe()
    assert [facts.levels(ms) for ms in (10, 50, 1000)] == [1, 2, 37]
    assert [facts.latency_ms(rate_hz) for rate_hz in (4, 40)] == [135, 22.5]
    assert (facts.at_once, facts.largest_total_hz, facts.most_in_a_second) == (1, 40, 40)
    assert facts.curves == (("health", 1.0, 0.0, None),)
    assert facts.place == "wall - health, -0.5 to 0.5"
    assert facts.session_min(StimLimits(max_charge_nc_per_session=100_000)) == pytest.approx(33.3, abs=0.1)
    assert facts_of(NoEncoderConfig().build(context(NoEncoderConfig()))) == ()


# Through the engine


class Noise(gymnasium.Env):
    """Shows random pictures that last, jump or are all white or black, and random features."""

    frame_shape = (30, 40, 3)
    observation_names = NAMES
    observation_space = gymnasium.spaces.Box(0, 1, (4,), np.float32)
    action_space = gymnasium.spaces.Box(-1, 1, (1,), np.float32)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed, options=options)
        self.frame = np.full(self.frame_shape, 255, np.uint8)
        return np.ones(4, np.float32), {"frame": self.frame}

    def step(self, _action):
        rng = self.np_random
        if rng.random() < 0.1:
            coarse = rng.choice([0, 128, 255], (3, 4, 3)).astype(np.uint8)
            self.frame = np.kron(coarse, np.ones((10, 10, 1), np.uint8))
        if rng.random() < 0.01:
            self.frame = np.full(self.frame_shape, rng.choice([0, 255]), np.uint8)
        over = bool(rng.random() < 0.01)
        return rng.random(4).astype(np.float32), 0.0, over, False, {"frame": self.frame}


class NoiseConfig(TaskConfig):
    kind: str = "noise"

    def build(self, decision_ms):
        _ = decision_ms
        return Noise()

    def event_names(self):
        return ()


def played(encoder, decisions, *settings):
    """Play on the simulated culture and return every pulse and the engine's count of fates."""
    text = "source: {settle_s: 0, cells: 200}\nlayout: {sensory_electrodes: 32, sensory_rows: 4}\nfeedback: none"
    config = parse_config(text, "x.yaml", settings).model_copy(update={"encoder": encoder, "task": NoiseConfig()})
    setting, source = describe(config)
    parts, engine = players(setting), engine_of(setting)
    rig = Rig(engine, Devices(engine, source, source, keep_samples=False), setting.table, setting.plan, Unpaced())
    rig.warm_up()
    pulses = []
    with rig:
        for now in rig.ticks(decisions, threading.Event()):
            rig.spikes(now)
            rig.submit(parts.encoder.encode(parts.task.step(np.zeros(1), now), now), now)
            pulses.append(engine.recorded_pulses.take())
    return np.concatenate(pulses), engine.fates()["sensory"], setting


ENGINE_CODES = {
    "picture": RetinotopicConfig(max_total_hz=300),
    "picture at the limits": RetinotopicConfig(min_rate_hz=4, max_rate_hz=100, max_total_hz=369),
    "features": RateConfig(elements=[{"element": i, "electrodes": 8} for i in range(4)], max_total_hz=300),
    "three parts": THREE,
}


@pytest.mark.parametrize("name", ENGINE_CODES)
def test_the_guard_never_has_to_refuse_what_an_encoder_asks_for(name):
    pulses, fates, _ = played(ENGINE_CODES[name], 1000)
    assert pulses.dtype == PULSE
    assert fates["delivered"] > 300
    assert {fate: n for fate, n in fates.items() if n and fate != "delivered"} == {}


def test_every_limit_would_have_been_met_by_the_guard():
    pulses, fates, setting = played(ENGINE_CODES["picture at the limits"], 1000)
    times = pulses["sample_index"][pulses["fate"] == DELIVERED]
    most = max(np.searchsorted(times, times + SECOND) - np.arange(len(times)))
    assert 300 < most <= setting.limits.max_array_rate_hz == 400
    assert sum(fates[name] for name in REFUSED) == 0


def test_trains_of_one_rate_do_not_fire_together():
    pulses, _, setting = played(RetinotopicConfig(min_rate_hz=10, max_rate_hz=10, max_total_hz=None), 200)
    late = pulses[pulses["sample_index"] > 2 * SECOND - SECOND // 10]
    assert len(set(late["pattern"].tolist())) == len(setting.layout.sensory) == 32
    gaps = np.diff(np.sort(late["sample_index"]))
    assert gaps.min() > 0.0004 * SECOND * 2
    assert gaps.max() < 0.01 * SECOND
