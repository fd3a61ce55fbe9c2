"""Watchdogs, the brake they pull, and the command and webhook that are told."""

import http.server
import json
import logging
import sys
import threading

import numpy as np
import pytest

from wetloop.config import parse_config
from wetloop.core.errors import ConfigError, RigError
from wetloop.core.types import Block, Signal
from wetloop.engine.alarms import MOST_KEPT, Alarms, Reading
from wetloop.engine.brake import Brake
from wetloop.engine.notify import Notifier
from wetloop.engine.transitions import Transitions
from wetloop.engine.watch_config import LostConfig, NoiseConfig, NotifyConfig, RefusedConfig, SilentConfig, StormConfig
from wetloop.engine.watchdogs import Activity, EngineView, LostSource, Noise, Refused, Silent, Storm
from wetloop.kernels.records import SPIKE
from wetloop.server.logs import logging_to

NOTHING = np.zeros(0, np.float32)


def seen(dog, per_second, noise_uv=NOTHING):
    """Return when, in s, an alarm would be on while so many spikes come each second."""
    total = np.concatenate([[0], np.cumsum(per_second)])
    readings = [(t, dog.look(Activity(float(t), int(n), noise_uv))) for t, n in enumerate(total)]
    return [t for t, reading in readings if reading is not None and reading.bad]


def test_silence_is_a_window_with_hardly_a_spike():
    dog = Silent(SilentConfig(after_s=5, at_most_hz=0.5))
    assert seen(dog, [3, 0, 0, 1, 0, 1, 0, 0, 4, 0]) == [6, 7, 8]


def test_a_storm_has_no_quiet_second_and_is_over_after_as_many():
    calm, burst = [5, 0, 900, 400, 10, 5], [900, 900, 400]
    assert seen(Storm(StormConfig(above_hz=300, after_s=4)), (calm + burst) * 20) == []
    steady = [10, *[301] * 6, 300, *[301] * 2, *[10] * 5]
    assert seen(Storm(StormConfig(above_hz=300, after_s=4)), steady) == [5, 6, 7, 8, 9, 10, 11, 12, 13]


def test_a_rig_that_refuses_most_pulses_is_told_of_until_it_takes_them():
    told = iter([(0, 0), (4, 0), (8, 0), (8, 3), (8, 7), (9, 9), (14, 9), (24, 9), (24, 9), (24, 9), (24, 9)])
    dog = Refused(RefusedConfig(after_s=3), lambda: next(told))
    readings = [dog.look(Activity(float(t), 0, NOTHING)) for t in range(11)]
    assert [t for t, reading in enumerate(readings) if reading is not None and reading.bad] == [4, 5]
    assert [t for t, reading in enumerate(readings) if reading is None] == [0, 1, 10]
    assert "took 1 of the last 10 pulses" in readings[5].meaning


@pytest.mark.parametrize("factor", [2.1, 1 / 2.1])
def test_noise_drifts_when_it_leaves_its_range_on_enough_channels(factor):
    config = NoiseConfig(factor=2, share=0.25, after_s=3, reference_s=2)

    def bad_at(n_drifting):
        dog, noise, found = Noise(config), np.full(8, 4.0, np.float32), []
        for t in range(20):
            now = noise.copy()
            now[:n_drifting] *= 1 if t < 5 or t >= 12 else factor
            reading = dog.look(Activity(float(t), 0, now))
            found += [t] * (reading is not None and reading.bad)
        return found

    assert bad_at(2) == []
    assert bad_at(3) == [7, 8, 9, 10, 11, 12, 13]
    assert Noise(config).look(Activity(9.0, 0, NOTHING)) is None


def test_the_noise_comes_from_the_detector_and_unusable_channels_do_not_count(bench):
    b, rng = bench(signal=Signal.SAMPLES), np.random.default_rng(1)
    b.info.gain_uv[3] = np.nan
    view = EngineView(b.engine, b.info)
    for k, sigma in enumerate((20.0, 60.0)):
        for at in range(k * 25_000, (k + 1) * 25_000, 25):
            rows = rng.normal(0, sigma, (25, 8)).astype(np.int16)
            b.engine.advance(Block(at, 25, rows, np.zeros(0, SPIKE)), at + 25)
        noise_uv = view.activity((k + 1) * 25_000).noise_uv
        assert noise_uv.shape == (7,)
        assert np.allclose(noise_uv, noise_uv.mean(), rtol=0.15)
        if k == 0:
            first = noise_uv
    assert np.allclose(noise_uv / first, 3, rtol=0.15)


def test_the_view_counts_every_spike_of_the_engine(bench):
    b = bench()
    view = EngineView(b.engine, b.info)
    b.given = np.zeros(7, SPIKE)
    b.given["sample_index"] = b.given["known_sample"] = np.arange(7) * 100
    assert view.activity(0).n_spikes == 0
    b.run(25_000)
    activity = view.activity(25_000)
    assert (activity.at_s, activity.n_spikes, len(activity.noise_uv)) == (1.0, 7, 0)


