"""Runs: ask for one, pause it, go on, cancel it, take it back."""

from __future__ import annotations

from dataclasses import replace

from django.contrib.auth.models import User
from django.db import IntegrityError, transaction
from django.db.models import F

from drportal import jobs
from drportal.audit.record import record
from drportal.drivers.names import BadName
from drportal.engine.approvals import ApprovalEvent
from drportal.engine.home_gates import lost_sight_of
from drportal.engine.plans import PlanImpossible, PlannedStep, RunKind, build
from drportal.engine.readiness import ReadinessState, Severity
from drportal.engine.return_readiness import STAYS
from drportal.engine.states import RunEvent, RunState, StepEvent, StepState, next_run_state, next_step_state
from drportal.engine.steps import STEP_KINDS, StepKind
from drportal.errors import Conflict, Invalid, NotFound, StaleVersion, WorkerUnavailable
from drportal.events import publish
from drportal.inventory.models import MirroredImage, Site
from drportal.recovery import building, changes, fences, giving_way, glass, quarantine, warrants
from drportal.recovery.models import ProtectionGroup, RecoveryPlan, Run, RunImage, Step, StepAttempt
from drportal.recovery.plan_copy import PlanCopy, from_json, to_json
from drportal.recovery.readiness import Assessment, assess_now
from drportal.recovery.salvaging import NO_WISH, Wish, for_the_trail, with_choices
from drportal.recovery.services.plans import plan_get

MOST_ACCEPTED = 50


class NotReady(Conflict):
    code = "not_ready"


def run_get(run_id: int) -> Run:
    run = Run.objects.select_related("plan", "group__pair", "source_site", "target_site").filter(pk=run_id).first()
    if run is None:
        raise NotFound(f"There is no run {run_id}.")
    return run


def run_request(
    *,
    plan_id: int,
    kind: str,
    plan_version: int,
    phrase: str,
    reason: str,
    request_key: str,
    accept_warnings: bool,
    actor: str,
    user: User | None = None,
    discard_reason: str = "",
    deviation: str = "",
    salvage: Wish = NO_WISH,
) -> tuple[Run, bool]:
    """A new run, and True; or the run that was made with this key before, and False.

    Of a reprotect, ``salvage``: what becomes of what the returned site wrote by itself. ``discard_reason``: why it may
    be lost, needed for what is not saved. ``deviation``: why it goes on below the fence rung that the plan wants.

    Raises StaleVersion, Invalid (wrong_phrase, no_discard_reason, no_deviation, salvage_impossible, unknown_image),
    Conflict (run_active, image_held, return_quarantine, not_ready, warnings), WorkerUnavailable.
    """
    if known := known_run(request_key):
        return known, False
    wanted = _kind(kind)
    plan = plan_get(plan_id)
    same_version(plan, plan_version)
    source, target = building.direction(plan.group, wanted)
    right_phrase(phrase, building.phrase(wanted, plan.group, target))
    somebody_works()
    nothing_active(plan.group, wanted)
    copy = building.copy_of_plan(plan, source, target, wanted)
    _not_in_quarantine(plan.group, wanted, target, copy)
    if wanted is RunKind.FENCE:
        copy = replace(copy, salvage_dir="", discard_reason="nothing is discarded by a fence")
    if wanted is RunKind.REPROTECT:
        copy = fences.fenced_before(with_choices(copy, source, salvage, discard_reason.strip()), plan.group, source)
        copy = fences.with_deviation(copy, source, deviation.strip(), actor)
    assessment = assess_now(wanted, plan.group, copy, source, target)
    _refuse_unready(assessment, accept_warnings, plan, actor)
    return _make(plan, wanted, copy, source, target, reason, request_key, actor, user, assessment)


def _not_in_quarantine(group: ProtectionGroup, kind: RunKind, target: Site, copy: PlanCopy) -> None:
    """Raises Conflict (return_quarantine)."""
    if why := quarantine.why_not(group, kind, target, [int(vm.key) for vm in copy.vms]):
        raise Conflict(f"{why} Nothing was started.", code="return_quarantine")


