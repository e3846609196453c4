"""Gaps of images in snapshot mode that come of their schedules. Pure; see ``gaps.py``."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from drportal.engine.gap_base import Gap, GapCode, GapLevel, Typed, on_ceph
from drportal.engine.schedules import Schedule, short_enough

USUAL = "5m"
NOTHING_COPIED = "nothing that is written to it is copied by itself"
NOTHING_BACK = "after a move there nothing would be copied back"


@dataclass(frozen=True, slots=True)
class SiteSchedule:
    """Of one image at one site. ``known`` false: nobody has told lately."""

    site: str
    known: bool
    schedule: Schedule | None = None

    @property
    def missing(self) -> bool:
        return self.known and self.schedule is None


def schedule_gaps(ref: str, primary: SiteSchedule, other: SiteSchedule, target_s: int | None) -> Iterator[Gap]:
    """``primary``: at the site where the image is primary now. ``target_s``: the RPO target, where one was agreed."""
    if primary.missing:
        said = f"It has no snapshot schedule at {primary.site}: {NOTHING_COPIED}."
        yield _none(ref, primary.site, GapLevel.UNPROTECTED, said, target_s)
    if other.missing:
        said = f"It has no snapshot schedule at {other.site}: {NOTHING_BACK}."
        yield _none(ref, other.site, GapLevel.RISK, said, target_s)
    for here, level in ((primary, GapLevel.RISK), (other, GapLevel.NOTE)):
        every_s = here.schedule.every_s if here.schedule else None
        if here.known and every_s is not None and target_s is not None and every_s > target_s:
            yield _too_long(ref, here, level, every_s, target_s)


def _none(ref: str, site: str, level: GapLevel, said: str, target_s: int | None) -> Gap:
    fits = short_enough(target_s) if target_s is not None else USUAL
    remedy = "Add a schedule for the image, or one for its whole pool."
    return Gap(GapCode.NO_SCHEDULE, level, ref, said, remedy, (add_command(ref, fits or "1m", site),), detail=site)


def _too_long(ref: str, here: SiteSchedule, level: GapLevel, every_s: int, target_s: int) -> Gap:
    assert here.schedule is not None
    said = (
        f"At {here.site} a mirror snapshot is taken {here.schedule.text}, and {target_s} s were agreed: just before "
        f"the next one at least {every_s} s of writes are at one site only."
    )
    fits = short_enough(target_s)
    if fits is None:
        remedy = "Ceph has no schedule that is short enough: agree on more, or mirror the image in journal mode."
        return Gap(GapCode.SCHEDULE_TOO_LONG, level, ref, said, remedy, path="/plans", detail=here.site)
    remedy = "Add a shorter schedule for the image. (Of several the shortest counts; its own replace the pool's.)"
    shorter = (add_command(ref, fits, here.site),)
    return Gap(GapCode.SCHEDULE_TOO_LONG, level, ref, said, remedy, shorter, detail=here.site)


def add_command(ref: str, interval: str, site: str) -> Typed:
    pool, _, image = ref.partition("/")
    words = ("rbd", "mirror", "snapshot", "schedule", "add", "--pool", pool, "--image", image, interval)
    return on_ceph(site, f"Has the manager take a mirror snapshot of it every {interval}.", *words)


def unknown_gap(pool: str, site: str, trouble: str) -> Gap:
    """For a pool with images in snapshot mode whose schedules can't be read, although Ceph answers."""
    return Gap(
        GapCode.SCHEDULES_UNKNOWN,
        GapLevel.RISK,
        f"pool {pool} at {site}",
        f"Its snapshot schedules can't be read: {trouble} A manager that is silent takes no mirror snapshots either.",
        "See that an active manager answers there, and that the portal's Ceph user may ask it.",
        (on_ceph(site, "Only reads: which manager is active.", "ceph", "mgr", "stat"),),
    )
