"""Acts on VMs.

A VM is found by its home id at home and by the portal's marker elsewhere; names are not unique in OpenNebula.
"""

from __future__ import annotations

import asyncio

from drportal.drivers.base import Answer
from drportal.drivers.base_cloud import Vm
from drportal.drivers.opennebula_templates import TemplateError, vm_template
from drportal.engine.gate_parts import off_remedy
from drportal.engine.home_gates import LOST_SIGHT
from drportal.recovery.acts.base import Deed, Probe, Task, call_text, cannot_tell, conflict, done, not_done
from drportal.recovery.home import named, networks_at_home
from drportal.recovery.world import Located, SiteEnd, World

SETTLED_OFF = frozenset({"off", "undeployed"})


class _VmAct:
    only_checks = False

    def patience_s(self, world: World) -> float:
        return world.pace.vm_patience_s

    async def probe(self, world: World, task: Task) -> Probe:
        located = await world.locate(task.end, task.vm)
        if located.several:
            ids = ", ".join(map(str, located.several))
            return conflict(
                f"{task.end.name} has several VMs that stand for {task.vm.name} ({ids}). Nothing was sent. Leave one.",
                located.answer,
            )
        probe = await self.judge(world, task, located)
        if located.vm is not None and located.vm.locked and probe.deed is not None:
            return conflict(
                f"VM {located.vm.vm_id} at {task.end.name} is locked. Nothing was sent. Unlock it in OpenNebula.",
                located.answer,
            )
        return probe

    async def judge(self, world: World, task: Task, located: Located) -> Probe:
        raise NotImplementedError


class Check:
    """Nothing is sent: the step is its gates."""

    only_checks = True

    def patience_s(self, world: World) -> float:
        return 0.0

    async def probe(self, world: World, task: Task) -> Probe:
        located = await world.locate(task.end, task.vm)
        if located.vm is None:
            return conflict(
                f"{task.end.name} has no VM that stands for {task.vm.name}. Discover again, and look at the plan.",
                located.answer,
            )
        if located.vm.phase == "stuck":
            return conflict(
                f"VM {located.vm.vm_id} at {task.end.name} is {located.vm.state_word}. Repair it in OpenNebula first.",
                located.answer,
            )
        return not_done(f"VM {located.vm.vm_id} at {task.end.name} is {located.vm.state_word}.", None, located.answer)


class PowerOff(_VmAct):
    may_run = True  # where its group runs

    async def judge(self, world: World, task: Task, located: Located) -> Probe:
        vm, answer, site = located.vm, located.answer, task.end.name
        if vm is None:
            return conflict(
                f"{site} has no VM that stands for {task.vm.name}. Nothing was sent. Discover again.", answer
            )
        if vm.phase in SETTLED_OFF:
            return done(f"VM {vm.vm_id} at {site} is {vm.state_word}.", answer)
        if vm.phase == "running":
            return not_done(f"VM {vm.vm_id} at {site} is running.", action(task.end, vm, "poweroff"), answer)
        if vm.phase == "moving":
            return cannot_tell(f"VM {vm.vm_id} at {site} is {vm.state_word}, on its way to another state.", answer)
        remedy = off_remedy(vm.phase, vm.state_word, may_run=self.may_run)
        return conflict(
            f"VM {vm.vm_id} at {site} is {vm.state_word}: it is neither running nor powered off. Nothing was sent. "
            f"{remedy}",
            answer,
        )


class Settle(_VmAct):
    """A VM at home of which OpenNebula has lost sight, and of which G-HOME has seen that it has no process. Powered off
    hard: there is no guest that could be asked."""

    async def judge(self, world: World, task: Task, located: Located) -> Probe:
        vm, answer, site = located.vm, located.answer, task.end.name
        if vm is None:
            return done(f"{site} has no VM that stands for {task.vm.name}: it is made anew.", answer)
        if vm.phase in SETTLED_OFF:
            return done(f"VM {vm.vm_id} at {site} is {vm.state_word}.", answer)
        if vm.state_word == LOST_SIGHT:
            return not_done(f"VM {vm.vm_id} at {site} is UNKNOWN.", action(task.end, vm, "poweroff-hard"), answer)
        if vm.phase == "moving":
            return cannot_tell(f"VM {vm.vm_id} at {site} is {vm.state_word}, on its way to another state.", answer)
        return conflict(
            f"VM {vm.vm_id} at {site} is {vm.state_word}. Nothing was sent, and nothing goes home like this. "
            f"{off_remedy(vm.phase, vm.state_word, may_run=False)}",
            answer,
        )


class ResumeHere(_VmAct):
    """The way back: the VM at the site it was about to leave."""

    async def judge(self, world: World, task: Task, located: Located) -> Probe:
        if located.vm is None:
            return conflict(
                f"{task.end.name} has no VM that stands for {task.vm.name}. Nothing was sent.", located.answer
            )
        return _towards_running(task, located.vm, located.answer)


