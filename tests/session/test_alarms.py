"""Alarms of a real session: in its file, on the page and the terminal, in telemetry, and in what a dead one leaves."""

import io
import json
import os
import signal
from pathlib import Path

import pytest
import view_process
from rich.console import Console

import wetloop
from wetloop.cli.main import main
from wetloop.core.clock import wait_until
from wetloop.engine.alarm_rows import plain
from wetloop.engine.arena import Arena
from wetloop.live.arena_feed import LatestSession, running
from wetloop.live.board import Board
from wetloop.live.replay_feed import ReplayFeed
from wetloop.live.terminal import screen
from wetloop.recording import schema
from wetloop.recording.describe import describe
from wetloop.recording.journal import ROWS, Opening, journal_path
from wetloop.recording.reader import Recording
from wetloop.recording.recover import recover
from wetloop.recording.survey import Frame, scan

STORM = ("watch.storm.above_hz=1", "watch.storm.after_s=1", "watch.storm.policy=pause")
SECONDS = 120


@pytest.fixture
def stormy(played_live):
    """Play in real time, paused for what the watchdog takes for a storm."""
    return played_live(*STORM)


def name_of(session):
    return next(name for name, facts in running().items() if facts.file == str(session.file))


def text_of(board, health):
    console = Console(width=160, record=True, file=io.StringIO())
    console.print(screen(board, health))
    return console.export_text()


def test_an_alarm_is_on_the_page_and_on_the_terminal_and_in_the_file(stormy):
    name = name_of(stormy)
    with view_process.ViewProcess("--session", name) as viewer, viewer.page() as page:
        figures = page.hear("figures")
        while not figures["alarms"]["count"]:
            figures = page.hear("figures")
    feed = LatestSession(name)
    board = Board(feed.facts)
    assert wait_until(lambda: (board.add(feed.take()), board.alarms.count)[1] > 0, SECONDS)
    seen = text_of(board, feed.health())
    feed.close()
    assert main(["stop", name, "--now"]) == 0
    out, _ = stormy.process.communicate(timeout=SECONDS)
    summary = json.loads(out)
    first = summary["alarms"][0]
    assert (first["watch"], first["state"], first["policy"]) == ("storm", "raised", "pause")
    told = figures["alarms"]["recent"][0]
    at_s = told.pop("at_s")
    assert (figures["alarms"]["active"], told) == (["storm"], first)
    with wetloop.open(stormy.file) as recording:
        begin = int(recording.blocks["start_sample"][0])
        assert at_s == pytest.approx((first["sample_index"] - begin) / 25_000, abs=0.01)
        assert recording.alarms == summary["alarms"]
    assert "ALARM  storm raised at 0:0" in seen
    assert f"policy pause: {first['meaning']}" in seen


def test_alarms_of_a_session_that_was_killed_are_recovered(stormy):
    with Arena.attach(name_of(stormy), writable=False) as arena:
        slots = arena.arrays["alarms.slots"]
        assert wait_until(lambda: slots["watch"][0] == b"storm" and journalled(stormy.file), SECONDS)
        (expected,) = plain(slots[:1])
        for pid in (stormy.roles["recorder"], stormy.process.pid):
            os.kill(pid, signal.SIGKILL)
    for role in stormy.roles:
        stormy.outlive(role)
    with Recording(stormy.file) as recording:
        assert not recording.complete
    report = recover(stormy.file)
    assert report.rows[schema.ALARMS.path] >= 1
    with Recording(Path(report.recovered)) as recording:
        assert "alarms" not in recording.summary
        assert plain(recording.alarms())[0] == expected
    assert describe(Path(report.recovered))["alarms"][0] == expected


def journalled(file):
    """Tell whether the journal of a session that runs has alarms."""
    frames = [frame for frame in scan(journal_path(file)) if isinstance(frame, Frame)]
    tables = [path for path, _ in Opening.from_json(frames[0].payload.decode()).tables]
    return any((frame.kind, tables[frame.table]) == (ROWS, schema.ALARMS.path) for frame in frames)


def test_a_replay_tells_its_alarms_when_they_came(play):
    summary = play("duration=12", "source.kind=poisson", "source.rate_hz=0.0000001", "watch.silent.after_s=5")
    (expected,) = summary.alarms
    feed = ReplayFeed(Path(summary.file), lambda: 0.0)
    board = Board(feed.facts)
    for at_s, count in ((4.9, 0), (5.2, 1), (2.0, 0), (12.0, 1)):
        feed.seek(at_s)
        board.add(feed.take())
        assert board.alarms.count == count
    assert board.alarms.to_dict() == {"active": ["silent"], "count": 1, "recent": [expected]}
    assert "no alarms" not in text_of(board, feed.health())
    feed.close()
