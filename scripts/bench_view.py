"""What the live view costs, and whether it disturbs: ``python scripts/bench_view.py [--seconds 10] [--pairs 2]``.

Real sessions of 64 channels; those of the first figures give 1,000 spikes/s. Late packets of the engine are counted in
pairs of sessions, without any viewer and with four that read and one that never does, in turns.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from bench_realtime import FAST, PERIOD_NS, play

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from browser_process import CHROMIUM, tab
from view_process import Page, ViewProcess

BUSY = ["source.kind=poisson", "source.rate_hz=15.6"]
PAGES = 4
SETTLE_S = 2.0


def read_all(host: str) -> None:
    """Read as a page does, until the viewer goes."""
    with Page(host) as page:
        try:
            while True:
                page.hear()
        except Exception:  # noqa: BLE001  (the end, however it comes)
            return


class Watched:
    """A viewer of a session, and what it cost meanwhile."""

    def __init__(self, viewer: ViewProcess) -> None:
        self._viewer = viewer

    def __call__(self, stop) -> None:
        with self._viewer.page() as page:
            while page.hear()["is"] != "news":
                continue
            end_s = time.monotonic() + SETTLE_S
            while time.monotonic() < end_s:
                page.hear()
            cpu_s, begun_s, heard, n, spikes = self._viewer.cpu_s(), time.monotonic(), page.heard_bytes, 0, 0
            while not stop.is_set():
                message = page.hear()
                n += message["is"] == "news"
                spikes += len(message.get("spikes", ())) // 2
                took_s = time.monotonic() - begun_s
                self.values = {
                    "cpu_percent": round(100 * (self._viewer.cpu_s() - cpu_s) / took_s, 2),
                    "told_per_s": round(n / took_s, 1),
                    "kB_per_s": round((page.heard_bytes - heard) / took_s / 1e3, 1),
                    "spikes_per_s": round(spikes / took_s),
                }


class Drawn:
    """A browser on a session, and how often it draws."""

    def __init__(self, viewer: ViewProcess, folder: str) -> None:
        self._viewer, self._folder, self.values = viewer, folder, {}

    def __call__(self, stop) -> None:
        with tab(self._folder) as page:
            page.show(self._viewer.url, 1600, 900, "dark")
            begun_s, frames = time.monotonic(), int(page.value("document.body.dataset.frames"))
            while not stop.wait(1.0):
                took_s = time.monotonic() - begun_s
                now = int(page.value("document.body.dataset.frames"))
                self.values = {"frames_per_s": round((now - frames) / took_s, 1), "seconds": round(took_s, 1)}


def cost(seconds: float) -> dict[str, float]:
    with ViewProcess() as viewer:
        watched = Watched(viewer)
        play(seconds + SETTLE_S, BUSY, watched, marker=False)
        return watched.values


def frame_rate(seconds: float) -> dict[str, float]:
    with ViewProcess() as viewer, tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        drawn = Drawn(viewer, folder)
        play(seconds + 8, BUSY, drawn, marker=False)
        return drawn.values


def punctuality(seconds: float, *, watched: bool) -> dict[str, float]:
    """Return how punctual the engine was; ``watched`` by four pages that read and one that never does."""
    if not watched:
        return _punctual(play(seconds, FAST))
    context = multiprocessing.get_context("spawn")
    with ViewProcess() as viewer:
        pages = [context.Process(target=read_all, args=(viewer.host,), daemon=True) for _ in range(PAGES)]
        silent = viewer.silent_page()
        for page in pages:
            page.start()
        try:
            return _punctual(play(seconds, FAST))
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
