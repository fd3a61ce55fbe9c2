"""A rig's server for real: its own process, its own sessions, real sockets and real signals."""

import itertools
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import served_rig
import zmq

from wetloop.core.errors import ServerError
from wetloop.engine.emergency import stop_now
from wetloop.kernels.records import DELIVERED
from wetloop.net.keys import new_keys
from wetloop.recording.reader import Recording
from wetloop.replay import verify
from wetloop.server.protocol import MAX_BYTES


@pytest.fixture
def serve(tmp_path):
    """Serve rigs; whatever is left of them ends with the test."""
    rigs = []

    def begin(*options, **how):
        rigs.append(served_rig.ServedRig(tmp_path, *options, **how))
        return rigs[-1]

    yield begin
    for rig in rigs:
        rig.clean_up()


def refusal(ask, *arguments, **named):
    with pytest.raises(ServerError) as caught:
        ask(*arguments, **named)
    return caught.value.kind


def wait_held(client, *, held):
    """Wait for a few decisions of which the task is held, or plays."""
    played = (row for topic, content in client.listen("decisions") for row in content["playing"])
    wanted = (row for row in played if row == (not held))
    assert len(list(itertools.islice(wanted, 5))) == 5


def test_a_session_is_started_paused_resumed_and_stopped_and_replays(serve):
    rig = serve()
    client = rig.client
    assert refusal(client.start) == "refused"
    client.arm("checked")
    session = rig.run("seed=3", why="pilot")
    assert refusal(client.start) == "refused"
    assert client.pause("refill")["state"] == "paused"
    wait_held(client, held=True)
    assert refusal(client.pause) == "refused"
    client.resume("done")
    wait_held(client, held=False)
    client.stop("enough")
    rig.until("armed")
    steps = [("armed", "checked"), ("running", "pilot"), ("paused", "refill"), ("running", "done"), ("armed", "enough")]
    assert rig.transitions() == [(state, "ann", why) for state, why in steps]
    with Recording(Path(session["file"])) as recording:
        summary, pulses, decisions = recording.summary, recording.pulses(), recording.decisions()
    assert summary["ended"] == "stopped"
    noted = [(row["state"], row["who"], row["why"]) for row in summary["transitions"]]
    assert noted == [(state if state != "armed" else "disarmed", "ann", why) for state, why in steps[1:]]
    paused, resumed = (row["sample_index"] for row in summary["transitions"][1:3])
    during = (decisions["stop_sample"] >= paused) & (decisions["stop_sample"] < resumed)
    assert during.sum() >= 5
    assert not decisions["playing"][during].any()
    silent = (pulses["sample_index"] >= paused + 250) & (pulses["sample_index"] < resumed)
    assert DELIVERED not in pulses["fate"][silent]
    assert verify(Path(session["file"])).agrees


def test_a_second_server_is_refused_and_after_a_kill_the_next_one_takes_over(serve):
    rig = serve("--arm")
    rig.run()
    second = subprocess.run(rig.command, capture_output=True, text=True, timeout=60, check=False)
    assert second.returncode == 3
    assert f"already has a server (process {rig.process.pid})" in second.stderr
    rig.end(signal.SIGKILL)
    rig.open()
    assert rig.client.status()["state"] == "running", rig.transitions()
    rig.until("playing")
    rig.client.pause("look")
    wait_held(rig.client, held=True)
    assert rig.client.stop_now("smoke")["silent_s"] is not None
    assert rig.until("tripped")["why"] == "emergency stop: smoke"
    rig.until("free")
    assert rig.client.status()["last"]["ended"] == "stopped"


