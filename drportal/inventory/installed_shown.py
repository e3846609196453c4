"""An installed site program as the site's page shows it. (The poller, which has no pages, does without.)"""

from __future__ import annotations

import datetime as dt

from ninja import Schema

from drportal.drivers.site_caps import RIGHTS, USERS, caps_command
from drportal.inventory.installed import pools_of, pools_sentence, skew_sentence
from drportal.inventory.models import CephThrough, Site


class ProgramKey(Schema):
    """What one of the two keys may do. ``command``: the line in authorized_keys, without the key itself.

    ``caps``: the least that its Ceph user needs, as an administrator of the cluster would make it.
    """

    rights: str
    ceph_user: str
    command: str
    caps: str


class InstalledProgram(Schema):
    """The site program that is installed there. ``skew``: how it differs from the portal's own; ``pools_differ``: how
    the pools that its keys may reach differ from those that the portal watches there; empty: it does not.

    ``keys``: those that the portal made; none where it was installed by hand. ``force_promote``: whether the site
    itself asks for an approval (docs/site-program.md).
    """

    version: str
    sha256: str
    engine: str
    path: str
    read_at: dt.datetime | None
    skew: str
    pools_differ: str
    force_promote: str
    keys: list[ProgramKey]


def _keys(site: Site) -> list[ProgramKey]:
    lines, options = site.program.get("lines", {}), site.program.get("options", {})
    pools = pools_of(site) if lines else []
    users = {rights: options.get(f"{rights}_user", "") for rights in RIGHTS}
    return [
        ProgramKey(
            rights=rights,
            ceph_user=users[rights],
            command=str(lines[rights]).partition(" ssh-")[0],
            # One user for both keys needs what the one that acts needs.
            caps=caps_command(
                users[rights] or USERS[rights], "act" if users["act"] == users[rights] != "" else rights, pools
            ),
        )
        for rights in RIGHTS
        if rights in lines
    ]


def installed_program(site: Site) -> InstalledProgram | None:
    there = site.program
    if site.ceph_through != CephThrough.INSTALLED or not there:
        return None
    known = {name: str(there.get(name) or "") for name in ("version", "sha256", "engine", "path")}
    force = str(there.get("options", {}).get("force_promote", ""))
    return InstalledProgram(
        **known,
        read_at=there.get("read_at"),
        skew=skew_sentence(site),
        pools_differ=pools_sentence(site),
        force_promote=force,
        keys=_keys(site),
    )
