"""What somebody who looks all the time sees of a VM, and what its disks go through meanwhile."""

from __future__ import annotations

import pytest

from drportal.lab.embedded.nebula import faults

from .conftest import Front

RUNNING = (3, 3)
POWEROFF = (8, 0)
DONE = (6, 0)


def new_vm(front: Front, *, hold: bool = False, source: str = "one/one-0") -> int:
    image_id = front.register(source, source.replace("/", "-"))
    text = f"NAME=new\nCPU=0.1\nMEMORY=96\nDISK=[IMAGE_ID={image_id}]\nNIC=[NETWORK_ID=0]\n"
    return front.number("vm.allocate", text, hold)


def clients(front: Front, source: str) -> set[str]:
    return front.storage.images[source].clients


def image_state(front: Front, image_id: int = 0) -> int:
    return front.site.state.images[image_id].state


def test_a_new_vm_goes_through_every_state_to_running(front: Front) -> None:
    assert front.seen(new_vm(front)) == [(1, 0), (3, 0), (3, 1), (3, 2), RUNNING]


def test_a_held_vm_stays_until_it_is_released(front: Front) -> None:
    vm_id = new_vm(front, hold=True)
    assert front.seen(vm_id) == [(2, 0)]
    front.call("vm.action", "release", vm_id)
    assert front.seen(vm_id) == [(1, 0), (3, 0), (3, 1), (3, 2), RUNNING]


def test_an_accepted_poweroff_still_shows_the_old_state_for_a_moment(front: Front) -> None:
    vm_id = front.running()
    assert front.call("vm.action", "poweroff", vm_id) == vm_id
    assert front.shown(vm_id) == RUNNING
    assert front.seen(vm_id) == [RUNNING, (3, 18), POWEROFF]


def test_in_that_moment_a_second_poweroff_is_accepted_and_changes_nothing(front: Front) -> None:
    vm_id = front.running()
    front.call("vm.action", "poweroff", vm_id)
    front.call("vm.action", "poweroff", vm_id)
    assert front.seen(vm_id) == [RUNNING, (3, 18), POWEROFF]


@pytest.mark.parametrize(
    ("action", "path"),
    [
        ("poweroff-hard", [RUNNING, (3, 18), POWEROFF]),
        ("terminate", [RUNNING, (3, 12), (3, 11), DONE]),
        ("terminate-hard", [RUNNING, (3, 12), (3, 11), DONE]),
        ("undeploy", [RUNNING, (3, 29), (3, 30), (9, 0)]),
        ("suspend", [RUNNING, (3, 6), (5, 0)]),
        ("stop", [RUNNING, (3, 5), (3, 10), (4, 0)]),
    ],
)
def test_the_path_of_each_action_on_a_running_vm(front: Front, action: str, path: list[tuple[int, int]]) -> None:
    vm_id = front.running()
    front.call("vm.action", action, vm_id)
    assert front.seen(vm_id) == path


@pytest.mark.parametrize(
    ("first", "second", "path"),
    [
        ("poweroff", "resume", [POWEROFF, (3, 20), RUNNING]),
        ("poweroff", "terminate", [POWEROFF, (3, 11), DONE]),
        ("poweroff", "undeploy", [POWEROFF, (3, 30), (9, 0)]),
        ("suspend", "resume", [(5, 0), (3, 21), RUNNING]),
        ("suspend", "stop", [(5, 0), (3, 10), (4, 0)]),
        ("stop", "resume", [(1, 0), (3, 0), (3, 1), (3, 2), RUNNING]),
        ("undeploy", "resume", [(1, 0), (3, 0), (3, 1), (3, 2), RUNNING]),
        ("undeploy", "terminate", [(9, 0), (3, 11), DONE]),
    ],
)
def test_the_path_from_where_an_action_left_it(
    front: Front, first: str, second: str, path: list[tuple[int, int]]
) -> None:
    vm_id = front.running()
    front.call("vm.action", first, vm_id)
    front.wait()
    front.call("vm.action", second, vm_id)
    assert front.seen(vm_id) == path


# From 7.5.80, measured: 7 states x the actions; what is not listed is refused.
LEGAL = {
    "RUNNING": {"poweroff", "poweroff-hard", "undeploy", "terminate", "terminate-hard", "stop", "suspend"},
    "POWEROFF": {"undeploy", "terminate", "terminate-hard", "resume"},
    "UNDEPLOYED": {"terminate", "terminate-hard", "resume"},
    "STOPPED": {"terminate", "terminate-hard", "resume"},
    "SUSPENDED": {"terminate", "terminate-hard", "resume", "stop"},
    "HOLD": {"terminate", "terminate-hard", "release"},
    "DONE": {"terminate", "terminate-hard"},
}
WAY_THERE = {
    "POWEROFF": "poweroff",
    "UNDEPLOYED": "undeploy",
    "STOPPED": "stop",
    "SUSPENDED": "suspend",
    "DONE": "terminate",
}
ACTIONS = sorted(set().union(*LEGAL.values()) | {"hold"})


