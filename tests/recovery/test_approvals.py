"""Abuse of an approval: each way is refused with its code, kept in the trail, and nothing is begun."""

from __future__ import annotations

import datetime as dt
import threading
from collections.abc import Callable
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from drportal.audit.check import verify_database
from drportal.audit.models import AuditEntry
from drportal.audit.record import REFUSED
from drportal.people.services import token_create
from drportal.recovery import warrants
from drportal.recovery.models import Approval, RecoveryPlan, Run, RunImage, Voice
from drportal.recovery.sweep import Sweeper
from drportal.recovery.warrants import facts_of
from drportal.roles import Role
from tests.conftest import PASSWORD, Person, hold, make_person
from tests.recovery.approving import refused, why_not
from tests.recovery.conftest import Bell, make_vm

pytestmark = pytest.mark.django_db(transaction=True)


def approve(person: Person, page: dict[str, Any], **changed: Any) -> Any:
    body = {
        "password": PASSWORD,
        "evidence_sha256": page["evidence_sha256"],
        "commands_sha256": page["commands_sha256"],
        **changed,
    }
    return person.api("POST", f"/approvals/{page['id']}/approve", body)


def test_a_request_and_its_yes(request_of: Callable[..., Any], approver: Person, bell: Bell) -> None:
    asked = request_of()
    assert asked.status_code == 201, asked.content
    page = asked.json()
    assert page["sha256"] == facts_of(Approval.objects.get(pk=page["id"])).sha256 and page["deposit"] == ""
    assert [command.split()[:5] for command in page["commands"]] == [
        ["rbd", "mirror", "image", "promote", "--force"]
    ] * 3
    assert not bell.rung
    assert not RunImage.objects.filter(held=True).exists()
    look = approver.read(f"/approvals/{page['id']}?look=true")
    assert look["differences"] == []
    given = approve(approver, page)
    assert (given.status_code, given.json()["state"]) == (200, "approved"), given.content
    assert bell.rung == [page["run_id"]]
    assert RunImage.objects.filter(held=True).count() == 3


def test_asking_twice_with_one_key_makes_one_run(request_of: Callable[..., Any]) -> None:
    first, second = request_of(request_key="k" * 12), request_of(request_key="k" * 12)
    assert (first.status_code, second.status_code) == (201, 200)
    assert Run.objects.count() == 1


def test_own_approval(request_of: Callable[..., Any], bell: Bell) -> None:
    both = make_person("both", Role.OPERATOR, Role.APPROVER)
    page = request_of(both).json()
    refused(approve(both, page), "own_approval", 403)


def test_the_database_itself_refuses_an_own_yes(request_of: Callable[..., Any], operator: Person) -> None:
    approval = Approval.objects.get(pk=request_of().json()["id"])
    with pytest.raises(IntegrityError), transaction.atomic():
        Voice.objects.create(
            approval=approval, person=operator.user, requester=operator.user, name="operator", word="yes"
        )


def test_second_use_replay_double_click_and_the_second_of_two_approvers(
    request_of: Callable[..., Any], approver: Person, bell: Bell
) -> None:
    page = request_of().json()
    assert approve(approver, page).status_code == 200
    for person in (approver, make_person("second", Role.APPROVER)):
        again = approve(person, page)
        assert (again.status_code, again.json()["code"]) == (409, "approval_used")
    assert bell.rung == [page["run_id"]], "begun once"
    assert AuditEntry.objects.filter(action="approval.approve").count() == 1
    assert AuditEntry.objects.filter(action="approval.refused", payload__code="approval_used").count() == 2


@pytest.fixture
def two_needed(settings: Any) -> None:
    settings.APPROVALS_NEEDED = 2


@pytest.mark.usefixtures("two_needed")
def test_where_two_are_needed_the_second_person_begins_it(
    request_of: Callable[..., Any], approver: Person, bell: Bell
) -> None:
    page, second = request_of().json(), make_person("second", Role.APPROVER)
    assert page["needed"] == 2
    first = approve(approver, page)
    assert (first.status_code, first.json()["state"]) == (200, "requested")
    assert not bell.rung
    assert not RunImage.objects.filter(held=True).exists(), "one yes holds nothing"
    refused(approve(approver, page), "approval_lost_the_race")
    both = approve(second, page)
    assert (both.status_code, both.json()["state"]) == (200, "approved")
    assert bell.rung == [page["run_id"]]
    assert AuditEntry.objects.filter(action="approval.yes").count() == 2