def test_a_session_that_dies_disarms_and_the_queue_waits_until_somebody_arms(serve):
    rig = serve("--arm")
    session = rig.run()
    queue = rig.client.queue_add(overrides=["duration=1", "recording.name=queued"], why="next")["queue"]
    assert [(entry["why"], entry["who"]) for entry in queue] == [("next", "ann")]
    os.kill(session["pid"], signal.SIGKILL)
    assert "SIGKILL" in rig.until("disarmed")["why"]
    assert rig.client.status()["last"]["ended"] == "failed"
    assert refusal(rig.client.start) == "refused"
    rig.client.arm("looked")
    assert rig.until("running")["why"] == "next"
    assert rig.until("armed")["why"] == "completed"
    assert rig.client.queue_list() == {"queue": [], "held": False}
    with Recording(rig.folder / "queued.nwb") as recording:
        assert recording.summary["ended"] == "completed"


def test_what_a_watchdog_does_is_followed_logged_and_told(serve, tmp_path):
    append = "import sys; open(sys.argv[1], 'ab').write(sys.stdin.buffer.read() + b'\\n')"
    notify = {"command": [sys.executable, "-c", append, str(tmp_path / "told")]}
    rig = serve("--arm", rig=f"{served_rig.RIG}watch: {{notify: {json.dumps(notify)}}}\n")
    session = rig.run("watch.storm.policy=pause", "watch.storm.above_hz=0.001", "watch.storm.after_s=1")
    assert rig.until("paused")["who"] == "watch: storm"
    rig.client.resume("bursts")
    assert rig.until("running")["who"] == "ann"
    wait_held(rig.client, held=False)
    os.kill(session["pid"], signal.SIGKILL)
    rig.until("free")
    assert rig.end() == 0
    told = [json.loads(line) for line in (tmp_path / "told").read_text().splitlines()]
    assert [told[0]["kind"], told[-1]["kind"]] == ["storm raised", "failed"]
    assert "SIGKILL" in told[-1]["message"]
    (place,) = rig.state.iterdir()
    logged = [json.loads(line) for line in (place / "sessions.log").read_text().splitlines()]
    events = [(row["event"], row.get("state"), row.get("who", row.get("watch"))) for row in logged]
    assert events[:3] == [
        ("transition", "running", "ann"), ("alarm", "raised", "storm"), ("transition", "paused", "watch: storm"),
    ]  # fmt: skip
    assert events.count(("transition", "running", "ann")) == 2
    states = [json.loads(line) for line in (place / "server.log").read_text().splitlines()]
    assert ("state", "paused", "watch: storm") in [(r["event"], r.get("state"), r.get("who")) for r in states]


@pytest.mark.parametrize("by", ["memory", "signal"])
def test_an_emergency_stop_silences_and_needs_a_person_to_arm(serve, by):
    rig = serve("--arm")
    session = rig.run()
    if by == "memory":
        assert stop_now(session["arena"], "bob") < float("inf")
        assert rig.until("tripped")["who"] == "bob"
        rig.until("free")
    else:
        assert rig.end(signal.SIGTERM) == 0
        rig.open()
    with Recording(Path(session["file"])) as recording:
        summary = recording.summary
    assert (summary["ended"], summary["transitions"][-1]["why"]) == ("stopped", "emergency stop")
    assert rig.client.status()["state"] == "tripped"
    assert refusal(rig.client.start) == "refused"
    assert rig.client.arm("seen")["state"] == "armed"


def test_a_tripped_guard_keeps_the_rig_from_starting(serve):
    rig = serve("--arm")
    rig.client.start(overrides=["overrun.policy=trip"])
    assert rig.until("tripped")["who"] == "overrun"
    assert rig.client.status()["phase"] == "playing"
    assert refusal(rig.client.resume) == refusal(rig.client.arm) == "refused"
    rig.client.stop("seen")
    rig.until("free")
    assert rig.client.status()["last"]["ended"] == "tripped"
    assert refusal(rig.client.start) == "refused"
    assert refusal(rig.client.disarm) == "refused"
    rig.client.arm()
    assert rig.client.status()["state"] == "armed"


def test_what_cannot_be_played_is_refused_at_once(serve):
    client = serve("--arm").client
    command = ["watch.notify.command=[touch, /tmp/owned]"]
    for overrides in (["source.cells=101"], ["rig.name=other"], ["task.paddel=1"], command):
        assert refusal(client.start, overrides=overrides) == "invalid"
        assert refusal(client.queue_add, overrides=overrides) == "invalid"
    assert refusal(client.start, config="/nowhere.yaml") == "invalid"
    assert refusal(client.pause) == refusal(client.stop) == "refused"
    assert client.status()["state"] == "armed"


