"""Changes to sites, their credentials and host keys, and pairs; and the start of a discovery. Each is in the trail."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import asyncssh
import django_rq
from django.db import IntegrityError, transaction
from django.db.models import ProtectedError
from django.utils import timezone
from redis.exceptions import RedisError

from drportal.audit.record import record
from drportal.errors import Conflict, Invalid, NotFound, StaleVersion, WorkerUnavailable
from drportal.events import publish
from drportal.inventory.models import Credential, Site, SitePair
from drportal.sealing import seal

logger = logging.getLogger(__name__)
DISCOVERY_JOB = "drportal.jobs.discover_pair"
# What a connection depends on: a change of one of these must not keep what was known of another host.
PARTS = ("ssh", "ceph", "opennebula")
UNKNOWN_AGAIN: dict[str, Any] = {f"{part}_{field}": None for part in PARTS for field in ("reachable", "since")}
UNKNOWN_AGAIN |= {f"{part}_sentence": "" for part in PARTS}


def site_get(slug: str) -> Site:
    site = Site.objects.filter(slug=slug).first()
    if site is None:
        raise NotFound(f"There is no site “{slug}” (any more).")
    return site


def site_create(*, actor: str, fields: Mapping[str, Any]) -> Site:
    """Raises Invalid for host keys that are none, Conflict for a taken short name."""
    values = dict(fields) | {"host_keys": checked_host_keys(fields.get("host_keys") or [])}
    try:
        with transaction.atomic():
            site = Site.objects.create(**values)
            record("site.create", site.slug, values, actor=actor, site=site.slug)
            publish("sites", site.version)
    except IntegrityError:
        raise Conflict(f"There is a site “{fields['slug']}” already. Nothing was changed.", code="slug_taken") from None
    return site


def site_change(*, actor: str, slug: str, version: int, fields: Mapping[str, Any]) -> Site:
    """Set the given fields. Raises StaleVersion."""
    with transaction.atomic():
        site = locked_site(slug, version)
        before = {name: getattr(site, name) for name in fields}
        changed = {name: value for name, value in fields.items() if before[name] != value}
        if not changed:
            return site
        values = (
            changed | (UNKNOWN_AGAIN if changed.keys() - {"name", "looked_for"} else {}) | {"version": site.version + 1}
        )
        Site.objects.filter(pk=site.pk).update(**values)
        facts = {"before": {n: before[n] for n in changed}, "after": changed}
        record("site.change", slug, facts, actor=actor, site=slug)
        publish("sites", site.version + 1)
    return site_get(slug)


def site_delete(*, actor: str, slug: str) -> None:
    """Raises Conflict while anything stands on the site."""
    try:
        with transaction.atomic():
            site = site_get(slug)
            record("site.delete", slug, {"name": site.name}, actor=actor, site=slug)
            site.delete()
            publish("sites")
    except ProtectedError:
        raise Conflict(
            f"“{slug}” belongs to a pair of sites, and what is known and done there hangs on it. Nothing was changed.",
            code="site_in_use",
        ) from None


def host_keys_set(*, actor: str, slug: str, version: int, lines: Sequence[str]) -> Site:
    """Accept exactly these keys. The trail keeps their fingerprints and those of the keys before."""
    keys = checked_host_keys(lines)
    with transaction.atomic():
        site = locked_site(slug, version)
        before = [fingerprint(line) for line in site.host_keys]
        Site.objects.filter(pk=site.pk).update(host_keys=keys, version=site.version + 1, **UNKNOWN_AGAIN)
        after = [fingerprint(line) for line in keys]
        record("site.host_keys", slug, {"before": before, "after": after}, actor=actor, site=slug)
        publish("sites", site.version + 1)
    return site_get(slug)


def credential_set(*, actor: str, slug: str, kind: str, value: str) -> None:
    """Keep a secret, encrypted. The trail says that, not what."""
    if kind not in (Credential.Kind.SSH_KEY, Credential.Kind.OPENNEBULA_PASSWORD):  # the others the portal makes
        raise NotFound(f"There is no credential of the kind “{kind}”.")
    if not value.strip():
        raise Invalid("The secret is empty. Nothing was changed.")
    if kind == Credential.Kind.SSH_KEY:
        check_private_key(value)
    with transaction.atomic():
        site = site_get(slug)
        kept = {"ciphertext": seal(value.encode()), "changed_by": actor}
        Credential.objects.update_or_create(site=site, kind=kind, defaults=kept)
        record("site.credential", slug, {"kind": kind}, actor=actor, site=slug)
        publish("sites", site.version)


def locked_site(slug: str, version: int) -> Site:
    site = Site.objects.select_for_update().filter(slug=slug).first()
    if site is None:
        raise NotFound(f"There is no site “{slug}” (any more).")
    if site.version != version:
        raise StaleVersion(
            f"{site.name} was changed by somebody else since you read it. Nothing was changed. "
            "Look again, then repeat.",
            extra={"version": site.version},
        )
    return site


def pair_create(*, actor: str, a: str, b: str, pools: Sequence[str]) -> SitePair:
    """Two different sites that are not a pair already, in whichever order."""
    if a == b:
        raise Invalid("A pair needs two different sites. Nothing was changed.")
    with transaction.atomic():
        first, second = site_get(a), site_get(b)
        if SitePair.objects.filter(a__in=[first, second], b__in=[first, second]).exists():
            raise Conflict(
                f"{first.name} and {second.name} are a pair already. Nothing was changed.", code="pair_exists"
            )
        pair = SitePair.objects.create(a=first, b=second, pools=sorted(set(pools)))
        record("pair.create", f"{a} and {b}", {"pair_id": pair.pk, "pools": pair.pools}, actor=actor)
        publish("sites")
    return pair


def pair_get(pair_id: int) -> SitePair:
    pair = SitePair.objects.select_related("a", "b").filter(pk=pair_id).first()
    if pair is None:
        raise NotFound("This pair of sites is not known (any more).")
    return pair


def pair_discover(*, actor: str, pair_id: int) -> SitePair:
    """Have a worker look at both sites whole. Raises WorkerUnavailable where the queue can't be reached."""
    with transaction.atomic():
        pair = pair_get(pair_id)
        pair.discovery = {
            "state": "running",
            "done": 0,
            "total": 2,
            "sentence": "Waiting for a worker to begin.",
            "started_at": timezone.now().isoformat(),
        }
        SitePair.objects.filter(pk=pair_id).update(discovery=pair.discovery)
        record("pair.discover", f"{pair.a.slug} and {pair.b.slug}", {"pair_id": pair_id}, actor=actor)
        try:
            # Begins at once; it only needs the pair, which was there before this transaction.
            django_rq.get_queue("default", commit_mode="auto").enqueue(DISCOVERY_JOB, pair_id, result_ttl=60)
        except RedisError as error:
            logger.warning("discovery of pair %s was not queued: %s", pair_id, error)
            raise WorkerUnavailable(
                "The queue can't be reached, so no worker can look at the sites. Nothing was begun. "
                "Start Redis and a worker."
            ) from error
    return pair


def checked_host_keys(lines: Sequence[str]) -> list[str]:
    """Public key lines as OpenSSH writes them, comments kept off. Raises Invalid."""
    if len(lines) > 20:
        raise Invalid("More than 20 host keys for one host are not plausible. Nothing was changed.")
    return list(dict.fromkeys(_host_key(line) for line in lines))


def _host_key(line: str) -> str:
    try:
        key = asyncssh.import_public_key(line)
    except asyncssh.KeyImportError:
        raise Invalid(
            f"“{line[:60]}” is not a host key line such as “ssh-ed25519 AAAA…”. Nothing was changed."
        ) from None
    return " ".join(key.export_public_key("openssh").decode().split()[:2])


def fingerprint(line: str) -> str:
    """SHA256:… as ssh-keygen shows it."""
    return str(asyncssh.import_public_key(line).get_fingerprint("sha256"))


def check_private_key(text: str) -> None:
    try:
        asyncssh.import_private_key(text)
    except (asyncssh.KeyImportError, asyncssh.KeyEncryptionError):
        # The library's own words are not repeated: they might quote the key.
        raise Invalid(
            "This is not a private SSH key without a passphrase (OpenSSH or PEM text). Nothing was changed."
        ) from None
