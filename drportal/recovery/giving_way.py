"""A disaster failover that rests gives way to the fence of the site that came back, and has its turn again after it.

While it gives way it holds neither the group nor the images that the fence holds, and cannot be driven: the database
itself says that who gives way is paused. Two executors never act on one group at a time.
"""

from __future__ import annotations

from django.db.models import F
from django.utils import timezone

from drportal.audit.record import record
from drportal.engine.plans import RunKind
from drportal.engine.quarantine import goes_before
from drportal.engine.states import ACTIVE_RUN, RunState
from drportal.errors import Conflict
from drportal.events import publish
from drportal.recovery import warrants
from drportal.recovery.models import ProtectionGroup, Run, RunImage

VOID = "lost_site_is_back"


def gives_way(run: Run, kind: RunKind | None) -> bool:
    """Whether the run that holds the group would make room for one of that kind now."""
    return kind is not None and goes_before(kind, RunKind(run.kind), RunState(run.state))


def who_holds(run: Run) -> str:
    said = f"Run {run.pk} ({run.kind}) is {run.state} and holds the group."
    if run.kind in (RunKind.FENCE, RunKind.REPROTECT) and run.state == RunState.PAUSED:
        return f"{said} Resume it, or stop it: what it did stays done, and the same asked for again goes on from there."
    return said


def why_it_waits(run: Run) -> str:
    """Empty where nothing goes before it."""
    if run.gives_way_to_id is None:
        return ""
    return (
        f"Run {run.gives_way_to_id} goes before it: the fence of {run.source_site.name}. When that is over, this one "
        "goes on here, and reads everything anew."
    )


def has_its_turn(run: Run) -> None:
    """Raises Conflict (gives_way)."""
    if why := why_it_waits(run):
        raise Conflict(f"{why} Nothing was changed.", code="gives_way", extra={"run_id": run.gives_way_to_id})


def consequences(group: ProtectionGroup, kind: RunKind) -> list[str]:
    """What a person is told who is about to ask for a run that goes before another."""
    run = _holding(group)
    if run is None or not gives_way(run, kind):
        return []
    return [
        f"Run {run.pk} (disaster failover) rests, and gives way to this one: it stays paused, with all that it has "
        "done, and goes on when this one is over.",
        f"It began while {run.source_site.name} was silent. So its approval ends now: what it has not forced yet needs "
        "a new one.",
    ]


def give_way(fence: Run, actor: str) -> None:
    """Within the transaction that makes ``fence``, before that holds the group: make room for it, if anybody has to."""
    run = _holding(fence.group, lock=True)
    if run is None or not gives_way(run, RunKind(fence.kind)):
        return
    since = f"{timezone.now():%F %T} UTC"
    said = (
        f"{run.sentence} Since {since} run {fence.pk}, the fence of {run.source_site.name}, goes before it: what is "
        "told here was read before that."
    )
    Run.objects.filter(pk=run.pk, state=RunState.PAUSED.value).update(
        gives_way_to=fence, sentence=said, version=F("version") + 1
    )
    RunImage.objects.filter(run=run).update(held=False)
    ended = (
        f"{run.source_site.name} came back and is fenced by run {fence.pk}: what was not forced yet needs a new yes."
    )
    warrants.no_longer_counts(run.pk, VOID, ended, actor)
    record("run.give_way", f"run {run.pk}: {run.kind}", {"to": fence.pk, "since": since}, actor=actor, run_id=run.pk)
    publish(f"run:{run.pk}")


def goes_again(fence_id: int) -> None:
    """Within the transaction that ends the run, after its end: who gave way to it holds group and images again."""
    for run in Run.objects.select_for_update().filter(gives_way_to=fence_id):
        Run.objects.filter(pk=run.pk).update(gives_way_to=None, version=F("version") + 1)
        RunImage.objects.filter(run=run).update(held=True)
        record("run.turn_again", f"run {run.pk}: {run.kind}", {"after": fence_id}, actor="portal", run_id=run.pk)
        publish(f"run:{run.pk}")


def _holding(group: ProtectionGroup, *, lock: bool = False) -> Run | None:
    rows = Run.objects.select_for_update(of=("self",)) if lock else Run.objects
    states = [state.value for state in ACTIVE_RUN]
    return rows.select_related("source_site").filter(group=group, state__in=states, gives_way_to=None).first()