@pytest.mark.usefixtures("two_needed")
def test_one_of_two_who_lost_the_role_does_not_count(
    request_of: Callable[..., Any], approver: Person, bell: Bell
) -> None:
    page, second = request_of().json(), make_person("second", Role.APPROVER)
    assert approve(approver, page).status_code == 200
    approver.user.grants.all().delete()
    assert approve(second, page).json()["state"] == "requested", "one yes of somebody who may say it"
    assert not bell.rung
    third = make_person("third", Role.APPROVER)
    assert approve(third, page).json()["state"] == "approved"
    assert bell.rung == [page["run_id"]]


@pytest.mark.usefixtures("two_needed")
def test_one_no_ends_what_two_had_to_say_yes_to(request_of: Callable[..., Any], approver: Person, bell: Bell) -> None:
    page, second = request_of().json(), make_person("second", Role.APPROVER)
    assert approve(approver, page).status_code == 200
    said = second.api("POST", f"/approvals/{page['id']}/decline", {"text": "the site is alive, I see its lamps"})
    assert (said.status_code, said.json()["state"]) == (200, "declined")
    refused(approve(make_person("third", Role.APPROVER), page), "approval_not_given")
    assert not bell.rung


def test_expired(request_of: Callable[..., Any], approver: Person) -> None:
    page = request_of().json()
    Approval.objects.update(expires_at=timezone.now() - dt.timedelta(seconds=1))
    refused(approve(approver, page), "approval_expired")
    assert (Approval.objects.get().state, Run.objects.get().state) == ("expired", "aborted")


def test_a_request_that_nobody_decides_ends_by_itself(request_of: Callable[..., Any], operator: Person) -> None:
    page = request_of().json()
    run = operator.read(f"/runs/{page['run_id']}")
    assert (run["approval_id"], run["state"]) == (page["id"], "awaiting_approval")
    assert "An approver other than operator decides" in run["next"]
    Sweeper().sweep()
    assert Approval.objects.get().state == "requested"
    Approval.objects.update(expires_at=timezone.now() - dt.timedelta(seconds=1))
    Sweeper().sweep()
    assert (Approval.objects.get().state, Run.objects.get().state) == ("expired", "aborted")
    assert AuditEntry.objects.filter(action="approval.expire", actor="portal").count() == 1


def test_a_yes_that_nobody_takes_into_use_in_time_expires(
    request_of: Callable[..., Any], approver: Person, bell: Bell
) -> None:
    """No worker came. The page must not say approved for ever, nor the run hold the group."""
    page = request_of().json()
    assert approve(approver, page).status_code == 200
    Sweeper().sweep()
    assert Approval.objects.get().state == "approved"
    Approval.objects.update(expires_at=timezone.now() - dt.timedelta(seconds=1))
    Sweeper().sweep()
    assert (Approval.objects.get().state, Run.objects.get().state) == ("expired", "aborted")
    assert not RunImage.objects.filter(held=True).exists()
    entry = AuditEntry.objects.get(action="approval.expire")
    assert (entry.actor, entry.payload["code"]) == ("portal", "approval_expired")


def test_a_cancelled_run_makes_its_yes_void(request_of: Callable[..., Any], approver: Person, operator: Person) -> None:
    page = request_of().json()
    assert approve(approver, page).status_code == 200
    assert operator.api("POST", f"/runs/{page['run_id']}/cancel", {"reason": "it is back"}).status_code == 200
    assert (Approval.objects.get().state, Run.objects.get().state) == ("void", "aborted")
    assert AuditEntry.objects.get(action="approval.make_void").payload["code"] == "run_cancelled"


def test_other_plan_version(request_of: Callable[..., Any], approver: Person, plan: RecoveryPlan) -> None:
    page = request_of().json()
    RecoveryPlan.objects.update(version=plan.version + 1)
    refused(approve(approver, page), "approval_other_plan_version")
    assert Approval.objects.get().state == "void"


def test_evidence_moved(request_of: Callable[..., Any], approver: Person, seen: dict[str, Any]) -> None:
    page = request_of().json()
    for image in seen["images"].values():
        image["other_side_answers"] = True
    answer = approve(approver, page)
    refused(answer, "approval_evidence_moved")
    assert {one["field"] for one in answer.json()["differences"]} == {"other_side_answers"}
    assert (Approval.objects.get().state, Run.objects.get().state) == ("void", "aborted")


