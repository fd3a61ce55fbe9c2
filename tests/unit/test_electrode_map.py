import numpy as np

from wetloop.cli.electrode_map import BLOCKED, cells, labels
from wetloop.core.layout import Layout, LayoutConfig, grid_probe, positions_um


def test_roles_become_labels():
    layout = Layout((2, 0), np.array([-1, -1, -1, 0, 1]), 2)
    blocked = np.array([False, False, False, False, True])
    assert labels(layout, blocked) == ["1", ".", "0", "A", BLOCKED]


def test_a_grid_is_drawn_row_by_row_from_the_upper_edge():
    probe = grid_probe(3, 2, 100.0)
    assert cells(positions_um(probe), list("abcdef")) == [["a", "b", "c"], ["d", "e", "f"]]


def test_missing_electrodes_leave_a_gap():
    where = np.array([[0.0, 0.0], [200.0, 0.0], [100.0, 100.0]])
    assert cells(where, ["a", "b", "c"]) == [["a", "", "b"], ["", "c", ""]]


def test_large_arrays_are_binned_and_rare_labels_stay_visible():
    probe = grid_probe(50, 40, 17.5)
    layout = LayoutConfig(sensory_electrodes=8).apply(probe)
    grid = cells(positions_um(probe), labels(layout, np.zeros(2000, bool)))
    assert (len(grid), {len(row) for row in grid}) == (32, {40})
    shown = {label for row in grid for label in row}
    assert {str(place) for place in range(8)} <= shown
