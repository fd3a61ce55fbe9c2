"""A recording played into a viewer's board, with a clock of the test's own."""

import asyncio
import io
import json
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from wetloop.config import parse_config
from wetloop.kernels.records import FATES, KINDS
from wetloop.live import messages
from wetloop.live.board import EDGES_US, WINDOW_S, Board, LoopTimes
from wetloop.live.hub import KEPT, Hub
from wetloop.live.replay_feed import LONGEST_STEP_S, ReplayFeed
from wetloop.live.terminal import screen, sparks
from wetloop.recording.reader import Recording
from wetloop.session import run_session

SECONDS = 40
STEP_S = 0.125


class Clock:
    def __init__(self):
        self.now_s = 100.0

    def __call__(self):
        return self.now_s


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    folder = tmp_path_factory.mktemp("view")
    settings = [f"duration={SECONDS}", f"recording.folder={folder}", "recording.frames=grey", "seed=3"]
    return run_session(parse_config("", "test.yaml", settings), accelerated=True)


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def feed(recorded, clock):
    opened = ReplayFeed(Path(recorded.file), clock)
    yield opened
    opened.close()


def play(feed, clock, board, seconds):
    batches = []
    for _ in range(round(seconds / STEP_S)):
        clock.now_s += STEP_S
        batches.append(feed.take())
        board.add(batches[-1])
    return batches


def test_a_replay_tells_every_row_once(feed, clock, recorded):
    batches = play(feed, clock, Board(feed.facts), SECONDS + 1)
    with Recording(recorded.file) as recording:
        for name in ("spikes", "pulses", "decisions"):
            rows = np.concatenate([getattr(batch, name) for batch in batches])
            expected = getattr(recording, name)()
            order = np.argsort(expected["sample_index" if name != "decisions" else "stop_sample"], kind="stable")
            before_end = expected[order][: len(rows)]
            assert rows.tobytes() == before_end.tobytes()
            assert len(expected) - len(rows) <= (50 if name == "spikes" else 5)


def test_the_board_comes_to_what_the_session_said(feed, clock, recorded):
    board = Board(feed.facts)
    play(feed, clock, board, SECONDS + 1)
    counts = dict(zip(feed.facts.event_names, board.score.counts.tolist(), strict=True))
    assert counts == recorded.events
    assert recorded.rallies > 1
    values = [episode.value for episode in board.score.episodes]
    assert len(values) + (board.score.running > 0) == recorded.rallies
    assert sum(values) + board.score.running == recorded.events["hit"]
    assert board.score.decisions == recorded.decisions
    assert board.elapsed_s == pytest.approx(SECONDS)
    with Recording(recorded.file) as recording:
        pulses = recording.pulses()
        pulses = pulses[pulses["sample_index"] < board.now_sample]
        for kind, name in enumerate(KINDS):
            assert board.delivered()[name] == ((pulses["kind"] == kind) & (pulses["fate"] == 0)).sum()
        assert sum(board.refused().values()) == (pulses["fate"] != 0).sum()
        peaks = recording.spikes()["sample_index"]
        assert board.spikes_hz() == ((peaks >= board.now_sample - 25_000) & (peaks < board.now_sample)).sum()


def test_a_jump_leads_to_the_same_score_as_playing(feed, clock):
    played, jumped = Board(feed.facts), Board(feed.facts)
    play(feed, clock, played, 20)
    feed.pause(paused=True)
    feed.seek(35)
    feed.seek(20)
    jumped.add(feed.take())
    assert jumped.now_sample == played.now_sample
    told, again = messages.past(played), messages.past(jumped)
    score = ("now_s", "episodes", "running", "counts", "observation", "action", "playing", "picture")
    assert [again[name] for name in score] == [told[name] for name in score]
    assert again["spikes"]
    assert again["spikes"] == told["spikes"][-len(again["spikes"]) :]
    assert max(again["spikes"][::2]) <= WINDOW_S * messages.STEPS_PER_S


def test_pause_speed_and_neglect(feed, clock):
    feed.take()
    clock.now_s += STEP_S
    start = feed.take().now_sample
    feed.set_speed(4)
    clock.now_s += STEP_S
    assert feed.take().now_sample - start == round(4 * STEP_S * 25_000)
    feed.pause(paused=True)
    clock.now_s += STEP_S
    assert feed.take().now_sample - start == round(4 * STEP_S * 25_000)
    feed.pause(paused=False)
    feed.set_speed(1)
    clock.now_s += 3600
    assert feed.take().now_sample - start == round((4 * STEP_S + LONGEST_STEP_S) * 25_000)