def test_what_the_approver_saw_is_not_what_is_asked_for(request_of: Callable[..., Any], approver: Person) -> None:
    page = request_of().json()
    refused(approve(approver, page, evidence_sha256="0" * 64), "approval_evidence_moved")
    Approval.objects.update(commands=["another command"])
    refused(approve(approver, page), "approval_commands_changed")


def test_role_removed_before_the_decision_and_before_the_use(request_of: Callable[..., Any], approver: Person) -> None:
    page = request_of().json()
    assert approver.user is not None
    assert approve(approver, page).status_code == 200
    assert warrants.why_not_usable(page["run_id"]) is None
    approver.user.grants.all().delete()
    assert why_not(page["run_id"]) == "approval_too_few"
    assert approve(approver, page).status_code == 403
    hold(approver.user, Role.APPROVER)
    assert warrants.why_not_usable(page["run_id"]) is None


def test_who_may_approve_elsewhere_does_not_count_here_and_is_not_named(
    request_of: Callable[..., Any], operator: Person, approver: Person, make_plan: Any
) -> None:
    page = request_of().json()
    run = Run.objects.get(pk=page["run_id"])
    other = make_plan("other", make_vm(run.group.pair, "other-1", 8, ["one-8"]))
    make_person("far", Role.APPROVER, plan=other)
    near = make_person("near", Role.APPROVER, plan=run.plan)
    assert operator.user is not None
    hold(operator.user, Role.APPROVER)  # asked for it, and so is no second person
    assert operator.read(f"/approvals/{page['id']}")["could_approve"] == ["approver", "near"]
    assert approve(near, page).status_code == 200
    assert warrants.why_not_usable(page["run_id"]) is None
    assert near.user is not None
    near.user.grants.update(plan=other)
    assert why_not(page["run_id"]) == "approval_too_few"
    refused = approve(near, page)
    assert (refused.status_code, refused.json()["code"]) == (404, "not_found")


def test_a_yes_counts_no_longer_than_the_right_to_give_it(request_of: Callable[..., Any], approver: Person) -> None:
    page = request_of().json()
    assert approver.user is not None
    approver.user.grants.update(until=timezone.now() + dt.timedelta(hours=1))
    assert approve(approver, page).status_code == 200
    assert warrants.why_not_usable(page["run_id"]) is None
    approver.user.grants.update(until=timezone.now())
    assert why_not(page["run_id"]) == "approval_too_few"


def test_a_token_never_decides(request_of: Callable[..., Any], approver: Person) -> None:
    page = request_of().json()
    assert approver.user is not None
    _, text = token_create(approver.user, "robot", 1)
    body = {
        "password": PASSWORD, "evidence_sha256": page["evidence_sha256"], "commands_sha256": page["commands_sha256"]
    }  # fmt: skip
    answer = Person(None).api("POST", f"/approvals/{page['id']}/approve", body, Authorization=f"Bearer {text}")
    refused(answer, "token_cannot_approve", 403)


def test_a_wrong_password_approves_nothing(request_of: Callable[..., Any], approver: Person) -> None:
    refused(approve(approver, request_of().json(), password="guess"), "wrong_password", 403)


def test_a_no_ends_it_and_needs_its_reason(request_of: Callable[..., Any], approver: Person) -> None:
    page = request_of().json()
    path = f"/approvals/{page['id']}/decline"
    assert approver.api("POST", path, {"text": " "}).status_code == 422
    declined = approver.api("POST", path, {"text": "wait for the fire brigade"})
    assert (declined.status_code, declined.json()["state"]) == (200, "declined")
    again = approve(approver, page)
    assert (again.status_code, again.json()["code"]) == (409, "approval_not_given")
    assert Run.objects.get().state == "aborted"


def test_an_operator_may_not_approve_and_the_door_needs_its_words(
    request_of: Callable[..., Any], operator: Person
) -> None:
    page = request_of().json()
    assert approve(make_person("other", Role.OPERATOR), page).status_code == 403
    for changed in ({"phrase": "go"}, {"reason": ""}, {"attestation": " "}):
        assert request_of(**changed).status_code == 422
    assert Run.objects.count() == 1


# --- at the same moment


