"""How a head of the trail is noted at a place: ``file:/path`` (appended to; best on another host's disk),
``syslog:/dev/log``, ``syslog:host:port`` (datagrams), ``syslog-tcp:host:port``, ``ssh:user@host:port`` (of the other
site, say), or an Apprise URL such as ``mailtos://user:password@host?to=auditor@…``. Each raises what went wrong.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import json
import logging
import os
import socket
from collections.abc import Callable
from logging.handlers import SYSLOG_UDP_PORT, SysLogHandler

import apprise
import asyncssh
from django.conf import settings

from drportal.audit.record import time_text

DEADLINE_S = 10
SYSLOG_NAME = "drportal: "
SSH_COMMAND = "drportal-anchor"  # what is asked for; the key's forced command decides


def line_of(newest: tuple[int, str], now: dt.datetime) -> str:
    return json.dumps({"seq": newest[0], "hash": newest[1], "at": time_text(now)}) + "\n"


def to_file(where: str, newest: tuple[int, str], now: dt.datetime) -> None:
    descriptor = os.open(where, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o640)
    try:
        os.write(descriptor, line_of(newest, now).encode())
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def to_syslog(where: str, newest: tuple[int, str], now: dt.datetime) -> None:
    host, _, port = where.rpartition(":")
    address: str | tuple[str, int] = where
    if not where.startswith("/"):
        address = (host, int(port)) if host else (where, SYSLOG_UDP_PORT)
    handler = _Syslog(address, facility=SysLogHandler.LOG_AUTHPRIV, socktype=socket.SOCK_DGRAM)
    handler.ident = SYSLOG_NAME
    try:
        handler.emit(logging.LogRecord("trail", logging.INFO, "", 0, f"trail head {newest[0]}:{newest[1]}", None, None))
    finally:
        handler.close()


class _Syslog(SysLogHandler):
    def handleError(self, record: logging.LogRecord) -> None:
        raise


def to_service(address: str, newest: tuple[int, str], now: dt.datetime) -> None:
    service = apprise.Apprise.instantiate(address, suppress_exceptions=True)
    if service is None:
        raise ValueError("this is no address that a message can go to")
    service.socket_connect_timeout = service.socket_read_timeout = DEADLINE_S
    text = (
        f"The trail of DR Portal stands at entry {newest[0]}, with the hash\n\n  {newest[0]}:{newest[1]}\n\n"
        f"at {time_text(now)}. Keep this message: with it, a tail that was cut off can be found\n"
        "(python3 verify.py EXPORT --head ...).\n"
    )
    if not service.notify(body=text, title=f"DR Portal: trail head {newest[0]}"):
        raise OSError("the message was not taken; the log says more")


def to_syslog_tcp(where: str, newest: tuple[int, str], now: dt.datetime) -> None:
    """One line on a connection (RFC 6587). Unlike a datagram, a listener that is not there is noticed."""
    host, _, port = where.rpartition(":")
    priority = SysLogHandler.LOG_AUTHPRIV << 3 | SysLogHandler.LOG_INFO
    with socket.create_connection((host.strip("[]"), int(port)), DEADLINE_S) as connection:
        connection.sendall(f"<{priority}>{SYSLOG_NAME}trail head {newest[0]}:{newest[1]}\n".encode())
        connection.shutdown(socket.SHUT_WR)
        with contextlib.suppress(TimeoutError):  # it may keep its side open; a refusal comes at once
            connection.recv(1)


def to_ssh(where: str, newest: tuple[int, str], now: dt.datetime) -> None:
    """``user@host:port``, with a key of its own whose forced command there appends its input to a file."""
    asyncio.run(_over_ssh(where, line_of(newest, now)))


async def _over_ssh(where: str, line: str) -> None:
    user, _, address = where.rpartition("@")
    host, _, port = address.rpartition(":") if ":" in address else (address, "", "22")
    if not settings.ANCHOR_SSH_KEY or not settings.ANCHOR_SSH_HOSTS:
        raise ValueError("DRPORTAL_ANCHOR_SSH_KEY and DRPORTAL_ANCHOR_SSH_HOSTS are not both set")
    async with asyncio.timeout(2 * DEADLINE_S):
        async with asyncssh.connect(
            host, int(port), username=user, config=None, agent_path=None,
            client_keys=[asyncssh.import_private_key(settings.ANCHOR_SSH_KEY)],
            known_hosts=asyncssh.import_known_hosts(settings.ANCHOR_SSH_HOSTS),
            connect_timeout=DEADLINE_S, login_timeout=DEADLINE_S,
        ) as connection:  # fmt: skip
            ran = await connection.run(SSH_COMMAND, input=line, check=False)
    if ran.exit_status != 0:
        raise OSError(f"the other end ended with {ran.exit_status}: {str(ran.stderr).strip()[:200]}")


WRITERS: dict[str, Callable[[str, tuple[int, str], dt.datetime], None]] = {
    "file": to_file, "syslog": to_syslog, "syslog-tcp": to_syslog_tcp, "ssh": to_ssh,
}  # fmt: skip
