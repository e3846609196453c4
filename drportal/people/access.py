"""Who may do what and why: the table of ``roles.py``, with who holds each role since when by the trail."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from allauth.mfa.models import Authenticator
from django.conf import settings
from django.contrib.auth.models import User

from drportal.audit.models import AuditEntry
from drportal.roles import GRANTS, SAYS, WHY, Permission, Role

ROLES_SET = ("person.add", "person.roles")


@dataclass(frozen=True, slots=True)
class Given:
    """The trail's last word on a person's roles."""

    at: Any
    by: str


def last_given() -> dict[str, Given]:
    """By user name. Few entries: one per change of somebody's roles."""
    entries = AuditEntry.objects.filter(action__in=ROLES_SET).order_by("seq")
    return {subject: Given(at, by) for subject, at, by in entries.values_list("subject", "at", "actor")}


def access_table(*, factors: bool) -> dict[str, Any]:
    """As the schema ``Access`` has it. ``factors``: who has a second factor too, which is for administrators: for
    others it would be the list of whom to attack."""
    given = last_given()
    people = list(User.objects.prefetch_related("groups").order_by("username"))
    held = {person.pk: {group.name for group in person.groups.all()} for person in people}
    with_factor = set(Authenticator.objects.values_list("user_id", flat=True)) if factors else None
    demanding = {role.value for role in settings.REQUIRE_MFA}

    def holder(person: User) -> dict[str, Any]:
        has = None if with_factor is None else person.pk in with_factor
        missing = None if has is None else not has and bool(held[person.pk] & demanding)
        return {**described(person, given), "second_factor": has, "second_factor_missing": missing}

    roles = [
        {
            "role": role.value,
            "why": WHY[role],
            "permissions": [permission.value for permission in Permission if permission in GRANTS[role]],
            "people": [holder(one) for one in people if role.value in held[one.pk]],
        }
        for role in Role
    ]
    known = {role.value for role in Role}
    return {
        "permissions": [{"permission": permission.value, "says": SAYS[permission]} for permission in Permission],
        "roles": roles,
        "without_role": [holder(one) for one in people if not held[one.pk] & known],
    }


def described(person: User, given: dict[str, Given]) -> dict[str, Any]:
    word = given.get(person.username)
    return {
        "username": person.username,
        "name": person.get_full_name() or person.username,
        "active": person.is_active,
        "given_at": word.at if word else None,
        "given_by": word.by if word else None,
    }
