"""Times every emergency stop, from the act to the silence of the simulated rig: ``python scripts/bench_stop.py -n 5``.

Each stop ends a real-time session of its own, so n is small, and the worst is told beside the median. The act is a
message sent, a signal sent, a key pressed in a terminal, or a program started; what it takes to get from there to the
word of silence is the path's own transport, and is told apart from what the rig takes to obey. Budget from word to
silence: two blocks and 5 ms.
"""

import argparse
import json
import os
import pty
import signal
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from websockets.sync.client import connect

from wetloop import Client
from wetloop.emulation import bench
from wetloop.engine.arena import Arena
from wetloop.engine.words import ORIGIN, SILENCE, SILENCED
from wetloop.live.arena_feed import running

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from view_process import ViewProcess

WETLOOP = [sys.executable, "-m", "wetloop"]
RIG = "source: {kind: culture, cells: 1000, settle_s: 0}\nduration: 1h\n"
BUDGET_MS = 2 * 1.0 + 5.0


HARP = """
source: {{kind: poisson}}
stimulator: {{kind: harp, ports: [{port}], lines: {lines}, stop_input: {bit}}}
feedback: {{random: {{amplitude_mv: 75}}}}
layout: {{sensory_electrodes: 4}}
plan_ms: 20
duration: 1h
"""


@contextmanager
def session(folder, rig=RIG):
    """Play in real time on a terminal; give its process id, the terminal and the name of its memory."""
    config = folder / "rig.yaml"
    config.write_text(f"{rig}recording: {{folder: {folder}}}\n")
    pid, terminal = pty.fork()
    if not pid:
        os.execv(sys.executable, [*WETLOOP, "run", str(config), "--quiet"])
    try:
        yield pid, terminal, name_in(folder)
    finally:
        os.kill(pid, signal.SIGINT)
        os.waitpid(pid, 0)
        os.close(terminal)


def name_in(folder):
    while True:
        for name, facts in running().items():
            if facts.file.startswith(str(folder)) and plays(name):
                return name
        time.sleep(0.2)


def plays(name):
    with Arena.attach(name, writable=False) as arena:
        return bool(arena.arrays["control"][ORIGIN] >= 0)


def timed(name, act):
    """Return ms from the act to the word of silence, and from there until the rig was silent."""
    with Arena.attach(name, writable=False) as arena:
        control, told = arena.arrays["control"], [0]

        def watch():
            while not control[SILENCE]:
                time.sleep(0.0001)
            told[0] = time.monotonic_ns()

        watcher = threading.Thread(target=watch)
        watcher.start()
        begun = time.monotonic_ns()
        act()
        watcher.join(30)
        while not control[SILENCED]:
            time.sleep(0.0002)
        silenced = int(control[SILENCED])
        word = min(told[0], silenced)  # a busy machine lets the watcher see it late
        return (word - begun) * 1e-6, (silenced - word) * 1e-6


def by_page(folder):
    with (
        session(folder) as (_, _, name),
        ViewProcess("--session", name) as viewer,
        connect(f"ws://{viewer.host}/socket", compression=None) as page,
    ):
        page.recv()
        return timed(name, lambda: page.send(json.dumps({"do": "stop", "token": viewer.token})))


def by_command(folder):
    with session(folder) as (_, _, name), Path(os.devnull).open("w") as quiet:
        return timed(name, lambda: subprocess.Popen([*WETLOOP, "stop", name, "--now"], stdout=quiet).wait())


def by_signal(folder):
    with session(folder) as (pid, _, name):
        return timed(name, lambda: os.kill(pid, signal.SIGTERM))


def by_keyboard(folder):
    with session(folder) as (_, terminal, name):
        return timed(name, lambda: [os.write(terminal, b"\x03"), time.sleep(0.05), os.write(terminal, b"\x03")])


def by_server(folder):
    """Ask a server; the program ``wetloop ctl stop --now`` does the same, and takes its start besides."""
    config = folder / "rig.yaml"
    config.write_text(f"{RIG}recording: {{folder: {folder}}}\n")
    command = [*WETLOOP, "serve", str(config), "--json", "--arm", "--state", str(folder / "state")]
    command += ["--control", "tcp://127.0.0.1:0", "--telemetry", "tcp://127.0.0.1:0"]
    served = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    with Client(json.loads(served.stdout.readline())["control"], timeout_s=60) as client:
        client.start()
        name = name_in(folder)
        result = timed(name, lambda: client.stop_now("benchmark"))
        client.shutdown()
    served.wait(60)
    return result


def by_input(folder):
    """Raise the stop input of an emulated Harp device."""
    lines = [
        {"bit": bit, "electrodes": [fed], "amplitude": 75, "phase_us": 200} for bit, fed in enumerate((0, 2, 5, 7))
    ]
    dish, (emulator,) = bench(["harp"], ["culture.kind=poisson", f"harp.lines={json.dumps(lines)}"])
    try:
        known = dish.start([emulator])
        rig = HARP.format(port=known["ports"][0], lines=json.dumps(lines), bit=known["stop_input"])
        with session(folder, rig) as (_, _, name):
            return timed(name, emulator.press_stop)
    finally:
        dish.close()


PATHS = {
    "stop input of a Harp device (pty)": by_input,
    "STOP in the page (websocket)": by_page,
    "wetloop stop --now (a program)": by_command,
    "SIGTERM": by_signal,
    "Ctrl-C twice, 50 ms apart (pty)": by_keyboard,
    "client's stop_now through a server": by_server,
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-n", type=int, default=5)
    parser.add_argument("--only", default="", help="paths whose name begins so")
    options, good = parser.parse_args(), True
    for path, stop in PATHS.items():
        if not path.startswith(options.only):
            continue
        rows = []
        for _ in range(options.n):
            with tempfile.TemporaryDirectory() as folder:
                rows.append(stop(Path(folder)))
        transport, obeyed = np.array(rows).T
        good &= bool(obeyed.max() <= BUDGET_MS)
        print(
            f"{path:36s} n {len(rows)}  transport p50 {np.median(transport):7.2f} max {transport.max():7.2f} ms  "
            f"word to silence p50 {np.median(obeyed):6.2f} max {obeyed.max():6.2f} ms (<= {BUDGET_MS:g} ms)",
            flush=True,
        )
    sys.exit(not good)


if __name__ == "__main__":
    main()
