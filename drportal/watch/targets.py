"""RPO targets: what was agreed for a group, and for the images in it."""

from __future__ import annotations

from django.db import transaction
from django.db.models import Min

from drportal.audit.record import record
from drportal.errors import NotFound
from drportal.events import publish
from drportal.recovery.models import ProtectionGroup
from drportal.recovery.targets import rpo_of
from drportal.watch.models import GroupTarget


def group_get(group_id: int) -> ProtectionGroup:
    group = ProtectionGroup.objects.select_related("pair", "target").filter(pk=group_id).first()
    if group is None:
        raise NotFound("This protection group is not known (any more).")
    return group


def target_set(*, actor: str, group_id: int, rpo_s: int | None) -> None:
    """``rpo_s`` None: nothing is agreed. The trail keeps what was before."""
    with transaction.atomic():
        group = group_get(group_id)
        before = rpo_of(group)
        if rpo_s is None:
            GroupTarget.objects.filter(group=group).delete()
        else:
            GroupTarget.objects.update_or_create(group=group, defaults={"rpo_s": rpo_s})
        record("group.rpo_target", group.name, {"before_s": before, "after_s": rpo_s}, actor=actor)
        publish("overview")


def targets_of_images(image_ids: list[int] | None = None) -> dict[int, int]:
    """Image id -> the strictest target of the groups that its VMs are in. None: of all images."""
    found = GroupTarget.objects.filter(group__members__vm__disks__image__isnull=False)
    if image_ids is not None:
        found = found.filter(group__members__vm__disks__image__in=image_ids)
    rows = found.values("group__members__vm__disks__image").annotate(strictest=Min("rpo_s"))
    return {row["group__members__vm__disks__image"]: row["strictest"] for row in rows}
