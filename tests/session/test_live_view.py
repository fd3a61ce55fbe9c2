"""A viewer in a process of its own, on a session that runs and on a recording."""

import http.client
from pathlib import Path
from uuid import uuid4

import numpy as np
import pytest
import view_process
from websockets.exceptions import InvalidStatus

from wetloop.core.errors import RigError
from wetloop.engine.arena import Arena, segments
from wetloop.live.arena_feed import attach
from wetloop.recording.notice import NOTICE, read_notice
from wetloop.recording.reader import Recording

STEP = 1e-4
EACH_BYTES = 4_000_000


@pytest.fixture
def live(played_live):
    return played_live()


def name_of(live):
    """Return the name of a session's shared memory."""
    for segment in segments():
        if segment.stale:
            continue
        with Arena.attach(segment.name) as arena:
            told = read_notice(arena.arrays[NOTICE]) if NOTICE in arena.arrays else None
            if told is not None and told["file"] == str(live.file):
                return segment.name
    raise AssertionError("the session has posted no notice")


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    from wetloop.config import parse_config
    from wetloop.session import run_session

    settings = ["duration=30", f"recording.folder={tmp_path_factory.mktemp('view')}"]
    return run_session(parse_config("", "test.yaml", settings), accelerated=True)


@pytest.fixture(scope="module")
def replay(recorded):
    with view_process.ViewProcess(recorded.file) as viewer:
        yield viewer


def times(news, columns):
    """Return rows of (time in steps of 0.1 ms, ...) that a page was told."""
    rows, step = [], -1
    for message in news:
        if message["step"] <= step:
            continue  # what the first message had already
        step = message["step"]
        told = np.array(message["spikes" if columns == 2 else "pulses"], np.int64).reshape(-1, columns)
        now = round(message["now_s"] / STEP)
        rows += [(now - int(before), *rest) for before, *rest in told.tolist()]
    return rows


def test_a_page_tells_what_the_recording_holds_and_stop_silences(live):
    with view_process.ViewProcess("--session", name_of(live)) as viewer, viewer.page() as page:
        facts = page.hear("facts")
        news = [page.hear("news")]
        first_s = news[0]["now_s"]
        while news[-1]["now_s"] < first_s + 2:
            news.append(page.hear("news"))
        assert page.hear("figures")["state"] == "running"
        refused = page.ask("stop", "guess")
        assert "view only" in refused
        assert page.hear("figures")["silenced"] is False
        assert "stimulation is off" in page.ask("stop", viewer.token)
        figures = page.hear("figures")
        while not figures["silenced"]:
            figures = page.hear("figures")
        live.end()
        while figures["state"] != "ended":
            figures = page.hear("figures")
        assert viewer.end() == (0, "")
    with Recording(live.file) as recording:
        assert facts["title"] == recording.header["description"]
        assert facts["event_names"] == recording.header["event_names"]
        rate_hz, begin = recording.info.sampling_frequency, recording.extent()[0]
        start_s, stop_s = first_s - 0.5, first_s + 1.5
        told = [row for row in times(news, 2) if start_s < row[0] * STEP < stop_s]
        rows = recording.spikes()
        at_s = (rows["sample_index"] - begin) / rate_hz
        within = (at_s > start_s + STEP) & (at_s < stop_s - STEP)
        assert within.sum() > 50
        near = {(step + shift, channel) for step, channel in told for shift in (-1, 0, 1)}
        kept = zip(
            np.rint(at_s[within] / STEP).astype(int).tolist(), rows["channel_index"][within].tolist(), strict=True
        )
        assert set(kept) <= near
        assert abs(len(told) - within.sum()) <= 5
        pulses = recording.pulses()
        delivered = pulses[pulses["fate"] == 0]
        pulse_s = (delivered["sample_index"] - begin) / rate_hz
        told_pulses = [row for row in times(news, 3) if start_s < row[0] * STEP < stop_s]
        electrodes = np.array([len(channels) for channels in recording.pulse_electrodes()])[pulses["fate"] == 0]
        expected = electrodes[(pulse_s > start_s) & (pulse_s < stop_s)].sum()
        assert len(told_pulses) == pytest.approx(expected, abs=8)  # a pulse on all eight may lie at either end
        decisions = recording.decisions()
        by_observation = {tuple(np.round(row, 4)) for row in decisions["observation"].astype(float)}
        assert all(tuple(message["observation"]) in by_observation for message in news)


