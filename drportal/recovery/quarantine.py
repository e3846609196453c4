"""Return quarantine in rows: begun by a forced promotion, looked after by the poller, ended by what was observed."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable

from django.utils import timezone

from drportal.audit.record import record
from drportal.engine.plans import RunKind
from drportal.engine.quarantine import Outlook, calm_since, over, refusal
from drportal.engine.states import ACTIVE_RUN, StepState
from drportal.engine.steps import StepKind
from drportal.events import publish
from drportal.inventory.models import Site
from drportal.recovery.made_primary import made_primary
from drportal.recovery.models import Approval, ProtectionGroup, Quarantine, Run, Voice
from drportal.recovery.recorder import Change

FENCE_IT = "Fence it first"
_YES = (Voice.Word.YES, Voice.Word.GLASS)


def begun(run_id: int, image_key: str, at: dt.datetime) -> Change:
    """In the transaction of a forced promotion's intent: before it is sent, the other copy is suspect."""

    def change() -> None:
        run = Run.objects.select_related("source_site").get(pk=run_id)
        row, new = Quarantine.objects.get_or_create(
            group_id=run.group_id,
            site_id=run.source_site_id,
            cleared_at=None,
            defaults={"run": run, "began_at": at, "begun_by": _who(run)},
        )
        row.images.add(int(image_key))
        # It answers no more than a moment ago; what was seen of it before proves nothing about now.
        Quarantine.objects.filter(pk=row.pk).update(calm_since=None)
        if new:
            payload = {"quarantine": row.pk, "site": run.source_site.slug, "group": run.group.name}
            record(
                "quarantine.begin", _named(row), payload, actor=run.requested_name, run_id=run.pk, site=row.site.slug
            )
            _tell(row)

    return change


def _who(run: Run) -> str:
    said = Voice.objects.filter(approval__run=run, word__in=_YES).order_by("pk").values_list("name", flat=True)
    yes = ", ".join(dict.fromkeys(said)) or "nobody"
    alone = Approval.objects.filter(run=run, glass=True).exists()
    return f"{yes} alone (break-glass)" if alone else f"{run.requested_name} asked, {yes} said yes"


def _named(row: Quarantine) -> str:
    return f"{row.group.name} at {row.site.slug}"


def _tell(row: Quarantine) -> None:
    plan = getattr(row.group, "plan", None)
    for topic in ("overview", "runs", *([f"plan:{plan.pk}"] if plan else [])):
        publish(topic)


def open_quarantines(group: ProtectionGroup | None = None) -> list[Quarantine]:
    rows = Quarantine.objects.filter(cleared_at=None).select_related("group__plan", "site", "run")
    return list(rows if group is None else rows.filter(group=group))


def why_not(group: ProtectionGroup, kind: RunKind, target: Site, vm_ids: Iterable[int] | None = None) -> str:
    """Why a quarantine forbids such a run; empty when none does. ``vm_ids``: count only the images of these VMs."""
    for row in open_quarantines(group):
        suspects = row.images.all()
        if vm_ids is not None:
            suspects = suspects.filter(disks__vm__in=list(vm_ids))
        if not suspects.exists():
            continue
        lost = target.pk == row.site_id
        if why := refusal(kind, row.site.name, target_is_lost=lost, contact=row.first_contact_at is not None):
            return why
    return ""


def returned(group: ProtectionGroup) -> Quarantine | None:
    """An open one whose site has been heard of again."""
    return next((row for row in open_quarantines(group) if row.first_contact_at is not None), None)


def headline(row: Quarantine) -> str:
    """Of one whose site is back: what is known, the worst first."""
    since = f"since {row.first_contact_at:%F %T} UTC" if row.first_contact_at else "again"
    back = f"{row.site.name} is back {since}; it was lost when {row.group.name} was forced away from it."
    if row.signs:
        more = f" And {len(row.signs) - 1} more like it." if len(row.signs) > 1 else ""
        return f"{back} {row.signs[0]['sentence']}{more}"
    if row.unread:
        return f"{back} {row.unread} of its images and VMs there could not be read yet."
    return f"{back} Nothing is seen to run or to be writable there."


def next_act(row: Quarantine) -> str:
    """Of one whose site is back: what to do first. Fenced is only what was read and shows no sign."""
    fenced = row.contact_at is not None and row.looked_at is not None and not row.signs and not row.unread
    return "Make its copies anew (Reprotect)" if fenced else FENCE_IT


# --- the poller's look


