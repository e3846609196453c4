"""Disaster failover: ask for it. Nothing is held and nothing is sent until a second person has said yes."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from typing import Any

from django.contrib.auth.models import User
from django.db import IntegrityError, transaction
from django.utils import timezone

from drportal.audit.record import record
from drportal.drivers.names import BadName
from drportal.drivers.orders import Warrant
from drportal.engine.approvals import OPEN_APPROVAL, ApprovalState, content_hash
from drportal.engine.evidence import differences, moved
from drportal.engine.fence import ATTESTABLE, RUNG_WORDS, FenceRung, below
from drportal.engine.plans import PlanImpossible, RunKind, build
from drportal.engine.states import RunEvent, RunState, next_run_state
from drportal.engine.vantage import Standing
from drportal.errors import Conflict, Invalid
from drportal.events import publish
from drportal.inventory.models import MirroredImage, Site
from drportal.recovery import building, evidence, giving_way, quarantine, unfit
from drportal.recovery.models import Approval, Evidence, ProtectionGroup, RecoveryPlan, Run, RunImage
from drportal.recovery.plan_copy import ImageCopy, PlanCopy, from_json, to_json
from drportal.recovery.policy import policy_now
from drportal.recovery.services import runs
from drportal.recovery.services.plans import plan_get
from drportal.recovery.survivors import cut_short, peer_of, torn
from drportal.recovery.warrants import forced_commands, steps_to_force, still_to_force

KEEP_UNUSED = 50  # evidence of doors that were opened, and nobody asked for anything


@dataclass(frozen=True, slots=True)
class Door:
    """What stands behind the disaster door of a plan: evidence read now, the phrase, what forbids it, and what it will
    not save or not bring home (``notes``)."""

    plan: RecoveryPlan
    source: Site
    target: Site
    copy: PlanCopy
    content: dict[str, Any]
    phrase: str
    blockers: tuple[str, ...]
    notes: tuple[str, ...]


def disaster_open(plan_id: int) -> tuple[Door, str]:
    """The door, with its evidence frozen: a request that names its hash is bound to what was looked at here."""
    door = disaster_door(plan_id)
    digest = _frozen(door.content).sha256
    unused = Evidence.objects.filter(approvals=None).order_by("-pk").values_list("pk", flat=True)[KEEP_UNUSED:]
    Evidence.objects.filter(pk__in=list(unused), approvals=None).delete()
    return door, digest


def disaster_door(plan_id: int) -> Door:
    """Reads both sites now; changes nothing."""
    plan = plan_get(plan_id)
    source, target = _direction(plan.group)
    copy = building.copy_of_plan(plan, source, target)
    content = _seen(plan, copy, source, target)
    if _only_source_answers(content) and torn(plan.group):
        # A move was cut short, and it is the site where it went that is lost: back to where the copies were demoted.
        source, target = target, source
        copy = building.copy_of_plan(plan, source, target)
        content = _seen(plan, copy, source, target)
    phrase = building.phrase(RunKind.DISASTER_FAILOVER, plan.group, target)
    blockers = _blockers(copy, content, source, target)
    if why := quarantine.why_not(plan.group, RunKind.DISASTER_FAILOVER, target):
        blockers.insert(0, why)
    notes = unfit.notes(copy, content, source, target)
    return Door(plan, source, target, copy, content, phrase, tuple(blockers), notes)


def _seen(plan: RecoveryPlan, copy: PlanCopy, source: Site, target: Site) -> dict[str, Any]:
    return {**evidence.settled(evidence.collect(copy, source, target)), "plan": [plan.pk, plan.version]}


def _only_source_answers(content: dict[str, Any]) -> bool:
    images = content["images"].values()
    answers = any(image["other_side_answers"] for image in images)
    return answers and not any(image["read_here"] for image in images)


def _direction(group: ProtectionGroup) -> tuple[Site, Site]:
    """Away from where the group is active; the same way round again as long as the last one was cut short, although
    the group counts as being at its target since."""
    if again := cut_short(group):
        return again.source_site, again.target_site
    return group.active_site, peer_of(group, group.active_site)


def _blockers(copy: PlanCopy, content: dict[str, Any], source: Site, target: Site) -> list[str]:
    """An image whose own copy is unfit does not forbid saving the others: it is refused by itself, by its gate."""
    found, fit, of_fit_vms = [], 0, unfit.fit_images(copy)
    if content["second_view"]["alive"]:
        by_witness = content["second_view"]["standing"] == Standing.A_WITNESS_SEES
        wrong = " A witness that is wrong is taken away on the page of the sites." if by_witness else ""
        found.append(
            f"{content['second_view']['sentence']} Its VMs may be running: nothing is forced while it lives. Mend the "
            f"portal's way to it, or have it shut down there first.{wrong}"
        )
    for key, image in sorted(content["images"].items(), key=lambda item: str(item[1]["name"])):
        if image["other_side_answers"]:
            found.append(
                f"{source.name} answers about {image['name']}: nothing is forced while it can be read. "
                "Make a planned failover, or stop the writers there first."
            )
        elif not image["read_here"]:
            found.append(f"{image['name']} cannot be read at {target.name}.")
        # One that is primary already has nothing left to be shown whole: its VM can still be started.
        whole = image["whole_copy"] is True or image["primary_here"] is True
        fit += image["exists_here"] is True and whole and key in of_fit_vms
    if not of_fit_vms:
        found += [f"No VM can be saved. {note}" for note in unfit.notes(copy, content, source, target)[:1]]
    elif not fit:
        found.append(f"No image has a copy at {target.name} that is shown to be whole: nothing could be saved.")
    return found


@dataclass(frozen=True, slots=True)
class Attested:
    """What the asker gives their word for: that nothing runs at the lost site (``text``), and how surely (``rung``).
    ``deviation``: why it goes on below the rung that the plan wants."""

    text: str
    rung: int = FenceRung.CUT.value
    deviation: str = ""


def disaster_request(
    *,
    plan_id: int,
    plan_version: int,
    phrase: str,
    reason: str,
    attestation: str,
    request_key: str,
    user: User,
    evidence_sha256: str = "",
    attested_rung: int = FenceRung.CUT.value,
    deviation: str = "",
) -> tuple[Run, bool]:
    """A run that waits for a second person, and True; or the run made with this key before, and False.

    ``evidence_sha256``: of the evidence that was frozen when the door was opened; both sites are read once more, and it
    must not have moved. Empty: nobody looked, and what this request reads is frozen.

    Raises StaleVersion, Invalid (wrong_phrase, no_reason, no_attestation, no_such_rung, below_policy, no_deviation),
    Conflict (run_active, not_ready, evidence_old, evidence_moved, …), WorkerUnavailable.
    """
    word = Attested(attestation, attested_rung, deviation.strip())
    if known := runs.known_run(request_key):
        return known, False
    plan = plan_get(plan_id)
    runs.same_version(plan, plan_version)
    _said_why(reason, word, plan.fence_rung)
    runs.nothing_active(plan.group)
    runs.somebody_works()
    door = disaster_door(plan_id)
    if why := quarantine.why_not(plan.group, RunKind.DISASTER_FAILOVER, door.target):
        raise Conflict(f"{why} Nothing was asked for.", code="return_quarantine")
    runs.right_phrase(phrase, door.phrase)
    if door.blockers:
        _refused(plan, user, list(door.blockers))
    if evidence_sha256:
        door = replace(door, content=_as_looked_at(door, evidence_sha256))
    try:
        return _make(door, reason, word, request_key, user), True
    except IntegrityError:  # the same request arrived twice at the same moment
        if known := runs.known_run(request_key):
            return known, False
        raise


def _as_looked_at(door: Door, digest: str) -> dict[str, Any]:
    """The evidence that was frozen at the door, where it still holds."""
    minutes = policy_now().minutes
    oldest = timezone.now() - dt.timedelta(minutes=minutes)
    frozen = Evidence.objects.filter(sha256=digest, taken_at__gte=oldest).first()
    if frozen is None or frozen.content.get("plan") != door.content["plan"]:
        raise Conflict(
            f"What you looked at is older than {minutes} minutes, or was another version of the plan. Look "
            "again. Nothing was asked for.",
            code="evidence_old",
        )
    content: dict[str, Any] = frozen.content
    if found := moved(differences(content, door.content)):
        raise Conflict(
            f"What you looked at is not so any more ({found[0].subject}: {found[0].field.replace('_', ' ')}). Look "
            "again. Nothing was asked for.",
            code="evidence_moved",
            extra={"differences": [asdict(one) for one in found]},
        )
    return content


def _frozen(content: dict[str, Any]) -> Evidence:
    fresh = {"content": content, "taken_at": timezone.now()}
    return Evidence.objects.get_or_create(sha256=content_hash(content), defaults=fresh)[0]


def _said_why(reason: str, word: Attested, wanted: int) -> None:
    if not reason.strip():
        raise Invalid("A disaster failover needs a reason. Nothing was asked for.", code="no_reason")
    if word.rung not in {rung.value for rung in ATTESTABLE}:
        rungs = ", ".join(f"{rung.value} ({words})" for rung, words in ATTESTABLE.items())
        raise Invalid(f"Nobody can attest rung {word.rung}; there are {rungs}.", code="no_such_rung")
    if word.rung < (least := policy_now().least_rung):
        raise Invalid(
            f"That is rung {word.rung}; the approval policy lets nothing go on below rung {least} "
            f"({RUNG_WORDS[FenceRung(least)]}), whatever the reason. Have power or network cut. Nothing was asked for.",
            code="below_policy",
        )
    if word.rung < wanted and not word.deviation:
        lacking = below(FenceRung(word.rung), FenceRung(wanted), "", "")
        raise Invalid(
            f"{lacking} Have power or network cut, or say why it goes on without. Nothing was asked for.",
            code="no_deviation",
        )
    if not word.text.strip():
        raise Invalid(
            "Say who has made sure that nothing runs at the lost site any more, and how (power, network). "
            "Nothing was asked for.",
            code="no_attestation",
        )


def _refused(plan: RecoveryPlan, user: User, blockers: list[str], run_id: int | None = None) -> None:
    payload = {"kind": RunKind.DISASTER_FAILOVER.value, "blockers": blockers}
    with transaction.atomic():
        record("run.refused", plan.name, payload, actor=user.username, run_id=run_id)
    raise runs.NotReady(f"{blockers[0]} Nothing was asked for.", extra={"blockers": blockers})


def _make(door: Door, reason: str, word: Attested, request_key: str, user: User) -> Run:
    copy, plan = door.copy, door.plan
    try:
        planned = build(RunKind.DISASTER_FAILOVER, copy.plan_input())
    except (PlanImpossible, BadName) as error:
        raise Conflict(f"{error} Nothing was asked for.", code="plan_impossible") from None
    with transaction.atomic():
        fresh = RecoveryPlan.objects.select_for_update().get(pk=plan.pk)
        runs.same_version(fresh, plan.version)
        run = Run.objects.create(
            plan=plan, group_id=plan.group_id, kind=RunKind.DISASTER_FAILOVER.value, rto_s=fresh.rto_s,
            state=next_run_state(RunState.DRAFT, RunEvent.SUBMIT).value, plan_version=fresh.version,
            plan_copy=to_json(copy), source_site=door.source, target_site=door.target, requested_by=user,
            requested_name=user.username, reason=reason, request_key=request_key,
            sentence="Waiting for a second person's yes. Nothing was sent.",
        )  # fmt: skip
        rows = MirroredImage.objects.filter(pk__in=[image.key for image in copy.images()])
        RunImage.objects.bulk_create([RunImage(run=run, image=row, held=False) for row in rows])
        runs.make_steps(run, planned, copy, {door.source.slug: door.source, door.target.slug: door.target})
        _ask(run, door.content, copy.images(), reason, word, user)
        for topic in ("runs", "overview", f"plan:{plan.pk}"):
            publish(topic)
    return run


def _ask(
    run: Run, content: dict[str, Any], images: Iterable[ImageCopy], reason: str, word: Attested, user: User
) -> Approval:
    """Within a transaction: freeze the evidence, and ask for a yes to it and to the forced commands of the images."""
    frozen, now, token, policy = _frozen(content), timezone.now(), uuid.uuid4().hex, policy_now()
    digest = frozen.sha256
    commands = forced_commands(run.target_site, images, Warrant(token, digest))
    approval = Approval.objects.create(
        run=run, token=token, state=ApprovalState.REQUESTED.value, evidence=frozen, plan_version=run.plan_version,
        commands=commands, attested_by=user.username, attestation=word.text, attested_rung=word.rung,
        deviation=word.deviation, requested_by=user,
        needed=policy.needed, expires_at=now + dt.timedelta(minutes=policy.minutes),
    )  # fmt: skip
    payload = {
        "run": run.pk, "plan": run.plan.name, "plan_version": run.plan_version, "evidence_sha256": digest,
        "commands": commands, "reason": reason, "attestation": word.text, "attested_rung": word.rung,
        "deviation": word.deviation, "needed": approval.needed,
        "expires_at": approval.expires_at,
    }  # fmt: skip
    record("approval.request", f"run {run.pk}", payload, actor=user.username, run_id=run.pk)
    return approval


def why_no_new_approval(run: Run) -> str:
    """Empty when a new yes may be asked for in the middle of a disaster failover."""
    if run.kind != RunKind.DISASTER_FAILOVER:
        return "Only a disaster failover needs a yes."
    if run.state != RunState.PAUSED:
        return f"The run is {run.state}. A new approval is asked for while it is paused."
    if run.approvals.filter(state__in=[state.value for state in OPEN_APPROVAL]).exists():
        return "One is asked for already."
    if waits := giving_way.why_it_waits(run):
        return waits
    if not steps_to_force(run).exists():
        return "Nothing is left to be forced."
    return ""


def new_approval_request(
    *,
    run_id: int,
    reason: str,
    attestation: str,
    user: User,
    attested_rung: int = FenceRung.CUT.value,
    deviation: str = "",
) -> Approval:
    """In a paused run, whose yes has expired or lost its giver: ask for one to what is still to be sent.

    The evidence is read anew, and the run goes on when it is given. Raises Invalid (no_reason, no_attestation),
    Conflict (no_new_approval, not_ready).
    """
    run, word = runs.run_get(run_id), Attested(attestation, attested_rung, deviation.strip())
    copy = from_json(run.plan_copy)
    _said_why(reason, word, copy.fence_rung)
    if why := why_no_new_approval(run):
        raise Conflict(f"{why} Nothing was asked for.", code="no_new_approval")
    content = _seen(run.plan, copy, run.source_site, run.target_site)
    if blockers := _blockers(copy, content, run.source_site, run.target_site):
        _refused(run.plan, user, blockers, run.pk)
    with transaction.atomic():
        Run.objects.select_for_update().get(pk=run_id)
        run = runs.run_get(run_id)
        if why := why_no_new_approval(run):
            raise Conflict(f"{why} Nothing was asked for.", code="no_new_approval")
        approval = _ask(run, content, still_to_force(run), reason, word, user)
        for topic in (f"run:{run_id}", "runs", "overview"):
            publish(topic)
    return approval
