"""The life of a VM: which action is legal when, and the states it goes through.

Sequences and refusals as measured on 7.5.80. A path is a generator that enters states and yields how long each lasts;
a newer path for the same VM replaces the older one.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Final

from drportal.lab.embedded.storage import StorageError

from . import faults, vms
from .agenda import Path
from .definition import place_volatile_disks, release
from .errors import ACTION, NebulaError
from .placement import Place, Unplaceable, find_place
from .state import State
from .users import User
from .vms import ACTION_CODES, ACTIVE, FAILURES, RUNNING, UNKNOWN, History, VirtualMachine

ACTIONS: Final = frozenset(ACTION_CODES) | {"reboot", "reboot-hard"}


def is_legal(vm: VirtualMachine, action: str) -> bool:
    lcm = vm.lcm_state if vm.state == ACTIVE else None
    up = lcm in (RUNNING, UNKNOWN)
    asleep = vm.state in (vms.SUSPENDED, vms.POWEROFF, vms.STOPPED, vms.UNDEPLOYED)
    waiting = vm.state in (vms.PENDING, vms.HOLD)
    table: dict[str, bool] = {
        "poweroff": up,
        "poweroff-hard": up or lcm == vms.SHUTDOWN_POWEROFF,
        "resume": asleep or lcm == UNKNOWN,
        "undeploy": up or vm.state == vms.POWEROFF,
        "undeploy-hard": up or vm.state == vms.POWEROFF or lcm == vms.SHUTDOWN_UNDEPLOY,
        "terminate": up or asleep or waiting or vm.state == vms.DONE or lcm in FAILURES,
        "terminate-hard": up or asleep or waiting or vm.state == vms.DONE or lcm in FAILURES or lcm == vms.SHUTDOWN,
        "hold": vm.state == vms.PENDING,
        "release": vm.state == vms.HOLD,
        "stop": lcm == RUNNING or vm.state == vms.SUSPENDED,
        "suspend": lcm == RUNNING,
        "reboot": lcm == RUNNING,
        "reboot-hard": lcm == RUNNING,
    }
    return table[action]


class Lifecycle:
    def __init__(self, state: State) -> None:
        self._state = state
        self._paths: dict[int, Path] = {}

    # --- what the calls use

    def act(self, user: User, vm: VirtualMachine, action: str) -> None:
        """one.vm.action after the rights were checked. Most actions start a moment after they were accepted."""
        if action not in ACTIONS:
            raise NebulaError(ACTION, f'Action "{action}" is not supported')
        if not is_legal(vm, action):
            reason = f"This action is not available for state {vm.state_name}"
            if action.startswith("terminate"):
                reason = f"Could not terminate VM {vm.id}, wrong state {vm.state_name}."
            raise NebulaError(ACTION, f'Error performing action "{action}": {reason}')
        if vm.state == vms.DONE or action.startswith("reboot"):
            return
        if vm.state in (vms.PENDING, vms.HOLD):
            self._act_on_waiting(vm, action)
        elif action == "resume" and vm.state in (vms.STOPPED, vms.UNDEPLOYED):
            self.make_pending(vm)
        else:
            self._state.agenda.after(self._state.timings.stale_s, lambda: self._begin(user, vm, action))

    def make_pending(self, vm: VirtualMachine) -> None:
        vm.enter(vms.PENDING)
        self._run(vm, self._wait_for_place(vm))

    def deploy(self, vm: VirtualMachine, place: Place) -> None:
        self._run(vm, self._deploy(vm, place))

    def recover(self, vm: VirtualMachine, operation: int) -> None:
        """one.vm.recover: 0 failure, 1 success, 2 retry, 3 delete, 4 delete and recreate, 5 delete from database."""
        path = self._recovery(vm, operation)
        if path is None:
            raise NebulaError(ACTION, f"Recover action is not available for state {vm.state_name}")
        self._run(vm, path)

    def lose_sight(self, vm: VirtualMachine, *, process_kept: bool) -> None:
        """What its hypervisor would say of it is not heard any more, or is that it has no such process."""
        self._paths.pop(vm.id, None)
        if process_kept:
            self._open_disks(vm)
        else:
            self._close_disks(vm)
        vm.enter(ACTIVE, UNKNOWN)

    def start_running(self, vm: VirtualMachine, place: Place) -> None:
        """For VMs that are there from the beginning: placed, disks open, RUNNING."""
        now = int(self._state.now)
        self._place(vm, place)
        record = vm.history[-1]
        record.pstime = record.petime = record.rstime = now
        self._open_disks(vm)
        self._is_running(vm)

    # --- starting paths

    def _act_on_waiting(self, vm: VirtualMachine, action: str) -> None:
        if action == "release":
            self.make_pending(vm)
            return
        self._paths.pop(vm.id, None)
        if action == "hold":
            vm.enter(vms.HOLD)
        else:
            self._end(vm, failed=False)

    def _begin(self, user: User, vm: VirtualMachine, action: str) -> None:
        if not is_legal(vm, action) or vm.state == vms.DONE:
            return  # another action came first; the server logs it and forgets it
        if vm.state == ACTIVE and vm.lcm_state in FAILURES:
            self._run(vm, self._clean_up(vm))
            return
        paths: dict[str, Callable[[], Path]] = {
            "poweroff": lambda: self._power_off(vm, hard=False),
            "poweroff-hard": lambda: self._power_off(vm, hard=True),
            "resume": lambda: self._resume(vm),
            "undeploy": lambda: self._undeploy(vm, hard=False),
            "undeploy-hard": lambda: self._undeploy(vm, hard=True),
            "terminate": lambda: self._terminate(vm, hard=False),
            "terminate-hard": lambda: self._terminate(vm, hard=True),
            "stop": lambda: self._stop(vm),
            "suspend": lambda: self._suspend(vm),
        }
        if action == "resume":
            self._new_record_at_same_place(vm)
        if vm.history:
            vm.history[-1].set_action(ACTION_CODES[action], user.id, user.gid, self._state.request_id())
        self._run(vm, paths[action]())

    def _run(self, vm: VirtualMachine, path: Path) -> None:
        self._paths[vm.id] = path
        self._step(vm, path)

    def _step(self, vm: VirtualMachine, path: Path) -> None:
        if self._paths.get(vm.id) is not path:
            return
        try:
            delay_s = next(path)
        except StopIteration:
            if self._paths.get(vm.id) is path:
                del self._paths[vm.id]
            return
        self._state.agenda.after(delay_s, lambda: self._step(vm, path))

    def _recovery(self, vm: VirtualMachine, operation: int) -> Path | None:
        lcm = vm.lcm_state if vm.state == ACTIVE else None
        if operation in (3, 4, 5) and vm.state != vms.DONE:
            return self._clean_up(vm, recreate=operation == 4)
        failure: dict[int | None, Callable[[], Path]] = {
            vms.PROLOG: lambda: self._enter_once(vm, vms.PROLOG_FAILURE),
            vms.BOOT: lambda: self._enter_once(vm, vms.BOOT_FAILURE),
            vms.SHUTDOWN: lambda: self._enter_once(vm, RUNNING),
            vms.SHUTDOWN_POWEROFF: lambda: self._enter_once(vm, RUNNING),
            vms.EPILOG: lambda: self._enter_once(vm, vms.EPILOG_FAILURE),
        }
        success: dict[int | None, Callable[[], Path]] = {
            vms.PROLOG: lambda: self._boot(vm, vms.BOOT),
            vms.PROLOG_FAILURE: lambda: self._boot(vm, vms.BOOT),
            vms.BOOT: lambda: self._booted(vm),
            vms.BOOT_FAILURE: lambda: self._booted(vm),
            vms.SHUTDOWN_POWEROFF: lambda: self._powered_off(vm),
            vms.SHUTDOWN: lambda: self._epilog(vm),
            vms.EPILOG: lambda: self._ended(vm),
            vms.EPILOG_FAILURE: lambda: self._ended(vm),
        }
        retry: dict[int | None, Callable[[], Path]] = {
            vms.PROLOG_FAILURE: lambda: self._prolog(vm),
            vms.BOOT_FAILURE: lambda: self._boot(vm, vms.BOOT),
            vms.EPILOG_FAILURE: lambda: self._epilog(vm),
        }
        chosen = {0: failure, 1: success, 2: retry}.get(operation, {}).get(lcm)
        return chosen() if chosen else None

    # --- paths

    def _wait_for_place(self, vm: VirtualMachine) -> Path:
        yield self._state.timings.schedule_s
        while True:
            if not self._state.faults.has(faults.SCHEDULER_STOPPED):
                try:
                    place = find_place(self._state, vm)
                except Unplaceable as reason:
                    vm.user_template.put("SCHED_MESSAGE", f"{self._state.stamp()}: {reason}")
                else:
                    if place.datastore.tm_mad == "ceph" or not vm.template.vectors("DISK"):
                        break
                    text = f"[deploy] Image Datastore does not support transfer mode: {place.datastore.tm_mad}"
                    vm.user_template.put("ERROR", f"{self._state.stamp()}: {text}")
                vm.changed()
            yield self._state.timings.retry_s
        vm.user_template.put("SCHED_MESSAGE")
        yield from self._deploy(vm, place)

    def _deploy(self, vm: VirtualMachine, place: Place) -> Path:
        first_time = not vm.history
        self._place(vm, place)
        vm.enter(ACTIVE, vms.LCM_INIT)
        yield self._state.timings.dispatch_s
        yield from self._prolog(vm, make_disks=first_time)

    def _prolog(self, vm: VirtualMachine, *, make_disks: bool = True) -> Path:
        vm.history[-1].pstime = int(self._state.now)
        vm.enter(ACTIVE, vms.PROLOG)
        yield self._state.timings.prolog_s
        if self._fault_hits(vm, faults.PROLOG_FAILS) or not self._transfer(vm, make_disks=make_disks):
            # No text anywhere but in the VM's log, as measured.
            vm.enter(ACTIVE, vms.PROLOG_FAILURE)
            return
        vm.history[-1].petime = int(self._state.now)
        yield from self._boot(vm, vms.BOOT)

    def _boot(self, vm: VirtualMachine, lcm_state: int) -> Path:
        vm.history[-1].rstime = int(self._state.now)
        vm.enter(ACTIVE, lcm_state)
        error = self._try_to_open_disks(vm)
        yield self._state.timings.boot_s
        if self._fault_hits(vm, faults.BOOT_FAILS):
            error = f"one-{vm.id}"
        if not error:
            self._is_running(vm)
            return
        self._not_booted(vm, error)
        back = {vms.BOOT_POWEROFF: (vms.POWEROFF, 0), vms.BOOT_SUSPENDED: (vms.SUSPENDED, 0)}
        vm.enter(*back.get(lcm_state, (ACTIVE, vms.BOOT_FAILURE)))

    def _booted(self, vm: VirtualMachine) -> Path:
        """An administrator says that the VM runs (recover success); its disks have to be there all the same."""
        if error := self._try_to_open_disks(vm):
            self._not_booted(vm, error)
            vm.enter(ACTIVE, vms.BOOT_FAILURE)
        else:
            self._is_running(vm)
        yield 0.0

    def _resume(self, vm: VirtualMachine) -> Path:
        states = {vms.SUSPENDED: vms.BOOT_SUSPENDED, vms.POWEROFF: vms.BOOT_POWEROFF}
        yield from self._boot(vm, states.get(vm.state, vms.BOOT_UNKNOWN))

    def _power_off(self, vm: VirtualMachine, *, hard: bool) -> Path:
        if not (yield from self._shut_down(vm, vms.SHUTDOWN_POWEROFF, hard=hard)):
            return
        yield from self._powered_off(vm)

    def _powered_off(self, vm: VirtualMachine) -> Path:
        self._stop_running(vm)
        vm.enter(vms.POWEROFF)
        yield 0.0

    def _terminate(self, vm: VirtualMachine, *, hard: bool) -> Path:
        running = vm.state == ACTIVE
        if running and not (yield from self._shut_down(vm, vms.SHUTDOWN, hard=hard)):
            return
        yield from self._epilog(vm)

    def _epilog(self, vm: VirtualMachine) -> Path:
        self._stop_running(vm)
        if vm.history:
            vm.history[-1].estime = int(self._state.now)
        vm.enter(ACTIVE, vms.EPILOG)
        yield self._state.timings.epilog_s
        yield from self._ended(vm)

    def _ended(self, vm: VirtualMachine) -> Path:
        self._end(vm, failed=False)
        yield 0.0

    def _undeploy(self, vm: VirtualMachine, *, hard: bool) -> Path:
        if vm.state == ACTIVE and not (yield from self._shut_down(vm, vms.SHUTDOWN_UNDEPLOY, hard=hard)):
            return
        yield from self._store(vm, vms.EPILOG_UNDEPLOY, vms.UNDEPLOYED)

    def _suspend(self, vm: VirtualMachine) -> Path:
        vm.enter(ACTIVE, vms.SAVE_SUSPEND)
        yield self._state.timings.save_s
        self._stop_running(vm)
        vm.enter(vms.SUSPENDED)

    def _stop(self, vm: VirtualMachine) -> Path:
        if vm.state == ACTIVE:
            vm.enter(ACTIVE, vms.SAVE_STOP)
            yield self._state.timings.save_s
        yield from self._store(vm, vms.EPILOG_STOP, vms.STOPPED)

    def _store(self, vm: VirtualMachine, lcm_state: int, state: int) -> Path:
        self._stop_running(vm)
        vm.enter(ACTIVE, lcm_state)
        yield self._state.timings.epilog_s
        vm.history[-1].etime = int(self._state.now)
        vm.enter(state)

    def _clean_up(self, vm: VirtualMachine, *, recreate: bool = False) -> Path:
        """Out of a failure, or by recover: persistent images end in ERROR and clones stay in the pool (measured)."""
        if vm.state == ACTIVE:
            vm.enter(ACTIVE, vms.CLEANUP_DELETE)
            yield self._state.timings.epilog_s
        if recreate:
            self._close_disks(vm)
            vm.enter(vms.PENDING)
            yield from self._wait_for_place(vm)
        else:
            self._end(vm, failed=True)

    def _enter_once(self, vm: VirtualMachine, lcm_state: int) -> Path:
        vm.history[-1].clear_action()
        vm.enter(ACTIVE, lcm_state)
        yield 0.0

    def _shut_down(self, vm: VirtualMachine, lcm_state: int, *, hard: bool) -> Generator[float, None, bool]:
        """Returns whether the guest went down. A refused shutdown leaves no error text anywhere (measured)."""
        timings = self._state.timings
        vm.enter(ACTIVE, lcm_state)
        if hard:
            yield timings.hard_s
            return True
        if self._fault_hits(vm, faults.IGNORES_SHUTDOWN):
            yield timings.refusal_s
            vm.history[-1].clear_action()
            vm.enter(ACTIVE, RUNNING)
            return False
        if self._fault_hits(vm, faults.HANGS_IN_SHUTDOWN):
            while True:
                yield timings.retry_s
        yield timings.shutdown_s
        return True

    # --- effects

    def _fault_hits(self, vm: VirtualMachine, name: str) -> bool:
        return self._state.faults.takes_vm(name, vm.id, vm.name)

    def _place(self, vm: VirtualMachine, place: Place) -> None:
        self._new_record(vm, place)
        place_volatile_disks(self._state, vm, place.datastore.id)
        if "TM_MAD_SYSTEM" not in vm.template:
            vm.template.put("TM_MAD_SYSTEM", place.datastore.tm_mad)

    def _new_record(self, vm: VirtualMachine, place: Place) -> None:
        now = int(self._state.now)
        if vm.history and not vm.history[-1].etime:
            vm.history[-1].etime = now
        host = place.host
        vm.history.append(
            History(vm.id, len(vm.history), host.name, host.id, place.datastore.id, now, place.datastore.tm_mad)
        )

    def _new_record_at_same_place(self, vm: VirtualMachine) -> None:
        last = vm.history[-1]
        place = Place(self._state.hosts[last.host_id], self._state.datastores[last.ds_id])
        self._new_record(vm, place)

    def _transfer(self, vm: VirtualMachine, *, make_disks: bool) -> bool:
        """PROLOG: every source must exist; clones and volatile disks are made. Nothing looks whether it is primary."""
        storage = self._state.storage
        for image, disk in vm.rbd_images():
            source = disk.get("SOURCE")
            if source and not storage.exists(source):
                return False
            if image == source or not make_disks:
                continue
            try:
                if not storage.exists(image):
                    storage.create(image, int(disk["SIZE"]) * 1024 * 1024)
            except StorageError:
                return False
        return True

    def _open_disks(self, vm: VirtualMachine) -> None:
        for image, _ in vm.rbd_images():
            self._state.storage.attach(image, vm.client)

    def _try_to_open_disks(self, vm: VirtualMachine) -> str:
        """Why not; "" when they are open."""
        try:
            self._open_disks(vm)
        except StorageError as reason:
            return str(reason)
        return ""

    def _not_booted(self, vm: VirtualMachine, error: str) -> None:
        self._close_disks(vm)
        vm.history[-1].retime = int(self._state.now)
        vm.user_template.put("ERROR", f"{self._state.stamp()}: DEPLOY: {error}")

    def _close_disks(self, vm: VirtualMachine) -> None:
        for image, _ in vm.rbd_images():
            self._state.storage.detach(image, vm.client)

    def _is_running(self, vm: VirtualMachine) -> None:
        vm.deploy_id = f"one-{vm.id}"
        vm.last_poll = int(self._state.now)
        vm.history[-1].clear_action()
        for graphics in vm.template.vectors("GRAPHICS"):
            graphics.setdefault("PORT", str(5900 + vm.id))
        vm.enter(ACTIVE, RUNNING)

    def _stop_running(self, vm: VirtualMachine) -> None:
        self._close_disks(vm)
        if vm.history and not vm.history[-1].retime:
            vm.history[-1].retime = int(self._state.now)

    def _end(self, vm: VirtualMachine, *, failed: bool) -> None:
        now = int(self._state.now)
        self._close_disks(vm)
        if not failed:
            self._remove_own_disks(vm)
        release(self._state, vm.id, failed=failed)
        if vm.history:
            record = vm.history[-1]
            record.retime, record.estime = record.retime or now, record.estime or now
            record.eetime = record.etime = now
        for graphics in vm.template.vectors("GRAPHICS"):
            graphics.pop("PORT", None)
        vm.etime = now
        vm.enter(vms.DONE)

    def _remove_own_disks(self, vm: VirtualMachine) -> None:
        """Clones and volatile disks die with the VM; persistent ones do not."""
        for image, disk in vm.rbd_images():
            if image != disk.get("SOURCE") and self._state.storage.exists(image):
                try:
                    self._state.storage.remove(image)
                except StorageError:
                    continue  # the driver logs it and the VM ends all the same
