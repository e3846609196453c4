"""What the inventory says over HTTP, and how rows become it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence
from typing import Annotated, Any

from django.conf import settings
from django.db.models import Prefetch, QuerySet
from django.utils import timezone
from ninja import Field, Schema

from drportal.engine.exposure import ExposureKind, exposure
from drportal.engine.facts import Side
from drportal.engine.verdicts import Verdict, VerdictCode
from drportal.inventory.bulk import batches
from drportal.inventory.facts import side_from_json
from drportal.inventory.images import POLICY, home_sides, judge
from drportal.inventory.models import (
    CapturedDefinition,
    MirroredImage,
    SitePair,
    VirtualMachine,
    VmDisk,
)
from drportal.inventory.protectable import reasons_against
from drportal.inventory.schedules_shown import ImageSchedule, image_schedules
from drportal.inventory.schemas_sides import SideState, side_state

# Without a word from the poller for this long, nothing it wrote is called true any more.
SILENT_AFTER_S = max(30.0, 6 * settings.POLL_INTERVAL_S)

# PostgreSQL has no NUL in a text, so nothing could be found by one.
SearchText = Annotated[str, Field(max_length=200, pattern=r"^[^\x00]*$")]
Place = Annotated[str, Field(max_length=2000, pattern=r"^[^\x00]*$")]


class Places(Schema):
    """Behind which each page of a long table but the first begins."""

    items: list[str]


class ImageVm(Schema):
    id: int
    name: str
    site: str


class ExposureNow(Schema):
    """What would be lost now. ``seconds`` is null where no bound can be given; ``since``: writes before it are safe."""

    kind: ExposureKind
    seconds: float | None
    since: dt.datetime | None
    sentence: str


class Image(Schema):
    id: int
    pair_id: int
    pool: str
    name: str
    global_id: str
    mode: str
    size_bytes: int | None
    verdict: VerdictCode
    verdict_sentence: str
    primary_site: str | None
    sides: dict[str, SideState]
    vms: list[ImageVm]
    exposure: ExposureNow
    changed_at: dt.datetime | None
    gone_at: dt.datetime | None


class Observed(Schema):
    site: str
    command: str
    at: dt.datetime
    duration_s: float
    exit_status: int | None
    output: str


class ImageDetail(Image):
    observations: list[Observed]
    allowed: list[str]
    needs: list[str]
    schedules: dict[str, ImageSchedule] = Field(description="By site; empty for an image that needs none")


class Disk(Schema):
    disk_id: int
    kind: str
    source: str
    target: str
    size_bytes: int
    image_id: int | None
    verdict: VerdictCode | None


class GroupRef(Schema):
    id: int
    name: str


class CopyOf(Schema):
    site: str
    one_id: int


class DefinitionRef(Schema):
    number: int
    captured_at: dt.datetime
    seen_at: dt.datetime


class Vm(Schema):
    id: int
    site: str
    one_id: int
    name: str
    phase: str
    state_word: str
    host: str
    cpu: float
    memory_mb: int
    nics: list[dict[str, Any]]
    disks: list[Disk]
    group: GroupRef | None
    protectable: bool
    why_not: list[str] = Field(description="Why the VM can't be in a protection group, a sentence each")
    copy_of: CopyOf | None
    definition: DefinitionRef | None
    read_at: dt.datetime
    gone_at: dt.datetime | None


# --- images


def image_rows() -> QuerySet[MirroredImage]:
    """Images with what ``image_out`` needs of their own rows; ``vms_of`` has the rest."""
    return MirroredImage.objects.select_related("pair__a", "pair__b").defer("track", "gaps")


def vms_of(image_ids: Sequence[int]) -> dict[int, list[ImageVm]]:
    """Image id -> the VMs that have it as a disk, by name."""
    found: dict[int, dict[int, ImageVm]] = {}
    for some in batches(image_ids):
        disks = VmDisk.objects.filter(image__in=some, vm__gone_at=None).order_by("vm__name", "vm_id")
        for image_id, vm_id, name, site in disks.values_list("image_id", "vm_id", "vm__name", "vm__site__slug"):
            assert image_id is not None
            found.setdefault(image_id, {})[vm_id] = ImageVm.model_construct(id=vm_id, name=name, site=site)
    return {image_id: list(vms.values()) for image_id, vms in found.items()}


def watched(pair: SitePair, now: dt.datetime) -> bool:
    """Whether the poller has spoken lately. If not, every verdict it left is *cannot tell*: stale is never green."""
    return pair.polled_at is not None and (now - pair.polled_at).total_seconds() <= SILENT_AFTER_S


def current_verdict(row: MirroredImage, now: dt.datetime) -> tuple[VerdictCode, str]:
    """The row's verdict, or *cannot tell* while nobody watches."""
    if watched(row.pair, now):
        return VerdictCode(row.verdict), row.verdict_sentence
    at = row.pair.polled_at
    since = f"since {at:%Y-%m-%d %H:%M:%S} UTC" if at else "yet"
    said = f"Cannot tell: nobody has watched the sites {since}. Before that: {row.verdict_sentence}"
    return VerdictCode.CANNOT_TELL, said


