"""Who may do what: one table. A role is a Django group of that name; what is checked is a permission, never a role."""

from __future__ import annotations

import enum


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
    RUN = "run"
    BREAK_GLASS = "break_glass"
    PLAN = "plan"
    DISCOVER = "discover"
    APPROVE = "approve"
    AUDIT = "audit"
    REVIEW = "review"
    ALERTS = "alerts"
    SITES = "sites"


SAYS: dict[Permission, str] = {
    Permission.VIEW: "See sites, images, VMs, plans, runs and approvals",
    Permission.RUN: "Ask for runs, pause, resume and cancel them, retry and skip their steps",
    Permission.BREAK_GLASS: "Begin a disaster failover alone when nobody else can be reached; everybody is told",
    Permission.PLAN: "Change groups, plans and RPO targets",
    Permission.DISCOVER: "Ask the sites for news",
    Permission.APPROVE: "Say yes or no to somebody else's forced promotion",
    Permission.AUDIT: "Read, check and export the trail",
    Permission.REVIEW: "Review runs that have ended; settle differences with a site's own record",
    Permission.ALERTS: "Change alert rules and channels",
    Permission.SITES: "Change sites, host keys and credentials",
}
WHY: dict[Role, str] = {
    Role.VIEWER: "Sees how things stand and changes nothing. What people did is in the trail, and not for everybody.",
    Role.OPERATOR: "Moves VMs, and has the plans in order for it. Has no say in what the sites are or which keys are "
    "believed, and cannot approve: a forced promotion takes two people, or breaks the glass.",
    Role.APPROVER: "Is the second person before a forced promotion, and reads the trail to judge it. Does not run "
    "anything: who decides has not asked.",
    Role.MANAGER: "Looks at what was done afterwards and accepts it or not. Neither does it nor approves it: nobody "
    "reviews what they took part in.",
    Role.ADMINISTRATOR: "Says what the sites are and with which keys they are reached. Runs nothing: who can point a "
    "site elsewhere must not be the one who moves VMs there.",
    Role.SERVICE: "A program's own account: no password and no way to sign in, only tokens with a scope and an end. "
    "Never approves, reviews, or changes sites and plans, whatever other role it is given.",
}


GRANTS: dict[Role, frozenset[Permission]] = {
    Role.VIEWER: frozenset({Permission.VIEW}),
    Role.OPERATOR: frozenset(
        {
            Permission.VIEW,
            Permission.RUN,
            Permission.BREAK_GLASS,
            Permission.PLAN,
            Permission.DISCOVER,
            Permission.ALERTS,
            Permission.AUDIT,
        }
    ),
    Role.APPROVER: frozenset({Permission.VIEW, Permission.APPROVE, Permission.AUDIT}),
    Role.MANAGER: frozenset({Permission.VIEW, Permission.AUDIT, Permission.REVIEW}),
    Role.ADMINISTRATOR: frozenset(
        {
            Permission.VIEW,
            Permission.SITES,
            Permission.PLAN,
            Permission.DISCOVER,
            Permission.ALERTS,
            Permission.AUDIT,
        }
    ),
    Role.SERVICE: frozenset({Permission.VIEW, Permission.RUN, Permission.DISCOVER}),
}


def permissions_of(roles: list[str]) -> frozenset[Permission]:
    """All that the given roles may do together; unknown words grant nothing. A service account may do what its role
    says, whatever else it holds.
    """
    known = [Role(word) for word in roles if word in Role._value2member_map_]
    if Role.SERVICE in known:
        return GRANTS[Role.SERVICE]
    return frozenset().union(*(GRANTS[role] for role in known))
