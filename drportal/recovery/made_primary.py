"""What the portal's own records say of an image's copies: where it last made one primary, and that it was not given
back since.

The sites tell which copies are primary now. Of two primaries only the records tell which one somebody said yes to.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass

from drportal.engine.states import StepState
from drportal.engine.steps import StepKind
from drportal.inventory.models import Site
from drportal.recovery.models import Run, Step, StepAttempt
from drportal.recovery.plan_copy import PlanCopy

PROMOTES = frozenset({StepKind.IMAGE_PROMOTE, StepKind.IMAGE_PROMOTE_AGAIN, StepKind.IMAGE_FORCE_PROMOTE})
DEMOTES = frozenset({StepKind.IMAGE_DEMOTE, StepKind.IMAGE_DEMOTE_RETURNED})
UNDOES_HANDOVER = PROMOTES | {StepKind.IMAGE_DEMOTE_RETURNED, StepKind.IMAGE_RESYNC}
# The site itself said no, or it was never sent. "Not done" is no such word: it may only have taken too long.
IN_VAIN = frozenset({"refused", "unreachable"})
SEEN = frozenset({"done", "found_done"})


@dataclass(frozen=True, slots=True)
class MadePrimary:
    """``sure``: it was seen to be so. Else a promotion was sent, and what became of it is not known."""

    site_id: int
    site: str
    run_id: int
    forced: bool
    sure: bool
    at: dt.datetime


# Image key, (run, time), and what was made primary, or the site at which it was demoted.
Event = tuple[str, tuple[int, dt.datetime], MadePrimary | int]


@dataclass(frozen=True, slots=True)
class HandedOver:
    """A copy that was primary until the run demoted it. ``said``: all that its site answered to that."""

    run_id: int
    at: dt.datetime
    said: str

    def is_of(self, image_id: str | None) -> bool:
        """Whether this is that very copy, not one that was made anew under its name since."""
        return bool(image_id) and f'"{image_id}"' in self.said


def made_primary(image_keys: Iterable[str]) -> dict[str, MadePrimary]:
    """By image key (row id as text); an image that is not in it was never promoted, or has been demoted there since."""
    return _newest(_events(frozenset(image_keys)))


def _newest(events: Iterable[Event]) -> dict[str, MadePrimary]:
    found: dict[str, MadePrimary] = {}
    for key, _, record in sorted(events, key=lambda event: event[1]):
        before = found.get(key)
        if isinstance(record, MadePrimary):
            found[key] = record
        elif before is not None and before.site_id == record:
            del found[key]
    return found


def ours_at(site: Site, plan: PlanCopy) -> frozenset[str]:
    """Keys of the plan's images that are primary at the site by right: the portal made them so, or may have (it had
    sent what does), or no run ever moved them away from it, their home."""
    keys = frozenset(image.key for image in plan.images())
    events = list(_events(keys))
    made = frozenset(key for key, record in _newest(events).items() if record.site_id == site.pk)
    stayed = keys - {key for key, _, _ in events} if site.slug == plan.home_site else frozenset()
    return made | stayed


def handed_over_at(site: Site, image_keys: Iterable[str]) -> dict[str, HandedOver]:
    """By image key, of those whose copy at the site was the one that counted until a move demoted it there, and to
    which no run did anything since: it is whole, as of that moment."""
    keys = frozenset(image_keys)
    runs = Run.objects.filter(images__image_id__in=[int(key) for key in keys])
    newest: dict[str, tuple[tuple[int, dt.datetime], HandedOver | None]] = {}

    def note(key: str, run_id: int, at: dt.datetime, what: HandedOver | None) -> None:
        if key in keys and (key not in newest or newest[key][0] < (run_id, at)):
            newest[key] = ((run_id, at), what)

    demoted = Step.objects.filter(run__in=runs, site=site, kind=StepKind.IMAGE_DEMOTE.value, attempt__gt=0)
    for step in demoted.filter(state=StepState.SUCCEEDED.value).prefetch_related("attempts"):
        if step.finished_at is not None:
            said = "\n".join(answer["stdout"] for sent in step.attempts.all() for answer in sent.answers)
            left = HandedOver(step.run_id, step.finished_at, said)
            note(step.params["image"], step.run_id, step.finished_at, left)
    since = [kind.value for kind in UNDOES_HANDOVER]
    sent = StepAttempt.objects.filter(step__run__in=runs, step__site=site, step__kind__in=since)
    for attempt in sent.exclude(outcome__in=IN_VAIN).select_related("step"):
        note(attempt.step.params["image"], attempt.step.run_id, attempt.intent_at, None)
    return {key: what for key, (_, what) in newest.items() if what is not None}


def forced_at(site: Site, plan: PlanCopy) -> frozenset[str]:
    """Keys of the plan's images whose copy at the site an approved forced promotion made primary."""
    made = made_primary(image.key for image in plan.images())
    return frozenset(key for key, record in made.items() if record.forced and record.site_id == site.pk)


def forced_by(run_id: int) -> bool:
    """Whether the disaster failover left a copy primary at its target, by itself or by one before it."""
    run = Run.objects.get(pk=run_id)
    made = made_primary(str(pk) for pk in run.images.values_list("image_id", flat=True))
    return any(record.forced and record.site_id == run.target_site_id for record in made.values())


def _events(keys: frozenset[str]) -> Iterable[Event]:
    runs = Run.objects.filter(images__image_id__in=[int(key) for key in keys])
    sent = StepAttempt.objects.filter(step__run__in=runs, step__kind__in=[kind.value for kind in PROMOTES])
    for attempt in sent.exclude(outcome__in=IN_VAIN).select_related("step__site"):
        step = attempt.step
        if (key := step.params["image"]) in keys:
            sure = attempt.outcome in SEEN or step.state == StepState.SUCCEEDED
            forced = step.kind == StepKind.IMAGE_FORCE_PROMOTE
            made = MadePrimary(step.site_id, step.site.slug, step.run_id, forced, sure, attempt.intent_at)
            yield key, (step.run_id, attempt.intent_at), made
    demoted = Step.objects.filter(run__in=runs, kind__in=[kind.value for kind in DEMOTES])
    for step in demoted.filter(state=StepState.SUCCEEDED.value):
        if (key := step.params["image"]) in keys and step.finished_at is not None:
            yield key, (step.run_id, step.finished_at), step.site_id
