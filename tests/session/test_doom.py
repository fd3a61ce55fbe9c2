"""Doom for real: six scenarios, the same game again, engines that are killed or frozen, sessions that replay."""

import itertools
import os
import select
import signal
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from wetloop.config import load_config
from wetloop.core.errors import ConfigError, TaskError
from wetloop.core.types import Answer
from wetloop.engine.host import GAME, strays
from wetloop.recording.reader import Recording
from wetloop.replay import verify
from wetloop.session import run_session
from wetloop.tasks.doom import happened
from wetloop.tasks.doom_config import DoomConfig
from wetloop.tasks.doom_scenarios import SCENARIOS
from wetloop.tasks.doom_view import FEATURES, grey, sine
from wetloop.tasks.isolation import IsolatedTask
from wetloop.tasks.worker import Patience, ProcessWorker

CONFIG = Path(__file__).parents[2] / "configs" / "doom.yaml"
PARENT = """
import os, sys
from wetloop.tasks.doom_config import DoomConfig
from wetloop.tasks.isolation import IsolatedTask
from wetloop.tasks.worker import UNHURRIED, ProcessWorker
if __name__ == "__main__":
    worker = ProcessWorker(DoomConfig(), 20.0, UNHURRIED)
    IsolatedTask(worker).reset(seed=1)
    print(worker.pid, flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def doom():
    """Start games in this process."""
    games = []

    def start(decision_ms=100.0, **settings):
        games.append(DoomConfig(**settings).build(decision_ms))
        return games[-1]

    yield start
    for game in games:
        game.close()


def engines(parent):
    """Return the process ids of the engines that a process has started."""
    found = []
    for status in Path("/proc").glob("[0-9]*/status"):
        try:
            fields = dict(line.split(":\t", 1) for line in status.read_text().splitlines() if ":\t" in line)
        except OSError:
            continue
        if (int(fields["PPid"]), fields["Name"]) == (parent, GAME) and fields["State"][0] != "Z":
            found.append(int(fields["Pid"]))
    return found


def tasks_of(parent):
    """Return the process ids of the tasks that a process has started."""
    children = Path(f"/proc/{parent}/task").glob("*/children")
    pids = [int(pid) for child in children for pid in child.read_text().split()]
    return [pid for pid in pids if Path(f"/proc/{pid}/comm").read_text() == "wetloop-task\n"]


def outlived(pid):
    """Wait until a process has ended."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    ended, _, _ = select.select([handle], [], [], 60)
    os.close(handle)
    return bool(ended)


def named(game, observation):
    return dict(zip(game.observation_names, observation.tolist(), strict=True))


def play(game, policy, n, seed=1):
    """Return the answers to a reset and n steps, beginning episodes as they end."""
    observation, info = game.reset(seed=seed)
    answers = [(observation, 0.0, False, False, info)]
    for _ in range(n):
        if answers[-1][2] or answers[-1][3]:
            observation, info = game.reset()
            answers.append((observation, 0.0, False, False, info))
        else:
            action = np.array(policy(named(game, answers[-1][0])), np.float32)
            answers.append(game.step(action))
    return answers


def all_events(answers):
    return [event for answer in answers for event in answer[4]["events"]]


@pytest.mark.parametrize("scenario", SCENARIOS)
@pytest.mark.parametrize("frame", ["depth", "labels", "grey"])
def test_every_scenario_shows_what_it_says(doom, scenario, frame):
    game = doom(scenario=scenario, frame=frame)
    assert game.action_names == SCENARIOS[scenario].axes
    assert game.observation_space.shape == (len(FEATURES),)
    rng = np.random.default_rng(1)
    answers = play(game, lambda _: rng.uniform(-1, 1, len(game.action_names)), 60)
    for observation, _, _, _, info in answers:
        assert game.observation_space.contains(observation)
        assert set(info["events"]) <= set(DoomConfig().event_names())
        assert (info["frame"].shape, info["frame"].dtype) == (game.frame_shape, np.uint8)
    assert game.frame_shape == (120, 160)
    assert game.render().shape == (120, 160, 3)
    assert frame != "labels" or {grey for a in answers for grey in np.unique(a[4]["frame"])} <= {0, 128, 255}
    assert all((a[4]["frame"] != b[4]["frame"]).any() for a, b in list(pairwise(answers))[10::25])