def test_a_replay_shows_what_was_recorded_and_is_steered_with_the_token_only(replay, recorded):
    with replay.page() as page:
        facts = page.hear("facts")
        assert facts["replayed"]
        assert "view only" in page.ask("pause", "", True)
        assert page.ask("pause", replay.token, True) == ""
        assert page.ask("seek", replay.token, 30) == ""
        news = page.hear("news")
        while news["now_s"] != 30:
            news = page.hear("news")
        assert dict(zip(facts["event_names"], news["counts"], strict=True)) == recorded.events
        figures = page.hear("figures")
        while figures["elapsed_s"] != 30:
            figures = page.hear("figures")
        assert figures["decisions"] == recorded.decisions
        assert sum(figures["delivered"].values()) == pytest.approx(
            sum(fates["delivered"] for fates in recorded.pulses.values()), abs=3
        )
        for nonsense in ("seek", "dance"):
            assert page.ask(nonsense, replay.token, "far") in {
                "not understood", "not done: could not convert string to float: 'far'",
            }  # fmt: skip
        page.socket.send("[]")
        assert page.hear("reply")["text"] == "not understood"
        assert "nothing to stop" in page.ask("stop", replay.token)


def get(viewer, path, **headers):
    connection = http.client.HTTPConnection(viewer.host, timeout=60)
    connection.request("GET", path, headers=headers)
    answer = connection.getresponse()
    body = answer.read().decode()
    connection.close()
    return answer, body


def test_the_page_is_closed_in_itself(replay):
    answer, body = get(replay, "/")
    assert answer.status == 200
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    assert "unsafe" not in answer.headers["Content-Security-Policy"]
    assert "Access-Control-Allow-Origin" not in answer.headers
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert replay.token not in body
    static = Path(get.__globals__["__file__"]).parents[2] / "src" / "wetloop" / "live" / "static"
    for file in static.iterdir():
        answer, text = get(replay, f"/{file.name}")
        assert answer.status == 200
        assert "//cdn" not in text
        assert "https://" not in text
    assert get(replay, "/../web.py")[0].status == 404


@pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "", "127.0.0.1.evil.example", "[", "a@b@c"])
def test_other_names_are_refused(replay, host):
    answer, body = get(replay, "/", Host=host)
    assert (answer.status, "Refused" in body) == (403, True)


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "https://{host}", "http://127.0.0.1:1"])
def test_other_sites_are_refused(replay, origin):
    given = origin.format(host=replay.host)
    with pytest.raises(InvalidStatus, match="403"), view_process.Page(replay.host, origin=given):
        pass
    assert get(replay, "/", Origin=given)[0].status == 403


def test_its_own_site_is_admitted(replay):
    with view_process.Page(replay.host, origin=f"http://{replay.host}") as page:
        assert page.hear()["session"] >= 0


def test_pages_that_never_read_keep_nobody_waiting_and_need_no_memory(recorded):
    with view_process.ViewProcess(recorded.file) as viewer, viewer.page() as page:
        page.ask("speed", viewer.token, 64)
        silent = [viewer.silent_page() for _ in range(8)]
        while page.hear("figures")["pages"] < 9:
            continue
        for _ in range(50):
            page.hear("news")
        before_mb, heard = viewer.memory_mb(), page.heard_bytes
        page.ask("seek", viewer.token, 0)
        page.ask("pause", viewer.token, False)
        while page.heard_bytes < heard + EACH_BYTES:
            news = page.hear("news")
            if news["now_s"] >= 30:
                page.ask("pause", viewer.token, False)
        assert viewer.memory_mb() - before_mb < 0.5 * len(silent) * EACH_BYTES / 1e6
        for each in silent:
            each.close()


def test_a_session_of_another_version_is_refused_in_words():
    told = np.frombuffer(b'{"file": "old.nwb"}', np.uint8)
    name = f"old-{uuid4().hex}"
    with Arena.create(name, {NOTICE: ("u1", (len(told),))}) as arena:
        arena.arrays[NOTICE].data[:] = told
        with pytest.raises(RigError, match="another version of Wetloop: it has no"):
            attach(name)


def test_what_cannot_be_shown_is_refused(tmp_path):
    from wetloop.cli.main import main

    assert main(["view", str(tmp_path / "none.nwb"), "--no-browser"]) == 5
    assert main(["view", "--session", "none", "--no-browser"]) == 3


def test_a_port_that_is_taken_is_refused(replay, recorded, capsys):
    from wetloop.cli.main import main

    assert main(["view", recorded.file, "--no-browser", "--port", replay.host.split(":")[1]]) == 2
    assert "choose another --port" in capsys.readouterr().err
