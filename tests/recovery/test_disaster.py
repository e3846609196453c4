"""A lost site, two people, one approval: on the embedded lab, with an executor in this process."""

from __future__ import annotations

import datetime as dt
import json
import uuid
from collections.abc import Callable

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from drportal.audit.check import verify_database
from drportal.audit.models import AuditEntry
from drportal.engine.receipts import Difference, compared
from drportal.engine.states import RunState
from drportal.inventory.models import Site, VmDisk
from drportal.people.proof import Proof
from drportal.recovery.models import Approval, Evidence, ProtectionGroup, RecoveryPlan, Run, RunImage, StepAttempt
from drportal.recovery.services import approvals, disaster, runs
from drportal.recovery.services.steps import step_skip
from drportal.recovery.warrants import facts_of
from drportal.roles import Role
from drportal.watch.receipts import kept_of, sent_of
from tests.conftest import PASSWORD, hold
from tests.recovery.conftest import Mover

pytestmark = [pytest.mark.slow, pytest.mark.on_postgres]


def person(name: str, *roles: Role) -> User:
    user = User.objects.create_user(name, password=PASSWORD)
    hold(user, *roles)
    return user


@pytest.fixture
def olga(mover: Mover) -> User:
    return person("olga", Role.OPERATOR)


@pytest.fixture
def anna(mover: Mover) -> User:
    return person("anna", Role.APPROVER)


def requested(plan: RecoveryPlan, user: User, evidence_sha256: str = "") -> Run:
    plan.refresh_from_db()
    return disaster.disaster_request(
        plan_id=plan.pk,
        plan_version=plan.version,
        phrase=f"force {plan.group.name} to site-b",
        reason="the site burns",
        attestation="olga had the power of both racks cut",
        request_key=uuid.uuid4().hex,
        user=user,
        evidence_sha256=evidence_sha256,
    )[0]


def approved(run: Run, user: User) -> Approval:
    approval = Approval.objects.select_related("evidence").filter(run=run)[0]  # the newest
    return approvals.approval_approve(
        approval_id=approval.pk,
        user=user,
        proof=Proof(PASSWORD),
        evidence_sha256=approval.evidence.sha256,
        commands_sha256=approvals.commands_hash(approval),
        by_token=False,
    )


def told(run: Run) -> str:
    steps = "\n".join(f"{step.state} {step.key} {step.sentence}" for step in run.steps.all())
    return f"{run.state}: {run.sentence}\n{steps}"


def test_a_killed_site_is_failed_over_by_two_people_in_both_modes(mover: Mover, olga: User, anna: User) -> None:
    plan = mover.plan("web-1", "db-1")
    images = mover.images(plan)
    mover.lab.fail("a", "site-down")
    run = requested(plan, olga)
    assert run.state == RunState.AWAITING_APPROVAL
    second = Approval.objects.get(run=run).evidence.content["second_view"]
    assert (second["standing"], second["asked"], second["trouble"]) == ("silent_for_both", "site-b", "")
    assert [(view["what"], view["listens"]) for view in second["views"]] == [("SSH host", False), ("OpenNebula", False)]
    assert not RunImage.objects.filter(run=run, held=True).exists(), "what waits for a yes holds nothing"
    assert mover.drive(run).state == RunState.AWAITING_APPROVAL, "nobody drives it"
    approval = approved(run, anna)
    assert RunImage.objects.filter(run=run, held=True).count() == len(images)
    run = mover.drive(run)
    assert run.state == RunState.SUCCEEDED, told(run)
    approval.refresh_from_db()
    assert approval.state == "used"
    assert approval.used_at is not None
    assert ProtectionGroup.objects.get(pk=plan.group_id).active_site.slug == "site-b"
    assert (mover.vm_state("b", "web-1"), mover.vm_state("b", "db-1")) == ("RUNNING", "RUNNING")
    sent = StepAttempt.objects.filter(step__run=run, step__kind="image.force_promote")
    assert sorted(attempt.command for attempt in sent) == approval.commands, "what was approved is what was sent"
    for attempt in sent.select_related("step__run__group", "step__site"):
        (kept,) = [said for answer in attempt.answers if "approval" in (said := json.loads(answer["stdout"] or "{}"))]
        assert kept["approval"] == facts_of(approval).sha256, "and the site has kept under which yes"
        assert compared(sent_of(attempt), kept_of(kept)) is True
        under_another = compared(sent_of(attempt), kept_of({**kept, "approval": "f" * 64}))
        assert isinstance(under_another, Difference) and "another approval" in under_another.sentence
    for image in images:
        assert mover.acts("b", "promote --force", image) == 1
        assert "b" in mover.primary(image)
    begun = AuditEntry.objects.filter(run_id=run.pk, action="step.begin", subject__startswith="Force-promote")
    yes = AuditEntry.objects.get(run_id=run.pk, action="approval.yes")
    assert all(entry.seq > yes.seq for entry in begun)
    assert verify_database().ok


