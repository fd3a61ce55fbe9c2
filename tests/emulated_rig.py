"""``wetloop emulate`` in a process of its own, as a user starts it, so that a session does not share Python's lock."""

import json
import re
import signal
import subprocess
import sys


class EmulatedRig:
    """An emulator that listens; ``settings`` are those of its driver."""

    def __init__(self, kind, *given):
        words = [word for setting in given for word in ("--set", setting)]
        command = [sys.executable, "-m", "wetloop", "emulate", kind, "--json", *words]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        line = self._process.stdout.readline()
        assert line, self._process.stderr.read()
        self.settings = json.loads(line)

    def end(self):
        """End it, once; return how many pulses have reached the culture."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
        _, said = self._process.communicate(timeout=60)
        assert self._process.returncode == 0, said
        return int(re.search(r"(\d+) pulses reached the culture", said)[1])

    def clean_up(self):
        """Kill what is left, by its process id."""
        if self._process.poll() is None:
            self._process.kill()
            self._process.communicate()
