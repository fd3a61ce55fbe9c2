"""A table of answers: who earns what, what happens when answers meet, and the controls that play the same table."""

from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from wetloop import assembly
from wetloop.coding.feedback_config import DishBrainConfig, EventsConfig, SilentConfig, YokedConfig
from wetloop.conditions import applied
from wetloop.config import parse_config
from wetloop.core.errors import ConfigError
from wetloop.core.guard import StimGuard
from wetloop.core.layout import LayoutConfig, grid_probe
from wetloop.core.limits import StimLimits
from wetloop.core.plugin import BuildContext
from wetloop.core.types import Kind, Outcome, Priority, Response, RigInfo, Signal, Tick, Timing, Update

SECOND, MS, DECISION, AHEAD = 25_000, 25, 250, 250
TABLE = {
    "kill": {"train": "predictable", "rate_hz": 60, "pulses": 90},
    "damage": {"train": "random", "duration_s": 2, "hold": True, "rest_s": 1},
    "pickup": {"train": "graded", "rate_hz": 50, "pulses": 20, "magnitude_high": 10},
    "missed_shot": {"train": "silent", "hold_ms": 200},
}


def rule(config=None, *, unit="mV", seed=1, **settings):
    probe = grid_probe(8, 8, 200.0)
    info = RigInfo(
        name="rig", sampling_frequency=float(SECOND), probe=probe, signal=Signal.SPIKES,
        gain_uv=np.ones(64, np.float32), packet_samples=25, lead_samples=50, unit=unit,
        limits=StimLimits(), electrode_area_um2=707.0, access_resistance_kohm=12.0,
    )  # fmt: skip
    config = config or EventsConfig(**({"events": TABLE} | settings))
    layout = LayoutConfig().apply(probe)
    table = StimGuard(info).prepare(config.patterns(layout, unit))
    feedback = config.build(BuildContext(info, layout, table, DECISION, seed))

    def tell(decision, *events, **magnitudes):
        tick = Tick(decision, decision * DECISION, (decision + 1) * DECISION, (decision + 1) * DECISION + AHEAD)
        outcome = Outcome(np.zeros(1, np.float32), 0.0, False, False, events, True, {"magnitudes": magnitudes})
        response = feedback.respond(outcome, tick)
        until_ms = (tick.stop_sample + response.hold_samples - tick.plan_sample) / MS if response.hold_samples else 0
        return SimpleNamespace(response=response, program=response.program, plan=tick.plan_sample, hold_ms=until_ms)

    return SimpleNamespace(tell=tell, table=table, layout=layout)


def times(setting):
    """Return the samples of a regular train, as the engine rounds them."""
    at = np.floor(setting.start_sample + np.arange(1000) * setting.period_samples + 0.5)
    return at[at < setting.stop_sample]


def test_a_predictable_answer_is_fixed_in_place_and_time():
    r = rule()
    (setting,) = r.tell(3, "kill").program
    assert (setting.kind, setting.priority, setting.update) == (Kind.PREDICTABLE, Priority.FEEDBACK, Update.REPLACE)
    assert (setting.timing, setting.start_sample) == (Timing.REGULAR, 1250)
    assert setting.patterns == r.table.find("kill")
    assert r.table.patterns[setting.patterns.first].channels == r.layout.sensory
    assert len(times(setting)) == 90
    assert setting.period_samples == SECOND / 60


@pytest.mark.parametrize("rate_hz", [1, 3, 7, 29.97, 60, 90, 99.9, 333])
@pytest.mark.parametrize("pulses", [1, 2, 89, 90, 500])
def test_a_number_of_pulses_is_exact_at_any_rate(rate_hz, pulses):
    answer = {"train": "predictable", "rate_hz": rate_hz, "pulses": pulses}
    (setting,) = rule(events={"kill": answer}).tell(0, "kill").program
    assert len(times(setting)) == pulses
    assert setting.stop_sample - setting.start_sample >= (pulses - 0.01) * setting.period_samples - 1


