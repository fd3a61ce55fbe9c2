"""Whatever is done, Pong stays within its field and its books balance."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from wetloop.tasks.config import PongConfig

actions = st.lists(st.floats(-3, 3, width=32), min_size=1, max_size=60)
configs = st.builds(
    PongConfig,
    paddle=st.floats(0.05, 0.95),
    crossing_s=st.floats(1.0, 5.0),
    paddle_speed=st.floats(0.1, 5.0),
    max_slope=st.floats(0.3, 1.0),
    serve_margin=st.floats(0.0, 0.5),
    miss_ends_episode=st.booleans(),
)


@settings(deadline=None, max_examples=60)
@given(configs, st.floats(1.0, 300.0), actions, st.integers(0, 2**31))
def test_every_observation_is_in_the_space_and_every_end_is_a_miss(config, decision_ms, moves, seed):
    env = config.build(decision_ms)
    observation, info = env.reset(seed=seed)
    assert observation in env.observation_space
    assert info["events"] == ("serve",)
    for move in moves:
        observation, reward, terminated, truncated, info = env.step(np.array([move], np.float32))
        assert observation in env.observation_space
        assert config.paddle / 2 - 1e-6 <= observation[4] <= 1 - config.paddle / 2 + 1e-6
        assert reward == ("hit" in info["events"]) - ("miss" in info["events"])
        assert set(info["events"]) <= set(config.event_names())
        assert terminated == (reward < 0 and config.miss_ends_episode)
        assert not truncated
        if terminated:
            env.reset()


@settings(deadline=None, max_examples=60)
@given(configs, st.floats(1.0, 300.0), st.integers(0, 2**31))
def test_the_horizontal_speed_never_changes_and_the_ball_comes_back_in_time(config, decision_ms, seed):
    env = config.build(decision_ms)
    env.reset(seed=seed)
    steps_of_a_crossing = int(np.ceil(1000 * config.crossing_s / decision_ms - 1e-6))
    for k in range(1, steps_of_a_crossing + 1):
        observation, reward, *_ = env.step(np.zeros(1, np.float32))
        assert abs(observation[2]) == np.float32(1 / config.crossing_s)
        assert bool(reward) == (k == steps_of_a_crossing)