@pytest.mark.parametrize("decision_ms", [10, 20, 28.5, 200])
def test_the_game_keeps_35_tics_per_second_of_rig_time(doom, decision_ms):
    game = doom(decision_ms, scenario="health_gathering")
    game.reset(seed=1)
    lived = np.cumsum([game.step(np.zeros(2, np.float32))[1] for _ in range(50)])
    decision_us = round(1000 * decision_ms)
    assert lived.tolist() == [35 * decision_us * k // 1_000_000 for k in range(1, 51)]


def test_same_seed_and_actions_same_game(doom):
    def run(seed):
        rng = np.random.default_rng(2)
        answers = play(doom(20.0), lambda _: rng.uniform(-1, 1, 2), 600, seed)
        return [(a[0].tolist(), a[1:4], a[4]["events"], a[4]["frame"].tobytes()) for a in answers]

    first = run(5)
    assert run(5) == first
    assert run(6) != first
    assert any(answer[1][1] for answer in first)


def test_a_seed_counts_whatever_was_played_before(doom):
    game = doom(scenario="deathmatch")
    runs = [[a[4]["frame"].tobytes() for a in play(game, lambda _: (0.3, 1, 0, 1), 30)] for _ in range(2)]
    assert runs[0] == runs[1]


def test_who_shoots_into_the_air_misses_and_who_stands_still_dies(doom):
    game = doom()
    spam = play(game, lambda _: (-1, 1), 60)
    assert all_events(spam).count("missed_shot") > 5
    assert named(game, spam[59][0])["ammo"] < 0.4
    still = play(game, lambda _: (0, 0), 400)
    events = all_events(still)
    assert events.count("damage") > 3
    assert events.count("death") >= 1
    assert "missed_shot" not in events
    hurt = next(answer for answer in still if "damage" in answer[4]["events"])
    assert hurt[4]["magnitudes"]["damage"] == pytest.approx(100 * (1 - named(game, hurt[0])["health"]), abs=1e-4)
    died = next(answer for answer in still if "death" in answer[4]["events"])
    assert died[1:4] == (-1.0, True, False)


@pytest.mark.parametrize("scenario", ["basic", "defend_the_center"])
def test_who_turns_to_the_bearing_of_an_enemy_hits_it(doom, scenario):
    def aim(seen):
        bearing = seen["enemy_bearing"]
        aside = bearing * 2 if seen["enemy_seen"] else 1
        return aside, 1 if seen["enemy_seen"] and abs(bearing) < 0.08 else -1

    answers = play(doom(30.0, scenario=scenario), aim, 300)
    events = all_events(answers)
    assert events.count("kill") > 2
    assert events.count("kill") > events.count("missed_shot")
    goals = [answer for answer in answers if "goal" in answer[4]["events"]]
    assert len(goals) == (events.count("kill") if scenario == "basic" else 0)
    assert all(answer[2] for answer in goals)
    assert scenario != "basic" or sum(answer[1] for answer in answers) > 0


def test_who_walks_to_what_lies_about_lives_longer(doom):
    def fetch(seen):
        return (2 * seen["pickup_bearing"], 1) if seen["pickup_seen"] else (0.5, 0)

    answers = play(doom(scenario="health_gathering", timeout_s=20), fetch, 210)
    events = all_events(answers)
    assert events.count("pickup") > 3
    assert "death" not in events
    over = next(answer for answer in answers if answer[2] or answer[3])
    assert over[2:4] == (False, True)
    assert "survived" in over[4]["events"]


def test_what_two_looks_tell():
    before = dict.fromkeys(("AMMO2", "AMMO3", "HEALTH", "ARMOR", "ITEMCOUNT", "AMMO5", "AMMO6"), 10.0)
    before |= {f"WEAPON{slot}": 0.0 for slot in range(1, 8)} | {"KILLCOUNT": 1, "HITCOUNT": 3, "DAMAGE_TAKEN": 20}
    assert happened(before, before) == ()
    assert happened(before, before | {"AMMO2": 9.0}) == ("missed_shot",)
    assert happened(before, before | {"AMMO3": 9.0, "HITCOUNT": 4, "KILLCOUNT": 3}) == ("kill", "kill")
    assert happened(before, before | {"AMMO5": 9.0}) == ()
    assert happened(before, before | {"DAMAGE_TAKEN": 25, "HEALTH": 30.0}) == ("damage", "pickup")
    assert happened(before, before | {"WEAPON3": 1.0}) == ("pickup",)


def test_sine_and_grey():
    degrees = np.arange(-720, 720, 0.37)
    np.testing.assert_allclose([sine(d) for d in degrees], np.sin(np.radians(degrees)), atol=1e-7)
    colours = np.array([[[0, 0, 0], [255, 255, 255], [0, 255, 0]]], np.uint8)
    assert grey(colours).tolist() == [[0, 255, 149]]


def test_without_vizdoom_the_user_is_told_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "vizdoom", None)
    with pytest.raises(ConfigError, match=r"pip install 'wetloop\[doom\]'"):
        DoomConfig().build(20.0)


