"""What a table of answers promises is what the engine delivers, while an encoder sets its trains at every decision."""

from threading import Event
from types import SimpleNamespace

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces
from scipy import stats

from wetloop import assembly, stages
from wetloop.config import parse_config
from wetloop.core.types import Kind
from wetloop.kernels.records import DELIVERED, FATES
from wetloop.recording.reader import Recording
from wetloop.replay import verify
from wetloop.session import Session
from wetloop.tasks.runner import TaskRunner

SECOND = 25_000
TABLE = (
    "{hit: {train: predictable, rate_hz: 60, pulses: 90, electrodes: [35, 36, 38]},"
    " bounce: {train: graded, rate_hz: 50, pulses: 40, electrodes: [44], magnitude_high: 100},"
    " miss: {train: random, rate_hz: 40, duration_s: 10, electrodes: [0, 1, 2, 3, 4, 5, 6, 7]},"
    " serve: {train: silent, hold_ms: 300}}"
)


class Scripted(gymnasium.Env):
    """Shows something new at every step, and tells events, with their magnitudes, at steps given before."""

    action_space = spaces.Box(-1, 1, (1,), np.float32)
    observation_space = spaces.Box(0, 1, (5,), np.float32)

    def __init__(self, script):
        self._script, self._step = script, 0

    def _shown(self):
        return self.np_random.random(5, np.float32)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed, options=options)
        return self._shown(), {"events": ()}

    def step(self, _action):
        self._step += 1
        told = self._script.get(self._step, {})
        return self._shown(), 0.0, False, False, {"events": tuple(told), "magnitudes": told}


@pytest.fixture
def scripted(tmp_path):
    """Play a script on the simulated culture; return pulses by kind, and the decisions."""

    def play(script, decisions, *settings):
        common = (f"recording.folder={tmp_path}", "recording.name=scripted", "source.cells=100", "source.settle_s=1")
        feedback = (f"feedback={{kind: events, events: {TABLE}}}", *settings)
        config = parse_config("", "test.yaml", [*common, f"duration={decisions / 100}", *feedback])
        setting, source = assembly.describe(config)
        task = TaskRunner(Scripted(script), 1)
        players = assembly.Players(task, *(getattr(assembly.players(setting), p) for p in PARTS))
        stage = stages.stepped_stage(setting, source, task)
        with stage.rig:
            Session(stage.rig, players, stage.log).run(decisions, Event())
        stage.log.finish({})
        with Recording(stage.log.path) as recording:
            return SimpleNamespace(
                pulses=recording.pulses(), decisions=recording.decisions(), names=list(recording.patterns)
            )

    return play


PARTS = ("encoder", "decoder", "feedback")


def of_kind(got, kind):
    return got.pulses[got.pulses["kind"] == kind]


def test_ninety_pulses_are_ninety_pulses_while_every_decision_sets_the_sensory_voice(scripted):
    got = scripted({100: {"hit": 1}, 400: {"hit": 1}}, 600, "encoder.min_rate_hz=20")
    trains = of_kind(got, Kind.PREDICTABLE)
    assert set(trains["fate"]) == {DELIVERED}
    for serial in np.unique(trains["serial"]):
        at = trains["sample_index"][trains["serial"] == serial]
        assert len(at) == 90
        assert (at - at[0]).tolist() == np.floor(np.arange(90) * (SECOND / 60) + 0.5).tolist()
        during = (got.decisions["stop_sample"] > at[0]) & (got.decisions["stop_sample"] < at[-1])
        assert len(np.unique(got.decisions["observation"][during], axis=0)) == during.sum() == 148
        sensory = of_kind(got, Kind.SENSORY)
        inside = sensory[(sensory["sample_index"] >= at[0]) & (sensory["sample_index"] <= at[-1])]
        assert {FATES[fate] for fate in inside["fate"]} == {"preempted"}
        assert len(inside) > 20
    assert len(np.unique(trains["serial"])) == 2
    assert (of_kind(got, Kind.SENSORY)["fate"] == DELIVERED).sum() > 20


