"""The parties of a shared ring as processes of their own; also imported by the tests, which talk to them by pipe.

A party takes commands as lines of JSON and answers each with a line. Kernels are not cached here, as code that was
compiled under one name of this file (``__main__``) cannot be loaded under the other.
"""

import json
import os
import select
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path

import numba
import numpy as np

from wetloop.core.errors import RigError
from wetloop.engine.arena import FOLDER, Arena, ring_spec
from wetloop.engine.engine import RingReader
from wetloop.kernels.clock import now_ns, pause, sleep_until_ns
from wetloop.kernels.rings import DROPPED, commit, load_head, observe, prepare, reserve, wait_for

PARCEL = np.dtype([("serial", "<i8"), ("copies", "<i8", (15,))])
"""Wide enough that a copy made during a write would show: every copy equals the serial."""
DEADLINE_S = 60


@contextmanager
def own_folder():
    """Give a folder of shared memory that no other test or session sweeps."""
    with tempfile.TemporaryDirectory(dir=FOLDER, prefix="test-") as name:
        yield Path(name)


def new_post(name, folder, capacity, *readers):
    """Return an arena with a ring of parcels and one whose head tells that the producer has finished."""
    arena = Arena.create(name, ring_spec("post", PARCEL, capacity) | ring_spec("over", PARCEL, 1), folder)
    prepare(arena.ring("post"), *readers)
    prepare(arena.ring("over"))
    return arena


class Party:
    """The test's end of a process."""

    def __init__(self):
        command = [sys.executable, "-W", "error", __file__]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)

    def tell(self, *command):
        self.process.stdin.write(json.dumps(command).encode() + b"\n")

    def answer(self):
        ready, _, _ = select.select([self.process.stdout], [], [], DEADLINE_S)
        line = self.process.stdout.readline() if ready else b""
        if not line:
            self.kill()
            raise AssertionError("a party has died" if ready else "a party does not answer")
        return json.loads(line)

    def ask(self, *command):
        self.tell(*command)
        return self.answer()

    def kill(self):
        self.process.kill()
        self.process.wait()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.kill()
        self.process.stdin.close()
        self.process.stdout.close()


@numba.njit(nogil=True)
def send(ring, first, n, patient, sent):
    """Send parcels numbered from ``first``; a patient sender repeats what is refused. Return how many were sent."""
    count = 0
    for serial in range(first, first + n):
        at = reserve(ring)
        while at < 0 and patient:
            sleep_until_ns(now_ns() + 20_000)
            at = reserve(ring)
        if at >= 0:
            parcel = ring.slots[at]
            parcel.serial = serial
            for k in range(15):
                parcel.copies[k] = serial
            commit(ring)
            sent[count] = serial
            count += 1
    return count


@numba.njit(nogil=True)
def dawdle(turns):
    for _ in range(turns):
        pause()


def serials(rows):
    """Return the serials of untorn parcels."""
    assert (rows["copies"] == rows["serial"][:, None]).all(), "torn"
    return rows["serial"].tolist()


def produce(arena, batches, patient):
    ring, sent, first = arena.ring("post"), [], 0
    for n in batches:
        room = np.zeros(n, np.int64)
        sent += room[: send(ring, first, n, patient, room)].tolist()
        first += n
        os.sched_yield()
    commit(arena.ring("over"))
    return sent, int(ring.words[DROPPED])


def read(arena, reader, bite, turns):
    """Read to the end, at most ``bite`` serials at once where it is not 0, and slowly where ``turns`` is large."""
    ring, over = arena.ring("post"), arena.ring("over")
    end, got, stop = RingReader(ring, reader), [], bite
    while True:
        last = load_head(over.words)
        if wait_for(ring, reader, 1_000_000):
            got += serials(end.take_before(stop, "serial") if bite else end.take())
            stop += bite
            dawdle(turns)
        elif last:
            return got


def watch(arena, room):
    """Observe to the end; return positions and serials of what was seen, and how many were lost."""
    ring, over, out = arena.ring("post"), arena.ring("over"), np.zeros(room, PARCEL)
    cursor, seen, lost = 0, [], 0
    while True:
        last = load_head(over.words)
        n, cursor, missed = observe(ring, cursor, out)
        seen += zip(range(cursor - n, cursor), serials(out[:n]), strict=True)
        lost += missed
        if last and cursor == load_head(ring.words):
            return seen, lost
        os.sched_yield()


def produce_for_ever(arena):
    """Fill the ring, say so, and go on for ever."""
    ring, first, room = arena.ring("post"), 0, np.zeros(1000, np.int64)
    reply(send(ring, first, 1000, False, room))
    while True:
        first += 1000
        send(ring, first, 1000, False, room)


def reply(value):
    sys.stdout.write(json.dumps(value) + "\n")
    sys.stdout.flush()


def main():
    """Attach for each command, or keep what was created or held until the process ends."""
    kept = []
    for line in sys.stdin:
        command, name, folder, *rest = json.loads(line)
        if command == "create":
            kept.append(new_post(name, Path(folder), *rest))
            reply("created")
            continue
        try:
            arena = Arena.attach(name, Path(folder))
        except RigError as error:
            reply(f"refused: {error}")
            continue
        if command == "hold":
            kept.append(arena)
            reply("held")
        else:
            doing = {f.__name__: f for f in (produce, read, watch, produce_for_ever)}
            reply(doing[command](arena, *rest))
            arena.close()


if __name__ == "__main__":
    main()
