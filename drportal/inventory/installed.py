"""How an installed site program stands to the portal's own, and what each of its keys may do there."""

from __future__ import annotations

import datetime as dt
import hashlib
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from drportal.audit.record import record
from drportal.inventory.models import CephThrough, Credential, Site, SitePair
from drportal.site_program.assemble import program_text
from drportal.site_program.wire import PROGRAM_VERSION

KEYS = {"read": Credential.Kind.OBSERVE_KEY, "act": Credential.Kind.ACT_KEY}
_FACTS = {"version": "program", "sha256": "sha256", "protocol": "protocol", "engine": "engine", "pools": "pools"}
READ_AGAIN = dt.timedelta(minutes=1)


def own_hash() -> str:
    return hashlib.sha256(program_text().encode()).hexdigest()


def pools_of(site: Site) -> list[str]:
    """The pools that the portal watches there: what the keys may reach."""
    pairs = SitePair.objects.filter(a=site) | SitePair.objects.filter(b=site)
    return sorted({str(pool) for pair in pairs for pool in pair.pools})


def hello_facts(hello: Mapping[str, Any]) -> dict[str, Any]:
    """What is kept of a hello, whichever key it answered to."""
    return {name: hello.get(said) for name, said in _FACTS.items()}


def write_program(site: Site, hello: Mapping[str, Any] | None, at: dt.datetime) -> bool:
    """Note what answered at this look as the installed program. True when it is another than before.

    A change that the portal did not make itself is written into the trail. Inside a transaction.
    """
    if site.ceph_through != CephThrough.INSTALLED or hello is None:
        return False
    facts = hello_facts(hello)
    known_before = {**facts, **site.program} if site.program else {}  # of an older note: what it lacks is no change
    changed = any(known_before.get(name) != value for name, value in facts.items())
    read_at = site.program.get("read_at")
    if not changed and read_at and at - dt.datetime.fromisoformat(read_at) < READ_AGAIN:
        return False
    row = Site.objects.select_for_update().get(pk=site.pk)
    if row.version != site.version or row.ceph_through != CephThrough.INSTALLED:
        return False  # it was installed anew meanwhile; the next look is by what holds then
    known = row.program.get("sha256")
    row.program = {**row.program, **facts, "read_at": at.isoformat()}
    row.save(update_fields=["program"])
    site.program = row.program
    if changed:
        payload = {"before": known, "sha256": facts["sha256"], "version": facts["version"], "ours": own_hash()}
        payload["pools"] = facts["pools"]
        action = "site.program.changed" if known else "site.program.found"
        record(action, site.slug, payload, actor="portal", site=site.slug)
    return changed


def skew_sentence(site: Site) -> str:
    """How the installed program differs from the portal's own; empty where it does not, or nothing is installed."""
    there = site.program
    if site.ceph_through != CephThrough.INSTALLED or not there or there.get("sha256") == own_hash():
        return ""
    by_hand = "replace the file there (`manage.py site program` prints the portal's)"
    mend = f"manage.py site upgrade {site.slug}" if there.get("lines") else by_hand
    if there.get("version") == PROGRAM_VERSION:
        return (
            f"The site program installed at {site.name} says that it is version {PROGRAM_VERSION}, as this portal's, "
            f"and its SHA-256 is another. Unless the portal itself was changed, somebody changed the file there: look "
            f"first, then put it right: {mend}"
        )
    return (
        f"The site program installed at {site.name} is not the one that belongs to this portal (version "
        f"{there.get('version', '?')} there, {PROGRAM_VERSION} here). It is used as long as both speak the same "
        f"protocol. Upgrade it: {mend}"
    )


def pools_sentence(site: Site) -> str:
    """How the pools that its keys may reach differ from those that the portal watches there; empty where they do not.

    Its forced commands were written when it was installed; a pair's pools may change afterwards.
    """
    there, wanted = site.program, set(pools_of(site))
    if site.ceph_through != CephThrough.INSTALLED or "pools" not in there:
        return ""
    by_portal = bool(there.get("lines"))
    if there["pools"] is None:  # any: whoever installed it by hand may want it so
        more, missing = (["every pool"] if by_portal and wanted else []), []
    else:
        more, missing = sorted(set(there["pools"]) - wanted), sorted(wanted - set(there["pools"]))
    said = [f"may not reach {', '.join(missing)}: nothing can be seen or done there"] if missing else []
    said += (
        [f"may reach {', '.join(more)}, and the portal does not watch it: that is more than they need"] if more else []
    )
    if not said:
        return ""
    mend = f"manage.py site install {site.slug}" if by_portal else "put --pool right in its forced command there"
    return f"The keys of the site program installed at {site.name} {'; they '.join(said)}. Put it right: {mend}"


def deposit_command(site: Site, sha256: str, commands: Sequence[str]) -> str:
    """What the site's own people type at their host so that it lets this approval through; empty where it does not ask.

    ``commands``: the forced promotions, each ending in its image.
    """
    there = site.program
    if site.ceph_through != CephThrough.INSTALLED or there.get("options", {}).get("force_promote") != "deposited":
        return ""
    images = sorted({command.rpartition(" ")[2] for command in commands})
    return f"printf '%s\\n' {shlex.join(images)} > {shlex.quote(there['state'])}/approvals/{sha256}"