def test_a_site_that_answers_is_never_forced(mover: Mover, olga: User) -> None:
    with pytest.raises(runs.NotReady, match="nothing is forced while it can be read"):
        requested(mover.plan("web-2"), olga)
    assert not Run.objects.exists()
    assert AuditEntry.objects.filter(action="run.refused").count() == 1


def test_a_site_that_the_portal_alone_has_lost_is_never_forced(mover: Mover, olga: User) -> None:
    mover.lab.fail("a", "sessions-full")  # its sshd greets whoever connects, and lets nobody in
    with pytest.raises(runs.NotReady, match=r"is not gone: .* gets an answer from its SSH host") as caught:
        requested(mover.plan("web-2"), olga)
    assert "Its VMs may be running" in caught.value.detail
    assert not Run.objects.exists()


def test_a_site_that_comes_back_before_the_yes_makes_the_request_void(mover: Mover, olga: User, anna: User) -> None:
    plan = mover.plan("web-3")
    mover.lab.fail("a", "site-down")
    run = requested(plan, olga)
    mover.lab.restore("a")
    with pytest.raises(runs.Conflict) as caught:
        approved(run, anna)
    assert caught.value.code == "approval_evidence_moved"
    run.refresh_from_db()
    assert run.state == RunState.ABORTED
    assert Approval.objects.get(run=run).state == "void"
    (image,) = mover.images(plan)
    assert mover.acts("b", "promote --force", image) == 0


def test_a_site_that_comes_back_after_the_yes_is_not_forced(mover: Mover, olga: User, anna: User) -> None:
    plan = mover.plan("web-4")
    mover.lab.fail("a", "site-down")
    run = requested(plan, olga)
    approved(run, anna)
    mover.lab.restore("a")
    run = mover.drive(run)
    (image,) = mover.images(plan)
    assert run.state == RunState.PAUSED, told(run)
    assert mover.acts("b", "promote --force", image) == 0
    assert mover.primary(image) == "a"


def the_role_is_taken(run: Run, anna: User) -> None:
    anna.grants.all().delete()


def the_plan_changes(run: Run, anna: User) -> None:
    RecoveryPlan.objects.filter(pk=run.plan_id).update(version=run.plan_version + 1)


def the_evidence_changes(run: Run, anna: User) -> None:
    frozen = Approval.objects.get(run=run).evidence
    Evidence.objects.filter(pk=frozen.pk).update(content={**frozen.content, "taken_at": "another day"})


def the_commands_change(run: Run, anna: User) -> None:
    Site.objects.filter(pk=run.target_site_id).update(ceph_user="somebody")


def its_time_runs_out(run: Run, anna: User) -> None:
    Approval.objects.filter(run=run).update(expires_at=timezone.now() - dt.timedelta(seconds=1))


@pytest.mark.parametrize(
    ("meanwhile", "state", "code"),
    [
        (the_role_is_taken, "void", "approval_too_few"),
        (the_plan_changes, "void", "approval_other_plan_version"),
        (the_evidence_changes, "void", "approval_evidence_moved"),
        (the_commands_change, "void", "approval_commands_changed"),
        (its_time_runs_out, "expired", "approval_expired"),
    ],
)
def test_a_yes_that_does_not_fit_any_more_when_it_is_used_comes_to_nothing(
    mover: Mover, olga: User, anna: User, meanwhile: Callable[[Run, User], None], state: str, code: str
) -> None:
    plan = mover.plan("web-10")
    mover.lab.fail("a", "site-down")
    run = requested(plan, olga)
    approved(run, anna)
    user = run.target_site.ceph_user
    meanwhile(run, anna)
    run = mover.drive(run)
    Site.objects.filter(pk=run.target_site_id).update(ceph_user=user)
    assert run.state == RunState.FAILED, told(run)
    assert Approval.objects.get(run=run).state == state, "the page does not say approved for ever"
    entry = AuditEntry.objects.get(run_id=run.pk, action__in=["approval.make_void", "approval.expire"])
    assert entry.payload["code"] == code
    assert not RunImage.objects.filter(run=run, held=True).exists()
    assert mover.acts("b", "promote --force", mover.images(plan)[0]) == 0


