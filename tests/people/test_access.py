"""Who may do what and why."""

from __future__ import annotations

import pytest
from django.core.management import call_command

from drportal.roles import GRANTS, SAYS, WHY, Permission, Role
from tests.conftest import Person


def test_everything_that_can_be_granted_is_said_in_words() -> None:
    assert set(SAYS) == set(Permission)
    assert set(WHY) == set(Role) == set(GRANTS)


def test_the_table_is_the_one_that_is_checked(viewer: Person) -> None:
    table = viewer.read("/access")
    assert {row["role"]: set(row["permissions"]) for row in table["roles"]} == {
        role.value: {permission.value for permission in granted} for role, granted in GRANTS.items()
    }
    assert [row["permission"] for row in table["permissions"]] == [permission.value for permission in Permission]


def test_it_says_who_holds_a_role_since_when_and_by_whom(
    viewer: Person, operator: Person, outsider: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DRPORTAL_PERSON_PASSWORD", "a long enough one, really")
    call_command("person", "add", "olga", "--role", "operator", "--role", "viewer")
    call_command("person", "roles", "olga", "--role", "operator")
    call_command("person", "close", "operator")
    table = viewer.read("/access")
    held = {row["role"]: row["people"] for row in table["roles"]}
    olga = next(one for one in held["operator"] if one["username"] == "olga")
    assert olga["given_by"].startswith("cli:")
    assert olga["given_at"]
    by_hand = next(one for one in held["operator"] if one["username"] == "operator")
    assert (by_hand["active"], by_hand["given_by"]) == (False, None)
    assert [one["username"] for one in held["viewer"]] == ["viewer"]
    assert [one["username"] for one in table["without_role"]] == ["outsider"]
