"""Sessions run for real: configuration text in, recording out."""

import json
import threading

import numpy as np
import pytest
from emulated_rig import EmulatedRig
from live_process import LiveSession

from wetloop.config import load_config, parse_config
from wetloop.core.errors import RigError
from wetloop.emulation import bench
from wetloop.recording.reader import Recording
from wetloop.session import run_session


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
def played_live(tmp_path):
    """Start real-time sessions in processes of their own, with these settings; what is left ends with the test."""
    sessions = []

    def start(*settings):
        sessions.append(LiveSession(tmp_path, *settings))
        return sessions[-1]

    yield start
    for session in sessions:
        session.clean_up()


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


@pytest.fixture
def benched():
    """Start an emulator in this process; return its dish, itself and the driver's settings. All end with the test."""
    dishes = []

    def start(kind, *settings):
        dish, (emulator,) = bench([kind], settings)
        dishes.append(dish)
        return dish, emulator, dish.start([emulator])

    yield start
    for dish in dishes:
        dish.close()
        assert dish.failure is None


@pytest.fixture
def reaching(tmp_path):
    """Return a shipped configuration with an emulator's settings where its source and stimulator have such fields."""

    def configured(path, settings, *overrides):
        plain, given = load_config(path), [f"recording.folder={tmp_path}"]
        for section in ("source", "stimulator"):
            fields = type(getattr(plain, section)).model_fields
            given += [f"{section}.{key}={json.dumps(value)}" for key, value in settings.items() if key in fields]
        return load_config(path, [*given, *overrides])

    return configured


@pytest.fixture
def cut_in_play(tmp_path):
    """Play a minute, pull the plug after half a second of it; the session says so and leaves a whole file."""

    def play(config, emulator, told):
        cut = threading.Event()

        def unplug_once(progress):
            if progress.rig_s > 0.5 and not cut.is_set():
                cut.set()
                emulator.unplug()

        with pytest.raises(RigError, match=told):
            run_session(config, accelerated=False, on_progress=unplug_once)
        with Recording(next(tmp_path.glob("*.nwb"))) as recording:
            assert recording.complete
            assert (np.diff(recording.blocks()["start_sample"]) > 0).all()

    return play
