"""One SSH connection to a site: opened when first needed, with the host key pinned, and again when it was lost."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import asyncssh

from drportal.drivers.errors import DriverError, IdentityChanged, Unreachable

SESSIONS_PER_CONNECTION = 8
CONNECT_TIMEOUT_S = 5.0
LOGIN_TIMEOUT_S = 10.0
KEEPALIVE_INTERVAL_S = 15
KEEPALIVE_COUNT = 3
# After a failed connect the next ones fail at once for this long: 40 steps must not storm a server that has just gone.
BACKOFF_S = (0.5, 1.0, 2.0, 4.0)
# A server that refuses a channel has other clients' sessions open; ours was not opened, so asking again is harmless.
SESSION_RETRIES_S = (0.2, 0.5, 1.0, 2.0)


@dataclass(frozen=True, slots=True)
class SshTarget:
    """Where to log in, as whom, and which host keys are the site's own (OpenSSH public key lines)."""

    host: str
    port: int
    user: str
    private_key: str = field(repr=False)
    host_keys: tuple[str, ...]

    @property
    def name(self) -> str:
        return self.host if self.port == 22 else f"{self.host}:{self.port}"


class Address(Protocol):
    """Where a server listens."""

    @property
    def host(self) -> str: ...
    @property
    def port(self) -> int: ...


class Command(Protocol):
    """What ``Line.start`` needs of a command: ``collect`` is called immediately before the command is sent."""

    command: str
    last_refusal: str
    waiting_for: str

    @property
    def sent(self) -> bool: ...
    def collect(self) -> asyncssh.SSHClientSession[bytes]: ...


class _Pinned(asyncssh.SSHClient):
    """Remembers the key of a server that showed one we do not know, and refuses it."""

    offered: asyncssh.SSHKey | None = None

    def validate_host_public_key(self, host: str, addr: str, port: int, key: asyncssh.SSHKey) -> bool:
        self.offered = key
        return False


class Line:
    """One connection and its session slots. Not thread-safe: lives in one event loop."""

    def __init__(self, target: SshTarget, size: int) -> None:
        self._target = target
        self._slots = asyncio.Semaphore(size)
        self._size = size
        self.load = 0.0
        self._connection: asyncssh.SSHClientConnection | None = None
        self._opening: asyncio.Task[asyncssh.SSHClientConnection] | None = None
        self._failures = 0
        self._not_before = 0.0
        self._last_error: DriverError | None = None

    @contextlib.asynccontextmanager
    async def session(self) -> AsyncIterator[None]:
        """A session slot. ``load`` counts those taken and those waited for, in units of the line's size."""
        self.load += 1 / self._size
        try:
            async with self._slots:
                yield
        finally:
            self.load -= 1 / self._size

    async def start(self, command: Command) -> None:
        """Open a channel and send the command, once. Raises Unreachable, IdentityChanged; if ``sent``, it may run."""
        retries = list(SESSION_RETRIES_S)
        while True:
            connection = await self.connection()
            command.waiting_for = "a session of the SSH server"
            try:
                await connection.create_session(
                    command.collect, command.command, encoding=None, env={}, send_env=(), request_pty=False
                )
                return
            except (asyncssh.Error, OSError) as exc:
                command.last_refusal = str(exc) or type(exc).__name__
                if command.sent or not retries:
                    raise Unreachable(
                        f"{self._target.name} did not start the command: {command.last_refusal}."
                    ) from exc
                if not connection.is_closed():
                    await asyncio.sleep(retries.pop(0))
                else:
                    retries = retries[:1]  # the connection had died unseen: one more try on a new one

    async def connection(self) -> asyncssh.SSHClientConnection:
        """The open connection, or a new one. Callers share one attempt; one that gives up doesn't end it."""
        if self._connection is not None and not self._connection.is_closed():
            return self._connection
        if self._opening is None:
            loop = asyncio.get_running_loop()
            if self._last_error is not None and loop.time() < self._not_before:
                raise type(self._last_error)(self._last_error.detail)
            self._opening = loop.create_task(self._open())
            self._opening.add_done_callback(self._opened)
        return await asyncio.shield(self._opening)

    def _opened(self, task: asyncio.Task[asyncssh.SSHClientConnection]) -> None:
        self._opening = None
        if task.cancelled():
            return
        error = task.exception()
        if error is None:
            self._connection, self._failures, self._last_error = task.result(), 0, None
            return
        self._last_error = error if isinstance(error, DriverError) else None
        delay = BACKOFF_S[min(self._failures, len(BACKOFF_S) - 1)]
        self._failures += 1
        self._not_before = asyncio.get_running_loop().time() + delay

    async def _open(self) -> asyncssh.SSHClientConnection:
        target, client = self._target, _Pinned()
        pinned = _pinned_keys(target)
        try:
            return await asyncssh.connect(
                # Named as well: asyncssh would ask the socket, and one whose peer has just gone can't say.
                target.host,
                target.port,
                sock=await opened_socket(target.host, target.port),
                client_factory=lambda: client,
                username=target.user,
                client_keys=[asyncssh.import_private_key(target.private_key)],
                known_hosts=(pinned, [], []),
                preferred_auth="publickey",
                password=None,
                # The service user's own ~/.ssh must never decide where we connect or with what.
                config=None,
                agent_path=None,
                connect_timeout=LOGIN_TIMEOUT_S,
                login_timeout=LOGIN_TIMEOUT_S,
                keepalive_interval=KEEPALIVE_INTERVAL_S,
                keepalive_count_max=KEEPALIVE_COUNT,
            )
        except asyncssh.HostKeyNotVerifiable as exc:
            raise self._identity_changed(pinned, client.offered) from exc
        except asyncssh.PermissionDenied as exc:
            raise Unreachable(
                f"{target.name} refused the portal's key for user {target.user!r}. Nothing was sent. "
                "Check the user and its authorized keys there."
            ) from exc
        except (asyncssh.DisconnectError, ConnectionResetError) as exc:
            # Perhaps the server no longer has a key of the pinned kind; either end may notice first and hang up.
            raise await self._hung_up(pinned, exc) from exc
        except asyncssh.KeyImportError as exc:
            raise Unreachable(f"The portal's private key for {target.name} can't be used: {exc}.") from exc
        except TimeoutError as exc:
            raise Unreachable(f"{target.name} did not complete the login within {LOGIN_TIMEOUT_S:.0f} s.") from exc
        except (OSError, asyncssh.Error) as exc:
            raise Unreachable(f"{target.name} can't be reached over SSH: {exc}. Nothing was sent.") from exc

    async def _hung_up(self, pinned: list[asyncssh.SSHKey], exc: Exception) -> DriverError:
        kinds = sorted({key.get_algorithm() for key in pinned})
        problem = Unreachable(f"{self._target.name} ended the SSH handshake: {exc}. Nothing was sent.")
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                shown = await shown_key(self._target, kinds) or await shown_key(self._target, ())
        except (OSError, asyncssh.Error):
            return problem
        return problem if shown is None or shown in pinned else self._identity_changed(pinned, shown)

    def _identity_changed(self, pinned: list[asyncssh.SSHKey], offered: asyncssh.SSHKey | None) -> IdentityChanged:
        expected = " or ".join(key.get_fingerprint("sha256") for key in pinned)
        shown = offered.get_fingerprint("sha256") if offered is not None else "one that can't be read"
        return IdentityChanged(
            f"{self._target.name} showed the host key {shown}; pinned is {expected}. Nothing was sent. "
            "Somebody else may be answering at this address, or the host was set up anew: ask the site's owner."
        )

    async def close(self) -> None:
        if self._opening is not None:
            self._opening.cancel()
        if self._connection is not None:
            self._connection.abort()
            await self._connection.wait_closed()
            self._connection = None


