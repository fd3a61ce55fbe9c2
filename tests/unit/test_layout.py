"""Roles of electrodes on arrays of any shape."""

import numpy as np
import pytest

from wetloop.core.layout import LayoutConfig, grid_probe, pitch_um, positions_um, probe_at

CORNERLESS = np.array([(x * 200.0, y * 200.0) for y in range(8) for x in range(8) if not {x, y} <= {0, 7}])


def test_square_array_has_the_upper_row_sensory_and_a_checkerboard_below():
    layout = LayoutConfig().apply(grid_probe(8, 8, 200.0))
    assert layout.sensory == tuple(range(8))
    board = layout.regions.reshape(8, 8)
    assert (board[:2] == -1).all()
    assert (board[2:] == (np.add.outer(np.arange(2, 8), np.arange(8)) % 2)).all()


@pytest.mark.parametrize("where", [CORNERLESS, CORNERLESS * 0.1, np.random.default_rng(1).uniform(0, 2000, (60, 2))])
@pytest.mark.parametrize("motor", ["checkerboard", "strips"])
def test_any_array_gets_eight_places_and_two_regions(where, motor):
    layout = LayoutConfig(motor=motor, block_um=100.0).apply(probe_at(where, 30.0))
    assert len(set(layout.sensory)) == 8
    assert (layout.regions[list(layout.sensory)] == -1).all()
    assert min(np.bincount(layout.regions[layout.regions >= 0], minlength=2)) > 0


def test_regions_are_balanced_on_the_array_without_corners():
    layout = LayoutConfig().apply(probe_at(CORNERLESS, 30.0))
    up, down = np.bincount(layout.regions[layout.regions >= 0])
    assert abs(int(up) - int(down)) <= 2


def test_flip_exchanges_the_regions():
    plain, flipped = (LayoutConfig(flip=f).apply(grid_probe(8, 8, 200.0)).regions for f in (False, True))
    assert (flipped[plain >= 0] == 1 - plain[plain >= 0]).all()


def test_positions_follow_the_channel_order():
    probe = probe_at(CORNERLESS, 30.0)
    probe.set_device_channel_indices(np.arange(60)[::-1])
    assert (positions_um(probe) == CORNERLESS[::-1]).all()
    assert pitch_um(CORNERLESS) == 200.0


def test_a_grid_of_sensory_electrodes_stands_in_rows_above_three_motor_regions():
    layout = LayoutConfig(sensory_electrodes=12, sensory_rows=3, regions=3, motor="strips").apply(
        grid_probe(8, 8, 200.0)
    )
    rows, columns = np.divmod(np.array(layout.sensory).reshape(3, 4), 8)
    assert (np.diff(columns, axis=1) > 0).all()
    assert (rows == rows[:, :1]).all()
    assert (np.diff(rows[:, 0]) > 0).all()
    assert rows.max() < 8 // 2 + 1
    counts = np.bincount(layout.regions[layout.regions >= 0], minlength=3)
    assert counts.min() > 0
    assert counts.max() - counts.min() <= 8


def test_rows_that_cannot_be_filled_are_refused():
    with pytest.raises(ValueError, match="do not fill 3 rows"):
        LayoutConfig(sensory_electrodes=8, sensory_rows=3)