def way_back_request(
    *, run_id: int, phrase: str, request_key: str, actor: str, user: User | None = None
) -> tuple[Run, bool]:
    """A run that takes a cancelled move back: promotes again what was demoted and never promoted elsewhere, resumes
    the VMs.
    """
    if known := known_run(request_key):
        return known, False
    parent = run_get(run_id)
    if why := why_no_way_back(parent):
        raise Conflict(f"{why} Nothing was started.", code="no_way_back")
    right_phrase(phrase, building.phrase(RunKind.WAY_BACK, parent.group, parent.source_site))
    somebody_works()
    nothing_active(parent.group)
    copy = _copy_for_way_back(parent)
    assessment = assess_now(RunKind.WAY_BACK, parent.group, copy, parent.source_site, parent.target_site)
    demoted, promoted = _roles_seen(assessment)
    _refuse_dark(assessment)
    return _make(
        parent.plan, RunKind.WAY_BACK, copy, parent.source_site, parent.target_site, f"Takes back run {parent.pk}",
        request_key, actor, user, assessment, parent=parent, demoted=demoted, promoted=promoted,
    )  # fmt: skip


def why_no_way_back(run: Run) -> str:
    """Empty when the way back may be asked for; whether it is safe is read from the sites when it is."""
    if run.kind == RunKind.WAY_BACK:
        return "A way back is not taken back."
    if run.kind == RunKind.REPROTECT:
        return "What was discarded does not come back. Ask for the same again: it goes on where this one stopped."
    if run.kind == RunKind.FENCE:
        return "A fence is not taken back: while the quarantine lasts, nothing may run or be written there."
    if run.kind == RunKind.DISASTER_FAILOVER:
        return "A disaster failover is not taken back: what was forced has a history of its own now."
    if run.state not in (RunState.ABORTED, RunState.FAILED):
        return "The way back is open once the run was cancelled and is at rest."
    if run.started_at is None:
        return "The run never began; there is nothing to take back."
    if run.way_back_runs.filter(state=RunState.SUCCEEDED).exists():
        return "It was taken back already."
    if Run.objects.filter(group=run.group, pk__gt=run.pk, started_at__isnull=False).exclude(parent=run).exists():
        return "Another run has moved the group since."
    return ""


def run_pause(*, run_id: int, actor: str, reason: str = "") -> Run:
    """Ask for a pause: no new step begins; what is in flight ends."""
    with transaction.atomic():
        run = _locked(run_id)
        if run.state == RunState.PAUSED:
            return run
        if run.state not in (RunState.RUNNING, RunState.APPROVED):
            raise Conflict(
                f"Run {run.pk} is {run.state}; there is nothing to pause. Nothing was changed.", code="wrong_state"
            )
        return _ask(run, "run.pause_asked", actor, reason, pause_asked=True)


def run_cancel(*, run_id: int, actor: str, reason: str = "") -> Run:
    """Ask for the end: no new step begins, what is in flight ends, then it is said where everything stands."""
    with transaction.atomic():
        run = _locked(run_id)
        state = RunState(run.state)
        if state is RunState.CANCELLING or run.cancel_asked:
            return run
        if state not in (RunState.RUNNING, RunState.APPROVED, RunState.PAUSED):
            raise Conflict(
                f"Run {run.pk} is {run.state}; there is nothing to cancel. Nothing was changed.", code="wrong_state"
            )
        giving_way.has_its_turn(run)
        if state is not RunState.APPROVED or not run.lease_owner:
            said = f"The run was cancelled by {actor}. {reason}".strip()
            warrants.lapse(run.pk, ApprovalEvent.MAKE_VOID, "run_cancelled", said, actor)
        if state is RunState.APPROVED and not run.lease_owner:
            return _withdraw(run, actor, reason)
        fields: dict[str, object] = {"cancel_asked": True, "pause_asked": False}
        if state is RunState.PAUSED:
            # Nobody drives a paused run: an executor comes once more, to read where everything stands.
            fields["state"] = next_run_state(state, RunEvent.CANCEL).value
        jobs.enqueue_run(run.pk)
        return _ask(run, "run.cancel_asked", actor, reason, **fields)


