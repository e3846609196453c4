"""Which VM at home is the group's."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from drportal.drivers import opennebula_parse as parse
from drportal.drivers.base import Answer
from drportal.drivers.base_cloud import Vm
from drportal.recovery.plan_copy import VmCopy
from drportal.recovery.world import SiteEnd, World

ROOT = Path(__file__).resolve().parents[1] / "fixtures" / "opennebula"
DOCUMENT = ROOT / "ceph-lab-7.5.80" / "02-vm-running-np-pers-volatile.xml"
ANSWER = Answer("one.vm.info", "a", 0, "", "", dt.datetime(2026, 1, 1, tzinfo=dt.UTC), 0.0)


class Home:
    """A front end with one VM under the number that the plan has."""

    slug, host = "a", "a"

    def __init__(self, found: Vm) -> None:
        self.found = found

    async def vm(self, one_id: int) -> tuple[Vm, Answer]:
        return self.found, ANSWER

    async def everything(self, max_age_s: float) -> Any:
        return SimpleNamespace(vms=(self.found,), answers=(ANSWER, ANSWER))


async def located(found: Vm, *sources: str) -> Any:
    ours = SimpleNamespace(
        home_one_id=found.vm_id, marker="ours", images=tuple(SimpleNamespace(source=source) for source in sources)
    )
    world = cast(World, SimpleNamespace(plan=SimpleNamespace(home_site="a")))
    return await World.locate(world, cast(SiteEnd, Home(found)), cast(VmCopy, ours))


async def test_the_home_vm_is_the_one_with_the_number_and_the_disks() -> None:
    vm = parse.vm(parse.document(DOCUMENT.read_text()))
    assert (await located(vm, "one/one-1")).vm == vm


async def test_a_vm_that_has_the_number_since_opennebula_was_installed_anew_is_not_ours() -> None:
    vm = parse.vm(parse.document(DOCUMENT.read_text()))
    assert (await located(vm, "one/one-77")).vm is None
    # The copy that the portal made anew there is found by its mark, as always.
    assert (await located(replace(vm, marker="ours"), "one/one-77")).vm is not None
