"""Who may do what, where and why: the table of ``roles.py``, and everybody's grants with who gave them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from allauth.mfa.models import Authenticator
from django.apps import apps
from django.conf import settings
from django.contrib.auth.models import User
from django.db.models import Model, Q, QuerySet
from django.utils import timezone

from drportal.people.grants import EVERYWHERE, where_of
from drportal.people.models import Grant
from drportal.people.rights import Rights, live_grants, reaches, rights_of, within_reach
from drportal.roles import GRANTS, SAYS, WHY, Permission, Role, roles_with


def shown_grants(rights: Rights) -> QuerySet[Grant]:
    """Those that bear on what the reader sees: everywhere, and at its pairs and plans."""
    reach = rights.reach(Permission.VIEW)
    grants = Grant.objects.select_related("person", "pair__a", "pair__b", "plan")
    if reach.everywhere:
        return grants
    own = within_reach(Grant.objects.order_by(), reach).values("pk")
    return grants.filter(Q(pk__in=own) | Q(pair=None, plan=None))


def access_table(reader: User, rights: Rights) -> dict[str, Any]:
    """As the schema ``Access`` has it. Whoever holds nothing that is shown is named only to who may give something.

    Who has a second factor is for those who may give rights everywhere: for others it would be the list of whom to
    attack.
    """
    grants = list(shown_grants(rights))
    people = User.objects.order_by("username")
    if not rights.reach(Permission.RIGHTS):
        people = people.filter(pk__in={grant.person_id for grant in grants})
    factors = rights.reach(Permission.RIGHTS).everywhere
    with_factor = set(Authenticator.objects.values_list("user_id", flat=True)) if factors else set()
    demanded = {grant.person_id for grant in grants if grant.role in settings.REQUIRE_MFA}
    return {
        "permissions": [{"permission": one.value, "says": SAYS[one]} for one in Permission],
        "roles": [
            {"role": role.value, "why": WHY[role], "permissions": [one.value for one in Permission if one in may]}
            for role, may in GRANTS.items()
        ],
        "people": [
            {
                "username": person.username,
                "name": person.get_full_name() or person.username,
                "active": person.is_active,
                "second_factor": person.pk in with_factor if factors else None,
                "second_factor_missing": person.pk in demanded - with_factor if factors else None,
                "grants": [grant_out(grant, reader, rights) for grant in grants if grant.person_id == person.pk],
            }
            for person in people
        ],
        "scopes": scopes(rights),
    }


def grant_out(grant: Grant, reader: User, rights: Rights) -> dict[str, Any]:
    scope = grant.plan or grant.pair
    return {
        "id": grant.pk,
        "role": grant.role,
        "where": where_of(grant.pair, grant.plan),
        "pair_id": grant.pair_id,
        "plan_id": grant.plan_id,
        "given_by": grant.given_by,
        "given_at": grant.given_at,
        "reason": grant.reason,
        "until": grant.until,
        "over": grant.until is not None and grant.until <= timezone.now(),
        "may_take": grant.person_id != reader.pk and reaches(rights, Permission.RIGHTS, scope),
    }


def scopes(rights: Rights) -> list[dict[str, Any]]:
    """Where the reader may give rights."""
    reach = rights.reach(Permission.RIGHTS)
    if not reach:
        return []
    pairs = apps.get_model("inventory.sitepair")._default_manager.select_related("a", "b").order_by("pk")
    plans = apps.get_model("recovery.recoveryplan")._default_manager.order_by("name")
    everywhere = [{"where": EVERYWHERE, "pair_id": None, "plan_id": None}] if reach.everywhere else []
    return [
        *everywhere,
        *({"where": where_of(pair, None), "pair_id": pair.pk, "plan_id": None} for pair in within_reach(pairs, reach)),
        *({"where": where_of(None, plan), "pair_id": None, "plan_id": plan.pk} for plan in within_reach(plans, reach)),
    ]


def access_of(thing: Model) -> list[dict[str, Any]]:
    """For a pair or a plan: each permission with the people who have it there now, and by which grants."""
    grants = list(live_grants().select_related("person", "pair__a", "pair__b", "plan").order_by("person__username"))
    known = {person.pk: (person, rights_of(person)) for person in {grant.person for grant in grants}}
    return [
        {
            "permission": one.value,
            "people": [
                {"username": person.username, "name": person.get_full_name() or person.username, "by": by}
                for person, rights in sorted(known.values(), key=lambda each: each[0].username)
                if reaches(rights, one, thing) and (by := _because(grants, person, one, thing))
            ],
        }
        for one in Permission
    ]


def _because(grants: Iterable[Grant], person: User, permission: Permission, thing: Model) -> list[str]:
    """The grants from which they have it there, a few words each."""
    own = [grant for grant in grants if grant.person_id == person.pk and Role(grant.role) in roles_with(permission)]
    pair = thing if thing._meta.label_lower == "inventory.sitepair" else thing.group.pair  # type: ignore[attr-defined]
    here = [
        grant
        for grant in own
        if (grant.pair_id, grant.plan_id) == (None, None)
        or grant.pair_id == pair.pk
        or (thing is not pair and grant.plan_id == thing.pk)
    ]
    return [f"{grant.role}, {where_of(grant.pair, grant.plan)}, given by {grant.given_by}" for grant in here]
