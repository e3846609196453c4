"""Protection gaps: what keeps an image, a VM, a pool or a site from being protected, each with a remedy.

Pure: the caller brings what is known, with ages already applied. What is not known makes no gap; that it is not known
is the verdict's business.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from drportal.engine.facts import Mode, RoleFacts, Side, SideFacts
from drportal.engine.gap_base import Gap, GapCode, GapLevel, Host, Typed, command_words, on_ceph, on_front_end

SKEW_WARN_S, SKEW_BAD_S = 5.0, 30.0
SNAPSHOT_OLD_S = 3600.0
DEFINITION_OLD_S = 24 * 3600.0
USUAL_INTERVAL = "5m"


# --- images


@dataclass(frozen=True, slots=True)
class ImageGapFacts:
    """``ref``: pool/name. ``used``: a VM runs on it or it is mirrored; others are nobody's disk and make no gap."""

    ref: str
    used: bool
    sides: Mapping[Side, SideFacts]


def image_gaps(given: ImageGapFacts, names: Mapping[Side, str]) -> Iterator[Gap]:
    """``names``: the sites' names. Only roles that were read count."""
    roles = {side: facts.role for side, facts in given.sides.items() if facts.role is not None}
    there = {side: role for side, role in roles.items() if role.exists}
    mirrored = any(role.primary is not None for role in there.values())
    if given.used and there and not mirrored:
        side, role = next(iter(there.items()))
        yield Gap(
            GapCode.NOT_MIRRORED,
            GapLevel.UNPROTECTED,
            given.ref,
            f"The image is not mirrored: a loss of {names[side]} loses it.",
            "Enable mirroring of the image, in one of the two modes, then wait for its first copy.",
            enable_commands(given.ref, _lacking(role.features), names[side]),
        )
    if mirrored and len(there) == 1 and len(roles) == 2:
        yield _no_copy(given.ref, *next(iter(there.items())), names)
    ids = {role.global_id for role in there.values()}
    strangers = [side for side, role in there.items() if not role.primary] or list(there)
    if given.used and len(there) == 2 and (len(ids) > 1 or not mirrored):
        yield Gap(
            GapCode.IMAGE_COLLISION,
            GapLevel.RISK,
            given.ref,
            "Both sites have an image of this name that is not a copy of the other's.",
            "Rename the one that is nobody's disk; no copy can arrive while it stands there.",
            tuple(
                on_ceph(
                    names[side],
                    f"If it is the one at {names[side]} that is nobody's disk: gives it another name. Nothing is lost.",
                    "rbd",
                    "mv",
                    given.ref,
                    f"{given.ref}.before-mirroring",
                )
                for side in strangers
            ),
        )
    for side, role in there.items():
        if role.parent and role.primary is not False:
            yield Gap(
                GapCode.NOT_FLATTENED,
                GapLevel.RISK,
                given.ref,
                f"At {names[side]} it still hangs on {role.parent}, without which it cannot be read.",
                "Flatten it; this takes as long as copying it.",
                (
                    on_ceph(
                        names[side], "Copies into it what it still reads from its parent.", "rbd", "flatten", given.ref
                    ),
                ),
                detail=side.value,
            )
        missing = [] if role.mode is Mode.SNAPSHOT else _lacking(role.features)
        if given.used and role.primary is not False and missing:
            yield Gap(
                GapCode.FEATURES_OFF,
                GapLevel.UNPROTECTED if role.mode is Mode.JOURNAL else GapLevel.RISK,
                given.ref,
                f"At {names[side]} the image lacks {' and '.join(missing)}, without which no journal is mirrored.",
                "Enable the features; the VM may stay on.",
                (on_ceph(names[side], "Switches them on.", "rbd", "feature", "enable", given.ref, *missing),),
                detail=side.value,
            )


