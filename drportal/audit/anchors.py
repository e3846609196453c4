"""Heads of the chain, noted outside the portal on a schedule: the one thing that shows a tail that was cut off.

``DRPORTAL_ANCHORS`` names the places (``anchor_places.py`` writes to them), blanks between them.
Before a head is noted, what came since the last one is verified: a broken chain is not vouched for.
"""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Container, Iterable, Mapping
from dataclasses import replace
from itertools import chain
from pathlib import Path
from urllib.parse import urlsplit

from django.conf import settings
from django.utils import timezone

from drportal.audit.anchor_places import WRITERS, to_service
from drportal.audit.check import head, verify_database, verify_since
from drportal.audit.models import TrailAnchor
from drportal.audit.verify import GENESIS, Broken, Verification, anchors_of_file

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
    lost = losses()
    try:
        known = heads(without=lost)
        found = verify_since(*max(known.items(), default=(0, GENESIS)))
        fault = "" if found.ok else found.sentence
    except Broken as error:
        fault = str(error)
    if fault:
        logger.error("the trail is not whole: %s", fault)
        said = f"Not noted, because the chain does not hold: {fault}"
        return [keep(place, newest, now, False, said) for place in wanted]
    good = (found.head_seq, found.head_hash)
    return [
        keep(place, newest, now, False, f"Not noted: {lost[place]}") if place in lost else note(place, good, now)
        for place in wanted
    ]


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


def verify_against_noted(also: Mapping[int, str] | None = None) -> tuple[Verification, int]:
    """Walk the whole chain, and hold it against every head that was noted: in the files (which are outside the
    database), in our own rows, and ``also``. With the number of heads.

    Raises Broken where heads contradict each other.
    """
    known = joined([heads().items(), (also or {}).items()])
    found = verify_database(known)
    if found.ok:  # what is wrong with the chain is the worse news
        for sentence in losses().values():
            return replace(found, ok=False, sentence=sentence), len(known)
    return found, len(known)


def heads(without: Container[str] = ()) -> dict[int, str]:
    """Every head that was noted; ``without`` the files at those places. Raises Broken.

    A file counts whether or not a row of ours vouches for it: rows are where whoever cut the trail can reach them too.
    """
    files = [heads_of_file(place).items() for place in file_places() if place not in without]
    return joined([*files, TrailAnchor.objects.filter(ok=True).values_list("seq", "hash").distinct()])


def joined(sources: Iterable[Iterable[tuple[int, str]]]) -> dict[int, str]:
    found: dict[int, str] = {}
    for seq, digest in chain.from_iterable(sources):
        if found.setdefault(seq, digest) != digest:
            raise Broken(f"Two hashes were noted for entry {seq}. The chain was written anew in between.")
    return found


def losses() -> dict[str, str]:
    """Files that do not hold any more what our own rows say was noted there, each with a sentence. They are not begun
    anew: that would hide it."""
    found = {}
    for place in file_places():
        rows = TrailAnchor.objects.filter(place=shown(place), ok=True).values_list("seq", flat=True)
        try:
            missing = set(rows) - set(heads_of_file(place))
        except Broken as error:
            found[place] = str(error)
            continue
        if missing:
            what = f"lacks entry {max(missing)}" if path_of(place).exists() else "is gone"
            found[place] = (
                f"{path_of(place)}, where heads of the trail were noted, {what}. "
                "Put the file back from a copy, or name another one in DRPORTAL_ANCHORS."
            )
    return found


def file_places() -> list[str]:
    return [place for place in places() if "://" not in place and place.startswith("file:")]


def path_of(place: str) -> Path:
    return Path(place.partition(":")[2])


def heads_of_file(place: str) -> dict[int, str]:
    """None where nothing was noted yet. Raises Broken."""
    path = path_of(place)
    try:
        return anchors_of_file(path) if path.exists() else {}
    except OSError as error:
        raise Broken(f"{path}, where heads of the trail are noted, cannot be read: {error}.") from None
