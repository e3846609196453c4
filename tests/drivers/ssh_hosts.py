"""SSH servers that misbehave, in this process: what a driver has to live with, on demand."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import asyncssh

from drportal.drivers.ssh import SshTarget

Behaviour = Callable[["Host", "asyncssh.SSHServerProcess[str]"], Awaitable[None]]


@dataclass
class Host:
    """One server. ``started`` and ``ended``: the commands that ran there; ``most_channels``: on one connection."""

    port: int = 0
    logins: int = 0
    started: list[str] = field(default_factory=list)
    ended: list[str] = field(default_factory=list)
    signals: list[str] = field(default_factory=list)
    open_channels: int = 0
    most_channels: int = 0
    most_commands: int = 0
    refuse_channels: bool = False
    connections: list[asyncssh.SSHServerConnection] = field(default_factory=list)
    key: Any = None
    user_key: Any = None

    def target(self, **changes: Any) -> SshTarget:
        values: dict[str, Any] = {
            "host": "127.0.0.1",
            "port": self.port,
            "user": "drportal",
            "private_key": self.user_key.export_private_key().decode(),
            "host_keys": (self.key.export_public_key().decode(),),
        }
        return SshTarget(**(values | changes))

    def cut(self) -> None:
        for connection in self.connections:
            connection.abort()


def make_key(kind: str = "ssh-ed25519") -> Any:
    return asyncssh.generate_private_key(kind)


@contextlib.asynccontextmanager
async def ssh_host(behaviour: Behaviour, *, max_sessions: int = 100, key: Any = None) -> AsyncIterator[Host]:
    host = Host(key=key or make_key(), user_key=make_key())

    class Server(asyncssh.SSHServer):
        def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
            host.connections.append(conn)
            self.channels = 0

        def begin_auth(self, username: str) -> bool:
            return True

        def public_key_auth_supported(self) -> bool:
            return True

        def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
            return bool(key == host.user_key.convert_to_public())

        def auth_completed(self) -> None:
            host.logins += 1

        def session_requested(self) -> Any:
            if host.refuse_channels or self.channels >= max_sessions:
                raise asyncssh.ChannelOpenError(asyncssh.OPEN_RESOURCE_SHORTAGE, "open failed")
            self.channels += 1
            host.open_channels += 1
            host.most_channels = max(host.most_channels, self.channels)
            host.most_commands = max(host.most_commands, host.open_channels)
            return asyncssh.SSHServerProcess(lambda process: run(self, process), None, 3, True)

    async def run(server: Server, process: asyncssh.SSHServerProcess[str]) -> None:
        command = str(process.command)
        host.started.append(command)
        try:
            await behaviour(host, process)
        except asyncssh.SignalReceived as exc:
            host.signals.append(exc.signal)
        except (asyncssh.BreakReceived, asyncssh.TerminalSizeChanged, ConnectionError):
            pass
        finally:
            server.channels -= 1
            host.open_channels -= 1
            host.ended.append(command)

    server = await asyncssh.create_server(Server, "127.0.0.1", 0, server_host_keys=[host.key])
    host.port = server.get_port()
    try:
        yield host
    finally:
        host.cut()
        server.close()
        await server.wait_closed()


@contextlib.asynccontextmanager
async def silent_port() -> AsyncIterator[int]:
    """A server that accepts and never says a word."""
    held: list[asyncio.StreamWriter] = []

    async def hold(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        held.append(writer)

    server = await asyncio.start_server(hold, "127.0.0.1", 0)
    try:
        yield int(server.sockets[0].getsockname()[1])
    finally:
        for writer in held:
            writer.transport.abort()
        server.close()
        await server.wait_closed()
