"""The table of a site's VMs: which rows fit a filter, and the same rows as a file for a spreadsheet."""

from __future__ import annotations

import datetime as dt
import enum
from collections.abc import Iterator
from typing import Any

from django.db.models import Count, Q, QuerySet

from drportal.audit.spreadsheets import csv_line, utc_cell
from drportal.inventory.models import Site, VirtualMachine
from drportal.inventory.schemas import Vm, vm_out, vm_rows

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


_WHICH = {
    VmProtection.IN_GROUP: Q(home_of=None, membership__isnull=False),
    VmProtection.NO_GROUP: Q(home_of=None, membership__isnull=True),
    VmProtection.COPY: Q(home_of__isnull=False),
}


def vms_named(site: Site, q: str, now: dt.datetime) -> QuerySet[VirtualMachine]:
    """Those whose name, or whose group's name, has ``q`` in it; without those that have been gone for long."""
    rows = vm_rows().filter(Q(gone_at=None) | Q(gone_at__gt=now - GONE_SHOWN_FOR), site=site)
    return rows.filter(Q(name__icontains=q) | Q(membership__group__name__icontains=q)) if q else rows


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