@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize("state", sorted(LEGAL))
def test_what_is_legal_in_which_state(front: Front, state: str, action: str) -> None:
    vm_id = new_vm(front, hold=True) if state == "HOLD" else front.running()
    if state in WAY_THERE:
        front.call("vm.action", WAY_THERE[state], vm_id)
        front.wait()
    assert front.vm(vm_id).state_name == state
    if action in LEGAL[state]:
        assert front.call("vm.action", action, vm_id) == vm_id
    else:
        code, text = front.refused("vm.action", action, vm_id)
        assert code == 0x800
        assert text.endswith(f'"{action}": This action is not available for state {state}')


def test_a_guest_that_ignores_shutdown_runs_on_and_leaves_no_error(front: Front) -> None:
    vm_id = front.running()
    front.site.state.faults.set(faults.IGNORES_SHUTDOWN, vm="web-1", times=1)
    front.call("vm.action", "poweroff", vm_id)
    assert front.seen(vm_id) == [RUNNING, (3, 18), RUNNING]
    vm = front.vm(vm_id)
    assert "ERROR" not in vm.user_template
    assert (vm.history[-1].action, vm.history[-1].request_id) == (0, -1)
    assert clients(front, "one/web-1-0") == {f"vm-{vm_id}"}
    front.call("vm.action", "poweroff", vm_id)
    assert front.seen(vm_id)[-1] == POWEROFF


def test_a_guest_that_hangs_in_shutdown_needs_the_hard_action(front: Front) -> None:
    vm_id = front.running()
    front.site.state.faults.set(faults.HANGS_IN_SHUTDOWN, vm=str(vm_id))
    front.call("vm.action", "poweroff", vm_id)
    front.wait(3600)
    assert front.shown(vm_id) == (3, 18)
    assert front.refused("vm.action", "poweroff", vm_id)[0] == 0x800
    front.call("vm.action", "poweroff-hard", vm_id)
    assert front.seen(vm_id)[-1] == POWEROFF


def test_a_powered_off_vm_remembers_who_did_it(front: Front) -> None:
    vm_id = front.running()
    front.call("vm.action", "poweroff", vm_id, user="dr-portal")
    front.wait()
    record = front.vm(vm_id).history[-1]
    assert (record.action, record.uid, record.gid) == (19, 2, 0)
    assert record.request_id >= 0
    assert record.retime > 0


def test_a_resumed_vm_has_a_new_history_record(front: Front) -> None:
    vm_id = front.running()
    for action in ("poweroff", "resume"):
        front.call("vm.action", action, vm_id)
        front.wait()
    old, new = front.vm(vm_id).history
    assert (old.action, new.action, new.seq) == (19, 0, 1)
    assert old.etime > 0
    assert new.tm_mad == "ceph"


def test_disks_are_open_from_boot_until_the_power_is_off(front: Front) -> None:
    vm_id = new_vm(front)
    assert clients(front, "one/one-0") == set()
    front.wait(front.timings.schedule_s + front.timings.dispatch_s + front.timings.prolog_s + 0.1)
    assert front.shown(vm_id) == (3, 2)
    assert clients(front, "one/one-0") == {f"vm-{vm_id}"}
    front.wait()
    front.call("vm.action", "poweroff", vm_id)
    front.wait(front.timings.stale_s + front.timings.shutdown_s / 2)
    assert front.shown(vm_id) == (3, 18)
    assert clients(front, "one/one-0") == {f"vm-{vm_id}"}
    front.wait()
    assert clients(front, "one/one-0") == set()


def test_a_persistent_image_is_held_from_allocation_until_the_vm_is_done(front: Front) -> None:
    vm_id = new_vm(front, hold=True)
    assert image_state(front) == 8
    front.call("vm.action", "release", vm_id)
    front.wait()
    front.call("vm.action", "poweroff", vm_id)
    front.wait()
    assert image_state(front) == 8
    front.call("vm.action", "terminate", vm_id)
    front.wait()
    image = front.site.state.images[0]
    assert (image.state, image.source, image.vms) == (1, "one/one-0", set())
    assert front.storage.exists("one/one-0")


