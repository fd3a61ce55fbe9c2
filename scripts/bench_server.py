"""Times a rig's server: command round trips, with and without keys, remote tasks, and from a stop to silence.

    python scripts/bench_server.py [--trips 2000] [--stops 200] [--steps 1000]

Budgets: round trip p50 below 1 ms, with keys below 1.2 ms; of a remote task at decisions of 10 ms p99 below 3 ms, where
steps longer than half a decision are late and counted; stop to silence p99 at most two blocks and 5 ms. Silence is
when the simulated rig has forgotten its planned pulses; that no pulse is forwarded later is counted as well.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from wetloop import Client
from wetloop.core.types import Answer
from wetloop.engine.arena import Arena
from wetloop.engine.live import Shared
from wetloop.engine.words import FORWARDED, POSITION, SILENCE, SILENCED
from wetloop.net.keys import new_keys
from wetloop.tasks.remote import remote_task
from wetloop.tasks.remote_config import RemoteTaskConfig

RIG = "source: {kind: culture, cells: 1000, settle_s: 0}\nduration: 1h\n"
BLOCK_MS, DECISION_MS = 1.0, 10.0


def served(folder, *options):
    """Start a server; return its process and what it says of itself."""
    config = folder / "rig.yaml"
    config.write_text(f"{RIG}recording: {{folder: {folder}}}\n")
    command = [
        sys.executable,
        "-m",
        "wetloop",
        "serve",
        str(config),
        "--json",
        "--arm",
        "--state",
        str(folder / "state"),
    ]
    command += ["--control", "tcp://127.0.0.1:0", "--telemetry", "tcp://127.0.0.1:0", *options]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    return process, json.loads(process.stdout.readline())


def round_trips_ms(client, n):
    took = np.empty(n)
    for i in range(n):
        begun = time.perf_counter()
        client.status()
        took[i] = time.perf_counter() - begun
    return took * 1e3


def silences_ms(client, n):
    """Silence the rig again and again, at any phase of its packets, and let it go on; the last time for good."""
    client.start()
    next(content for _, content in client.listen("state") if content["state"] == "running")
    shared = Shared.of(arena := Arena.attach(client.status()["session"]["arena"]))
    control, generator, took, later = shared.control, np.random.default_rng(1), np.empty(n), 0
    for i in range(n):
        control[SILENCED] = 0
        begun, position = time.monotonic_ns(), int(control[POSITION])
        control[SILENCE] = 1
        while not control[SILENCED]:
            time.sleep(0.0002)
        took[i] = (int(control[SILENCED]) - begun) * 1e-6
        forwarded = int(control[FORWARDED])
        while control[POSITION] < position + 250 + generator.integers(250):
            time.sleep(0.0005)
        later += int(control[FORWARDED]) - forwarded
        control[SILENCE] = 0
        time.sleep(0.02 + generator.random() * 0.01)
    control[SILENCED] = 0
    arena.close()
    return took, later, client.stop_now("benchmark")["silent_s"] * 1e3


def steps_ms(n, keys=None):
    """Step a program that is a task once in every decision; return how long that took, and how many were late."""
    words = ["--address", "tcp://127.0.0.1:0"] + ([] if keys is None else ["--keys", str(keys)])
    example = Path(__file__).parents[1] / "examples" / "remote_agent.py"
    with subprocess.Popen([sys.executable, str(example), *words], stdout=subprocess.PIPE, text=True) as program:
        address = program.stdout.readline().split()[-1]
        config = RemoteTaskConfig(address=address, keys=None if keys is None else str(keys))
        env, took, late = remote_task(config, DECISION_MS, real_time=True), np.empty(n), 0
        env.reset(seed=1)
        counts, due = np.zeros(env.action_space.shape), time.perf_counter()
        for i in range(n):
            due += DECISION_MS / 1000
            time.sleep(max(0.0, due - time.perf_counter()))
            begun = time.perf_counter()
            late += env.step(counts)[4].get("answer", Answer.FRESH) != Answer.FRESH
            took[i] = time.perf_counter() - begun
        env.close()
        program.terminate()
    return took * 1e3, late


def told(name, values_ms, budget_ms, share):
    p50, p99, worst = np.percentile(values_ms, [50, 99, 100])
    judged = p50 if share == 50 else p99
    verdict = "ok" if judged <= budget_ms else "OVER"
    print(f"{name:38s} p50 {p50:7.3f}  p99 {p99:7.3f}  max {worst:7.3f} ms   p{share} <= {budget_ms:g} ms: {verdict}")
    return judged <= budget_ms


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trips", type=int, default=2000)
    parser.add_argument("--stops", type=int, default=200)
    parser.add_argument("--steps", type=int, default=1000)
    options, good = parser.parse_args(), []
    with tempfile.TemporaryDirectory() as text:
        folder = Path(text)
        process, info = served(folder)
        with Client(info["control"], timeout_s=60) as client:
            round_trips_ms(client, 100)
            good.append(told("round trip, loopback", round_trips_ms(client, options.trips), 1.0, 50))
            took, later, real_ms = silences_ms(client, options.stops)
            good.append(told("stop to silence", took, 2 * BLOCK_MS + 5, 99))
            print(f"pulses forwarded after silence: {later}; stop_now of the server: silent after {real_ms:.3f} ms")
            client.shutdown()
        process.wait()
        new_keys(folder / "keys")
        process, info = served(folder, "--keys", str(folder / "keys"))
        with Client(info["control"], timeout_s=60, keys=folder / "keys") as client:
            round_trips_ms(client, 100)
            good.append(told("round trip, loopback, CURVE", round_trips_ms(client, options.trips), 1.2, 50))
            client.shutdown()
        process.wait()
        for name, keys in (("loopback", None), ("CURVE", folder / "keys")):
            took, late = steps_ms(options.steps, keys)
            good.append(told(f"remote task, 10 ms decisions, {name}", took, 3.0, 99))
            print(f"steps later than {DECISION_MS / 2:g} ms, for which the last observation stood in: {late}")
    sys.exit(not all(good) or later > 0)


if __name__ == "__main__":
    main()