class Start(_VmAct):
    """Resume what is there (the old VM at home, an earlier copy elsewhere), or create it from the captured
    definition.
    """

    async def judge(self, world: World, task: Task, located: Located) -> Probe:
        if located.vm is not None:
            return _towards_running(task, located.vm, located.answer)
        try:
            template = await self._template(world, task)
        except TemplateError as error:
            return conflict(
                f"{error} Nothing was sent. Complete the plan or the definition, then retry.", located.answer
            )
        deed = Deed(call_text("vm.allocate", template, False), task.end.host, lambda _: _allocated(task.end, template))
        return not_done(f"{task.end.name} has no VM that stands for {task.vm.name} yet.", deed, located.answer)

    async def _template(self, world: World, task: Task) -> str:
        found = await asyncio.gather(*(task.end.image_records(image, 0.0) for image in task.vm.images))
        image_ids: dict[int, int] = {}
        for image, (records, _) in zip(task.vm.images, found, strict=True):
            if len(records) != 1:
                raise TemplateError(
                    f"{task.end.name} has {len(records)} image records on {image.source}; exactly one is needed."
                )
            image_ids[image.disk_id] = records[0].image_id
        definition = world.definitions[task.vm.definition_id]
        networks: dict[int | str, int] = {home: peer for home, peer in world.plan.networks.items()}
        if task.end.slug == world.plan.home_site:
            networks, _ = networks_at_home(definition, named(await task.end.everything(10.0)))
        return vm_template(
            definition,
            name=task.vm.name,
            image_ids=image_ids,
            networks=networks,
            marker=task.vm.marker,
            home_marker=task.vm.home_marker,
        )


class Retire(_VmAct):
    """Terminate the copy that a failback left behind.

    Never the home VM, and never a VM with a disk that would die with it (I15).
    """

    async def judge(self, world: World, task: Task, located: Located) -> Probe:
        vm, answer, site = located.vm, located.answer, task.end.name
        if vm is None:
            return done(f"{site} has no copy of {task.vm.name} any more.", answer)
        if task.end.slug == world.plan.home_site or vm.marker != task.vm.marker:
            return conflict(
                f"VM {vm.vm_id} at {site} is not a copy that the portal made. It is never terminated. "
                "Nothing was sent.",
                answer,
            )
        mortal = [str(disk.disk_id) for disk in vm.disks if disk.kind != "persistent"]
        if mortal:
            return conflict(
                f"Disk {', '.join(mortal)} of VM {vm.vm_id} at {site} would be deleted with the VM. "
                "Nothing was sent. Keep the VM, or detach that disk first.",
                answer,
            )
        if vm.phase in SETTLED_OFF:
            return not_done(
                f"The copy of {task.vm.name} at {site} (VM {vm.vm_id}) is {vm.state_word}.",
                action(task.end, vm, "terminate"),
                answer,
            )
        if vm.phase == "moving":
            return cannot_tell(f"VM {vm.vm_id} at {site} is {vm.state_word}, on its way to another state.", answer)
        return conflict(
            f"VM {vm.vm_id} at {site} is {vm.state_word}, not powered off. It is not terminated. Nothing was sent. "
            f"{off_remedy(vm.phase, vm.state_word, may_run=False)}",
            answer,
        )


def _towards_running(task: Task, vm: Vm, answer: Answer) -> Probe:
    site = task.end.name
    if vm.phase == "running":
        return done(f"VM {vm.vm_id} at {site} is running.", answer)
    if vm.phase in ("off", "undeployed", "stopped", "suspended"):
        return not_done(f"VM {vm.vm_id} at {site} is {vm.state_word}.", action(task.end, vm, "resume"), answer)
    if vm.phase == "hold":
        return not_done(f"VM {vm.vm_id} at {site} is on hold.", action(task.end, vm, "release"), answer)
    if vm.phase in ("pending", "moving"):
        why = f" OpenNebula says: {vm.error}." if vm.error else ""
        return cannot_tell(f"VM {vm.vm_id} at {site} is {vm.state_word}, on its way.{why}", answer)
    why = f" OpenNebula says: {vm.error}." if vm.error else ""
    return conflict(f"VM {vm.vm_id} at {site} is {vm.state_word}.{why} Repair it in OpenNebula, then retry.", answer)


def action(end: SiteEnd, vm: Vm, word: str) -> Deed:
    return Deed(call_text("vm.action", word, vm.vm_id), end.host, lambda _: end.cloud.vm_action(vm.vm_id, word))


async def _allocated(end: SiteEnd, template: str) -> Answer:
    _, answer = await end.cloud.vm_allocate(template)
    return answer