def test_a_random_answer_draws_place_and_time_and_holds_with_its_rest():
    r = rule()
    told = r.tell(0, "damage")
    (setting,) = told.program
    assert (setting.kind, setting.timing, setting.update) == (Kind.RANDOM, Timing.POISSON, Update.REPLACE)
    assert setting.patterns == r.table.find(*(f"damage {place}" for place in range(8)))
    assert setting.stop_sample - setting.start_sample == 2 * SECOND
    assert told.hold_ms == 3000
    later = [r.tell(1000 * k, "damage").program[0] for k in range(1, 20)]
    assert len({setting.seed, *(s.seed for s in later)}) == 20


def test_a_silent_answer_pauses_without_a_pulse():
    r = rule()
    told = r.tell(0, "missed_shot")
    assert told.program == ()
    assert told.hold_ms == 200
    assert not any(name.startswith("missed_shot") for name in r.table.names)


@pytest.mark.parametrize(
    ("magnitude", "pulses"), [(None, 20), (0, 2), (-5, 2), (5, 11), (10, 20), (1000, 20), (np.float32(2.5), 6)]
)
def test_a_graded_answer_grows_with_the_magnitude(magnitude, pulses):
    told = rule().tell(0, "pickup", **({} if magnitude is None else {"pickup": magnitude}))
    assert len(times(told.program[0])) == pulses
    assert told.program[0].period_samples == SECOND / 50


@pytest.mark.parametrize(("magnitude", "rate_hz"), [(None, 50), (0, 20), (0.5, 35), (1, 50)])
def test_a_graded_rate_lasts_as_long(magnitude, rate_hz):
    answer = {"train": "graded", "rate_hz": 50, "duration_ms": 400, "scales": "rate", "least_share": 0.4}
    told = rule(events={"hit": answer}).tell(0, "hit", **({} if magnitude is None else {"hit": magnitude}))
    (setting,) = told.program
    assert SECOND / setting.period_samples == pytest.approx(rate_hz)
    assert setting.stop_sample - setting.start_sample == 400 * MS


def test_answers_with_the_same_pulses_share_their_patterns():
    r = rule(events=TABLE | {"death": {"train": "random", "rate_hz": 9}, "goal": {"train": "graded", "pulses": 3}})
    assert r.table.names == ("kill", *(f"damage {place}" for place in range(8)))
    assert r.tell(0, "death").program[0].patterns == r.table.find(*(f"damage {place}" for place in range(8)))
    assert r.tell(900, "goal").program[0].patterns == r.table.find("kill")


@pytest.mark.parametrize(("unit", "amplitude"), [("mV", 40.0), ("uA", 0.5)])
def test_electrodes_and_amplitudes_of_an_answer_are_its_own(unit, amplitude):
    answer = {"electrodes": [35, 36, 38], "amplitude_mv": 40, "amplitude_ua": 0.5}
    events = {"kill": {"train": "predictable"} | answer, "damage": {"train": "random"} | answer}
    table = rule(unit=unit, events=events).table
    channels = [pattern.channels for pattern in table.patterns]
    assert channels == [(35, 36, 38), (35,), (36,), (38,)]
    assert {pattern.pulse.second_amplitude for pattern in table.patterns} == {amplitude}


# Answers that meet


def test_the_first_row_of_the_table_wins_within_a_decision():
    told = rule().tell(0, "missed_shot", "damage", "kill")
    assert [setting.kind for setting in told.program] == [Kind.PREDICTABLE]
    assert told.hold_ms == 0


