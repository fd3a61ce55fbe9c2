import json
import subprocess
import sys
import threading
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wetloop.cli import doctor_checks, doctor_session, doctor_timing
from wetloop.cli.main import main
from wetloop.cli.spread import EDGES_US, Spread, worded_us
from wetloop.config import parse_config
from wetloop.core.errors import RigError
from wetloop.core.limits import StimLimits
from wetloop.core.types import Block
from wetloop.engine.host import Permissions
from wetloop.kernels.records import SPIKE

SESSION = "source: poisson\nduration: 60s\n"
HOST = (
    "processors", "kernel preemption", "clock source", "CPU governor", "real-time priority", "memory lock",
    "timer wake-up", "stray processes", "shared memory", "compiled kernels", "configuration", "disk writes",
)  # fmt: skip
DISK = ("file locking", "disk space")
RIG = ("rig handshake", "guard, before", "guard, during")
REAL_TIME = Permissions(fifo_priority=50, memory_locked=True, cpus=(0,), timer_slack_ns=0)
NORMAL = Permissions(fifo_priority=None, memory_locked=False, cpus=(0,), timer_slack_ns=1)
TIGHT = StimLimits(
    max_amplitude_mv=900, max_phase_us=1000, max_charge_nc=4, max_imbalance=0.001, min_interval_ms=4, max_rate_hz=100
)


@pytest.fixture
def doctor(capsys, tmp_path, monkeypatch):
    """Examine a session, in an empty folder; give exit code and JSON."""
    monkeypatch.chdir(tmp_path)

    def run(text, *arguments):
        (tmp_path / "x.yaml").write_text(text)
        code = main(["doctor", "x.yaml", "--json", "--seconds", "0.2", *arguments])
        return code, json.loads(capsys.readouterr().out)

    return run


def levels(report):
    return {check["name"]: check["level"] for check in report["checks"]}


def remedy(report, name):
    return next(check["remedy"] for check in report["checks"] if check["name"] == name)


def test_a_session_on_a_simulated_rig(doctor, tmp_path):
    code, report = doctor(SESSION)
    level = levels(report)
    assert tuple(level) == (*HOST, *DISK, *RIG)
    assert code == ("fail" in level.values())
    assert report["passed"] == (code == 0)
    assert report["counts"] == {name: list(level.values()).count(name) for name in ("pass", "warn", "fail", "skip")}
    assert all(level[name] == "pass" for name in ("configuration", *DISK, *RIG))
    assert all(bool(check["remedy"]) == (check["level"] in ("warn", "fail")) for check in report["checks"])
    assert sum(n for _, n in next(c for c in report["checks"] if c["name"] == "timer wake-up")["histogram"]) == 200
    assert list((tmp_path / "recordings").iterdir()) == []


def test_what_is_shown_names_the_remedy(capsys, tmp_path):
    (tmp_path / "x.yaml").write_text("source: poisson\nplan_ms: 1\n")
    code = main(["doctor", str(tmp_path / "x.yaml"), "--seconds", "0.05", "--folder", str(tmp_path / "new")])
    out = capsys.readouterr().out
    assert code == 1
    assert "fail  configuration" in out
    assert "set plan_ms to at least the lead" in out
    assert "-> nothing of the rig was checked" in out
    assert "█" in out
    assert (tmp_path / "new").is_dir()


def test_a_folder_that_cannot_be_written_fails(doctor, tmp_path):
    (tmp_path / "file").touch()
    code, report = doctor(SESSION, "--folder", "file/recordings")
    level = levels(report)
    assert (code, level["disk writes"]) == (1, "fail")
    assert tuple(level) == (*HOST, *RIG)
    assert "recording.folder" in remedy(report, "disk writes")


def test_a_faulty_configuration_is_refused_before_anything_is_checked(capsys, tmp_path):
    (tmp_path / "x.yaml").write_text("sede: 1\n")
    assert main(["doctor", str(tmp_path / "x.yaml")]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "did you mean 'seed'?" in captured.err


@pytest.mark.parametrize(("cache", "found"), [("caches", "none yet in"), ("file/caches", "no folder can be written")])
def test_a_cold_cache_and_none_at_all_are_warnings(tmp_path, cache, found):
    (tmp_path / "file").touch()
    code = "from wetloop.cli.doctor_session import compiled_code as c; import json; print(json.dumps(c().to_dict()))"
    env = {"XDG_CACHE_HOME": str(tmp_path / cache), "PYTHONPATH": ":".join(filter(None, sys.path))}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, env=env, timeout=120, check=True)
    check = json.loads(done.stdout)
    assert (check["level"], check["value"].startswith(found)) == ("warn", True)
    assert check["remedy"]


