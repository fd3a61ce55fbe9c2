"""Any Gymnasium environment by configuration: its pace, its pictures, and what is said when it cannot be."""

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
from wetloop.tasks.gymnasium_config import GymnasiumConfig
from wetloop.tasks.paced import Paced
from wetloop.tasks.pictures import pooled
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