def test_a_higher_rank_takes_over_and_ends_what_runs():
    events = {name: TABLE[name] | ({"hold": False, "rest_s": 0} if name == "damage" else {}) for name in TABLE}
    r = rule(events=events)
    (random,) = r.tell(0, "damage").program
    on, off = r.tell(50, "kill").program
    assert on.kind == Kind.PREDICTABLE
    assert (off.voice, off.start_sample, off.stop_sample) == (random.voice, on.start_sample, on.start_sample)
    assert random.start_sample < on.start_sample < random.stop_sample
    assert len(r.tell(400, "damage").program) == 1


def test_a_silence_of_higher_rank_ends_a_train():
    r = rule(events={"death": {"train": "silent", "hold_ms": 500}, "kill": TABLE["kill"]})
    (on,) = r.tell(0, "kill").program
    told = r.tell(10, "death")
    (off,) = told.program
    assert (off.voice, off.start_sample, off.stop_sample) == (on.voice, told.plan, told.plan)


@pytest.mark.parametrize("event", ["pickup", "kill"])
def test_lower_and_equal_ranks_are_dropped_until_the_answer_has_ended(event):
    r = rule()
    (running,) = r.tell(0, "kill").program
    last = (running.stop_sample - AHEAD - 1) // DECISION - 1
    assert [r.tell(k, event).response for k in (1, 70, last)] == [Response()] * 3
    assert len(r.tell(last + 1, event).program) == 1


def test_appended_answers_follow_one_another_in_the_order_of_events():
    r = rule(overlap="append")
    first, second = r.tell(0, "pickup", "kill").program
    (third,) = r.tell(5, "kill").program
    assert [s.patterns for s in (first, second)] == [r.table.find("kill")] * 2
    assert (len(times(first)), len(times(second)), len(times(third))) == (90, 20, 90)
    assert (second.start_sample, third.start_sample) == (first.stop_sample, second.stop_sample)
    told = r.tell(6, "missed_shot")
    assert told.program == ()
    assert told.hold_ms == pytest.approx((third.stop_sample - told.plan) / MS + 200)


def test_a_queue_has_an_end():
    r = rule(overlap="append")
    answered = [bool(r.tell(k, "kill").program) for k in range(40)]
    assert answered == [True] * 17 + [False] * 23


def test_a_newer_answer_may_replace_an_older_one():
    r = rule(overlap="replace")
    (first,) = r.tell(0, "kill").program
    (second,) = r.tell(5, "pickup").program
    assert (second.voice, second.update) == (first.voice, Update.REPLACE)
    assert second.start_sample == 1750


# Controls


@pytest.mark.parametrize(
    ("condition", "kind"),
    [("stimulus", "events"), ("silent", "silent"), ("yoked", "yoked"), ("rest", "silent"), ("no_feedback", "none")],
)
def test_a_control_takes_over_the_table(condition, kind):
    text = "feedback: {kind: events, overlap: append, phase_us: 150, events: {miss: {train: silent, hold_ms: 100}}}"
    played = applied(parse_config(text, "x.yaml", [f"condition={condition}"])).feedback
    assert played.kind == kind
    assert played.event_names() == (() if kind == "none" else ("miss",))
    if kind != "none":
        assert played.ranks()[0].answer.train == "silent"
        assert (played.overlap, played.phase_us) == ("append", 150)


plays = st.lists(st.tuples(st.integers(1, 100), st.sets(st.sampled_from(list(TABLE)), max_size=3)), max_size=25)


@given(plays, st.sampled_from(["drop", "append", "replace"]))
def test_silence_pauses_exactly_as_the_stimulus_condition_does(play, overlap):
    loud, quiet = rule(overlap=overlap), rule(SilentConfig(events=TABLE, overlap=overlap))
    decision = 0
    for wait, events in play:
        decision += wait
        heard, silent = loud.tell(decision, *events), quiet.tell(decision, *events)
        assert silent.response == Response((), heard.response.hold_samples)
    assert len(quiet.table) == 0


