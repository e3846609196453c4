"""What changed in the inventory, a sentence each: written by discovery and the poller in the places where they write.

What a first look finds is no change; what is gone leaves its row here as a tombstone. Bounded: by age, and by number a
site.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from drportal.engine.facts import RoleFacts
from drportal.inventory.models import InventoryChange, Site

Kind = InventoryChange.Kind
KEEP_DAYS = 180
KEEP_OF_SITE = 50_000


@dataclass(frozen=True, slots=True)
class Change:
    """``subject``: as the inventory names it (pool/image, pool, or a number at the front end); ``name``: for people.

    ``what``: the part of it that changed, *exists* for what came or went.
    """

    kind: InventoryChange.Kind
    subject: str
    name: str
    what: str
    sentence: str


def note(site: Site, changes: Iterable[Change], at: dt.datetime) -> int:
    """Write them down, and drop what is beyond what is kept. How many there were."""
    rows = [
        InventoryChange(
            site=site,
            kind=one.kind,
            subject=one.subject[:300],
            name=one.name[:300],
            what=one.what,
            sentence=one.sentence,
            at=at,
        )
        for one in changes
    ]
    if rows:
        InventoryChange.objects.bulk_create(rows, batch_size=500)
        kept = InventoryChange.objects.filter(site=site)
        kept.filter(at__lt=at - dt.timedelta(days=KEEP_DAYS)).delete()
        beyond = kept.order_by("-pk").values_list("pk", flat=True)[KEEP_OF_SITE : KEEP_OF_SITE + 1].first()
        if beyond is not None:
            kept.filter(pk__lte=beyond).delete()
    return len(rows)


# --- images


def image_changes(
    ref: str, site: str, before: RoleFacts | None, after: RoleFacts | None, *, new: bool = False
) -> Iterator[Change]:
    """What two exact reads of an image at one site say. ``new``: nobody had seen it anywhere before."""
    if after is None:
        return
    if before is None or not before.exists or not after.exists:
        if after.exists and (new if before is None else not before.exists):
            yield Change(Kind.IMAGE, ref, ref, "exists", f"{ref} appeared at {site}.")
        elif before is not None and before.exists and not after.exists:
            yield Change(Kind.IMAGE, ref, ref, "exists", f"{ref} is gone from {site}.")
        return
    for what, said in _differences(site, before, after):
        yield Change(Kind.IMAGE, ref, ref, what, f"{ref} {said}")


def _differences(site: str, before: RoleFacts, after: RoleFacts) -> Iterator[tuple[str, str]]:
    """(what, the sentence after the image's name), for an image that is there both times."""
    if before.image_id and after.image_id and before.image_id != after.image_id:
        yield "image", f"at {site} is another image of the same name ({after.image_id}, was {before.image_id})."
    if before.features is not None and after.features is not None:
        for feature in sorted(set(before.features) ^ set(after.features)):
            yield "features", f"{'got the' if feature in after.features else 'lost its'} {feature} feature at {site}."
    if before.mode != after.mode:
        yield "mirroring", f"is {_mirrored(after)} at {site} (was {_mirrored(before)})."
    elif before.global_id and after.global_id and before.global_id != after.global_id:
        yield "mirroring", f"was set up for mirroring anew at {site}: it has another global id."
    if before.parent != after.parent:
        now = f"hangs on {after.parent}" if after.parent else f"hangs on {before.parent} no more"
        yield "parent", f"{now} at {site}."
    if None not in (before.primary, after.primary) and before.primary is not after.primary:
        yield "primary", f"is {'primary' if after.primary else 'not primary any more'} at {site}."


def _mirrored(role: RoleFacts) -> str:
    return f"mirrored in {role.mode.value} mode" if role.mode else "not mirrored"


def size_change(ref: str, before: int | None, after: int | None) -> Change | None:
    if before is None or after is None or before == after:
        return None
    word = "grew" if after > before else "shrank"
    return Change(Kind.IMAGE, ref, ref, "size", f"{ref} {word} from {size(before)} to {size(after)}.")


def size(given: float) -> str:
    for unit in ("B", "KiB", "MiB", "GiB"):
        if given < 1024:
            return f"{given:g} {unit}" if given == int(given) else f"{given:.1f} {unit}"
        given /= 1024
    return f"{given:.1f} TiB"


# --- pools and the site itself


def pool_changes(name: str, site: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[Change]:
    """``before`` and ``after``: mode, peers and daemons as a pool's row keeps them."""

    def change(what: str, sentence: str) -> Change:
        return Change(Kind.POOL, name, name, what, f"Pool {name} at {site}: {sentence}")

    if before["mode"] != after["mode"]:
        yield change("mode", f"its mirroring mode is {after['mode'] or 'none'} (was {before['mode'] or 'none'}).")
    was, now = _peers(before["peers"]), _peers(after["peers"])
    for uuid in sorted(was.keys() | now.keys()):
        if uuid not in now:
            yield change("peers", f"its peer {was[uuid][0]} was removed.")
        elif uuid not in was:
            yield change("peers", f"it got the peer {now[uuid][0]} ({now[uuid][1]}).")
        elif was[uuid] != now[uuid]:
            yield change("peers", f"its peer {now[uuid][0]} is {now[uuid][1]} (was {was[uuid][0]}, {was[uuid][1]}).")
    versions_before, versions = _daemons(before["daemons"]), _daemons(after["daemons"])
    for host in sorted(versions_before.keys() | versions.keys()):
        then, here = versions_before.get(host), versions.get(host)
        if here is None:
            yield change("daemons", f"the mirroring daemon on {host} is not listed any more.")
        elif then is None:
            yield change("daemons", f"a mirroring daemon on {host} is listed ({here}).")
        elif then != here:
            yield change("daemons", f"the mirroring daemon on {host} runs {here} (was {then}).")


def pool_came_or_went(name: str, site: str, *, there: bool) -> Change:
    return Change(Kind.POOL, name, name, "exists", f"Pool {name} {'is back at' if there else 'is gone from'} {site}.")


def _peers(peers: Iterable[Mapping[str, Any]]) -> dict[str, tuple[str, str]]:
    """Peer's uuid -> (name of its site, direction)."""
    return {str(peer["uuid"]): (str(peer["site_name"] or "?"), str(peer["direction"])) for peer in peers}


def _daemons(daemons: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """Host -> the versions of its daemons."""
    found: dict[str, set[str]] = {}
    for daemon in daemons:
        found.setdefault(str(daemon["hostname"]), set()).add(str(daemon["version"]))
    return {host: ", ".join(sorted(versions)) for host, versions in found.items()}


def version_change(site: str, program: str, before: str, after: str) -> Change | None:
    if not before or not after or before == after:
        return None
    return Change(Kind.SITE, "", site, "version", f"{program} at {site} is {after} (was {before}).")


# --- what a front end knows

VM_FIELDS = {"name": "name", "cpu": "CPUs", "memory_mb": "memory (MiB)"}


def vm_changes(
    one_id: int, name: str, site: str, before: Mapping[str, Any] | None, after: Mapping[str, Any] | None
) -> Iterator[Change]:
    """``before`` None: it was not there, ``after`` None: it is gone. Phases and hosts change all the time and are left
    out; ``nics``, ``disks``: as rows keep them.
    """
    shown = f"VM {name} ({site} VM {one_id})"

    def change(what: str, sentence: str) -> Change:
        return Change(Kind.VM, str(one_id), name, what, f"{shown}{sentence}")

    if before is None or after is None:
        yield change("exists", " is gone." if after is None else " appeared.")
        return
    for field, word in VM_FIELDS.items():
        if before[field] != after[field]:
            yield change(field, f": its {word} is {_figure(after[field])} (was {_figure(before[field])}).")
    yield from _parts(change, "nics", "network card", _nics(before["nics"]), _nics(after["nics"]))
    yield from _parts(change, "disks", "disk", _disks(before["disks"]), _disks(after["disks"]))


def _figure(value: object) -> str:
    return f"{value:g}" if isinstance(value, int | float) else str(value)


def _nics(nics: Iterable[Mapping[str, Any]]) -> dict[int, str]:
    return {nic["nic_id"]: f"{nic['network']}, {nic['ip'] or 'no IP'}, {nic['mac']}" for nic in nics}


def _disks(disks: Iterable[Mapping[str, Any]]) -> dict[int, str]:
    return {disk["disk_id"]: f"{disk['kind']} {disk['source']} {size(disk['size_bytes'])}" for disk in disks}


def _parts(change: Any, what: str, word: str, before: Mapping[int, str], after: Mapping[int, str]) -> Iterator[Change]:
    for number in sorted(before.keys() | after.keys()):
        then, now = before.get(number), after.get(number)
        if then is None:
            yield change(what, f" got {word} {number} ({now}).")
        elif now is None:
            yield change(what, f" lost {word} {number} ({then}).")
        elif then != now:
            yield change(what, f": its {word} {number} is {now} (was {then}).")


GROUND = {Kind.DATASTORE: "Datastore", Kind.HOST: "Host", Kind.NETWORK: "Network"}


def ground_changes(
    kind: InventoryChange.Kind, site: str, before: Mapping[int, tuple[str, str]], after: Mapping[int, tuple[str, str]]
) -> Iterator[Change]:
    """Datastores, hosts or networks: number -> (name, a word on how it is). Of a first look nothing is a change."""
    if not before:
        return
    for one_id in sorted(before.keys() | after.keys()):
        then, now = before.get(one_id), after.get(one_id)
        name = (now or then or ("", ""))[0]
        shown = f"{GROUND[kind]} {name} ({site} {one_id})"
        if now is None or then is None:
            said = "is gone" if now is None else "appeared"
            yield Change(kind, str(one_id), name, "exists", f"{shown} {said}.")
            continue
        if then[0] != now[0]:
            yield Change(kind, str(one_id), name, "name", f"{shown} was called {then[0]}.")
        if then[1] != now[1]:
            yield Change(kind, str(one_id), name, "state", f"{shown} is {now[1]} (was {then[1]}).")


def told(changes: Sequence[Change | None]) -> list[Change]:
    return [one for one in changes if one is not None]