class Care:
    """A brake and alarms on the engine of a bench, with nobody to be told."""

    def __init__(self, bench, *, end_on_trip=False):
        self.bench, self.stop, self.told = bench, threading.Event(), []
        self.transitions = Transitions()
        self.brake = Brake(
            bench.engine,
            self.transitions,
            self.stop,
            end_on_trip=end_on_trip,
            tell=lambda *told: self.told.append(told),
        )
        self.alarms = Alarms(self.brake, Notifier(NotifyConfig(), {}))

    @property
    def state(self):
        self.bench.run(self.bench.at + 25)
        return self.bench.engine.guard_state, self.bench.engine.holding

    def judge(self, policy, *, bad, watch="storm"):
        self.alarms.judge(watch, policy, Reading(3.0, 2.0, "Hz", bad, "3 is more than 2"), self.bench.at)

    @property
    def noted(self):
        return [(row["state"], row["who"]) for row in self.transitions.to_list()]


@pytest.fixture
def care(bench):
    return lambda **how: Care(bench(), **how)


def test_a_pause_lasts_until_all_have_let_go(care):
    c = care()
    c.judge("pause", bad=True)
    assert c.state == ("paused", True)
    c.brake.hold("overrun", "late", 0, task=False)
    c.judge("pause", bad=False)
    assert c.state == ("paused", False)
    c.brake.release("overrun", "on time", 0)
    assert c.state == ("running", False)
    assert [who for _, who in c.noted] == ["watch: storm", "overrun", "overrun"]


def test_a_person_resumes_in_spite_of_an_alarm_and_it_pauses_no_more(care):
    c = care()
    c.judge("pause", bad=True)
    c.brake.clear("ann", "it is fine", 0)
    c.judge("pause", bad=True)
    assert c.state == ("running", False)
    c.brake.hold("ann", "refill", 0)
    c.judge("pause", bad=False)
    assert c.state == ("paused", True)


@pytest.mark.parametrize("end_on_trip", [False, True])
def test_a_trip_is_for_good_and_ends_only_where_it_is_to(care, end_on_trip):
    c = care(end_on_trip=end_on_trip)
    c.judge("trip", bad=True)
    assert c.state == ("tripped", True)
    c.judge("trip", bad=False)
    c.brake.clear("ann", "please", 0)
    c.brake.hold("ann", "please", 0)
    c.brake.trip("guard", "again", 0)
    assert c.state == ("tripped", True)
    assert c.noted == [("tripped", "watch: storm")]
    assert c.told == [("watch: storm", "3 is more than 2")]
    assert c.stop.is_set() == end_on_trip
    assert not c.brake.stopped


def test_a_guard_that_trips_of_itself_is_noticed_once(bench):
    c = Care(bench(trip=1))
    c.bench.set(start=1000, stop=3000, period=10.0)
    c.bench.set(voice=1, first=0, start=1000, stop=3000, period=7.0)
    c.bench.engine.state.guard.limits["min_interval"] = 500
    c.bench.run(3000)
    for _ in range(2):
        c.brake.look(3000)
    assert c.noted == [("tripped", "guard")]
    assert c.state == ("tripped", True)


def test_stop_ends_the_session_and_says_who(care):
    c = care()
    c.judge("stop", bad=True)
    c.brake.close("stopped", 0)
    assert c.stop.is_set()
    assert c.noted == [("disarmed", "watch: storm")]


def test_alarms_are_noted_with_what_was_measured_and_not_without_end(care):
    c = care()
    c.judge("continue", bad=False)
    for _ in range(MOST_KEPT):
        c.judge("continue", bad=True)
        c.judge("continue", bad=False)
    kept = c.alarms.to_list()
    assert (len(kept), c.alarms.left_out) == (MOST_KEPT, MOST_KEPT)
    assert [row["state"] for row in kept[:3]] == ["raised", "over", "raised"]
    assert {key: kept[0][key] for key in ("watch", "value", "limit", "unit", "policy")} == {
        "watch": "storm", "value": 3.0, "limit": 2.0, "unit": "Hz", "policy": "continue",
    }  # fmt: skip
    assert c.noted == []
    assert c.state == ("running", False)


def test_a_lost_rig_is_waited_for_or_given_up(care):
    c = care()
    waits = LostSource(LostConfig(policy="pause", patience_s=2), c.alarms, c.brake, lambda _: None)
    waits.idle(500, 1.9)
    assert c.alarms.to_list() == []
    waits.idle(500, 2.5)
    waits.idle(500, 9.0)
    assert c.state == ("paused", True)
    c.alarms.judge(waits.name, waits.policy, waits.look(None), 600)
    assert c.state == ("running", False)
    assert [(row["state"], row["value"]) for row in c.alarms.to_list()] == [("raised", 2.5), ("over", 9.0)]
    gives_up = LostSource(LostConfig(), c.alarms, c.brake, lambda _: None)
    with pytest.raises(RigError, match="nothing for 5 s after sample 700"):
        gives_up.idle(700, 5.1)
    assert c.stop.is_set()


