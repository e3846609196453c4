"""From the rows of a run to its page: columns, cells, the one next action, who may do what.

Reads rows only, never a site.
"""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from django.utils import timezone

from drportal.engine.approvals import ApprovalState
from drportal.engine.fence import FenceRung
from drportal.engine.gates import GATE_TITLES, GateId
from drportal.engine.plans import RunKind
from drportal.engine.recopy import CopyState, Recopy
from drportal.engine.states import TERMINAL_RUN, RunState, StepState
from drportal.engine.steps import STEP_KINDS, StepKind
from drportal.recovery import building, giving_way, models, schemas
from drportal.recovery.console import console_out
from drportal.recovery.fences import fences_out
from drportal.recovery.models import GateCheck, Step
from drportal.recovery.plan_copy import ImageCopy, PlanCopy, UnreadablePlanCopy, VmCopy, from_json
from drportal.recovery.quarantine import FENCE_IT, next_act, returned
from drportal.recovery.recopies import recopies_of, recopy_out
from drportal.recovery.salvaged import salvage_out
from drportal.recovery.services.disaster import why_no_new_approval
from drportal.recovery.services.runs import why_no_way_back
from drportal.roles import Role

STEP_CELL = {
    StepState.PENDING: ("pending", "Pending"),
    StepState.WAITING: ("waiting", "Waiting"),
    StepState.RUNNING: ("running", "Running"),
    StepState.UNKNOWN: ("unknown", "Unknown"),
    StepState.SUCCEEDED: ("done", "Done"),
    StepState.FAILED: ("failed", "Failed"),
    StepState.SKIPPED: ("skipped", "Skipped"),
}
GATE_WORD = {"met": "Met", "not_met": "Not met", "cannot_tell": "Cannot tell"}
WHO = Role.OPERATOR.value


def run_summary(run: models.Run, counts: Mapping[str, int] | None = None) -> schemas.RunSummary:
    return schemas.RunSummary(**summary_fields(run, counts))


def summary_fields(run: models.Run, counts: Mapping[str, int] | None = None) -> dict[str, Any]:
    if counts is None:
        counts = Counter(run.steps.values_list("state", flat=True))
    plain = {name: getattr(run, name) for name in PLAIN}
    return {
        **plain,
        "plan": schemas.PlanRef(id=run.plan_id, name=run.plan.name),
        "source_site": run.source_site.slug,
        "target_site": run.target_site.slug,
        "requested_by": run.requested_name,
        "counts": dict(counts),
        "executor_alive": driven(run, timezone.now()),
    }


PLAIN = (
    "id", "kind", "state", "version", "reason", "sentence", "created_at", "started_at", "finished_at", "pause_asked",
    "cancel_asked", "parent_id",
)  # fmt: skip


def losses_out(run: models.Run) -> list[schemas.Loss]:
    rows = models.MeasuredLoss.objects.filter(run=run).select_related("image").order_by("image__pool", "image__name")
    return [
        schemas.Loss(
            image=str(row.image), entries=row.entries, bytes=row.size_bytes, sentence=row.sentence, how=row.how,
            why=row.why, bound=row.bound, measured_at=row.measured_at,
        )
        for row in rows
    ]  # fmt: skip


def driven(run: models.Run, now: dt.datetime) -> bool:
    return run.lease_until is not None and run.lease_until > now


def plan_of(run: models.Run) -> PlanCopy | None:
    try:
        return from_json(run.plan_copy)
    except UnreadablePlanCopy:
        return None  # the run's own sentence says so; the page still shows its state and trail


