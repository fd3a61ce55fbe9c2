"""A session whose motor layout is chosen anew after every miss."""

import json
from pathlib import Path

import pytest

from wetloop.coding.rechosen import layouts_read
from wetloop.recording.reader import Recording
from wetloop.replay import verify

LAYOUTS = [{}, {"flip": True}, {"motor": "strips"}]
QUICK = ("source.kind=poisson", "duration=6s", "task.crossing_s=0.3", "feedback.rest_s=0.2",
         "feedback.random.duration_s=0.2")  # fmt: skip


@pytest.mark.parametrize("condition", ["stimulus", "silent", "yoked"])
def test_the_layouts_of_a_session_are_known_from_its_recording_and_replayed(play, condition):
    decoder = {"kind": "rechosen", "layouts": LAYOUTS}
    summary = play(*QUICK, f"condition={condition}", f"decoder={json.dumps(decoder)}")
    with Recording(Path(summary.file)) as recording:
        read = layouts_read(1, len(LAYOUTS), recording.decisions())
    assert set(read.tolist()) == {0, 1, 2}
    assert verify(Path(summary.file)).differences == []
