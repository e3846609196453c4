"""Heads of the chain, noted outside the portal on a schedule: the one thing that shows a tail that was cut off.

``DRPORTAL_ANCHORS`` names the places, blanks between them: ``file:/path`` (appended to; best on another host's disk),
``syslog:/dev/log``, ``syslog:host:port``, or an Apprise URL such as ``mailtos://user:password@host?to=auditor@…``.
Before a head is noted, what came since the last one is verified: a broken chain is not vouched for.
"""

from __future__ import annotations

import datetime as dt
import json
import logging
import os
import socket
from collections.abc import Callable
from logging.handlers import SYSLOG_UDP_PORT, SysLogHandler
from pathlib import Path
from urllib.parse import urlsplit

import apprise
from django.conf import settings
from django.utils import timezone

from drportal.audit.check import head, verify_since
from drportal.audit.models import TrailAnchor
from drportal.audit.record import time_text
from drportal.audit.verify import GENESIS, Broken, anchors_of_file

DEADLINE_S = 10
logger = logging.getLogger(__name__)


def interval_s() -> float:
    return float(settings.ANCHOR_INTERVAL_S)


def places() -> list[str]:
    """As they are set: with secrets. ``shown`` is what may be kept and seen."""
    return list(settings.ANCHORS)


def shown(place: str) -> str:
    """An Apprise URL without its secrets."""
    kind, mark, _ = place.partition("://")
    return f"{kind}://{urlsplit(place).hostname or '…'}" if mark else place


def latest(place: str | None = None, *, ok: bool | None = None) -> TrailAnchor | None:
    rows = TrailAnchor.objects.all()
    if place is not None:
        rows = rows.filter(place=shown(place))
    if ok is not None:
        rows = rows.filter(ok=ok)
    return rows.first()


def due(now: dt.datetime) -> bool:
    """Whether some place was not tried for an interval, and the head is not the one that it knows."""
    newest = head()
    return bool(newest[0]) and any(place_is_due(place, now, newest[0]) for place in places())


def place_is_due(place: str, now: dt.datetime, newest: int) -> bool:
    last = latest(place)
    if last is None:
        return True
    old = now - last.at >= dt.timedelta(seconds=interval_s())
    return old and not (last.ok and last.seq == newest)


def anchor_due() -> list[TrailAnchor]:
    """Note the head at every place that is due. A place that fails is said so, and tried again an interval later."""
    newest = head()
    now = timezone.now()
    wanted = [place for place in places() if place_is_due(place, now, newest[0])]
    if not wanted or not newest[0]:
        return []
    known = latest(ok=True)
    found = verify_since(known.seq, known.hash) if known else verify_since(0, GENESIS)
    if not found.ok:
        logger.error("the trail is not whole: %s", found.sentence)
        said = f"Not noted, because the chain does not hold: {found.sentence}"
        return [keep(place, newest, now, False, said) for place in wanted]
    return [note(place, (found.head_seq, found.head_hash), now) for place in wanted]


def note(place: str, newest: tuple[int, str], now: dt.datetime) -> TrailAnchor:
    kind, _, where = place.partition(":")
    try:
        if "://" in place:
            to_service(place, newest, now)
        elif kind in WRITERS:
            WRITERS[kind](where, newest, now)
        else:
            raise ValueError(f"“{kind}” is no kind of place")
    except Exception as error:  # a full disk, a refusing mail server: whatever it is, it is said and tried again
        logger.warning("the trail's head was not noted at %s: %s", shown(place), error)
        return keep(place, newest, now, False, f"Not noted: {type(error).__name__}: {error}")
    return keep(place, newest, now, True, "Noted.")


def keep(place: str, newest: tuple[int, str], now: dt.datetime, ok: bool, sentence: str) -> TrailAnchor:
    return TrailAnchor.objects.create(
        at=now, place=shown(place), seq=newest[0], hash=newest[1], ok=ok, sentence=sentence
    )


def to_file(where: str, newest: tuple[int, str], now: dt.datetime) -> None:
    line = json.dumps({"seq": newest[0], "hash": newest[1], "at": time_text(now)}) + "\n"
    descriptor = os.open(where, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o640)
    try:
        os.write(descriptor, line.encode())
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def to_syslog(where: str, newest: tuple[int, str], now: dt.datetime) -> None:
    host, _, port = where.rpartition(":")
    address: str | tuple[str, int] = where
    if not where.startswith("/"):
        address = (host, int(port)) if host else (where, SYSLOG_UDP_PORT)
    handler = _Syslog(address, facility=SysLogHandler.LOG_AUTHPRIV, socktype=socket.SOCK_DGRAM)
    handler.ident = "drportal: "
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


WRITERS: dict[str, Callable[[str, tuple[int, str], dt.datetime], None]] = {"file": to_file, "syslog": to_syslog}


def noted() -> dict[int, str]:
    """Every head that was noted, from the files (which are outside the database) and from our own rows.

    Raises Broken where they contradict each other, or where a file that was written is gone.
    """
    found: dict[int, str] = {}
    for place in places():
        kind, _, where = place.partition(":")
        if kind != "file" or latest(place, ok=True) is None:
            continue
        if not Path(where).exists():
            raise Broken(f"{where}, where heads of the trail were noted, is gone.")
        found |= anchors_of_file(Path(where))
    for seq, digest in TrailAnchor.objects.filter(ok=True).values_list("seq", "hash").distinct():
        if found.setdefault(seq, digest) != digest:
            raise Broken(f"Two hashes were noted for entry {seq}. The chain was written anew in between.")
    return found
