"""The conversation with a site's program: one SSH session, JSON lines both ways (``docs/site-program.md``).

Knows requests and answers, not what they mean. One session serves any number of requests at once; it is opened when
first needed and again when it was lost. A request whose answer is missing is never sent again by this module.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import itertools
import json
import shlex
import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import asyncssh

from drportal.drivers.errors import Unreachable
from drportal.drivers.leaks import without_keys
from drportal.drivers.ssh_line import Line, SshTarget

PROTOCOL = 1
START_LIMIT_S = 30.0
LINE_LIMIT_BYTES = 64 * 1024 * 1024
NOISE_LIMIT_BYTES = 64 * 1024
NO_PYTHON = 127

# Reads exactly its own text, so that the first request is not swallowed with it.
_BOOT = """\
import hashlib,os,sys,zlib
n=int(sys.argv[1])
z=b""
while len(z)<n:
    b=os.read(0,n-len(z))
    if not b: sys.exit(3)
    z+=b
t=zlib.decompress(z)
sys.argv=["drportal-site"]+sys.argv[2:]
exec(compile(t,"drportal-site","exec"),{"__name__":"__main__","TEXT_SHA256":hashlib.sha256(t).hexdigest()})
"""
# The system's own Python first: it is the one that has python3-rados and python3-rbd.
FIND_PYTHON = (
    "for p in /usr/bin/python3 /usr/libexec/platform-python python3; do "
    'command -v "$p" >/dev/null 2>&1 && exec "$p" -I -c "$0" "$@"; done; exit 127'
)


Taker = Callable[[dict[str, Any]], None]


class NoProgram(Unreachable):
    """The site has no Python 3 to run the program with. Nothing was sent; plain ``rbd`` over SSH may still work."""


class AnswerLost(Exception):
    """A request was sent, and its answer did not come. What became of it is not known."""


@dataclass(frozen=True, slots=True)
class Installed:
    """The key's forced command runs the program; what we ask to run there is ignored."""

    command: str = "drportal-site"
    opening: bytes = b""


def sent(text: str, arguments: tuple[str, ...] = ()) -> Installed:
    """The way that installs nothing: a bootstrap as the command, the program's text on its standard input."""
    packed = zlib.compress(text.encode(), 9)
    return Installed(shlex.join(["sh", "-c", FIND_PYTHON, _BOOT, str(len(packed)), *arguments]), packed)


@dataclass(frozen=True, slots=True)
class Hello:
    """What the program said of itself. ``raw``: all of it."""

    engine: str
    ceph: str | None
    program: str
    sha256: str
    rights: str
    raw: dict[str, Any] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Reply:
    """The last line of an answer, with the ``images`` and ``receipts`` of the lines before it joined in (without images
    that somebody took as they came).
    """

    content: dict[str, Any]
    started_at: dt.datetime
    duration_s: float


