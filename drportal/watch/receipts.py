"""Each site's receipts held against the trail: after every run, and each night.

What agrees is acknowledged to the site, which may forget it then. What does not is kept with both sides, written into
the trail, and shown until a person has settled it; the site goes on keeping its receipt meanwhile.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import logging
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from django.db import connections, transaction
from django.db.models import Q
from django.utils import timezone

from drportal.audit.record import record
from drportal.drivers.errors import DriverError
from drportal.drivers.site_program import SiteProgram
from drportal.engine.receipts import Difference, Kept, Sent, compared
from drportal.engine.states import TERMINAL_RUN
from drportal.errors import Conflict, Invalid, NotFound, PortalError
from drportal.events import publish
from drportal.inventory.connect import Reach, site_drivers
from drportal.inventory.models import CephThrough, Site, SitePair
from drportal.recovery.lease import FENCES_OF_A_RUN
from drportal.recovery.models import StepAttempt
from drportal.recovery.warrants import used_hashes
from drportal.watch.models import ReceiptDifference, SiteRecord

logger = logging.getLogger(__name__)
EVERY = dt.timedelta(hours=24)
AGAIN_AFTER_FAILURE = dt.timedelta(minutes=10)
ACTOR = "portal"
_VERBS = {
    "image.demote": "demote",
    "image.promote": "promote",
    "image.promote_again": "promote",
    "image.free": "free",
    "image.force_promote": "force-promote",
    "image.demote_returned": "demote",
    "image.resync": "resync",
    "image.salvage": "salvage-export",
    "image.keep": "salvage-copy",
    "image.shut_out": "fence",
    "image.let_in": "unfence",
}
_OF_CLIENTS = ("fence", "unfence")  # of a pool, not of an image
_TERMINAL = frozenset(state.value for state in TERMINAL_RUN)
Receipt = Mapping[str, Any]


@dataclass(slots=True)
class Comparison:
    """What one look at a site's receipts came to. ``agreed``: to be acknowledged. ``early``: to be told again."""

    agreed: list[Receipt] = field(default_factory=list)
    found: list[tuple[str, Difference, StepAttempt | None, Receipt | None]] = field(default_factory=list)
    early: list[int] = field(default_factory=list)


# ---- the two records


def kept_of(receipt: Receipt) -> Kept:
    image = receipt.get("image")
    return Kept(
        verb=str(receipt.get("verb")),
        source=f"{receipt.get('pool')}/{image}" if image is not None else str(receipt.get("pool")),
        command=str(receipt.get("shown")),
        group=str(receipt.get("group")),
        fence=int(receipt.get("fence") or 0),
        state=str(receipt.get("state")),
        how=str(receipt.get("how")),
        reason=str(receipt.get("reason")),
        approval=str(receipt.get("approval") or ""),
    )


def sent_of(attempt: StepAttempt) -> Sent:
    """``attempt`` with ``step.run.group``."""
    run, kind = attempt.step.run, attempt.step.kind
    verb = _VERBS.get(kind, kind)
    # The last word of a command is its image; the ones that free an image, shut clients out or keep a copy name these.
    named_otherwise = kind in ("image.free", "image.keep")
    source = attempt.step.subject if named_otherwise else attempt.command.rpartition(" ")[2]
    return Sent(
        verb=verb,
        source=attempt.step.subject.partition("/")[0] if verb in _OF_CLIENTS else source,
        command=attempt.command,
        group=run.group.token,
        fence=run.pk * FENCES_OF_A_RUN + attempt.fence,
        outcome=attempt.outcome,
        settled=run.state in _TERMINAL,
        told=_told(attempt),
        approvals=used_hashes(run.pk) if verb == "force-promote" else (),
    )


def _told(attempt: StepAttempt) -> bool:
    for answer in attempt.answers:
        try:
            said = json.loads(answer.get("stdout") or "")
        except ValueError:
            continue
        if isinstance(said, dict) and said.get("op") == str(attempt.operation_id) and said.get("state") == "done":
            return True
    return False


