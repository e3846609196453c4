"""What the sites refused at their program's door: fetched by the poller, kept, and told when it was not ours.

The portal's own requests are refused too, by right: an act whose image has changed meanwhile, or what an older program
does not know. Everything else was sent by somebody who has a key of the portal's and is not the portal.
"""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import replace

from django.db import transaction

from drportal.audit.record import record
from drportal.drivers.refusals import Refusals, RefusedGroup
from drportal.engine.facts import Side
from drportal.inventory.installed import pools_sentence, skew_sentence
from drportal.inventory.models import CephThrough, Site, SitePair
from drportal.recovery.models import StepAttempt
from drportal.watch.models import RefusalRecord, RefusedRequests

ASK_EVERY = dt.timedelta(minutes=1)
TOLD_FOR = dt.timedelta(hours=1)  # after the last one was heard of
MOST_ROWS = 200  # of a site
IN_TRAIL = 20  # groups in one entry
# What the portal itself may hear from a program that is not its own, or whose keys reach other pools.
_OF_SKEW = ("bad-request", "unknown-verb", "version", "not-allowed")
# Ends of acts, or of the program's own: without an operation's id nobody can say whose they were.
_OF_ACTS = (
    *("barred", "busy", "ending", "internal", "no-receipt", "not-found", "precondition", "receipts-full", "refused"),
    *("stale-fence", "storage", "too-long", "unreachable"),
)
_OLDER = ("bad-request", "unknown-verb", "line-too-long")  # of what a program before 1.5 noted, without key and ids
_KEY = {"read": "the key that observes", "act": "the key that acts", "": "a key"}
WORDS = {
    "bad-request": "no request, or a name or value that is not allowed",
    "line-too-long": "a line that is too long",
    "version": "another version of the protocol",
    "unknown-verb": "something that the site program does not do",
    "not-allowed": "what this key may not do, or in another pool",
    "conflict": "an operation id that was used for something else",
    "precondition": "an act on an image that was not as expected",
    "stale-fence": "an act with a fencing number that is over",
    "internal": "the site program failed",
}


def word_of(code: str) -> str:
    return WORDS.get(code, code)


def refused_since(pair: SitePair, now: dt.datetime) -> dict[Side, int]:
    """From where on to ask; only of sites that are due and keep such a record."""
    sites = {pair.a_id: Side.A, pair.b_id: Side.B}
    rows = {row.site_id: row for row in RefusalRecord.objects.filter(site__in=sites)}
    keeping = Site.objects.filter(pk__in=sites).exclude(ceph_through=CephThrough.RBD).values_list("pk", flat=True)
    found = {pk: rows.get(pk, RefusalRecord()) for pk in keeping}
    due = now - ASK_EVERY
    return {sites[pk]: row.since for pk, row in found.items() if row.asked_at is None or row.asked_at < due}


@transaction.atomic
def refusals_keep(site: Site, told: Refusals, now: dt.datetime) -> int:
    """Write down what a site told; how many requests were not this portal's."""
    row, _ = RefusalRecord.objects.select_for_update().get_or_create(site=site)
    if row.since != told.since:
        return 0  # the other pair of this site was quicker
    first_time = row.asked_at is None
    row.since, row.asked_at, row.own_address = told.following, now, told.own_address
    if first_time:  # of what was before nobody can say whose it was: the portal may have had another database
        row.begun_at = now
        row.save()
        return 0
    row.uncounted += told.more
    row.incomplete_at = row.incomplete_at if told.whole else now
    row.save()
    strange: list[RefusedGroup] = []
    for group in told.groups:
        not_ours = strange_count(site, group, told.own_address)
        if not_ours:
            strange.append(replace(group, count=not_ours))
            _count(site, strange[-1], now, strange=True)
        if not_ours < group.count:
            _count(site, replace(group, count=group.count - not_ours), now, strange=False)
    if strange or told.more or not told.whole:
        _note(site, strange, told)
    old = RefusedRequests.objects.filter(site=site).values_list("pk", flat=True)[MOST_ROWS:]
    RefusedRequests.objects.filter(pk__in=list(old)).delete()
    return sum(group.count for group in strange) + told.more


def strange_count(site: Site, group: RefusedGroup, own_address: str) -> int:
    """How many of them this portal has not sent. An operation of ours is known by its id, and has one content only."""
    if not group.ops and (group.code in _OF_ACTS if group.rights else group.code not in _OLDER):
        return 0
    if group.ops and group.code != "conflict":
        known = known_operations(site, group.ops)
        return 0 if known == len(group.ops) else max(1, group.count - known)
    ours = group.address == own_address and group.code in _OF_SKEW
    return 0 if ours and (skew_sentence(site) or pools_sentence(site)) else group.count


def known_operations(site: Site, ops: Sequence[str]) -> int:
    ids = set()
    for op in ops:
        try:
            ids.add(uuid.UUID(op))
        except ValueError:
            continue  # none of ours
    return StepAttempt.objects.filter(step__site=site, operation_id__in=ids).count()


def _count(site: Site, group: RefusedGroup, now: dt.datetime, *, strange: bool) -> None:
    about = {"code": group.code, "rights": group.rights, "address": group.address, "strange": strange}
    newest = {"last_at": group.last_at, "heard_at": now, "text": group.text, "line": group.line}
    row, new = RefusedRequests.objects.get_or_create(
        site=site, **about, defaults={"count": group.count, "first_at": group.first_at, **newest}
    )
    if not new:
        RefusedRequests.objects.filter(pk=row.pk).update(count=row.count + group.count, **newest)


def _note(site: Site, strange: Sequence[RefusedGroup], told: Refusals) -> None:
    groups = [
        {
            "code": group.code, "count": group.count, "key": group.rights, "address": group.address,
            "first_at": group.first_at, "last_at": group.last_at, "text": group.text, "line": group.line,
        }
        for group in strange[:IN_TRAIL]
    ]  # fmt: skip
    count = sum(group.count for group in strange) + told.more
    payload = {"count": count, "refused": groups, "more": told.more, "whole": told.whole}
    record("site.refused", site.slug, payload, actor="portal", site=site.slug)


def strangers(now: dt.datetime) -> Iterator[tuple[Site, str]]:
    """Each site at which somebody who is not this portal was refused lately, with a sentence."""
    rows = RefusedRequests.objects.filter(strange=True, heard_at__gt=now - TOLD_FOR).select_related("site")
    found: dict[int, list[RefusedRequests]] = {}
    for row in rows.order_by("site", "-last_at"):
        found.setdefault(row.site_id, []).append(row)
    for of_site in found.values():
        yield of_site[0].site, strangers_sentence(of_site[0].site, of_site)


def strangers_sentence(site: Site, rows: Sequence[RefusedRequests]) -> str:
    """``rows``: at least one, the newest first."""
    newest, count = rows[0], sum(row.count for row in rows)
    begun = min(row.first_at for row in rows)
    sent = f"{count} requests that this portal has not sent were" if count > 1 else "A request was"
    not_ours = "" if count > 1 else " that this portal has not sent"
    by_portal = site.ceph_through == CephThrough.INSTALLED and bool(site.program.get("lines"))
    install = f"`manage.py site install {site.slug}`"
    mend = f"{install} changes both keys" if by_portal else f"{install} makes keys of its own, for this portal alone"
    where = f" from {newest.address}" if newest.address else ""
    return (
        f"{sent} refused at {site.name}{not_ours} since {begun:%F %T} UTC, the last{where} with "
        f"{_KEY.get(newest.rights, 'a key')}: {word_of(newest.code)}. Somebody else has that key, or can run the site "
        f"program there. Find out who; {mend}."
    )