class _Session(asyncssh.SSHClientSession[bytes]):
    """The program's side of the session: cuts what it prints into lines and hands them to who waits."""

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self.channel: asyncssh.SSHClientChannel[bytes] | None = None
        self.hello: asyncio.Future[dict[str, Any]] = loop.create_future()
        self.waiting: dict[str, asyncio.Future[dict[str, Any]]] = {}
        self.takers: dict[str, Taker] = {}
        self.heard = time.monotonic()
        self.exit_status: int | None = None
        self.ended = False
        self._parts: dict[str, dict[str, Any]] = {}
        self._kept = bytearray()
        self._errors = bytearray()
        self._noise = 0

    def connection_made(self, chan: asyncssh.SSHClientChannel[bytes]) -> None:
        self.channel = chan

    def data_received(self, data: bytes, datatype: asyncssh.DataType) -> None:
        if datatype == asyncssh.EXTENDED_DATA_STDERR:
            self._errors += data[: max(0, 4096 - len(self._errors))]
            return
        self.heard = time.monotonic()
        self._kept += data
        if b"\n" not in data:
            if len(self._kept) > LINE_LIMIT_BYTES:
                self.abort()
            return
        *lines, rest = self._kept.split(b"\n")
        self._kept = bytearray(rest)
        for line in lines:
            self._line(bytes(line))

    def _line(self, line: bytes) -> None:
        try:
            content = json.loads(without_keys(line.decode()))
            if not isinstance(content, dict):
                raise ValueError("not an object")
        except ValueError:
            self._noise += len(line) + 1
            # A login shell's banner comes before hello; after it, or without end, it is no conversation.
            if self.hello.done() or self._noise > NOISE_LIMIT_BYTES:
                self.abort()
            return
        if not self.hello.done():
            if content.get("hello") == "drportal-site":
                self.hello.set_result(content)
            return
        self._answer(content)

    def _answer(self, content: dict[str, Any]) -> None:
        number = str(content.get("id"))
        parts = self._parts.setdefault(number, {})
        if number in self.takers and "images" in content:
            self._hand_over(number, content.pop("images"))
        for name, empty in (("images", {}), ("receipts", [])):
            if name in content:
                joined = parts.setdefault(name, type(empty)())
                joined.update(content[name]) if isinstance(joined, dict) else joined.extend(content[name])
        if content.get("more"):
            return
        waiting = self.waiting.pop(number, None)
        self.takers.pop(number, None)
        content.update(self._parts.pop(number))
        if waiting is not None and not waiting.done():
            waiting.set_result(content)

    def _hand_over(self, number: str, images: dict[str, Any]) -> None:
        try:
            self.takers[number](images)
        except Exception as error:  # it is who asked that must hear of it, not the connection
            self.takers[number] = lambda _: None
            waiting = self.waiting.pop(number, None)
            if waiting is not None and not waiting.done():
                waiting.set_exception(error)

    def exit_status_received(self, status: int) -> None:
        self.exit_status = status

    def connection_lost(self, exc: Exception | None) -> None:
        self.ended = True
        if not self.hello.done():
            words = without_keys(self._errors.decode("utf-8", "replace")).strip().splitlines()[-1:]
            self.hello.set_exception(_not_started(self.exit_status, words[0] if words else "", exc))
            self.hello.exception()  # seen, also when nobody waits for it any more
        for waiting in self.waiting.values():
            if not waiting.done():
                waiting.set_exception(AnswerLost("the connection was lost"))
        self.waiting.clear()

    def abort(self) -> None:
        self.ended = True
        if self.channel is not None:
            self.channel.abort()

    def send(self, number: str, line: bytes) -> asyncio.Future[dict[str, Any]]:
        """From here on the request may be carried out."""
        assert self.channel is not None
        waiting: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self.waiting[number] = waiting
        try:
            self.channel.write(line)
        except OSError:  # asyncssh: the channel is not open for sending any more
            self.waiting.pop(number, None)
            self.ended = True
            raise
        return waiting


def _not_started(exit_status: int | None, words: str, error: Exception | None) -> Exception:
    if exit_status == NO_PYTHON:
        return NoProgram(
            "The host has no Python 3, so the site program can't run there. Nothing was sent. "
            "Install it, or let the portal reach Ceph through the rbd client (the site's settings)."
        )
    why = words or str(error or "") or (f"exit {exit_status}" if exit_status is not None else "it hung up")
    return Unreachable(f"The site program did not start: {why}. Nothing was sent.")


@dataclass(slots=True)
class _Start:
    """What ``Line.start`` needs (``ssh_line.Command``)."""

    command: str
    last_refusal: str = ""
    waiting_for: str = ""
    session: _Session | None = None

    @property
    def sent(self) -> bool:
        return self.session is not None

    def collect(self) -> asyncssh.SSHClientSession[bytes]:
        self.session = _Session()
        return self.session


