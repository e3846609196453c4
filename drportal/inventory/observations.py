"""The raw answers kept as evidence: those whose content is news, thinned, and of a large pool each image's part.

In a round of ten thousand images nothing here may cost a query an image.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.db.models import F, Max, Window
from django.db.models.functions import RowNumber

from drportal.drivers.base import Answer
from drportal.inventory.bulk import batches
from drportal.inventory.models import Observation, Site
from drportal.inventory.packing import packed

KEEP_BULK = 200  # a site, of the answers that speak of a whole pool or front end
KEEP_OF_IMAGE = 4  # a site and image
OUTPUT_LIMIT = 256 * 1024
CLOUD_EVERY_S = 60.0  # OpenNebula's answers carry monitoring figures, so they are new each time
LARGE = 64 * 1024  # so is the status of a large pool, twice a minute
LARGE_EVERY_S = 600.0

Key = int  # of what was asked
Digest = bytes  # of what was answered: of ten thousand images no texts are kept


@dataclass(slots=True)
class Last:
    """What was kept last of each question to one site, and when, of those that are not kept each time they are new."""

    said: dict[Key, Digest] = field(default_factory=dict)
    at: dict[Key, dt.datetime] = field(default_factory=dict)


class Keeper:
    """Keeps raw answers whose content is news. One per process: it remembers what it kept last.

    What it remembers is ahead of the database when a transaction is rolled back: then make another.
    """

    def __init__(self) -> None:
        self._last: dict[int, Last] = {}
        self._said: dict[tuple[int, str], tuple[str, str]] = {}  # of images whose pool's status is cut

    def keep(self, site: Site, answers: Iterable[tuple[str, Answer]]) -> int:
        """Write what is new, and drop the oldest beyond what is kept. How many were written."""
        if site.pk not in self._last:
            self._last[site.pk] = newest_of(site)
        new: list[Observation] = []
        for subject, answer in answers:
            digest = hashlib.sha256((answer.stdout or answer.stderr).encode("utf-8", "replace")).hexdigest()
            kept = self._is_due(site, subject, answer, digest)
            if kept:
                new.append(observation(site, subject, answer, answer.stdout or answer.stderr, digest))
            if is_status(answer.command) and len(answer.stdout) > OUTPUT_LIMIT:
                new += self._parts(site, subject, answer, all_of_them=kept)
        Observation.objects.bulk_create(new, batch_size=500)
        thin(site, sorted({row.subject for row in new}))
        return len(new)

    def _is_due(self, site: Site, subject: str, answer: Answer, digest: str) -> bool:
        last, key, said = self._last[site.pk], _key(subject, answer.command), _short(digest)
        if last.said.get(key) == said:
            return False
        every_s = LARGE_EVERY_S if len(answer.stdout) > LARGE else CLOUD_EVERY_S if subject == "opennebula" else 0.0
        at = last.at.get(key)
        if at is not None and (answer.started_at - at).total_seconds() < every_s:
            return False
        last.said[key] = said
        if every_s or "/" not in subject:
            last.at[key] = answer.started_at
        return True

    def _parts(self, site: Site, pool: str, answer: Answer, *, all_of_them: bool) -> list[Observation]:
        """Of a status that is too long to be kept whole, each image's entry, in the place of the one before: of all
        images when the rest is kept, and in between of those of which something else is said.
        """
        parts = []
        for entry in status_entries(answer.stdout):
            subject = f"{pool}/{entry.get('name')}"
            said = (str(entry.get("state")), str(entry.get("description")).split(", {", 1)[0])
            if all_of_them or self._said.get((site.pk, subject)) != said:
                output = json.dumps(entry, indent=1)
                digest = hashlib.sha256(output.encode("utf-8", "replace")).hexdigest()
                parts.append(observation(site, subject, answer, output, digest))
            self._said[(site.pk, subject)] = said
        before = Observation.objects.filter(site=site, command=answer.command)
        for some in batches([part.subject for part in parts]):
            before.filter(subject__in=some).delete()
        return parts


def observation(site: Site, subject: str, answer: Answer, output: str, digest: str) -> Observation:
    return Observation(
        site=site,
        subject=subject[:300],
        command=answer.command,
        at=answer.started_at,
        duration_s=answer.duration_s,
        exit_status=answer.exit_status,
        sha256=digest,
        packed=packed(shortened(output)),
    )


def newest_of(site: Site) -> Last:
    """What was kept last of each subject and command, in one query."""
    kept = Observation.objects.filter(site=site).order_by()
    newest = kept.values("subject", "command").annotate(newest=Max("pk")).values("newest")
    rows = Observation.objects.filter(pk__in=newest).order_by()
    last = Last()
    for subject, command, sha256, at in rows.values_list("subject", "command", "sha256", "at").iterator():
        key = _key(subject, command)
        last.said[key] = _short(sha256)
        if "/" not in subject:
            last.at[key] = at
    return last


def _key(subject: str, command: str) -> Key:
    text = f"{subject[:300]}\n{command}".encode("utf-8", "replace")
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "big")


def _short(digest: str) -> Digest:
    return bytes.fromhex(digest[:32])


def thin(site: Site, subjects: Sequence[str]) -> None:
    """Drop the oldest of these subjects; of what speaks of no single image, the oldest of all."""
    if any("/" not in subject for subject in subjects):
        bulk = Observation.objects.filter(site=site).exclude(subject__contains="/").order_by("-at", "-pk")
        drop(list(bulk.values_list("pk", flat=True)[KEEP_BULK:]))
    place = Window(RowNumber(), partition_by=F("subject"), order_by=[F("at").desc(), F("pk").desc()])
    for some in batches([subject for subject in subjects if "/" in subject]):
        numbered = Observation.objects.filter(site=site, subject__in=some).annotate(place=place)
        drop(list(numbered.filter(place__gt=KEEP_OF_IMAGE).order_by().values_list("pk", flat=True)))


def drop(ids: Sequence[int]) -> None:
    for some in batches(ids):
        Observation.objects.filter(pk__in=some).delete()


def is_status(command: str) -> bool:
    """Whether it asks for the mirror status of a whole pool: by rbd, or by the site program (which tells its parts)."""
    return " mirror pool status " in command or command.endswith(" (status)")


def status_entries(output: str) -> Iterator[dict[str, Any]]:
    """The images' entries of a pool's status; none of one that is cut."""
    try:
        entries = json.loads(output).get("images", [])
    except (ValueError, AttributeError):
        return
    yield from (entry for entry in entries if isinstance(entry, dict))


def shortened(text: str) -> str:
    """Long outputs are cut, and say so; NUL, which PostgreSQL can't keep, is made visible."""
    clean = text.replace("\x00", "\ufffd")
    return clean if len(clean) <= OUTPUT_LIMIT else clean[:OUTPUT_LIMIT] + f"\n[cut: {len(clean)} characters in all]"
