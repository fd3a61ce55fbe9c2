"""A rig's server in its own process, with a simulated dish, for tests that talk to it, stop it or kill it."""

import json
import os
import signal
import subprocess
import sys

from wetloop import Client

RIG = """
source: {kind: culture, cells: 100, settle_s: 0}
duration: 1h
overrun: {late_ms: 0.001, after: 3}
recording: {folder: FOLDER}
"""


class ServedRig:
    """``wetloop serve`` once it can be reached; ``info`` is what it says of itself."""

    def __init__(self, folder, *options, rig=RIG, client=None):
        self.folder, self.state = folder, folder / "state"
        self.config = folder / "rig.yaml"
        self.config.write_text(rig.replace("FOLDER", str(folder)))
        self._options, self._client = options, client or {}
        self.open()

    @property
    def command(self):
        free = ("--control", "tcp://127.0.0.1:0", "--telemetry", "tcp://127.0.0.1:0")
        place = ("--state", str(self.state), "--json")
        return [sys.executable, "-m", "wetloop", "serve", str(self.config), *free, *place, *self._options]

    def open(self):
        """Start a server, and connect to it."""
        self.process = subprocess.Popen(self.command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        said = self.process.stdout.readline()
        assert said, self.process.communicate()[1]
        self.info = json.loads(said)
        self.client = self.connect(**self._client)

    def connect(self, **how):
        """Return one more client."""
        return Client(self.info["control"], **({"who": "ann", "timeout_s": 60} | how))

    def until(self, *words):
        """Wait until the rig is in one of these states or phases; return what telemetry says of it."""
        for _, content in self.client.listen("state"):
            if {content["state"], content["phase"]} & set(words):
                return content
        raise AssertionError

    def run(self, *overrides, why="trial"):
        """Start a session, and wait until it plays; return its part of the status."""
        self.client.start(overrides=overrides, why=why)
        self.until("running", "disarmed")
        return self.client.status()["session"]

    def transitions(self):
        """Return every transition so far as (state, who, why)."""
        log = next(self.state.glob("*/transitions.jsonl")).read_text().splitlines()
        return [(row["state"], row["who"], row["why"]) for row in map(json.loads, log)]

    def end(self, number=signal.SIGTERM):
        """Send a signal to the server, and wait for its end."""
        self.client.close()
        self.process.send_signal(number)
        self.process.communicate(timeout=120)
        return self.process.returncode

    def clean_up(self):
        """Kill what is left, by process id."""
        self.client.close()
        for note in self.state.glob("*/session.json"):
            try:
                os.kill(json.loads(note.read_text())["pid"], signal.SIGKILL)
            except ProcessLookupError:
                continue
        self.process.kill()
        self.process.communicate()
