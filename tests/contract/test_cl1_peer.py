"""Our CL1 driver reads and stimulates through the vendor's own ``cl``, whose simulator records what it did.

It needs a Python that our own need not be: 3.12 or newer, with cl-sdk 1.0. The environment variable
``WETLOOP_CL_PYTHON`` names it; else the folder ``.venv-cl`` in the repository's root is tried, and its usual names.
"""

import json
import os
import shutil
import subprocess
from functools import cache
from pathlib import Path
from statistics import median

import pytest

ROOT = Path(__file__).parents[2]
SETTING = "WETLOOP_CL_PYTHON"
USUAL = ("python3.12", "python3.13", "python3.14")
NEEDED = "import cl; cl.StimPlan; import numpy, probeinterface, pydantic"
HOW = (
    f"needs a Python 3.12 or newer with cl-sdk, the simulator of Cortical Labs (CC BY-NC): python3.12 -m venv .venv-cl "
    f"&& .venv-cl/bin/pip install cl-sdk numpy probeinterface pydantic; or name one in {SETTING}"
)
DEADLINE_S = 200


def environment():
    paths = [str(ROOT / "src"), str(ROOT / "drivers")]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "CL_SDK_VISUALISATION": "0", "CL_SDK_RANDOM_SEED": "7"}


@cache
def interpreter():
    """Return the Python that has the vendor's package; None where there is none."""
    named = os.environ.get(SETTING)
    if named:
        return named
    for candidate in (str(ROOT / ".venv-cl" / "bin" / "python"), *USUAL):
        path = shutil.which(candidate)
        if path and not subprocess.run([path, "-c", NEEDED], capture_output=True, check=False).returncode:
            return path
    return None


@pytest.fixture(scope="module", params=["spikes", "samples"])
def found(request, tmp_path_factory):
    """Play two seconds with the vendor's package; return what both sides say of it."""
    if interpreter() is None:
        pytest.skip(HOW)
    folder = tmp_path_factory.mktemp("cl1")
    command = [interpreter(), str(Path(__file__).parents[1] / "cl1_process.py"), request.param, str(folder)]
    played = subprocess.run(
        command, cwd=folder, env=environment(), capture_output=True, text=True, timeout=DEADLINE_S, check=False
    )
    assert played.returncode == 0, played.stderr
    return json.loads((folder / "found.json").read_text(encoding="utf-8"))


def test_the_driver_keeps_the_contract_over_the_vendors_package(found):
    expected = {"delivers_in_order", "delivers_what_it_is_told", "falls_silent_more_than_once"}
    assert found["frames"] or expected <= set(found["checks"])


def test_what_was_read_is_what_the_vendor_recorded(found):
    assert found["gaps"] == found["lost"]
    assert found["uv_per_bit"][0] == pytest.approx(found["uv_per_bit"][1])
    if found["frames"]:
        assert found["frames"] == found["read"]
        assert found["same_frames"]
    else:
        assert found["spikes"]
        assert sorted(found["spikes"]) == found["vendor_spikes"]


def by_channel(pulses):
    return sorted(pulses, key=lambda pulse: (pulse[1], pulse[0]))


def test_pulses_come_at_their_samples_and_the_driver_tells_what_the_vendor_recorded(found):
    asked, came, seen = (by_channel(found[name]) for name in ("asked", "vendor_stims", "seen"))
    assert asked
    assert [channel for _, channel in came] == [channel for _, channel in asked]
    delays = [at - due for (at, _), (due, _) in zip(came, asked, strict=True)]
    assert min(delays) == median(delays) == 0
    assert set(map(tuple, seen)) <= set(map(tuple, came))
    if not sum(found["lost"]):
        assert seen == came


def test_a_pulse_whose_time_has_passed_is_refused(found):
    assert found["late_is_refused"]