@given(plays, st.sampled_from(["drop", "append", "replace"]))
def test_only_one_answer_runs_at_a_time(play, overlap):
    r, decision, running = rule(overlap=overlap), 0, {}
    for wait, events in play:
        decision += wait
        for setting in r.tell(decision, *events).program:
            later = [s for s in running.get(setting.voice, []) if s[0] < setting.start_sample]
            cut = [(start, min(stop, setting.start_sample)) for start, stop in later]
            running[setting.voice] = [*cut, (setting.start_sample, setting.stop_sample)]
    spans = sorted(span for spans in running.values() for span in spans if span[0] < span[1])
    assert all(a[1] <= b[0] for a, b in pairwise(spans))


def test_yoked_answers_are_drawn_from_those_earned():
    r = rule(YokedConfig(events=TABLE))
    first = [r.tell(1000 * k, "kill").program[0].kind for k in range(10)]
    assert set(first) == {Kind.PREDICTABLE}
    drawn = [r.tell(1000 * k, "damage") for k in range(10, 60)]
    kinds = [told.program[0].kind for told in drawn]
    assert 0 < kinds.count(Kind.PREDICTABLE) < 50
    assert {told.hold_ms for told in drawn} == {3000}


def test_dishbrain_is_such_a_table():
    fast = {"predictable": {"duration_ms": 300}, "random": {"duration_s": 1}}
    config = DishBrainConfig(predictable_events=("kill", "pickup"), random_events=("damage",), rest_s=2, **fast)
    assert [(rank.event, rank.name, rank.answer.train) for rank in config.ranks()] == [
        ("damage", "random", "random"),
        ("kill", "predictable", "predictable"),
        ("pickup", "predictable", "predictable"),
    ]
    bad, good = config.ranks()[0].answer, config.ranks()[1].answer
    assert (bad.duration_s, bad.hold, bad.rest_s) == (1, True, 2)
    assert (good.duration_ms, good.hold) == (300, False)


# Refusals


@pytest.mark.parametrize(
    "answer",
    [
        {"train": "loud"},
        {"rate_hz": 5},
        {"train": "predictable", "pulses": 0},
        {"train": "predictable", "electrodes": []},
        {"train": "predictable", "rest_s": 1},
        {"train": "graded", "magnitude_low": 1},
        {"train": "graded", "least_share": 0},
        {"train": "random", "duration_s": 0},
        {"train": "silent"},
        {"train": "silent", "hold_ms": 10, "rate_hz": 4},
    ],
)
def test_an_impossible_answer_is_refused(answer):
    with pytest.raises(ValidationError):
        EventsConfig(events={"kill": answer})


@pytest.mark.parametrize(
    ("feedback", "said"),
    [
        ("{kind: events, events: {mis: {train: silent, hold_ms: 5}}}", "'mis' is answered.*pong.*did you mean 'miss'"),
        ("{kind: dishbrain, random_events: [damage]}", "'damage' is answered.*pong never reports it; known: serve"),
        ("{kind: silent, predictable_events: [hitt]}", "'hitt' is answered.*did you mean 'hit'"),
    ],
)
def test_an_event_that_the_task_never_reports_is_refused_before_the_run(feedback, said):
    config = parse_config(f"feedback: {feedback}", "x.yaml")
    with pytest.raises(ConfigError, match=said):
        assembly.describe(config)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ("{train: predictable, pulse: 3}", r"feedback.events.hit.pulse: unknown key; did you mean 'pulses'\?"),
        ("{train: silent}", r"feedback.events.hit.hold_ms: is required"),
        ("{rate_hz: 3}", r"feedback.events.hit: 'train' is required"),
        ("{train: random, rate_hz: -1}", r"feedback.events.hit.rate_hz: input should be greater than 0 \(got -1\)"),
    ],
)
def test_a_fault_in_an_answer_is_found_in_the_file(answer, said):
    with pytest.raises(ConfigError, match=said):
        parse_config(f"feedback: {{kind: events, events: {{hit: {answer}}}}}", "x.yaml")
