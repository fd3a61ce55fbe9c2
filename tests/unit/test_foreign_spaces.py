"""Any space of Gymnasium: actions from a decoder's values, small vectors and pictures from observations."""

import numpy as np
import pytest
from gymnasium import spaces
from hypothesis import given
from hypothesis import strategies as st

from wetloop.core.errors import ConfigError
from wetloop.tasks.action_maps import action_map
from wetloop.tasks.foreign import observation_view
from wetloop.tasks.gymnasium_config import GymnasiumConfig
from wetloop.tasks.pictures import grey, pooled, shrunk


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