def run_resume(*, run_id: int, actor: str, reason: str = "") -> Run:
    """Go on: failed steps are tried again, each beginning with its probe and its gates. What is on hold stays so."""
    with transaction.atomic():
        run = _locked(run_id)
        if run.state == RunState.RUNNING and run.pause_asked:
            return _ask(run, "run.resume", actor, reason, pause_asked=False)
        if run.state != RunState.PAUSED:
            raise Conflict(f"Run {run.pk} is {run.state}, not paused. Nothing was changed.", code="wrong_state")
        giving_way.has_its_turn(run)
        for step in failed_steps(run):
            rearm(step, actor)
        return go_on(run, actor, reason)


def failed_steps(run: Run) -> list[Step]:
    """But those of VMs on hold."""
    failed = run.steps.filter(state=StepState.FAILED)
    return [step for step in failed if step.params.get("vm") not in run.on_hold]


def go_on(run: Run, actor: str, reason: str) -> Run:
    """Within a transaction: paused -> running, and ring for an executor."""
    state = next_run_state(RunState(run.state), RunEvent.RESUME).value
    jobs.enqueue_run(run.pk)
    return _ask(run, "run.resume", actor, reason, state=state, pause_asked=False, sentence="Going on.")


def rearm(step: Step, actor: str) -> None:
    """Within a transaction: a failed step waits for its turn again."""
    state = next_step_state(StepState(step.state), StepEvent.RETRY).value
    Step.objects.filter(pk=step.pk, version=step.version).update(
        state=state, version=F("version") + 1, finished_at=None
    )
    record("step.retry", step.key, {"from": step.state, "sentence": step.sentence}, actor=actor, run_id=step.run_id)


# --- parts


def known_run(request_key: str) -> Run | None:
    if not request_key.strip():
        raise Invalid("A run needs a request key, so that asking twice does not start two. Nothing was started.")
    return Run.objects.filter(request_key=request_key).first()


def _kind(word: str) -> RunKind:
    try:
        return RunKind(word)
    except ValueError:
        raise Invalid(
            f"There is no kind of run “{word}”. There are: {', '.join(RunKind)}.", code="no_such_kind"
        ) from None


def same_version(plan: RecoveryPlan, version: int) -> None:
    if plan.version != version:
        raise StaleVersion(
            f"The plan is now at version {plan.version}, and you looked at version {version}. "
            "Nothing was started. Look again."
        )


def right_phrase(given: str, wanted: str) -> None:
    if given.strip() != wanted:
        raise Invalid(f"To start, type exactly: {wanted}. Nothing was started.", code="wrong_phrase")


def somebody_works() -> None:
    if not jobs.worker_alive():
        raise WorkerUnavailable(
            "No worker is running, so nobody would carry the run out. Nothing was started. Start one: manage.py worker"
        )


def nothing_active(group: ProtectionGroup, kind: RunKind | None = None) -> None:
    """But what gives way to a run of this kind; nor is the plan locked, but for a fence. Raises Conflict (run_active,
    plan_locked)."""
    active = building.active_run(group)
    if active is not None and not giving_way.gives_way(active, kind):
        raise _run_active(active)
    locking = glass.locked_by(group)
    if locking is not None and kind is not RunKind.FENCE:
        said = f"{glass.locked_words(locking)} Nothing was started."
        raise Conflict(said, code="plan_locked", extra={"run_id": locking.pk})


def _run_active(active: Run) -> Conflict:
    return Conflict(
        f"{giving_way.who_holds(active)} Nothing was started. Finish or cancel it first.",
        code="run_active",
        extra={"run_id": active.pk},
    )


def _refuse_unready(assessment: Assessment, accept_warnings: bool, plan: RecoveryPlan, actor: str) -> None:
    result = assessment.result
    findings = [
        {"code": f.code, "severity": f.severity.value, "subject": f.subject, "sentence": f.sentence, "remedy": f.remedy}
        for f in result.findings
    ]
    blockers = [f for f in result.findings if f.severity is Severity.BLOCK]
    if result.state is not ReadinessState.READY:
        with transaction.atomic():
            record("run.refused", plan.name, {"kind": assessment.kind.value, "findings": findings}, actor=actor)
        raise NotReady(
            f"Not ready: {len(blockers)} blockers. Nothing was started. "
            f"First: {blockers[0].subject}: {blockers[0].sentence}",
            extra={"findings": findings},
        )
    if any(f.severity is Severity.WARN for f in result.findings) and not accept_warnings:
        raise NotReady(
            "There are warnings that nobody has accepted yet. Nothing was started.",
            code="warnings",
            extra={"findings": findings},
        )


