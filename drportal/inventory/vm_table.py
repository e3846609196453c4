"""The table of a site's VMs: which rows fit a filter, and the same rows as a file for a spreadsheet."""

from __future__ import annotations

import datetime as dt
import enum
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.db.models import Count, Q, QuerySet
from ninja import Schema

from drportal.audit.spreadsheets import csv_line, utc_cell
from drportal.inventory.bulk import every_nth
from drportal.inventory.models import Site, VirtualMachine, VmDisk
from drportal.inventory.protectable import reasons_against
from drportal.inventory.schemas import SearchText, Vm, vm_out, vm_rows

PAGE = 500
GONE_SHOWN_FOR = dt.timedelta(days=1)
COLUMNS = (
    "site", "one_id", "name", "state", "host", "cpu", "memory_mb", "disks", "group", "protectable", "why_not",
    "copy_of", "definition", "definition_seen_at_utc", "read_at_utc", "gone_at_utc",
)  # fmt: skip


class VmProtection(enum.StrEnum):
    """By what somebody decided, not by whether it works: that is ``protectable``."""

    IN_GROUP = "in_group"
    NO_GROUP = "no_group"
    COPY = "copy"


class VmFilter(Schema):
    """``q``: in the VM's name or its group's; ``label``: one of its labels; ``pool``: of one of its disks' images."""

    q: SearchText = ""
    label: SearchText = ""
    owner: SearchText = ""
    pool: SearchText = ""


@dataclass(frozen=True, slots=True)
class Choosable:
    items: list[VirtualMachine]
    in_other_groups: int
    not_protectable: int


_WHICH = {
    VmProtection.IN_GROUP: Q(home_of=None, membership__isnull=False),
    VmProtection.NO_GROUP: Q(home_of=None, membership__isnull=True),
    VmProtection.COPY: Q(home_of__isnull=False),
}


def vms_of(site: Site, wanted: VmFilter, now: dt.datetime) -> QuerySet[VirtualMachine]:
    """Those that fit, whatever their protection; without those that have been gone for long."""
    rows = vm_rows().filter(Q(gone_at=None) | Q(gone_at__gt=now - GONE_SHOWN_FOR), site=site)
    if wanted.q:
        rows = rows.filter(Q(name__icontains=wanted.q) | Q(membership__group__name__icontains=wanted.q))
    if wanted.label:
        rows = rows.filter(labels__contains=f",{wanted.label},")
    if wanted.owner:
        rows = rows.filter(owner=wanted.owner)
    if wanted.pool:
        rows = rows.filter(pk__in=VmDisk.objects.filter(image__pool=wanted.pool).values("vm"))
    return rows


def words_of(rows: QuerySet[VirtualMachine]) -> dict[str, dict[str, int]]:
    """What there is to choose by: labels, owners and pools, each with how many of the VMs have it."""
    plain = rows.order_by()
    labels: Counter[str] = Counter()
    for text, n in plain.exclude(labels="").values_list("labels").annotate(n=Count("pk")):
        labels.update({label: n for label in text.strip(",").split(",")})
    owners = dict(plain.exclude(owner="").values_list("owner").annotate(n=Count("pk")))
    disks = VmDisk.objects.filter(vm__in=plain.values("pk"), image__isnull=False).order_by()
    pools = dict(disks.values_list("image__pool").annotate(n=Count("vm", distinct=True)))
    found = {"labels": dict(labels), "owners": owners, "pools": pools}
    return {what: dict(sorted(counts.items())) for what, counts in found.items()}


def choosable(rows: QuerySet[VirtualMachine], group_id: int | None) -> Choosable:
    """Of these VMs those that can be in the group (None: in one that is to be made), and how many can't."""
    own = Q(membership=None) if group_id is None else Q(membership=None) | Q(membership__group=group_id)
    there = rows.filter(gone_at=None, home_of=None).order_by("name", "one_id")
    free = list(there.filter(own))
    items = [vm for vm in free if not reasons_against(vm, list(vm.disks.all()))]
    return Choosable(items, in_other_groups=there.exclude(own).count(), not_protectable=len(free) - len(items))


def vms_of_protection(rows: QuerySet[VirtualMachine], which: VmProtection | None) -> QuerySet[VirtualMachine]:
    return rows.filter(_WHICH[which]) if which else rows


def counts_by_protection(rows: QuerySet[VirtualMachine]) -> dict[str, int]:
    return rows.aggregate(**{which.value: Count("pk", filter=fits) for which, fits in _WHICH.items()})


def place_of(vm: VirtualMachine) -> str:
    return f"{vm.one_id}/{vm.name}"


def vms_after(rows: QuerySet[VirtualMachine], place: str) -> QuerySet[VirtualMachine]:
    """In the table's order, behind ``place`` (id at its front end/name; empty: from the first)."""
    one_id, _, name = place.partition("/")
    behind = Q(name__gt=name) | Q(name=name, one_id__gt=int(one_id or 0))
    return (rows.filter(behind) if place else rows).order_by("name", "one_id")


def vm_places(rows: QuerySet[VirtualMachine], every: int) -> list[str]:
    return [f"{one_id}/{name}" for name, one_id in every_nth(rows, ("name", "one_id"), every)]


def vms_as_csv(rows: QuerySet[VirtualMachine]) -> Iterator[str]:
    """Page by page. UTF-8 with a header line."""
    yield csv_line(COLUMNS)
    place = ""
    while page := list(vms_after(rows, place)[:PAGE]):
        yield "".join(csv_line(_cells(vm_out(row))) for row in page)
        place = place_of(page[-1])


def _cells(vm: Vm) -> list[Any]:
    kept = vm.definition
    return [
        vm.site, vm.one_id, vm.name, "gone" if vm.gone_at else vm.state_word, vm.host, vm.cpu, vm.memory_mb,
        len(vm.disks), vm.group.name if vm.group else "", "yes" if vm.protectable else "no", " ".join(vm.why_not),
        f"{vm.copy_of.one_id} at {vm.copy_of.site}" if vm.copy_of else "", kept.number if kept else "",
        utc_cell(kept.seen_at) if kept else "", utc_cell(vm.read_at), utc_cell(vm.gone_at),
    ]  # fmt: skip
