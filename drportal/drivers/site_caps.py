"""What an installed site program may do in Ceph: one cephx user to observe, one to act, each with the least it needs.

The only place where these rights are written. ``manage.py site caps`` prints them, the documentation repeats them (a
test compares), and ``tests/site_program/test_least_caps.py`` holds them against a real cluster.
"""

from __future__ import annotations

from collections.abc import Iterable

RIGHTS = ("read", "act")
USERS = {rights: f"drportal-{rights}" for rights in RIGHTS}
# Without the first two no mirror daemon is seen; without the third a site's name is its cluster's id.
_ASKED_OF_MON = (
    'allow command "service dump"',
    'allow command "service status"',
    'allow command "config-key get" with key prefix "rbd/mirror/"',
)
_MON = {
    "read": ("profile rbd-read-only", *_ASKED_OF_MON),
    # Adding to the blocklist is part of every rbd profile; taking off it is not.
    "act": ("profile rbd", 'allow command "osd blocklist"', *_ASKED_OF_MON),
}
_POOL = {"read": "profile rbd-read-only", "act": "profile rbd"}


def caps_of(rights: str, pools: Iterable[str]) -> dict[str, str]:
    """Daemon kind -> caps. Without pools: in every pool."""
    profile = _POOL[rights]
    in_pools = ", ".join(f"{profile} pool={pool}" for pool in pools) or profile
    return {"mon": ", ".join(_MON[rights]), "osd": in_pools, "mgr": in_pools}


def caps_command(user: str, rights: str, pools: Iterable[str]) -> str:
    """What an administrator of the cluster types to make the user (again it changes nothing: ``ceph auth caps``)."""
    caps = caps_of(rights, pools)
    return (
        f"ceph auth get-or-create client.{user} \\\n  mon '{caps['mon']}' \\\n  osd '{caps['osd']}' mgr '{caps['mgr']}'"
    )


def user_names(ceph_user: str) -> dict[str, str]:
    """Rights -> cephx user, from the site's own: that of ``drportal`` and of ``drportal-act`` are ``drportal-read`` and
    ``drportal-act``. Empty: Ceph's own user of that host, for both."""
    base = ceph_user.removesuffix("-act")
    return {rights: f"{base}-{rights}" if base else "" for rights in RIGHTS}
