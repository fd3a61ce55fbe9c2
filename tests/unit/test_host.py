import json
import os
import signal
import subprocess
import sys

import pytest

from wetloop.cli.doctor_checks import stray_processes
from wetloop.engine.host import NAMES, WISHES, Permissions, strays

SAY_KERNEL = """
import json, os, resource, sys
from pathlib import Path
from wetloop.engine.host import obtain

def go_unprivileged():
    resource.setrlimit(resource.RLIMIT_RTPRIO, (0, 0))
    hard = resource.getrlimit(resource.RLIMIT_MEMLOCK)[1]
    bound = 1 << 20 if hard < 0 else min(hard, 1 << 20)
    resource.setrlimit(resource.RLIMIT_MEMLOCK, (bound, bound))
    if os.geteuid() == 0:
        os.setuid(65534)

def allowed(priority):
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(priority))
    except OSError:
        return False
    os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
    return True

role, unprivileged = sys.argv[1], sys.argv[2] == "unprivileged"
if unprivileged:
    go_unprivileged()
may = allowed(1)
got = obtain(role)
status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
print(json.dumps({
    "got": got.to_dict(),
    "may": may,
    "policy": os.sched_getscheduler(0) & ~os.SCHED_RESET_ON_FORK,
    "priority": os.sched_getparam(0).sched_priority,
    "locked_kb": int(status["VmLck"].split()[0]),
    "resident_kb": int(status["VmRSS"].split()[0]),
    "cpus": sorted(os.sched_getaffinity(0)),
    "slack_ns": Path("/proc/self/timerslack_ns").read_text().strip(),
    "nice": os.nice(0),
    "name": Path("/proc/self/comm").read_text().strip(),
}))
"""
PARENT = """
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c", sys.argv[1]], stdin=subprocess.PIPE)
child.wait()
"""
DIES = """
import os, signal
from wetloop.engine.host import die_with_parent
die_with_parent(signal.SIGKILL, os.getppid())
print(os.getpid(), flush=True)
while True:
    signal.pause()
"""
SURVIVES = """
import os, signal
from wetloop.engine.host import obtain
obtain("recorder")
print(os.getpid(), flush=True)
while True:
    signal.pause()
"""


@pytest.fixture
def family():
    """Start a parent that starts a child; give both, the child as its process id."""
    parents, children = [], []

    def start(code):
        parent = subprocess.Popen([sys.executable, "-c", PARENT, code], stdout=subprocess.PIPE, text=True)
        parents.append(parent)
        children.append(int(parent.stdout.readline()))
        return parent, children[-1]

    yield start
    for parent, child in zip(parents, children, strict=True):
        parent.kill()
        parent.wait()
        for stray in strays():
            if stray.pid == child:
                os.kill(child, signal.SIGKILL)
        parent.stdout.close()


def kernel_says(role, privilege="as given"):
    done = subprocess.run(
        [sys.executable, "-c", SAY_KERNEL, role, privilege], capture_output=True, text=True, timeout=60, check=True
    )
    return json.loads(done.stdout)


@pytest.mark.parametrize("role", WISHES)
def test_what_was_obtained_is_what_the_kernel_says(role):
    told = kernel_says(role)
    got = told["got"]
    assert (told["policy"] == os.SCHED_FIFO) == (got["fifo_priority"] is not None)
    assert told["priority"] == (got["fifo_priority"] or 0)
    assert got["memory_locked"] == (told["locked_kb"] > 0)
    assert got["cpus"] == told["cpus"]
    assert got["nice"] == told["nice"]
    assert told["slack_ns"] == str(got["timer_slack_ns"])
    if told["may"]:
        assert got["fifo_priority"] == WISHES[role].fifo_priority
    assert told["name"] == NAMES[role] if role in NAMES else not told["name"].startswith("wetloop-")


def test_locked_memory_is_all_of_it():
    told = kernel_says("engine")
    assert not told["got"]["memory_locked"] or told["locked_kb"] >= 0.9 * told["resident_kb"]


@pytest.mark.parametrize("role", WISHES)
def test_without_privileges_a_role_gets_what_anybody_gets(role):
    told = kernel_says(role, "unprivileged")
    got = told["got"]
    assert not told["may"]
    assert (got["fifo_priority"], got["memory_locked"], told["locked_kb"]) == (None, False, 0)
    assert got["cpus"] == sorted(os.sched_getaffinity(0))
    assert got["timer_slack_ns"] == 1


def test_a_recorder_makes_way_and_is_never_real_time():
    got = kernel_says("recorder")["got"]
    assert (got["fifo_priority"], got["memory_locked"]) == (None, False)
    assert got["nice"] >= 5


def test_the_engine_comes_before_the_source_and_the_source_before_the_stimulator():
    engine, source, stimulator = (WISHES[role].fifo_priority for role in ("engine", "source", "stimulator"))
    assert engine > source > stimulator > 0


def test_permissions_in_words():
    got = Permissions(fifo_priority=50, memory_locked=True, cpus=(3,), timer_slack_ns=0)
    assert got.describe() == "SCHED_FIFO 50, memory locked, timer slack 0 ns, CPU 3"
    got = Permissions(fifo_priority=None, memory_locked=False, cpus=(0, 1), timer_slack_ns=None, nice=5)
    assert got.describe() == "normal priority (nice 5), memory not locked, timer slack unknown, CPU 0, 1"


def test_a_child_dies_with_its_parent(family):
    parent, _ = family(DIES)
    parent.send_signal(signal.SIGKILL)
    assert parent.wait() == -signal.SIGKILL
    assert parent.stdout.read() == ""  # ends when the last writer, the child, is gone


def test_a_child_whose_parent_is_already_gone_dies_at_once():
    code = "from wetloop.engine.host import die_with_parent; die_with_parent(15, 1 << 30); print('lives')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (-signal.SIGTERM, b"")


def test_a_process_left_behind_is_found_with_its_remedy(family):
    parent, child = family(SURVIVES)
    assert child not in [stray.pid for stray in strays()]
    parent.kill()
    parent.wait()
    assert NAMES["recorder"] in next(stray.command for stray in strays() if stray.pid == child)
    check = stray_processes()
    assert check.level == "fail"
    assert str(child) in check.remedy.removeprefix("end what earlier sessions left behind: kill ").split()
