"""Who may do what: one table. Who holds a role, and where, is a grant (``people/grants.py``); what is checked is a
permission at a thing (``people/rights.py``), never a role."""

from __future__ import annotations

import enum
from collections.abc import Iterable


class Role(enum.StrEnum):
    VIEWER = "viewer"
    OPERATOR = "operator"
    APPROVER = "approver"
    MANAGER = "manager"
    ADMINISTRATOR = "administrator"
    SERVICE = "service-account"


# Roles of people. A service account is a program's: it has tokens and no password.
PEOPLE = tuple(role for role in Role if role is not Role.SERVICE)


class Permission(enum.StrEnum):
    """What can be granted; ``SAYS`` has each in words."""

    VIEW = "view"
    TEST = "test"
    RUN = "run"
    BREAK_GLASS = "break_glass"
    PLAN = "plan"
    DISCOVER = "discover"
    APPROVE = "approve"
    AUDIT = "audit"
    REVIEW = "review"
    ALERTS = "alerts"
    SITES = "sites"
    RIGHTS = "rights"
    POLICY = "policy"


SAYS: dict[Permission, str] = {
    Permission.VIEW: "See sites, images, VMs, plans, runs and approvals; have readiness checked",
    Permission.TEST: "Rehearse a plan without moving anything: see every command that a run would send now; "
    "drills as well, once there are any",
    Permission.RUN: "Ask for runs, pause, resume and cancel them, retry and skip their steps",
    Permission.BREAK_GLASS: "Begin a disaster failover alone when nobody else can be reached; everybody is told",
    Permission.PLAN: "Change groups, plans and RPO targets",
    Permission.DISCOVER: "Ask the sites for news",
    Permission.APPROVE: "Say yes or no to somebody else's forced promotion",
    Permission.AUDIT: "Read, check and export the trail",
    Permission.REVIEW: "Review runs that have ended; settle differences with a site's own record",
    Permission.ALERTS: "Change alert rules and channels",
    Permission.SITES: "Change sites, host keys and credentials",
    Permission.RIGHTS: "Give and take other people's rights",
    Permission.POLICY: "Ask for another approval policy, and decide about one that somebody else asked for",
}
WHY: dict[Role, str] = {
    Role.VIEWER: "Sees how things stand and changes nothing. What people did is in the trail, and not for everybody.",
    Role.OPERATOR: "Moves VMs, and has the plans in order for it. Has no say in what the sites are or which keys are "
    "believed, and cannot approve: a forced promotion takes two people, or breaks the glass.",
    Role.APPROVER: "Is the second person before a forced promotion, and reads the trail to judge it. Does not run "
    "anything: who decides has not asked.",
    Role.MANAGER: "Looks at what was done afterwards and accepts it or not. Neither does it nor approves it: nobody "
    "reviews what they took part in. How many people a forced promotion takes is theirs to say, with a second person.",
    Role.ADMINISTRATOR: "Says what the sites are, with which keys they are reached and who may do what. Tests plans "
    "and runs none: who can point a site elsewhere must not be the one who moves VMs there. Nobody changes their own "
    "rights.",
    Role.SERVICE: "A program's own account: no password and no way to sign in, only tokens with a scope and an end. "
    "Never approves, reviews, or changes sites and plans, whatever other role it is given.",
}


GRANTS: dict[Role, frozenset[Permission]] = {
    Role.VIEWER: frozenset({Permission.VIEW}),
    Role.OPERATOR: frozenset(
        {
            Permission.VIEW,
            Permission.TEST,
            Permission.RUN,
            Permission.BREAK_GLASS,
            Permission.PLAN,
            Permission.DISCOVER,
            Permission.ALERTS,
            Permission.AUDIT,
        }
    ),
    Role.APPROVER: frozenset({Permission.VIEW, Permission.TEST, Permission.APPROVE, Permission.AUDIT}),
    Role.MANAGER: frozenset({Permission.VIEW, Permission.AUDIT, Permission.REVIEW, Permission.POLICY}),
    Role.ADMINISTRATOR: frozenset(
        {
            Permission.VIEW,
            Permission.TEST,
            Permission.SITES,
            Permission.RIGHTS,
            Permission.POLICY,
            Permission.PLAN,
            Permission.DISCOVER,
            Permission.ALERTS,
            Permission.AUDIT,
        }
    ),
    Role.SERVICE: frozenset({Permission.VIEW, Permission.TEST, Permission.RUN, Permission.DISCOVER}),
}


def counted_roles(roles: Iterable[str]) -> frozenset[Role]:
    """Of the roles somebody holds, those that count; unknown words are none. A service account may do what its role
    says, whatever else it holds.
    """
    known = frozenset(Role(word) for word in roles if word in Role._value2member_map_)
    return known & {Role.SERVICE} or known


def permissions_of(roles: Iterable[str]) -> frozenset[Permission]:
    """All that the given roles may do together."""
    return frozenset().union(*(GRANTS[role] for role in counted_roles(roles)))


def roles_with(permission: Permission) -> list[Role]:
    return [role for role in Role if permission in GRANTS[role]]
