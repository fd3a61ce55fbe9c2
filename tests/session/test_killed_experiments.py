"""Experiments in processes of their own, interrupted, killed, and played by others: the result is always the same."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from wetloop.analysis.report.build import subject_of
from wetloop.cli.experiment_view import result_of
from wetloop.core import jsonl
from wetloop.experiments import load
from wetloop.experiments.runner import Workers, run_experiment

PROTOCOL = {
    "name": "tiny",
    "session": {
        "source": {"kind": "poisson"}, "duration": "6s", "task": {"crossing_s": 0.3}, "feedback": {"kind": "silent"},
    },
    "set": ["feedback.rest_s=0.1", "feedback.random.duration_s=0.1"],
    "cultures": {"seeds": 3},
    "metrics": ["rally_length", "paddle_per_s"],
    "resamples": 99,
}  # fmt: skip
N_RUNS = 6


def told(folder):
    """Return all that an experiment says, to the last bit, but for where and when."""
    experiment = load(folder)
    result = {k: v for k, v in result_of(experiment).items() if k not in {"folder", "registered"}}
    runs = [{k: v for k, v in vars(run).items() if k not in {"wall_s", "file"}} for run in experiment.runs]
    report = subject_of([folder]).verdict.to_dict()
    text = json.dumps([result, runs, report], default=str, sort_keys=True)
    return text.replace(str(folder), "").replace(experiment.registered, "")


@pytest.fixture(scope="module")
def protocol(tmp_path_factory):
    path = tmp_path_factory.mktemp("protocol") / "protocol.yaml"
    path.write_text(yaml.safe_dump(PROTOCOL))
    return path


@pytest.fixture(scope="module")
def uninterrupted(protocol, tmp_path_factory):
    folder = tmp_path_factory.mktemp("uninterrupted")
    run_experiment(protocol, folder, Workers(1))
    return told(folder)


@pytest.fixture
def started():
    """Start Python in a process group of its own, which hears Ctrl-C; the whole group ends with the test."""
    signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored where the tests run in the background
    processes = []

    def start(*arguments, **options):
        process = subprocess.Popen(
            [sys.executable, *map(str, arguments)], stderr=subprocess.PIPE, text=True, start_new_session=True, **options
        )
        processes.append(process)
        return process

    yield start
    for process in processes:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        process.stderr.close()


def after_runs(process, n):
    """Wait until so many runs are reported; return the names of those."""
    codes = []
    while len(codes) < n:
        line = process.stderr.readline()
        assert line, "ended too early"
        codes += re.findall(r"of \d+ runs, (run-\d+)", line)
    return codes


def everything_ended(process):
    """Return what was still said when nobody is left who could say anything: workers too have ended."""
    said = process.stderr.read()
    process.wait()
    return said


@pytest.fixture
def dask(started, tmp_path_factory):
    """Start a Dask scheduler and two workers on this computer; give the scheduler's address and the workers."""
    folder = tmp_path_factory.mktemp("dask")
    process = started("-m", "dask", "scheduler", "--host", "127.0.0.1", "--port", 0, "--no-dashboard", cwd=folder)
    found = None
    while not found:
        line = process.stderr.readline()
        assert line, "the scheduler ended"
        found = re.search(r"tcp://127\.0\.0\.1:\d+", line)
    options = ("--nthreads", 1, "--no-nanny", "--no-dashboard", "--local-directory", folder)
    return found[0], [started("-m", "dask", "worker", found[0], *options) for _ in range(2)]


def children_of(process):
    return [int(pid) for pid in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()]


def kill(process):
    os.kill(process.pid, signal.SIGKILL)


def press_ctrl_c(process):
    os.killpg(process.pid, signal.SIGINT)


def kill_a_worker(process):
    os.kill(children_of(process)[-1], signal.SIGKILL)


@pytest.mark.parametrize(
    ("fault", "ends"),
    [
        (kill, (2, -signal.SIGKILL, "")),
        (press_ctrl_c, (2, 130, "Start it again to go on")),
        (press_ctrl_c, (1, 130, "Start it again to go on")),
        (kill_a_worker, (2, 3, "a worker of the experiment died")),
    ],
)
def test_a_start_again_repeats_nothing_and_loses_nothing(protocol, uninterrupted, started, tmp_path, fault, ends):
    jobs, code, words = ends
    process = started("-m", "wetloop", "experiment", protocol, "--out", tmp_path, "--jobs", jobs)
    reported = after_runs(process, 1)
    fault(process)
    said = everything_ended(process)
    assert (process.returncode, words in said) == (code, True)
    assert "Traceback" not in said
    before = {row["code"]: row for row in jsonl.rows(tmp_path / "runs.jsonl")}
    assert set(reported) <= set(before)
    assert len(before) < N_RUNS
    again = []
    run_experiment(protocol, tmp_path, Workers(1), again.append)
    after = {row["code"]: row for row in jsonl.rows(tmp_path / "runs.jsonl")}
    assert {played.code for played in again} == set(after) - set(before)
    assert len(again) + len(before) == len(after) == N_RUNS
    assert before.items() <= after.items()
    assert told(tmp_path) == uninterrupted


def test_two_workers_of_a_dask_scheduler_find_the_same(protocol, uninterrupted, started, dask, tmp_path):
    address, _ = dask
    process = started("-m", "wetloop", "experiment", protocol, "--out", tmp_path, "--dask", address)
    said = everything_ended(process)
    assert (process.returncode, said.count(f"of {N_RUNS} runs")) == (0, N_RUNS)
    assert told(tmp_path) == uninterrupted


def test_a_run_whose_dask_worker_was_killed_is_played_by_another(protocol, uninterrupted, started, dask, tmp_path):
    address, workers = dask
    process = started("-m", "wetloop", "experiment", protocol, "--out", tmp_path, "--dask", address)
    after_runs(process, 1)
    kill(workers[0])
    everything_ended(process)
    assert process.returncode == 0
    assert told(tmp_path) == uninterrupted