def test_messages_that_are_none_get_a_typed_answer_and_change_nothing(serve):
    rig = serve("--arm")
    context = zmq.Context()
    socket = context.socket(zmq.DEALER)
    socket.connect(rig.info["control"])

    def say(*frames):
        socket.send_multipart(frames)
        assert socket.poll(30_000)
        answer = json.loads(socket.recv_multipart()[-1])
        return answer["id"], answer["ok"] or answer["error"]["kind"]

    def message(number, command="status"):
        return json.dumps({"version": 1, "id": number, "who": "x", "command": command}).encode()

    before = rig.client.status()
    assert say(b"{") == (0, "malformed")
    assert say(b"") == (0, "malformed")
    assert say(message(1), message(1)) == (0, "malformed")
    assert say(b"x" * (MAX_BYTES + 1)) == (0, "oversized")
    assert say(message(5)) == (5, True)
    assert say(message(5, "disarm")) == (5, "out of order")
    assert say(message(4, "disarm")) == (4, "out of order")
    assert say(b"", message(6, "reboot")) == (6, "unknown")
    assert say(b"", message(7)) == (7, True)
    context.destroy(linger=0)
    assert rig.client.status() == before


def test_keys_let_in_who_has_one_and_a_view_key_changes_nothing(serve, tmp_path):
    new_keys(tmp_path / "keys")
    new_keys(tmp_path / "strangers")
    (tmp_path / "strangers" / "server.public").write_bytes((tmp_path / "keys" / "server.public").read_bytes())
    rig = serve("--keys", str(tmp_path / "keys"), client={"keys": tmp_path / "keys"})
    rig.client.arm("with a key")
    assert rig.transitions() == [("armed", "control: ann", "with a key")]
    with rig.connect(keys=tmp_path / "keys", role="view") as viewer:
        assert viewer.status()["state"] == "armed"
        assert next(viewer.listen("state"))[1]["state"] == "armed"
        assert refusal(viewer.start) == refusal(viewer.stop_now) == "not allowed"
    for wrong in ({"keys": tmp_path / "strangers"}, {}):
        with rig.connect(timeout_s=0.5, **wrong) as stranger:
            assert refusal(stranger.status) == "silent"
    assert rig.client.status()["state"] == "armed"


def test_the_command_line_is_a_client(serve):
    rig = serve()

    def ctl(*words):
        command = [sys.executable, "-m", "wetloop", "ctl", "--server", rig.info["control"], "--who", "eve", *words]
        return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)

    assert ctl("arm", "--why", "go").returncode == 0
    assert rig.transitions() == [("armed", "eve", "go")]
    assert json.loads(ctl("--json", "status").stdout)["state"] == "armed"
    assert "state: armed" in ctl("status").stdout
    refused = ctl("pause")
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "no session plays" in refused.stderr
    assert ctl("shutdown").returncode == 0
    assert rig.process.wait(60) == 0


def test_a_queue_outlives_a_killed_server_and_waits_for_a_person(serve):
    rig = serve()
    for name in ("one", "two"):
        rig.client.queue_add(overrides=["duration=0.2", f"recording.name={name}"], why=name)
    rig.end(signal.SIGKILL)
    rig.open()
    rig.client.arm("crash seen")
    listed = rig.client.queue_list()
    assert ([row["why"] for row in listed["queue"]], listed["held"]) == (["one", "two"], True)
    assert (rig.client.status()["queued"], rig.client.status()["phase"]) == (2, "free")
    rig.client.queue_resume("go on")
    assert rig.until("running")["why"] == "one"
    while rig.client.status()["last"].get("file") != str(rig.folder / "two.nwb"):
        rig.until("armed")
    assert rig.client.queue_list() == {"queue": [], "held": False}
