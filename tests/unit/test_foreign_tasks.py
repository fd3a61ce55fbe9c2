"""Any Gymnasium environment by configuration: pace, pictures, actions, events, and what is said when it cannot be."""

import importlib.util
import math
import sys
from fractions import Fraction

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from wetloop.cli.new_config import example
from wetloop.config import parse_config
from wetloop.core.errors import ConfigError
from wetloop.core.types import Tick
from wetloop.tasks.action_maps import action_map
from wetloop.tasks.event_rules import EventRules, Moment
from wetloop.tasks.foreign import observation_view
from wetloop.tasks.gymnasium_config import EventConfig, GymnasiumConfig
from wetloop.tasks.paced import Paced
from wetloop.tasks.pictures import grey, pooled, shrunk
from wetloop.tasks.runner import TaskRunner

needs_atari = pytest.mark.skipif(importlib.util.find_spec("ale_py") is None, reason="ale-py is not installed")


class Counter(gymnasium.Env):
    """Counts its steps, tells each, and ends after ``last`` of them."""

    observation_space = spaces.Box(0, np.inf, (1,), np.float32)
    action_space = spaces.Box(-1, 1, (1,), np.float32)

    def __init__(self, last=10**9):
        self.last, self.steps = last, 0

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed, options=options)
        self.steps = 0
        return np.float32([0]), {"events": ("begun",)}

    def step(self, action):
        self.steps += 1
        info = {"events": (f"step {self.steps}",), "magnitudes": {"size": float(action[0])}}
        return np.float32([self.steps]), 0.5, self.steps == self.last, False, info


def paced(step_ms, decision_ms, last=10**9):
    env = Paced(Counter(last), step_ms, decision_ms)
    env.reset(seed=1)
    return env


def decide(env, n):
    return [env.step(np.float32([2])) for _ in range(n)]


@given(st.floats(0.5, 200), st.sampled_from([1.0, 5.0, 10.0, 33.0]), st.integers(1, 60))
def test_as_many_steps_are_made_as_fit_into_the_time_that_passed(step_ms, decision_ms, n):
    rows = decide(paced(step_ms, decision_ms), n)
    expected = [math.floor(k * Fraction(decision_ms) / Fraction(step_ms)) for k in range(1, n + 1)]
    assert sum(reward for _, reward, *_ in rows) == expected[-1] / 2
    told = [int(name.split()[1]) for *_, info in rows for name in info["events"]]
    assert told == list(range(1, expected[-1] + 1))
    assert [int(row[0][0]) for row in rows] == expected


def test_a_longer_step_leaves_decisions_without_one():
    rows = decide(paced(20.0, 10.0), 4)
    assert [row[1] for row in rows] == [0, 0.5, 0, 0.5]
    assert [row[4]["events"] for row in rows] == [(), ("step 1",), (), ("step 2",)]
    assert [row[4]["magnitudes"] for row in rows] == [{}, {"size": 2.0}, {}, {"size": 2.0}]


def test_several_steps_are_summed_up_and_stop_at_the_end_of_the_episode():
    env = paced(20.0, 100.0, last=7)
    first, second = decide(env, 2)
    assert first[1:4] == (2.5, False, False)
    assert first[4]["magnitudes"] == {"size": 10.0}
    assert second[1:4] == (1.0, True, False)
    assert second[4]["events"] == ("step 6", "step 7")
    env.reset()
    assert decide(env, 1)[0][4]["events"][0] == "step 1"