def _refuse_dark(assessment: Assessment) -> None:
    dark = [f"{site.name}" for site in assessment.given.sites if site.ceph is not True or site.opennebula is not True]
    if dark:
        raise NotReady(
            f"{' and '.join(dark)} cannot be read, so it cannot be shown that going back is safe. Nothing was started. "
            "Wait for it; if it is lost, ask for a disaster failover: that brings the group up at the other site.",
            extra={"findings": []},
        )


def _make(
    plan: RecoveryPlan,
    kind: RunKind,
    copy: PlanCopy,
    source: Site,
    target: Site,
    reason: str,
    request_key: str,
    actor: str,
    user: User | None,
    assessment: Assessment,
    *,
    parent: Run | None = None,
    demoted: frozenset[str] = frozenset(),
    promoted: frozenset[str] = frozenset(),
) -> tuple[Run, bool]:
    is_return = kind is RunKind.REPROTECT
    lost = frozenset(vm.key for vm in assessment.given.vms if kind is RunKind.FAILBACK and lost_sight_of(vm.at_target))
    try:
        planned = build(kind, copy.plan_input(demoted, promoted, lost, _following(assessment)))
    except (PlanImpossible, BadName) as error:
        raise Conflict(f"{error} Nothing was started.", code="plan_impossible") from None
    try:
        with transaction.atomic():
            fresh = RecoveryPlan.objects.select_for_update().get(pk=plan.pk)
            if parent is None:
                same_version(fresh, plan.version)
            run = Run.objects.create(
                plan=plan, group_id=plan.group_id, kind=kind.value, state=RunState.DRAFT.value,
                plan_version=fresh.version,
                plan_copy=to_json(copy), source_site=source, target_site=target, parent=parent, requested_by=user,
                requested_name=actor, reason=reason, request_key=request_key, sentence="Waiting for an executor.",
                rto_s=fresh.rto_s,
            )  # fmt: skip
            giving_way.give_way(run, actor)
            run.state = next_run_state(RunState.DRAFT, RunEvent.ACCEPT).value
            run.save(update_fields=["state"])
            held = [
                RunImage(run=run, image=image)
                for image in MirroredImage.objects.filter(pk__in=[i.key for i in copy.images()])
            ]
            RunImage.objects.bulk_create(held)
            make_steps(run, planned, copy, {source.slug: source, target.slug: target})
            record(
                "run.request",
                f"run {run.pk}: {kind} of {plan.group.name} to {target.slug}",
                {
                    "kind": kind.value,
                    "plan": plan.name,
                    "plan_version": fresh.version,
                    "reason": reason,
                    "steps": [step.key for step in planned],
                    "readiness": assessment.result.counts,
                    "accepted": _accepted(assessment),
                    "parent": parent.pk if parent else None,
                    **({"salvage": for_the_trail(copy), **fences.for_the_trail(copy)} if is_return else {}),
                },
                actor=actor,
                run_id=run.pk,
            )
            jobs.enqueue_run(run.pk)
            for topic in ("runs", "overview", f"plan:{plan.pk}"):
                publish(topic)
    except IntegrityError:
        return _lost_the_race(plan.group, copy, request_key)
    return run, True


def make_steps(run: Run, planned: tuple[PlannedStep, ...], copy: PlanCopy, sites: dict[str, Site]) -> None:
    rows = []
    for position, step in enumerate(planned):
        of_image = STEP_KINDS[step.kind].subject == "image"
        subject = copy.image(step.subject).source if of_image else copy.vm(step.subject).name
        rows.append(
            Step(
                run=run,
                key=step.key,
                position=position,
                kind=step.kind.value,
                subject=subject,
                vm_name=copy.vm(step.vm_key).name,
                site=sites[step.site],
                needs=list(step.needs),
                params={"vm": step.vm_key, **({"image": step.subject} if of_image else {})},
            )
        )
    Step.objects.bulk_create(rows)


