"""One person goes on alone: not lightly, not unheard, and not without being reviewed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.utils import timezone

from drportal.audit.models import AuditEntry
from drportal.engine.plans import RunKind
from drportal.people.services import token_create
from drportal.recovery import warrants
from drportal.recovery.models import Approval, RecoveryPlan, Run
from drportal.roles import Role
from tests.conftest import PASSWORD, Person, make_person
from tests.recovery.approving import refused, why_not
from tests.recovery.conftest import Bell

pytestmark = pytest.mark.django_db(transaction=True)


def go_on_alone(person: Person, page: dict[str, Any], Authorization: str = "", **changed: Any) -> Any:
    headers = {"Authorization": Authorization} if Authorization else {}
    body = {
        "password": PASSWORD,
        "phrase": page["glass_phrase"],
        "reason": "both approvers are on the plane",
        "evidence_sha256": page["evidence_sha256"],
        "commands_sha256": page["commands_sha256"],
        **changed,
    }
    return person.api("POST", f"/approvals/{page['id']}/break-glass", body, **headers)


def is_over(run_id: int) -> None:
    """As an executor leaves it when the run is over."""
    Run.objects.filter(pk=run_id).update(state="succeeded", started_at=timezone.now(), finished_at=timezone.now())


def test_one_person_goes_on_alone_and_everybody_hears_of_it(
    request_of: Callable[..., Any], operator: Person, viewer: Person, bell: Bell
) -> None:
    page = request_of().json()
    given = go_on_alone(operator, page)
    assert (given.status_code, given.json()["state"], given.json()["glass"]) == (200, "approved", True), given.content
    assert bell.rung == [page["run_id"]]
    assert [(said["name"], said["word"]) for said in given.json()["said"]] == [("operator", "glass")]
    assert warrants.why_not_usable(page["run_id"]) is None
    entry = AuditEntry.objects.get(action="approval.break_glass")
    assert (entry.actor, entry.payload["reason"]) == ("operator", "both approvers are on the plane")
    (told,) = viewer.read("/overview")["broken_glass"]
    assert told["run_id"] == page["run_id"]
    assert "operator alone" in told["sentence"]


def test_the_plan_is_locked_until_a_manager_has_accepted_the_run(
    request_of: Callable[..., Any], operator: Person, manager: Person, viewer: Person, plan: RecoveryPlan
) -> None:
    page = request_of().json()
    assert go_on_alone(operator, page).status_code == 200
    is_over(page["run_id"])
    again = request_of()
    assert (again.status_code, again.json()["code"]) == (409, "plan_locked"), again.content
    kinds = viewer.read(f"/plans/{plan.pk}")["next_kinds"]
    moves = [kind for kind in kinds if kind["kind"] != RunKind.FENCE]
    assert all("The plan is locked" in kind["why_not"] for kind in moves)
    (fence,) = (kind["why_not"] for kind in kinds if kind["kind"] == RunKind.FENCE)
    assert fence == "No copy of the group has to be fenced.", "a site that came back must not wait for a manager"
    assert manager.api("POST", f"/runs/{page['run_id']}/review/accept", {"text": "seen"}).status_code == 200
    assert request_of().status_code == 201
    assert viewer.read("/overview")["broken_glass"] == []


def test_every_approver_and_manager_is_told_in_the_same_moment(
    request_of: Callable[..., Any], operator: Person, approver: Person, manager: Person, viewer: Person
) -> None:
    page, far = request_of().json(), make_person("far", Role.APPROVER)
    assert go_on_alone(operator, page).status_code == 200
    assert AuditEntry.objects.get(action="approval.break_glass").payload["told"] == ["approver", "far", "manager"]
    for person, mine in ((approver, True), (manager, True), (far, True), (viewer, False), (operator, False)):
        (told,) = person.read("/overview")["broken_glass"]
        assert (told["unseen"], told["for_me"]) == (["approver", "far", "manager"], mine)
    path = f"/runs/{page['run_id']}/glass-seen"
    assert approver.api("POST", path).status_code == 204
    assert approver.api("POST", path).status_code == 204
    assert AuditEntry.objects.filter(action="review.glass_seen", actor="approver").count() == 1
    assert viewer.api("POST", path).json()["code"] == "not_told"
    assert manager.user is not None
    _, text = token_create(manager.user, "robot", 1)
    assert Person(None).api("POST", path, Authorization=f"Bearer {text}").json()["code"] == "token_cannot_approve"
    (left,) = approver.read("/overview")["broken_glass"]
    assert (left["unseen"], left["for_me"]) == (["far", "manager"], False)
    is_over(page["run_id"])
    told = {one["name"]: one["seen_at"] is not None for one in manager.read(f"/runs/{page['run_id']}/review")["told"]}
    assert told == {"approver": True, "far": False, "manager": False}
    assert manager.api("POST", path).status_code == 204
    accepted = manager.api("POST", f"/runs/{page['run_id']}/review/accept", {"text": "seen"})
    assert accepted.status_code == 200, "to have seen it is not to have taken part"


def test_a_locked_plan_gives_no_vm_away_to_one_that_is_not(
    request_of: Callable[..., Any], operator: Person, manager: Person, plan: RecoveryPlan
) -> None:
    """Changed meanwhile, its VMs would move in another plan, and nobody would have looked."""
    page = request_of().json()
    assert go_on_alone(operator, page).status_code == 200
    is_over(page["run_id"])
    plan.refresh_from_db()
    fields = {
        "name": "renamed", "group_name": "shop", "pair_id": plan.group.pair_id, "home_site": "site-a",
        "members": [{"vm_id": vm_id, "priority": 3} for vm_id in plan.group.members.values_list("vm", flat=True)][:1],
        "network_map": plan.network_map,
    }  # fmt: skip
    refusal = operator.api("PUT", f"/plans/{plan.pk}", fields, version=plan.version)
    assert (refusal.status_code, refusal.json()["code"]) == (409, "plan_locked"), refusal.content
    assert manager.api("POST", f"/runs/{page['run_id']}/review/accept", {"text": "seen"}).status_code == 200
    assert operator.api("PUT", f"/plans/{plan.pk}", fields, version=plan.version).status_code == 200


def test_nobody_goes_on_alone_lightly(
    request_of: Callable[..., Any], operator: Person, approver: Person, settings: Any
) -> None:
    page = request_of().json()
    for changed in ({"phrase": "go"}, {"reason": " "}):
        assert go_on_alone(operator, page, **changed).status_code == 422
    refused(go_on_alone(operator, page, password="guess"), "wrong_password", 403)
    refused(go_on_alone(operator, page, evidence_sha256="0" * 64), "approval_evidence_moved")
    refused(go_on_alone(operator, page, commands_sha256="0" * 64), "approval_commands_changed")
    assert go_on_alone(approver, page).status_code == 403
    assert operator.user is not None
    _, text = token_create(operator.user, "robot", 1)
    refused(go_on_alone(Person(None), page, Authorization=f"Bearer {text}"), "token_cannot_approve", 403)
    settings.BREAK_GLASS = False
    refused(go_on_alone(operator, page), "glass_forbidden", 403)
    assert Approval.objects.get(pk=page["id"]).state == "requested"


def test_evidence_that_moved_is_not_gone_on_with_alone_either(
    request_of: Callable[..., Any], operator: Person, seen: dict[str, Any]
) -> None:
    page = request_of().json()
    for image in seen["images"].values():
        image["other_side_answers"] = True
    refused(go_on_alone(operator, page), "approval_evidence_moved")
    assert Approval.objects.get(pk=page["id"]).state == "void"


def test_who_lost_the_right_after_going_on_alone_is_not_followed(
    request_of: Callable[..., Any], operator: Person
) -> None:
    page = request_of().json()
    assert go_on_alone(operator, page).status_code == 200
    assert operator.user is not None
    operator.user.grants.all().delete()
    assert why_not(page["run_id"]) == "approval_too_few"