@given(st.integers(1, 30), st.integers(1, 30), st.integers(0, 10), st.integers(0, 10), st.integers(0, 2**31))
def test_pooling_is_the_mean_of_the_parts(rows, columns, more_rows, more_columns, seed):
    picture = np.random.default_rng(seed).integers(0, 256, (rows + more_rows, columns + more_columns), np.uint8)
    rows_of, columns_of = (
        [slice(i * size // n, (i + 1) * size // n) for i in range(n)]
        for size, n in zip(picture.shape, (rows, columns), strict=True)
    )
    expected = [[picture[i, j].mean() for j in columns_of] for i in rows_of]
    np.testing.assert_allclose(pooled(picture, rows, columns), expected, rtol=1e-12)


def test_grey_is_brightness_and_keeps_white():
    colours = np.uint8([[[255, 255, 255], [255, 0, 0], [0, 255, 0], [0, 0, 255], [0, 0, 0]]])
    assert grey(colours).tolist() == [[255, 76, 149, 28, 0]]
    assert grey(colours[:, :, :1]).tolist() == [[255, 255, 0, 0, 0]]
    assert shrunk(colours[:, :, :1], None).shape == (1, 5)
    assert shrunk(colours, None) is colours
    assert shrunk(colours, (1, 1)).tolist() == [[101]]


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


def mapped(space, *values, **settings):
    convert, n_values = action_map(space, GymnasiumConfig(**settings))
    assert n_values == len(values)
    action = convert(np.array(values, float))
    assert space.contains(action)
    return np.asarray(action).tolist()


@pytest.mark.parametrize(("value", "action"), [(-1, 5), (-0.4, 5), (-0.2, 6), (0, 6), (0.4, 7), (1, 7), (9, 7)])
def test_one_value_chooses_among_numbered_actions(value, action):
    assert mapped(spaces.Discrete(3, start=5), value) == action
    assert mapped(spaces.Discrete(20), value, discrete_actions=[5, 6, 7]) == action


def test_the_largest_score_chooses_among_numbered_actions():
    assert mapped(spaces.Discrete(3), 0.1, 0.9, -2, discrete="argmax") == 1
    assert mapped(spaces.Discrete(9), 0.1, 0.9, discrete="argmax", discrete_actions=[4, 8]) == 8


def test_values_are_scaled_to_the_bounds_of_a_box():
    box = spaces.Box(np.float32([[0, -2], [10, 0]]), np.float32([[1, 2], [20, 0.5]]))
    assert mapped(box, 0, 0.5, -1, 7) == [[0.5, 1], [10, 0.5]]
    assert mapped(spaces.Box(0, 255, (2,), np.uint8), 1, -0.999) == [255, 0]


def test_several_numbered_actions_and_switches_take_a_value_each():
    assert mapped(spaces.MultiDiscrete([2, 5], start=[0, 10]), 0.1, 0.1) == [1, 12]
    assert mapped(spaces.MultiBinary(3), 0.1, 0, -1) == [1, 0, 0]
    assert mapped(spaces.MultiBinary([2, 1]), 1, 0) == [[1], [0]]


def test_a_neutral_action_is_played_while_nothing_is_decoded():
    assert mapped(spaces.Discrete(4), 0, neutral_action=3) == 3
    assert mapped(spaces.Discrete(4), -0.01, neutral_action=3) == 1
    assert mapped(spaces.Box(0, 1, (2,)), 0, 0, neutral_action=[0, 0.25]) == [0, 0.25]
    assert mapped(spaces.Box(0, 1, (2,)), 0, 1, neutral_action=[0, 0.25]) == [0.5, 1]


@pytest.mark.parametrize(
    ("space", "settings", "message"),
    [
        (spaces.Discrete(4), {"neutral_action": 4}, "neutral_action 4 is no action"),
        (spaces.Discrete(4), {"neutral_action": [1]}, "no action"),
        (spaces.Box(0, 1, (2,)), {"neutral_action": 0.5}, "no action"),
        (spaces.Box(0, 1, (2,)), {"neutral_action": [0, 2]}, "no action"),
        (spaces.Discrete(4), {"discrete_actions": [4]}, "numbers from 0 to 3"),
        (spaces.Discrete(4), {"discrete_actions": []}, "numbers from 0 to 3"),
        (spaces.MultiBinary(4), {"discrete_actions": [1]}, "no numbered actions"),
        (spaces.Box(0, np.inf, (2,)), {}, "no bounds"),
        (spaces.Dict({"a": spaces.Discrete(2)}), {}, "cannot be played"),
    ],
)
def test_actions_that_cannot_be_mapped_are_refused(space, settings, message):
    with pytest.raises(ConfigError, match=message):
        action_map(space, GymnasiumConfig(**settings))


def test_pictures_become_a_few_named_brightnesses():
    space = spaces.Box(0, 255, (40, 60, 3), np.uint8)
    view, names = observation_view(space, GymnasiumConfig(observation_size=[2, 3]))
    picture = np.zeros((40, 60, 3), np.uint8)
    picture[20:, :20] = 255
    vector = view(picture)
    assert vector.dtype == np.float32
    assert dict(zip(names, vector.tolist(), strict=True)) == {
        f"row {row} column {column}": float((row, column) == (1, 0)) for row in range(2) for column in range(3)
    }


def test_elements_of_an_observation_are_picked_and_named():
    space = spaces.Dict({"a": spaces.Box(-1, 1, (3,)), "b": spaces.Discrete(2)})
    view, names = observation_view(space, GymnasiumConfig(observation_elements=[4, 0], observation_names=["on", "x"]))
    assert names == ("on", "x")
    assert view({"a": np.float32([0.5, 0, 0]), "b": 1}).tolist() == [1, 0.5]


@pytest.mark.parametrize(
    ("space", "settings", "message"),
    [
        (spaces.Box(0, 1, (3,)), {"observation_elements": [3]}, "elements 0 to 2"),
        (spaces.Box(0, 1, (3,)), {"observation_names": ["x"]}, "1 names for 3 values"),
        (spaces.Box(0, 1, (5000,)), {}, "too many to record"),
        (spaces.Box(0, 255, (4, 9), np.uint8), {}, "observation_size 6 x 8 is larger"),
        (spaces.Sequence(spaces.Discrete(2)), {}, "flattened"),
    ],
)
def test_observations_that_cannot_be_recorded_are_refused(space, settings, message):
    with pytest.raises(ConfigError, match=message):
        observation_view(space, GymnasiumConfig(**settings))


@pytest.fixture
def module(tmp_path, monkeypatch):
    """Write an importable module that adds an environment with pictures, and forget that again."""
    before = dict(gymnasium.registry)
    (tmp_path / "labgames.py").write_text(
        "import gymnasium\n"
        "gymnasium.register('lab/Dish-v3', 'wetloop.tasks.chemotaxis:Chemotaxis')\n"
        "gymnasium.register('lab/Broken-v0', 'no_such_package.games:Game')\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    yield "labgames"
    for name in set(gymnasium.registry) - set(before):
        del gymnasium.registry[name]
    sys.modules.pop("labgames", None)


@pytest.mark.parametrize(("size", "shape"), [(None, (96, 96, 3)), ((12, 20), (12, 20))])
def test_what_is_rendered_is_shown_as_a_frame(module, size, shape):
    config = GymnasiumConfig(id="lab/Dish-v3", modules=[module], frame="render", frame_size=size, step_ms=20)
    env = config.build(10.0)
    assert TaskRunner(env, seed=1).frame_shape == shape
    _, info = env.reset(seed=1)
    frames = [info["frame"], *(env.step(np.ones(1))[4]["frame"] for _ in range(40))]
    assert {(frame.shape, frame.dtype) for frame in frames} == {(shape, np.dtype(np.uint8))}
    assert (frames[0] == frames[1]).all()
    assert (frames[0] != frames[-1]).any()


def test_an_environment_s_own_names_and_numbers_are_kept(module):
    names = [f"x{i}" for i in range(11)]
    config = GymnasiumConfig(id="lab/Dish-v3", modules=[module], observation_names=names, action_names=["turn"])
    runner = TaskRunner(config.build(10.0), seed=1)
    assert (runner.observation_names, runner.action_names) == (tuple(names), ("turn",))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"id": "CartPole"}, "did you mean 'CartPole-v1'"),
        ({"id": "nowhere/Nothing-v7"}, "task.modules"),
        ({"id": "lab/Broken-v0"}, "needs what is not installed.*no_such_package"),
        ({"id": "lab/Dish-v3", "kwargs": {"colour": 1}}, "unexpected keyword.*takes max_episode_steps, config"),
        ({"id": "lab/Dish-v3", "kwargs": {"decision_ms": "long"}}, "cannot be made"),
        ({"id": "lab/Dish-v3", "modules": ["labgames", "no_such_module"]}, "no_such_module cannot be imported"),
        ({"frame": "observation"}, "are no pictures"),
        ({"id": "lab/Dish-v3", "frame": "render", "frame_size": [97, 5]}, "97 x 5 is larger than the picture"),
        ({"action_names": ["left", "right"]}, "2 names for 1 values"),
    ],
)
def test_what_cannot_be_made_is_refused_with_what_to_do(module, settings, message):
    with pytest.raises(ConfigError, match=message):
        GymnasiumConfig(**({"modules": [module]} | settings)).build(10.0)


