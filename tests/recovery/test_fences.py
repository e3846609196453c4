"""The rung that the plan wants, at the disaster door: reached, or said why not; and which locks are the portal's."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Callable
from typing import Any

import pytest
from django.utils import timezone

from drportal.audit.models import AuditEntry
from drportal.recovery.fences import locked_at
from drportal.recovery.models import Approval, Quarantine, RecoveryPlan, Run, Step, StepAttempt
from drportal.recovery.plan_copy import LockedThere
from drportal.recovery.warrants import facts_of
from tests.conftest import Person
from tests.recovery.conftest import make_vm

pytestmark = pytest.mark.django_db


def test_below_the_wanted_rung_it_is_asked_for_only_with_a_reason_that_the_approver_and_the_trail_have(
    request_of: Callable[..., Any], approver: Person
) -> None:
    refused = request_of(attested_rung=1, attestation="I saw them off")
    assert (refused.status_code, refused.json()["code"]) == (422, "no_deviation")
    assert "That is rung 1; the plan wants rung 2" in refused.json()["detail"]
    assert request_of(attested_rung=4).json()["code"] == "no_such_rung", "nobody's word shuts anybody out of Ceph"
    assert not Run.objects.exists()

    asked = request_of(attested_rung=1, attestation="I saw them off", deviation="the rack is locked")
    assert asked.status_code == 201, asked.json()
    approval = Approval.objects.get()
    shown = approver.api("GET", f"/approvals/{approval.pk}").json()
    assert shown["deviation"] == "the rack is locked"
    assert any("goes on below it, because: the rack is locked" in line for line in shown["fence"])
    assert any("Rung 1, VMs seen to be off, nothing cut" in line for line in shown["fence"])
    kept = AuditEntry.objects.get(action="approval.request").payload
    assert (kept["attested_rung"], kept["deviation"]) == (1, "the rack is locked")
    assert (facts_of(approval).attested_rung, facts_of(approval).deviation) == (1, "the rack is locked")


def test_a_cut_is_the_highest_rung_and_needs_no_reason(request_of: Callable[..., Any]) -> None:
    assert request_of().status_code == 201
    assert (Approval.objects.get().attested_rung, Approval.objects.get().deviation) == (5, "")


def step(plan: RecoveryPlan, vm: str, kind: str, command: str, state: str = "succeeded") -> None:
    """A step at site a of a run of its own, with one attempt."""
    now = timezone.now()
    group, fields = plan.group, {"plan_version": 1, "plan_copy": {}, "requested_name": "olga", "state": "succeeded"}
    run = Run.objects.create(
        plan=plan, group=group, kind="fence", source_site=group.pair.a, target_site=group.pair.b,
        request_key=uuid.uuid4().hex, **fields,
    )  # fmt: skip
    row = Step.objects.create(
        run=run, key=f"{kind}:{vm}", position=0, kind=kind, subject=vm, vm_name=vm, site=group.pair.a, state=state,
        params={"vm": vm},
    )  # fmt: skip
    StepAttempt.objects.create(
        step=row, number=1, operation_id=uuid.uuid4(), fence=1, command=command, host="a", intent_at=now, outcome="done"
    )


LOCK = "one.vm.lock({0}, 4, false); one.image.lock(7{0}, 4, false)"


def test_only_what_a_fence_locked_is_unlocked_and_a_shared_host_is_enabled_by_the_last(
    plan: RecoveryPlan, make_plan: Callable[..., RecoveryPlan]
) -> None:
    site, other = plan.group.pair.a, make_plan("other", make_vm(plan.group.pair, "x", 9, ["one-9"]), fence_rung=3)
    step(plan, "1", "vm.lock", f"{LOCK.format(1)}; one.host.status(3, 1)")
    step(plan, "2", "vm.lock", "one.image.lock(72, 4, false)", state="failed")  # its VM was locked before, by others
    step(other, "9", "vm.lock", LOCK.format(9))  # found the host disabled
    assert locked_at(site, plan.group) == {"1": LockedThere((1,), (71,), (3,)), "2": LockedThere((), (72,))}

    run = Run.objects.filter(plan=other).first()
    began = timezone.now() - dt.timedelta(hours=1)
    held = Quarantine.objects.create(group=other.group, site=site, run=run, began_at=began, begun_by="olga")
    assert locked_at(site, plan.group)["1"].hosts == (), "the other group is still fenced there"
    step(plan, "1", "vm.unlock", "one.vm.unlock(1); one.image.unlock(71)")
    assert list(locked_at(site, plan.group)) == ["2"]
    assert locked_at(site, other.group) == {"9": LockedThere((9,), (79,), (3,))}, "whoever is last enables it"
    step(other, "9", "vm.unlock", "one.vm.unlock(9); one.image.unlock(79); one.host.status(3, 0)")
    held.delete()
    assert locked_at(site, other.group) == {}
    assert locked_at(site, plan.group)["2"].hosts == ()
