"""Collects what a disaster failover is decided on: both sides of each image now, and what was last heard of them."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Iterable
from typing import Any

from drportal.drivers.base import Answer
from drportal.drivers.errors import DriverError, Unreachable
from drportal.engine.evidence import image_loss, spread_s
from drportal.engine.facts import Mode, Position, RoleFacts, SideFacts, SnapshotFacts, StatusFacts
from drportal.engine.force_gates import whole_as_handed_over, whole_copy
from drportal.inventory import sights
from drportal.inventory.connect import site_drivers
from drportal.inventory.facts import side_from_json
from drportal.inventory.models import MirroredImage, Observation, Site
from drportal.inventory.witnesses import posts_of
from drportal.recovery import second_view, ways
from drportal.recovery.changes import answers_json, cut
from drportal.recovery.made_primary import HandedOver, MadePrimary, handed_over_at, made_primary, ours_at
from drportal.recovery.pace import Pace
from drportal.recovery.plan_copy import ImageCopy, PlanCopy
from drportal.recovery.world import SiteEnd, World, ref_of, utc_now

FORMAT = 1
LOOK_S = 25.0


def collect(copy: PlanCopy, source: Site, target: Site) -> dict[str, Any]:
    """Reads both sites now and the rows of what was last heard. Blocks for at most about ``LOOK_S``.

    JSON values: {format, taken_at, lost_at, source, target, second_view, images: {key: …}, vms: [{name, spread_s}]}. A
    part that could not be read is null, with the reason in ``trouble``.
    """
    rows = {str(row.pk): row for row in MirroredImage.objects.filter(pk__in=[i.key for i in copy.images()])}
    pace = Pace()
    drivers, posts = [site_drivers(site) for site in (source, target)], posts_of(source, target)
    ends = [
        SiteEnd(site.slug, site.name, site.ssh_host, made.ceph, made.cloud, pace)
        for site, made in zip((source, target), drivers, strict=True)
    ]
    world = World(ends[0], ends[1], copy, pace, {}, {})

    async def read() -> tuple[Any, list[dict[str, Any]], ways.Answered]:
        try:
            there = asyncio.ensure_future(second_view.look(source, drivers[0].ceph, target, drivers[1].ceph, posts))
            answered = asyncio.ensure_future(ways.look(drivers[0].ceph, drivers[0].cloud))
            images = list(await asyncio.gather(*(_image(world, image) for image in copy.images())))
            return await there, images, await answered
        finally:
            await asyncio.gather(posts.close(), *(made.close() for made in drivers), return_exceptions=True)

    (second, looks), seen, answered = asyncio.run(read())
    sights.write(looks)
    source.refresh_from_db()
    made, left, ours = made_primary(rows), handed_over_at(target, rows), ours_at(target, copy)
    lost_at = silent_since(source)
    last = last_answers(source, [image.source for image in copy.images()])
    images = {
        image.key: {
            **found,
            **_heard(rows.get(image.key), found["image_id"], lost_at, source.pk == _a_of(rows, image)),
            "last_answers_there": last.get(image.source, []),
            **_if_handed_over(found, left.get(image.key), made.get(image.key), rows.get(image.key), lost_at),
            **_if_primary(found, made.get(image.key), image.key in ours, target),
        }
        for image, found in zip(copy.images(), seen, strict=True)
    }
    return {
        "format": FORMAT,
        "taken_at": utc_now().isoformat(),
        "lost_at": _iso(lost_at),
        "source": source.slug,
        "target": target.slug,
        "source_reachable": ways.told(source, answered, [image["other_side_answers"] for image in seen], utc_now()),
        "second_view": second,
        "sights": sights.sights_of(source),
        "images": images,
        "vms": [
            {"name": vm.name, "spread_s": spread_s([_until(rows.get(image.key)) for image in vm.images])}
            for vm in copy.vms
        ],
    }


def _a_of(rows: dict[str, MirroredImage], image: ImageCopy) -> int | None:
    row = rows.get(image.key)
    return row.pair.a_id if row is not None else None


def _until(row: MirroredImage | None) -> Any:
    return row.protected_until if row is not None else None


def _iso(at: Any) -> str | None:
    return at.isoformat() if at is not None else None


def silent_since(source: Site) -> dt.datetime | None:
    """When contact was lost, as the poller found it. None: it has not, or not yet."""
    ways = ((source.ssh_reachable, source.ssh_since), (source.ceph_reachable, source.ceph_since))
    return next((since for ok, since in ways if ok is False and since), None)


def last_answers(site: Site, subjects: Iterable[str]) -> dict[str, list[dict[str, Any]]]:
    """What the silent site answered last about each image, raw, of each command the newest."""
    found: dict[str, list[dict[str, Any]]] = {}
    commands: set[tuple[str, str]] = set()
    rows = Observation.objects.filter(site=site, subject__in=list(subjects)).order_by("-at", "-pk")
    for row in rows:
        if (row.subject, row.command) not in commands:
            commands.add((row.subject, row.command))
            raw = {"command": row.command, "at": row.at.isoformat(), "sha256": row.sha256, "output": cut(row.output)}
            found.setdefault(row.subject, []).append(raw)
    return found


def _heard(
    row: MirroredImage | None, image_id: str | None, lost_at: dt.datetime | None, source_is_a: bool
) -> dict[str, Any]:
    """What the rows know: the last facts of the other side, the bound of the loss, whether the copy was shown whole."""
    there, here = ((row.side_a, row.side_b) if source_is_a else (row.side_b, row.side_a)) if row else ({}, {})
    loss = image_loss(_until(row), lost_at)
    known = {
        "verdict": row.verdict if row else "cannot_tell",
        "last_heard_there": there,
        "last_heard": positions_heard(side_from_json(there), side_from_json(here), lost_at),
        "protected_until": _iso(_until(row)),
        "loss_s": loss.seconds,
        "loss": loss.sentence,
    }
    tracked = row.track.get("copy_id") if row else None
    known["shown_whole_before"] = bool(_until(row) and image_id and tracked == image_id)
    return known


def positions_heard(there: SideFacts, here: SideFacts, lost_at: dt.datetime | None) -> dict[str, Any]:
    """The newest position of either side that was heard before the look, with its time.

    ``there``: of the silent side itself; where it told none, what the copy's daemon knew of it. ``before_lost_s``: how
    long before contact was lost the silent side was heard last.
    """
    position_there, at = _heard_there(there, here)
    status = here.status
    heard_at = there.last_heard
    before_s = (lost_at - heard_at).total_seconds() if lost_at and heard_at else None
    return {
        "there": position_there,
        "there_at": _iso(at),
        "here": _words(status.replayed) if status and status.replayed else None,
        "here_at": _iso(told_at(status)) if status and status.replayed else None,
        "heard_at": _iso(heard_at),
        "before_lost_s": max(0.0, before_s) if before_s is not None else None,
    }


def _heard_there(there: SideFacts, here: SideFacts) -> tuple[str | None, dt.datetime | None]:
    """The silent side's newest position, and when it was so."""
    own = [snap for snap in there.snapshots.snaps if snap.made_here] if there.snapshots else []
    if own and there.snapshots:
        return f"snapshot {own[-1].snap_id}", there.snapshots.read_at
    if there.journal and there.journal.local:
        return _words(there.journal.local), there.journal.read_at
    if here.status and here.status.primary_position:
        return _words(here.status.primary_position), told_at(here.status)
    return None, None


