"""Rules that make events of reward, observation, info and the ends of episodes."""

import math

import numpy as np
import pytest
from pydantic import ValidationError

from wetloop.core.errors import ConfigError
from wetloop.tasks.event_rules import EventRules, Moment
from wetloop.tasks.gymnasium_config import EventConfig


def watch(configs, values, step_ms=20.0):
    """Return the events of a run of values, seen as reward, observation and info at once."""
    rules = EventRules(configs, ("place",), step_ms)
    moments = [Moment(np.float32([v]), {"lives": v}, float(v)) for v in values]
    return [rules.begin(moments[0]), *(rules.step(moment) for moment in moments[1:])]


def told(config, values):
    return "".join("x" if events else "." for events in watch({"it": EventConfig(**config)}, values))


@pytest.mark.parametrize("what", [{"observation": "place"}, {"observation": 0}, {"info": "lives"}])
@pytest.mark.parametrize(
    ("condition", "values", "expected"),
    [
        ({"above": 2}, [0, 3, 4, 1, 3, 2], ".x..x."),
        ({"above": 2}, [3, 3, 1, 3], "...x"),
        ({"below": 2}, [3, 1, 0, 2, 1], ".x..x"),
        ({"above": 1, "below": 3}, [0, 2, 4, 2, 2, 3], ".x.x.."),
        ({"falls": True}, [3, 2, 2, 1, 0, 5], ".x.xx."),
        ({"rises": True}, [3, 2, 2, 3, 4], "...xx"),
        ({"falls": True, "below": 3}, [5, 4, 2, 1, 2, 1], "..x..x"),
        ({"above": 2, "every_ms": 40}, [3, 3, 3, 3, 3, 0, 3, 3], "..x.x..x"),
        ({"above": 2, "every_ms": 20}, [0, 3, 3, 0, 3], ".xx.x"),
        ({"falls": True, "pause_ms": 40}, [9, 8, 7, 6, 5, 4], ".x.x.x"),
        ({"above": 2, "pause_ms": 60}, [0, 3, 0, 3, 0, 3], ".x...x"),
    ],
)
def test_rules_tell_crossings_changes_and_what_lasts(what, condition, values, expected):
    assert told(what | condition, values) == expected


def test_each_step_s_reward_is_an_event_of_its_own():
    assert told({"when": "reward", "above": 0.5}, [0, 1, 1, 0, 1]) == ".xx.x"
    assert told({"when": "reward", "above": 0.5, "every_ms": 40}, [0, 1, 1, 1, 1, 0, 1]) == "..x.x.."


def test_beginnings_and_ends_are_told():
    rules = EventRules({name: EventConfig(when=name) for name in ("begun", "terminated", "truncated")}, (), 20.0)
    nothing = np.zeros(0, np.float32)
    assert rules.begin(Moment(nothing, {})) == ("begun",)
    assert rules.step(Moment(nothing, {})) == ()
    assert rules.step(Moment(nothing, {}, 0.0, True, True)) == ("terminated", "truncated")


@pytest.mark.parametrize("info", [{}, {"lives": "three"}, {"lives": None}, {"lives": [1]}])
def test_what_is_missing_from_info_tells_nothing(info):
    rules = EventRules({"it": EventConfig(info="lives", below=5)}, (), 20.0)
    nothing = np.zeros(0, np.float32)
    rules.begin(Moment(nothing, {}))
    assert rules.step(Moment(nothing, info)) == ()
    assert rules.step(Moment(nothing, {"lives": np.int64(3)})) == ("it",)


def test_a_rule_on_an_unknown_element_names_those_there_are():
    for element in ("plaice", 1, -1):
        with pytest.raises(ConfigError, match=r"task\.events\.it.*or one of place"):
            watch({"it": EventConfig(observation=element, above=0)}, [0])


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"above": 1}, "give one of when"),
        ({"info": "lives", "observation": 0, "above": 1}, "give one of when"),
        ({"info": "lives"}, "say what must be true"),
        ({"when": "reward"}, "say what must be true"),
        ({"when": "terminated", "above": 1}, "stands alone"),
        ({"info": "lives", "rises": True, "falls": True}, "two events"),
        ({"info": "lives", "above": 2, "below": 2}, "must be less than"),
        ({"info": "lives", "above": math.inf}, "finite"),
        ({"when": "ended"}, "begun"),
    ],
)
def test_rules_that_say_nothing_or_too_much_are_refused(config, message):
    with pytest.raises(ValidationError, match=message):
        EventConfig(**config)
