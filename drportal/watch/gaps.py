"""Protection gaps over everything that the inventory knows, of all pairs of sites or of one."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace

from django.db.models import Count, Max, Prefetch, Q
from django.utils import timezone

from drportal.engine.front_end_gaps import AliveVm, record_name_taken, registered_twice, twice_gaps
from drportal.engine.gap_base import Gap, GapCode, GapLevel, on_ceph, on_front_end
from drportal.engine.gaps import (
    SNAPSHOT_OLD_S,
    DiskGapFacts,
    Room,
    VmGapFacts,
    room_gaps,
    skew_gap,
    snapshots_old,
    vm_gaps,
)
from drportal.engine.pool_gaps import PeerFacts, PoolGapFacts, pool_gaps
from drportal.engine.states import RunState
from drportal.engine.versions import ceph_support, opennebula_support
from drportal.inventory.cloud import HOST_ON
from drportal.inventory.facts import gap_from_json
from drportal.inventory.models import (
    CapturedDefinition,
    MirroredImage,
    Pool,
    Site,
    SitePair,
    SiteResource,
    VirtualMachine,
    VmDisk,
)
from drportal.recovery.models import GroupMember, ProtectionGroup, RecoveryPlan
from drportal.watch.schedule_gaps import schedule_gaps_of
from drportal.watch.targets import targets_of_images

ORDER = list(GapLevel)


def gaps_of(pair: SitePair) -> list[Gap]:
    """All gaps of the pair, the worst first; none twice, so that each has a place of its own."""
    found = [*image_gaps_of(pair), *cloud_gaps(pair), *ground_gaps(pair), *group_gaps(pair)]
    return [gap for _, gap in sorted({place_of(gap): gap for gap in found}.items())]


class Kept:
    """What a web process worked out last for a large pair: a person who types into the filter, or turns the pages,
    asks many times for the same. Each pair's gaps are worked out anew when it was discovered, when a plan or a group
    has changed, and after ``SECONDS`` of polling.
    """

    SECONDS = 15.0
    IMAGES = 1000  # for fewer it takes milliseconds

    def __init__(self) -> None:
        self._found: dict[int, tuple[object, list[Gap]]] = {}

    def gaps_of(self, pair: SitePair) -> list[Gap]:
        if pair.polled_at is None or pair.images.count() < self.IMAGES:
            return gaps_of(pair)
        plans = RecoveryPlan.objects.filter(group__pair=pair)
        as_of = (
            pair.polled_at.timestamp() // self.SECONDS,
            pair.discovered_at,
            pair.version,
            plans.aggregate(at=Max("changed_at"), n=Count("pk"), members=Count("group__members")),
        )
        kept = self._found.get(pair.pk)
        if kept is None or kept[0] != as_of:
            kept = self._found[pair.pk] = (as_of, gaps_of(pair))
        return kept[1]


KEPT = Kept()


def place_of(gap: Gap) -> str:
    """In the order of the page, and good for going on behind it."""
    return f"{ORDER.index(gap.level)}/{gap.code}/{gap.subject}/{gap.detail}/{gap.sentence}"


def gaps_chosen(gaps: Iterable[Gap], level: GapLevel | None, code: GapCode | None, q: str) -> list[Gap]:
    """``q``: in the subject or the sentence, whatever the case."""
    words = q.lower()
    return [
        gap
        for gap in gaps
        if (level is None or gap.level is level)
        and (code is None or gap.code is code)
        and words in f"{gap.subject} {gap.sentence}".lower()
    ]


def counts_of(gaps: Iterable[Gap]) -> dict[str, int]:
    """Level -> how many."""
    found = Counter(gap.level.value for gap in gaps)
    return {level.value: found[level.value] for level in GapLevel}


def image_gaps_of(pair: SitePair) -> Iterator[Gap]:
    """Those of single images were found when the row was written; the age of snapshots is found now."""
    rows = MirroredImage.objects.filter(pair=pair, gone_at=None)
    for kept in rows.exclude(gaps=[]).values_list("gaps", flat=True):
        for gap in kept:
            yield gap_from_json(gap)
    now = timezone.now()
    of_schedules = list(schedule_gaps_of(pair, now))
    yield from of_schedules
    without = {gap.subject for gap in of_schedules if gap.level is GapLevel.UNPROTECTED}
    long_ago = now - dt.timedelta(seconds=SNAPSHOT_OLD_S)
    # One that was never whole at the copy counts from when it was first seen so: a first copy takes its time.
    never = Q(protected_until=None, changed_at__lt=long_ago) & ~Q(primary_side="")
    old = rows.filter(Q(protected_until__lt=long_ago) | never, mode="snapshot")
    names, targets = {"a": pair.a.name, "b": pair.b.name}, targets_of_images()
    for row in old.only("pool", "name", "protected_until", "primary_side"):
        age_s = None if row.protected_until is None else (now - row.protected_until).total_seconds()
        if age_s is not None and age_s <= targets.get(row.pk, 0):
            continue  # so much was agreed, and so it is what its schedule is meant to do
        if str(row) in without:
            continue  # which says why
        yield snapshots_old(str(row), age_s, names.get(row.primary_side, ""))


def cloud_gaps(pair: SitePair) -> Iterator[Gap]:
    """What the VMs of both front ends show."""
    now = timezone.now()
    disks = Prefetch("disks", VmDisk.objects.only("vm_id", "disk_id", "kind", "source", "image_id"))
    rows = list(
        VirtualMachine.objects.filter(site__in=[pair.a, pair.b], gone_at=None)
        .select_related("site")
        .prefetch_related(disks)
        .annotate(defined_at=Max("definitions__seen_at"))
        .order_by("name", "one_id")
    )
    plans, drifts = plans_of_vms(), drifts_of(vm.pk for vm in rows)
    for vm in rows:
        if vm.home_of_id is None:
            yield from vm_gaps(vm_facts(vm, plans.get(vm.pk), now, drifts.get(vm.pk, "")))
    active = dict(GroupMember.objects.values_list("vm_id", "group__active_site__name"))
    yield from twice_gaps(alive(vm, active.get(vm.home_of_id or vm.pk, "")) for vm in rows)
    doubles = SiteResource.objects.filter(site__in=[pair.a, pair.b], kind=SiteResource.Kind.DOUBLE)
    for double in doubles.select_related("site"):
        yield registered_twice(double.name, double.site.name, double.facts["image_ids"])
    taken = SiteResource.objects.filter(site__in=[pair.a, pair.b], kind=SiteResource.Kind.TAKEN)
    for row in taken.select_related("site"):
        other = pair.b if row.site_id == pair.a_id else pair.a
        taken_by = row.one_id if row.one_id >= 0 else None
        yield record_name_taken(row.name, row.site.name, other.name, row.facts["wanted"], taken_by)


def plans_of_vms() -> dict[int, RecoveryPlan]:
    """VM id -> its plan, for VMs that have one."""
    plans = RecoveryPlan.objects.prefetch_related("group__members")
    return {member.vm_id: plan for plan in plans for member in plan.group.members.all()}


def drifts_of(vm_ids: Iterable[int]) -> dict[int, str]:
    """VM id -> what changed, for VMs whose definition is newer than what a person last made of their plan: set it, or
    moved the group with it. A check that the portal makes by itself is nobody's look.
    """
    known: dict[int, dt.datetime] = {}
    done = Q(runs__state__in=[RunState.SUCCEEDED.value, RunState.SUCCEEDED_WITH_EXCEPTIONS.value])
    plans = RecoveryPlan.objects.annotate(moved_at=Max("runs__finished_at", filter=done))
    for plan in plans.prefetch_related("group__members"):
        since = max(filter(None, (plan.changed_at, plan.moved_at)))
        known.update({member.vm_id: since for member in plan.group.members.all()})
    newest = CapturedDefinition.objects.filter(vm__membership__isnull=False, number__gt=1).order_by("number")
    wanted = known.keys() & set(vm_ids)
    return {
        vm_id: f"Its definition changed at {captured_at:%F %T} UTC (it is number {number} now), after its plan was "
        f"last set or used ({known[vm_id]:%F %T})."
        for vm_id, number, captured_at in newest.values_list("vm_id", "number", "captured_at")
        if vm_id in wanted and captured_at > known[vm_id]
    }


def vm_facts(vm: VirtualMachine, plan: RecoveryPlan | None, now: dt.datetime, drifted: str = "") -> VmGapFacts:
    """``vm``: with its disks and ``defined_at``. ``plan`` None: it is in none, so nothing is to be mapped yet."""
    defined_at: dt.datetime | None = getattr(vm, "defined_at", None)
    nics = [] if plan is None else [nic for nic in vm.nics if str(nic["network_id"]) not in plan.network_map]
    return VmGapFacts(
        one_id=vm.one_id,
        name=vm.name,
        site=vm.site.name,
        disks=tuple(
            DiskGapFacts(disk.disk_id, disk.kind, disk.source, disk.image_id is not None) for disk in vm.disks.all()
        ),
        definition_age_s=None if defined_at is None else (now - defined_at).total_seconds(),
        unmapped=tuple(sorted({str(nic["network"]) for nic in nics})),
        drifted=drifted,
        devices=tuple((device["pci_id"], device["what"]) for device in vm.devices),
        vm_path=f"/vms/{vm.pk}",
        plan_path=f"/plans/{plan.pk}/edit" if plan else "",
        site_path=f"/sites/{vm.site.slug}",
    )


def alive(vm: VirtualMachine, active_at: str) -> AliveVm:
    addresses = [str(nic[key]) for nic in vm.nics for key in ("mac", "ip") if nic.get(key)]
    if vm.uuid:
        addresses.append(f"UUID {vm.uuid}")
    return AliveVm(
        key=str(vm.pk),
        site=vm.site.name,
        one_id=vm.one_id,
        name=vm.name,
        phase=vm.phase,
        copy_of=str(vm.home_of_id or ""),
        addresses=tuple(addresses),
        sources={disk.source: disk.disk_id for disk in vm.disks.all() if disk.kind == "persistent" and disk.source},
        active_at=active_at,
    )


def ground_gaps(pair: SitePair) -> Iterator[Gap]:
    """Pools, daemons, clocks and versions of both sites."""
    for site, other in ((pair.a, pair.b), (pair.b, pair.a)):
        there = {pool.name: pool_facts(pool) for pool in Pool.objects.filter(site=other, name__in=pair.pools)}
        for pool in Pool.objects.filter(site=site, name__in=pair.pools):
            yield from pool_gaps(pool_facts(pool), site.name, there.get(pool.name), other.name)
        if gap := skew_gap(site.name, site.clock_skew_s):
            yield gap
        yield from version_gaps(site)


def pool_facts(pool: Pool) -> PoolGapFacts:
    """As ``inventory.facts.daemon_healthy`` judges it: a warning is no death."""
    told = pool.daemon_health in ("OK", "WARNING")
    dead = not pool.daemons or pool.daemon_health in ("ERROR", "UNKNOWN")
    peers = tuple(PeerFacts(str(peer.get("uuid", "")), str(peer.get("direction", ""))) for peer in pool.peers)
    healthy = False if dead else True if told else None
    return PoolGapFacts(pool.name, pool.mode, peers, healthy, gone=pool.gone_at is not None)


def version_gaps(site: Site) -> Iterator[Gap]:
    looks = (
        (ceph_support(site.ceph_version), on_ceph(site.name, "Only reads: what each daemon runs.", "ceph", "versions")),
        (
            opennebula_support(site.opennebula_version),
            on_front_end(site.name, "Only reads: what is installed.", "oned", "--version"),
        ),
    )
    for support, look in looks:
        if support.ok is False:
            remedy = "Upgrade it. Until then do not rely on the portal there before it was tried with it in a lab."
            path = f"/sites/{site.slug}"
            yield Gap(
                GapCode.VERSION, GapLevel.RISK, site.name, support.sentence, remedy, (look,), path, support.sentence
            )


def group_gaps(pair: SitePair) -> Iterator[Gap]:
    """Room for each group at the site where it is not."""
    ground = {site.pk: Ground(site) for site in (pair.a, pair.b)}
    disks = Prefetch("members__vm__disks", VmDisk.objects.only("vm_id", "source", "size_bytes"))
    groups = ProtectionGroup.objects.filter(pair=pair).select_related("plan").prefetch_related("members__vm", disks)
    for group in groups:
        target = pair.b if group.active_site_id == pair.a_id else pair.a
        vms = [member.vm for member in group.members.all()]
        own = [disk for vm in vms for disk in vm.disks.all()]
        needed = Room(
            memory_mb=sum(vm.memory_mb for vm in vms),
            cpus=sum(vm.cpu for vm in vms),
            disk_mb=max((disk.size_bytes for disk in own), default=0) / 2**20,
        )
        plan = getattr(group, "plan", None)
        chosen = plan.image_datastore_id if plan and target.pk != group.home_site_id else None
        store = ground[target.pk].datastore({disk.source.partition("/")[0] for disk in own}, chosen)
        checked = store is not None and store.facts.get("capacity_check", True)
        free = replace(ground[target.pk].free, disk_mb=store.facts["free_mb"] if store and checked else None)
        yield from room_gaps(group.name, target.name, needed, free, str(store.one_id) if store else "")


class Ground:
    """What a site has free, as its front end last told."""

    def __init__(self, site: Site) -> None:
        rows = list(SiteResource.objects.filter(site=site))
        hosts = [row for row in rows if row.kind == SiteResource.Kind.HOST]
        on = [host.facts for host in hosts if host.facts.get("state_word") in HOST_ON]
        memory_kb = sum(facts["memory_total_kb"] - facts["memory_used_kb"] for facts in on)
        cpu_percent = sum(facts.get("cpu_total", 0) - facts.get("cpu_used", 0) for facts in on)
        self.free = Room(memory_kb // 1024, cpu_percent / 100) if hosts else Room(None, None)
        self.stores = [row for row in rows if row.kind == SiteResource.Kind.DATASTORE]

    def datastore(self, pools: set[str], chosen: int | None) -> SiteResource | None:
        """The one in which a group's images would be registered; None where it is not known which. (A datastore that
        was never monitored says that 0 are free.)"""
        fits = [
            store
            for store in self.stores
            if store.facts["type_word"] == "IMAGE_DS"
            and store.facts["tm_mad"] == "ceph"
            and store.facts["pool"] in pools
            and chosen in (None, store.one_id)
        ]
        return fits[0] if len(fits) == 1 and fits[0].facts["free_mb"] > 0 else None
