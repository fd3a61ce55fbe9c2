"""Pong: Gymnasium's contract, timing and geometry."""

import gymnasium
import numpy as np
import pytest
from gymnasium.envs.registration import EnvSpec
from gymnasium.utils.env_checker import check_env
from pydantic import ValidationError

from wetloop.core.errors import ConfigError
from wetloop.tasks.config import PongConfig

STAY = np.zeros(1, np.float32)


def play(env, policy, steps):
    """Return observations, rewards and events of that many steps, with a reset after each end."""
    observation, _ = env.reset(seed=3)
    log = []
    for _ in range(steps):
        observation, reward, terminated, truncated, info = env.step(policy(observation))
        log.append((observation, reward, terminated, info["events"]))
        assert not truncated
        if terminated:
            observation, _ = env.reset()
    return log


def follow(observation):
    return np.sign(observation[1:2] - observation[4:5])


def flee(observation):
    return np.sign(0.5 - observation[1:2])


def test_follows_gymnasium_s_contract():
    spec = EnvSpec("wetloop/Pong-v0", entry_point="wetloop.tasks.pong:Pong", disable_env_checker=True)
    check_env(gymnasium.make(spec, render_mode="rgb_array").unwrapped)


def test_event_names_are_those_that_happen():
    env = PongConfig().build(10.0)
    games = (play(env, policy, 3000) for policy in (follow, flee))
    seen = {event for game in games for *_, events in game for event in events}
    assert seen | set(env.reset()[1]["events"]) == set(PongConfig().event_names())


def test_same_seed_same_game():
    first, second = (play(PongConfig().build(10.0), follow, 2000) for _ in range(2))
    assert [row[1:] for row in first] == [row[1:] for row in second]
    np.testing.assert_array_equal([row[0] for row in first], [row[0] for row in second])


@pytest.mark.parametrize("decision_ms", [1.0, 5.0, 10.0, 50.0])
def test_a_crossing_lasts_as_configured(decision_ms):
    log = play(PongConfig().build(decision_ms), follow, 30_000)
    hits = [k for k, row in enumerate(log, 1) if "hit" in row[3]]
    first_s = hits[0] * decision_ms / 1000
    assert first_s == pytest.approx(2.95, abs=1e-9)
    returns_s = np.diff(hits) * decision_ms / 1000
    assert len(returns_s) > 3
    np.testing.assert_allclose(returns_s, 5.9, atol=1e-9)


def test_following_the_ball_never_misses_and_fleeing_from_it_never_hits():
    followed, fled = (
        [row[1] for row in play(PongConfig(paddle=0.05).build(10.0), policy, 20_000)] for policy in (follow, flee)
    )
    assert sum(followed) == 34
    assert min(followed) == 0
    assert sum(fled) == -67
    assert max(fled) == 0


@pytest.mark.parametrize("paddle", [0.1, 0.3, 0.6])
def test_the_paddle_returns_what_reaches_it_and_nothing_else(paddle):
    env = PongConfig(paddle=paddle).build(10.0)
    rng = np.random.default_rng(5)
    decided = {1.0: 0, -1.0: 0}
    env.reset(seed=1)
    for _ in range(60_000):
        observation, reward, terminated, _, _ = env.step(rng.uniform(-1, 1, 1))
        if reward:
            decided[reward] += 1
            flown = 0.01 * 0.8 / 2.95
            apart = abs(float(observation[1]) - float(observation[4]))
            assert apart <= paddle / 2 + flown if reward > 0 else apart > paddle / 2 - flown
        if terminated:
            env.reset()
    assert min(decided.values()) > 0


def test_a_hit_is_decided_where_the_ball_crosses_the_plane_not_where_the_step_ends():
    coarse, fine = (PongConfig(crossing_s=2.0).build(ms) for ms in (300.0, 1.0))
    for seed in range(40):
        ends = []
        for env, decision_ms in ((coarse, 300.0), (fine, 1.0)):
            env.reset(seed=seed)
            rows = [env.step(STAY) for _ in range(int(2099 / decision_ms) + 1)]
            ends.append(next(reward for _, reward, *_ in rows if reward))
        assert ends[0] == ends[1]


def test_a_paddle_covers_its_speed_and_stops_at_the_walls():
    env = PongConfig(paddle=0.3, paddle_speed=1.2).build(10.0)
    env.reset(seed=1)
    up = [float(env.step(np.array([9.0]))[0][4]) for _ in range(60)]
    np.testing.assert_allclose(np.diff(up)[:28], 0.012, atol=1e-6)
    assert up[-1] == pytest.approx(0.85)
    down = [float(env.step(np.array([-1.0]))[0][4]) for _ in range(100)]
    assert down[-1] == pytest.approx(0.15)


def test_without_an_end_at_a_miss_the_ball_bounces_on():
    log = play(PongConfig(paddle=0.05, miss_ends_episode=False).build(10.0), flee, 20_000)
    misses = [k for k, row in enumerate(log) if "miss" in row[3]]
    assert not any(row[2] for row in log)
    assert len(misses) > 20
    assert not (np.diff(misses) % 590).any()
    for k in misses:
        before, after = log[k - 1][0], log[k + 1][0]
        assert before[2] == -after[2]
        assert abs(before[3]) == abs(after[3])


def test_serves_start_at_the_far_wall_within_their_ranges_and_differ():
    config = PongConfig()
    env = config.build(10.0)
    serves = np.array([env.reset(seed=1 if k == 0 else None)[0] for k in range(500)])
    assert (serves[:, 0] == 1).all()
    assert serves[:, 1].min() >= 0.1
    assert serves[:, 1].max() <= 0.9
    slopes = serves[:, 3] / serves[:, 2]
    assert np.abs(slopes).min() >= config.min_slope - 1e-6
    assert np.abs(slopes).max() <= config.max_slope + 1e-6
    assert 0.4 < np.mean(slopes > 0) < 0.6
    assert len(np.unique(serves[:, 1])) == 500


def test_the_paddle_stays_where_it_is_between_episodes():
    env = PongConfig().build(10.0)
    env.reset(seed=1)
    moved = env.step(np.ones(1, np.float32))[0][4]
    assert env.reset()[0][4] == moved
    assert env.reset(seed=1)[0][4] == 0.5


def test_the_picture_shows_ball_and_paddle():
    env = PongConfig().build(10.0)
    env.reset(seed=1)
    picture = env.render()
    assert picture.shape == (90, 120, 3)
    assert (picture[:, :3, 0] == 255).sum() == 27 * 3
    assert (picture[:, 3:, 0] == 255).sum() == 16


def test_impossible_games_are_refused():
    with pytest.raises(ValidationError, match="min_slope"):
        PongConfig(min_slope=0.9)
    with pytest.raises(ConfigError, match=r"at most 1475 ms"):
        PongConfig().build(1500.0)