def test_at_the_end_it_waits_and_begins_again(feed):
    feed.seek(10 * SECONDS)
    feed.take()
    assert (feed.paused, feed.health().state) == (True, "at the end")
    feed.pause(paused=False)
    batch = feed.take()
    assert (batch.anew, batch.now_sample) == (True, batch.first_sample)


def test_pictures_come_when_they_are_due(feed, clock, recorded):
    batches = play(feed, clock, Board(feed.facts), 2)
    shots = [batch.shot for batch in batches]
    assert sum(shot is not None for shot in shots) in {15, 16}
    with Recording(recorded.file) as recording:
        newest = np.searchsorted(recording.frame_samples, batches[-1].now_sample, side="right") - 1
        np.testing.assert_array_equal(shots[-1].picture, recording.frames()[newest])


def test_news_are_small_plain_json(feed, clock):
    board = Board(feed.facts)
    batches = play(feed, clock, board, 5)
    told = messages.news(board, batches[-1])
    assert json.loads(messages.text(told)) == told
    spikes = batches[-1].spikes
    assert told["spikes"][1::2] == spikes["channel_index"].tolist()
    np.testing.assert_allclose(
        np.array(told["spikes"][::2]) / messages.STEPS_PER_S,
        (board.now_sample - spikes["sample_index"]) / 25_000,
        atol=1e-4,
    )
    assert told["observation"] == np.round(batches[-1].decisions["observation"][-1].astype(float), 4).tolist()


def test_loop_times_fall_into_their_bins():
    times = LoopTimes(period_us=1000)
    blocks = np.zeros(100, [("arrival_ns", "<i8"), ("done_ns", "<i8")])
    blocks["arrival_ns"] = 5_000_000_000
    blocks["done_ns"] = blocks["arrival_ns"] + 5_500
    blocks["done_ns"][-2:] += 2_000_000
    times.add(blocks)
    times.add(np.zeros(3, blocks.dtype))
    assert times.counts.sum() == 100
    assert times.late == 2
    assert times.longest_us == pytest.approx(2005.5)
    assert EDGES_US[np.flatnonzero(times.counts)[0]] <= 5.5 < EDGES_US[np.flatnonzero(times.counts)[0] + 1]
    assert 5.5 <= times.quantile_us(0.5) < 7
    assert times.quantile_us(0.99) == pytest.approx(2005.5)
    assert LoopTimes(1000).quantile_us(0.5) is None


def test_the_terminal_shows_the_figures(feed, clock, recorded):
    board, console = Board(feed.facts), Console(width=120, record=True, file=io.StringIO())
    console.print(screen(None, feed.health()))
    assert "waiting" in console.export_text()
    play(feed, clock, board, SECONDS + 1)
    console.print(screen(board, feed.health()))
    text = console.export_text()
    for name, n in recorded.events.items():
        assert f"{name} {n}" in text
    assert "0:40 of 0:40" in text
    assert all(fate.replace("_", " ") in text for fate in board.refused())
    assert set(board.refused()) <= set(FATES)


def test_sparks():
    assert sparks([0, 1, 4, 8]) == " ▁▄█"
    assert sparks([]) == ""


def test_a_page_that_does_not_read_misses_and_the_others_do_not():
    async def scenario():
        hub, got = Hub(), []
        slow, quick = hub.texts(), hub.texts()
        waiting = [asyncio.ensure_future(anext(texts)) for texts in (slow, quick)]
        await asyncio.sleep(0)
        hub.publish("0")
        first = [await each for each in waiting]
        for k in range(1, 5 * KEPT):
            hub.publish(str(k))
            got.append(await anext(quick))
        late = [await anext(slow)]
        hub.publish("new")
        late.append(await anext(slow))
        await slow.aclose()
        await quick.aclose()
        return first, got, late

    first, got, late = asyncio.run(scenario())
    assert first == ["0", "0"]
    assert got == [str(k) for k in range(1, 5 * KEPT)]
    assert late == [str(5 * KEPT - 1), "new"]