def test_clones_and_volatile_disks_are_made_and_die_with_the_vm(front: Front) -> None:
    image_id = front.register("one/one-0", "base", persistent="NO")
    text = f"NAME=c\nCPU=1\nMEMORY=96\nDISK=[IMAGE_ID={image_id}]\nDISK=[TYPE=fs,SIZE=64,FORMAT=raw]\n"
    vm_id = front.number("vm.allocate", text)
    front.wait()
    assert set(front.storage.images) == {"one/one-0", f"one/one-0-{vm_id}-0", f"one/one-sys-{vm_id}-1"}
    front.call("vm.action", "poweroff", vm_id)
    front.wait()
    assert f"one/one-0-{vm_id}-0" in front.storage.images
    front.call("vm.action", "terminate", vm_id)
    front.wait()
    assert set(front.storage.images) == {"one/one-0"}


def test_a_vm_on_a_non_primary_image_is_shown_running_all_the_same(front: Front) -> None:
    vm_id = new_vm(front)
    front.storage.images["one/one-0"].primary = False
    assert front.seen(vm_id)[-1] == RUNNING


def test_a_missing_source_ends_in_prolog_failure_without_a_text(front: Front) -> None:
    vm_id = new_vm(front)
    del front.storage.images["one/one-0"]
    assert front.seen(vm_id) == [(1, 0), (3, 0), (3, 1), (3, 39)]
    assert "ERROR" not in front.vm(vm_id).user_template


def test_a_vm_that_ends_out_of_a_failure_leaves_its_image_in_error(front: Front) -> None:
    vm_id = new_vm(front)
    front.site.state.faults.set(faults.PROLOG_FAILS, times=1)
    front.wait()
    front.call("vm.action", "terminate", vm_id)
    assert front.seen(vm_id) == [(3, 39), (3, 23), DONE]
    assert image_state(front) == 5
    code, text = front.refused("vm.allocate", "NAME=again\nCPU=1\nMEMORY=96\nDISK=[IMAGE_ID=0]\n")
    assert (code, text) == (0x2000, "[one.vm.allocate] DISK 0: Cannot acquire image 0, it is in state: ERROR")
    front.call("image.enable", 0, True)
    assert image_state(front) == 1


def test_recover_retry_goes_on_where_the_prolog_failed(front: Front) -> None:
    vm_id = new_vm(front)
    front.site.state.faults.set(faults.PROLOG_FAILS, times=1)
    front.wait()
    front.call("vm.recover", vm_id, 2)
    assert front.seen(vm_id) == [(3, 1), (3, 2), RUNNING]


def test_recover_delete_of_a_running_vm_leaves_its_image_in_error(front: Front) -> None:
    vm_id = new_vm(front)
    front.wait()
    front.call("vm.recover", vm_id, 3)
    assert front.seen(vm_id)[-1] == DONE
    assert image_state(front) == 5
    assert clients(front, "one/one-0") == set()


def test_recover_of_a_vm_that_needs_none_is_refused(front: Front) -> None:
    assert front.refused("vm.recover", front.running(), 2)[0] == 0x800


def test_a_boot_that_fails(front: Front) -> None:
    vm_id = new_vm(front)
    front.site.state.faults.set(faults.BOOT_FAILS, times=1)
    assert front.seen(vm_id)[-1] == (3, 36)
    assert ": DEPLOY: " in front.vm(vm_id).user_template.text("ERROR")
    assert clients(front, "one/one-0") == set()


def test_a_resume_that_fails_falls_back_to_poweroff_with_a_text(front: Front) -> None:
    vm_id = front.running()
    front.call("vm.action", "poweroff", vm_id)
    front.wait()
    front.site.state.faults.set(faults.BOOT_FAILS, vm=str(vm_id), times=1)
    front.call("vm.action", "resume", vm_id)
    assert front.seen(vm_id) == [POWEROFF, (3, 20), POWEROFF]
    assert ": DEPLOY: " in front.vm(vm_id).user_template.text("ERROR")


def test_terminate_of_a_done_vm_succeeds_and_does_nothing(front: Front) -> None:
    vm_id = front.running()
    front.call("vm.action", "terminate", vm_id)
    front.wait()
    etime = front.vm(vm_id).etime
    assert front.call("vm.action", "terminate", vm_id) == vm_id
    front.wait()
    assert front.vm(vm_id).etime == etime


def test_a_done_vm_gives_its_address_back_and_is_left_out_of_the_pool(front: Front) -> None:
    vm_id = front.running()
    front.call("vm.action", "terminate", vm_id)
    front.wait()
    assert front.site.state.networks[0].vms == []
    assert front.call("vmpool.info", -2, -1, -1, -1) == "<VM_POOL></VM_POOL>"
    assert f"<ID>{vm_id}</ID>" in str(front.call("vmpool.info", -2, -1, -1, -2))