def _lost_the_race(group: ProtectionGroup, copy: PlanCopy, request_key: str) -> tuple[Run, bool]:
    """A constraint of the database refused: the same key, another run of the group, or an image held by another
    group's run.
    """
    if known := Run.objects.filter(request_key=request_key).first():
        return known, False
    if active := building.active_run(group):
        raise _run_active(active)
    held = (
        RunImage.objects.filter(held=True, image_id__in=[int(image.key) for image in copy.images()])
        .select_related("image")
        .first()
    )
    if held is None:
        raise Conflict("Somebody else was faster. Nothing was started. Look again.", code="run_active")
    raise Conflict(
        f"Image {held.image} is held by run {held.run_id}. Nothing was started. Finish or cancel that run first.",
        code="image_held",
        extra={"run_id": held.run_id, "image_id": held.image_id},
    )


def _copy_for_way_back(parent: Run) -> PlanCopy:
    """The parent's copy, with what the parent's own record says it did to each image."""
    copy = from_json(parent.plan_copy)
    demoted = {
        step.params["image"]
        for step in parent.steps.filter(kind=StepKind.IMAGE_DEMOTE, state=StepState.SUCCEEDED)
        if step.attempt
    }
    tried = StepAttempt.objects.filter(step__run=parent, step__kind=StepKind.IMAGE_PROMOTE)
    sent = {
        attempt.step.params["image"]
        for attempt in tried.select_related("step")
        if attempt.outcome not in ("refused", "not_done", "unreachable")
    }
    return replace(copy, demoted_by_parent=frozenset(demoted), promote_sent_by_parent=frozenset(sent))


def _roles_seen(assessment: Assessment) -> tuple[frozenset[str], frozenset[str]]:
    """(demoted at the source, primary at the target), as just read."""
    demoted, promoted = set(), set()
    for image in assessment.given.images:
        if image.source.role is not None and image.source.role.primary is False:
            demoted.add(image.key)
        if image.target.role is not None and image.target.role.primary is True:
            promoted.add(image.key)
    return frozenset(demoted), frozenset(promoted)


def _following(assessment: Assessment) -> frozenset[str]:
    return frozenset(
        image.key
        for image in assessment.given.images
        if image.source.role is not None and image.source.role.primary is False and image.verdict.code in STAYS
    )


def _accepted(assessment: Assessment) -> list[str]:
    """The warnings that the asker took upon themselves, as they read them."""
    warned = [found for found in assessment.result.findings if found.severity is Severity.WARN]
    more = [f"and {len(warned) - MOST_ACCEPTED} more"] if len(warned) > MOST_ACCEPTED else []
    return [*(f"{found.subject}: {found.sentence}" for found in warned[:MOST_ACCEPTED]), *more]


def _locked(run_id: int) -> Run:
    run = Run.objects.select_for_update().filter(pk=run_id).first()
    if run is None:
        raise NotFound(f"There is no run {run_id}.")
    return run


def _withdraw(run: Run, actor: str, reason: str) -> Run:
    """Before an executor began. The fence goes up, so that one that is just beginning cannot write."""
    state = next_run_state(RunState.APPROVED, RunEvent.CANCEL).value
    sentence = "Withdrawn before it began. No site was touched."
    _ask(run, "run.cancel", actor, reason, state=state, sentence=sentence, cancel_asked=True, fence=F("fence") + 1)
    changes.images_let_go(run.pk)()
    return run_get(run.pk)


def _ask(run: Run, action: str, actor: str, reason: str, **fields: object) -> Run:
    Run.objects.filter(pk=run.pk).update(version=F("version") + 1, **fields)
    record(action, f"run {run.pk}: {run.kind}", {"reason": reason, "state": run.state}, actor=actor, run_id=run.pk)
    for topic in (f"run:{run.pk}", "runs", "overview"):
        publish(topic, run.version + 1)
    return run_get(run.pk)
