"""Who may do what, where and why; giving and taking it."""

from __future__ import annotations

import datetime as dt
from io import StringIO
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.core.management.base import CommandError
from django.utils import timezone

from drportal.audit.models import AuditEntry
from drportal.errors import Conflict, PortalError
from drportal.inventory.models import SitePair
from drportal.people.grants import grant_give, grant_take, roles_set
from drportal.people.models import Grant
from drportal.people.rights import may, people_who_may, rights_of, visible_to
from drportal.people.services import roles_of, token_create
from drportal.recovery.models import RecoveryPlan
from drportal.recovery.services.plans import plan_delete
from drportal.roles import GRANTS, SAYS, WHY, Permission, Role
from tests.conftest import Person, hold, make_person
from tests.recovery.conftest import make_plan, plan  # noqa: F401  (fixtures)


def test_everything_that_can_be_granted_is_said_in_words() -> None:
    assert set(SAYS) == set(Permission)
    assert set(WHY) == set(Role) == set(GRANTS)


def test_whoever_may_do_something_may_see_and_test_is_not_run() -> None:
    assert all(Permission.VIEW in granted for granted in GRANTS.values())
    assert {role for role in Role if Permission.TEST in GRANTS[role]} > {
        role for role in Role if Permission.RUN in GRANTS[role]
    }


def test_the_table_is_the_one_that_is_checked(viewer: Person) -> None:
    table = viewer.read("/access")
    assert {row["role"]: set(row["permissions"]) for row in table["roles"]} == {
        role.value: {permission.value for permission in granted} for role, granted in GRANTS.items()
    }
    assert [row["permission"] for row in table["permissions"]] == [permission.value for permission in Permission]
    assert table["scopes"] == []


def test_it_says_who_holds_what_where_since_when_by_whom_and_why(
    administrator: Person,
    outsider: Person,
    plan: RecoveryPlan,  # noqa: F811
) -> None:
    answer = administrator.api("POST", "/grants", given("outsider", plan_id=plan.pk, reason="covers for olga"))
    assert answer.status_code == 201, answer.content
    table = administrator.read("/access")
    held = {one["username"]: one["grants"] for one in table["people"]}["outsider"]
    assert [(one["role"], one["where"], one["given_by"], one["reason"]) for one in held] == [
        ("operator", "plan shop", "administrator", "covers for olga")
    ]
    assert [one["where"] for one in table["scopes"]] == ["everywhere", "pair site-a/site-b", "plan shop"]
    here = {row["permission"]: row["people"] for row in administrator.read(f"/plans/{plan.pk}/access")["items"]}
    assert [one["username"] for one in here["run"]] == ["outsider"]
    assert here["run"][0]["by"] == ["operator, plan shop, given by administrator"]
    assert here["sites"][0]["by"] == ["administrator, everywhere, given by a test"]
    at_pair = {
        row["permission"]: row["people"]
        for row in administrator.read(f"/pairs/{plan.group.pair_id}/access")["items"]
    }  # fmt: skip
    assert at_pair["run"] == []


# --- giving and taking


def given(username: str, **changed: Any) -> dict[str, Any]:
    return {"username": username, "role": "operator", "reason": "a test", **changed}


def refused(answer: Any, status: int, code: str) -> None:
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.content


def test_a_right_is_given_and_taken_and_both_are_in_the_trail(administrator: Person, outsider: Person) -> None:
    assert outsider.api("GET", "/sites").status_code == 403
    made = administrator.api("POST", "/grants", given("outsider", role="viewer")).json()
    assert outsider.api("GET", "/sites").status_code == 200
    refused(administrator.api("POST", "/grants", given("outsider", role="viewer")), 409, "already_given")
    taken = administrator.api("POST", f"/grants/{made['id']}/take", {"reason": "has left"})
    assert taken.status_code == 204
    assert outsider.api("GET", "/sites").status_code == 403
    entries = AuditEntry.objects.filter(action__startswith="grant.").order_by("seq")
    assert [(one.action, one.actor, one.subject, one.payload["reason"]) for one in entries] == [
        ("grant.give", "administrator", "outsider", "a test"),
        ("grant.take", "administrator", "outsider", "has left"),
    ]
    assert [one.payload["where"] for one in entries] == ["everywhere", "everywhere"]


