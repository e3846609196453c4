"""The other ends of channels: a mail server and a web hook, both real ones, in threads of the test."""

from __future__ import annotations

import email
import email.policy
import json
import socketserver
import threading
from base64 import b64decode
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Receiver:
    """A web hook's other end: keeps what it is sent, and answers with ``status``."""

    def __init__(self) -> None:
        self.bodies: list[dict[str, Any]] = []
        self.paths: list[str] = []
        self.status, self.answer = 200, b""
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.bodies.append(json.loads(body))
                receiver.paths.append(self.path)
                self.send_response(receiver.status)
                self.end_headers()
                self.wfile.write(receiver.answer)

            def log_message(self, *args: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()
        self.address = f"json://secret-user:secret-word@127.0.0.1:{self.server.server_port}/hook"

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


class MailServer(socketserver.ThreadingTCPServer):
    """Speaks SMTP (RFC 5321) as far as a client that sends mail needs it; keeps the mails that it took.

    ``refuse``: what it answers to a recipient instead of taking it. ``login``: user and password it wants.
    """

    daemon_threads = True

    def __init__(self, login: tuple[str, str]) -> None:
        self.mails: list[EmailMessage] = []
        self.recipients: list[str] = []
        self.refuse, self.login = "", login
        super().__init__(("127.0.0.1", 0), Conversation)
        self.port = int(self.server_address[1])
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def close(self) -> None:
        self.shutdown()
        self.server_close()


class Conversation(socketserver.StreamRequestHandler):
    server: MailServer

    def handle(self) -> None:
        self.signed_in = False
        self.say("220 mail.test ready")
        while line := self.rfile.readline():
            verb, _, rest = line.decode().strip().partition(" ")
            if verb.upper() == "QUIT":
                self.say("221 bye")
                return
            self.one(verb.upper(), rest)

    def say(self, *lines: str) -> None:
        self.wfile.write("".join(f"{line}\r\n" for line in lines).encode())

    def one(self, verb: str, rest: str) -> None:
        if verb == "EHLO":
            self.say("250-mail.test", "250 AUTH PLAIN")
        elif verb == "AUTH":
            self.signed_in = rest.startswith("PLAIN ") and self.proves(rest.removeprefix("PLAIN "))
            self.say("235 welcome" if self.signed_in else "535 5.7.8 wrong")
        elif verb == "MAIL" and not self.signed_in:
            self.say("530 5.7.0 Authentication required")
        elif verb == "RCPT" and self.server.refuse:
            self.say(self.server.refuse)
        elif verb == "DATA":
            self.take()
        else:
            if verb == "RCPT":
                self.server.recipients.append(rest.partition("<")[2].partition(">")[0])
            self.say("250 fine")

    def proves(self, given: str) -> bool:
        return tuple(b64decode(given).decode().split("\0")[1:]) == self.server.login

    def take(self) -> None:
        self.say("354 go on")
        lines = []
        while (line := self.rfile.readline()) not in (b".\r\n", b""):
            lines.append(line[1:] if line.startswith(b"..") else line)
        mail = email.message_from_bytes(b"".join(lines), policy=email.policy.default)
        assert isinstance(mail, EmailMessage)
        self.server.mails.append(mail)
        self.say("250 taken")
