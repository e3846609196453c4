"""Who may do what at which thing, and what of everything somebody sees: decided here and nowhere else.

A person's grants say where they hold a role (``models.Grant``), ``roles.py`` what a role may do. A thing is at a pair
of sites, of a plan, or both (``WHERE``, data); who may do something at a pair may do it for each of its plans.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import reduce
from operator import or_
from typing import Any, TypeVar

from django.apps import apps
from django.contrib.auth.models import AnonymousUser, User
from django.db.models import Model, Q, QuerySet
from django.utils import timezone

from drportal.people.models import Grant
from drportal.roles import GRANTS, Permission, counted_roles, roles_with

M = TypeVar("M", bound=Model)
NOTHING = Q(pk__in=())


@dataclass(frozen=True, slots=True)
class Where:
    """Look-ups from a kind of thing to its pairs and to its plans.

    ``ground``: plans that stand on it. Who sees such a plan sees the thing too, but not what else is there, and does
    nothing to it. ``every``: it belongs to several pairs; who acts on it acts on each.
    """

    pair: tuple[str, ...] = ()
    plan: tuple[str, ...] = ()
    ground: tuple[str, ...] = ()
    every: bool = False


_OF_SITE = Where(pair=("site__pairs_as_a", "site__pairs_as_b"), every=True)
# Kinds of things by Django's label. One that is not here, or has no look-up, is for who holds the right everywhere.
WHERE: Mapping[str, Where] = {
    "inventory.sitepair": Where(pair=("pk",), ground=("groups__plan",)),
    "inventory.site": Where(
        pair=("pairs_as_a", "pairs_as_b"),
        ground=("pairs_as_a__groups__plan", "pairs_as_b__groups__plan"),
        every=True,
    ),
    "inventory.witness": Where(pair=("pair",), ground=("pair__groups__plan",)),
    "inventory.pool": _OF_SITE,
    "inventory.inventorychange": _OF_SITE,
    "inventory.mirroredimage": Where(
        pair=("pair",),
        plan=("disks__vm__membership__group__plan", "disks__vm__home_of__membership__group__plan"),
    ),
    "inventory.virtualmachine": Where(
        pair=("site__pairs_as_a", "site__pairs_as_b"),
        plan=("membership__group__plan", "home_of__membership__group__plan"),
    ),
    "recovery.protectiongroup": Where(pair=("pair",), plan=("plan",)),
    "recovery.recoveryplan": Where(pair=("group__pair",), plan=("pk",)),
    "recovery.run": Where(pair=("plan__group__pair",), plan=("plan",)),
    "recovery.step": Where(pair=("run__plan__group__pair",), plan=("run__plan",)),
    "recovery.approval": Where(pair=("run__plan__group__pair",), plan=("run__plan",)),
    "recovery.quarantine": Where(pair=("group__pair",), plan=("group__plan",)),
    "watch.readinesscheck": Where(pair=("plan__group__pair",), plan=("plan",)),
    "watch.receiptdifference": Where(pair=_OF_SITE.pair, plan=("run__plan",), every=True),
    "people.grant": Where(pair=("pair", "plan__group__pair"), plan=("plan",)),
}


@dataclass(frozen=True, slots=True)
class Reach:
    """How far one permission goes."""

    everywhere: bool = False
    pairs: frozenset[int] = frozenset()
    plans: frozenset[int] = frozenset()

    def __bool__(self) -> bool:
        return self.everywhere or bool(self.pairs or self.plans)

    def __or__(self, other: Reach) -> Reach:
        return Reach(self.everywhere or other.everywhere, self.pairs | other.pairs, self.plans | other.plans)


NOWHERE = Reach()


@dataclass(frozen=True, slots=True)
class Rights:
    """All that somebody may do now, each permission as far as it goes."""

    reaches: Mapping[Permission, Reach] = field(default_factory=dict)

    def reach(self, permission: Permission) -> Reach:
        return self.reaches.get(permission, NOWHERE)

    @property
    def permissions(self) -> frozenset[Permission]:
        """What may be done somewhere at all."""
        return frozenset(permission for permission, reach in self.reaches.items() if reach)

    def within(self, permissions: Iterable[str]) -> Rights:
        """No more than these, as of a token with a scope."""
        kept = set(permissions)
        return Rights({one: reach for one, reach in self.reaches.items() if one.value in kept})


def spelled_out(rights: Rights) -> dict[Permission, dict[str, Any]]:
    """Each permission as a page needs it: who has it at a pair has it for that pair's plans."""
    pairs = frozenset().union(*(reach.pairs for reach in rights.reaches.values()))
    rows = apps.get_model("recovery.recoveryplan")._default_manager.filter(group__pair__in=pairs)
    plans = list(rows.values_list("pk", "group__pair")) if pairs else []
    return {
        one: {
            "everywhere": reach.everywhere,
            "pairs": sorted(reach.pairs),
            "plans": sorted(reach.plans | {plan for plan, pair in plans if pair in reach.pairs}),
        }
        for one in Permission
        if (reach := rights.reach(one))
    }


def live_grants() -> QuerySet[Grant]:
    """Those that count now, of open accounts."""
    return Grant.objects.filter(Q(until=None) | Q(until__gt=timezone.now()), person__is_active=True)


def reach_of(grant: Grant) -> Reach:
    if grant.pair_id is not None:
        return Reach(pairs=frozenset({grant.pair_id}))
    if grant.plan_id is not None:
        return Reach(plans=frozenset({grant.plan_id}))
    return Reach(everywhere=True)


