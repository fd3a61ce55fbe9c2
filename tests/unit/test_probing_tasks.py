"""Tasks that probe: what lies in a window, when stimulation is removed, and where an animat walks."""

from itertools import pairwise

import numpy as np
import pytest
from gymnasium.envs.registration import EnvSpec
from gymnasium.utils.env_checker import check_env
from pydantic import ValidationError

from wetloop.core.errors import ConfigError
from wetloop.tasks.animat import COS_30, INWARDS
from wetloop.tasks.probing import Probing
from wetloop.tasks.probing_config import AnimatConfig, StimulusRemovalConfig

DECISION_MS = 20.0
REMOVAL = StimulusRemovalConfig(electrodes=3, rate_hz=5, excluded=(0,), pretest_stimuli=4, most_stimuli=6)
WALK = AnimatConfig(period_s=0.2, pretest_probes=1)
PERIOD = 10
CLOSES = 5


def removal(**changes):
    return REMOVAL.model_copy(update=changes).build(DECISION_MS)


def stimulus(env, *channels):
    """Play one stimulus that these electrodes answer."""
    answer = np.zeros(3, np.float32)
    answer[list(channels)] = 1
    for step in range(1, PERIOD + 1):
        told = env.step(answer if step == CLOSES else np.full(3, 9, np.float32))
        if step == CLOSES:
            closed = told
            if told[2] or told[3]:
                break
    return closed


def pretest(env, answers=((), (1,), (), (2, 1))):
    env.reset(seed=1)
    for channels in answers:
        told = stimulus(env, *channels)
    env.reset()
    return told


def test_only_the_window_is_listened_to_and_it_ends_before_the_next_announcement():
    probing = Probing.of(period_ms=200, ahead_ms=40, window_ms=(40, 80), decision_ms=20)
    assert probing == (10, 2, 2, 4)
    steps = range(20)
    assert [step for step in steps if probing.announces(step)] == [0, 10]
    assert [step for step in steps if probing.listens(step)] == [5, 6, 15, 16]
    assert [step for step in steps if probing.closes(step)] == [6, 16]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"window_ms": (45, 60)}, "window_ms of 45 ms is no whole number of decisions of 20 ms"),
        ({"window_ms": (60, 60)}, "end after it begins"),
        ({"ahead_ms": 0.0}, "at least a decision"),
        ({"period_ms": 100}, "too late for a period of 100 ms"),
    ],
)
def test_times_that_cannot_be_played_are_refused(changes, words):
    with pytest.raises(ConfigError, match=words):
        Probing.of(**({"period_ms": 200, "ahead_ms": 40, "window_ms": (40, 60), "decision_ms": 20} | changes))


@pytest.mark.filterwarnings("ignore:.*recommend using a symmetric and normalized space")  # these are spike counts
@pytest.mark.parametrize("config", [REMOVAL, WALK], ids=["removal", "animat"])
def test_the_tasks_keep_the_contract_of_gymnasium(config):
    env = config.build(DECISION_MS)
    env.spec = EnvSpec("probing-v0", entry_point=lambda **_: config.build(DECISION_MS))
    check_env(env, skip_render_check=True)


def test_the_electrode_nearest_to_the_wanted_ratio_is_chosen_and_the_pair_is_not():
    env = removal(start_ratio=0.25)
    observation, reward, terminated, truncated, info = pretest(env)
    assert (info["events"], terminated, truncated, reward) == (("pretest", "chosen"), False, True, 0)
    assert observation[2] == 2
    assert pretest(removal(start_ratio=0.0))[0][2] == 2
    assert pretest(removal(start_ratio=0.5))[0][2] == 1


def test_stimulation_is_removed_when_the_criterion_is_met():
    env = removal(start_ratio=0.25)
    pretest(env)
    assert stimulus(env, 2)[4]["events"] == ("stimulus", "response")
    assert stimulus(env, 1)[4]["events"] == ("stimulus",)
    observation, reward, terminated, truncated, info = stimulus(env, 2, 1)
    assert info["events"] == ("stimulus", "response", "criterion", "removed")
    assert (reward, terminated, truncated, observation[1]) == (1, True, False, 2)
    observation, _ = env.reset()
    assert observation.tolist() == [40, 0, 2, 1]
    assert stimulus(env, 2)[4]["events"] == ("stimulus", "response")


def test_responses_long_ago_do_not_count_and_patience_ends():
    env = removal(start_ratio=0.25, of_stimuli=2)
    pretest(env)
    told = [stimulus(env, *((2,) if k % 2 else ())) for k in range(6)]
    assert [each[2] for each in told] == [False] * 5 + [True]
    assert told[-1][4]["events"] == ("stimulus", "response", "removed")