@pytest.mark.parametrize(
    ("check", "file", "text", "level"),
    [
        (doctor_checks.clock_source, doctor_checks.CLOCK_FILE, "tsc\n", "pass"),
        (doctor_checks.clock_source, doctor_checks.CLOCK_FILE, "hpet\n", "warn"),
        (doctor_checks.clock_source, "other", "", "skip"),
        (doctor_checks.governor, "sys/devices/system/cpu/cpu3/cpufreq/scaling_governor", "performance\n", "pass"),
        (doctor_checks.governor, "sys/devices/system/cpu/cpu3/cpufreq/scaling_governor", "powersave\n", "warn"),
        (doctor_checks.governor, "other", "", "skip"),
        (doctor_checks.preemption, "proc/version", "Linux version 6.1 (gcc) #1 SMP PREEMPT_RT now\n", "pass"),
        (doctor_checks.preemption, "proc/version", "Linux version 6.1 (gcc) #1 SMP now\n", "warn"),
        (doctor_checks.preemption, "sys/kernel/realtime", "1\n", "pass"),
    ],
)
def test_what_the_kernel_tells(tmp_path, check, file, text, level):
    (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / file).write_text(text)
    found = check(tmp_path)
    assert found.level == level
    assert bool(found.remedy) == (level == "warn")


@pytest.mark.parametrize("check", [doctor_checks.real_time, doctor_checks.memory_lock])
def test_permissions_that_are_missing_are_warnings_with_the_line_to_write(check):
    assert check(REAL_TIME).level == "pass"
    refused = check(NORMAL)
    assert refused.level == "warn"
    assert doctor_checks.LIMITS_FILE in refused.remedy


@pytest.mark.parametrize(
    ("times_us", "level"),
    [([50.0] * 1000, "pass"), ([50.0] * 990 + [9000.0] * 10, "pass"), ([50.0] * 900 + [300.0] * 100, "warn"),
     ([2000.0] * 1000, "fail")],
)  # fmt: skip
def test_wake_ups_are_judged_by_median_and_99th_percentile(times_us, level):
    check = doctor_timing.wake_ups(Spread(np.array(times_us)), REAL_TIME)
    assert check.level == level
    assert bool(check.remedy) == (level != "pass")


def test_a_late_computer_is_first_told_to_permit_priority():
    late = Spread(np.array([300.0] * 100))
    assert "permit real-time priority" in doctor_timing.wake_ups(late, NORMAL).remedy
    assert "permit real-time priority" not in doctor_timing.wake_ups(late, REAL_TIME).remedy


def test_a_disk_that_is_slower_than_the_session_fails(tmp_path):
    assert doctor_timing.writing(tmp_path, 0.0, 1.0).spread.times_us.size == 1
    check = doctor_timing.writing(tmp_path, 0.05, 1e15)
    assert check.level == "fail"
    assert "faster disk" in check.remedy


def test_locking_is_tried_where_recordings_go(tmp_path):
    assert doctor_timing.locking(tmp_path).level == "pass"
    assert doctor_timing.locking(tmp_path / "gone").level == "warn"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("free_bytes", "bytes_per_s", "level"), [(2e6, 1e3, "pass"), (9e5, 1e3, "warn"), (5e5, 1e3, "fail"), (1, 0, "skip")]
)
def test_disk_space_is_counted_in_minutes_of_the_session(free_bytes, bytes_per_s, level):
    check = doctor_session.disk_space(free_bytes, bytes_per_s, 600.0)
    assert check.level == level
    if level == "pass":
        assert "33 min of this session, which lasts 10" in check.value