def test_two_vms_may_have_one_name(front: Front) -> None:
    text = "NAME=same\nCPU=0.1\nMEMORY=96\n"
    assert front.number("vm.allocate", text) != front.number("vm.allocate", text)


def test_a_clock_that_jumps_gives_the_same_end_as_one_that_ticks(front: Front) -> None:
    vm_id = new_vm(front)
    front.wait(3600)
    record = front.vm(vm_id).history[-1]
    assert front.shown(vm_id) == RUNNING
    assert record.rstime - record.stime < 5


def test_after_a_power_cut_the_vms_are_off_and_their_disks_closed(front: Front) -> None:
    vm_id = front.running()
    front.site.cut_power()
    assert front.shown(vm_id) == POWEROFF
    assert clients(front, "one/web-1-0") == set()


def test_a_disk_that_cannot_be_opened_ends_in_boot_failure_also_when_an_admin_says_it_runs(front: Front) -> None:
    vm_id = new_vm(front)
    front.wait(front.timings.schedule_s + front.timings.dispatch_s + front.timings.prolog_s - 0.1)
    assert front.shown(vm_id) == (3, 1)
    del front.storage.images["one/one-0"]
    for operation in (1, 2, 1):  # the PROLOG is done; boot again; it has booted
        front.call("vm.recover", vm_id, operation)
        assert front.seen(vm_id)[-1] == (3, 36)
        assert "No such file or directory" in front.vm(vm_id).user_template.text("ERROR")


def test_what_is_taken_at_a_host_is_what_its_vms_need_at_each_turn_of_their_lives(front: Front) -> None:
    def as_added_up() -> dict[int, tuple[list[int], int, int]]:
        state = front.site.state
        at = {host: [vm for vm in state.vms.values() if vm.host_id == host] for host in state.hosts}
        return {
            host: (sorted(vm.id for vm in vms), sum(vm.cpu for vm in vms), sum(vm.memory_kb for vm in vms))
            for host, vms in at.items()
        }

    def as_kept() -> dict[int, tuple[list[int], int, int]]:
        found = {host: front.site.state.placed(host) for host in front.site.state.hosts}
        return {host: (sorted(taken.needs), taken.cpu, taken.memory_kb) for host, taken in found.items()}

    vms = [front.number("vm.allocate", f"NAME=v{number}\nCPU=0.{number}\nMEMORY=96\n") for number in range(1, 6)]
    for action in (None, "poweroff", "undeploy", "resume", "terminate-hard"):
        for vm_id in vms[:2] if action == "terminate-hard" else vms[::2] if action else ():
            front.call("vm.action", action, vm_id)
        assert as_kept() == as_added_up()
        front.wait()
        assert as_kept() == as_added_up(), action
    assert sum(len(vm_ids) for vm_ids, _, _ in as_kept().values()) == 3


async def test_a_vm_that_is_lost_sight_of_is_unknown_with_or_without_a_process(front: Front) -> None:
    vm_id = front.running("web-1")
    host = front.site.state.hosts[front.vm(vm_id).history[-1].host_id]
    await front.site.fail(faults.LOST_SIGHT, vm="web-1", process="kept", host="error")
    assert (front.shown(vm_id), clients(front, "one/web-1-0"), host.state) == ((3, 16), {f"vm-{vm_id}"}, 3)
    await front.site.restore(faults.LOST_SIGHT)
    assert host.state == 2
    await front.site.fail(faults.LOST_SIGHT, vm="web-1")
    assert (front.shown(vm_id), clients(front, "one/web-1-0")) == ((3, 16), set())
    front.call("vm.action", "poweroff-hard", vm_id)
    assert front.seen(vm_id)[-1] == POWEROFF
    with pytest.raises(ValueError, match="process is"):
        await front.site.fail(faults.LOST_SIGHT, vm="web-1", process="half")


def test_a_disabled_host_takes_no_new_vm_and_keeps_those_it_has(front: Front) -> None:
    old = front.running()
    for host_id in front.site.state.hosts:
        assert front.number("host.status", host_id, 1) == host_id
    new = new_vm(front)
    front.wait()
    assert (front.shown(old), front.shown(new)) == (RUNNING, (1, 0))
    for host_id in front.site.state.hosts:
        front.call("host.status", host_id, 0)
    front.wait()
    assert front.shown(new) == RUNNING
    assert front.refused("host.status", 0, 9)[0] == 0x2000
    assert front.refused("host.status", 0, 1, user="dr-portal-plain")[0] == 0x200
