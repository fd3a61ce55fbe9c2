"""Recordings that were cut off, and the truth about what was in them."""

import functools
import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import fault_process as process
import numpy as np
import pytest
from pynwb import NWBHDF5IO, validate

from wetloop.recording.journal import ROWS, journal_path, rows_in
from wetloop.recording.reader import Recording
from wetloop.recording.survey import survey

SCRIPT = Path(__file__).parents[1] / "fault_process.py"
KEYWORDS = ("spikes", "pulses", "blocks", "operator_commands", "decisions")


@functools.cache
def _batch(number):
    return process.rows_of_batch(number)


def _is_prefix(keyword, rows, most_batches):
    """Tell whether rows are what was recorded, from its beginning on without a gap."""
    said = [_batch(number)[keyword] for number in range(most_batches)]
    return rows.tobytes() == np.concatenate([*said, rows[:0]])[: len(rows)].tobytes()


def _acknowledged_batches(path):
    said = path.with_suffix(".said")
    lines = said.read_text().split() if said.exists() else []
    return max((int(line) for line in lines), default=0) // process.SAMPLES


def _check_rows(read, n_acknowledged):
    for keyword in KEYWORDS:
        rows = read(keyword)
        n_batches = len(rows) // len(_batch(0)[keyword]) + 1
        assert _is_prefix(keyword, rows, n_batches), keyword
        assert n_batches > n_acknowledged, keyword


@pytest.fixture
def truth():
    """Check that a recording is valid NWB, and holds what was recorded and all that was acknowledged; or a journal."""

    def check_recording(path, n_acknowledged):
        with Recording(path) as recording:
            _check_rows(lambda keyword: getattr(recording, keyword)(), n_acknowledged)
        with NWBHDF5IO(path, "r") as io:
            assert validate(io=io) == []

    def check_journal(path, n_acknowledged):
        found = survey(path)

        def read(keyword):
            number = KEYWORDS.index(keyword)
            dtype = found.opening.tables[number][1]
            rows = [rows_in(f.payload, dtype) for f in found.frames() if f.kind == ROWS and f.table == number]
            return np.concatenate([*rows, np.zeros(0, dtype)])

        _check_rows(read, n_acknowledged)

    return SimpleNamespace(recording=check_recording, journal=check_journal, acknowledged_batches=_acknowledged_batches)


@pytest.fixture
def child():
    """Run one of the child processes to its end."""

    def run(*words):
        done = subprocess.run([sys.executable, SCRIPT, *map(str, words)], capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout

    return run


@pytest.fixture
def read_damaged(child):
    """Read all recordings in a folder and recover some; return what was found of each by its name."""

    def run(folder, every):
        told = [json.loads(line) for line in child("read_damaged", folder, every).splitlines()]
        return {report["file"]: report for report in told}

    return run


@pytest.fixture(scope="session")
def unfinished(tmp_path_factory):
    """A recording with its journal as it was in mid-session, at two consecutive flushes."""
    path = tmp_path_factory.mktemp("unfinished") / "session.nwb"
    states = []
    writer = process.record(path, 12)
    for batch in range(12, 16):
        writer.append(**process.rows_of_batch(batch))
    states.append((path.read_bytes(), journal_path(path).read_bytes()))
    writer.flush()
    states.append((path.read_bytes(), journal_path(path).read_bytes()))
    writer.abort()
    return SimpleNamespace(before=states[0], after=states[1], n_acknowledged=12)
