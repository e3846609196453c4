"""OpenNebula front ends that misbehave, in this process: XML-RPC over HTTP, answering what a test tells them to."""

from __future__ import annotations

import contextlib
import http.server
import threading
import time
import xmlrpc.client
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from drportal.drivers.opennebula import OpenNebulaTarget

PASSWORD = "canary-5f1d-password"
Answering = Callable[["FrontEndServer", str, tuple[Any, ...]], Any]


@dataclass
class FrontEndServer:
    url: str = ""
    calls: list[tuple[str, tuple[Any, ...]]] = field(default_factory=list)
    sessions: list[str] = field(default_factory=list)
    most_at_once: int = 0
    at_once: int = 0
    release: threading.Event = field(default_factory=threading.Event)

    def target(self, **changes: Any) -> OpenNebulaTarget:
        values: dict[str, Any] = {"url": self.url, "username": "dr-portal", "password": PASSWORD}
        return OpenNebulaTarget(**(values | changes))


class Raw(Exception):
    """Answer this instead of XML-RPC: an HTTP status and a body; None closes the connection without a word."""

    def __init__(self, status: int | None, body: bytes = b"", headers: dict[str, str] | None = None) -> None:
        super().__init__(status)
        self.status, self.body, self.headers = status, body, headers or {}


@contextlib.contextmanager
def front_end(answering: Answering) -> Iterator[FrontEndServer]:
    """``answering(server, method, arguments)`` returns oned's triple, or raises xmlrpc.client.Fault or Raw."""
    state = FrontEndServer()
    lock = threading.Lock()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            arguments, method = xmlrpc.client.loads(body)
            self.counted = True
            with lock:
                state.sessions.append(str(arguments[0]))
                state.calls.append((str(method), arguments[1:]))
                state.at_once += 1
                state.most_at_once = max(state.most_at_once, state.at_once)
            try:
                self.reply(str(method), arguments[1:])
            except (BrokenPipeError, ConnectionResetError):
                pass
            finally:
                self.leave()

        def leave(self) -> None:
            """Before the answer is sent: whoever has it may begin the next before this thread goes on."""
            with lock:
                state.at_once -= self.counted
                self.counted = False

        def reply(self, method: str, arguments: tuple[Any, ...]) -> None:
            try:
                answer = answering(state, method, arguments)
                document = xmlrpc.client.dumps((answer,), methodresponse=True)
            except xmlrpc.client.Fault as fault:
                document = xmlrpc.client.dumps(fault)
            except Raw as raw:
                if raw.status is not None:
                    self.send(raw.status, raw.body, raw.headers)
                return
            self.send(200, document.encode(), {"Content-Type": "text/xml"})

        def send(self, status: int, body: bytes, headers: dict[str, str]) -> None:
            self.leave()
            self.send_response(status)
            for name, value in ({"Content-Length": str(len(body))} | headers).items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            return

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    state.url = f"http://127.0.0.1:{server.server_port}/RPC2"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield state
    finally:
        state.release.set()
        server.shutdown()
        server.server_close()


def stall(server: FrontEndServer, method: str, arguments: tuple[Any, ...]) -> Any:
    """Accept, and never answer while the test runs."""
    server.release.wait(20)
    raise Raw(None)


def drip(server: FrontEndServer, method: str, arguments: tuple[Any, ...]) -> Any:
    """Hold the answer back for a while."""
    time.sleep(0.1)
    return [True, "7.5.80", 0]