def _no_copy(ref: str, side: Side, role: RoleFacts, names: Mapping[Side, str]) -> Gap:
    """For an image that is set up for mirroring at ``side``, and is not there at all at the other."""
    here, other = names[side], names[side.other]
    if role.primary:
        said = f"{other} has no copy of it: a loss of {here} loses it."
        remedy = f"If it was enabled a moment ago, wait. Else see what the mirroring daemon of {other} says of it."
    else:
        said = f"Only a copy that is not primary is left, at {here}; the image is gone from {other}."
        remedy = f"Find out who removed it at {other}. Discard nothing: this may be the only copy."
    look = on_ceph(
        here, f"Only reads: the lines under peer_sites are {other}'s.", "rbd", "mirror", "image", "status", ref
    )
    return Gap(GapCode.NO_COPY, GapLevel.UNPROTECTED, ref, said, remedy, (look,))


def enable_commands(ref: str, lacking: list[str], site: str) -> tuple[Typed, Typed]:
    """Of both modes, for a person to choose from. Without exclusive-lock Ceph refuses to enable the journal."""
    pool, _, image = ref.partition("/")
    first = command_words("rbd", "feature", "enable", ref, *lacking) + " && " if lacking else ""
    journal = first + command_words("rbd", "mirror", "image", "enable", ref, "journal")
    add = ("rbd", "mirror", "snapshot", "schedule", "add", "--pool", pool, "--image", image, USUAL_INTERVAL)
    snapshot = command_words("rbd", "mirror", "image", "enable", ref, "snapshot") + " && " + command_words(*add)
    return (
        Typed(
            journal, site, Host.CEPH, "In journal mode: each write is copied as it comes, and is written twice here."
        ),
        Typed(snapshot, site, Host.CEPH, f"Or in snapshot mode: what has changed is copied every {USUAL_INTERVAL}."),
    )


def _lacking(features: tuple[str, ...] | None) -> list[str]:
    """Of what journal mode needs, in the order in which it can be enabled. Snapshot mode needs neither."""
    if features is None:
        return []
    return [feature for feature in ("exclusive-lock", "journaling") if feature not in features]


def snapshots_old(ref: str, age_s: float | None, site: str) -> Gap:
    """For an image of snapshot mode whose newest whole copy is older than ``SNAPSHOT_OLD_S``; None: there is none."""
    pool, _, image = ref.partition("/")
    said = (
        "No whole mirror snapshot has arrived at the copy yet."
        if age_s is None
        else f"The newest whole mirror snapshot at the copy is {age_s / 3600:.1f} h old."
    )
    return Gap(
        GapCode.NO_SNAPSHOTS,
        GapLevel.UNPROTECTED,
        ref,
        said,
        "See when the manager means to take the next one, and whether the other site's mirroring daemon copies it.",
        (
            on_ceph(
                site,
                "Only reads: when the next one is due.",
                "rbd",
                "mirror",
                "snapshot",
                "schedule",
                "status",
                "--pool",
                pool,
                "--image",
                image,
            ),
            on_ceph(site, "Takes one now.", "rbd", "mirror", "image", "snapshot", ref),
        ),
    )


# --- VMs


@dataclass(frozen=True, slots=True)
class DiskGapFacts:
    """``kind`` as the driver says it; ``source`` pool/image where there is one; ``image_known``: in a mirrored pool."""

    disk_id: int
    kind: str
    source: str
    image_known: bool


@dataclass(frozen=True, slots=True)
class VmGapFacts:
    """A VM at its home. ``definition_age_s``: since its definition was last confirmed; None: never captured.

    ``unmapped``: names of its networks without a peer in its plan; empty also where it has no plan.
    ``devices``: number and name of those of its host that it has for itself.
    ``drifted``: what about its definition has changed since a person last set its plan; empty: nothing.
    """

    one_id: int
    name: str
    site: str
    disks: tuple[DiskGapFacts, ...]
    definition_age_s: float | None
    unmapped: tuple[str, ...] = ()
    drifted: str = ""
    devices: tuple[tuple[int, str], ...] = ()
    vm_path: str = ""
    plan_path: str = ""
    site_path: str = ""
    """The pages of the VM itself, where its plan is changed (empty: it has none), and of its site."""


