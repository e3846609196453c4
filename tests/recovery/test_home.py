"""A failback by what each VM is at home: off, gone, lost sight of, running."""

from __future__ import annotations

import asyncio

import pytest

from drportal.engine.plans import RunKind
from drportal.engine.states import RunState
from drportal.errors import Conflict
from drportal.inventory.connect import site_drivers
from drportal.inventory.discovery import discover
from drportal.inventory.models import VirtualMachine
from drportal.recovery import building
from drportal.recovery.home import networks_at_home
from drportal.recovery.models import RecoveryPlan
from drportal.recovery.presenters import RunPage
from drportal.recovery.preview import preview
from drportal.recovery.services import runs
from drportal.recovery.services.plans import plan_get
from tests.recovery.conftest import Mover, ask
from tests.recovery.test_disaster import told
from tests.stack import wait_until

LOST, GONE, RUNS, OFF = "web-1", "web-2", "web-3", "web-4"


def at_home(mover: Mover, name: str, word: str, state: str | None) -> None:
    """As a person at home's OpenNebula, until it shows."""
    row = VirtualMachine.objects.get(site=mover.pair.a, name=name)
    drivers = site_drivers(mover.pair.a)

    async def act() -> None:
        try:
            await drivers.cloud.vm_action(row.one_id, word)
        finally:
            await drivers.close()

    asyncio.run(act())
    wait_until(f"{name} is {state}", lambda: mover.vm_state("a", name) == state, 30)
    discover(mover.pair.pk)


def refusals(plan: RecoveryPlan) -> dict[str, str]:
    """Code and VM of each blocker -> what it says and what it offers."""
    with pytest.raises(runs.NotReady) as caught:
        ask(plan, RunKind.FAILBACK)
    found = [finding for finding in caught.value.extra["findings"] if finding["severity"] == "block"]
    return {f"{one['code']} {one['subject']}": f"{one['sentence']} {one['remedy']}" for one in found}


@pytest.mark.slow
def test_each_comes_home_as_what_it_is_there_and_none_while_one_runs(mover: Mover) -> None:
    plan = mover.plan(LOST, GONE, RUNS, OFF)
    there = mover.drive(mover.ask(plan))
    assert there.state == RunState.SUCCEEDED, told(there)
    discover(mover.pair.pk)
    assert "No copy of the group has to be fenced" in building.why_not(plan_get(plan.pk).group, RunKind.FENCE)

    at_home(mover, GONE, "terminate", None)
    at_home(mover, RUNS, "resume", "RUNNING")
    mover.lab.fail("a", "vm-lost-sight", vm=LOST, process="kept", host="error")
    discover(mover.pair.pk)
    said = refusals(plan)
    assert "Fence it" in said[f"G-HOME {RUNS}"]
    assert "still hold(s) its images open" in said[f"G-HOME {LOST}"]
    assert not [key for key in said if GONE in key or OFF in key]

    mover.lab.restore("a", "vm-lost-sight")
    mover.lab.fail("a", "vm-lost-sight", vm=LOST, host="error")
    assert "its process may still run" in refusals(plan)[f"G-HOME {LOST}"]
    mover.lab.restore("a", "vm-lost-sight")

    fence = mover.drive(mover.ask(plan, RunKind.FENCE, accept_warnings=True))
    assert fence.state == RunState.SUCCEEDED, told(fence)
    assert mover.vm_state("a", RUNS) == "POWEROFF"
    assert "a failback may be asked for" in RunPage(fence).out().next
    assert not fence.steps.filter(kind="image.measure").exists(), "what follows holds nothing of its own"
    assert {mover.primary(image) for image in mover.images(plan)} == {"b"}
    mover.lab.fail("a", "vm-lost-sight", vm=LOST)
    discover(mover.pair.pk)
    shown = {step.key: step.commands for step in preview(plan_get(plan.pk), RunKind.FAILBACK).steps}
    assert sum("poweroff-hard" in command for commands in shown.values() for command in commands) == 1
    gone = VirtualMachine.objects.get(site=mover.pair.a, name=GONE)
    assert "one.vm.allocate" in shown[f"vm.start:{gone.pk}"][0], "what is shown is what is sent"

    home = mover.drive(mover.ask(plan, RunKind.FAILBACK, accept_warnings=True))
    assert home.state == RunState.SUCCEEDED, told(home)
    assert {mover.vm_state("a", name) for name in (LOST, GONE, RUNS, OFF)} == {"RUNNING"}
    assert {mover.vm_state("b", name) for name in (LOST, GONE, RUNS, OFF)} == {None}
    sent = {step.vm_name for step in home.steps.filter(kind="vm.settle")}
    assert sent == {LOST}
    number, key = gone.one_id, gone.pk
    discover(mover.pair.pk)
    gone = VirtualMachine.objects.get(pk=key)
    assert gone.one_id != number, "made anew, and still the VM that the group names"
    assert gone.gone_at is None


def test_a_vm_that_is_made_anew_at_home_gets_its_networks_by_number_and_else_by_name() -> None:
    definition = (
        "<VM><TEMPLATE><NIC><NETWORK_ID>3</NETWORK_ID><NETWORK>lan</NETWORK></NIC>"
        "<NIC><NETWORK_ID>4</NETWORK_ID><NETWORK>dmz</NETWORK></NIC></TEMPLATE></VM>"
    )
    assert networks_at_home(definition, [(3, "renamed"), (4, "dmz")]) == ({3: 3, 4: 4}, ())
    assert networks_at_home(definition, [(3, "lan"), (9, "dmz")]) == ({3: 3, 4: 9}, ())
    assert networks_at_home(definition, [(3, "lan"), (8, "dmz"), (9, "dmz")]) == ({3: 3}, ("dmz (4)",))


@pytest.mark.django_db
def test_a_vm_that_is_gone_and_was_never_captured_is_refused_with_what_can_be_done(plan: RecoveryPlan) -> None:
    vm = VirtualMachine.objects.get(name="db-1")
    vm.definitions.all().delete()
    group = plan.group
    with pytest.raises(Conflict, match="Run a discovery"):
        building.copy_of_plan(plan, group.home_site, building.peer_site(group))
    VirtualMachine.objects.filter(pk=vm.pk).update(phase="gone", gone_at=vm.read_at)
    with pytest.raises(Conflict, match="Make it there by hand") as caught:
        building.copy_of_plan(plan, building.peer_site(group), group.home_site)
    assert caught.value.code == "no_definition"
