"""What the live view costs, and whether it disturbs: ``python scripts/bench_view.py [--seconds 10] [--pairs 2]``.

Real sessions of 64 channels; those of the first figures give 1,000 spikes/s. Late packets of the engine are counted in
pairs of sessions, without any viewer and with four pages that read and one that never does, in turns. The pages stand
for browsers on other computers: they take what they are sent, and draw nothing.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import multiprocessing
import re
import signal
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

import numpy as np
from bench_realtime import FAST, PERIOD_NS, play
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from wetloop.live.arena_feed import running

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from browser_process import CHROMIUM, tab
from view_process import ViewProcess

SPIKES_HZ = 1000
PAGES = 4
SETTLE_S = 2.0


def read_all(host: str) -> None:
    """Read everything until the viewer goes."""
    with contextlib.suppress(ConnectionClosed), connect(f"ws://{host}/socket", compression=None) as page:
        for _ in page:
            pass


@contextlib.contextmanager
def busy_session(seconds: float):
    """Run a session with 1,000 spikes/s meanwhile."""
    source = f"source={{kind: poisson, rate_hz: {SPIKES_HZ / 64}}}"
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "wetloop", "run", "configs/pong.yaml", "--quiet", "--duration", f"{seconds}s"]
        command += ["--set", source, "--set", f"recording.folder={folder}"]
        session = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        try:
            yield name_in(folder)
        finally:
            session.send_signal(signal.SIGINT)
            session.wait(300)


def name_in(folder: str) -> str:
    """Return the name of the session that records to a folder, once it plays."""
    while True:
        for name, facts in running().items():
            if facts.file.startswith(folder):
                return name
        time.sleep(0.5)


def own_session(note: Path, _stop: object) -> None:
    """Tell a viewer that waits which session is this process's."""
    mapped = re.search(r"/wetloop-([\w-]+)", Path("/proc/self/maps").read_text())
    note.write_text(json.dumps({"arena": mapped[1] if mapped else ""}))


def cost(seconds: float) -> dict[str, float]:
    """Return what a viewer with one page costs."""
    with busy_session(20 * seconds) as name, ViewProcess("--session", name) as viewer, viewer.page() as page:
        while page.hear("news")["now_s"] < SETTLE_S:
            continue
        cpu_s, begun_s, heard, n, spikes = viewer.cpu_s(), time.monotonic(), page.heard_bytes, 0, 0
        while (took_s := time.monotonic() - begun_s) < seconds:
            message = page.hear()
            n += message["is"] == "news"
            spikes += len(message.get("spikes", ())) // 2
        return {
            "cpu_percent": round(100 * (viewer.cpu_s() - cpu_s) / took_s, 2),
            "told_per_s": round(n / took_s, 1),
            "kB_per_s": round((page.heard_bytes - heard) / took_s / 1e3, 1),
            "spikes_per_s": round(spikes / took_s),
            "memory_mb": round(viewer.memory_mb()),
        }


def frame_rate(seconds: float) -> dict[str, float]:
    """Return how often a browser draws the page."""
    with (
        busy_session(20 * seconds) as name,
        ViewProcess("--session", name) as viewer,
        tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder,
        tab(folder) as page,
    ):
        page.show(viewer.url, 1600, 900, "dark")
        begun_s, frames = time.monotonic(), int(page.value("document.body.dataset.frames"))
        page.value(f"new Promise((done) => setTimeout(done, {seconds * 1000}))")
        took_s = time.monotonic() - begun_s
        return {"frames_per_s": round((int(page.value("document.body.dataset.frames")) - frames) / took_s, 1)}


def punctuality(seconds: float, *, watched: bool) -> dict[str, float]:
    """Return how punctual the engine was; ``watched`` by four pages that read and one that never does."""
    if not watched:
        return _punctual(play(seconds, FAST))
    context = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as folder, ViewProcess("--note", Path(folder) / "note") as viewer:
        pages = [context.Process(target=read_all, args=(viewer.host,), daemon=True) for _ in range(PAGES)]
        silent = viewer.silent_page()
        for page in pages:
            page.start()
        try:
            return _punctual(play(seconds, FAST, partial(own_session, Path(folder) / "note")))
        finally:
            silent.close()
            for page in pages:
                page.terminate()
                page.join()


def _punctual(run: dict) -> dict[str, float]:
    took_ns = (run["blocks"]["done_ns"] - run["blocks"]["arrival_ns"])[1000:]
    return {
        "blocks": len(took_ns),
        "late": int((took_ns > PERIOD_NS).sum()),
        "p50_us": round(float(np.median(took_ns)) / 1e3, 1),
        "p99_us": round(float(np.percentile(took_ns, 99)) / 1e3, 1),
        "dropped": sum(run["dropped"].values()),
    }


def figures(seconds: float, pairs: int):
    """Yield (figure, goal, values)."""
    yield "one page at 1,000 spikes/s: CPU of the viewer", "<= 5 % of a core", cost(seconds)
    if CHROMIUM:
        yield "page in headless Chromium, drawn by the processor", ">= 20 frames/s", frame_rate(seconds)
    for pair in range(pairs):
        for watched in (False, True)[:: 1 if pair % 2 == 0 else -1]:
            who = f"{PAGES} viewers and one that never reads" if watched else "no viewer"
            yield f"engine, {who}", "no difference", punctuality(seconds, watched=watched)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--pairs", type=int, default=2)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    rows = []
    for figure, goal, values in figures(arguments.seconds, arguments.pairs):
        rows.append({"figure": figure, "goal": goal, **values})
        if not arguments.json:
            told = "  ".join(f"{name} {value}" for name, value in values.items())
            print(f"{figure:52s} {told}   (goal {goal})", flush=True)
    if arguments.json:
        print(json.dumps(rows))


if __name__ == "__main__":
    main()
