"""The ``Shell`` of a site: commands over SSH, with the host key pinned and the end of every command accounted for.

A cut connection does not stop a remote command, and a killed ``rbd`` leaves its image blocked for up to half a minute
with the outcome open. So reads run under ``timeout`` at the site and are dropped at their deadline, while acts are left
to end by themselves: not signalled, their channel not closed, their session slot taken until they are done.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import shlex
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import asyncssh

from drportal.drivers.base import Answer
from drportal.drivers.errors import OutcomeUnknown, Unreachable
from drportal.drivers.leaks import without_keys
from drportal.drivers.ssh_line import SESSIONS_PER_CONNECTION, Line, SshTarget, shown_key

__all__ = ["HostKey", "SshShell", "SshTarget", "host_key_fingerprints"]

QUEUE_LIMIT_S = 60.0
OUTPUT_LIMIT_BYTES = 4 * 1024 * 1024
# How long `timeout -k` waits after its TERM before the KILL. The answer is of no use any more, but the process ends.
KILL_AFTER_S = 5


class _Collector(asyncssh.SSHClientSession[bytes]):
    """Receives what one remote command prints and how it ends. Drops output past the limit; the command goes on."""

    def __init__(self) -> None:
        self.channel: asyncssh.SSHClientChannel[bytes] | None = None
        self.stdout = bytearray()
        self.stderr = bytearray()
        self.exit_status: int | None = None
        self.exit_signal: str | None = None
        self.ended: asyncio.Future[Exception | None] = asyncio.get_running_loop().create_future()

    def connection_made(self, chan: asyncssh.SSHClientChannel[bytes]) -> None:
        self.channel = chan

    def data_received(self, data: bytes, datatype: asyncssh.DataType) -> None:
        into = self.stderr if datatype == asyncssh.EXTENDED_DATA_STDERR else self.stdout
        room = OUTPUT_LIMIT_BYTES - len(self.stdout) - len(self.stderr)
        into += data[: max(0, room)]

    def exit_status_received(self, status: int) -> None:
        self.exit_status = status

    def exit_signal_received(self, signal: str, core_dumped: bool, msg: str, lang: str) -> None:
        self.exit_signal = signal

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.ended.done():
            self.ended.set_result(exc)


@dataclass(slots=True, eq=False)
class _Flight:
    """One command on its way. ``collector`` exists from the moment in which the command may have left this machine."""

    command: str
    started_at: dt.datetime = field(default_factory=lambda: dt.datetime.now(dt.UTC))
    started: float = field(default_factory=time.monotonic)
    waiting_for: str = "a free session"
    admitted: asyncio.Event = field(default_factory=asyncio.Event)
    collector: _Collector | None = None
    last_refusal: str = ""

    @property
    def sent(self) -> bool:
        return self.collector is not None

    def collect(self) -> _Collector:
        """asyncssh asks for the session once the channel is open, immediately before it sends the command."""
        self.collector = _Collector()
        self.started_at, self.started = dt.datetime.now(dt.UTC), time.monotonic()
        return self.collector


class SshShell:
    """A login at a site. At most ``sessions`` commands at once, 8 to a connection (sshd's MaxSessions is 10)."""

    def __init__(self, target: SshTarget, *, sessions: int = SESSIONS_PER_CONNECTION) -> None:
        if sessions < 1:
            raise ValueError("an SSH shell needs at least one session")
        self.target = target
        whole, rest = divmod(sessions, SESSIONS_PER_CONNECTION)
        self._lines = [Line(target, size) for size in [SESSIONS_PER_CONNECTION] * whole + [rest] * (rest > 0)]
        self._flying: set[asyncio.Task[None]] = set()
        self._abandoned: dict[asyncio.Task[None], str] = {}

    @property
    def unfinished_acts(self) -> tuple[str, ...]:
        """Acts whose caller gave up waiting and which, as far as is known, still go on at the site."""
        return tuple(self._abandoned.values())

    async def read(self, argv: Sequence[str], *, deadline_s: float = 10.0) -> Answer:
        """See ``Shell.read``. ``deadline_s`` counts from the moment a session is free, connecting included.

        Standing in our own queue says nothing about the site: it has a limit of its own (``QUEUE_LIMIT_S``).
        """
        at_site_s = max(1, int(deadline_s) - 1)
        flight = _Flight(shlex.join(["timeout", "-k", str(KILL_AFTER_S), str(at_site_s), *argv]))
        task = self._launch(flight)
        try:
            await self._admission(task, flight)
            await asyncio.wait({task}, timeout=deadline_s if flight.admitted.is_set() else 0)
        finally:
            if not task.done():
                task.cancel()
                if flight.collector is not None and flight.collector.channel is not None:
                    flight.collector.channel.abort()
        if task.done():
            task.result()
        answer = self._answer(flight)
        if answer.exit_status is not None:
            return answer
        if task.done():
            raise Unreachable(
                f"The connection to {self.target.name} ended before the answer came. Nothing was changed.", answer
            )
        raise Unreachable(self._why_no_answer(flight, deadline_s), answer)

    async def act(self, argv: Sequence[str], *, patience_s: float = 90.0) -> Answer:
        """See ``Shell.act``. Cancelling the caller leaves a sent command running; one not yet sent is dropped."""
        flight = _Flight(shlex.join(argv))
        task = self._launch(flight)
        try:
            await asyncio.wait({task}, timeout=patience_s)
        finally:
            if not task.done():
                self._leave_running(task, flight)
        if not flight.sent:
            if task.done():
                task.result()
            raise Unreachable(self._why_no_answer(flight, patience_s), self._answer(flight))
        if not task.done():
            raise OutcomeUnknown(
                f"`{flight.command}` was sent to {self.target.name} and has not ended after {patience_s:g} s. "
                "It was left running. Wait until it has ended, then read the image's role.",
                self._answer(flight),
            )
        return self._ended_act(task, flight)

    async def _admission(self, task: asyncio.Task[None], flight: _Flight) -> None:
        admitted = asyncio.get_running_loop().create_task(flight.admitted.wait())
        try:
            await asyncio.wait({task, admitted}, timeout=QUEUE_LIMIT_S, return_when=asyncio.FIRST_COMPLETED)
        finally:
            admitted.cancel()

    def _leave_running(self, task: asyncio.Task[None], flight: _Flight) -> None:
        if not flight.sent:
            task.cancel()
            return
        self._abandoned[task] = flight.command
        task.add_done_callback(lambda done: self._abandoned.pop(done, None))

    def _ended_act(self, task: asyncio.Task[None], flight: _Flight) -> Answer:
        error = task.exception()
        if error is not None and not isinstance(error, Unreachable):
            raise error
        answer = self._answer(flight)
        if answer.exit_status is None or error is not None:
            assert flight.collector is not None
            signal = flight.collector.exit_signal
            how = f"was ended by signal {signal}" if signal else "lost its connection"
            raise OutcomeUnknown(
                f"`{flight.command}` was sent to {self.target.name} and {how} before it reported its end. "
                "It may still go on there. Read the image's role before anything else.",
                answer,
            )
        return answer

    async def close(self) -> None:
        """Drop the connections. Commands that were sent go on at the site."""
        for task in self._flying:
            task.cancel()
        await asyncio.gather(*self._flying, return_exceptions=True)
        for line in self._lines:
            await line.close()

    def _launch(self, flight: _Flight) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(self._fly(flight))
        self._flying.add(task)
        task.add_done_callback(self._landed)
        return task

    def _landed(self, task: asyncio.Task[None]) -> None:
        self._flying.discard(task)
        if not task.cancelled():
            task.exception()  # marks it as seen: an act that nobody waits for any more must not warn

    async def _fly(self, flight: _Flight) -> None:
        """Send the command and stay until it ends. Raises Unreachable or IdentityChanged while nothing was sent."""
        # A further connection is opened only when the ones before it are full.
        free = (line for line in self._lines if line.load < 1)
        line = next(free, None) or min(self._lines, key=lambda line: line.load)
        async with line.session():
            flight.waiting_for = "the connection"
            flight.admitted.set()
            await line.start(flight)
            assert flight.collector is not None
            await flight.collector.ended

    def _answer(self, flight: _Flight) -> Answer:
        said = flight.collector
        return Answer(
            command=flight.command,
            host=self.target.name,
            exit_status=said.exit_status if said else None,
            stdout=without_keys(said.stdout.decode("utf-8", "replace")) if said else "",
            stderr=without_keys(said.stderr.decode("utf-8", "replace")) if said else "",
            started_at=flight.started_at,
            duration_s=time.monotonic() - flight.started,
        )

    def _why_no_answer(self, flight: _Flight, limit_s: float) -> str:
        if flight.sent:
            return f"{self.target.name} did not answer within {limit_s:g} s. Nothing was changed."
        why = f" ({flight.last_refusal})" if flight.last_refusal else ""
        return (
            f"The command was not sent to {self.target.name}: still waiting for {flight.waiting_for} after "
            f"{limit_s:g} s{why}. Nothing was changed."
        )


@dataclass(frozen=True, slots=True)
class _Address:
    host: str
    port: int


@dataclass(frozen=True, slots=True)
class HostKey:
    """A key that a server showed; nobody has vouched for it yet. ``fingerprint`` as by ``ssh-keygen -l``: SHA256:…"""

    line: str
    fingerprint: str
    type_word: str


# One question per family: a server shows only one key per connection, the first of our list that it has.
_KEY_FAMILIES = (
    ("ssh-ed25519",),
    ("ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521"),
    ("ssh-rsa",),
)


async def host_key_fingerprints(host: str, port: int, *, deadline_s: float = 15.0) -> list[HostKey]:
    """The host keys that the server shows, trusting none: for a person to compare with what the site's owner says.

    Raises Unreachable if no key could be had within ``deadline_s``.
    """
    found: list[HostKey] = []
    name = f"{host}:{port}"
    address = _Address(host, port)
    try:
        async with asyncio.timeout(deadline_s):
            for family in _KEY_FAMILIES:
                key = await shown_key(address, family)
                if key is not None:
                    line = key.export_public_key("openssh").decode().strip()
                    found.append(HostKey(line, key.get_fingerprint("sha256"), key.get_algorithm()))
    except TimeoutError:
        if not found:
            raise Unreachable(f"{name} did not show a host key within {deadline_s:.0f} s.") from None
    except (OSError, asyncssh.Error) as exc:
        raise Unreachable(f"{name} did not show a host key: {exc}.") from exc
    if not found:
        raise Unreachable(f"{name} showed no host key of a kind the portal accepts (ed25519, ecdsa, rsa with SHA-2).")
    return found