def vm_gaps(vm: VmGapFacts) -> Iterator[Gap]:
    subject = f"{vm.name} ({vm.site} VM {vm.one_id})"
    for disk in vm.disks:
        gap = _disk_gap(vm, subject, disk)
        if gap is not None:
            yield gap
    for pci_id, what in vm.devices:
        yield Gap(
            GapCode.HOST_DEVICE,
            GapLevel.RISK,
            subject,
            f"It has a device of its host for itself ({what}); the VM made of it at the other site has none.",
            "Power the VM off and detach it, or give its copy one there by hand after a move.",
            (on_front_end(vm.site, "Takes the device from the VM.", "onevm", "pci-detach", vm.one_id, pci_id),),
            detail=str(pci_id),
        )
    if vm.definition_age_s is None:
        yield Gap(
            GapCode.NO_DEFINITION,
            GapLevel.UNPROTECTED,
            subject,
            "Its definition was never captured, so it could not be made anew at the other site.",
            "Discover the pair (on the page Sites); if that does not help, see what the page of its site says.",
            path="/sites",
        )
    elif vm.definition_age_s > DEFINITION_OLD_S:
        yield Gap(
            GapCode.DEFINITION_OLD,
            GapLevel.RISK,
            subject,
            f"Its captured definition was last confirmed {vm.definition_age_s / 3600:.0f} h ago.",
            "See on the page of its site whether OpenNebula answers the portal; then discover the pair.",
            path=vm.site_path,
        )
    if vm.drifted:
        yield Gap(
            GapCode.DEFINITION_DRIFTED,
            GapLevel.NOTE,
            subject,
            vm.drifted,
            "See on the VM's page what changed, and whether the plan still fits; save the plan when it does.",
            path=vm.plan_path or vm.vm_path,
        )
    for network in vm.unmapped:
        yield Gap(
            GapCode.NETWORK_UNMAPPED,
            GapLevel.RISK,
            subject,
            f"Network {network} has no counterpart in its plan.",
            "Map the network in the plan.",
            path=vm.plan_path,
            detail=network,
        )


def _disk_gap(vm: VmGapFacts, subject: str, disk: DiskGapFacts) -> Gap | None:
    detach = on_front_end(vm.site, "Takes the disk from the VM.", "onevm", "disk-detach", vm.one_id, disk.disk_id)
    detail = str(disk.disk_id)
    if disk.kind == "clone":
        sentence = f"Disk {disk.disk_id} is not persistent: it runs on an unmirrored clone that ends with the VM."
        remedy = "Power the VM off, save the disk as an image, make that persistent, and attach it in its place."
        commands = _made_persistent(vm, disk.disk_id)
        return Gap(GapCode.NOT_PERSISTENT, GapLevel.UNPROTECTED, subject, sentence, remedy, commands, detail=detail)
    if disk.kind == "volatile":
        sentence = f"Disk {disk.disk_id} is volatile: it ends with the VM, and nothing of it is at the other site."
        remedy = "Keep what matters on a persistent image; detach this one if it is not needed."
        return Gap(GapCode.VOLATILE_DISK, GapLevel.UNPROTECTED, subject, sentence, remedy, (detach,), detail=detail)
    if disk.kind != "persistent":
        sentence = f"Disk {disk.disk_id} ({disk.source or disk.kind}) is a CD-ROM or a device that is not on Ceph."
        return Gap(GapCode.FOREIGN_DISK, GapLevel.RISK, subject, sentence, "Detach it.", (detach,), detail=detail)
    if not disk.image_known:
        pool = disk.source.partition("/")[0]
        does = "Lets images of the pool be mirrored; none is by that alone. At the other site too."
        enable = on_ceph(vm.site, does, "rbd", "mirror", "pool", "enable", pool, "image")
        return Gap(
            GapCode.POOL_UNMIRRORED,
            GapLevel.UNPROTECTED,
            subject,
            f"Disk {disk.disk_id} ({disk.source}) is in a pool that is not mirrored between the two sites.",
            "Enable mirroring of the pool at both sites, or move the disk to a datastore of a mirrored one.",
            (enable,) if pool else (),
            vm.site_path,
            detail,
        )
    return None