def rights_of(user: User | AnonymousUser) -> Rights:
    """Now, from the database. A superuser has no more than their grants."""
    grants = list(live_grants().filter(person=user.pk)) if user.pk is not None else []
    counted = counted_roles(grant.role for grant in grants)
    reaches: dict[Permission, Reach] = {}
    for grant in grants:
        for role in counted & {grant.role}:
            for permission in GRANTS[role]:
                reaches[permission] = reaches.get(permission, NOWHERE) | reach_of(grant)
    return Rights(reaches)


def condition(model: type[Model], reach: Reach, *, ground: bool = False) -> Q:
    """Which rows are within reach. ``ground``: also those that only bear a plan that is."""
    if reach.everywhere:
        return Q()
    where = WHERE.get(model._meta.label_lower, Where())
    plans = where.plan + (where.ground if ground else ())
    parts = [Q(**{f"{one}__in": reach.pairs}) for one in where.pair if reach.pairs]
    parts += [Q(**{f"{one}__in": reach.plans}) for one in plans if reach.plans]
    return reduce(or_, parts, NOTHING)


def within_reach(rows: QuerySet[M], reach: Reach, *, ground: bool = False) -> QuerySet[M]:
    if reach.everywhere:
        return rows
    kept = rows.model._default_manager.filter(condition(rows.model, reach, ground=ground))
    return rows.filter(pk__in=kept.order_by().values("pk"))


def visible_to(user: User | AnonymousUser, rows: QuerySet[M], *, ground: bool = False) -> QuerySet[M]:
    """Those of the rows that the user sees."""
    return within_reach(rows, rights_of(user).reach(Permission.VIEW), ground=ground)


# How topics of the websocket and keys of alerts name a thing: a word, a colon, its number.
WORDS: Mapping[str, str] = {
    "image": "inventory.mirroredimage",
    "pool": "inventory.pool",
    "site": "inventory.site",
    "pair": "inventory.sitepair",
    "group": "recovery.protectiongroup",
    "plan": "recovery.recoveryplan",
    "run": "recovery.run",
    "quarantine": "recovery.quarantine",
    "difference": "watch.receiptdifference",
}


def seen_names(rights: Rights, names: Iterable[str], *, ground: bool = False) -> set[str]:
    """Of names such as “run:12” (“site:3:ssh”) those of things that are seen; a few queries for any number."""
    reach, known = rights.reach(Permission.VIEW), set(names)
    if reach.everywhere or not reach:
        return known if reach else set()
    wanted: dict[str, dict[int, set[str]]] = {}
    for name in known:
        word, number = [*name.split(":"), "", ""][:2]
        if word in WORDS and number.isdecimal():
            wanted.setdefault(word, {}).setdefault(int(number), set()).add(name)
    found: set[str] = set()
    for word, by_pk in wanted.items():
        rows = apps.get_model(WORDS[word])._default_manager.filter(pk__in=by_pk)
        for pk in within_reach(rows, reach, ground=ground).values_list("pk", flat=True):
            found |= by_pk[pk]
    return found


def readable_entries(rights: Rights) -> Q | None:
    """Which entries of the trail may be read; None: all. Within a scope those of its runs, and of its sites where they
    are about no run; what is about no thing (sign-ins, rights, plans) is for who may read everywhere.
    """
    reach = rights.reach(Permission.AUDIT)
    if reach.everywhere:
        return None
    runs = within_reach(apps.get_model("recovery.run")._default_manager.order_by(), reach)
    sites = within_reach(apps.get_model("inventory.site")._default_manager.order_by(), reach)
    return Q(run_id__in=runs.values("pk")) | Q(run_id=None, site__in=sites.values("slug"))


def may(user: User, permission: Permission, thing: Model | None) -> bool:
    """Whether the user may do it at this thing now; None: everywhere. A closed account may nothing."""
    return reaches(rights_of(user), permission, thing)


def reaches(rights: Rights, permission: Permission, thing: Model | None) -> bool:
    reach = rights.reach(permission)
    if reach.everywhere or thing is None or not reach:
        return reach.everywhere
    rows = type(thing)._default_manager.filter(pk=thing.pk)
    where = WHERE.get(thing._meta.label_lower, Where())
    if where.every and permission is not Permission.VIEW and not _is_for_a_plan(rows, where, reach):
        pairs = pairs_of(rows, where)
        return bool(pairs) and pairs <= reach.pairs
    return within_reach(rows, reach).exists()


def _is_for_a_plan(rows: QuerySet[Any], where: Where, reach: Reach) -> bool:
    return (
        bool(where.plan and reach.plans)
        and rows.filter(reduce(or_, (Q(**{f"{one}__in": reach.plans}) for one in where.plan))).exists()
    )


def pairs_of(rows: QuerySet[Any], where: Where) -> set[int]:
    found = (rows.values_list(f"{one}__pk" if one != "pk" else "pk", flat=True) for one in where.pair)
    return {pk for pks in found for pk in pks if pk is not None}


def people_who_may(permission: Permission, thing: Model | None) -> list[User]:
    """Those who may do it at this thing now, by name; None: everywhere."""
    holders = live_grants().filter(role__in=[role.value for role in roles_with(permission)])
    known = User.objects.filter(pk__in=holders.values("person")).order_by("username")
    return [person for person in known if may(person, permission, thing)]


def who_could_give(thing: Model | None) -> str:
    """Whom to ask for a right at this thing, in words."""
    names = [person.username for person in people_who_may(Permission.RIGHTS, thing)]
    if not names:
        return "It can be given by whoever runs the portal (manage.py person grant)."
    return f"It can be given by {', '.join(names[:5])} on the page Access."
