"""How an installed site program stands to the portal's own."""

from __future__ import annotations

import datetime as dt
import hashlib

from ninja import Schema

from drportal.inventory.models import CephThrough, Site
from drportal.site_program.assemble import program_text
from drportal.site_program.wire import PROGRAM_VERSION


def own_hash() -> str:
    return hashlib.sha256(program_text().encode()).hexdigest()


def skew_sentence(site: Site) -> str:
    """How the installed program differs from the portal's own; empty where it does not, or nothing is installed."""
    there = site.program
    if site.ceph_through != CephThrough.INSTALLED or not there or there.get("sha256") == own_hash():
        return ""
    return (
        f"The site program installed at {site.name} is not the one that belongs to this portal (version "
        f"{there.get('version', '?')} there, {PROGRAM_VERSION} here). It is used as long as both speak the same "
        f"protocol. Upgrade it: manage.py site upgrade {site.slug}"
    )


class InstalledProgram(Schema):
    """The site program that is installed there. ``skew``: how it differs from the portal's own; empty: it does not."""

    version: str
    sha256: str
    engine: str
    path: str
    read_at: dt.datetime | None
    skew: str


def installed_program(site: Site) -> InstalledProgram | None:
    there = site.program
    if site.ceph_through != CephThrough.INSTALLED or not there:
        return None
    known = {name: str(there.get(name, "")) for name in ("version", "sha256", "engine", "path")}
    return InstalledProgram(**known, read_at=there.get("read_at"), skew=skew_sentence(site))