def told_at(status: StatusFacts) -> dt.datetime | None:
    """When the mirror daemon wrote it down."""
    return status.read_at - dt.timedelta(seconds=status.age_s) if status.age_s is not None else None


def _words(position: Position) -> str:
    return f"{position.tag_tid}.{position.entry_tid}"


def _if_handed_over(
    found: dict[str, Any],
    left: HandedOver | None,
    made: MadePrimary | None,
    row: MirroredImage | None,
    lost_at: dt.datetime | None,
) -> dict[str, Any]:
    """Of a copy that a move demoted here: it was whole then. Where it was not seen to follow since, it lacks what was
    written at the other side, if it ever was primary there."""
    if left is None or found["primary_here"] is not False or not left.is_of(found["image_id"]):
        return {}
    known: dict[str, Any] = {"whole_copy": True} if found["whole_as_handed_over"] else {}
    until = _until(row)
    if until is not None and until > left.at:
        return known
    said = f"It was primary here until run {left.run_id} demoted it at {left.at:%F %T} UTC"
    if made is None:
        return {**known, "loss_s": 0.0, "loss": f"{said}, and none promoted it at the other side: nothing is lost."}
    seconds = (lost_at - left.at).total_seconds() if lost_at else None
    lacks = f"{said}; what was written at the other side since may be lost."
    return {**known, "loss_s": max(0.0, seconds) if seconds is not None else None, "loss": lacks}


def _if_primary(found: dict[str, Any], made: MadePrimary | None, ours: bool, target: Site) -> dict[str, Any]:
    """Of a copy that is primary already the bound says nothing: it counts from when it was made so."""
    if found["primary_here"] is not True:
        return {}
    if made is not None and made.site_id == target.pk:
        return {
            "loss_s": None,
            "loss": f"Primary already, by run {made.run_id} at {made.at:%F %T} UTC: it loses no more.",
        }
    if ours:
        return {"loss_s": 0.0, "loss": "Primary here all along, at home: it loses nothing."}
    return {
        "loss_s": None,
        "loss": "Primary already, and no run of this portal made it so: it may be the fork of an older accident. What "
        "it lacks cannot be told; it is left for a person to decide.",
    }