def test_one_bad_image_does_not_hold_up_the_other_vms(mover: Mover, olga: User, anna: User) -> None:
    plan = mover.plan("web-5", "web-6")
    disks = VmDisk.objects.filter(vm__membership__group=plan.group, vm__site=mover.pair.a)
    bad = disks.get(vm__name="web-5").source.removeprefix("one/")
    good = disks.get(vm__name="web-6").source.removeprefix("one/")
    mover.lab.fail("a", "site-down")
    run = requested(plan, olga)
    approved(run, anna)
    mover.lab.fail("b", "command-fails", match=f"promote --force one/{bad}", exit=30, stderr="rbd: error", times=1)
    run = mover.drive(run)
    assert run.state == RunState.PAUSED, told(run)
    assert (mover.primary(bad), mover.primary(good)) == ("a", "ab"), told(run)
    assert (mover.vm_state("b", "web-5"), mover.vm_state("b", "web-6")) == (None, "RUNNING"), told(run)
    again = mover.drive(runs.run_resume(run_id=run.pk, actor="olga"))
    assert again.state == RunState.SUCCEEDED, told(again)
    assert mover.vm_state("b", "web-5") == "RUNNING"


def test_a_copy_that_was_primary_already_by_somebody_else_s_doing_is_a_person_s_decision(
    mover: Mover, olga: User, anna: User
) -> None:
    """It may be the fork of an older accident: its disk is of another day than the others'."""
    plan = mover.plan("web-8", "web-9")
    disks = VmDisk.objects.filter(vm__membership__group=plan.group, vm__site=mover.pair.a)
    stale = disks.get(vm__name="web-8").source.removeprefix("one/")
    mover.by_hand("b", "rbd", "mirror", "image", "promote", "--force", f"one/{stale}")
    mover.lab.fail("a", "site-down")
    run = requested(plan, olga)
    seen = {image["name"]: image for image in Approval.objects.get(run=run).evidence.content["images"].values()}
    assert "no run of this portal made it so" in seen[f"one/{stale}"]["loss"]
    assert seen[f"one/{stale}"]["loss_s"] is None
    approved(run, anna)
    run = mover.drive(run)
    assert run.state == RunState.PAUSED, told(run)
    step = run.steps.get(kind="image.force_promote", subject=f"one/{stale}")
    assert (step.state, "It may be the fork of an older accident" in step.sentence) == ("failed", True), step.sentence
    assert (mover.vm_state("b", "web-8"), mover.vm_state("b", "web-9")) == (None, "RUNNING"), told(run)
    step_skip(run_id=run.pk, step_id=step.pk, actor="olga", reason="compared with the backup: it is the right one")
    run = mover.drive(runs.run_resume(run_id=run.pk, actor="olga"))
    assert run.state == RunState.SUCCEEDED_WITH_EXCEPTIONS, told(run)
    assert mover.vm_state("b", "web-8") == "RUNNING"


def test_the_survivor_s_own_manager_is_not_needed_after_the_yes(mover: Mover, olga: User, anna: User) -> None:
    """Without it Ceph tells no mirror status, and nobody says which mirror daemon is whose."""
    plan = mover.plan("web-7", "db-7")
    images = mover.images(plan)
    mover.lab.fail("a", "site-down")
    run = requested(plan, olga)
    approved(run, anna)
    mover.lab.fail("b", "command-fails", match="mirror pool status", exit=5, stderr="rbd: no manager")
    run = mover.drive(run)
    assert run.state == RunState.SUCCEEDED, told(run)
    assert all("b" in mover.primary(image) for image in images)
    assert (mover.vm_state("b", "web-7"), mover.vm_state("b", "db-7")) == ("RUNNING", "RUNNING")