def _attempts(ops: Iterable[str]) -> dict[str, StepAttempt]:
    ids = []
    for op in ops:
        try:
            ids.append(uuid.UUID(op))
        except ValueError:
            continue  # no operation of ours
    rows = StepAttempt.objects.filter(operation_id__in=ids).select_related("step__run__group", "step__site")
    return {str(row.operation_id): row for row in rows}


def compare(site: Site, receipts: list[Receipt], after: dt.datetime | None, until: dt.datetime) -> Comparison:
    """``receipts``: all that changed since the last comparison or were early in it. It began at ``after`` (None: there
    was none), and this one at ``until``: what the portal has of later is judged by the next, when the site has told it.
    """
    comparison = Comparison()
    attempts = _attempts(str(receipt["op"]) for receipt in receipts)
    for receipt in receipts:
        attempt = attempts.get(str(receipt["op"]))
        if attempt is not None and attempt.step.site_id != site.pk:
            attempt = None
        later = attempt is not None and attempt.finished_at is not None and attempt.finished_at > until
        said = False if later else compared(sent_of(attempt) if attempt else None, kept_of(receipt))
        if said is True:
            comparison.agreed.append(receipt)
        elif said is False:
            comparison.early.append(int(receipt["change"]))
        else:
            comparison.found.append((str(receipt["op"]), said, attempt, receipt))
    for attempt in _without_receipt(site, {str(receipt["op"]) for receipt in receipts}, after, until):
        said = compared(sent_of(attempt), None)
        if isinstance(said, Difference):
            comparison.found.append((str(attempt.operation_id), said, attempt, None))
    return comparison


def _without_receipt(site: Site, told: set[str], after: dt.datetime | None, until: dt.datetime) -> list[StepAttempt]:
    """Acts that ended in that time, and of which the site has told nothing."""
    rows = StepAttempt.objects.filter(step__site=site, step__kind__in=list(_VERBS), finished_at__lte=until)
    if after is not None:
        rows = rows.filter(finished_at__gt=after)
    return [row for row in rows.select_related("step__run__group") if str(row.operation_id) not in told]


# ---- the work


def reconcile(site_id: int) -> str:
    """Ask one site, compare, keep, acknowledge. The sentence that the site's row keeps."""
    site = Site.objects.get(pk=site_id)
    row, _ = SiteRecord.objects.get_or_create(site=site)
    row.tried_at = timezone.now()
    row.save(update_fields=["tried_at"])
    if site.ceph_through == CephThrough.RBD:
        return _concluded(row, "This site is reached through the rbd client, which keeps no receipts.")
    try:
        with asyncio.Runner() as runner:
            return _asked(site, row, runner)
    except (DriverError, PortalError) as error:
        row.sentence = f"The receipts of {site.name} were not compared: {error.detail}"
        row.save(update_fields=["sentence"])
        logger.warning("%s", row.sentence)
        return row.sentence


def _asked(site: Site, row: SiteRecord, runner: asyncio.Runner) -> str:
    drivers = site_drivers(site, Reach(acts=True))
    try:
        program = drivers.ceph
        if not isinstance(program, SiteProgram):
            return _concluded(row, f"{site.name} is not reached through the site program, so it keeps no receipts.")
        started = timezone.now()
        receipts, since = runner.run(_all_since(program, row.since))
        comparison = _kept(site, row, receipts, since, started)
        settled = list(ReceiptDifference.objects.filter(site=site, settled_at__isnull=False, acknowledged=False))
        known = [*comparison.agreed, *(difference.theirs for difference in settled if difference.theirs)]
        runner.run(program.acknowledge([dict(receipt) for receipt in known if not receipt.get("acknowledged")]))
        ReceiptDifference.objects.filter(pk__in=[difference.pk for difference in settled]).update(acknowledged=True)
        return row.sentence
    finally:
        runner.run(drivers.close())


async def _all_since(program: SiteProgram, since: int) -> tuple[list[Receipt], int]:
    """Every receipt that changed after ``since``, each as it was told last; and where to go on."""
    found: dict[str, Receipt] = {}
    while True:
        page = await program.receipts(since)
        found.update({str(receipt["op"]): receipt for receipt in page.receipts})
        since = page.following
        if not page.more:
            return list(found.values()), since


