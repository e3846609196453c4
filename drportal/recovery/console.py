"""A run at rest, from its rows to what the engine decides by (``engine.partial``) and to what its page shows."""

from __future__ import annotations

from drportal.engine.partial import Part, Rest, RestingStep, RestingVm, critical_up_to
from drportal.engine.plans import RunKind
from drportal.engine.states import RunState, StepState
from drportal.engine.steps import StepKind
from drportal.recovery import giving_way, schemas_console
from drportal.recovery.models import Run, Step
from drportal.recovery.plan_copy import PlanCopy, UnreadablePlanCopy, VmCopy, from_json


def why_no_choice(run: Run) -> str:
    """Empty while a person may choose how the run goes on."""
    if run.state != RunState.PAUSED:
        return f"The run is {run.state}. How it goes on is chosen while it is paused."
    return giving_way.why_it_waits(run)


def rest_of(run: Run, steps: list[Step]) -> Rest:
    """Raises UnreadablePlanCopy."""
    plan = from_json(run.plan_copy)
    if unknown := [step.key for step in steps if step.kind not in set(StepKind)]:
        raise UnreadablePlanCopy(f"step {unknown[0]} is of a kind that this portal does not know")
    return Rest(
        kind=RunKind(run.kind),
        source=run.source_site.name,
        target=run.target_site.name,
        steps=tuple(_step(step) for step in steps),
        vms=tuple(RestingVm(vm.key, vm.name, vm.priority, _stands(vm, run)) for vm in plan.vms),
        on_hold=frozenset(run.on_hold),
    )


def _step(step: Step) -> RestingStep:
    return RestingStep(
        step.key, step.params["vm"], StepKind(step.kind), step.subject, step.site.name, StepState(step.state),
        step.sentence, tuple(step.needs),
    )  # fmt: skip


def _stands(vm: VmCopy, run: Run) -> str:
    said = {(line["kind"], line["name"]): line["sentence"] for line in run.standing}
    images = [
        f"{image.source}: {said['image', image.source]}" for image in vm.images if ("image", image.source) in said
    ]
    own = [f"the VM: {said['vm', vm.name]}"] if ("vm", vm.name) in said else []
    return "; ".join([*images, *own])


def console_out(run: Run, steps: list[Step], plan: PlanCopy | None) -> schemas_console.Console | None:
    """None while there is nothing to choose."""
    if plan is None or why_no_choice(run):
        return None
    try:
        rest = rest_of(run, steps)
    except UnreadablePlanCopy:
        return None  # the run's own sentence says so
    vms = [
        schemas_console.ConsoleVm(
            key=vm.key, name=vm.name, priority=vm.priority, part=rest.part(vm.key), trouble=rest.trouble(vm.key)
        )
        for vm in sorted(rest.vms, key=lambda vm: (vm.priority, vm.name))
        if rest.part(vm.key) is not Part.DONE
    ]
    if not vms:
        return None
    return schemas_console.Console(vms=vms, done=len(rest.vms) - len(vms), priorities=critical_up_to(rest))