def test_it_needs_a_reason_a_known_person_and_one_scope(
    administrator: Person,
    outsider: Person,
    plan: RecoveryPlan,  # noqa: F811
) -> None:
    for body, status in (
        (given("outsider", reason=""), 422),
        (given("nobody-of-that-name"), 404),
        (given("outsider", plan_id=plan.pk, pair_id=plan.group.pair_id), 422),
        (given("outsider", plan_id=999999), 404),
        (given("outsider", role="service-account"), 422),
        (given("outsider", until="2020-01-01T00:00:00Z"), 422),
    ):
        assert administrator.api("POST", "/grants", body).status_code == status, body
    assert not Grant.objects.filter(person=outsider.user).exists()


def test_nobody_changes_their_own(administrator: Person) -> None:
    assert administrator.user is not None
    make_person("second", Role.ADMINISTRATOR)
    refused(administrator.api("POST", "/grants", given("administrator")), 403, "own_rights")
    own = administrator.user.grants.get()
    refused(administrator.api("POST", f"/grants/{own.pk}/take", {"reason": "enough"}), 403, "own_rights")
    assert administrator.user.grants.count() == 1


def test_the_last_administrator_stays(administrator: Person) -> None:
    second = make_person("second", Role.ADMINISTRATOR)
    assert administrator.user is not None
    assert second.user is not None
    second.user.grants.update(until=timezone.now() + dt.timedelta(days=1))
    own = administrator.user.grants.get()
    refused(second.api("POST", f"/grants/{own.pk}/take", {"reason": "coup"}), 409, "last_administrator")
    with pytest.raises(CommandError, match="Nobody would be left"):
        call_command("person", "close", "administrator")
    with pytest.raises(CommandError, match="Nobody would be left"):
        call_command("person", "roles", "administrator", "--role", "viewer")
    call_command("person", "roles", "administrator", "--role", "viewer", "--role", "administrator", stdout=StringIO())
    User.objects.filter(username="administrator").update(is_active=True)
    second.user.grants.update(until=None)
    assert second.api("POST", f"/grants/{own.pk}/take", {"reason": "by rule"}).status_code == 204


def test_who_may_give_at_a_pair_gives_nothing_beyond_it(plan: RecoveryPlan, outsider: Person) -> None:  # noqa: F811
    pair = plan.group.pair
    local = make_person("local", Role.ADMINISTRATOR, pair=pair)
    refused(local.api("POST", "/grants", given("outsider")), 403, "forbidden")
    assert local.api("POST", "/grants", given("outsider", pair_id=pair.pk)).status_code == 201
    assert local.api("POST", "/grants", given("outsider", plan_id=plan.pk)).status_code == 201
    whole = make_person("whole", Role.OPERATOR)
    assert whole.user is not None
    beyond = whole.user.grants.get()
    assert local.api("POST", f"/grants/{beyond.pk}/take", {"reason": "x"}).status_code == 404
    shown = {one["username"]: one["grants"] for one in local.read("/access")["people"]}
    assert [one["may_take"] for one in shown["whole"]] == [False]
    assert [one["may_take"] for one in shown["outsider"]] == [True, True]


def test_a_token_gives_nothing(administrator: Person, outsider: Person) -> None:
    assert administrator.user is not None
    text = token_create(administrator.user, "t", 1)[1]
    answer = Person(None).api("POST", "/grants", given("outsider"), Authorization=f"Bearer {text}")
    refused(answer, 403, "not_by_token")


def test_a_grant_counts_until_its_time_and_while_the_account_is_open(
    outsider: Person,
    plan: RecoveryPlan,  # noqa: F811
) -> None:
    user = outsider.user
    assert user is not None
    soon = timezone.now() + dt.timedelta(hours=1)
    grant = grant_give(person=user, role=Role.OPERATOR, plan=plan, actor="x", reason="", until=soon)
    assert may(user, Permission.RUN, plan)
    assert people_who_may(Permission.RUN, plan) == [user]
    Grant.objects.filter(pk=grant.pk).update(until=timezone.now())
    assert not may(user, Permission.RUN, plan)
    assert not visible_to(user, RecoveryPlan.objects.all()).exists()
    again = grant_give(person=user, role=Role.OPERATOR, plan=plan, actor="x", reason="")  # the one that ended gives way
    assert may(user, Permission.RUN, plan)
    user.is_active = False
    user.save()
    assert not may(user, Permission.RUN, plan)
    assert people_who_may(Permission.RUN, plan) == []
    grant_take(grant_id=again.pk, actor="x", reason="")
    assert Grant.objects.count() == 0


