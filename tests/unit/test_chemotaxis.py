"""Chemotaxis: Gymnasium's contract, smell, movement, and food that moves between few places."""

import gymnasium
import numpy as np
import pytest
from gymnasium.envs.registration import EnvSpec
from gymnasium.utils.env_checker import check_env
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from wetloop.tasks.config import ChemotaxisConfig

AHEAD = np.zeros(1, np.float32)
LEFT, RIGHT, MEAN, CONTRAST, CHANGE, WALL, COS, SIN, X, Y, SATED = range(11)

configs = st.builds(
    ChemotaxisConfig,
    sources=st.integers(1, 3),
    order=st.sampled_from(["random", "cycle"]),
    speed=st.floats(0.01, 3.0),
    throttle=st.booleans(),
    turn_deg_s=st.floats(1, 3600),
    starve_s=st.floats(0.5, 20),
    starving_ends_episode=st.booleans(),
)


def play(env, policy, steps, seed=3):
    """Return observation, reward, terminated and events of that many steps, with a reset after each end."""
    observation, _ = env.reset(seed=seed)
    log = []
    for _ in range(steps):
        observation, reward, terminated, truncated, info = env.step(policy(observation))
        assert not truncated
        log.append((observation, reward, terminated, info["events"]))
        if terminated:
            observation, _ = env.reset()
    return log


def count(log, event):
    return sum(row[3].count(event) for row in log)


def follow(observation):
    return np.clip(20 * observation[CONTRAST : CONTRAST + 1], -1, 1)


def flee(observation):
    return -follow(observation)


@pytest.mark.parametrize("throttle", [False, True])
def test_follows_gymnasium_s_contract(throttle):
    spec = EnvSpec("wetloop/Dish-v0", entry_point="wetloop.tasks.chemotaxis:Chemotaxis", disable_env_checker=True)
    config = ChemotaxisConfig(throttle=throttle)
    check_env(gymnasium.make(spec, config=config, render_mode="rgb_array").unwrapped)


@settings(deadline=None, max_examples=30)
@given(configs, st.floats(1, 500), st.lists(st.floats(-3, 3, width=32), max_size=60), st.integers(0, 2**31))
def test_whatever_is_done_the_animal_stays_in_the_dish_and_its_books_balance(config, decision_ms, turns, seed):
    env = config.build(decision_ms)
    observation, _ = env.reset(seed=seed)
    for turn in turns:
        observation, reward, terminated, _, info = env.step(np.full(env.action_space.shape, turn, np.float32))
        assert observation in env.observation_space
        assert observation[WALL] >= config.radius - 1e-6
        assert np.hypot(observation[COS], observation[SIN]) == pytest.approx(1, abs=1e-6)
        assert reward == info["events"].count("food") - info["events"].count("starved")
        assert terminated == ("starved" in info["events"] and config.starving_ends_episode)
        assert len(set(env.food)) == config.sources
        if terminated:
            observation, _ = env.reset()


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 2**31), st.lists(st.floats(-1, 1, width=32), max_size=40))
def test_the_stronger_smell_is_on_the_side_of_the_food(seed, turns):
    env = ChemotaxisConfig().build(100.0)
    observation, _ = env.reset(seed=seed)
    for turn in turns:
        observation, *_ = env.step(np.array([turn], np.float32))
        food = np.array(env.food[0]) - observation[X : Y + 1]
        side = observation[COS] * food[1] - observation[SIN] * food[0]
        if abs(side) > 1e-3 and np.hypot(*food) > 0.2:
            assert np.sign(observation[CONTRAST]) == np.sign(side)
            assert (observation[LEFT] > observation[RIGHT]) == (side > 0)


def test_smell_is_that_around_a_sphere_and_adds_up():
    env = ChemotaxisConfig(sources=2, food_radius=0.1).build(10.0)
    env.reset(seed=1)
    (x, y), other = env.food
    apart = np.hypot(x - other[0], y - other[1])
    assert env.smell((x, y)) == pytest.approx(1 + 0.1 / apart)
    inward = (x + 0.2 if x < 0.5 else x - 0.2, y)
    assert env.smell(inward) == pytest.approx(0.5 + 0.1 / np.hypot(inward[0] - other[0], inward[1] - other[1]))


def test_following_the_smell_finds_food_and_fleeing_from_it_starves():
    followed, fled = (play(ChemotaxisConfig(starve_s=20).build(10.0), policy, 6000) for policy in (follow, flee))
    assert count(followed, "food") > 5
    assert count(followed, "starved") == 0
    assert count(fled, "food") == 0
    assert count(fled, "starved") == 3
    assert count(fled, "wall") > 3


def test_event_names_are_those_that_happen():
    config = ChemotaxisConfig(starve_s=12)
    seen = {event for policy in (follow, flee) for row in play(config.build(10.0), policy, 3000) for event in row[3]}
    assert seen == set(config.event_names())


def test_same_seed_same_game():
    rng = np.random.default_rng(1)
    turns = rng.uniform(-1, 1, (3000, 1)).astype(np.float32)
    games = []
    for seed in (4, 4, 5):
        left = iter(turns)
        games.append(play(ChemotaxisConfig(starve_s=5).build(10.0), lambda _, left=left: next(left), 3000, seed))
    same, again, other = (np.array([row[0] for row in game]) for game in games)
    np.testing.assert_array_equal(same, again)
    assert not (same == other).all()


