"""Sessions run for real: configuration text in, recording out."""

import runpy
from pathlib import Path

import pytest

from wetloop.config import parse_config
from wetloop.recording.reader import Recording
from wetloop.session import run_session

EmulatedRig = runpy.run_path(str(Path(__file__).with_name("emulated_rig.py")))["EmulatedRig"]


@pytest.fixture
def play(tmp_path):
    """Run a session with these settings and return its summary; recordings go to the test's own folder."""
    runs = []

    def run(*settings, seed=1, **options):
        runs.append(1)
        overrides = [f"recording.folder={tmp_path}", f"recording.name=session{len(runs)}", f"seed={seed}", *settings]
        return run_session(parse_config("", "test.yaml", overrides), accelerated=True, **options)

    return run


@pytest.fixture
def rows():
    """Read everything that a recording holds, without host times."""

    def read(summary):
        with Recording(summary.file) as recording:
            blocks = recording.blocks()[["start_sample", "n_samples", "lost_samples", "serial", "n_spikes", "n_pulses"]]
            decisions = recording.decisions()
            decisions["lateness_us"] = 0
            return {
                "spikes": recording.spikes(), "pulses": recording.pulses(), "decisions": decisions, "blocks": blocks,
            }  # fmt: skip

    return read


@pytest.fixture
def emulated():
    """Start emulators in processes of their own; they end with the test."""
    rigs = []

    def start(kind, *given):
        rigs.append(EmulatedRig(kind, *given))
        return rigs[-1]

    yield start
    for rig in rigs:
        rig.clean_up()
