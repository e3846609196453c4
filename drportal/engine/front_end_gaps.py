"""Gaps that two front ends show together: what only one VM may have and two have, and names that are given once.

Pure; see ``gaps.py``.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from drportal.engine.gap_base import Gap, GapCode, GapLevel, on_front_end

RUNNING = "running"


@dataclass(frozen=True, slots=True)
class AliveVm:
    """A VM that is not gone. ``copy_of``: the key of the VM whose copy it is. ``addresses``: MACs, IPs, UUID.
    ``sources``: of its disks, each with the disk's number. ``active_at``: where its group is active; empty: in none."""

    key: str
    site: str
    one_id: int
    name: str
    phase: str
    copy_of: str
    addresses: tuple[str, ...]
    sources: Mapping[str, int]
    active_at: str = ""


def _twice_alive(address: str, found: list[AliveVm]) -> Gap:
    """Where it is known which one is meant to run, there is no command that would stop it."""
    meant = {vm.active_at for vm in found if vm.active_at}
    told, others = "Find out which one is meant to run; power the other off.", found
    if len(meant) == 1:
        told = f"Its group is active at {next(iter(meant))}: the other is not meant to run."
        others = [vm for vm in found if vm.site not in meant]
    commands = tuple(
        on_front_end(vm.site, f"If {vm.name} is not to run at {vm.site}.", "onevm", "poweroff", vm.one_id)
        for vm in others
    )
    said = f"It is alive at both sites: {_listed(found)}."
    return Gap(GapCode.ADDRESS_TWICE, GapLevel.RISK, address, said, told, commands)


def twice_gaps(vms: Iterable[AliveVm]) -> Iterator[Gap]:
    """What two VMs share that only one may have: names at both sites, addresses of running VMs, the same disk."""
    vms = list(vms)
    by_name, by_address = defaultdict[str, list[AliveVm]](list), defaultdict[str, list[AliveVm]](list)
    by_source = defaultdict[tuple[str, str], list[AliveVm]](list)
    for vm in vms:
        by_name[vm.name].append(vm)
        for source in vm.sources:
            by_source[(vm.site, source)].append(vm)
        if vm.phase == RUNNING:
            for address in set(vm.addresses):
                by_address[address].append(vm)
    for name, found in sorted(by_name.items()):
        strangers = [vm for vm in found if not vm.copy_of]
        if len({vm.site for vm in strangers}) > 1:
            yield Gap(
                GapCode.NAME_TAKEN,
                GapLevel.NOTE,
                name,
                f"VMs of this name are at both sites ({_listed(strangers)}), and neither is a copy of the other.",
                "Rename one, so that nobody starts or stops the wrong one.",
                tuple(
                    on_front_end(
                        vm.site, "Gives this one another name.", "onevm", "rename", vm.one_id, f"{name}-{vm.one_id}"
                    )
                    for vm in strangers
                ),
            )
    for address, found in sorted(by_address.items()):
        if len({vm.site for vm in found}) > 1:
            yield _twice_alive(address, found)
    for (site, source), found in sorted(by_source.items()):
        if len(found) > 1:
            yield Gap(
                GapCode.SOURCE_TWICE,
                GapLevel.RISK,
                f"{source} at {site}",
                f"More than one VM has this image as a disk: {_listed(found)}. Two writers destroy it.",
                "Detach it from all but one.",
                tuple(
                    on_front_end(
                        site, f"Takes it from {vm.name}.", "onevm", "disk-detach", vm.one_id, vm.sources[source]
                    )
                    for vm in found
                ),
                detail=site,
            )


def _listed(vms: Iterable[AliveVm]) -> str:
    return ", ".join(f"{vm.name} ({vm.site} VM {vm.one_id})" for vm in vms)


def registered_twice(source: str, site: str, image_ids: Iterable[int]) -> Gap:
    """For a SOURCE that more than one image record of a front end names."""
    ids = sorted(image_ids)
    return Gap(
        GapCode.SOURCE_TWICE,
        GapLevel.RISK,
        f"{source} at {site}",
        f"Image records {', '.join(map(str, ids))} name the same RBD image; two VMs could start on one disk.",
        "Find the one that is in use. Do not delete another in OpenNebula: that removes the RBD image; lock it.",
        tuple(
            on_front_end(site, "If it is not the one in use: keeps it so.", "oneimage", "lock", image_id)
            for image_id in ids
        ),
        detail="records",
    )


def record_name_taken(
    name: str, here: str, there: str, wanted: Iterable[tuple[str, int | None]], taken_by: int | None
) -> Gap:
    """For a name under which images of ``there`` can't be registered at ``here``. ``wanted``: (SOURCE, its record at
    ``there``). ``taken_by``: the record that has it; None: several of them want it."""
    wanted = list(wanted)
    sources = " and ".join(source for source, _ in wanted)
    if taken_by is not None:
        said = f"Image record {taken_by}, of the portal's own user, has the name under which {sources} would be"
        rename = [(here, taken_by)]
    else:
        said = f"At {there} several images have this name, each of another owner: {sources} would all be"
        rename = [(there, record_id) for _, record_id in wanted if record_id is not None]
    return Gap(
        GapCode.NAME_TAKEN,
        GapLevel.RISK,
        f"image {name} at {here}",
        f"{said} registered there, and a user of OpenNebula has a name once. A run would stop at it.",
        "Rename the record; its data and the VM that has it stay as they are.",
        tuple(
            on_front_end(site, "Gives it another name.", "oneimage", "rename", number, f"{name}-{number}")
            for site, number in rename
        ),
    )