def _made_persistent(vm: VmGapFacts, disk_id: int) -> tuple[Typed, ...]:
    name = f"{vm.name}-disk-{disk_id}"
    ready = "When oneimage list calls it rdy: "
    return (
        on_front_end(vm.site, "Its service is down from here on.", "onevm", "poweroff", vm.one_id),
        on_front_end(vm.site, "Copies the disk to a new image.", "onevm", "disk-saveas", vm.one_id, disk_id, name),
        on_front_end(vm.site, f"{ready}makes it persistent.", "oneimage", "persistent", name),
        on_front_end(vm.site, "Drops the clone.", "onevm", "disk-detach", vm.one_id, disk_id),
        on_front_end(vm.site, "Puts the copy in its place.", "onevm", "disk-attach", vm.one_id, "--image", name),
        on_front_end(vm.site, "Starts it again.", "onevm", "resume", vm.one_id),
    )


# --- sites


def skew_gap(site: str, skew_s: float | None) -> Gap | None:
    """``skew_s``: how far the site's clock is ahead of the portal's."""
    if skew_s is None or abs(skew_s) < SKEW_WARN_S:
        return None
    word = "ahead of" if skew_s > 0 else "behind"
    return Gap(
        GapCode.CLOCK_SKEW,
        GapLevel.RISK if abs(skew_s) >= SKEW_BAD_S else GapLevel.NOTE,
        site,
        f"Its clock is {abs(skew_s):.0f} s {word} the portal's: ages and times of snapshots are off by as much.",
        "Set its clock, and the portal's, by NTP.",
        (Typed("chronyc makestep", site, Host.EVERY_CEPH, "Sets the clock at once, where chrony keeps it."),),
    )


# --- groups


@dataclass(frozen=True, slots=True)
class Room:
    """Memory and CPUs that a group's VMs need, or that are free on hosts that are on; and the largest of their disks,
    or what the front end says is free in the image datastore. None: not read, or not known which datastore it would be.
    """

    memory_mb: float | None
    cpus: float | None
    disk_mb: float | None = None


def room_gaps(group: str, target: str, needed: Room, free: Room, datastore: str = "") -> Iterator[Gap]:
    if _too_small(needed.memory_mb, free.memory_mb):
        need, have = _gib(needed.memory_mb), _gib(free.memory_mb)
        said = f"Its VMs need {need} of memory; the hosts of {target} have {have} free."
        yield _no_room(group, target, "memory", said, "Free memory there, or add a host.", HOSTS)
    if _too_small(needed.cpus, free.cpus):
        said = f"Its VMs need {needed.cpus:g} CPUs; the hosts of {target} have {free.cpus:g} free."
        yield _no_room(group, target, "cpus", said, "Free CPUs there, or add a host.", HOSTS)
    if _too_small(needed.disk_mb, free.disk_mb):
        need, have = _gib(needed.disk_mb), _gib(free.disk_mb)
        said = (
            f"Its largest disk has {need}; datastore {datastore} of {target} says that {have} are free, "
            "and by hand OpenNebula refuses to register a larger image, although its data is in the pool already. "
            "(The portal's own runs register it all the same.)"
        )
        remedy = "Make room in the pool, or set DATASTORE_CAPACITY_CHECK=NO on the datastore."
        yield _no_room(group, target, "disk", said, remedy, *_datastore_commands(datastore))


def _too_small(needed: float | None, free: float | None) -> bool:
    return needed is not None and free is not None and needed > free


def _gib(mb: float | None) -> str:
    return f"{(mb or 0) / 1024:.1f} GiB"


HOSTS = ("onehost list", "Only reads: which hosts are on, and what each has left.")


def _datastore_commands(datastore: str) -> tuple[tuple[str, str], ...]:
    update = command_words("onedatastore", "update", datastore, "/dev/stdin", "--append")
    return (
        (command_words("onedatastore", "show", datastore), "Only reads: what it says is free."),
        (f"echo DATASTORE_CAPACITY_CHECK=NO | {update}", "Registers images whatever it says is free."),
    )


def _no_room(group: str, target: str, what: str, said: str, remedy: str, *commands: tuple[str, str]) -> Gap:
    typed = tuple(Typed(text, target, Host.FRONT_END, does) for text, does in commands)
    level = GapLevel.NOTE if what == "disk" else GapLevel.RISK  # the first is in nobody's way but a person's
    return Gap(GapCode.NO_ROOM, level, f"group {group}", said, remedy, typed, detail=what)
