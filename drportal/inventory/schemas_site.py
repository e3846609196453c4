"""What sites and site pairs say over HTTP."""

from __future__ import annotations

import datetime as dt
from typing import Any

from ninja import Schema

from drportal.engine.versions import Support, ceph_support, opennebula_support
from drportal.inventory import models
from drportal.inventory.installed_shown import InstalledProgram, installed_program
from drportal.inventory.models import (
    Credential,
    SitePair,
)
from drportal.inventory.schedules_shown import PoolState, pool_state
from drportal.inventory.services import fingerprint
from drportal.inventory.sights import sights_of


class Reach(Schema):
    """``ok`` null: not tried, or not possible because what leads there is dark."""

    ok: bool | None
    since: dt.datetime | None
    sentence: str


class HostKey(Schema):
    type: str
    fingerprint: str
    line: str


class Credentials(Schema):
    """When each secret was last stored; the secrets themselves are never readable."""

    ssh_key: dt.datetime | None
    opennebula_password: dt.datetime | None


class SightOut(Schema):
    """What one viewpoint sees at one address of a site, since when, and when it looked last. ``viewpoint``: ``portal``,
    or the site whose host looks. ``echo``: greets, accepts, refuses, silent, no-way; empty: it could not be asked."""

    viewpoint: str
    what: str
    address: str
    echo: str
    sentence: str
    since: dt.datetime
    seen_at: dt.datetime


class VersionSupport(Schema):
    """Whether the portal is meant for that version. ``ok`` null: it is not known which one it is."""

    ok: bool | None
    sentence: str


class Site(Schema):
    slug: str
    name: str
    version: int
    ssh_host: str
    ssh_port: int
    ssh_user: str
    ceph_through: str
    ceph_user: str
    salvage_dir: str
    looked_for: list[dict[str, Any]]
    sights: list[SightOut]
    opennebula_url: str
    opennebula_user: str
    host_keys: list[HostKey]
    ssh: Reach
    ceph: Reach
    opennebula: Reach
    reachable: bool | None
    last_heard: dt.datetime | None
    ceph_version: str
    opennebula_version: str
    ceph_support: VersionSupport
    opennebula_support: VersionSupport
    clock_skew_s: float | None
    credentials: Credentials
    program: InstalledProgram | None
    pools: list[PoolState]


class SiteSummary(Schema):
    slug: str
    name: str
    ssh: Reach
    ceph: Reach
    opennebula: Reach
    reachable: bool | None
    last_heard: dt.datetime | None


class Discovery(Schema):
    state: str = "idle"
    done: int = 0
    total: int = 0
    sentence: str = ""
    started_at: dt.datetime | None = None


class Pair(Schema):
    id: int
    version: int
    a: str
    b: str
    pools: list[str]
    polled_at: dt.datetime | None
    discovered_at: dt.datetime | None
    discovery: Discovery


SITE_COLUMNS = {field.name for field in models.Site._meta.get_fields() if field.concrete} - {"host_keys", "program"}


def site_reach(site: models.Site) -> dict[str, Reach]:
    """ssh, ceph, opennebula."""
    return {
        part: Reach(
            ok=getattr(site, f"{part}_reachable"),
            since=getattr(site, f"{part}_since"),
            sentence=getattr(site, f"{part}_sentence"),
        )
        for part in ("ssh", "ceph", "opennebula")
    }


def site_summary(site: models.Site) -> SiteSummary:
    reachable = all_reachable(site)
    return SiteSummary(
        slug=site.slug, name=site.name, reachable=reachable, last_heard=site.last_heard, **site_reach(site)
    )


def site_out(site: models.Site) -> Site:
    reach = site_reach(site)
    kept = {credential.kind: credential.changed_at for credential in site.credentials.all()}
    plain: dict[str, Any] = {name: getattr(site, name) for name in Site.model_fields if name in SITE_COLUMNS}
    return Site(
        **plain,
        ssh=reach["ssh"],
        ceph=reach["ceph"],
        opennebula=reach["opennebula"],
        ceph_support=_support(ceph_support(site.ceph_version)),
        opennebula_support=_support(opennebula_support(site.opennebula_version)),
        host_keys=[HostKey(type=line.split()[0], fingerprint=fingerprint(line), line=line) for line in site.host_keys],
        reachable=all_reachable(site),
        credentials=Credentials(**{kind.value: kept.get(kind) for kind in Credential.Kind}),
        program=installed_program(site),
        pools=[pool_state(pool) for pool in site.pools.all()],
        sights=[SightOut(**sight) for sight in sights_of(site)],
    )


def _support(found: Support) -> VersionSupport:
    return VersionSupport(ok=found.ok, sentence=found.sentence)


def all_reachable(site: models.Site) -> bool | None:
    """True when all three answer, False when one does not, else None."""
    answers = [site.ssh_reachable, site.ceph_reachable, site.opennebula_reachable]
    return False if False in answers else None if None in answers else True


def pair_out(pair: SitePair) -> Pair:
    return Pair(
        id=pair.pk,
        version=pair.version,
        a=pair.a.slug,
        b=pair.b.slug,
        pools=pair.pools,
        polled_at=pair.polled_at,
        discovered_at=pair.discovered_at,
        discovery=Discovery(**pair.discovery),
    )