@transaction.atomic
def _kept(site: Site, row: SiteRecord, receipts: list[Receipt], since: int, started: dt.datetime) -> Comparison:
    comparison = compare(site, receipts, row.compared_at, started)
    news = [difference_keep(site, *one) for one in comparison.found]
    row.since = min([since, *(change - 1 for change in comparison.early)])
    # What could not be judged yet will be told again, and nothing before it: so nothing before it is looked for again.
    row.compared_at = started
    open_now = ReceiptDifference.objects.filter(site=site, settled_at=None).count()
    row.sentence = (
        f"{len(receipts)} receipts since the last comparison: {len(comparison.agreed)} agree with the trail, "
        f"{len(comparison.early)} belong to acts that are not over; {open_now} differences are open."
    )
    row.save()
    if any(news):
        for topic in ("overview", "sites"):
            publish(topic)
    return comparison


def difference_keep(
    site: Site, operation_id: str, difference: Difference, attempt: StepAttempt | None, receipt: Receipt | None
) -> bool:
    """Write a difference down, once; whether it is new. Inside a transaction."""
    run = attempt.step.run if attempt else None
    row, new = ReceiptDifference.objects.get_or_create(
        site=site,
        operation_id=operation_id,
        word=difference.word.value,
        defaults={
            "sentence": difference.sentence,
            "ours": {**asdict(sent_of(attempt)), "step": attempt.step.key} if attempt else None,
            "theirs": dict(receipt) if receipt else None,
            "run": run,
            "found_at": timezone.now(),
        },
    )
    if new:
        payload = {"site": site.slug, "operation_id": operation_id, "word": row.word, "sentence": row.sentence}
        record(
            "receipt.differs",
            f"{site.name}: {operation_id}",
            {**payload, "ours": row.ours, "theirs": row.theirs},
            actor=ACTOR,
            run_id=run.pk if run else None,
            site=site.slug,
        )
    return new


def _concluded(row: SiteRecord, sentence: str) -> str:
    row.sentence, row.compared_at = sentence, row.tried_at
    row.save(update_fields=["sentence", "compared_at"])
    return sentence


# ---- a person's word


@transaction.atomic
def difference_settle(*, difference_id: int, because: str, actor: str) -> ReceiptDifference:
    """Close a difference with a reason. The next comparison lets the site forget its receipt."""
    if not because.strip():
        raise Invalid("Say what was found out. Nothing was changed.")
    row = ReceiptDifference.objects.select_related("site").select_for_update().filter(pk=difference_id).first()
    if row is None:
        raise NotFound(f"There is no difference {difference_id}.")
    if row.settled_at is not None:
        raise Conflict(f"It was settled by {row.settled_by} already. Nothing was changed.", code="already_settled")
    row.settled_at, row.settled_by, row.settled_because = timezone.now(), actor, because.strip()
    row.save(update_fields=["settled_at", "settled_by", "settled_because"])
    record(
        "receipt.settle",
        f"{row.site.name}: {row.operation_id}",
        {"word": row.word, "sentence": row.sentence, "because": row.settled_because},
        actor=actor,
        run_id=row.run_id,
        site=row.site.slug,
    )
    for topic in ("overview", "sites"):
        publish(topic)
    return row


# ---- when


def next_to_compare(now: dt.datetime) -> int | None:
    """The site whose receipts are due: a night has passed, or the last attempt failed a while ago."""
    paired = SitePair.objects.values_list("a_id", "b_id")
    sites = {site_id for pair in paired for site_id in pair}
    due = Q(record=None) | (
        (Q(record__compared_at=None) | Q(record__compared_at__lt=now - EVERY))
        & (Q(record__tried_at=None) | Q(record__tried_at__lt=now - AGAIN_AFTER_FAILURE))
    )
    keeping = Site.objects.exclude(ceph_through=CephThrough.RBD).filter(pk__in=sites)
    return keeping.filter(due).order_by("pk").values_list("pk", flat=True).first()


def compare_receipts(site_id: int) -> str:
    """The job."""
    connections.close_all()  # inherited over the fork: two processes must not share one connection
    return reconcile(site_id)