class SiteLink:
    """One site's program, reached by one SSH connection with one session. Not thread-safe: lives in one event loop."""

    def __init__(self, target: SshTarget, way: Installed) -> None:
        self.target = target
        self._way = way
        self._line = Line(target, 1)
        self._session: _Session | None = None
        self._opening: asyncio.Task[_Session] | None = None
        self._numbers = itertools.count(1)
        self._hello: Hello | None = None

    async def hello(self) -> Hello:
        """What the program says of itself, opening the session if need be.

        Raises Unreachable, NoProgram, IdentityChanged.
        """
        await self._open_session()
        assert self._hello is not None
        return self._hello

    async def ask(self, verb: str, fields: dict[str, Any], *, deadline_s: float, images: Taker | None = None) -> Reply:
        """One request and its answer, whether ``ok`` or not. ``images``: takes those of each line as it comes, so that
        ten thousand of them are never in memory at once.

        Raises Unreachable or IdentityChanged while nothing was sent, AnswerLost from then on, and what ``images`` does.
        """
        session = await self._in_time(deadline_s)
        number = str(next(self._numbers))
        line = json.dumps({"v": PROTOCOL, "id": number, "verb": verb, **fields}, separators=(",", ":")).encode() + b"\n"
        started_at, started = dt.datetime.now(dt.UTC), time.monotonic()
        if images is not None:
            session.takers[number] = images
        try:
            waiting = session.send(number, line)
        except OSError as exc:
            session.takers.pop(number, None)
            raise Unreachable(f"The connection to {self.target.name} had ended. Nothing was sent.") from exc
        try:
            async with asyncio.timeout(deadline_s):
                content = await waiting
        except TimeoutError:
            if session.heard < started:
                self._drop(session)
            raise AnswerLost(f"no answer within {deadline_s:g} s") from None
        finally:
            session.waiting.pop(number, None)
            session.takers.pop(number, None)
        return Reply(content, started_at, time.monotonic() - started)

    async def _in_time(self, deadline_s: float) -> _Session:
        try:
            async with asyncio.timeout(deadline_s):
                return await self._open_session()
        except TimeoutError:
            raise Unreachable(
                f"{self.target.name} can't be reached within {deadline_s:g} s. Nothing was sent."
            ) from None

    def _drop(self, session: _Session) -> None:
        """It has not said a word since we asked. What it carries out goes on there; we ask again on a new one."""
        if session is self._session:
            self._session = None
            session.abort()

    async def _open_session(self) -> _Session:
        """The session, or a new one. Callers share one attempt; one that gives up doesn't end it."""
        if self._session is not None and not self._session.ended:
            return self._session
        if self._opening is None:
            self._opening = asyncio.get_running_loop().create_task(self._start())
            self._opening.add_done_callback(self._opened)
        return await asyncio.shield(self._opening)

    def _opened(self, task: asyncio.Task[_Session]) -> None:
        self._opening = None
        if not task.cancelled() and task.exception() is None:
            self._session = task.result()

    async def _start(self) -> _Session:
        start = _Start(self._way.command)
        try:
            async with asyncio.timeout(START_LIMIT_S):
                await self._line.start(start)
                session = start.session
                assert session is not None and session.channel is not None
                if self._way.opening:
                    session.channel.write(self._way.opening)
                self._hello = _understood(await session.hello)
                return session
        except TimeoutError:
            if start.session is not None:
                start.session.abort()
            raise Unreachable(
                f"The site program of {self.target.name} did not start within {START_LIMIT_S:.0f} s. Nothing was sent."
            ) from None
        except OSError as exc:
            raise Unreachable(
                f"The site program of {self.target.name} did not start: {exc}. Nothing was sent."
            ) from exc

    async def close(self) -> None:
        """Hang up. Acts that were begun go on at the site, and their receipts are kept there."""
        if self._opening is not None:
            self._opening.cancel()
        if self._session is not None:
            self._session.abort()
        await self._line.close()


def _understood(said: dict[str, Any]) -> Hello:
    """Raises Unreachable: a program that we can't speak with, or that can't keep its record."""
    if "error" in said:
        raise Unreachable(f"The site program can't work there: {said['error'].get('text', '')} Nothing was sent.")
    try:
        lowest, highest = said["protocol"]
        if not lowest <= PROTOCOL <= highest:
            raise Unreachable(
                f"The site program speaks versions {lowest} to {highest} of the protocol, this portal {PROTOCOL}. "
                "Nothing was sent. Install the program that belongs to this portal."
            )
        ceph = said["ceph"]
        return Hello(
            engine=str(said["engine"]),
            ceph=str(ceph) if ceph is not None else None,
            program=str(said["program"]),
            sha256=str(said["sha256"]),
            rights=str(said["rights"]),
            raw=said,
        )
    except (KeyError, TypeError, ValueError) as exc:
        raise Unreachable("The site program's hello can't be read. Nothing was sent.") from exc
