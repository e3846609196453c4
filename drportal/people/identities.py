"""Whose account it is that the identity provider vouches for, and with which roles.

Who it is, is the provider's word on its *subject*, and never an e-mail address: addresses are given to the next person,
and some providers let people write any into their profile. What they may do comes from their groups, at each sign-in.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from allauth.socialaccount.models import SocialAccount
from django.conf import settings
from django.contrib.auth.models import User
from django.db import IntegrityError, transaction

from drportal.audit.record import record
from drportal.errors import Conflict, Forbidden, Unauthenticated
from drportal.people.grants import everywhere_of, roles_set
from drportal.people.mapping import groups_in, roles_given
from drportal.people.services import roles_of, why_no_name
from drportal.roles import Role

NOT_SIGNED_IN = "You are not signed in."


@dataclass(frozen=True, slots=True)
class Identity:
    """What the provider vouches for."""

    subject: str
    claims: dict[str, Any] = field(repr=False)
    auth_time: float
    sign_out_at: str

    @property
    def groups(self) -> list[str]:
        """Those that mean something here."""
        groups = groups_in(self.claims, settings.OIDC_GROUPS_CLAIM)
        return [group for group in groups if group in settings.OIDC_ROLES]


def is_of_provider(user: User) -> bool:
    """Whether this is the account of somebody who signs in at the identity provider."""
    return bool(SocialAccount.objects.filter(user=user).exists())


def account_of(identity: Identity) -> User | None:
    """By issuer and subject together: another provider's subject of the same name is somebody else."""
    known = SocialAccount.objects.select_related("user")
    found = known.filter(provider=settings.OIDC_ISSUER, uid=identity.subject).first()
    return found.user if found else None


def account_ready(identity: Identity) -> tuple[User, dict[str, Any]]:
    """The account, with the roles of today, and what the trail should say of it. Raises Forbidden, Conflict."""
    roles = roles_given(identity.groups, settings.OIDC_ROLES)
    if not roles and settings.OIDC_NO_GROUP == "viewer":
        roles = [Role.VIEWER]
    after = [role.value for role in roles]
    user = account_of(identity)
    if user is not None and not user.is_active:
        raise Forbidden(f"The account {user.username} is closed. {NOT_SIGNED_IN}", code="closed")
    if user is not None:
        _take_over(user, after, identity)
    if not roles:
        said = f"None of your groups at {settings.OIDC_NAME} gives you a role here. {NOT_SIGNED_IN}"
        raise Forbidden(f"{said} Ask who looks after those groups.", code="no_group")
    said_of_it = {"issuer": settings.OIDC_ISSUER, "subject": identity.subject, "groups": identity.groups}
    return user or _new_account(after, identity), {"by": "oidc", **said_of_it, "roles": after}


def _take_over(user: User, after: list[str], identity: Identity) -> None:
    """The roles are what the groups say now: also fewer, or none, for all of the person's sessions and tokens."""
    before = everywhere_of(user)
    with transaction.atomic():
        SocialAccount.objects.get(provider=settings.OIDC_ISSUER, uid=identity.subject).save()  # its last_login
        if before != after:
            _set_roles(user, after)
            facts = {"roles": {"before": before, "after": after}, "by": "oidc", "groups": identity.groups}
            record("person.roles", user.username, facts, actor="portal")


def _set_roles(user: User, roles: list[str]) -> None:
    """What is given here at a pair or for a plan stays beside that."""
    reason = f"groups at {settings.OIDC_NAME}"
    roles_set(person=user, roles=[Role(role) for role in roles], actor="portal", reason=reason, even_the_last=True)


def _new_account(roles: list[str], identity: Identity) -> User:
    """Somebody's first sign-in. A name that is in use is not taken over, whoever says that it is theirs."""
    name = str(identity.claims.get(settings.OIDC_NAME_CLAIM) or identity.subject)[:150]
    if why := why_no_name(name):
        raise Conflict(f"You cannot be called {name} here: {why} {NOT_SIGNED_IN}", code="name")
    if User.objects.filter(username=name).exists():
        raise Conflict(
            f"There is an account {name} already, and it is not linked with yours at {settings.OIDC_NAME}. "
            f"{NOT_SIGNED_IN} If it is yours, an administrator links it (manage.py person link).",
            code="name_taken",
        )
    try:
        with transaction.atomic():
            user = User(username=name, first_name=str(identity.claims.get("name") or "")[:150])
            user.set_unusable_password()
            user.save()
            _set_roles(user, roles)
            SocialAccount.objects.create(user=user, provider=settings.OIDC_ISSUER, uid=identity.subject)
            facts = {"roles": {"before": [], "after": roles}, "by": "oidc", "groups": identity.groups}
            record("person.add", name, {**facts, "subject": identity.subject}, actor="portal")
    except IntegrityError:
        raise Unauthenticated(f"You signed in twice at the same moment. {NOT_SIGNED_IN} Try again.") from None
    return user


def account_link(user: User, subject: str, actor: str) -> None:
    """From now on this is the account of that subject, and of nobody with a password: one account, one way in. Raises
    Conflict."""
    if not settings.OIDC_ISSUER:
        raise Conflict("No identity provider is set up (DRPORTAL_OIDC_ISSUER). Nothing was changed.")
    if Role.SERVICE in roles_of(user):
        raise Conflict("A service account signs in nowhere. Nothing was changed.")
    known = SocialAccount.objects.filter(provider=settings.OIDC_ISSUER)
    if known.filter(uid=subject).exists() or known.filter(user=user).exists():
        raise Conflict("That subject, or that account, is linked already. Nothing was changed.")
    with transaction.atomic():
        SocialAccount.objects.create(user=user, provider=settings.OIDC_ISSUER, uid=subject)
        user.set_unusable_password()
        user.save(update_fields=["password"])
        facts = {"issuer": settings.OIDC_ISSUER, "subject": subject}
        record("person.link", user.username, facts, actor=actor)