class RunPage:
    """One run's page, built from its steps and gate checks."""

    def __init__(self, run: models.Run) -> None:
        self.run = run
        self.steps = list(run.steps.select_related("site"))
        self.plan = plan_of(run)
        self.approval = models.Approval.objects.filter(run=run).first()
        self.copies: dict[str, Recopy] = {}
        self.checks: dict[int, dict[str, GateCheck]] = {}
        slim = GateCheck.objects.filter(step__run=run).defer("answers", "facts")
        for check in slim:
            self.checks.setdefault(check.step_id, {})[check.gate] = check
        self.of_vm: dict[str, list[Step]] = {}
        self.of_image: dict[str, list[Step]] = {}
        for step in self.steps:
            image = step.params.get("image")
            into = (
                self.of_vm.setdefault(step.params["vm"], []) if image is None else self.of_image.setdefault(image, [])
            )
            into.append(step)

    def out(self) -> schemas.Run:
        counts = Counter(step.state for step in self.steps)
        columns = self.columns()
        self.copies = recopies_of(self.run, self.steps, self.plan)
        return schemas.Run(
            **summary_fields(self.run, counts),
            approval_id=self.approval.pk if self.approval else None,
            actions=actions(self.run),
            next=self.next_sentence(),
            columns=columns,
            vms=[self._vm(vm, columns) for vm in (self.plan.vms if self.plan else ())],
            tally=self._tally(counts),
            standing=[schemas.Standing(**line) for line in self.run.standing],
            exact_loss=losses_out(self.run),
            salvage=salvage_out(self.run, self.steps, self.plan),
            recopy=recopy_out(self.copies, self.plan),
            fence=fences_out(self.run, self.steps, self.plan.fence_rung if self.plan else FenceRung.DEMOTED.value),
            console=console_out(self.run, self.steps, self.plan),
        )

    def columns(self) -> list[schemas.Column]:
        """Steps in the order of the run; each gate once, beside the step that first asks for it."""
        kinds = list(dict.fromkeys(StepKind(step.kind) for step in self.steps if step.kind in set(StepKind)))
        made: dict[str, schemas.Column] = {}

        def add(gates: Iterable[GateId]) -> None:
            for gate in gates:
                made.setdefault(gate.value, schemas.Column(id=gate.value, title=GATE_TITLES[gate], kind="gate"))

        for kind in kinds:
            spec = STEP_KINDS[kind]
            add(spec.gates_before)
            made[kind.value] = schemas.Column(id=kind.value, title=spec.column, kind="step")
            add(spec.gates_after)
        return list(made.values())

    def _vm(self, vm: VmCopy, columns: list[schemas.Column]) -> schemas.RunVm:
        images = [self._image(image, columns) for image in vm.images]
        return schemas.RunVm(
            name=vm.name, priority=vm.priority, cells=self._cells(self.of_vm.get(vm.key, []), columns), images=images
        )

    def _image(self, image: ImageCopy, columns: list[schemas.Column]) -> schemas.RunImage:
        cells = self._cells(self.of_image.get(image.key, []), columns)
        copied, follows = self.copies.get(image.key), cells.get(StepKind.IMAGE_FOLLOWS)
        if copied is not None and follows is not None and copied.state in (CopyState.COPYING, CopyState.UNTOLD):
            follows.word = "Copying" if copied.percent is None else f"Copying {copied.percent} %"
            follows.sentence = f"{copied.sentence} {follows.sentence}"
        return schemas.RunImage(image_id=int(image.key), name=image.source, cells=cells)

    def _cells(self, steps: list[Step], columns: list[schemas.Column]) -> dict[str, schemas.Cell]:
        by_kind = {step.kind: step for step in steps}
        cells: dict[str, schemas.Cell] = {}
        for column in columns:
            if column.kind == "step" and column.id in by_kind:
                cells[column.id] = step_cell(by_kind[column.id])
            elif column.kind == "gate" and (cell := self._gate_cell(column.id, steps)):
                cells[column.id] = cell
        return cells

    def _gate_cell(self, gate: str, steps: list[Step]) -> schemas.Cell | None:
        """The newest reading of the gate for this row; pending where a step will still ask for it, and not needed where
        what it guards was found done, or left out."""
        asking = [step for step in steps if gate in gates_of(step.kind)]
        if not asking:
            return None
        seen = [check for step in asking if (check := self.checks.get(step.pk, {}).get(gate))]
        if not seen:
            plain: dict[str, Any] = {"step_id": asking[0].pk, "gate": gate, "at": None, "destructive": False}
            if all(step.state in (StepState.SUCCEEDED, StepState.SKIPPED) for step in asking):
                why = "Nobody had to ask: what it guards was done already, or was skipped."
                return schemas.Cell(state="not_needed", word="Not needed", sentence=why, **plain)
            return schemas.Cell(state="pending", word="Pending", sentence="Not looked at yet.", **plain)
        check = max(seen, key=lambda one: one.checked_at)
        return schemas.Cell(
            step_id=check.step_id, gate=gate, state=check.outcome, word=GATE_WORD.get(check.outcome, check.outcome),
            sentence=check.sentence, at=check.checked_at, destructive=False,
        )  # fmt: skip

    def _tally(self, counts: Mapping[str, int]) -> schemas.Tally:
        outcomes = Counter(check.outcome for checks in self.checks.values() for check in checks.values())
        return schemas.Tally(
            met=outcomes["met"], not_met=outcomes["not_met"], cannot_tell=outcomes["cannot_tell"], steps=dict(counts)
        )

    def next_sentence(self) -> str:
        """The one next action, who may do it, and why it waits."""
        run, state = self.run, RunState(self.run.state)
        if state in TERMINAL_RUN:
            return self._over()
        if state is RunState.AWAITING_APPROVAL:
            until = f", until {self.approval.expires_at:%H:%M:%S} UTC" if self.approval else ""
            return f"An approver other than {run.requested_name} decides{until}. Nothing is sent before."
        if waits := giving_way.why_it_waits(run):
            return waits
        if state is RunState.PAUSED:
            if self.approval is not None and self.approval.state == ApprovalState.REQUESTED:
                asked = self.approval.requested_by
                return f"An approver other than {asked} decides about the new approval; then the run goes on."
            back = returned(run.group) if run.kind == RunKind.DISASTER_FAILOVER else None
            if back is not None and next_act(back) == FENCE_IT:
                return f"{back.site.name} is back. Fence it first: this run gives way, and goes on here afterwards."
            if any(step.state == StepState.FAILED for step in self.steps):
                return f"An {WHO} decides how it goes on, below."
            if self.run.on_hold:
                return f"An {WHO} decides about what is on hold, below."
            return f"An {WHO} decides: resume, or cancel."
        if not driven(run, timezone.now()):
            return (
                "Nobody drives this run at the moment; an executor is called within seconds, and it begins by looking."
            )
        if run.cancel_asked or state is RunState.CANCELLING:
            return "Nothing to do: what is in flight is waited for, then it is read where everything stands."
        if run.pause_asked:
            return "Nothing to do: the run pauses as soon as what is in flight has ended."
        return self._busy()

    def _over(self) -> str:
        run = self.run
        if not why_no_way_back(run):
            if run.target_site.ceph_reachable is False:
                return (
                    f"{run.target_site.name} does not answer, so the way back waits for it. If it is lost, an {WHO} "
                    f"asks for a disaster failover: two people bring the group up at {run.source_site.name}."
                )
            return f"The way back is open: an {WHO} may take the group back to {run.source_site.name}."
        if run.kind == RunKind.DISASTER_FAILOVER and run.started_at is not None:
            return (
                f"Keep {run.source_site.name} cut off: its copies can still be written. When it comes back, "
                "nothing may start there. Make its copies anew then (Reprotect): until then there is no second one."
            )
        if run.kind == RunKind.FENCE and run.state == RunState.SUCCEEDED:
            resting = building.active_run(run.group)
            if resting is not None and resting.kind == RunKind.DISASTER_FAILOVER:
                return f"{run.source_site.name} is fenced. Run {resting.pk} has its turn again: go on there."
            if building.came_back(run.group) or returned(run.group):
                return f"{run.source_site.name} is fenced. Make its copies anew now (Reprotect)."
            return (
                f"{run.source_site.name} is fenced, and its copies follow: a failback may be asked for. What a fence "
                "locked there, a reprotect unlocks."
            )
        if run.kind == RunKind.REPROTECT and run.state == RunState.SUCCEEDED:
            return f"The group is protected again. A failback takes it to {run.group.home_site.name} when you want."
        return "Nothing is left to do here."

    def _busy(self) -> str:
        unknown = [step for step in self.steps if step.state == StepState.UNKNOWN]
        if unknown:
            return f"Nothing to do: it is being read whether “{title(unknown[0])}” was done. {unknown[0].sentence}"
        running = [step for step in self.steps if step.state == StepState.RUNNING]
        if running:
            more = f" and {len(running) - 1} more" if len(running) > 1 else ""
            return f"Nothing to do: {title(running[0])}{more} in progress."
        waiting = [step for step in self.steps if step.state == StepState.WAITING]
        if waiting:
            more = f" ({len(waiting)} steps wait)" if len(waiting) > 1 else ""
            return f"Nothing to do: “{title(waiting[0])}” waits{more}. {waiting[0].sentence}"
        return "Nothing to do: the next steps begin."


