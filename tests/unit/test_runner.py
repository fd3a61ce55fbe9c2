"""TaskRunner: holds, resets and conversions, with real environments."""

from itertools import pairwise

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces

from wetloop.core.errors import ConfigError
from wetloop.core.types import Tick
from wetloop.tasks.config import PongConfig
from wetloop.tasks.runner import TaskRunner, action_converter, observation_converter

STAY = np.zeros(1)


def tick(index):
    return Tick(index, 250 * index, 250 * (index + 1), 250 * (index + 1) + 100)


def pong_until_miss():
    """Return a runner and the number of the decision that follows a miss."""
    runner = TaskRunner(PongConfig(paddle=0.01).build(10.0), seed=1)
    for index in range(10_000):
        if runner.step(STAY, tick(index)).terminated:
            return runner, index + 1
    raise AssertionError("a paddle of 1 % never missed")


def test_the_first_step_serves():
    outcome = TaskRunner(PongConfig().build(10.0), seed=1).step(STAY, tick(0))
    assert outcome.events == ("serve",)
    assert outcome.playing
    assert outcome.info["episode"] == 0
    assert outcome.observation.dtype == np.float32


def test_a_hold_repeats_the_observation_and_nothing_else():
    runner, index = pong_until_miss()
    last = runner.step(STAY, tick(index))
    runner.hold(tick(index).stop_sample + 1000)
    for k in range(1, 4):
        outcome = runner.step(np.ones(1), tick(index + k))
        assert runner.held(tick(index + k))
        assert (outcome.observation == last.observation).all()
        assert (outcome.playing, outcome.reward, outcome.events) == (False, 0.0, ())
        assert not outcome.terminated
        assert not outcome.truncated
        assert outcome.info == {"episode": 1}
    assert not runner.held(tick(index + 4))
    assert runner.step(np.ones(1), tick(index + 4)).playing


def test_a_held_miss_is_told_once_and_the_serve_follows_the_hold():
    runner, index = pong_until_miss()
    runner.hold(tick(index - 1).stop_sample + 500)
    held, served, played = (runner.step(np.ones(1), tick(index + k)) for k in range(3))
    assert not held.playing
    assert not held.terminated
    assert (served.playing, served.events, served.info["episode"]) == (True, ("serve",), 1)
    assert served.observation[4] == held.observation[4]  # this decision ignores the action
    assert played.observation[4] > served.observation[4]


def test_a_shorter_hold_does_not_shorten_a_longer_one():
    runner, index = pong_until_miss()
    runner.hold(tick(index + 5).stop_sample)
    runner.hold(0)
    assert runner.held(tick(index + 4))
    assert not runner.held(tick(index + 5))


def test_episodes_are_counted():
    runner = TaskRunner(PongConfig(paddle=0.01).build(10.0), seed=1)
    outcomes = [runner.step(STAY, tick(k)) for k in range(5000)]
    ends = sum(outcome.terminated for outcome in outcomes)
    assert ends > 5
    assert outcomes[-1].info["episode"] == runner.episode == ends
    assert all(after.events == ("serve",) for before, after in pairwise(outcomes) if before.terminated)


def test_same_seed_same_session():
    games = []
    for _ in range(2):
        runner = TaskRunner(PongConfig().build(10.0), seed=4)
        games.append([runner.step(STAY, tick(k)) for k in range(3000)])
    assert all((a.observation == b.observation).all() and a[1:] == b[1:] for a, b in zip(*games, strict=True))


def test_pong_names_its_columns():
    runner = TaskRunner(PongConfig().build(10.0), seed=1)
    assert runner.observation_names == ("ball_x", "ball_y", "ball_vx", "ball_vy", "paddle_y")
    assert runner.action_names == ("paddle",)
    assert (runner.n_actions, runner.n_observations) == (1, 5)


def test_any_gymnasium_task_can_be_played():
    runner = TaskRunner(gymnasium.make("CartPole-v1", max_episode_steps=5), seed=1)
    first = runner.step(STAY, tick(0))
    assert first.events == ()
    assert runner.observation_names == tuple(f"observation {i}" for i in range(4))
    outcomes = [runner.step(np.array([1.0]), tick(k)) for k in range(1, 6)]
    assert outcomes[0].observation[1] > first.observation[1]  # pushed to the right
    assert outcomes[-1].truncated
    assert runner.step(STAY, tick(6)).info["episode"] == 1


@pytest.mark.parametrize(("value", "index"), [(-1.0, 0), (-0.4, 0), (-0.2, 1), (0.3, 1), (0.4, 2), (1.0, 2)])
def test_one_value_picks_one_of_equal_parts(value, index):
    convert, _ = action_converter(spaces.Discrete(3))
    assert convert(np.array([value])) == index


def test_the_largest_of_several_scores_picks_the_action():
    convert, sizes = action_converter(spaces.Discrete(3, start=5))
    assert convert(np.array([0.1, 0.9, -2.0])) == 6
    assert sizes == (1, 3)


def test_a_box_is_clipped_shaped_and_typed():
    space = spaces.Box(np.float32([[-1, 0]]), np.float32([[1, 2]]), dtype=np.float32)
    convert, sizes = action_converter(space)
    action = convert(np.array([-4.0, 3.0]))
    assert action in space
    assert action.tolist() == [[-1.0, 2.0]]
    assert sizes == (2,)


@pytest.mark.parametrize(
    ("space", "size"),
    [
        (spaces.Box(0, 255, (4, 3), np.uint8), 12),
        (spaces.Discrete(4), 4),
        (spaces.Dict({"a": spaces.Discrete(2), "b": spaces.Box(-1, 1, (3,))}), 5),
    ],
)
def test_observations_become_a_float_vector(space, size):
    space.seed(1)
    convert, width = observation_converter(space)
    vector = convert(space.sample())
    assert vector.dtype == np.float32
    assert vector.shape == (size,) == (width,)
    np.testing.assert_array_equal(vector, spaces.flatten(space, spaces.unflatten(space, vector)))


def test_spaces_that_cannot_be_played_are_refused():
    with pytest.raises(ConfigError, match="Box or Discrete"):
        action_converter(spaces.MultiBinary(3))
    with pytest.raises(ConfigError, match="flattened"):
        observation_converter(spaces.Sequence(spaces.Discrete(2)))
    with pytest.raises(ConfigError, match="decoder gives 3 actions, but the task takes 1"):
        TaskRunner(PongConfig().build(10.0), seed=1, n_actions=3)
