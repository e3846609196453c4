"""The RPO target that was agreed for a group, beside the snapshot schedules with which it would have to be kept.

(It is set in ``watch/targets.py``, which also holds the exposure against it.)
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from drportal.engine.facts import Mode
from drportal.engine.schedule_gaps import SiteSchedule
from drportal.inventory.models import Site
from drportal.inventory.schedules import KnownSchedules
from drportal.recovery.models import ProtectionGroup
from drportal.recovery.plan_copy import PlanCopy
from drportal.recovery.world import utc_now

NAMED = 5


def rpo_of(group: ProtectionGroup) -> int | None:
    """Seconds; None: nothing was agreed."""
    target = getattr(group, "target", None)
    return target.rpo_s if target else None


def schedules_of(plan: PlanCopy, source: Site, target: Site) -> dict[str, tuple[SiteSchedule, SiteSchedule]]:
    """Image key -> its schedules at source and target, for images whose mode needs one."""
    known = KnownSchedules((source, target), utc_now())
    return {
        image.key: (known.at(source, image.pool, image.name), known.at(target, image.pool, image.name))
        for image in plan.images()
        if image.mode == Mode.SNAPSHOT.value
    }


def too_slow_after(plan: PlanCopy, group: ProtectionGroup, source: Site, target: Site) -> Iterator[str]:
    """What a move to ``target`` means for the RPO target: the schedule there is what copies from then on. A sentence
    for each interval with which it can't be kept."""
    rpo_s = rpo_of(group)
    if rpo_s is None:
        return
    names = {image.key: image.source for image in plan.images()}
    slow = defaultdict[tuple[int, str], list[str]](list)
    for key, (_, there) in schedules_of(plan, source, target).items():
        every_s = there.schedule.every_s if there.schedule else None
        if there.schedule and every_s is not None and every_s > rpo_s:
            slow[(every_s, there.schedule.text)].append(names[key])
    for (every_s, text), images in sorted(slow.items()):
        listed = ", ".join(images[:NAMED]) + (f" and {len(images) - NAMED} more" if len(images) > NAMED else "")
        yield (
            f"The RPO target of {rpo_s} s can't be kept after the move: {target.name} takes a mirror snapshot of "
            f"{listed} {text}, so just before the next one at least {every_s} s of writes are at one site only."
        )
