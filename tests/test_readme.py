"""The README's commands and programs do what it says, on a fresh copy in a new environment."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
BLOCK = re.compile(r"^```(sh|python)\n(.*?)^```", re.MULTILINE | re.DOTALL)


@pytest.fixture
def fresh_copy(tmp_path):
    """Copy what git knows of the project, and nothing else."""
    listed = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, check=True)
    for name in listed.stdout.decode().splitlines():
        if (ROOT / name).is_file():
            target = tmp_path / "wetloop" / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target)
    return tmp_path / "wetloop"


@pytest.mark.timeout(900)
def test_every_block_of_the_readme_runs_in_order(fresh_copy):
    blocks = BLOCK.findall((fresh_copy / "README.md").read_text(encoding="utf-8"))
    assert [kind for kind, _ in blocks] == ["sh", "sh", "sh", "python", "python", "sh"]
    said = ""
    for kind, text in blocks:
        command = ["sh", "-euc", text] if kind == "sh" else [".venv/bin/python", "-c", text]
        done = subprocess.run(command, cwd=fresh_copy, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{text}\n{done.stdout}\n{done.stderr}"
        said += done.stdout
    for words in ("mean rally length", "x real time", "cannot react", "missed_shot", "hits per rally", "zero_spikes"):
        assert words in said
    assert len(list((fresh_copy / "recordings").glob("pong-stimulus-*.nwb"))) >= 2


def test_the_test_command_is_what_the_integration_runs():
    command = "sh scripts/check.sh"
    assert f"\n{command}\n" in (ROOT / "README.md").read_text(encoding="utf-8")
    assert command in (ROOT / ".ci" / "run").read_text(encoding="utf-8")