def test_a_superuser_has_no_more_than_their_grants(db: None) -> None:
    assert rights_of(User.objects.create_superuser("root")).permissions == frozenset()


def test_with_a_plan_go_the_rights_for_it(outsider: Person, plan: RecoveryPlan) -> None:  # noqa: F811
    assert outsider.user is not None
    hold(outsider.user, Role.VIEWER, plan=plan)
    plan_delete(plan_id=plan.pk, version=plan.version, actor="olga")
    entry = AuditEntry.objects.get(action="grant.take")
    assert (entry.actor, entry.payload["where"]) == ("olga", "plan shop")
    assert not Grant.objects.exists()


def test_roles_of_a_directory_replace_what_is_held_everywhere_and_nothing_else(
    outsider: Person,
    plan: RecoveryPlan,  # noqa: F811
) -> None:
    user = outsider.user
    assert user is not None
    hold(user, Role.VIEWER, Role.MANAGER)
    hold(user, Role.OPERATOR, plan=plan)
    before = Grant.objects.get(role="viewer").pk
    roles_set(person=user, roles=[Role.VIEWER, Role.APPROVER], actor="directory", reason="its groups")
    assert roles_of(user) == ["viewer", "operator", "approver"]
    assert Grant.objects.get(role="viewer").pk == before
    with pytest.raises(PortalError, match="is a person"):
        roles_set(person=user, roles=[Role.SERVICE], actor="directory", reason="")
    assert "approver" in roles_of(user)


def test_a_site_of_two_pairs_is_changed_by_who_may_at_both(pair: SitePair, make_site: Any) -> None:
    other = SitePair.objects.create(a=pair.a, b=make_site("site-c"))
    one = make_person("one", Role.ADMINISTRATOR, pair=pair)
    assert one.user is not None
    assert not may(one.user, Permission.SITES, pair.a)
    assert may(one.user, Permission.SITES, pair.b)
    assert may(one.user, Permission.VIEW, pair.a)
    hold(one.user, Role.ADMINISTRATOR, pair=other)
    assert may(one.user, Permission.SITES, pair.a)


# --- the command


def person(*words: str) -> str:
    out = StringIO()
    call_command("person", *words, stdout=out)
    return out.getvalue()


def test_the_command_gives_and_takes(outsider: Person, plan: RecoveryPlan) -> None:  # noqa: F811
    user = outsider.user
    assert user is not None
    assert "plan shop" in person("grant", "outsider", "--role", "operator", "--plan", "shop", "--reason", "night shift")
    assert "pair site-a/site-b" in person("grant", "outsider", "--role", "viewer", "--pair", "site-b/site-a")
    person("grant", "outsider", "--role", "approver", "--until", "2999-12-31T18:00")
    assert may(user, Permission.RUN, plan)
    held = Grant.objects.get(role="operator")
    assert (held.given_by.startswith("cli:"), held.reason) == (True, "night shift")
    person("revoke", "outsider", "--role", "operator", "--plan", str(plan.pk), "--reason", "over")
    assert not may(user, Permission.RUN, plan)
    for words in (
        ["grant", "outsider", "--plan", "shop"],
        ["grant", "outsider", "--role", "viewer", "--pair", "site-a/site-b", "--plan", "shop"],
        ["grant", "outsider", "--role", "viewer", "--pair", "site-a/site-z"],
        ["grant", "outsider", "--role", "viewer", "--plan", "none"],
        ["grant", "nobody-of-that-name", "--role", "viewer"],
        ["revoke", "outsider", "--role", "manager"],
        ["grant", "outsider", "--role", "viewer", "--pair", "site-a/site-b"],
    ):
        with pytest.raises(CommandError):
            person(*words)
    assert sorted(roles_of(user)) == ["approver", "viewer"]


def test_two_who_take_from_each_other_do_not_both_succeed(administrator: Person) -> None:
    """One after the other, as the lock makes them."""
    second = make_person("second", Role.ADMINISTRATOR)
    assert administrator.user is not None
    assert second.user is not None
    grant_take(grant_id=second.user.grants.get().pk, actor="administrator", reason="x", by=administrator.user)
    with pytest.raises(Conflict):
        grant_take(grant_id=administrator.user.grants.get().pk, actor="cli:root", reason="x")
