"""The site program as a site's SSH host runs it: the program's own code, in this process, over the lab's model.

A session whose command is the portal's bootstrap (the program's text follows on standard input) or an installed program
(a forced command) becomes one conversation: bytes between the SSH session and a socket pair, and a thread that serves
the other end as `drportal-site` would serve its standard input and output.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import os
import shlex
import socket
import threading
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import asyncssh

from drportal.lab.embedded.library import LabLibrary
from drportal.lab.embedded.shell import Shell
from drportal.site_program.assemble import INSTALLED_BY_HAND, installer_text, program_text
from drportal.site_program.installer import answer
from drportal.site_program.serve import Input, Output, Server, settings_of
from drportal.site_program.wire import Json

Process = asyncssh.SSHServerProcess[bytes]
Look = Callable[[list[Json]], list[Json]]
_CHUNK = 1 << 16
_MARK = b"DR Portal's program at a site."


@dataclass(frozen=True, slots=True)
class Start:
    """How a command starts the program. `text_bytes`: of the packed text that is still to be read; 0: it lies here."""

    arguments: list[str]
    text_bytes: int = 0
    text: bytes = b""


def recognised(command: str, home: Path) -> Start | None:
    """The program that a command starts, if it is one. `home`: of the login, where an installed program must lie."""
    try:
        argv = shlex.split(command)
    except ValueError:
        return None
    match argv:
        case ["sh", "-c", _, boot, size, *arguments] if "drportal-site" in boot and size.isdigit():
            return Start(arguments, int(size))
        case [_, "-I", place, *arguments] if place == INSTALLED_BY_HAND:
            return Start(arguments, text=program_text().encode())
        case [_, "-I", file, *arguments] if Path(file).is_relative_to(home) and Path(file).is_file():
            return Start(arguments, text=Path(file).read_bytes())
    return None


def installed(command: str, home: Path) -> str | None:
    """What the installer prints when this command runs it, after it has done its work in `home`; None: it does not."""
    try:
        argv = shlex.split(command)
    except ValueError:
        return None
    match argv:
        case ["sh", "-c", _, boot, request, text] if "drportal-installer" in boot:
            if _unpacked(text) != installer_text():
                return None
            return answer(_unpacked(request), str(home)) + "\n"
    return None


def _unpacked(word: str) -> str:
    return zlib.decompress(base64.b64decode(word)).decode()


class Conversation:
    """One session of the site program. `state` is the site's record, whatever the arguments say about its place;
    `look`: how this host sees other addresses."""

    def __init__(self, process: Process, shell: Shell, state: Path, look: Look) -> None:
        self._process = process
        self._state = state
        self._look = look
        loop = asyncio.get_running_loop()
        self._library = LabLibrary(shell, loop, process.channel.get_connection().abort)
        self._ended = asyncio.Event()
        address, port = process.channel.get_extra_info("peername")[:2]
        self._client = f"{address} {port} 22"

    async def hold(self, start: Start) -> None:
        """To its end. Acts go on when the connection drops, as they do at a site; cancelled, it is a killed process."""
        try:
            text = start.text or await self._received(start.text_bytes)
        except (asyncio.IncompleteReadError, asyncssh.Error, zlib.error, OSError):
            self._exit(3, "the program did not arrive")
            return
        if _MARK not in text[:400]:
            self._exit(1, "The lab runs the site program and no other text.")
            return
        await self._converse(start.arguments, hashlib.sha256(text).hexdigest())

    async def _received(self, size: int) -> bytes:
        return zlib.decompress(await self._process.stdin.readexactly(size))

    def _exit(self, status: int, words: str = "") -> None:
        with contextlib.suppress(OSError, asyncssh.Error):
            if words:
                self._process.stderr.write(f"{words}\n".encode())
            self._process.exit(status)

    async def _converse(self, arguments: list[str], text_hash: str) -> None:
        try:
            settings = settings_of(_without_engine(arguments))._replace(state=str(self._state))
        except SystemExit:
            self._exit(2, "drportal-site: these arguments are wrong")
            return
        ours, theirs = socket.socketpair()
        woken, wake = os.pipe()
        loop = asyncio.get_running_loop()

        output = Output(theirs.fileno())

        def serve() -> None:
            try:
                server = Server(settings, output, text_hash, self._library, self._client)
                server.look = self._look
                server.serve(Input(theirs.fileno(), woken))
            finally:
                output.end()
                theirs.close()
                loop.call_soon_threadsafe(self._ended.set)

        thread = threading.Thread(target=serve, name="site-program", daemon=True)
        reader, writer = await asyncio.open_connection(sock=ours)
        thread.start()
        told = asyncio.create_task(_pumped(reader, self._process.stdout))
        asked = asyncio.create_task(self._pumped_in(writer))
        try:
            await self._ended.wait()
            await told
            self._exit(0)
        finally:
            self._library.end()
            os.write(wake, b"!")
            for pump in (asked, told):
                pump.cancel()
            await asyncio.gather(self._ended.wait(), asked, told, return_exceptions=True)
            writer.close()
            for end in (woken, wake):
                os.close(end)

    async def _pumped_in(self, sink: asyncio.StreamWriter) -> None:
        """The session's end, however it comes about, is the end of the program's input."""
        with contextlib.suppress(OSError, asyncssh.Error):
            while data := await self._process.stdin.read(_CHUNK):
                sink.write(data)
                await sink.drain()
        with contextlib.suppress(OSError):
            sink.write_eof()


async def _pumped(source: asyncio.StreamReader, sink: asyncssh.SSHWriter[bytes]) -> None:
    """To the end of `source`, even when nobody listens any more: the program must not stop at a full pipe."""
    gone = False
    while data := await source.read(_CHUNK):
        try:
            if not gone:
                sink.write(data)
                await sink.drain()
        except (OSError, asyncssh.Error):
            gone = True


def _without_engine(arguments: list[str]) -> list[str]:
    """The lab has one engine of its own, whatever is asked for."""
    kept: list[str] = []
    for before, word in zip(["", *arguments], arguments, strict=False):
        if word != "--engine" and before != "--engine" and not word.startswith("--engine="):
            kept.append(word)
    return kept
