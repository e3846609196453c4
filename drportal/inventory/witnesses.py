"""Witnesses: hosts at a third place that look at both sites of a pair by themselves. Each change is in the trail.

What one sees decides nothing by itself; it is a view beside the portal's and the other site's (``engine/vantage.py``).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import asyncssh
from django.db import IntegrityError, transaction

from drportal.audit.record import record
from drportal.drivers.errors import DriverError, IdentityChanged
from drportal.drivers.site_link import Installed, SiteLink
from drportal.drivers.site_program_reading import ProgramReader
from drportal.drivers.ssh import SshTarget, host_key_fingerprints
from drportal.drivers.vantage import Address
from drportal.errors import Conflict, NotFound, StaleVersion
from drportal.events import publish
from drportal.inventory.connection_test import SHOW_KEYS_WITHIN_S, Outcome, compare, identity, refused_login
from drportal.inventory.models import Sight, Site, SitePair, Witness
from drportal.inventory.services import checked_host_keys, fingerprint
from drportal.inventory.sights import Eyes, addresses, sentence
from drportal.sealing import SecretsUnavailable, seal, unseal
from drportal.site_program.assemble import witness_options

logger = logging.getLogger(__name__)
PREFIX = "witness:"
MOST = 4  # of one pair: each is asked every ten seconds
DEADLINE_S = 10.0


def viewpoint(witness: Witness) -> str:
    return f"{PREFIX}{witness.name}"


def authorized_key(witness: Witness) -> str:
    """The line that lets the portal look from there, and do nothing else."""
    return f"{witness_options()} {witness.public_key} drportal-witness"


def newest_sight(witness: Witness) -> Sight | None:
    """Of what it sees of either site. None: nobody has asked it yet."""
    seen = Sight.objects.filter(viewpoint=viewpoint(witness), site__in=[witness.pair.a_id, witness.pair.b_id])
    return seen.order_by("-seen_at", "-since").first()


def witness_eyes(witness: Witness) -> ProgramReader:
    """How it is asked; nothing is sent yet. Lives in one event loop; close it there. Raises SecretsUnavailable."""
    target = SshTarget(
        host=witness.ssh_host,
        port=witness.ssh_port,
        user=witness.ssh_user,
        private_key=unseal(bytes(witness.ciphertext)).decode(),
        host_keys=tuple(witness.host_keys),
    )
    return ProgramReader(SiteLink(target, Installed()), deadline_s=DEADLINE_S)


@dataclass(frozen=True, slots=True)
class Posts:
    """The witnesses of a pair, each by its viewpoint. None: its key cannot be opened."""

    eyes: Mapping[str, ProgramReader | None]

    def finders(self) -> dict[str, Callable[[], Eyes | None]]:
        return {name: partial(self.eyes.get, name) for name in self.eyes}

    async def close(self) -> None:
        await asyncio.gather(*(eyes.close() for eyes in self.eyes.values() if eyes is not None), return_exceptions=True)


def posts_of(*sites: Site) -> Posts:
    """Of the pair of these two sites. Reads the database: call it outside the event loop, and close them in it."""
    rows = Witness.objects.filter(pair__a__in=sites, pair__b__in=sites)
    return Posts({viewpoint(row): _eyes_or_none(row) for row in rows})


def _eyes_or_none(witness: Witness) -> ProgramReader | None:
    try:
        return witness_eyes(witness)
    except SecretsUnavailable:
        logger.warning("the key of the witness %s cannot be opened", witness.name)
        return None


# --- changes


def witness_get(pair_id: int, witness_id: int) -> Witness:
    witness = Witness.objects.select_related("pair__a", "pair__b").filter(pk=witness_id, pair_id=pair_id).first()
    if witness is None:
        raise NotFound("This witness is not known (any more).")
    return witness


def witness_create(*, actor: str, pair: SitePair, fields: Mapping[str, Any]) -> Witness:
    """With a key of its own, made here. Raises Invalid for host keys that are none, Conflict (name_taken,
    too_many_witnesses)."""
    values = dict(fields) | {"host_keys": checked_host_keys(fields.get("host_keys") or [])}
    key = asyncssh.generate_private_key("ssh-ed25519")
    public = " ".join(key.export_public_key("openssh").decode().split()[:2])
    try:
        with transaction.atomic():
            if Witness.objects.select_for_update().filter(pair=pair).count() >= MOST:
                raise Conflict(f"A pair has at most {MOST} witnesses. Nothing was changed.", code="too_many_witnesses")
            sealed = seal(key.export_private_key("openssh"))
            witness = Witness.objects.create(pair=pair, **values, public_key=public, ciphertext=sealed)
            _told("witness.create", witness, values | {"public_key": fingerprint(public)}, actor)
    except IntegrityError:
        raise Conflict(
            f"There is a witness “{fields['name']}” of this pair already. Nothing was changed.", code="name_taken"
        ) from None
    return witness


def witness_host_keys_set(*, actor: str, witness: Witness, version: int, lines: Sequence[str]) -> Witness:
    """Accept exactly these keys. Raises StaleVersion."""
    keys = checked_host_keys(lines)
    with transaction.atomic():
        changed = Witness.objects.filter(pk=witness.pk, version=version)
        if not changed.update(host_keys=keys, version=version + 1):
            raise StaleVersion(
                f"The witness {witness.name} was changed by somebody else since you read it. Nothing was changed. "
                "Look again, then repeat.",
                extra={"version": witness.version},
            )
        facts = {"before": [fingerprint(line) for line in witness.host_keys], "after": list(map(fingerprint, keys))}
        _told("witness.host_keys", witness, facts, actor)
    return witness_get(witness.pair_id, witness.pk)


def witness_delete(*, actor: str, witness: Witness) -> None:
    """With its key, and with what it has seen."""
    with transaction.atomic():
        Sight.objects.filter(site__in=[witness.pair.a_id, witness.pair.b_id], viewpoint=viewpoint(witness)).delete()
        _told("witness.delete", witness, {"public_key": fingerprint(witness.public_key)}, actor)
        witness.delete()


def _told(action: str, witness: Witness, facts: dict[str, Any], actor: str) -> None:
    subject = f"{witness.name} of {witness.pair.a.slug} and {witness.pair.b.slug}"
    record(action, subject, facts | {"pair_id": witness.pair_id}, actor=actor)
    publish("sites")


# --- does it look?


@dataclass(frozen=True, slots=True)
class WitnessTest:
    """``sees``: what it sees now, a sentence for each address of each site."""

    ssh: Outcome
    sees: tuple[str, ...] = ()


def witness_test(witness: Witness) -> WitnessTest:
    """Ends within about half a minute. Host keys are shown, none is trusted; nothing is sent to a host that shows none
    of the accepted ones."""
    eyes = witness_eyes(witness)
    asked = {f"{site.name}, {what}": one for site in (witness.pair.a, witness.pair.b) for what, one in _first(site)}
    return asyncio.run(_test(witness, eyes, asked))


def _first(site: Any) -> list[tuple[str, Address]]:
    """Of a site's addresses the two that every site has: both sites' fit into one request."""
    return [(what, one) for what, one in addresses(site).items() if what in ("SSH host", "OpenNebula")]


async def _test(witness: Witness, eyes: ProgramReader, asked: dict[str, Address]) -> WitnessTest:
    try:
        try:
            shown = await host_key_fingerprints(witness.ssh_host, witness.ssh_port, deadline_s=SHOW_KEYS_WITHIN_S)
        except DriverError as error:
            return WitnessTest(Outcome("unreachable", error.detail))
        offered = compare(shown, witness.host_keys)
        if (verdict := identity(offered, witness.host_keys)) is not None:
            return WitnessTest(verdict)
        try:
            hello = await eyes.hello()
            seen, _ = await eyes.look_at(list(asked.values()))
        except IdentityChanged as error:
            return WitnessTest(Outcome("identity_changed", error.detail, offered_keys=offered))
        except DriverError as error:
            word = "refused" if refused_login(error) else "unreachable"
            return WitnessTest(Outcome(word, error.detail, offered_keys=offered))
        told = tuple(f"{what}: {sentence(one)}." for what, one in zip(asked, seen, strict=True))
        return WitnessTest(Outcome("ok", _standing(hello.rights), hello.program, offered), told)
    finally:
        await eyes.close()


def _standing(rights: str) -> str:
    if rights == "look":
        return "It looks, and its key can do nothing else there."
    return f"It looks, and its key may do more there than that ({rights}): put --rights look into its forced command."