def contact(row: Quarantine, answers: bool, now: dt.datetime) -> None:
    """Within a transaction: whether the lost site answers in this round."""
    if not answers:
        if row.contact_at is not None:
            row.contact_at = row.calm_since = None
            row.save(update_fields=["contact_at", "calm_since"])
        return
    if row.contact_at is not None:
        return
    first = row.first_contact_at is None
    row.contact_at, row.first_contact_at = now, row.first_contact_at or now
    row.save(update_fields=["contact_at", "first_contact_at"])
    if first:
        record(
            "quarantine.contact",
            _named(row),
            {"quarantine": row.pk, "at": now},
            actor="poller",
            run_id=row.run_id,
            site=row.site.slug,
        )
        _tell(row)


def looked(row: Quarantine, seen: Outlook, now: dt.datetime) -> None:
    """Within a transaction: what a look at the returned site showed."""
    signs = [{"kind": sign.kind.value, "subject": sign.subject, "sentence": sign.sentence} for sign in seen.signs]
    if seen.unread:
        # What was seen before and not read again since holds: silence resolves nothing.
        again = {(sign["kind"], sign["subject"]) for sign in signs}
        signs += [sign for sign in row.signs if (sign["kind"], sign["subject"]) not in again]
    news = signs != row.signs
    row.signs, row.unread, row.looked_at = signs, seen.unread, now
    row.calm_since = calm_since(row.calm_since, seen, now)
    row.save(update_fields=["signs", "unread", "looked_at", "calm_since"])
    if news:
        payload = {"quarantine": row.pk, "signs": [sign["sentence"] for sign in signs]}
        record("quarantine.signs", _named(row), payload, actor="poller", run_id=row.run_id, site=row.site.slug)
        _tell(row)
    if over(row.calm_since, now):
        said = f"{row.site.name} has nothing that runs or can be written, and each image follows, for a minute now."
        _clear(row, now, _last_reprotect(row), said, "poller")


def drop_those_never_forced(row: Quarantine, now: dt.datetime) -> bool:
    """Within a transaction: once its run is over, images whose forced promotion surely never took effect are no
    suspects: at the lost site they are what counts. True when none is left, and the quarantine is over."""
    if row.run.state in {state.value for state in ACTIVE_RUN}:
        return False
    images = {str(image.pk): image for image in row.images.all()}
    made = made_primary(images)
    never = [image for key, image in images.items() if key not in made or made[key].site_id == row.site_id]
    if not never:
        return False
    row.images.remove(*never)
    if row.images.exists():
        return False
    _clear(row, now, row.run, "No forced promotion took effect: nothing at the lost site is suspect.", "poller")
    return True


def settled(run_id: int) -> Change:
    """When a disaster failover ends."""

    def change() -> None:
        for row in Quarantine.objects.filter(run_id=run_id, cleared_at=None).select_related("group", "site", "run"):
            drop_those_never_forced(row, timezone.now())

    return change


def _last_reprotect(row: Quarantine) -> Run | None:
    runs = Run.objects.filter(group_id=row.group_id, kind=RunKind.REPROTECT.value, finished_at__isnull=False)
    return runs.filter(pk__gt=row.run_id).order_by("-pk").first()


def _clear(row: Quarantine, now: dt.datetime, run: Run | None, how: str, actor: str) -> None:
    row.cleared_at, row.cleared_by, row.cleared_how, row.signs = now, run, how, []
    row.save(update_fields=["cleared_at", "cleared_by", "cleared_how", "signs"])
    payload = {"quarantine": row.pk, "how": how}
    record(
        "quarantine.clear", _named(row), payload, actor=actor, run_id=run.pk if run else row.run_id, site=row.site.slug
    )
    _tell(row)


# --- the end by a run


def ended_by(run_id: int) -> Change:
    """When a reprotect ends: images that it saw whole and following again, and whose VM it saw off, are out of it."""

    def change() -> None:
        run = Run.objects.select_related("source_site").get(pk=run_id)
        done = run.steps.filter(kind=StepKind.IMAGE_FOLLOWS.value, state=StepState.SUCCEEDED.value)
        follow = {int(step.params["image"]) for step in done}
        off = run.steps.filter(kind=StepKind.VM_STOP_RETURNED.value, state=StepState.SUCCEEDED.value)
        stopped = {int(step.params["vm"]) for step in off}
        for row in open_quarantines(run.group):
            if row.site_id != run.source_site_id:
                continue
            out = row.images.filter(pk__in=follow, disks__vm__in=stopped).distinct()
            row.images.remove(*out)
            if not row.images.exists():
                said = "Each image was seen whole again and following, and each VM off."
                _clear(row, timezone.now(), run, said, run.requested_name)

    return change
