"""The remote control of an emulated Open Ephys GUI: its state, the HTTP server and the Network Events plug-in."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

from wetloop_drivers.open_ephys_gui import ACQUIRE, IDLE
from wetloop_drivers.open_ephys_wire import parse_trigger, parse_ttl

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import zmq

MODES = (IDLE, ACQUIRE, "RECORD")
LOOK_MS, POLL_S = 20, 0.02


class Chain:
    """What remote control changes: mode and lines.

    Parameters
    ----------
    processors
        Names of the processors, from the source on.
    raised
        Called with the number of a line, from 1, each time it rises while the GUI acquires.
    """

    def __init__(self, processors: tuple[str, ...], raised: Callable[[int], None]) -> None:
        self.mode, self.starts = IDLE, 0
        self.recording: dict[str, Any] = {
            "parent_directory": "", "base_text": "", "prepend_text": "", "append_text": "",
            "default_record_engine": "BINARY", "record_nodes": [],
        }  # fmt: skip
        self._processors, self._raised = processors, raised
        self._levels: dict[int, int] = {}
        self._lock = threading.Lock()

    def set_mode(self, mode: str) -> None:
        """Start or stop acquisition; after a stop, samples and messages are numbered from 0 again."""
        with self._lock:
            self.starts += self.mode == IDLE != mode
            self.mode = mode

    def set_level(self, line: int, level: int) -> None:
        """Set a line; where it rises, what is wired to it fires."""
        with self._lock:
            rises = level > self._levels.get(line, 0)
            self._levels[line] = level
        if rises and self.mode != IDLE:
            self._raised(line)

    def broadcast(self, text: str) -> None:
        """Hear a message; the board obeys TRIGGER, and lowers the line itself."""
        trigger = parse_trigger(text)
        if trigger is not None and self.mode != IDLE:
            self._raised(trigger[0])

    def processors(self) -> list[dict[str, Any]]:
        """Return the signal chain as the HTTP server shows it."""
        return [
            {"id": 100 + k, "name": name, "parameters": [], "predecessor": 99 + k if k else None, "streams": []}
            for k, name in enumerate(self._processors)
        ]


class HttpServer:
    """The GUI's HTTP server; port 0 is chosen by the system."""

    def __init__(self, chain: Chain, host: str, port: int) -> None:
        handler = type("Handler", (_Handler,), {"chain": chain})
        self._server = ThreadingHTTPServer((host, port), handler)
        self._server.daemon_threads = True
        self.port = int(self._server.server_address[1])
        self._thread = threading.Thread(target=self._server.serve_forever, args=(POLL_S,), daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Listen no more; may be called twice."""
        if self._thread.is_alive():
            self._server.shutdown()
            self._thread.join()
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    chain: Chain

    def do_GET(self) -> None:
        self._answer(*self._shown(self.path.rstrip("/")))

    def do_PUT(self) -> None:
        try:
            content = json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0))))
        except (ValueError, RecursionError):
            content = None
        self._answer(*self._changed(self.path.rstrip("/"), content if isinstance(content, dict) else None))

    def log_message(self, *_: Any) -> None:
        """Write no log."""

    def _shown(self, path: str) -> tuple[int, Any]:
        chain, processors = self.chain, self.chain.processors()
        pages: Mapping[str, Any] = {
            "/api/status": {"mode": chain.mode},
            "/api/processors": {"processors": processors},
            "/api/processors/list": {"processors": [{"name": processor["name"]} for processor in processors]},
            "/api/recording": chain.recording,
            "/api/cpu": {"usage": 0.0},
            "/api/latency": {"processors": []},
        } | {f"/api/processors/{processor['id']}": processor for processor in processors}
        return (200, pages[path]) if path in pages else (404, {"error": f"{path} not found"})

    def _changed(self, path: str, content: dict[str, Any] | None) -> tuple[int, Any]:
        if content is None:
            return 400, {"error": "the body is no JSON object"}
        if path == "/api/status" and content.get("mode") in MODES:
            self.chain.set_mode(content["mode"])
            return 200, {"mode": self.chain.mode}
        if path == "/api/message" and isinstance(content.get("text"), str):
            self.chain.broadcast(content["text"])
            return 200, {"info": f"Broadcast message: {content['text']}"}
        if path == "/api/recording":
            known = {key: value for key, value in content.items() if key in self.chain.recording}
            self.chain.recording.update(known)
            return 200, self.chain.recording
        return (400 if path in {"/api/status", "/api/message"} else 404), {"error": f"{path} cannot do this"}

    def _answer(self, status: int, content: Any) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class Answering:
    """A REP socket with a thread: answers every request, whatever it says."""

    def __init__(self, socket: zmq.Socket[bytes], answer: Callable[[bytes], bytes]) -> None:
        self._socket, self._answer, self._ended = socket, answer, threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Answer no more; may be called twice."""
        self._ended.set()
        self._thread.join()
        self._socket.close(linger=0)

    def _serve(self) -> None:
        while not self._ended.is_set():
            if self._socket.poll(LOOK_MS):
                self._socket.send(self._answer(self._socket.recv()))


def network_events(chain: Chain) -> Callable[[bytes], bytes]:
    """Return what answers requests to the Network Events plug-in."""

    def switched(mode: str, said: bytes) -> bytes:
        chain.set_mode(mode)
        return said

    words: Mapping[str, Callable[[], bytes]] = {
        "StartAcquisition": lambda: switched(ACQUIRE, b"StartedAcquisition"),
        "StopAcquisition": lambda: switched(IDLE, b"StoppedAcquisition"),
        "StartRecord": lambda: switched("RECORD", b"StartedRecording"),
        "StopRecord": lambda: switched(ACQUIRE, b"StoppedRecording"),
        "IsAcquiring": lambda: b"1" if chain.mode != IDLE else b"0",
        "IsRecording": lambda: b"1" if chain.mode == "RECORD" else b"0",
        "GetRecordingPath": lambda: str(chain.recording["parent_directory"]).encode(),
        "GetNodeID": lambda: b"102",
    }

    def answer(request: bytes) -> bytes:
        ttl = parse_ttl(request)
        if ttl is not None:
            if not 1 <= ttl[0] <= 256:
                return b"InvalidChannel"
            chain.set_level(*ttl)
            return f"TTLHandled: Line={ttl[0]} State={ttl[1]}".encode()
        word = request.decode("utf-8", "replace").split(" ", 1)[0]
        return words[word]() if word in words else b"NotHandled"

    return answer