class Rig:
    """A source that fails where it is told to."""

    def __init__(self, info, failing="", waits=None):
        self.info, self.failing, self.waits, self.closed = info, failing, waits, threading.Event()

    def open(self):
        if self.failing == "open":
            raise RigError("no rig answers: is it switched on?")

    def read(self):
        if self.failing == "read":
            raise ZeroDivisionError("driver")
        if self.waits:
            self.waits.wait()
        return Block(75, 25, np.zeros((0, 8), np.int16), np.zeros(0, SPIKE))

    def close(self):
        self.closed.set()


@pytest.mark.parametrize(
    ("failing", "level", "words"),
    [("", "pass", "25 samples from 75 on"), ("open", "fail", "no rig answers"), ("read", "fail", "ZeroDivisionError")],
)
def test_a_rig_is_opened_read_and_closed_whatever_happens(bench, failing, level, words):
    rig = Rig(bench().info, failing)
    check = doctor_session.handshake(rig, 60.0)
    assert check.level == level
    assert words in check.value
    assert rig.closed.is_set()


def test_a_rig_that_never_answers_is_given_up(bench):
    answer = threading.Event()
    rig = Rig(bench().info, waits=answer)
    check = doctor_session.handshake(rig, 0.01)
    answer.set()
    assert check.level == "fail"
    assert "no packet within 0.01 s" in check.value
    assert rig.closed.wait(60)


@pytest.mark.parametrize(
    ("missing", "accepted"),
    [
        ({"max_charge_nc": np.inf, "max_phase_us": np.inf}, "far too long"),
        ({"max_imbalance": np.inf}, "unbalanced"),
        ({}, ""),
    ],
)
def test_a_guard_without_a_limit_is_found_out(bench, missing, accepted):
    limits = TIGHT.model_copy(update={"max_amplitude_mv": 1e4, **missing} if missing else {})
    check = doctor_session.guard_before(replace(bench().info, limits=limits), StimLimits())
    assert check.level == ("fail" if accepted else "pass")
    assert accepted in check.value


@pytest.mark.parametrize(
    ("limits", "level", "words"),
    [
        (StimLimits(), "fail", "refuses 0 of 2000"),
        (StimLimits(max_rate_hz=100), "pass", "refuses 1800 of 2000"),
        (StimLimits(max_amplitude_mv=0), "pass", "may not stimulate at all"),
        (StimLimits(max_rate_hz=0.5), "fail", "max_rate_hz 0.5 Hz"),
    ],
)
def test_a_train_at_every_frame_must_be_refused(bench, limits, level, words):
    check = doctor_session.guard_during(bench().info, limits)
    assert check.level == level
    assert words in check.value


def test_a_session_that_its_rig_cannot_do_is_not_examined_further():
    check, known = doctor_session.fit(parse_config("source: poisson\nplan_ms: 1\n", "x.yaml"))
    assert (check.level, known) == ("fail", None)
    check, known = doctor_session.fit(parse_config(SESSION, "x.yaml"))
    assert check.level == "pass"
    assert known.bytes_per_s > 0


@given(st.lists(st.floats(0, 1e7), min_size=1, max_size=50))
def test_a_histogram_counts_every_time_once(times_us):
    spread = Spread(np.array(times_us))
    edges = (*EDGES_US, float("inf"))
    for edge, n in spread.counts().items():
        lower = edges[edges.index(edge) - 1] if edge > edges[0] else -1.0
        assert n == sum(lower <= time < edge for time in times_us)
    assert sum(spread.counts().values()) == len(times_us)
    assert len(list(spread.rows())) == len(spread.counts())


def test_times_in_words():
    assert [worded_us(us) for us in (0.5, 20, 1500, 2e6)] == ["0.5 us", "20 us", "1.5 ms", "2 s"]
    assert Spread(np.array([10.0, 10.0])).describe() == "p50 10 us, p99 10 us, p99.9 10 us, max 10 us of 2"


def test_the_rig_alone_is_checked_over_its_wires(doctor):
    code, report = doctor(SESSION, "--rig")
    assert code == 0
    assert levels(report) == {
        "configuration": "pass", "rig opens": "pass", "packets": "pass", "rig clock": "pass",
        "source answers": "skip", "silence": "pass",
    }  # fmt: skip
    packets = next(check for check in report["checks"] if check["name"] == "packets")
    assert packets["n"] > 10