async def _image(world: World, image: ImageCopy) -> dict[str, Any]:
    answers: list[Answer] = []
    trouble: list[str] = []
    here = there = None
    answers_there = False
    try:
        async with asyncio.timeout(LOOK_S):
            here, answer = await world.target.role(ref_of(image))
            answers += [answer] if answer else []
    except (DriverError, TimeoutError) as error:
        trouble.append(str(getattr(error, "detail", error)) or "no answer in time")
    try:
        async with asyncio.timeout(LOOK_S):
            there, answer = await world.source.role(ref_of(image))
            answers_there = True
            answers += [answer] if answer else []
    except Unreachable as error:
        trouble.append(error.detail)
    except TimeoutError:
        trouble.append(f"{world.source.name} did not answer in {LOOK_S:.0f} s.")
    except DriverError as error:
        # It answered, if only with a refusal: that is not silence.
        answers_there = True
        trouble.append(error.detail)
    status, snapshots, direction = await _copy_of(world, image, here, answers, trouble)
    return {
        **_told(image, here, there, answers_there, status, snapshots),
        **await _opened_by(world, image, here, answers, trouble),
        "peer_direction": direction,
        "trouble": trouble,
        "answers": answers_json(answers),
    }


async def _copy_of(
    world: World, image: ImageCopy, here: RoleFacts | None, answers: list[Answer], trouble: list[str]
) -> tuple[StatusFacts | None, SnapshotFacts | None, str | None]:
    if here is None or not here.exists:
        return None, None, None
    try:
        async with asyncio.timeout(LOOK_S):
            side, _ = await world.target.side(image, positions=False)
            snapshots = None
            if here.mode is Mode.SNAPSHOT:
                snapshots, answer = await world.target.snapshots(ref_of(image))
                answers.append(answer)
            return side.status, snapshots, side.peer_direction
    except (DriverError, TimeoutError) as error:
        trouble.append(str(getattr(error, "detail", error)) or "no answer in time")
        return None, None, None


async def _opened_by(
    world: World, image: ImageCopy, here: RoleFacts | None, answers: list[Answer], trouble: list[str]
) -> dict[str, Any]:
    """Who has the copy open besides mirror daemons, and which clients those are."""
    if here is None or not here.exists:
        return {"opened_by": None, "mirroring": None}
    try:
        async with asyncio.timeout(LOOK_S):
            found, answer = await world.target.watchers(ref_of(image))
            mirroring = await world.target.mirroring(image.pool)
            answers.append(answer)
            return {"opened_by": sorted(found.foreign), "mirroring": sorted(mirroring.clients)}
    except (DriverError, TimeoutError) as error:
        trouble.append(str(getattr(error, "detail", error)) or "no answer in time")
        return {"opened_by": None, "mirroring": None}


def _told(
    image: ImageCopy,
    here: RoleFacts | None,
    there: RoleFacts | None,
    answers_there: bool,
    status: StatusFacts | None,
    snapshots: SnapshotFacts | None,
) -> dict[str, Any]:
    copies = snapshots.since_own if snapshots else ()
    whole = [snap for snap in copies if snap.complete is True]
    return {
        "name": image.source,
        "mode": here.mode.value if here and here.mode else None,
        "global_id": here.global_id if here else None,
        "image_id": here.image_id if here else None,
        "read_here": here is not None,
        "exists_here": here.exists if here else None,
        "primary_here": here.primary if here else None,
        "other_side_answers": answers_there,
        "other_side_primary": there.primary if there else None,
        "whole_copy": whole_copy(here.mode if here else None, status, snapshots),
        "whole_as_handed_over": whole_as_handed_over(here.mode if here else None, status, snapshots),
        "newest_complete_snapshot": whole[-1].snap_id if whole else None,
        "replicated_snapshot": whole[-1].primary_snap_id if whole else None,
        "copying_snapshots": [snap.snap_id for snap in copies if snap.complete is not True],
        "replayed_position": _words(status.replayed) if status and status.replayed else None,
        "told_at": _iso(told_at(status)) if status else None,
        "status": f"{status.state}, {status.description}" if status else None,
        "status_age_s": status.age_s if status else None,
        "entries_behind": status.entries_behind if status else None,
    }


def settled(content: dict[str, Any]) -> dict[str, Any]:
    """The same, with ``whole_copy`` taken from the record where the site cannot tell it any more: after the loss of its
    peer a mirror daemon forgets in its status that it had caught up. What it says itself always counts more."""
    images = {
        key: {**image, "whole_copy": True} if image["whole_copy"] is None and image["shown_whole_before"] else image
        for key, image in content["images"].items()
    }
    return {**content, "images": images}
