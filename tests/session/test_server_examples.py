"""The examples that talk to a server, against a real one."""

import json
import subprocess
import sys
from pathlib import Path

import matplotlib as mpl
import pytest
import served_rig

from wetloop.recording.reader import Recording

EXAMPLES = Path(__file__).parents[2] / "examples"
RIG = "source: {kind: culture, cells: 1000, settle_s: 0}\nduration: 1h\nrecording: {folder: FOLDER}\n"


@pytest.fixture
def rig(tmp_path):
    """Serve one rig."""
    served = served_rig.ServedRig(tmp_path, "--arm", rig=RIG)
    yield served
    served.clean_up()


def test_a_script_starts_follows_and_stops_a_session(rig):
    command = [sys.executable, str(EXAMPLES / "drive_server.py"), "--server", rig.info["control"], "--seconds", "1"]
    done = subprocess.run([*command, "--set", "seed=3"], capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    *_, followed, recorded = done.stdout.splitlines()
    assert "decisions" in followed
    with Recording(Path(recorded.removeprefix("recording: "))) as recording:
        assert recording.summary["ended"] == "stopped"
        assert recording.summary["transitions"][-1]["why"] == "followed long enough"
        assert recording.config["seed"] == 3
    assert rig.client.status()["state"] == "armed"


def test_every_cell_of_the_notebook_runs(rig, capsys):
    notebook = json.loads((EXAMPLES / "telemetry.ipynb").read_text())
    assert all(cell.get("outputs", []) == [] for cell in notebook["cells"])
    rig.run()
    mpl.use("agg")
    names = {}
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            text = "".join(cell["source"]).replace("tcp://127.0.0.1:5601", rig.info["control"])
            exec(text.replace("MESSAGES = 100", "MESSAGES = 5"), names)
    names["plt"].close("all")
    assert "5 messages, 0 lost" in capsys.readouterr().out
    assert names["health"]["guard_state"] == "running"
    assert len(names["rates_hz"]) == 5
    assert names["shown"].shape == (64, 5)
