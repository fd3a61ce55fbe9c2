"""A session's streams as any LSL reader finds them."""

from pathlib import Path
from uuid import uuid4

import numpy as np
import pylsl
import pytest

from wetloop.core.clock import wait_until
from wetloop.engine.live import now_host_ns
from wetloop.live.facts import Facts
from wetloop.live.feed import Batch
from wetloop.live.lsl_outlets import STREAMS, SessionOutlets
from wetloop.recording.reader import Recording

FILE = Path(__file__).parents[2] / "recordings" / "sample-culture-v2.nwb"
ROWS = 5


@pytest.fixture(scope="module")
def recorded():
    with Recording(FILE) as recording:
        tables = {
            "spikes": recording.spikes()[:ROWS], "pulses": recording.pulses()[:ROWS],
            "decisions": recording.decisions()[:ROWS], "blocks": recording.blocks()[:1],
        }  # fmt: skip
        return Facts.of_recording(recording), tables


def inlets_of(prefix):
    """Return open inlets of the streams with this prefix."""
    inlets = {}
    for name in STREAMS:
        (found,) = pylsl.resolve_byprop("name", f"{prefix}-{name}", 1, 10)
        inlets[name] = pylsl.StreamInlet(found, recover=False)
        inlets[name].open_stream(10)
    return inlets


def pulled(inlet, n):
    rows, stamps = [], []

    def has_all():
        more, at = inlet.pull_chunk(0.05)
        rows.extend(more)
        stamps.extend(at)
        return len(rows) >= n

    assert wait_until(has_all, 10)
    return np.array(rows), np.array(stamps)


def test_spikes_pulses_and_decisions_come_with_the_times_of_their_samples(recorded):
    facts, tables = recorded
    prefix = f"session-{uuid4().hex}"
    outlets, inlets, now_ns = SessionOutlets(facts, prefix), inlets_of(prefix), now_host_ns()
    blocks = tables["blocks"].copy()
    end = int(blocks["start_sample"][0] + blocks["n_samples"][0])
    blocks["arrival_ns"] = now_ns
    outlets.push(Batch(0, end, **tables | {"blocks": blocks}))
    now_host_ns()
    offset_s = pylsl.local_clock() - now_host_ns() / 1e9
    for name, columns in STREAMS.items():
        rows, stamps_s = pulled(inlets[name], len(tables[name]))
        for k, field in enumerate(columns.fields[:3]):
            assert rows[:, k] == pytest.approx(tables[name][field].astype(float))
        behind_s = (tables[name][columns.stamped] - end) / facts.sampling_frequency
        assert stamps_s == pytest.approx(now_ns / 1e9 + behind_s + offset_s, abs=1e-3)
        inlets[name].close_stream()


def test_what_was_before_the_streams_is_not_told_and_channels_have_names(recorded):
    facts, tables = recorded
    prefix = f"session-{uuid4().hex}"
    outlets, inlets = SessionOutlets(facts, prefix), inlets_of(prefix)
    outlets.push(Batch(0, 0, **tables, anew=True))
    outlets.push(Batch(0, 0, **tables | {"spikes": tables["spikes"][:1]}))
    rows, _ = pulled(inlets["spikes"], 1)
    assert len(rows) == 1
    channel = inlets["decisions"].info(5).desc().child("channels").child("channel")
    labels = []
    while not channel.empty():
        labels.append(channel.child_value("label"))
        channel = channel.next_sibling()
    assert labels[:4] == ["stop_sample", "reward", "events", "serial"]
    assert labels[4:] == [f"action {name}" for name in facts.header["action_names"]]
    for inlet in inlets.values():
        inlet.close_stream()
