"""The coach: when a trial is poor, which pair is trained, and what the arms of its papers have in common."""

import numpy as np
import pytest
from pydantic import ValidationError

from wetloop.coding.coach import Judge
from wetloop.coding.coach_config import CoachConfig
from wetloop.core.guard import StimGuard
from wetloop.core.layout import LayoutConfig, grid_probe
from wetloop.core.limits import StimLimits
from wetloop.core.plugin import BuildContext
from wetloop.core.types import Kind, Outcome, Priority, RigInfo, Signal, Tick, Timing

SECOND, DECISION, AHEAD = 25_000, 250, 250
FOUR = (16, 20, 34, 38)
GOAL = {"recent_trials": 1, "goal": 5.0}
RIG = RigInfo(
    name="rig", sampling_frequency=float(SECOND), probe=grid_probe(8, 8, 200.0), signal=Signal.SPIKES,
    gain_uv=np.ones(64, np.float32), packet_samples=25, lead_samples=50, unit="mV",
    limits=StimLimits(), electrode_area_um2=707.0, access_resistance_kohm=12.0,
)  # fmt: skip
LAYOUT = LayoutConfig().apply(RIG.probe)


class Trainee:
    """A coach and the trials it is told."""

    def __init__(self, seed=1, **settings):
        config = CoachConfig(**({"electrodes": FOUR} | settings))
        self.table = StimGuard(RIG).prepare(config.patterns(LAYOUT, "mV"))
        self.coach = config.build(BuildContext(RIG, LAYOUT, self.table, DECISION, seed))
        self.decision = 0

    def tell(self, reward, *events):
        start = self.decision * DECISION
        self.decision += 1
        tick = Tick(self.decision, start, start + DECISION, start + DECISION + AHEAD)
        return self.coach.respond(Outcome(np.zeros(1, np.float32), reward, False, False, events, True, {}), tick)

    def trial(self, score):
        """Play a trial of two decisions and return the answer to its end."""
        assert self.tell(score / 2) == ((), 0)
        return self.tell(score / 2, "fall")

    def trained(self, response):
        """Return the electrodes of the training, or None."""
        for setting in response.program:
            if setting.kind == Kind.PREDICTABLE and setting.stop_sample > setting.start_sample:
                return self.table.patterns[setting.patterns.first].channels
        return None


def test_recent_trials_are_poor_below_the_mean_of_more():
    judge = Judge(CoachConfig(electrodes=FOUR, recent_trials=2, compared_trials=4))
    told = []
    for score in (4, 4, 4, 1, 1, 8, 8):
        judge.surprise(score)
        told.append(judge.poor())
    assert told == [False, False, False, True, True, False, False]


def test_a_score_surprises_by_standard_deviations_of_those_before():
    judge = Judge(CoachConfig(electrodes=FOUR, compared_trials=20))
    assert [judge.surprise(score) for score in (1, 3)] == [0, 0]
    assert judge.surprise(4) == 2
    assert judge.surprise(8 / 3) == 0


def test_a_poor_trial_earns_a_train_on_a_pair_and_a_pause_as_long():
    coach = Trainee(**GOAL, rate_hz=20, duration_ms=500)
    assert coach.trial(9) == ((), 0)
    response = coach.trial(1)
    (setting,) = response.program
    assert (setting.priority, setting.timing, setting.period_samples) == (Priority.FEEDBACK, Timing.REGULAR, 1250)
    assert setting.stop_sample - setting.start_sample == SECOND / 2
    assert response.hold_samples == AHEAD + SECOND / 2
    assert len(coach.table.patterns[setting.patterns.first].channels) == 2
    assert Trainee(**GOAL, hold=False).trial(1).hold_samples == 0


def pairs(choice, best=None, trials=300, seed=1):
    """Return what was trained, where the trial after training of the best pair scores a little more."""
    coach, found, score = Trainee(seed, choice=choice, **GOAL), [], 1.0
    for _ in range(trials):
        trained = coach.trained(coach.trial(score))
        found.append(trained)
        score = 2.0 if trained == best else 1.0
    return found


def test_the_adaptive_coach_comes_to_choose_what_helps_and_the_random_one_does_not():
    best = (20, 38)
    assert pairs("adaptive", best)[-100:].count(best) > 40
    assert pairs("random", best)[-100:].count(best) < 35
    assert len(set(pairs("random", best))) == 6
    assert pairs("adaptive", best) == pairs("adaptive", best)
    assert pairs("adaptive", best) != pairs("adaptive", best, seed=2)


def test_without_training_the_task_pauses_as_with_it():
    scores = [1, 9, 1, 1, 9, 1]
    trained, idle = Trainee(**GOAL), Trainee(choice="none", **GOAL)
    for score in scores:
        one, other = trained.trial(score), idle.trial(score)
        assert one.hold_samples == other.hold_samples
        assert other.program == ()
    assert len(idle.table) == 0


def test_a_good_trial_earns_background_which_training_ends():
    coach = Trainee(**GOAL, background={"rate_hz": 3, "duration_s": 4})
    (calm,) = coach.trial(9).program
    assert (calm.kind, calm.timing, calm.patterns.size) == (Kind.RANDOM, Timing.POISSON, len(FOUR))
    assert calm.stop_sample - calm.start_sample == 4 * SECOND
    off, on = coach.trial(1).program
    assert (off.voice, off.stop_sample) == (calm.voice, off.start_sample)
    assert on.kind == Kind.PREDICTABLE


def test_a_pretest_is_answered_with_background_and_judged_by_nobody():
    coach = Trainee(**GOAL, background={"rate_hz": 3, "duration_s": 4}, background_events=["pretest"])
    assert [setting.kind for setting in coach.tell(0, "pretest").program] == [Kind.RANDOM]
    assert coach.trained(coach.tell(0, "fall")) is not None


def test_yoked_gives_what_was_earned_by_any_trial():
    coach = Trainee(choice="yoked", **GOAL, background={"rate_hz": 3, "duration_s": 4})
    given = [(score, coach.trained(coach.trial(score)) is not None) for score in [1, 9] * 100]
    by_score = {score: [was for s, was in given if s == score] for score in (1, 9)}
    assert 30 < sum(by_score[1]) < 70
    assert 30 < sum(by_score[9]) < 70


def test_what_a_coach_may_put_into_a_second_is_told():
    config = CoachConfig(electrodes=FOUR, rate_hz=20, background={"rate_hz": 3, "duration_s": 4})
    assert config.most_in_a_second(LAYOUT, RIG) == {"fall": 20}
    assert config.model_copy(update={"choice": "none"}).most_in_a_second(LAYOUT, RIG) == {"fall": 0}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"electrodes": (1,)}, "at least 2"),
        ({"electrodes": (1, 1)}, "twice"),
        ({"recent_trials": 20}, "fewer than compared_trials"),
        ({"trial_events": ()}, "at least 1"),
        ({"background_events": ("pretest",)}, "say what it is"),
        ({"background_events": ("fall",), "background": {}}, "fall stands in"),
    ],
)
def test_a_coach_that_could_not_judge_is_refused(changes, words):
    with pytest.raises(ValidationError, match=words):
        CoachConfig(**({"electrodes": FOUR} | changes))
