"""How far the copies are that a reprotect makes anew: for the run's page, from its steps and the poller's rows."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from dataclasses import asdict, replace

from django.utils import timezone

from drportal.engine.facts import SideFacts
from drportal.engine.recopy import CopyState, Recopy, recopy, together
from drportal.engine.states import StepState
from drportal.engine.steps import StepKind
from drportal.inventory.facts import side_from_json
from drportal.inventory.models import MirroredImage
from drportal.recovery import schemas
from drportal.recovery.models import Run, Step
from drportal.recovery.plan_copy import ImageCopy, PlanCopy

DELETED_FIRST = "The old copy is taken away and of the new one nothing is told yet: rbd-mirror looks every 30 s."


def recopies_of(run: Run, steps: Iterable[Step], plan: PlanCopy | None) -> dict[str, Recopy]:
    """Image key -> its copy at the run's source site. Without those of which nothing had to be discarded."""
    of_image: dict[str, dict[str, Step]] = {}
    for step in steps:
        if step.kind in (StepKind.IMAGE_RESYNC, StepKind.IMAGE_FOLLOWS):
            of_image.setdefault(str(step.params.get("image")), {})[step.kind] = step
    if plan is None or not of_image:
        return {}
    sides = _sides(run, of_image)
    now = timezone.now()
    found = {
        image.key: _one(image, of_image[image.key], sides.get(image.key), now)
        for image in plan.images()
        if image.key in of_image
    }
    return {key: one for key, one in found.items() if one is not None}


def _sides(run: Run, keys: Iterable[str]) -> dict[str, SideFacts]:
    rows = MirroredImage.objects.filter(pk__in=list(keys)).select_related("pair").only("side_a", "side_b", "pair__a_id")
    return {
        str(row.pk): side_from_json(row.side_a if row.pair.a_id == run.source_site_id else row.side_b) for row in rows
    }


def _one(image: ImageCopy, steps: dict[str, Step], side: SideFacts | None, now: dt.datetime) -> Recopy | None:
    size = image.size_bytes
    resync, follows = steps.get(StepKind.IMAGE_RESYNC), steps.get(StepKind.IMAGE_FOLLOWS)
    if resync is None or follows is None:
        return None
    if follows.state == StepState.SUCCEEDED:
        if not resync.attempt:
            return None
        return Recopy(CopyState.WHOLE, size, size, 100, None, None, None, "It is whole, and follows.")
    if resync.state not in (StepState.SUCCEEDED, StepState.SKIPPED):
        return Recopy(CopyState.NOT_BEGUN, size, 0, 0, None, None, None, "Nothing is discarded yet.")
    known = _newer_than(side, resync.finished_at)
    copying = recopy(known, size, now) if known is not None else None
    if copying is not None:
        return copying
    if known is not None and known.status is not None and known.status.caught_up_once:
        said = "All of it is copied; it is waited for that it follows."
        return Recopy(CopyState.WHOLE, size, size, 100, None, None, known.status.written_at, said)
    return Recopy(CopyState.UNTOLD, size, None, None, None, None, None, DELETED_FIRST)


def _newer_than(side: SideFacts | None, at: dt.datetime | None) -> SideFacts | None:
    """What was written before the discard speaks of the copy that is gone."""
    if side is None or side.status is None or at is None:
        return side
    written_at = side.status.written_at
    return side if written_at is not None and written_at >= at else replace(side, status=None)


def recopy_out(copies: dict[str, Recopy], plan: PlanCopy | None) -> schemas.RunRecopy | None:
    if not copies or plan is None:
        return None
    all_of_them = together(list(copies.values()))
    names = {image.key: image.source for image in plan.images()}
    return schemas.RunRecopy(
        **asdict(all_of_them),
        images=[schemas.ImageRecopy(image=names[key], **asdict(one)) for key, one in copies.items()],
    )