def _pinned_keys(target: SshTarget) -> list[asyncssh.SSHKey]:
    try:
        keys = [asyncssh.import_public_key(line) for line in target.host_keys]
    except asyncssh.KeyImportError as exc:
        raise Unreachable(f"A pinned host key of {target.name} can't be read: {exc}. Nothing was sent.") from exc
    if not keys:
        raise Unreachable(f"No host key is pinned for {target.name}. Nothing was sent.")
    return keys


async def shown_key(target: Address, kinds: Sequence[str]) -> asyncssh.SSHKey | None:
    """The host key a server shows when asked for these kinds (none: any); None if it has none. Nothing is trusted.

    Raises OSError, asyncssh.Error.
    """
    # ssh-rsa as a kind of key has newer names as an algorithm.
    algorithms = [
        name for kind in kinds for name in (("rsa-sha2-512", "rsa-sha2-256") if kind == "ssh-rsa" else (kind,))
    ]
    sock = await opened_socket(target.host, target.port)
    try:
        return await asyncssh.get_server_host_key(
            target.host, target.port, sock=sock, server_host_key_algs=algorithms or (), config=None
        )
    except (asyncssh.KeyExchangeFailed, asyncssh.ConnectionLost, ConnectionResetError):
        # With no kind in common, either end may notice first and hang up.
        return None


async def opened_socket(host: str, port: int) -> socket.socket:
    """A connected TCP socket within CONNECT_TIMEOUT_S, trying the host's addresses in order. Raises OSError."""
    loop = asyncio.get_running_loop()
    failure: OSError = OSError(f"{host} has no address")
    try:
        async with asyncio.timeout(CONNECT_TIMEOUT_S):
            for family, kind, proto, _, address in await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM):
                sock = socket.socket(family, kind, proto)
                sock.setblocking(False)
                try:
                    await loop.sock_connect(sock, address)
                    return sock
                except OSError as exc:
                    sock.close()
                    failure = exc
                except BaseException:
                    sock.close()
                    raise
    except TimeoutError:
        raise OSError(f"no answer to a connect within {CONNECT_TIMEOUT_S:.0f} s") from None
    raise failure