def test_a_missing_emulator_says_how_to_get_it_and_under_which_licence(monkeypatch):
    monkeypatch.setitem(sys.modules, "ale_py", None)
    with pytest.raises(ConfigError, match=r"pip install 'wetloop\[atari\]'.*GPL-2.0-only"):
        GymnasiumConfig(id="ALE/Pong-v5").build(10.0)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"kwargs": {"render_mode": "human"}}, "render_mode cannot be given"),
        ({"modules": ["os; print"]}, "pattern"),
        ({"step_ms": 0}, "greater"),
        ({"events": {f"e{i}": {"when": "begun"} for i in range(33)}}, "32"),
    ],
)
def test_settings_out_of_range_are_refused(settings, message):
    with pytest.raises(ValidationError, match=message):
        GymnasiumConfig(**settings)


CARTPOLE = {
    "step_ms": 20,
    "observation_names": ["cart_m", "cart_m_s", "pole_rad", "pole_rad_s"],
    "events": {
        "start": {"when": "begun"},
        "fall": {"when": "terminated"},
        "upright": {"observation": "pole_rad", "above": -0.2, "below": 0.2, "every_ms": 1000},
    },
}


def balance(decision_ms, policy, decisions):
    runner = TaskRunner(GymnasiumConfig(**CARTPOLE).build(decision_ms), seed=1)
    outcome, outcomes = runner.step(np.zeros(1), Tick(0, 0, 250, 350)), []
    assert outcome.events == ("start",)
    for k in range(1, decisions):
        outcome = runner.step(policy(outcome.observation), Tick(k, 250 * k, 250 * (k + 1), 250 * (k + 1) + 100))
        outcomes.append(outcome)
    return outcomes