def test_random_answers_are_random_in_time_and_place(scripted):
    got = scripted({10 + 1020 * k: {"miss": 1} for k in range(4)}, 4100)
    pulses = of_kind(got, Kind.RANDOM)
    trains = [pulses[pulses["serial"] == serial] for serial in np.unique(pulses["serial"])]
    assert len(trains) == 4
    intervals = np.concatenate([np.diff(train["sample_index"]) for train in trains]) / SECOND
    assert len(intervals) > 1400
    assert stats.kstest(intervals, stats.expon(scale=1 / 40).cdf).pvalue > 0.05
    sites = np.bincount(pulses["pattern"] - got.names.index("miss 0"), minlength=8)
    assert stats.chisquare(sites).pvalue > 0.05
    following = np.zeros((8, 8))
    for train in trains:
        site = train["pattern"] - got.names.index("miss 0")
        np.add.at(following, (site[:-1], site[1:]), 1)
    assert stats.chi2_contingency(following).pvalue > 0.05
    assert len({tuple(np.diff(train["sample_index"])[:5]) for train in trains}) == 4
    assert len({tuple(train["pattern"][:20]) for train in trains}) == 4
    refused = pulses[pulses["fate"] != DELIVERED]
    assert {FATES[fate] for fate in refused["fate"]} <= {"refused_interval"}
    assert len(refused) < 0.04 * len(pulses)


def test_graded_lengths_follow_the_magnitudes(scripted):
    magnitudes = [1, 25, 50, 75, 100, 300]
    got = scripted({100 + 100 * k: {"bounce": m} for k, m in enumerate(magnitudes)}, 800)
    trains = of_kind(got, Kind.PREDICTABLE)
    assert set(trains["fate"]) == {DELIVERED}
    counts = [int((trains["serial"] == serial).sum()) for serial in np.unique(trains["serial"])]
    assert counts == [round((0.1 + 0.9 * min(1, m / 100)) * 40) for m in magnitudes]
    assert set(np.diff(trains["sample_index"])[np.diff(trains["serial"]) == 0]) == {SECOND // 50}


@pytest.mark.parametrize(
    ("overlap", "counts"), [("drop", [40, 90]), ("append", [40, 90, 40]), ("replace", [40, 12, 40])]
)
def test_answers_that_meet_are_delivered_as_the_table_says(scripted, overlap, counts):
    script = {50: {"bounce": 100}, 150: {"hit": 1}, 170: {"bounce": 100}}
    got = scripted(script, 500, f"feedback.overlap={overlap}")
    trains = of_kind(got, Kind.PREDICTABLE)
    assert set(trains["fate"]) == {DELIVERED}
    assert [int((trains["serial"] == serial).sum()) for serial in np.unique(trains["serial"])] == counts


def test_a_higher_rank_ends_a_random_train_at_once(scripted):
    got = scripted({50: {"miss": 1}, 150: {"hit": 1}}, 600)
    hit, random = of_kind(got, Kind.PREDICTABLE), of_kind(got, Kind.RANDOM)
    assert len(hit) == 90
    assert set(hit["fate"].tolist()) == {DELIVERED}
    assert 20 < len(random) < 60
    assert random["sample_index"].max() < hit["sample_index"][0]


def test_a_silent_answer_holds_the_task_and_lets_the_encoder_rest(scripted):
    got = scripted({50: {"serve": 1}}, 150)
    assert (got.decisions["playing"] == 0).sum() == 30
    assert not len(of_kind(got, Kind.PREDICTABLE)) + len(of_kind(got, Kind.RANDOM))


EVENTS = "feedback={kind: events, events: {miss: {train: random, duration_s: 1, hold: true}, hit: {train: graded}}}"


@pytest.mark.parametrize("condition", ["stimulus", "silent", "yoked", "no_feedback"])
def test_a_session_with_a_table_verifies_in_every_condition(play, condition):
    summary = play(EVENTS, f"condition={condition}", "duration=20", "task.crossing_s=0.5", "source.cells=100")
    assert summary.events["miss"] > 3
    delivered = summary.pulses["random"]["delivered"] + summary.pulses["predictable"]["delivered"]
    assert (delivered > 0) == (condition in {"stimulus", "yoked"})
    assert verify(summary.file).differences == []