def test_yoked_removal_follows_another_culture_whatever_is_answered():
    env = removal(start_ratio=0.25, removal="yoked", yoked_stimuli=((3, 2),))
    pretest(env)
    assert stimulus(env, 2)[4]["events"] == ("stimulus", "response")
    assert stimulus(env, 2)[4]["events"] == ("stimulus", "response", "criterion")
    assert stimulus(env, 2)[4]["events"] == ("stimulus", "response", "removed")
    env.reset()
    assert [stimulus(env)[4]["events"] for _ in range(2)] == [("stimulus",), ("stimulus", "removed")]
    env.reset()
    assert not any(stimulus(env)[2] for _ in range(2))


def test_a_seed_draws_the_master():
    config = REMOVAL.model_copy(update={"removal": "yoked", "yoked_stimuli": ((1,), (2,), (3,))})

    def length(seed):
        env = config.build(DECISION_MS)
        env.reset(seed=seed)
        for _ in range(4):
            stimulus(env)
        env.reset()
        return next(k for k in range(1, 9) if stimulus(env)[2])

    assert {length(seed) for seed in range(30)} == {1, 2, 3}
    assert length(4) == length(4)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"responses": 11}, "nothing could meet it"),
        ({"removal": "yoked"}, "at least one master"),
        ({"electrodes": 2, "excluded": (0, 1)}, "no electrode to choose"),
        ({"removal": "yoked", "yoked_stimuli": ((),)}, "at least 1 item"),
    ],
)
def test_a_removal_that_cannot_be_played_is_refused(changes, words):
    with pytest.raises(ValidationError, match=words):
        StimulusRemovalConfig(**changes)


def walk(answers):
    """Play one answer (spikes and sums of places, in the first decision of the window) per probe."""
    env = WALK.build(DECISION_MS)
    log = [(env.reset(seed=1)[0], ())]
    for answer in answers:
        for step in range(1, PERIOD + 1):
            action = np.array(answer if step == CLOSES - 1 else (0, 0, 0), np.float32)
            observation, reward, terminated, _, info = env.step(action)
            if info["events"]:
                events = info["events"]
                assert reward == ("on_target" in events)
                assert terminated == ("left" in events)
            if terminated:
                env.reset()
        log.append((observation, events))
    return log


def test_an_animat_is_probed_in_turn_then_where_it_is():
    quiet = [(4, 0, 0)] * 4
    log = walk([*quiet, (4, 0, 0)])
    assert [np.flatnonzero(observation[:4]).tolist() for observation, _ in log[:4]] == [[0], [1], [2], [3]]
    assert [events for _, events in log[1:5]] == [("pretest",)] * 4
    x, y = log[4][0][4:]
    assert np.flatnonzero(log[4][0][:4]).tolist() == [(x < 0) + 2 * (y < 0)]
    assert log[5][1] == ("moved", "off_target")
    assert log[5][0][4:].tolist() == log[4][0][4:].tolist()


@pytest.mark.parametrize("turned", range(0, 360, 20))
def test_movements_within_30_degrees_of_the_way_to_the_middle_are_on_target(turned):
    usual = [(2, 0.5, -0.5)] * 4
    quadrant = int(np.flatnonzero(walk(usual)[-1][0][:4])[0])
    inwards = complex(*INWARDS[quadrant]) * np.exp(1j * np.radians(turned))
    before, (after, events) = walk([*usual, (2, 0.5 + inwards.real, -0.5 + inwards.imag)])[-2:]
    assert ("on_target" in events) == (min(turned, 360 - turned) < 30)
    step = after[4:] - before[0][4:]
    if "left" not in events:
        assert step == pytest.approx([0.1 * inwards.real, 0.1 * inwards.imag], abs=1e-6)


def test_an_animat_that_leaves_is_put_back_anywhere_and_probed_at_the_same_pace():
    log = walk([(2, 0, 0)] * 4 + [(2, 1, 0)] * 25)
    left = [k for k, (_, events) in enumerate(log) if "left" in events]
    assert left
    assert all(events[:1] == ("moved",) for _, events in log[5:])
    for k in left:
        assert np.abs(log[k][0][4:]).max() < 1
        assert (log[k][0][:4] > 0).sum() == 1
    assert all(abs(b[0][4] - a[0][4] - 0.1) < 1e-6 for a, b in pairwise(log[4:]) if "left" not in b[1])


def test_thirty_degrees():
    assert pytest.approx(np.cos(np.radians(30)), abs=1e-15) == COS_30
