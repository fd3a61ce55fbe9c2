"""``wetloop view`` in a process of its own, and pages that read what it tells."""

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

from websockets.sync.client import connect


class ViewProcess:
    """A viewer, once it listens; ``url`` is what it printed."""

    def __init__(self, *arguments):
        command = [sys.executable, "-u", "-m", "wetloop", "view", *map(str, arguments), "--no-browser", "--port", "0"]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.url = self.process.stdout.readline().strip()
        if not self.url:
            raise AssertionError(self.process.communicate()[1])
        self.host, self.token = urlsplit(self.url).netloc, urlsplit(self.url).fragment

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.communicate()

    def end(self):
        """Interrupt it; return its exit code and what it said."""
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(60), self.process.stderr.read()

    def page(self):
        """Open a page."""
        return Page(self.host)

    def silent_page(self):
        """Open a page that never reads, with little room for what is sent to it."""
        host, port = self.host.split(":")
        page = socket.socket()
        page.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        page.connect((host, int(port)))
        page.sendall(
            f"GET /socket HTTP/1.1\r\nHost: {self.host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
        )
        return page

    def memory_mb(self):
        """Return what the process keeps in memory of its own, MB."""
        fields = dict(line.split(":", 1) for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines())
        return int(fields["RssAnon"].split()[0]) / 1e3

    def cpu_s(self):
        """Return the CPU time that it has used, s."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Page:
    """A page that reads everything."""

    def __init__(self, host, **options):
        self._connecting = connect(f"ws://{host}/socket", max_size=None, compression=None, **options)
        self.heard_bytes = 0

    def __enter__(self):
        self.socket = self._connecting.__enter__()
        return self

    def __exit__(self, *error):
        self._connecting.__exit__(*error)

    def hear(self, kind=None):
        """Return the next message, or the next of a kind."""
        while True:
            text = self.socket.recv(timeout=60)
            self.heard_bytes += len(text)
            message = json.loads(text)
            if kind in {None, message["is"]}:
                return message

    def ask(self, what, token, value=None):
        """Ask for something; return the answer."""
        self.socket.send(json.dumps({"do": what, "token": token, "value": value}))
        return self.hear("reply")["text"]
