"""Giving roles to people and taking them back. Each is an entry of the trail, by name, with where and why."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Model
from django.utils import timezone

from drportal.audit.record import record
from drportal.errors import Conflict, Forbidden, Invalid, NotFound
from drportal.people.models import Grant
from drportal.people.rights import live_grants, may, who_could_give
from drportal.roles import Permission, Role

EVERYWHERE = "everywhere"


def where_of(pair: Model | None, plan: Model | None) -> str:
    """The scope of a grant in words. (A pair's own text is of numbers; its sites have names.)"""
    if plan is not None:
        return f"plan {plan}"
    if pair is not None:
        return f"pair {pair.a.slug}/{pair.b.slug}"  # type: ignore[attr-defined]  # people knows no sites
    return EVERYWHERE


def facts_of(grant: Grant) -> dict[str, object]:
    """For the trail."""
    return {
        "grant_id": grant.pk,
        "role": grant.role,
        "where": where_of(grant.pair, grant.plan),
        "pair_id": grant.pair_id,
        "plan_id": grant.plan_id,
        "until": grant.until.isoformat() if grant.until else None,
    }


def grant_give(
    *,
    person: User,
    role: Role,
    actor: str,
    reason: str,
    pair: Model | None = None,
    plan: Model | None = None,
    until: dt.datetime | None = None,
    by: User | None = None,
) -> Grant:
    """``by``: the person who gives it, held to their own rights; None: a command of whoever runs the portal.

    Raises Forbidden (own_rights, forbidden), Invalid (reason, until, service_account), Conflict (already_given).
    """
    if by is not None:
        _may_change(by, person, plan or pair)
    if by is not None and not reason.strip():
        raise Invalid("Say why. Nothing was given.", code="reason")
    if until is not None and until <= timezone.now():
        raise Invalid("It would have ended already. Nothing was given.", code="until")
    with transaction.atomic():
        held = list(Grant.objects.select_for_update().filter(person=person))
        _fits(person, role, held)
        scope = (role.value, pair.pk if pair else None, plan.pk if plan else None)
        same = next((one for one in held if (one.role, one.pair_id, one.plan_id) == scope), None)
        if same is not None and (same.until is None or same.until > timezone.now()):
            raise Conflict(
                f"{person.username} holds {role.value} {where_of(pair, plan)} already. Nothing was given. "
                "To change until when, take it back first.",
                code="already_given",
            )
        if same is not None:
            same.delete()  # it has ended and was left lying
        grant = Grant.objects.create(
            person=person,
            role=role.value,
            pair_id=scope[1],
            plan_id=scope[2],
            given_by=actor,
            given_at=timezone.now(),
            reason=reason.strip(),
            until=until,
        )
        record("grant.give", person.username, {**facts_of(grant), "reason": grant.reason}, actor=actor)
    return grant


def grant_take(*, grant_id: int, actor: str, reason: str, by: User | None = None) -> None:
    """``by`` as above. Raises NotFound, Forbidden (own_rights, forbidden), Invalid (reason), Conflict (last)."""
    with transaction.atomic():
        grant = Grant.objects.select_related("person", "pair", "plan").filter(pk=grant_id).first()
        if grant is None:
            raise NotFound("There is no such grant (any more).")
        if by is not None:
            _may_change(by, grant.person, grant.plan or grant.pair)
        if by is not None and not reason.strip():
            raise Invalid("Say why. Nothing was taken.", code="reason")
        _take([grant], actor, reason.strip())


def everywhere_of(person: User) -> list[str]:
    """The roles that are held everywhere now, in the order of the table."""
    held = set(live_grants().filter(person=person, pair=None, plan=None).values_list("role", flat=True))
    return [role.value for role in Role if role.value in held]


def roles_set(*, person: User, roles: Iterable[Role], actor: str, reason: str, even_the_last: bool = False) -> None:
    """Hold these roles everywhere, with no end, and no others everywhere. What is held at a pair or a plan stays.

    For commands and for sign-in by groups of a directory; for one person's act see ``grant_give``. ``even_the_last``:
    administrator may be taken from the last one; the directory's word holds, and it is what makes the next.
    """
    wanted = set(roles)
    with transaction.atomic():
        held = list(Grant.objects.select_for_update().filter(person=person, pair=None, plan=None))
        gone = [grant for grant in held if Role(grant.role) not in wanted or grant.until is not None]
        kept = {Role(grant.role) for grant in held if grant not in gone}
        new = [role for role in Role if role in wanted - kept]
        for role in new:
            stays = Grant.objects.filter(person=person).exclude(pk__in=[one.pk for one in gone])
            _fits(person, role, list(stays))
        stays_one = even_the_last or Role.ADMINISTRATOR in wanted
        _take(gone, actor, reason, but={person.pk} if stays_one else set())
        for role in new:
            grant_give(person=person, role=role, actor=actor, reason=reason)


def grants_end_with(plan: Model, actor: str) -> None:
    """Within the transaction that deletes a plan: what was given for it is taken."""
    _take(
        list(Grant.objects.select_related("person", "pair", "plan").filter(plan_id=plan.pk)),
        actor,
        "The plan is deleted.",
    )


def refuse_the_last(grants: Iterable[Grant]) -> None:
    """Within a transaction. Conflict where nobody would be left who may give rights everywhere, with no end."""
    gone = {grant.pk for grant in grants if _administers(grant)}
    if not gone:
        return
    # All that it could depend on are locked in one order: two who take from each other at once are one after the other.
    all_such = Grant.objects.select_for_update().filter(role=Role.ADMINISTRATOR.value, pair=None, plan=None)
    known = list(all_such.order_by("pk"))
    left = live_grants().filter(pk__in=[grant.pk for grant in known], until=None).exclude(pk__in=gone)
    if not left.exists():
        raise Conflict(
            "Nobody would be left who may give rights everywhere without an end. Nothing was taken. "
            "Make somebody else an administrator first.",
            code="last_administrator",
        )


def _administers(grant: Grant) -> bool:
    open_end = grant.until is None and grant.person.is_active
    return open_end and (grant.role, grant.pair_id, grant.plan_id) == (Role.ADMINISTRATOR.value, None, None)


def _take(grants: list[Grant], actor: str, reason: str, but: set[int] | None = None) -> None:
    """``but``: of whom it is given again in the same transaction."""
    refuse_the_last(grant for grant in grants if grant.person_id not in (but or ()))
    for grant in grants:
        facts = {**facts_of(grant), "given_by": grant.given_by, "reason": reason}
        record("grant.take", grant.person.username, facts, actor=actor)
        grant.delete()


def _may_change(by: User, person: User, scope: Model | None) -> None:
    if by.pk == person.pk:
        raise Forbidden(
            "Nobody changes their own rights. Nothing was changed. Another administrator can.", code="own_rights"
        )
    if not may(by, Permission.RIGHTS, scope):
        raise Forbidden(
            f"{by.username} may not give or take rights there. Nothing was changed. {who_could_give(scope)}"
        )


def _fits(person: User, role: Role, held: Iterable[Grant]) -> None:
    """A program must not become a person, nor the other way round."""
    others = {Role(grant.role) for grant in held}
    program = Role.SERVICE in others
    if role is Role.SERVICE and (others - {Role.SERVICE} or person.has_usable_password()):
        raise Invalid(f"{person.username} is a person, and no service account. Nothing was given.", code="role")
    if role is not Role.SERVICE and program:
        raise Invalid(
            f"{person.username} is a service account and holds no other role. Nothing was given.", code="role"
        )
