"""Images, VMs, networks and the ground of a site over HTTP. Read only: discovery and polling write them."""

from __future__ import annotations

import datetime as dt
import json
from typing import Annotated, Any

from django.db.models import Q
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.utils import timezone
from ninja import Field, Query, Router, Schema

from drportal.api import needs, seen
from drportal.audit.spreadsheets import A_TABLE, csv_file
from drportal.drivers.opennebula_parse import masked
from drportal.engine.verdicts import VerdictCode
from drportal.errors import NotFound
from drportal.inventory.image_table import (
    counts_by_verdict,
    image_places,
    images_after,
    images_as_csv,
    images_named,
    images_of_verdict,
)
from drportal.inventory.models import CapturedDefinition, MirroredImage, Observation, SiteResource, VirtualMachine
from drportal.inventory.observations import status_entries
from drportal.inventory.schemas import (
    Image,
    ImageDetail,
    Observed,
    Place,
    Places,
    SearchText,
    Vm,
    image_detail,
    image_rows,
    images_out,
    vm_out,
    vm_rows,
)
from drportal.inventory.services import pair_get, site_get
from drportal.inventory.target_files import TargetFiles, target_files
from drportal.inventory.vm_table import (
    VmFilter,
    VmProtection,
    choosable,
    counts_by_protection,
    place_of,
    vm_places,
    vms_after,
    vms_as_csv,
    vms_of,
    vms_of_protection,
    words_of,
)
from drportal.roles import Permission

router = Router()
VmPlace = Annotated[str, Field(max_length=400, pattern=r"^(\d{1,9}/[^\x00]*)?$")]


class Images(Schema):
    """``total``: that fit. ``counts``: by verdict, of those that fit ``q``."""

    items: list[Image]
    next: str | None
    total: int
    counts: dict[str, int]


class Vms(Schema):
    """``total``: that fit. ``counts``: by protection, of those that fit ``q``."""

    items: list[Vm]
    next: str | None
    total: int
    counts: dict[str, int]


class VmWords(Schema):
    """Each word with how many VMs have it; a VM may have several labels, and disks in several pools."""

    labels: dict[str, int]
    owners: dict[str, int]
    pools: dict[str, int]


class ChoosableVm(Schema):
    id: int
    name: str
    nics: list[dict[str, Any]]


class ChoosableVms(Schema):
    """``in_other_groups``, ``not_protectable``: how many fit beside them, and why they are not here."""

    items: list[ChoosableVm]
    in_other_groups: int
    not_protectable: int


class VmDefinition(Schema):
    number: int
    captured_at: dt.datetime
    sha256: str
    vm_xml: str
    images: dict[str, Any]
    target_files: TargetFiles


class SiteNetwork(Schema):
    one_id: int
    name: str
    ranges: list[dict[str, Any]]
    gone_at: dt.datetime | None


class Networks(Schema):
    items: list[SiteNetwork]


class Resource(Schema):
    kind: str
    one_id: int
    name: str
    facts: dict[str, Any]
    read_at: dt.datetime


class Resources(Schema):
    items: list[Resource]


@router.get("/pairs/{pair_id}/images", auth=needs(Permission.VIEW, ground=True), response=Images)
def image_list(
    request: HttpRequest,
    pair_id: int,
    verdict: VerdictCode | None = None,
    q: SearchText = "",
    cursor: Place = "",
    limit: Annotated[int, Field(ge=1, le=500)] = 100,
) -> Any:
    """Images by pool and name, without those that are gone. ``cursor``: ``next`` of the page before."""
    pair, now = pair_get(pair_id), timezone.now()
    rows = seen(request, images_named(pair, q))
    counts = counts_by_verdict(rows, pair, now)
    fitting = images_after(images_of_verdict(rows, pair, verdict, now), cursor).select_related(None)
    page = list(fitting[: limit + 1])
    for row in page:
        row.pair = pair
    found = Images.model_construct(
        items=images_out(page[:limit], now),
        next=str(page[limit - 1]) if len(page) > limit else None,
        total=counts.get(verdict.value, 0) if verdict else sum(counts.values()),
        counts=counts,
    )
    # Of the right types as it stands: checked once more, a page of a hundred would take twice as long.
    return HttpResponse(found.model_dump_json(), content_type="application/json; charset=utf-8")


