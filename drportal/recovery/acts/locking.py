"""Locks a fenced VM and its images and disables its host, in the OpenNebula of a returned site; and undoes it.

Against mistakes: whoever wants to start the VM there, an administrator too, is refused until somebody takes the lock
away. One step does all of it for a VM, and each time only what is not done yet.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from drportal.drivers.base import Answer
from drportal.drivers.base_cloud import CloudReading, Host, Vm
from drportal.engine.gate_parts import off_remedy
from drportal.recovery.acts.base import Deed, Probe, Task, call_text, conflict, done, not_done
from drportal.recovery.plan_copy import LockedThere
from drportal.recovery.world import World

Call = tuple[str, Callable[[], Awaitable[Answer]]]
LOCK_ALL, ENABLED, DISABLED = 4, 0, 1
HOST_OFF = frozenset({"DISABLED", "MONITORING_DISABLED", "OFFLINE"})
# A VM that still runs is not locked: the lock would keep it from being powered off.
AT_REST = frozenset({"off", "undeployed"})


class Lock:
    only_checks = False

    def patience_s(self, world: World) -> float:
        return world.pace.verify_patience_s

    async def probe(self, world: World, task: Task) -> Probe:
        end = task.end
        located = await world.locate(end, task.vm)
        reading = await end.everything(0.0)
        if located.several:
            return conflict(
                f"{end.name} has several VMs that stand for {task.vm.name}. Nothing was sent.", located.answer
            )
        vm, host, missing = located.vm, None, []
        if vm is not None:
            if vm.phase not in AT_REST:
                return conflict(
                    f"VM {vm.vm_id} at {end.name} is {vm.state_word}. Nothing was sent: a VM that is locked cannot be "
                    f"powered off. {off_remedy(vm.phase, vm.state_word, may_run=False)} Then retry.",
                    located.answer,
                )
            host = _host_of(vm, reading)
            if not vm.locked:
                missing.append(_lock(task, "vm", vm.vm_id))
        for record in _records(task, reading):
            if not record[1]:
                missing.append(_lock(task, "image", record[0]))
        if host is not None and host.state_word not in HOST_OFF:
            missing.append(_switch(task, host.host_id, on=False))
        if missing:
            return not_done(f"{task.vm.name} is not locked whole at {end.name}.", _deed(task, missing), located.answer)
        where = f", host {host.name} is {host.state_word}" if host is not None else ""
        return done(f"{task.vm.name} and its images are locked at {end.name}{where}.", located.answer)


class Unlock:
    """Only what a fence of the portal locked: what somebody else locked stays so."""

    only_checks = False

    def patience_s(self, world: World) -> float:
        return world.pace.verify_patience_s

    async def probe(self, world: World, task: Task) -> Probe:
        there = world.plan.locked.get(task.vm.key, LockedThere())
        reading = await task.end.everything(0.0)
        answer = reading.answers[1]
        vms = {vm.vm_id for vm in reading.vms if vm.locked}
        images = {image.image_id for image in reading.images if image.locked}
        off = {host.host_id for host in reading.hosts if host.state_word in ("DISABLED", "MONITORING_DISABLED")}
        missing = [_unlock(task, "vm", number) for number in there.vms if number in vms]
        missing += [_unlock(task, "image", number) for number in there.images if number in images]
        missing += [_switch(task, number, on=True) for number in there.hosts if number in off]
        if missing:
            return not_done(f"{task.vm.name} is still locked at {task.end.name}.", _deed(task, missing), answer)
        return done(f"Nothing of {task.vm.name} is locked by a fence at {task.end.name} any more.", answer)


def _host_of(vm: Vm, reading: CloudReading) -> Host | None:
    return next((host for host in reading.hosts if host.name == vm.host), None)


def _records(task: Task, reading: CloudReading) -> list[tuple[int, bool]]:
    """Number and lock of each image record on one of the VM's RBD images."""
    sources = {image.source for image in task.vm.images}
    return [(image.image_id, image.locked) for image in reading.images if image.source in sources]


def _lock(task: Task, kind: str, number: int) -> Call:
    return call_text(f"{kind}.lock", number, LOCK_ALL, False), lambda: task.end.cloud.lock(kind, number)


def _unlock(task: Task, kind: str, number: int) -> Call:
    return call_text(f"{kind}.unlock", number), lambda: task.end.cloud.unlock(kind, number)


def _switch(task: Task, host_id: int, *, on: bool) -> Call:
    text = call_text("host.status", host_id, ENABLED if on else DISABLED)
    return text, lambda: task.end.cloud.host_on(host_id, on)


def _deed(task: Task, calls: list[Call]) -> Deed:
    async def send() -> Answer:
        """The first that is refused ends it: the probe finds what is left."""
        answers = [await call() for _, call in calls]
        return answers[-1]

    return Deed("; ".join(text for text, _ in calls), task.end.host, lambda _: send())