def steady(observation):
    return observation[2:3] + 0.5 * observation[3:4] + 0.05 * observation[0:1] + 0.1 * observation[1:2]


@pytest.mark.parametrize("decision_ms", [10.0, 20.0, 40.0])
def test_a_balanced_pole_is_told_every_second_and_a_fall_when_it_ends(decision_ms):
    seconds = 8
    balanced = balance(decision_ms, steady, round(1000 * seconds / decision_ms))
    told = [k for k, outcome in enumerate(balanced) if "upright" in outcome.events]
    assert len(told) == seconds - 1
    assert set(np.diff(told)) == {1000 / decision_ms}
    fallen = balance(decision_ms, lambda _: np.ones(1), round(1000 / decision_ms))
    ends = [outcome.events for outcome in fallen if outcome.terminated]
    assert ends
    assert set(ends) == {("fall",)}


@needs_atari
def test_the_console_s_picture_is_pooled_and_its_frame_kept():
    config = GymnasiumConfig(id="ALE/Pong-v5", kwargs={"obs_type": "grayscale"}, frame="observation", step_ms=20)
    env = config.build(20.0)
    runner = TaskRunner(env, seed=1)
    assert runner.frame_shape == (210, 160)
    assert runner.n_observations == 48
    first, *_ = (runner.step(np.zeros(1), Tick(k, 0, 500, 600)) for k in range(3))
    np.testing.assert_allclose(first.observation, (pooled(first.frame, 6, 8) / 255).ravel(), rtol=1e-6)
    env.close()


@pytest.mark.parametrize("task", ["gymnasium", "chemotaxis"])
def test_a_new_configuration_of_it_can_be_read_again(task):
    read = parse_config(example(task), "new.yaml").task
    assert read.model_dump() == parse_config(f"task: {task}", "none").task.model_dump()
    assert read.event_names()
