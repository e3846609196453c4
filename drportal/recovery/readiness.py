"""Reads both sites now and asks the engine whether a run could begin.

Bounded in time; what was not read is *cannot tell*.
"""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import replace

from drportal.drivers.base_cloud import CloudReading, Vm
from drportal.drivers.errors import DriverError
from drportal.drivers.opennebula_templates import TemplateError
from drportal.engine.facts import Side, SideFacts, WatcherFacts
from drportal.engine.fence import FenceRung
from drportal.engine.home_gates import HostFacts
from drportal.engine.plans import RunKind
from drportal.engine.readiness import (
    Capacity,
    ImageReadiness,
    Readiness,
    ReadinessInput,
    SiteReadiness,
    VmReadiness,
    assess,
)
from drportal.engine.return_readiness import assess_return
from drportal.engine.schedule_gaps import SiteSchedule
from drportal.engine.verdicts import VerdictPolicy, verdict
from drportal.inventory.connect import site_drivers
from drportal.inventory.definitions import definition_hash
from drportal.inventory.models import CapturedDefinition, Site
from drportal.recovery import building
from drportal.recovery.fences import rung_of_last_fence
from drportal.recovery.home import named, networks_at_home, proof_of
from drportal.recovery.made_primary import forced_at
from drportal.recovery.models import ProtectionGroup
from drportal.recovery.pace import Pace
from drportal.recovery.plan_copy import ImageCopy, PlanCopy, VmCopy
from drportal.recovery.policy import policy_now
from drportal.recovery.targets import rpo_of, schedules_of
from drportal.recovery.world import Located, SiteEnd, World, utc_now

DEADLINE_S = 20.0
# Four exact reads an image; a site whose Ceph shares a small machine with its clients answers some twenty a second.
PER_IMAGE_S = 0.4
KIB, MIB = 2**10, 2**20


class Assessment:
    """The engine's word, with what it was given (the page shows both) and when."""

    def __init__(self, kind: RunKind, plan: PlanCopy, given: ReadinessInput, checked_at: dt.datetime) -> None:
        self.kind, self.plan, self.given, self.checked_at = kind, plan, given, checked_at
        fresh_s = deadline_for(plan) + 10.0
        back = kind in building.AT_RETURNED
        self.result: Readiness = (
            assess_return(kind, given, checked_at, fresh_s=fresh_s)
            if back
            else assess(kind, given, checked_at, fresh_s=fresh_s)
        )


def deadline_for(plan: PlanCopy) -> float:
    """Seconds that one look at both sites may take."""
    return DEADLINE_S + PER_IMAGE_S * len(plan.images())


def assess_now(kind: RunKind, group: ProtectionGroup, plan: PlanCopy, source: Site, target: Site) -> Assessment:
    """Blocks for at most about ``deadline_for(plan)``. Raises Conflict where a site has no credentials."""
    pace = Pace()
    drivers = [site_drivers(site) for site in (source, target)]
    ends = [
        SiteEnd(site.slug, site.name, site.ssh_host, made.ceph, made.cloud, pace)
        for site, made in zip((source, target), drivers, strict=True)
    ]
    captured = list(CapturedDefinition.objects.filter(pk__in=[vm.definition_id for vm in plan.vms]))
    seen = {str(row.vm_id): row.seen_at for row in captured}
    definitions = {row.pk: row.vm_xml for row in captured}
    world = World(ends[0], ends[1], plan, pace, definitions, {}, forced_at_source=forced_at(source, plan))
    source_side = Side.A if source.pk == group.pair.a_id else Side.B
    home_side = Side.A if group.home_site_id == group.pair.a_id else Side.B

    schedules = schedules_of(plan, source, target)

    async def read() -> ReadinessInput:
        try:
            return await _Look(world, source_side, home_side, seen, schedules).all()
        finally:
            await asyncio.gather(*(made.close() for made in drivers), return_exceptions=True)

    given = replace(asyncio.run(read()), rpo_s=rpo_of(group))
    if kind is RunKind.REPROTECT:
        given = replace(
            given,
            fence_wanted=FenceRung(plan.fence_rung),
            fence_reached=rung_of_last_fence(group, source),
            fence_least=FenceRung(policy_now().least_rung),
        )
    return Assessment(kind, plan, given, utc_now())


