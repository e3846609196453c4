"""What becomes of people whose roles were Django's groups."""

from __future__ import annotations

import importlib
from types import SimpleNamespace
from typing import Any

import pytest
from django.apps import apps
from django.contrib.auth.models import Group, User
from django.db import transaction

from drportal.audit.record import record
from drportal.people.models import Grant
from drportal.people.rights import rights_of
from drportal.roles import PEOPLE, Role, permissions_of
from tests.recovery.conftest import make_plan, plan  # noqa: F401  (fixtures)

migration: Any = importlib.import_module("drportal.people.migrations.0007_grants_of_groups")
SCHEMA = SimpleNamespace()

pytestmark = pytest.mark.django_db


def in_groups(name: str, *roles: str) -> User:
    user = User.objects.create_user(name)
    user.groups.set([Group.objects.get_or_create(name=role)[0] for role in roles])
    return user


def test_everybody_keeps_what_they_could_do_everywhere() -> None:
    people = {role: in_groups(role.value, role.value) for role in Role}
    several = in_groups("several", "operator", "viewer", "some-other-group")
    nobody = in_groups("nobody-yet")
    with transaction.atomic():
        record("person.roles", "several", {}, actor="cli:root")
    migration.to_grants(apps, SCHEMA)
    for role, user in people.items():
        rights = rights_of(user)
        assert rights.permissions == permissions_of([role])
        assert all(reach.everywhere for reach in rights.reaches.values())
    assert rights_of(nobody).permissions == frozenset()
    assert [(one.role, one.given_by) for one in several.grants.order_by("role")] == [
        ("operator", "cli:root"), ("viewer", "cli:root")
    ]  # fmt: skip
    assert [group.name for group in Group.objects.all()] == ["some-other-group"]


def test_the_table_of_the_migration_is_that_of_the_roles() -> None:
    assert set(migration.ROLES) == set(Role) > set(PEOPLE)


def test_back_again_nobody_can_do_more(plan: Any) -> None:  # noqa: F811
    user = User.objects.create_user("olga")
    given = {"person": user, "given_by": "x", "given_at": plan.changed_at}
    Grant.objects.create(role="viewer", **given)
    Grant.objects.create(role="operator", plan=plan, **given)
    Grant.objects.create(role="approver", until=plan.changed_at, **given)
    migration.to_groups(apps, SCHEMA)
    assert [group.name for group in user.groups.all()] == ["viewer"]