def test_a_killed_engine_is_noticed_at_once_and_a_stopped_one_can_be_closed(doom):
    game = doom(1.0)
    game.reset(seed=1)
    (pid,) = engines(os.getpid())
    os.kill(pid, signal.SIGKILL)
    assert outlived(pid)
    with pytest.raises(TaskError, match="engine of ViZDoom failed"):
        game.step(np.zeros(2, np.float32))
    other = doom(20.0)
    (pid,) = engines(os.getpid())
    os.kill(pid, signal.SIGSTOP)
    other.close()
    assert outlived(pid)
    assert not list(Path("/dev/shm").glob("ViZDoom*"))
    assert not list(Path("/tmp").glob("wetloop-doom-*"))


@pytest.mark.parametrize("stopped", [False, True])
def test_no_engine_survives_the_parent(stopped):
    with subprocess.Popen(
        [sys.executable, "-c", PARENT], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as parent:
        task = int(parent.stdout.readline())
        (engine,) = engines(task)
        assert not {stray.pid for stray in strays()} & {task, engine}
        if stopped:
            os.kill(engine, signal.SIGSTOP)
            os.kill(task, signal.SIGSTOP)
        parent.kill()
        assert outlived(task)
        assert outlived(engine)


def test_an_engine_whose_task_is_gone_is_a_stray(tmp_path):
    link = tmp_path / GAME
    link.symlink_to("/bin/sleep")
    shell = f"{link} 300 >/dev/null 2>&1 & echo $!"
    pid = int(subprocess.run(["sh", "-c", shell], capture_output=True, text=True, check=True).stdout)
    try:
        assert any(stray.pid == pid and GAME in stray.command for stray in strays())
    finally:
        os.kill(pid, signal.SIGKILL)


def test_a_frozen_or_dead_engine_is_replaced():
    worker = ProcessWorker(DoomConfig(), 20.0, Patience(0.02, 0.3))
    task = IsolatedTask(worker)
    task.reset(seed=1)
    for number in (signal.SIGSTOP, signal.SIGKILL):
        until(task, Answer.FRESH)
        (engine,) = engines(worker.pid)
        os.kill(engine, number)
        assert until(task, Answer.RESTARTED)[3]
        assert outlived(engine)
        task.reset()
    until(task, Answer.FRESH)
    task.close()
    assert engines(worker.pid) == []


def until(task, wanted):
    """Step until an answer is of this kind."""
    answers = (task.step(np.ones(2, np.float32)) for _ in itertools.count())
    return next(answer for answer in answers if answer[4].get("answer", Answer.FRESH) == wanted)


def load(tmp_path, *settings):
    return load_config(CONFIG, [f"recording.folder={tmp_path}", "recording.name=doom", *settings])


def test_a_stepped_session_replays(tmp_path):
    config = load(tmp_path, "duration=20", "task.timeout_s=8")
    summary = run_session(config, accelerated=True)
    assert summary.task == {"reused": 0, "restarted": 0}
    assert summary.episodes >= 2
    assert summary.events["damage"] > 0
    assert summary.pulses["random"]["delivered"] > 0
    report = verify(Path(summary.file))
    assert report.differences == []
    assert report.decisions == 1000
    assert tasks_of(os.getpid()) == engines(os.getpid()) == []


def test_a_session_in_real_time_outlives_its_engine_and_replays(tmp_path):
    config = load(tmp_path, "duration=4", "task.restart_after_s=20", "source.settle_s=5")
    due = [(0.5, signal.SIGSTOP), (1.0, signal.SIGCONT), (1.5, signal.SIGKILL)]

    def strike(progress):
        if progress.rig_s and due and progress.rig_s > due[0][0]:
            (task,) = tasks_of(os.getpid())
            for engine in engines(task):
                os.kill(engine, due.pop(0)[1])

    summary = run_session(config, accelerated=False, on_progress=strike)
    assert summary.ended == "completed"
    assert due == []
    assert summary.lost_samples == 0
    assert summary.task["restarted"] >= 1
    assert summary.task["reused"] >= 10
    with Recording(summary.file) as recording:
        decisions = recording.decisions()
    answer, reused = decisions["answer"], decisions["answer"] == Answer.REUSED
    assert (decisions["truncated"][answer == Answer.RESTARTED] == 1).all()
    assert not decisions["events"][reused].any()
    again = np.flatnonzero(reused[1:]) + 1
    np.testing.assert_array_equal(decisions["observation"][again], decisions["observation"][again - 1])
    report = verify(Path(summary.file))
    assert report.differences == []
    assert report.decisions == 200
    assert tasks_of(os.getpid()) == engines(os.getpid()) == []