@pytest.mark.parametrize("sources", [1, 2])
def test_eaten_food_appears_at_another_place_and_nowhere_else(sources):
    config = ChemotaxisConfig(sources=sources, speed=0.3)
    env = config.build(10.0)
    observation, _ = env.reset(seed=3)
    visited, before = set(env.food), env.food
    for _ in range(4000):
        observation, *_, info = env.step(follow(observation))
        moved = [(old, new) for old, new in zip(before, env.food, strict=True) if old != new]
        assert len(moved) == info["events"].count("food")
        assert all(new not in before for _, new in moved)
        before = env.food
        visited |= set(before)
    assert visited == set(config.places)


def test_a_cycle_visits_the_places_in_turn():
    config = ChemotaxisConfig(order="cycle", speed=0.3)
    env = config.build(10.0)
    observation, _ = env.reset(seed=3)
    order = [config.places.index(env.food[0])]
    while len(order) < 6:
        observation, *_, info = env.step(follow(observation))
        order += [config.places.index(env.food[0])] * info["events"].count("food")
    assert not (np.diff(order) % 4 - 1).any()


@pytest.mark.parametrize("decision_ms", [1.0, 10.0, 250.0])
def test_speed_and_turn_are_those_of_the_configuration(decision_ms):
    env = ChemotaxisConfig(speed=0.05, turn_deg_s=90, starve_s=1000).build(decision_ms)
    first, _ = env.reset(seed=2)
    steps = round(1000 / decision_ms)
    for _ in range(steps):
        ahead, *_ = env.step(AHEAD)
    assert np.hypot(*(ahead - first)[X : Y + 1]) == pytest.approx(0.05, abs=1e-5)
    for _ in range(steps):
        turned, *_ = env.step(np.ones(1, np.float32))
    assert turned[[COS, SIN]] == pytest.approx([-ahead[SIN], ahead[COS]], abs=1e-4)


def test_throttle_sets_the_speed():
    env = ChemotaxisConfig(throttle=True).build(10.0)
    first, _ = env.reset(seed=2)
    stopped, *_ = env.step(np.array([0, -1], np.float32))
    half, *_ = env.step(np.array([0, 0], np.float32))
    assert (stopped[X], stopped[Y]) == (first[X], first[Y])
    assert np.hypot(*(half - stopped)[X : Y + 1]) == pytest.approx(0.001, rel=1e-3)
    assert env.action_names == ("turn", "speed")


def test_a_wall_throws_the_animal_back_and_is_told_once_a_touch():
    env = ChemotaxisConfig(places=((0.5, 0.02), (0.5, 0.98)), starve_s=1000).build(10.0)
    before, _ = env.reset(seed=1)
    for _ in range(2000):
        after, *_, info = env.step(AHEAD)
        if info["events"] == ("wall",):
            break
        before = after
    assert after[WALL] == pytest.approx(0.02)
    assert np.abs(after[[COS, SIN]]) == pytest.approx(np.abs(before[[COS, SIN]]))
    assert (after[[COS, SIN]] != before[[COS, SIN]]).sum() == 1
    assert env.step(AHEAD)[4]["events"] == ()


def test_change_is_the_smell_above_its_slow_mean():
    env = ChemotaxisConfig(places=((0.9, 0.5), (0.1, 0.5)), speed=0.1).build(10.0)
    rows = np.array([row[0] for row in play(env, follow, 300)])
    nearer = np.diff(rows[:, MEAN]) > 0
    assert nearer[200:].all()
    assert (rows[200:, CHANGE] > 0).all()
    assert rows[0, CHANGE] == pytest.approx(0, abs=1e-3)


def test_hunger_grows_until_it_ends_the_episode_or_begins_anew():
    config = ChemotaxisConfig(starve_s=1, places=((0.02, 0.02), (0.98, 0.98)))
    ended, endless = (play(c.build(10.0), flee, 100) for c in (config, config.endless()))
    assert [row[0][SATED] for row in ended[:3]] == pytest.approx([0.99, 0.98, 0.97])
    assert ended[99][1:] == (-1.0, True, ("starved",))
    assert ended[99][0][SATED] == 0
    assert endless[99][1:] == (-1.0, False, ("starved",))
    assert endless[99][0][SATED] == 1


def test_the_food_stays_where_it_is_between_episodes():
    env = ChemotaxisConfig().build(10.0)
    env.reset(seed=1)
    for _ in range(20):
        food = env.food
        env.reset()
        assert env.food == food
    assert len({env.food for seed in range(20) if env.reset(seed=seed)}) == 4


def test_the_picture_shows_animal_food_and_smell():
    env = ChemotaxisConfig().build(10.0)
    env.reset(seed=1)
    picture = env.render()
    (x, y), rows, columns = env.food[0], *np.nonzero((picture == (80, 160, 255)).all(axis=2))
    assert ((columns.mean() + 0.5) / 96, 1 - (rows.mean() + 0.5) / 96) == pytest.approx((x, y), abs=0.01)
    assert (picture == 255).all(axis=2).any()
    near, far = (int(picture[int(96 * (1 - b)), int(96 * a), 1]) for a, b in ((x + 0.1, y), (1 - x, 1 - y)))
    assert near > 2 * far > 0


def test_impossible_dishes_are_refused():
    with pytest.raises(ValidationError, match="4 sources need more than 4 different places"):
        ChemotaxisConfig(sources=4)
    with pytest.raises(ValidationError, match="different places"):
        ChemotaxisConfig(places=((0.5, 0.5), (0.5, 0.5)))
    with pytest.raises(ValidationError, match="within reach"):
        ChemotaxisConfig(places=((0.5, 0.5), (0.5, 0.999)))
