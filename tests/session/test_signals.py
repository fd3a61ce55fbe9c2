"""Real signals to a real process: the session ends, stimulation is off, the file is whole."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from wetloop.recording.reader import Recording
from wetloop.replay import verify

ROOT = Path(__file__).parents[2]


@pytest.fixture
def running(tmp_path):
    """Start a session in real time, and wait until it plays."""
    command = [
        sys.executable, "-m", "wetloop", "run", str(ROOT / "configs" / "pong.yaml"), "--json",
        "--duration", "1h", "--set", f"recording.folder={tmp_path}",
    ]  # fmt: skip
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    for line in process.stderr:
        if "of 3600 s" in line:
            break
    yield process
    process.kill()
    process.communicate()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_one_signal_ends_the_session_with_a_complete_file(running, number):
    running.send_signal(number)
    out, _ = running.communicate(timeout=60)
    assert running.returncode == 130
    summary = json.loads(out)
    assert summary["ended"] == "interrupted"
    with Recording(Path(summary["file"])) as recording:
        assert recording.complete
        assert recording.operator_commands()["voice"].tolist() == [1, 2, 0]
    assert verify(Path(summary["file"])).agrees


def test_a_killed_session_leaves_a_file_that_opens(running, tmp_path):
    running.kill()
    running.wait(timeout=60)
    path = next(tmp_path.glob("*.nwb"))
    with Recording(path) as recording:
        assert not recording.complete
        assert len(recording.decisions()) > 0
    assert verify(path).agrees