class _Look:
    """One look at both sites."""

    def __init__(
        self,
        world: World,
        source_side: Side,
        home_side: Side,
        seen: dict[str, dt.datetime],
        schedules: Mapping[str, tuple[SiteSchedule, SiteSchedule]],
    ) -> None:
        self.world, self.source_side, self.home_side, self.seen = world, source_side, home_side, seen
        self.schedules = schedules

    async def all(self) -> ReadinessInput:
        world = self.world
        clouds = await asyncio.gather(self._cloud(world.source), self._cloud(world.target))
        images = await asyncio.gather(*(self._image(image) for image in world.plan.images()))
        owner = {image.key: vm.key for vm in world.plan.vms for image in vm.images}
        images = [replace(image, vm_key=owner[image.key]) for image in images]
        vms = await asyncio.gather(*(self._vm(vm, clouds) for vm in world.plan.vms))
        return ReadinessInput(
            source_side=self.source_side,
            sites=tuple(self._site(end, role, images, clouds) for end, role in ((0, "source"), (1, "target"))),
            images=tuple(images),
            vms=tuple(vms),
            image_datastores=self._image_datastores(clouds[1]),
            system_datastore=None
            if clouds[1] is None
            else any(
                ds.type_word == "SYSTEM_DS" and ds.tm_mad in ("ceph", "shared") and ds.enabled
                for ds in clouds[1].datastores
            ),
            capacity=self._capacity(clouds),
            salvage_dir=world.plan.salvage_dir,
            salvage=world.plan.salvages(),
            left_alone=world.plan.left_alone,
        )

    async def _cloud(self, end: SiteEnd) -> CloudReading | None:
        try:
            async with asyncio.timeout(deadline_for(self.world.plan) / 2):
                return await end.everything(0.0)
        except (DriverError, TimeoutError):
            return None

    async def _side(self, end: SiteEnd, image: ImageCopy) -> SideFacts:
        try:
            async with asyncio.timeout(deadline_for(self.world.plan) / 2):
                return (await end.side(image, positions=True))[0]
        except (DriverError, TimeoutError):
            return SideFacts(reachable=False)

    async def _image(self, image: ImageCopy) -> ImageReadiness:
        source, target = await asyncio.gather(
            self._side(self.world.source, image), self._side(self.world.target, image)
        )
        a, b = (source, target) if self.source_side is Side.A else (target, source)
        ends = (
            (self.world.source, self.world.target)
            if self.source_side is Side.A
            else (self.world.target, self.world.source)
        )
        found = verdict(a, b, VerdictPolicy(), utc_now(), home=self.home_side, names=(ends[0].name, ends[1].name))
        plan = self.world.plan
        return ImageReadiness(
            image.key, image.source, "", found, source, target,
            own_demotion_recorded=image.key in plan.demoted_by_parent,
            target_promote_ever_sent=image.key in plan.promote_sent_by_parent,
            forced_at_source=image.key in self.world.forced_at_source,
            schedules=self.schedules.get(image.key),
        )  # fmt: skip

    async def _vm(self, vm: VmCopy, clouds: Sequence[CloudReading | None]) -> VmReadiness:
        at_source, at_target = await asyncio.gather(self._at(self.world.source, vm), self._at(self.world.target, vm))
        home = clouds[0] if self.world.source.slug == self.world.plan.home_site else clouds[1]
        there = next((found for found in home.vms if found.vm_id == vm.home_one_id), None) if home else None
        images = {image.image_id: image for image in home.images} if home else {}
        namesakes = [
            f"VM {found.vm_id}"
            for found in (clouds[1].vms if clouds[1] else ())
            if found.name == vm.name
            and found.marker != vm.marker
            and self.world.target.slug != self.world.plan.home_site
        ]
        host, watchers = await self._proof(vm, at_target)
        return VmReadiness(
            key=vm.key,
            name=vm.name,
            at_source=at_source.facts if at_source else None,
            at_target=at_target.facts if at_target else None,
            disks=vm.disks,
            definition_seen_at=self.seen.get(vm.key),
            definition_number=vm.definition_number,
            definition_hash=vm.definition_sha256,
            current_hash=definition_hash(there, images) if there else None,
            unmapped=self._unmapped(vm, at_target, there, clouds[1]),
            name_taken_by=namesakes[0] if namesakes else None,
            target_host=host,
            target_watchers=watchers,
        )

    def _unmapped(
        self, vm: VmCopy, at_target: Located | None, there: Vm | None, target: CloudReading | None
    ) -> tuple[str, ...]:
        """On the way home only a VM that is gone there needs networks: those of its definition."""
        plan = self.world.plan
        if self.world.target.slug != plan.home_site:
            return tuple(nic.network for nic in there.nics if str(nic.network_id) not in plan.networks) if there else ()
        if at_target is None or at_target.vm is not None or target is None:
            return ()
        try:
            return networks_at_home(self.world.definitions[vm.definition_id], named(target))[1]
        except TemplateError as error:
            return (f"of it, which cannot be read ({error}),",)

    async def _at(self, end: SiteEnd, vm: VmCopy) -> Located | None:
        try:
            async with asyncio.timeout(deadline_for(self.world.plan) / 2):
                return await self.world.locate(end, vm, 5.0)
        except (DriverError, TimeoutError):
            return None

    async def _proof(
        self, vm: VmCopy, at_target: Located | None
    ) -> tuple[HostFacts | None, tuple[WatcherFacts, ...] | None]:
        if at_target is None or self.world.target.slug != self.world.plan.home_site:
            return None, None
        try:
            async with asyncio.timeout(deadline_for(self.world.plan) / 2):
                return (await proof_of(self.world.target, vm, at_target))[:2]
        except (DriverError, TimeoutError):
            return None, None

    def _site(
        self, which: int, role: str, images: list[ImageReadiness], clouds: Sequence[CloudReading | None]
    ) -> SiteReadiness:
        end = (self.world.source, self.world.target)[which]
        sides = [(image.source, image.target)[which] for image in images]
        answers = any(side.reachable for side in sides) if sides else None
        return SiteReadiness(end.name, role, answers, answers, clouds[which] is not None)

    def _image_datastores(self, cloud: CloudReading | None) -> tuple[str, ...] | None:
        if cloud is None:
            return None
        plan = self.world.plan
        pools = {image.pool for image in plan.images()}
        fits = [
            ds
            for ds in cloud.datastores
            if ds.type_word == "IMAGE_DS" and ds.tm_mad == "ceph" and ds.pool in pools and ds.enabled
        ]
        if plan.image_datastore_id is not None and self.world.target.slug != plan.home_site:
            fits = [ds for ds in fits if ds.datastore_id == plan.image_datastore_id]
        return tuple(f"{ds.name} ({ds.datastore_id})" for ds in fits)

    def _capacity(self, clouds: Sequence[CloudReading | None]) -> Capacity:
        source, target = clouds
        ids = {vm.home_one_id for vm in self.world.plan.vms}
        markers = {vm.marker for vm in self.world.plan.vms}
        at_home = self.world.source.slug == self.world.plan.home_site
        moving = [vm for vm in (source.vms if source else ()) if (vm.vm_id in ids if at_home else vm.marker in markers)]
        hosts = [
            host
            for host in (target.hosts if target else ())
            if host.state_word in ("MONITORED", "MONITORING_MONITORED")
        ]
        return Capacity(
            memory_needed_bytes=sum(vm.memory_mb for vm in moving) * MIB,
            memory_free_bytes=sum(host.memory_total_kb - host.memory_used_kb for host in hosts) * KIB
            if target
            else None,
            cpu_needed=sum(vm.cpu for vm in moving),
            cpu_free=sum(host.cpu_total - host.cpu_used for host in hosts) / 100 if target else None,
        )
