"""From the rows of a run to what its executor works with."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from drportal.engine.states import RunState, StepState
from drportal.engine.steps import STEP_KINDS, StepKind
from drportal.inventory.connect import Reach, site_drivers
from drportal.inventory.models import CapturedDefinition, Site, VirtualMachine
from drportal.recovery.acts.base import Task
from drportal.recovery.made_primary import forced_at
from drportal.recovery.models import Run, Step, StepAttempt
from drportal.recovery.news import News
from drportal.recovery.pace import Pace
from drportal.recovery.plan_copy import PlanCopy, UnreadablePlanCopy, from_json
from drportal.recovery.silence import Silence, one_of
from drportal.recovery.step_runner import History
from drportal.recovery.step_writer import StepRow
from drportal.recovery.world import LOOKS_BY_PROGRAM, SiteEnd, World, ref_of

Closer = Callable[[], Awaitable[None]]
# After a reprotect the group is where its survivors are, in case a disaster that was cut short did not say so.
MOVES = frozenset({"planned_failover", "failback", "disaster_failover", "reprotect"})


@dataclass(slots=True)
class Loaded:
    """A run in the executor's memory. ``steps`` get their ``task`` from ``open_world``."""

    id: int
    kind: str
    state: RunState
    group_id: int
    group_token: str
    pair_id: int
    moves_to_site_id: int | None
    actor: str
    plan_version: int
    source: Site
    target: Site
    plan: PlanCopy
    steps: list[StepRow]
    on_hold: frozenset[str]


def load(run_id: int, history: History) -> Loaded:
    """Raises UnreadablePlanCopy."""
    run = Run.objects.select_related("group", "source_site", "target_site").get(pk=run_id)
    plan = from_json(run.plan_copy)
    rows = list(Step.objects.filter(run_id=run_id).select_related("site"))
    open_attempts: dict[int, StepAttempt] = {}
    for attempt in StepAttempt.objects.filter(step__run_id=run_id).order_by("number"):
        open_attempts[attempt.step_id] = attempt
    steps = []
    for row in rows:
        if row.kind not in set(StepKind):
            raise UnreadablePlanCopy(f"step {row.key} is of a kind that this portal does not know")
        if row.kind == StepKind.IMAGE_DEMOTE and row.state == StepState.SUCCEEDED and row.finished_at:
            history.demoted_at[row.params["image"]] = row.finished_at
        steps.append(_step(row, open_attempts.get(row.pk)))
    return Loaded(
        id=run.pk,
        kind=run.kind,
        state=RunState(run.state),
        group_id=run.group_id,
        group_token=run.group.token,
        pair_id=run.group.pair_id,
        moves_to_site_id=run.target_site_id if run.kind in MOVES else None,
        actor=run.requested_name,
        plan_version=run.plan_version,
        source=run.source_site,
        target=run.target_site,
        plan=plan,
        steps=steps,
        on_hold=frozenset(run.on_hold),
    )


def _step(row: Step, attempt: StepAttempt | None) -> StepRow:
    state = StepState(row.state)
    doubtful = attempt if attempt and state in (StepState.RUNNING, StepState.UNKNOWN) else None
    never_sent = doubtful is not None and doubtful.outcome == "unreachable"
    return StepRow(
        id=row.pk,
        key=row.key,
        kind=StepKind(row.kind),
        subject=str(row.params.get("image") or row.params["vm"]),
        site=row.site.slug,
        needs=tuple(row.needs),
        task=None,  # type: ignore[arg-type]  # open_world fills it in before anybody looks
        state=state,
        version=row.version,
        attempt=row.attempt,
        sentence=row.sentence,
        open_attempt=doubtful.number if doubtful else None,
        open_operation=str(doubtful.operation_id) if doubtful else "",
        last_sent_at=doubtful.intent_at if doubtful and not never_sent else None,
    )


def open_world(run: Loaded, pace: Pace) -> tuple[World, list[Closer]]:
    """Drivers for both sites (nothing is sent yet), and each step's task."""
    plan = run.plan
    closers: list[Closer] = []
    ends = {}
    for site in (run.source, run.target):
        drivers = site_drivers(site, Reach(acts=True))
        silences = (
            Silence(f"{site.name}'s Ceph host", one_of(drivers.ceph, [ref_of(image) for image in plan.images()])),
            Silence(f"{site.name}'s OpenNebula", drivers.cloud.version),
        )
        closers += [*(silence.close for silence in silences), drivers.close]
        ends[site.slug] = SiteEnd(
            site.slug, site.name, site.ssh_host, drivers.ceph, drivers.cloud, pace, drivers.shell, *silences
        )
    wanted = {vm.definition_id for vm in plan.vms}
    definitions = dict(CapturedDefinition.objects.filter(pk__in=wanted).values_list("pk", "vm_xml"))
    if missing := wanted - definitions.keys():
        raise UnreadablePlanCopy(f"captured definitions {sorted(missing)} are gone from the database")
    now = _definitions_now(plan)
    source, target = ends[run.source.slug], ends[run.target.slug]
    world = World(source, target, plan, pace, definitions, now, group_token=run.group_token)
    world.run_id, world.plan_version = run.id, run.plan_version
    world.forced_at_source = forced_at(run.source, plan)
    if source.shell is None and target.shell is None:
        world.turns = asyncio.Semaphore(LOOKS_BY_PROGRAM)
        world.news = News((source.ceph, target.ceph), pace.news_s)
        source.seen = target.seen = world.news.seen
    for step in run.steps:
        step.task = _task(step, world)
    return world, closers


def _definitions_now(plan: PlanCopy) -> dict[str, tuple[str, dt.datetime]]:
    newest = {}
    for vm in VirtualMachine.objects.filter(pk__in=[int(vm.key) for vm in plan.vms]):
        definition = vm.definitions.order_by("-number").first()
        if definition is not None:
            newest[str(vm.pk)] = (definition.sha256, definition.seen_at)
    return newest


def _task(step: StepRow, world: World) -> Task:
    of_image = STEP_KINDS[step.kind].subject == "image"
    image = world.plan.image(step.subject) if of_image else None
    vm = next(vm for vm in world.plan.vms if image in vm.images) if image else world.plan.vm(step.subject)
    return Task(step.kind, vm, image, world.end(step.site))