WORST_FIRST = (
    VerdictCode.TWO_PRIMARIES,
    VerdictCode.DIVERGED,
    VerdictCode.SUSPECT_PRIMARY,
    VerdictCode.NOT_MIRRORED,
    VerdictCode.REPLICA_ONLY,
    VerdictCode.RUNNING_UNPROTECTED,
    VerdictCode.BROKEN_MIRRORING,
    VerdictCode.CANNOT_TELL,
    VerdictCode.ONE_WAY,
    VerdictCode.NOT_YET_PROTECTED,
    VerdictCode.HANDOVER_NOT_PROPAGATED,
    VerdictCode.HANDOVER_READY,
    VerdictCode.BEHIND,
    VerdictCode.PROTECTED_REVERSED,
    VerdictCode.PROTECTED,
)


def worst_of(codes: Iterable[VerdictCode]) -> VerdictCode | None:
    """The verdict that a person should hear of first; None where there is no image."""
    return min(codes, key=WORST_FIRST.index, default=None)


def images_out(rows: Sequence[MirroredImage], now: dt.datetime) -> list[Image]:
    """Built without another check of their types, which would take most of the time of a page."""
    vms = vms_of([row.pk for row in rows])
    return [Image.model_construct(**_image_fields(row, now, vms.get(row.pk, []))) for row in rows]


def _image_fields(row: MirroredImage, now: dt.datetime, vms: list[ImageVm]) -> dict[str, Any]:
    code, sentence = current_verdict(row, now)
    sites = {"a": row.pair.a.slug, "b": row.pair.b.slug}
    sides = {Side.A: side_from_json(row.side_a), Side.B: side_from_json(row.side_b)}
    return {
        **{name: getattr(row, name) for name in ("id", "pair_id", "pool", "name", "global_id", "mode", "size_bytes")},
        "verdict": code,
        "verdict_sentence": sentence,
        "primary_site": sites.get(row.primary_side),
        "sides": {sites[side.value]: side_state(facts, now, row.size_bytes) for side, facts in sides.items()},
        "vms": vms,
        "exposure": exposure_now(row, now),
        "changed_at": row.changed_at,
        "gone_at": row.gone_at,
    }


def exposure_now(row: MirroredImage, now: dt.datetime) -> ExposureNow:
    """By what was last proven: it grows while nobody looks. ``row``: with its pair."""
    found = exposure(VerdictCode(row.verdict), row.protected_until, now, watched=watched(row.pair, now))
    seconds = None if found.seconds is None else round(found.seconds, 1)
    return ExposureNow.model_construct(
        kind=found.kind, seconds=seconds, since=row.protected_until, sentence=found.sentence
    )


def image_detail(row: MirroredImage, observations: list[Observed]) -> ImageDetail:
    now = timezone.now()
    sides = {Side.A: side_from_json(row.side_a), Side.B: side_from_json(row.side_b)}
    judged: Verdict = judge(sides, row.pair, home_sides(row.pair).get(row.pk), now, POLICY)
    told = watched(row.pair, now)
    return ImageDetail(
        **_image_fields(row, now, vms_of([row.pk]).get(row.pk, [])),
        observations=observations,
        allowed=list(judged.allowed) if told else [],
        needs=list(judged.needs) if told else ["the poller to watch the sites"],
        schedules=image_schedules(row, now),
    )


# --- VMs


def vm_rows() -> QuerySet[VirtualMachine]:
    """VMs with what ``vm_out`` needs; the documents of their definitions are left where they are."""
    slim = CapturedDefinition.objects.only("vm_id", "number", "captured_at", "seen_at")
    return VirtualMachine.objects.select_related(
        "site", "membership__group", "home_of__site", "home_of__membership__group"
    ).prefetch_related(
        Prefetch("disks", VmDisk.objects.select_related("image__pair__a", "image__pair__b")),
        Prefetch("definitions", slim),
    )


def vm_out(vm: VirtualMachine) -> Vm:
    now = timezone.now()
    disks = list(vm.disks.all())
    why_not = reasons_against(vm, disks)
    definition = max(vm.definitions.all(), key=lambda one: one.number, default=None)
    membership = getattr(vm.home_of or vm, "membership", None)
    plain = {name: getattr(vm, name) for name in VM_COLUMNS}
    return Vm(
        **plain,
        site=vm.site.slug,
        disks=[_disk(disk, now) for disk in disks],
        group=GroupRef(id=membership.group.pk, name=membership.group.name) if membership else None,
        protectable=not why_not,
        why_not=why_not,
        copy_of=CopyOf(site=vm.home_of.site.slug, one_id=vm.home_of.one_id) if vm.home_of else None,
        definition=DefinitionRef.from_orm(definition) if definition else None,
    )


VM_COLUMNS = (
    "id", "one_id", "name", "phase", "state_word", "host", "cpu", "memory_mb", "nics", "read_at", "gone_at",
)  # fmt: skip


def _disk(disk: VmDisk, now: dt.datetime) -> Disk:
    return Disk(
        disk_id=disk.disk_id,
        kind=disk.kind,
        source=disk.source,
        target=disk.target,
        size_bytes=disk.size_bytes,
        image_id=disk.image_id,
        verdict=current_verdict(disk.image, now)[0] if disk.image else None,
    )
