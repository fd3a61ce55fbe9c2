"""DishBrain Pong through an emulated CL1, in real time, over the calls of the vendor's API."""

from pathlib import Path

import pytest

from wetloop.emulation import bench
from wetloop.replay import verify
from wetloop.session import run_session

CONFIG = Path(__file__).parents[2] / "configs" / "pong_cl1.yaml"
SMALL = ["culture.settle_s=0", "culture.cells=100", "cl1.stream_port=0"]


@pytest.fixture
def started():
    """Start emulators; all of them end with the test."""
    dishes = []

    def start(*settings):
        dish, (emulator,) = bench(["cl1"], [*SMALL, *settings])
        dishes.append(dish)
        return dish, emulator, dish.start([emulator])

    yield start
    for dish in dishes:
        dish.close()
        assert dish.failure is None


def test_pong_is_played_and_every_accepted_pulse_arrives(emulated, reaching):
    rig = emulated("cl1", *SMALL)
    summary = run_session(reaching(CONFIG, rig.settings, "duration=4"), accelerated=False)
    assert (summary.ended, summary.lost_samples) == ("completed", 0)
    assert rig.end() == summary.real_time["triggers_accepted_by_rig"] > 0
    assert summary.spikes > 0
    assert verify(Path(summary.file)).agrees
