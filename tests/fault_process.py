"""Child processes of the fault tests: recorders to be killed, and readers that damaged files may crash."""

import json
import os
import resource
import runpy
import signal
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np

from wetloop.core.errors import RecordingError
from wetloop.recording.journal import Safekeeping, journal_path
from wetloop.recording.rebuild import rebuild
from wetloop.recording.salvage import salvage
from wetloop.recording.skeleton import write_skeleton
from wetloop.recording.survey import survey
from wetloop.recording.writer import Writer

session = SimpleNamespace(**runpy.run_path(str(Path(__file__).with_name("recorded_session.py"))))
DECISIONS = 20
SAMPLES = 250 * DECISIONS
"""A batch is 200 ms of rig time."""
LONGEST_LIFE_S = 0.3
HANGS_S = 5


LOADED_BEFORE_FORKS = write_skeleton


def rows_of_batch(batch):
    return session.make_rows(batch, SAMPLES * batch, DECISIONS)


def record(path, most_batches=1_000_000, on_start=lambda: None, **keeping):
    """Record, and write beside the file what is acknowledged after each flush."""
    writer = Writer(path, session.make_header(), safekeeping=Safekeeping("tables", **keeping))
    on_start()
    with path.with_suffix(".said").open("w", buffering=1) as said:
        for batch in range(most_batches):
            writer.append(**rows_of_batch(batch))
            if batch % 4 == 3:
                writer.flush()
                said.write(f"{writer.acknowledged_sample}\n")
    return writer


def be_killed(folder, first, count):
    """Start recorders one after the other, and kill each at a random instant, one in eight soon after its birth."""
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGCHLD, signal.SIGUSR1])
    for seed in range(int(first), int(first) + int(count)):
        life_s = np.random.default_rng(seed).uniform(0, LONGEST_LIFE_S)
        recorder = os.fork()
        if not recorder:
            record(folder / f"{seed}.nwb", on_start=lambda: os.kill(os.getppid(), signal.SIGUSR1))
        if seed % 8:
            signal.sigtimedwait([signal.SIGCHLD, signal.SIGUSR1], HANGS_S)
        signal.sigtimedwait([signal.SIGCHLD], life_s)
        os.kill(recorder, signal.SIGKILL)
        os.waitpid(recorder, 0)
        while signal.sigtimedwait([signal.SIGCHLD, signal.SIGUSR1], 0):
            continue


def fill_up(path, limit_bytes):
    """Record until no file may grow further."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(limit_bytes),) * 2)
    _record_and_complain(path)


def fill_a_small_disk(path, reserve_mb):
    """Record until the disk is full, or the guard of its free space ends the recording."""
    _record_and_complain(path, reserve_mb=float(reserve_mb) or None)


def _record_and_complain(path, **keeping):
    try:
        record(path, **keeping)
    except RecordingError as error:
        session.say(error)


def read_damaged(folder, every):
    """Read each recording in a folder and its journal, each in a process that may crash; recover some of them."""
    for number, path in enumerate(sorted(folder.glob("*.nwb"))):
        read, write = os.pipe()
        child = os.fork()
        if not child:
            signal.alarm(HANGS_S)
            os.write(write, json.dumps(_readable(path, rebuilding=number % int(every) == 0)).encode())
            os._exit(0)
        os.close(write)
        with os.fdopen(read) as pipe:
            told = pipe.read()
        os.waitpid(child, 0)
        session.say(json.dumps({"file": path.name, "crashed": not told} | json.loads(told or "{}")))


def _readable(path, *, rebuilding):
    remains, beside = path.with_suffix(".remains"), journal_path(path)
    verdict = salvage(path, remains)
    sources = [survey(left) for left in (beside, remains) if left.exists()]
    sources = [source for source in sources if source.opening is not None]
    if sources and rebuilding:
        try:
            rebuild(sources, path, path.with_suffix(".recovered"))
        except RecordingError as error:
            return {"faults": [*verdict.faults, str(error)]}
    rows = (
        {name: max(source.n_rows.get(name, 0) for source in sources) for name in sources[0].n_rows} if sources else {}
    )
    return {"whole": verdict.whole, "faults": verdict.faults, "rows": rows}


if __name__ == "__main__":
    {f.__name__: f for f in (be_killed, fill_up, fill_a_small_disk, read_damaged)}[sys.argv[1]](
        Path(sys.argv[2]), *sys.argv[3:]
    )