def together(*acts: Callable[[], Any]) -> list[Any]:
    """Each on a thread and a connection of its own, all let go at once; what they gave, in that order."""
    start, gave = threading.Barrier(len(acts)), [None] * len(acts)

    def do(number: int, act: Callable[[], Any]) -> None:
        try:
            start.wait(10)
            gave[number] = act()
        finally:
            connection.close()

    threads = [threading.Thread(target=do, args=(number, act)) for number, act in enumerate(acts)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return gave


def begun_once(answers: list[Any], page: dict[str, Any], bell: Bell) -> None:
    """One of them had its way; every other was refused, with a code and an entry in the trail."""
    codes = sorted((answer.status_code, answer.json().get("code", "")) for answer in answers)
    assert [status for status, _ in codes] == [200] + [409] * (len(answers) - 1), codes
    assert {code for _, code in codes[1:]} <= {"approval_used", "approval_lost_the_race"}, codes
    assert bell.rung == [page["run_id"]]
    assert (Approval.objects.get().state, Run.objects.get().state) == ("approved", "approved")
    for action in ("approval.yes", "approval.approve"):
        assert AuditEntry.objects.filter(action=action).count() == 1
    assert AuditEntry.objects.filter(action="approval.refused").count() == len(answers) - 1
    assert verify_database().ok


def test_two_approvers_at_the_same_moment(request_of: Callable[..., Any], approver: Person, bell: Bell) -> None:
    page, second = request_of().json(), make_person("second", Role.APPROVER)
    begun_once(together(lambda: approve(approver, page), lambda: approve(second, page)), page, bell)


def test_a_double_click_at_the_same_moment(request_of: Callable[..., Any], approver: Person, bell: Bell) -> None:
    page = request_of().json()
    other_tab = Person(approver.user)
    begun_once(together(lambda: approve(approver, page), lambda: approve(other_tab, page)), page, bell)


def test_a_yes_and_a_no_at_the_same_moment(request_of: Callable[..., Any], approver: Person, bell: Bell) -> None:
    page, second = request_of().json(), make_person("second", Role.APPROVER)
    no = f"/approvals/{page['id']}/decline"
    said = together(lambda: approve(approver, page), lambda: second.api("POST", no, {"text": "its lamps are on"}))
    assert sorted(answer.status_code for answer in said) == [200, 409], [answer.content for answer in said]
    ends = (Approval.objects.get().state, Run.objects.get().state, bell.rung)
    assert ends in (("approved", "approved", [page["run_id"]]), ("declined", "aborted", [])), ends
    assert verify_database().ok


def test_two_operators_ask_at_the_same_moment_with_one_key(request_of: Callable[..., Any], operator: Person) -> None:
    other_tab = Person(operator.user)
    asked = together(lambda: request_of(request_key="k" * 12), lambda: request_of(other_tab, request_key="k" * 12))
    assert sorted(answer.status_code for answer in asked) == [200, 201], [answer.content for answer in asked]
    assert Run.objects.count() == Approval.objects.count() == 1


# --- a program, and somebody who lost the role


def refusals(path: str) -> list[str]:
    """The codes that the trail keeps of what was not let through to it."""
    kept = AuditEntry.objects.filter(action=REFUSED, subject=f"POST /api/v1{path}")
    return [entry.payload["code"] for entry in kept]


def test_a_service_account_s_token_never_decides(request_of: Callable[..., Any], bell: Bell) -> None:
    """Even one that was given the approver's role besides."""
    page = request_of().json()
    robot = make_person("robot", Role.SERVICE, Role.APPROVER)
    assert robot.user is not None
    _, text = token_create(robot.user, "robot", 1)
    for verb in ("approve", "decline"):
        body = {"text": "no"} if verb == "decline" else {
            "password": PASSWORD, "evidence_sha256": page["evidence_sha256"], "commands_sha256": page["commands_sha256"]
        }  # fmt: skip
        answer = Person(None).api("POST", f"/approvals/{page['id']}/{verb}", body, Authorization=f"Bearer {text}")
        assert (answer.status_code, answer.json()["code"]) == (403, "forbidden"), answer.content
    assert not bell.rung
    assert Approval.objects.get().state == "requested"
    for verb in ("approve", "decline"):
        assert refusals(f"/approvals/{page['id']}/{verb}") == ["forbidden"]


def test_the_role_removed_between_the_request_and_the_decision(
    request_of: Callable[..., Any], approver: Person, bell: Bell
) -> None:
    page = request_of().json()
    assert approver.user is not None
    approver.user.grants.all().delete()
    answer = approve(approver, page)
    assert (answer.status_code, answer.json()["code"]) == (403, "forbidden"), answer.content
    assert not bell.rung
    assert refusals(f"/approvals/{page['id']}/approve") == ["forbidden"]
