"""A site's SSH host: the login's authorized keys get in, and all they reach is the lab's shell and the site program.

The login has a home directory: `.ssh/authorized_keys` as sshd(8) reads it, forced commands included, and the site
program's record, which is as short-lived as the world that it speaks of.
"""

from __future__ import annotations

import asyncio
import logging
import shutil
from pathlib import Path

import asyncssh

from drportal.lab.embedded.door import Door
from drportal.lab.embedded.programs import Conversation, Look, Process, installed, recognised
from drportal.lab.embedded.rbd import Outcome
from drportal.lab.embedded.shell import Shell

MAX_SESSIONS = 10  # sshd_config(5) MaxSessions, per connection
USER = "drportal"

log = logging.getLogger(__name__)


class SshHost:
    """Listens behind a Door. The host key can be swapped for a wrong one, as a rebuilt or a false host would have."""

    def __init__(
        self,
        shell: Shell,
        host_key: asyncssh.SSHKey,
        client_key: asyncssh.SSHKey,
        home: Path,
        look: Look,
        options: str = "",
    ) -> None:
        """`look`: how it sees other addresses. `options`: what the client's key is restricted to, as in
        authorized_keys."""
        self.shell = shell
        self.look = look
        self.host_key = host_key
        self.home = home
        self.sessions_full = False
        self._client_key = f"{options} {client_key.export_public_key().decode()}".lstrip()
        self._wrong_key = asyncssh.generate_private_key("ssh-ed25519")
        self._listeners: list[asyncssh.SSHAcceptor] = []
        self._running: set[asyncio.Task[None]] = set()
        self.door = Door(0)

    async def start(self, port: int = 0) -> int:
        """Returns the port. Raises OSError if it is taken."""
        self._furnish()
        self.door.inner = await self._listen(self.host_key)
        return await self.door.open(port)

    @property
    def authorized_keys(self) -> Path:
        return self.home / ".ssh" / "authorized_keys"

    @property
    def state(self) -> Path:
        """The site program's receipts, fencing numbers and logs."""
        return self.home / ".drportal-site"

    def _furnish(self) -> None:
        shutil.rmtree(self.state, ignore_errors=True)
        self.authorized_keys.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        kept = self.authorized_keys.read_text() if self.authorized_keys.exists() else ""
        if self._client_key not in kept:
            self.authorized_keys.write_text(self._client_key + kept)
            self.authorized_keys.chmod(0o600)

    async def _listen(self, key: asyncssh.SSHKey) -> int:
        listener = await asyncssh.listen(
            "127.0.0.1",
            0,
            server_factory=lambda: _Connection(self),
            server_host_keys=[key],
            allow_scp=False,
            agent_forwarding=False,
            x11_forwarding=False,
            login_timeout=20,
            keepalive_interval=0,
            server_version="OpenSSH_9.2p1_Debian-2",
            config=None,
            encoding=None,
        )
        self._listeners.append(listener)
        return int(listener.get_port())

    async def use_wrong_key(self, wrong: bool) -> None:
        """Connections there are, are cut: a known host does not change its key in mid-conversation."""
        for listener in self._listeners:
            listener.close()
        self._listeners.clear()
        self.door.cut()
        self.door.inner = await self._listen(self._wrong_key if wrong else self.host_key)

    async def stop(self) -> None:
        await self.door.close()
        for listener in self._listeners:
            listener.close()
        for task in list(self._running):
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)

    async def serve(self, process: Process) -> None:
        """Answer one session. The command goes on when its connection is cut, as a real one does."""
        if process.command is None:
            process.stderr.write(b"The lab has no interactive shell; give a command.\n")
            process.exit(1)
            return
        start = recognised(process.command, self.home)
        if start is not None:
            task = asyncio.create_task(Conversation(process, self.shell, self.state, self.look).hold(start))
        else:
            task = asyncio.create_task(self._answer(process, process.command))
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        await asyncio.shield(task)

    async def _answer(self, process: Process, command: str) -> None:
        said = installed(command, self.home)
        outcome = await self.shell.run(command) if said is None else Outcome(0, said)
        if self.shell.take("command-succeeds-but-connection-drops", command):
            process.channel.get_connection().abort()
            return
        try:
            process.stdout.write(outcome.stdout.encode())
            process.stderr.write(outcome.stderr.encode())
            process.exit(outcome.exit_code)
        except (OSError, asyncssh.Error):
            log.info("the connection was gone before the answer to %r", command)


class _Session(asyncssh.SSHServerProcess[bytes]):
    """A session that tells its connection when it ends."""

    def __init__(self, connection: _Connection) -> None:
        super().__init__(connection.host.serve, None, 3, False)
        self._counted = connection

    def connection_lost(self, exc: Exception | None) -> None:
        self._counted.sessions -= 1
        super().connection_lost(exc)


class _Connection(asyncssh.SSHServer):
    def __init__(self, host: SshHost) -> None:
        self.host = host
        self.sessions = 0
        self._connection: asyncssh.SSHServerConnection | None = None

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        self._connection = conn

    def begin_auth(self, username: str) -> bool:
        assert self._connection is not None
        self._connection.set_authorized_keys([str(self.host.authorized_keys)] if username == USER else [])
        return True

    def password_auth_supported(self) -> bool:
        return False

    def public_key_auth_supported(self) -> bool:
        return True

    def session_requested(self) -> _Session | bool:
        if self.host.sessions_full or self.sessions >= MAX_SESSIONS:
            return False
        self.sessions += 1
        return _Session(self)