def test_people_can_end_a_session_whose_rig_is_lost(care):
    c = care()
    lost = LostSource(LostConfig(policy="continue"), c.alarms, c.brake, lambda at: c.brake.end("ann", "enough", at))
    with pytest.raises(EOFError):
        lost.idle(100, 0.1)
    assert c.noted == [("disarmed", "ann")]


APPEND = "import sys; open(sys.argv[1], 'ab').write(sys.stdin.buffer.read() + b'\\n')"


def told_to(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_command_is_run_with_the_object_on_its_input_and_not_too_often(tmp_path):
    now_s, path = [0.0], tmp_path / "told"
    config = NotifyConfig(command=(sys.executable, "-c", APPEND, str(path)), at_most_every_s=60)
    notifier = Notifier(config, {"rig": "dish 3"}, clock=lambda: now_s[0])
    for now_s[0], kind in ((0, "storm raised"), (1, "storm raised"), (59, "storm raised"), (59, "failed")):
        notifier.tell(kind, {"value": 3})
    now_s[0] = 60
    notifier.tell("storm raised", {"value": float("inf")})
    notifier.close()
    told = told_to(path)
    assert [(row["kind"], row["suppressed"]) for row in told] == [
        ("storm raised", 0),
        ("failed", 0),
        ("storm raised", 2),
    ]
    assert told[0] == {"kind": "storm raised", "rig": "dish 3", "value": 3, "suppressed": 0}


def test_commands_that_hang_fail_or_do_not_exist_are_logged_and_survived(tmp_path):
    for command in (("sleep", "600"), ("false",), ("/nowhere/to/be/found",)):
        with logging_to(tmp_path / "log"):
            notifier = Notifier(NotifyConfig(command=command, timeout_s=0.3), {})
            notifier.tell("failed", {})
            notifier.close()
    errors = [row["error"] for row in told_to(tmp_path / "log")]
    assert ["timed out" in errors[0], errors[1], "No such file" in errors[2]] == [True, "exit code 1", True]


@pytest.fixture
def hook():
    """Serve on this machine: what is posted is kept; ``/away`` leads elsewhere."""
    posted = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            posted.append((self.path, json.loads(self.rfile.read(int(self.headers["Content-Length"])))))
            self.send_response(302 if self.path == "/away" else 204)
            self.send_header("Location", "/elsewhere")
            self.end_headers()

        def do_GET(self):
            posted.append((self.path, "followed"))

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", posted
        server.shutdown()


def test_a_webhook_is_posted_to_and_leads_nowhere_else(hook, tmp_path):
    address, posted = hook
    with logging_to(tmp_path / "log"):
        for path in ("/alarms", "/away"):
            notifier = Notifier(NotifyConfig(webhook=address + path), {"rig": "x"})
            notifier.tell("tripped", {"who": "guard"})
            notifier.close()
        nobody = Notifier(NotifyConfig(webhook="http://127.0.0.1:9/"), {})
        nobody.tell("tripped", {})
        nobody.close()
    told = {"kind": "tripped", "rig": "x", "who": "guard", "suppressed": 0}
    assert posted == [("/alarms", told), ("/away", told)]
    failures = [row["event"] for row in told_to(tmp_path / "log")]
    assert failures == ["notify.webhook failed"] * 2


@pytest.mark.parametrize("webhook", ["http://10.0.0.1/x", "https://lab.example/x", "http://127.0.0.1.example.com/"])
def test_only_who_says_so_tells_other_machines(webhook):
    with pytest.raises(ConfigError, match="leads to another machine"):
        parse_config("", "x", [f"watch.notify.webhook={webhook}"])
    parse_config("", "x", [f"watch.notify.webhook={webhook}", "watch.notify.allow_remote=true"])


@pytest.mark.parametrize("webhook", ["ftp://127.0.0.1/", "file:///etc/passwd", "127.0.0.1:80", "http://"])
def test_what_is_no_address_of_the_web_is_refused(webhook):
    with pytest.raises(ConfigError, match="is no address"):
        parse_config("", "x", [f"watch.notify.webhook={webhook}", "watch.notify.allow_remote=true"])


def test_logs_are_json_lines_in_files_of_bounded_size_and_number(tmp_path):
    with logging_to(tmp_path / "log", max_bytes=2000, files=3):
        for number in range(500):
            logging.getLogger("wetloop.session").warning("alarm", extra={"number": number, "meaning": 'a "\n" b'})
    files = [tmp_path / name for name in ("log.3", "log.2", "log.1", "log")]
    assert sorted(tmp_path.iterdir()) == sorted(files)
    assert all(file.stat().st_size <= 2000 for file in files)
    rows = [row for file in files for row in told_to(file)]
    assert [row["number"] for row in rows] == list(range(500 - len(rows), 500))
    assert rows[-1]["meaning"] == 'a "\n" b'
    assert {row["level"] for row in rows} == {"warning"}
