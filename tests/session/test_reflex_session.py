"""A session with a reflex is recorded and replayed like any other, and its code is part of the recording."""

from pathlib import Path

import numpy as np
import pytest

from wetloop.core.errors import ConfigError
from wetloop.core.types import Kind
from wetloop.recording.reader import Recording
from wetloop.replay import verify

FRAME, LEAD, CHANNEL = 25, 125, 3
TEXT = f"def act(now_sample, counts, memory):\n    return 0 if counts[{CHANNEL}] > 0 else -1\n"


@pytest.fixture
def mine(tmp_path):
    """Write a reflex; return its path and the settings of a session that uses it."""
    path = tmp_path / "mine.py"
    path.write_text(TEXT)
    return path, (f"reflex.function={path}:act", "reflex.patterns={far: {channels: [60]}}", "duration=5")


@pytest.mark.parametrize(
    "settings",
    [
        (),
        ("source.signal=samples",),
        ("source.signal=samples", "recording.raw_samples=true", "source.packet_samples=37"),
    ],
)
def test_a_session_with_a_reflex_verifies(play, mine, settings):
    summary = play(*mine[1], *settings)
    assert summary.pulses["reflex"]["delivered"] > 3
    assert summary.dropped["reflex failures"] == 0
    report = verify(summary.file)
    assert report.differences == []
    assert report.pulses == sum(sum(fates.values()) for fates in summary.pulses.values())


def test_every_pulse_of_the_reflex_answers_a_spike_of_the_frame_before(play, mine, rows):
    got = rows(play(*mine[1], "condition=silent"))
    spikes, pulses = got["spikes"], got["pulses"]
    asked = pulses["sample_index"][pulses["kind"] == Kind.REFLEX]
    frames = np.unique(spikes["known_sample"][spikes["channel_index"] == CHANNEL] // FRAME)
    assert (asked - LEAD).tolist() == (frames * FRAME)[: len(asked)].tolist()
    assert len(asked) >= len(frames) - 1 > 3
    assert set(pulses["serial"][pulses["kind"] == Kind.REFLEX]) == {-1}


def test_the_recording_holds_the_text_and_a_replay_of_another_is_refused(play, mine):
    path, settings = mine
    summary = play(*settings)
    with Recording(Path(summary.file)) as recording:
        assert recording.header["reflex_source"] == TEXT
    path.write_text(TEXT.replace("> 0", "> 1"))
    with pytest.raises(
        ConfigError, match=r"mine.py:act: its text differs from the one in .*put the recorded text back"
    ):
        verify(summary.file)
    path.unlink()
    with pytest.raises(ConfigError, match=r"mine.py:act: the file cannot be read"):
        verify(summary.file)
    path.write_text(TEXT)
    assert verify(summary.file).agrees


def test_a_refused_reflex_leaves_no_recording(play, mine, tmp_path):
    path, settings = mine
    path.write_text(TEXT.replace("    return", "    if now_sample > 0:\n        raise ValueError('never')\n    return"))
    with pytest.raises(ConfigError, match=r"mine.py:act: raises ValueError: never, at 0 spikes"):
        play(*settings)
    assert [file.name for file in tmp_path.iterdir()] == ["mine.py"]


def test_a_culture_at_rest_is_left_alone_by_reflexes_too(play, mine):
    summary = play(*mine[1], "condition=rest")
    assert not any(any(fates.values()) for fates in summary.pulses.values())
    assert verify(summary.file).agrees