@router.get("/pairs/{pair_id}/images/places", auth=needs(Permission.VIEW, ground=True), response=Places)
def image_place_list(
    request: HttpRequest,
    pair_id: int,
    verdict: VerdictCode | None = None,
    q: SearchText = "",
    every: Annotated[int, Field(ge=10, le=500)] = 100,
) -> Any:
    """The ``cursor`` of each page of ``every`` images but the first, so that a page far down need not be walked to."""
    pair, now = pair_get(pair_id), timezone.now()
    rows = images_of_verdict(seen(request, images_named(pair, q)), pair, verdict, now)
    return {"items": image_places(rows, every)}


@router.get("/pairs/{pair_id}/images.csv", auth=needs(Permission.VIEW, ground=True), openapi_extra=A_TABLE)
def image_table(
    request: HttpRequest,
    pair_id: int,
    verdict: VerdictCode | None = None,
    q: SearchText = "",
) -> Any:
    """All images that fit, as a file for a spreadsheet: role, state and time of the last word of each side too."""
    pair, now = pair_get(pair_id), timezone.now()
    rows = images_of_verdict(seen(request, images_named(pair, q)), pair, verdict, now)
    return csv_file(f"images-{pair.a.slug}-{pair.b.slug}-{now:%Y%m%d-%H%M}", images_as_csv(rows, pair, now))


@router.get("/images/{image_id}", auth=needs(Permission.VIEW), response=ImageDetail)
def image_get(request: HttpRequest, image_id: int) -> Any:
    """One image with the raw answers behind it."""
    row = image_rows().filter(pk=image_id).first()
    if row is None:
        raise NotFound("This image is not known (any more).")
    return image_detail(row, observations_of(row))


def observations_of(row: MirroredImage) -> list[Observed]:
    """The newest answer to each command about this image, and its own part of the pool's status."""
    sites = [row.pair.a_id, row.pair.b_id]
    kept = Observation.objects.filter(site__in=sites).select_related("site").order_by("-at")
    shown: dict[tuple[int, str], Observed] = {}
    for one in kept.filter(subject=str(row)):
        shown.setdefault((one.site_id, one.command), _shown(one, one.output))
    whole = Q(command__contains=" mirror pool status ") | Q(command__endswith=" (status)")
    for site_id in sites:
        status = kept.filter(whole, site=site_id, subject=row.pool).first()
        part = _status_part(status.output, row.name) if status else None
        if status and part:
            shown[(site_id, status.command)] = _shown(status, part)
    return sorted(shown.values(), key=lambda one: (one.site, one.command))


def _shown(observed: Observation, output: str) -> Observed:
    plain = {name: getattr(observed, name) for name in ("command", "at", "duration_s", "exit_status")}
    return Observed(site=observed.site.slug, output=output, **plain)


def _status_part(output: str, name: str) -> str | None:
    """The image's entry of a pool status; None where the output is cut (its part is kept then) or does not have it."""
    part = next((entry for entry in status_entries(output) if entry.get("name") == name), None)
    return json.dumps(part, indent=1) if part else None


@router.get("/sites/{slug}/vms", auth=needs(Permission.VIEW, ground=True), response=Vms)
def vm_list(
    request: HttpRequest,
    slug: str,
    wanted: Query[VmFilter],
    protection: VmProtection | None = None,
    cursor: VmPlace = "",
    limit: Annotated[int, Field(ge=1, le=500)] = 100,
) -> Any:
    """The site's VMs by name, without those that have been gone for more than a day."""
    rows = seen(request, vms_of(site_get(slug), wanted, timezone.now()))
    counts = counts_by_protection(rows)
    page = list(vms_after(vms_of_protection(rows, protection), cursor)[: limit + 1])
    return {
        "items": [vm_out(vm) for vm in page[:limit]],
        "next": place_of(page[limit - 1]) if len(page) > limit else None,
        "total": counts[protection.value] if protection else sum(counts.values()),
        "counts": counts,
    }