def gates_of(kind: str) -> set[str]:
    spec = STEP_KINDS.get(StepKind(kind)) if kind in set(StepKind) else None
    return {gate.value for gate in (*spec.gates_before, *spec.gates_after)} if spec else set()


def title(step: Step) -> str:
    if step.kind not in set(StepKind):
        return step.key
    return STEP_KINDS[StepKind(step.kind)].sentence(step.subject, step.site.name)


def step_cell(step: Step) -> schemas.Cell:
    state, word = STEP_CELL[StepState(step.state)]
    destructive = step.kind in set(StepKind) and STEP_KINDS[StepKind(step.kind)].destructive
    at = step.finished_at or step.started_at
    sentence = f"Skipped by {step.skipped_by}: {step.skip_reason}" if step.state == StepState.SKIPPED else step.sentence
    return schemas.Cell(
        step_id=step.pk, gate=None, state=state, word=word, sentence=sentence, at=at, destructive=destructive
    )


def actions(run: models.Run) -> list[schemas.RunAction]:
    """Each action, whether it is possible now, and if not, why."""
    state = RunState(run.state)
    over, waits = f"The run is {state}.", giving_way.why_it_waits(run)
    stoppable = state in (RunState.APPROVED, RunState.RUNNING, RunState.PAUSED)
    reasons = {
        "pause": ""
        if state in (RunState.APPROVED, RunState.RUNNING) and not run.pause_asked
        else "It was asked for already."
        if run.pause_asked
        else over,
        "resume": waits
        if waits
        else ""
        if state is RunState.PAUSED or (run.pause_asked and state is RunState.RUNNING)
        else f"{over} It is not paused.",
        "cancel": waits
        if waits
        else "It was asked for already."
        if run.cancel_asked and state not in TERMINAL_RUN
        else ""
        if stoppable
        else over,
        "way_back": why_no_way_back(run),
        "new_approval": why_no_new_approval(run),
    }
    phrases = {"way_back": building.phrase(RunKind.WAY_BACK, run.group, run.source_site)}
    return [
        schemas.RunAction(
            action=action, possible=not why, why_not=why or None, who=WHO, phrase=None if why else phrases.get(action)
        )
        for action, why in reasons.items()
    ]
