"""Changing the approval policy takes two people; each abuse is refused with its code, in the trail."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from drportal.audit.check import verify_database
from drportal.audit.models import AuditEntry
from drportal.engine.policy import Policy
from drportal.people.services import token_create
from drportal.recovery.models import PolicyChange, Run
from drportal.recovery.policy import policy_now
from drportal.recovery.sweep import Sweeper
from drportal.roles import Role
from tests.conftest import PASSWORD, Person, make_person
from tests.recovery.conftest import Bell
from tests.recovery.test_approvals import approve as approve_run
from tests.recovery.test_approvals import together

pytestmark = pytest.mark.django_db(transaction=True)

FIRST = Policy(1, 15, True)
WANTED = {"needed": 2, "minutes": 30, "break_glass": False, "reason": "two pairs of eyes"}


@pytest.fixture
def ada() -> Person:
    return make_person("ada", Role.ADMINISTRATOR)


@pytest.fixture
def mona() -> Person:
    return make_person("mona", Role.MANAGER)


def ask(person: Person, **changed: Any) -> Any:
    return person.api("POST", "/policy/changes", {**WANTED, **changed})


def yes(person: Person, change: dict[str, Any], Authorization: str = "", **changed: Any) -> Any:
    headers = {"Authorization": Authorization} if Authorization else {}
    body = {"password": PASSWORD, "sha256": change["sha256"], **changed}
    return person.api("POST", f"/policy/changes/{change['id']}/approve", body, **headers)


def refused(answer: Any, code: str, status: int = 409, policy: Policy = FIRST) -> None:
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.content
    assert AuditEntry.objects.filter(action="policy.refused", payload__code=code).exists()
    assert policy_now() == policy


def test_it_is_asked_for_by_one_and_comes_into_force_by_another(
    ada: Person, mona: Person, viewer: Person, request_of: Callable[..., Any]
) -> None:
    before = viewer.read("/policy")
    assert (before["policy"]["needed"], before["pending"], before["history"]) == (1, None, [])
    assert "DRPORTAL_APPROVALS_NEEDED" in before["rule"], "by which rule the first one counts"
    asked = ask(ada)
    assert asked.status_code == 201, asked.content
    page = viewer.read("/policy")
    assert (page["policy"]["needed"], page["pending"]["id"]) == (1, asked.json()["id"]), "nothing has changed yet"
    assert page["pending"]["could_decide"] == ["mona"]
    assert page["pending"]["looser"] == ["a request stands longer, so the evidence may be older"]
    assert request_of().json()["needed"] == 1
    given = yes(mona, page["pending"])
    assert (given.status_code, given.json()["state"]) == (200, "in_force"), given.content
    assert policy_now() == Policy(2, 30, False)
    after = viewer.read("/policy")
    assert after["pending"] is None
    assert after["rule"] == "Asked for by ada, approved by mona: two pairs of eyes"
    request = AuditEntry.objects.get(action="policy.request")
    approval = AuditEntry.objects.get(action="policy.approve")
    assert (request.actor, approval.actor, approval.payload["asked_for_by"]) == ("ada", "mona", "ada")
    assert approval.payload["before"] == {"needed": 1, "minutes": 15, "break_glass": True, "least_rung": 1}
    assert approval.payload["after"] == {"needed": 2, "minutes": 30, "break_glass": False, "least_rung": 1}
    assert verify_database().ok


def test_it_counts_for_requests_that_come_after_it_and_where_it_is_stricter_for_those_that_wait(
    ada: Person, mona: Person, approver: Person, bell: Bell, request_of: Callable[..., Any]
) -> None:
    waiting = request_of().json()
    assert yes(mona, ask(ada).json()).status_code == 200
    first = approve_run(approver, waiting)
    assert (first.status_code, first.json()["state"]) == (200, "requested"), "one yes is not enough any more"
    assert first.json()["needed"] == 2
    assert not bell.rung
    second = approve_run(make_person("second", Role.APPROVER), waiting)
    assert (second.json()["state"], bell.rung) == ("approved", [waiting["run_id"]])


def test_where_it_forbids_it_nobody_goes_on_alone(
    ada: Person, mona: Person, operator: Person, request_of: Callable[..., Any]
) -> None:
    page = request_of().json()
    assert page["glass_phrase"]
    assert yes(mona, ask(ada).json()).status_code == 200
    body = {
        "password": PASSWORD, "phrase": page["glass_phrase"], "reason": "all away",
        "evidence_sha256": page["evidence_sha256"], "commands_sha256": page["commands_sha256"],
    }  # fmt: skip
    answer = operator.api("POST", f"/approvals/{page['id']}/break-glass", body)
    assert (answer.status_code, answer.json()["code"]) == (403, "glass_forbidden")
    assert operator.read(f"/approvals/{page['id']}")["glass_phrase"] == ""


def test_own_approval(ada: Person) -> None:
    change = ask(ada).json()
    refused(yes(ada, change), "own_approval", 403)
    assert ada.user is not None
    with pytest.raises(IntegrityError), transaction.atomic():
        PolicyChange.objects.update(state="in_force", decided_by=ada.user)
    with pytest.raises(IntegrityError), transaction.atomic():
        PolicyChange.objects.update(state="in_force")


def test_second_use_replay_and_a_yes_to_what_is_over(ada: Person, mona: Person) -> None:
    change = ask(ada).json()
    assert yes(mona, change).status_code == 200
    now = Policy(2, 30, False)
    refused(yes(mona, change), "policy_decided", policy=now)
    back = ask(ada, needed=1, minutes=15, break_glass=True).json()
    assert mona.api("POST", f"/policy/changes/{back['id']}/decline", {"text": "no"}).json()["state"] == "declined"
    refused(yes(make_person("max", Role.MANAGER), back), "policy_decided", policy=now)
    assert PolicyChange.objects.filter(state="in_force").count() == 1


def test_expired(ada: Person, mona: Person) -> None:
    change = ask(ada).json()
    PolicyChange.objects.update(expires_at=timezone.now() - dt.timedelta(seconds=1))
    refused(yes(mona, change), "policy_expired")
    assert PolicyChange.objects.get().state == "expired"
    assert ask(ada).status_code == 201, "what is over does not stand in the way"
    PolicyChange.objects.filter(state="requested").update(expires_at=timezone.now() - dt.timedelta(seconds=1))
    Sweeper().sweep()
    assert set(PolicyChange.objects.values_list("state", flat=True)) == {"expired"}


def test_role_removed_from_who_decides_and_from_who_asked(ada: Person, mona: Person) -> None:
    change = ask(ada).json()
    assert ada.user is not None and mona.user is not None
    mona.user.grants.all().delete()
    gone = yes(mona, change)
    assert (gone.status_code, gone.json()["code"]) == (403, "forbidden")
    ada.user.grants.all().delete()
    refused(yes(make_person("max", Role.MANAGER), change), "requester_lost_right")
    assert PolicyChange.objects.get().state == "void"


def test_what_was_shown_is_not_what_is_asked_for(ada: Person, mona: Person, settings: Any) -> None:
    change = ask(ada).json()
    refused(yes(mona, change, sha256="0" * 64), "policy_moved")
    settings.APPROVALS_NEEDED = 3  # started anew with another environment between the page and the click
    refused(yes(mona, change), "policy_moved", policy=Policy(3, 15, True))


def test_no_token_no_wrong_password_no_other_role(ada: Person, mona: Person, approver: Person) -> None:
    change = ask(ada).json()
    assert mona.user is not None
    _, text = token_create(mona.user, "robot", 1)
    refused(yes(Person(None), change, Authorization=f"Bearer {text}"), "token_cannot_approve", 403)
    refused(yes(mona, change, password="guess"), "wrong_password", 403)
    assert yes(approver, change).status_code == 403
    assert ask(approver).status_code == 403


def test_one_request_at_a_time_with_a_reason_and_something_new(ada: Person, mona: Person) -> None:
    assert ask(ada, reason=" ").status_code == 422
    assert ask(ada, needed=1, minutes=15, break_glass=True).json()["code"] == "no_change"
    assert ask(ada, needed=9).status_code == 422
    change = ask(ada).json()
    assert ask(mona).json()["code"] == "policy_asked_for"
    withdrawn = mona.api("POST", f"/policy/changes/{change['id']}/withdraw", {"text": "later"})
    assert (withdrawn.status_code, withdrawn.json()["state"]) == (200, "void")
    assert policy_now() == FIRST


def test_two_who_decide_at_the_same_moment(ada: Person, mona: Person) -> None:
    change, other = ask(ada).json(), make_person("max", Role.MANAGER)
    answers = together(lambda: yes(mona, change), lambda: yes(other, change))
    assert sorted(answer.status_code for answer in answers) == [200, 409], [answer.content for answer in answers]
    assert AuditEntry.objects.filter(action="policy.approve").count() == 1


def test_it_says_below_which_rung_of_the_fence_no_reason_lets_a_disaster_failover_go(
    ada: Person, mona: Person, viewer: Person, request_of: Callable[..., Any]
) -> None:
    less = {"attested_rung": 1, "attestation": "I saw them off", "deviation": "the rack is locked"}
    assert request_of(**less).status_code == 201
    Run.objects.update(state="aborted")
    yes(mona, ask(ada, least_rung=5).json())
    page = viewer.read("/policy")
    assert page["policy"]["least_rung"] == 5
    assert "nothing goes on below fence rung 5 (power or network cut" in page["policy"]["words"]
    assert [one["rung"] for one in page["rungs"]] == [1, 2, 3, 4, 5]
    answer = request_of(**less)
    assert (answer.status_code, answer.json()["code"]) == (422, "below_policy"), answer.content
    assert "lets nothing go on below rung 5" in answer.json()["detail"]
    assert request_of().status_code == 201, "cut, and attested by name"
    assert ask(ada, least_rung=6).status_code == 422
    again = ask(ada, least_rung=1).json()
    assert "a run may go on with less of a fence" in again["looser"]
