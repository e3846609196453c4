"""One of each thing that somebody made."""

from __future__ import annotations

import uuid
from typing import Any
from unittest.mock import Mock

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from drportal.audit.models import AuditEntry
from drportal.engine.policy import Policy
from drportal.inventory.models import CapturedDefinition, SitePair
from drportal.inventory.witnesses import witness_create
from drportal.people.grants import grant_give
from drportal.people.models import Grant
from drportal.recovery.models import Approval, RecoveryPlan, Run
from drportal.recovery.services.disaster import disaster_request
from drportal.recovery.services.policy import policy_request
from drportal.roles import Role
from drportal.watch.alerts import rule_save
from drportal.watch.channels import channel_create
from drportal.watch.models import ReadinessCheck, ReceiptDifference
from tests.recovery.conftest import Bell, ask, bell, make_plan, make_vm, plan, ready, seen  # noqa: F401  (fixtures)


@pytest.fixture
def things(
    pair: SitePair,
    plan: RecoveryPlan,  # noqa: F811
    make_plan: Any,  # noqa: F811
    ready: Any,  # noqa: F811
    bell: Bell,  # noqa: F811
    seen: Any,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> dict[str, Any]:
    """By the names that the paths have: sites, a plan with VMs and images, a run that waits, an approval of another
    run, a channel and a rule, a check, a difference, a grant, a quarantine, a trail."""
    monkeypatch.setattr("drportal.inventory.services.django_rq", Mock())
    run: Run = ask(plan)
    vm = plan.group.members.first().vm  # type: ignore[union-attr]
    kept = CapturedDefinition.objects.get(vm=vm)
    channel = channel_create(actor="olga", name="hook", address="json://127.0.0.1:1/")
    check = {
        "kind": "planned_failover", "state": "ready", "blockers": 0, "warnings": 0, "digest": "0" * 64,
        "seen": {"plan_version": plan.version, "active_site": "site-a"},
    }  # fmt: skip
    now = timezone.now()
    dated = {"first_at": now, "checked_at": now, "because": "a test"}
    difference = {
        "operation_id": "op-1",
        "word": "unknown_here",
        "sentence": "Not sent by this portal.",
        "found_at": now,
    }
    return {
        "slug": "site-a", "pair_id": pair.pk, "plan_id": plan.pk, "group_id": plan.group_id, "run_id": run.pk,
        "step_id": run.steps.first().pk, "vm_id": vm.pk, "image_id": vm.disks.first().image_id,  # type: ignore[union-attr]
        "number": kept.number, "before": kept.number, "after": kept.number, "name": "one", "kind": "ssh_key",
        "approval_id": approval_of(make_plan("till", make_vm(pair, "till-1", 7, ["one-7"]))).pk,
        "channel_id": channel.pk, "rule_id": rule_of(channel.pk),
        "check_id": ReadinessCheck.objects.create(plan=plan, **check, **dated).pk,
        "difference_id": ReceiptDifference.objects.create(site=pair.a, **difference).pk,
        "grant_id": grant_of(plan).pk,
        "quarantine_id": run.quarantines.create(group=plan.group, site=pair.a, begun_by="olga", began_at=now).pk,
        "change_id": policy_request(
            user=User.objects.get(username="olga"), wanted=Policy(2, 15, True), reason="two", by_token=False
        ).pk,
        "witness_id": witness_create(
            actor="olga",
            pair=pair,
            fields={"name": "hill", "ssh_host": "127.0.0.1", "ssh_port": 1, "ssh_user": "drportal"},
        ).pk,
        "seq": AuditEntry.objects.count(),
    }  # fmt: skip


def approval_of(plan: RecoveryPlan) -> Approval:  # noqa: F811
    asked, _ = disaster_request(
        plan_id=plan.pk,
        plan_version=plan.version,
        phrase="force till to site-b",
        reason="fire",
        attestation="power cut by olga",
        request_key=uuid.uuid4().hex,
        user=User.objects.create_user("olga"),
    )
    return Approval.objects.get(run=asked)


def grant_of(plan: RecoveryPlan) -> Grant:  # noqa: F811
    person = User.objects.create_user("vera")
    return grant_give(person=person, role=Role.VIEWER, plan=plan, actor="olga", reason="stands in for olga")


def rule_of(channel: int) -> int:
    fields = {"name": "hot", "kind": "site_silent", "for_s": 0, "enabled": True, "urgent": False}
    return rule_save(actor="olga", rule_id=None, fields=fields, channels=[channel]).pk
