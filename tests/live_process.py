"""A real-time session in its own process, with the processes it starts, for tests that stop or kill them."""

import os
import re
import select
import signal
import subprocess
import sys
from functools import cached_property
from pathlib import Path

from wetloop.engine.arena import Arena
from wetloop.engine.halt import PREFIX
from wetloop.engine.live import Shared, now_host_ns
from wetloop.engine.waits import wait_position

SAMPLES_PER_S = 25_000
ROLES = ("source", "engine", "stimulator", "recorder")
ROOT = Path(__file__).parents[1]


class LiveSession:
    """``wetloop run`` in real time, once it plays; ``roles`` are the process ids of its parts."""

    def __init__(self, folder, *settings):
        command = [
            sys.executable, "-m", "wetloop", "run", str(ROOT / "configs" / "pong.yaml"), "--json",
            "--duration", "1h", "--set", f"recording.folder={folder}",
        ]  # fmt: skip
        command += [word for setting in settings for word in ("--set", setting)]
        self.folder = folder
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.said = self.wait_for("of 3600 s")
        names = {name: pid for pid, name in children(self.process.pid)}
        self.roles = {role: names[f"wetloop-{role}"[:15]] for role in ROLES}

    def wait_for(self, words):
        """Read what the session says until these words."""
        said = []
        for line in self.process.stderr:
            said.append(line)
            if words in line:
                return "".join(said)
        raise AssertionError(f"the session ended early:\n{''.join(said)}")

    @cached_property
    def arena_name(self):
        """Name of the shared memory that its engine has mapped."""
        maps = Path(f"/proc/{self.roles['engine']}/maps").read_text(encoding="utf-8")
        return re.search(rf"/{PREFIX}(\S+)", maps)[1]

    @cached_property
    def control(self):
        """Its control words."""
        return Shared.of(Arena.attach(self.arena_name)).control

    def play_on(self, seconds):
        """Wait until it has gone on for this long, by its engine's clock."""
        until = wait_position(self.control, 0, 0) + round(seconds * SAMPLES_PER_S)
        wait_position(self.control, until, now_host_ns() + 60_000_000_000)

    def signal(self, role, number):
        """Send a signal to one part."""
        os.kill(self.roles[role], number)

    def end(self):
        """Interrupt the session; return its exit code and what it printed."""
        self.process.send_signal(signal.SIGINT)
        out, err = self.process.communicate(timeout=120)
        return self.process.returncode, out, err

    def outlive(self, role):
        """Wait until one part has ended by itself."""
        try:
            handle = os.pidfd_open(self.roles[role])
        except ProcessLookupError:
            return
        ended, _, _ = select.select([handle], [], [], 120)
        os.close(handle)
        assert ended, f"the {role} process did not end"

    @property
    def file(self):
        """The recording."""
        return next(self.folder.glob("*.nwb"))

    def clean_up(self):
        """Kill what is left, by process id."""
        for pid in (self.process.pid, *self.roles.values()):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        self.process.communicate()


def children(parent):
    """Yield (process id, name) of the children of a process."""
    for status in Path("/proc").glob("[0-9]*/status"):
        try:
            fields = dict(line.split(":\t", 1) for line in status.read_text().splitlines() if ":\t" in line)
        except OSError:
            continue
        if int(fields["PPid"]) == parent and fields["Name"].startswith("wetloop-"):
            yield int(fields["Pid"]), fields["Name"][:15]