@router.get("/sites/{slug}/vms/places", auth=needs(Permission.VIEW, ground=True), response=Places)
def vm_place_list(
    request: HttpRequest,
    slug: str,
    wanted: Query[VmFilter],
    protection: VmProtection | None = None,
    every: Annotated[int, Field(ge=10, le=500)] = 100,
) -> Any:
    """The ``cursor`` of each page of ``every`` VMs but the first."""
    rows = seen(request, vms_of(site_get(slug), wanted, timezone.now()))
    return {"items": vm_places(vms_of_protection(rows, protection), every)}


@router.get("/sites/{slug}/vms.csv", auth=needs(Permission.VIEW, ground=True), openapi_extra=A_TABLE)
def vm_table(
    request: HttpRequest, slug: str, wanted: Query[VmFilter], protection: VmProtection | None = None
) -> StreamingHttpResponse:
    """All VMs that fit, as a file for a spreadsheet."""
    now = timezone.now()
    rows = vms_of_protection(seen(request, vms_of(site_get(slug), wanted, now)), protection)
    return csv_file(f"vms-{slug}-{now:%Y%m%d-%H%M}", vms_as_csv(rows))


@router.get("/sites/{slug}/vms/words", auth=needs(Permission.VIEW, ground=True), response=VmWords)
def vm_words(request: HttpRequest, slug: str) -> Any:
    """Labels, owners and pools of the site's VMs, to choose by."""
    return words_of(seen(request, vms_of(site_get(slug), VmFilter(), timezone.now())))


@router.get("/sites/{slug}/vms/choosable", auth=needs(Permission.VIEW, ground=True), response=ChoosableVms)
def vm_choosable(
    request: HttpRequest,
    slug: str,
    wanted: Query[VmFilter],
    protection: VmProtection | None = None,
    group: int | None = None,
) -> Any:
    """All that fit and can be in a group; ``group``: in this one, so that its own VMs are among them."""
    rows = seen(request, vms_of(site_get(slug), wanted, timezone.now()))
    found = choosable(vms_of_protection(rows, protection), group)
    return ChoosableVms.model_construct(
        items=[ChoosableVm.model_construct(id=vm.pk, name=vm.name, nics=vm.nics) for vm in found.items],
        in_other_groups=found.in_other_groups,
        not_protectable=found.not_protectable,
    )


@router.get("/vms/{vm_id}", auth=needs(Permission.VIEW), response=Vm)
def vm_get(request: HttpRequest, vm_id: int) -> Any:
    row = vm_rows().filter(pk=vm_id).first()
    if row is None:
        raise NotFound("This VM is not known (any more).")
    return vm_out(row)


@router.get("/vms/{vm_id}/definition", auth=needs(Permission.VIEW), response=VmDefinition)
def vm_definition(request: HttpRequest, vm_id: int) -> Any:
    """What is kept of the VM, and what would be created from it at the other side. Secrets of guests are hidden."""
    vm = VirtualMachine.objects.select_related("site", "membership__group__plan").filter(pk=vm_id).first()
    kept = CapturedDefinition.objects.filter(vm=vm_id).order_by("-number").first()
    if vm is None or kept is None:
        raise NotFound("No definition of this VM has been captured (yet).")
    images = {disk: {key: value for key, value in image.items() if key != "xml"} for disk, image in kept.images.items()}
    return {
        "number": kept.number,
        "captured_at": kept.captured_at,
        "sha256": kept.sha256,
        "vm_xml": masked(kept.vm_xml),
        "images": images,
        "target_files": target_files(vm, kept),
    }


@router.get("/sites/{slug}/networks", auth=needs(Permission.VIEW, ground=True), response=Networks)
def network_list(request: HttpRequest, slug: str) -> Any:
    return {"items": list(site_get(slug).networks.order_by("name"))}


@router.get("/sites/{slug}/resources", auth=needs(Permission.VIEW, ground=True), response=Resources)
def resource_list(request: HttpRequest, slug: str) -> Any:
    """Datastores and hosts."""
    ground = [SiteResource.Kind.DATASTORE, SiteResource.Kind.HOST]
    return {"items": list(site_get(slug).resources.filter(kind__in=ground).order_by("kind", "one_id"))}
