"""Tell the portal about a lab's two sites and its witness, as a person would on the sites' page. For the demo and for
tests."""

from __future__ import annotations

import asyncssh
from django.db import transaction

from drportal.audit.record import record
from drportal.inventory.models import Credential, Site, SitePair, Witness
from drportal.lab.control import LabDescription, SiteDescription, SshAccess
from drportal.sealing import seal, unseal

ACTOR = "lab"
WITNESS = "third place"


def introduce(lab: LabDescription) -> SitePair:
    """Sites with credentials and accepted host keys, and their pair.

    Once more after a restart of the lab: new ports and keys.
    """
    with transaction.atomic():
        a, b = (introduce_site(lab.sites[key]) for key in ("a", "b"))
        pair, made = SitePair.objects.get_or_create(a=a, b=b, defaults={"pools": [lab.pool]})
        if made:
            record("pair.create", f"{a.slug} and {b.slug}", {"pools": pair.pools}, actor=ACTOR)
    return pair


@transaction.atomic
def introduce_witness(pair: SitePair, access: SshAccess) -> None:
    """With the lab's own key: what it makes and accepts is the lab's, at each start anew."""
    key = asyncssh.import_private_key(access.private_key)
    fields = {
        "ssh_host": access.host,
        "ssh_port": access.port,
        "ssh_user": access.user,
        "host_keys": [access.host_key.strip()],
        "public_key": " ".join(key.export_public_key("openssh").decode().split()[:2]),
    }
    known = Witness.objects.filter(pair=pair, name=WITNESS, **fields).first()
    if known is None:
        Witness.objects.filter(pair=pair, name=WITNESS).delete()
        Witness.objects.create(pair=pair, name=WITNESS, ciphertext=seal(access.private_key.encode()), **fields)
        record("witness.create", WITNESS, fields | {"pair_id": pair.pk}, actor=ACTOR)


def introduce_site(site: SiteDescription) -> Site:
    fields = {
        "name": site.name.replace("-", " ").title(),
        "ssh_host": site.ssh.host,
        "ssh_port": site.ssh.port,
        "ssh_user": site.ssh.user,
        "host_keys": [site.ssh.host_key.strip()],
        "salvage_dir": site.salvage,
        "opennebula_url": site.opennebula.url,
        "opennebula_user": site.opennebula.username,
    }
    row, made = Site.objects.get_or_create(slug=site.name, defaults=fields)
    changed = {name for name, value in fields.items() if getattr(row, name) != value}
    if changed:
        Site.objects.filter(pk=row.pk).update(version=row.version + 1, **fields)
        row.refresh_from_db()
    if made or changed:
        record(
            "site.create" if made else "site.change",
            row.slug,
            {"fields": sorted(changed or fields)},
            actor=ACTOR,
            site=row.slug,
        )
    keep(row, Credential.Kind.SSH_KEY, site.ssh.private_key)
    keep(row, Credential.Kind.OPENNEBULA_PASSWORD, site.opennebula.password)
    return row


def keep(site: Site, kind: Credential.Kind, secret: str) -> None:
    known = Credential.objects.filter(site=site, kind=kind).first()
    if known and unseal(bytes(known.ciphertext)).decode() == secret:
        return
    Credential.objects.update_or_create(
        site=site, kind=kind, defaults={"ciphertext": seal(secret.encode()), "changed_by": ACTOR}
    )
    record("site.credential", site.slug, {"kind": kind.value}, actor=ACTOR, site=site.slug)
