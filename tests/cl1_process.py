"""Our CL1 driver over the vendor's own ``cl``, in a Python that has it; what was found goes to a file, as JSON.

    python cl1_process.py SIGNAL FOLDER

The vendor records the same session to its own file, which the vendor's reader opens.
"""

import json
import sys
import threading
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import cl
import numpy as np

from wetloop.core.errors import LatePulseError
from wetloop.core.guard import Pattern, Pulse, StimGuard
from wetloop.testing import contract
from wetloop_drivers.cl1 import Cl1Config

SECONDS, EVERY_SAMPLES = 2.0, 500
PATTERNS = {
    "one": Pattern(Pulse.balanced(1.0, 160, "uA"), (0,)),
    "eight": Pattern(Pulse(-2.0, 200, 1.0, 400, "uA"), tuple(range(20, 28))),
    "all": Pattern(Pulse.balanced(0.5, 100, "uA"), tuple(range(59))),
}


@contextmanager
def recorded(vendors_open, folder, made):
    """Open the device as the vendor does, and record."""
    with vendors_open() as neurons:
        made.append(neurons.record(file_location=folder))
        yield neurons


def keeps_the_contract(config):
    """Run the public contract, with nothing behind the driver but the vendor's simulator."""
    rig = contract.Rig(config)
    checks = contract.checks_for(rig)
    for check in checks:
        check(rig)
    return [check.__name__ for check in checks]


class Session:
    """Reads in one thread and triggers in another, as a session's process does."""

    def __init__(self, config):
        self.rig, self.blocks, self.seen, self.asked, self.late = config.build(1), [], [], [], 0
        self.table = StimGuard(self.rig.info).prepare(PATTERNS)
        self._newest = threading.Condition()

    def play(self):
        self.rig.open()
        self.rig.prepare(self.table)
        courier = threading.Thread(target=self.trigger, daemon=True)
        courier.start()
        samples = SECONDS * self.rig.info.sampling_frequency
        while samples > 0:
            block = self.rig.read()
            self.seen.append(self.rig.take_seen())
            if block.n_samples:
                samples -= block.n_samples
                with self._newest:
                    self.blocks.append(block)
                    self._newest.notify_all()
        courier.join()
        self.rig.close()

    def trigger(self):
        for k in range(round(0.8 * SECONDS * self.rig.info.sampling_frequency / EVERY_SAMPLES)):
            with self._newest:
                self._newest.wait_for(lambda at=(k + 1) * EVERY_SAMPLES: self.newest >= at + self.first)
                at_sample = self.newest + self.rig.info.lead_samples
            pattern = k % len(self.table)
            try:
                self.rig.trigger(pattern, at_sample)
            except LatePulseError:
                self.late += 1
                continue
            channels = self.table.patterns[pattern].channels
            self.asked += [[at_sample, int(self.rig.info.probe.contact_ids[c])] for c in channels]

    @property
    def first(self):
        return self.blocks[0].start_sample if self.blocks else 0

    @property
    def newest(self):
        return self.blocks[-1].start_sample + self.blocks[-1].n_samples if self.blocks else -1


def refused(config, word):
    """Return whether a plan that is not run before it is due is refused, rather than delivered late."""
    rig = config.build(1)
    rig.open()
    rig.prepare(StimGuard(rig.info).prepare(PATTERNS))
    block = rig.read()
    try:
        rig.trigger(0, block.start_sample)
    except LatePulseError as error:
        return word in str(error)
    finally:
        rig.close()
    return False


def main(signal, folder):
    config = Cl1Config(signal=signal, packet_ms=5, margin_ms=20, slack_ms=80)
    checks = keeps_the_contract(config) if signal == "spikes" else []
    late_is_refused = refused(config, "too near")
    made, vendors_open = [], cl.open
    cl.open = lambda: recorded(vendors_open, folder, made)
    session = Session(config)
    session.play()
    cl.open = vendors_open
    made[0].wait_until_stopped()
    with made[0].open() as view:
        found = {"checks": checks, "late_is_refused": late_is_refused}
        found |= compared(session, view)
    Path(folder, "found.json").write_text(json.dumps(found), encoding="utf-8")


def compared(session, view):
    """Return what the driver read, and what the vendor recorded of the same time."""
    blocks, info, start = session.blocks, session.rig.info, int(view.attributes["start_timestamp"])
    relative = view.attributes["file_format"]["stim_and_spike_timestamps_relative_to_start"]
    offset = start if relative else 0
    first, stop = session.first, session.newest
    ours, seen = np.concatenate([block.spikes for block in blocks]), np.concatenate(session.seen)
    numbers = np.array(info.probe.contact_ids).astype(int)
    told = [[int(s["timestamp"]) + offset, int(s["channel"])] for s in view.spikes[:]]
    gaps = [b.start_sample - a.start_sample - a.n_samples for a, b in pairwise(blocks)]
    read = np.concatenate([np.arange(b.start_sample, b.start_sample + b.n_samples) for b in blocks])
    frames = np.concatenate([block.samples for block in blocks])
    same = view.samples[first - start : stop - start][read - first][:, numbers]
    return {
        "gaps": gaps, "lost": [block.lost_samples for block in blocks[1:]], "late": session.late,
        "asked": session.asked,
        "seen": np.column_stack([seen["sample_index"], numbers[seen["channel_index"]]]).tolist(),
        "spikes": np.column_stack([ours["sample_index"], numbers[ours["channel_index"]]]).tolist(),
        "vendor_spikes": sorted(s for s in told if np.isin(s[0], read) and s[1] in numbers),
        "vendor_stims": sorted([int(s["timestamp"]) + offset, int(s["channel"])] for s in view.stims[:]),
        "frames": len(frames), "read": len(read), "same_frames": bool(len(frames) and np.array_equal(frames, same)),
        "uv_per_bit": [float(view.attributes["uV_per_sample_unit"]), float(info.gain_uv[0])],
    }  # fmt: skip


if __name__ == "__main__":
    main(*sys.argv[1:])
