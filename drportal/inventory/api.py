"""Sites and pairs over HTTP. (Images and VMs: ``api_assets.py``.)"""

from __future__ import annotations

from typing import Annotated, Any

from django.http import HttpRequest
from ninja import Field, Router, Schema, Status
from pydantic import AfterValidator, HttpUrl

from drportal.api import asker, asking, expected_version, needs, seen
from drportal.drivers.names import checked_name
from drportal.inventory import models, services
from drportal.inventory.connect import credential
from drportal.inventory.connection_test import connection_test
from drportal.inventory.models import CephThrough, Credential, SitePair
from drportal.inventory.schemas import Pair, Site, pair_out, site_out
from drportal.inventory.sights import MOST_FURTHER
from drportal.roles import Permission

router = Router()


def _ceph_user(value: str) -> str:
    return checked_name(value, "Ceph user") if value else ""


def _pool(value: str) -> str:
    return checked_name(value, "pool")


def _web_address(value: str) -> str:
    address = HttpUrl(value)
    if address.username or address.password:
        raise ValueError("user and password do not belong into the address: it is shown to everybody")
    return value


SshHost = Annotated[str, Field(pattern=r"^[A-Za-z0-9]([A-Za-z0-9.:-]{0,253})$")]
SshPort = Annotated[int, Field(ge=1, le=65535)]
SshUser = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_.-]{0,31}$")]
CephUser = Annotated[str, Field(max_length=64), AfterValidator(_ceph_user)]
Directory = Annotated[str, Field(max_length=200, pattern=r"^(/[A-Za-z0-9_.-]+)*$")]
PoolName = Annotated[str, AfterValidator(_pool)]
WebAddress = Annotated[str, Field(max_length=300), AfterValidator(_web_address)]
UserName = Annotated[str, Field(min_length=1, max_length=100, pattern=r"^[^:\s]+$")]
SiteName = Annotated[str, Field(min_length=1, max_length=100)]
Slug = Annotated[str, Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$", max_length=50)]
Secret = Annotated[str, Field(max_length=20_000)]


class LookedFor(Schema):
    """An address at which a site is looked for besides: a monitor, another host. ``what``: its name for people."""

    what: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9 ._-]{0,59}$")]
    host: SshHost
    port: SshPort


def _looked_for(given: list[LookedFor]) -> list[LookedFor]:
    names = [one.what for one in given]
    if len({*names, "SSH host", "OpenNebula"}) < len(names) + 2:
        raise ValueError("each address needs a name of its own, other than “SSH host” and “OpenNebula”")
    return given


LookedForList = Annotated[list[LookedFor], Field(max_length=MOST_FURTHER), AfterValidator(_looked_for)]


class SiteIn(Schema):
    slug: Slug
    name: SiteName
    ssh_host: SshHost
    ssh_port: SshPort = 22
    ssh_user: SshUser
    ceph_through: CephThrough = CephThrough.PROGRAM
    ceph_user: CephUser = ""
    salvage_dir: Directory = ""
    looked_for: LookedForList = []
    opennebula_url: WebAddress
    opennebula_user: UserName
    host_keys: list[str] = []


class SiteChange(Schema):
    """Only what is given is changed."""

    name: SiteName | None = None
    ssh_host: SshHost | None = None
    ssh_port: SshPort | None = None
    ssh_user: SshUser | None = None
    ceph_through: CephThrough | None = None
    ceph_user: CephUser | None = None
    salvage_dir: Directory | None = None
    looked_for: LookedForList | None = None
    opennebula_url: WebAddress | None = None
    opennebula_user: UserName | None = None


class Sites(Schema):
    items: list[Site]


class HostKeysIn(Schema):
    lines: list[str]


class CredentialIn(Schema):
    value: Secret


class ConnectionTestIn(Schema):
    """``slug``: take what is left out here, secrets too, from that site."""

    ssh_host: SshHost
    ssh_port: SshPort = 22
    ssh_user: SshUser
    ssh_key: Secret | None = None
    host_keys: list[str] | None = None
    ceph_through: CephThrough | None = None
    ceph_user: CephUser | None = None
    pool: PoolName | None = None
    opennebula_url: WebAddress
    opennebula_user: UserName
    opennebula_password: Secret | None = None
    slug: str | None = None


class OfferedKey(Schema):
    type: str
    fingerprint: str
    line: str
    accepted: bool


class PartTest(Schema):
    outcome: str
    sentence: str
    version: str = ""


class SshTest(Schema):
    outcome: str
    sentence: str
    offered_keys: list[OfferedKey] = []


class ConnectionTest(Schema):
    ssh: SshTest
    ceph: PartTest
    opennebula: PartTest


class PairIn(Schema):
    a: str
    b: str
    pools: list[PoolName] = []


class Pairs(Schema):
    items: list[Pair]


@router.get("/sites", auth=needs(Permission.VIEW), response=Sites)
def site_list(request: HttpRequest) -> Any:
    rows = seen(request, models.Site.objects.prefetch_related("credentials", "pools"), ground=True)
    return {"items": [site_out(site) for site in rows]}


@router.post("/sites", auth=needs(Permission.SITES, again=True, everywhere=True), response={201: Site})
def site_create(request: HttpRequest, body: SiteIn) -> Any:
    return Status(201, site_out(services.site_create(actor=asker(request).username, fields=body.dict())))


@router.post("/sites/connection-test", auth=needs(Permission.SITES), response=ConnectionTest)
def site_connection_test(request: HttpRequest, body: ConnectionTestIn) -> Any:
    """Try addresses and secrets now. Host keys are shown, none is trusted. Without a site: for who may change all."""
    if body.slug:
        asking(request).require(Permission.SITES, models.Site.objects.filter(slug=body.slug))
    else:
        asking(request).require_everywhere(Permission.SITES)
    stored = services.site_get(body.slug) if body.slug else None
    given = body.host_keys if body.host_keys is not None else (stored.host_keys if stored else [])
    ceph_user = body.ceph_user if body.ceph_user is not None else (stored.ceph_user if stored else "")
    plain = body.dict(include={"ssh_host", "ssh_port", "ssh_user", "opennebula_url", "opennebula_user"})
    through = body.ceph_through or (stored.ceph_through if stored else CephThrough.PROGRAM)
    host_keys = services.checked_host_keys(given)
    site = models.Site(**plain, ceph_user=ceph_user, ceph_through=through, host_keys=host_keys)
    if body.ssh_key:
        services.check_private_key(body.ssh_key)
    return connection_test(
        site,
        body.ssh_key or _stored(stored, Credential.Kind.SSH_KEY),
        body.opennebula_password or _stored(stored, Credential.Kind.OPENNEBULA_PASSWORD),
        body.pool,
    )


def _stored(site: models.Site | None, kind: Credential.Kind) -> str | None:
    """A secret of a stored site, if there is one."""
    return credential(site, kind) if site and site.credentials.filter(kind=kind).exists() else None


@router.get("/sites/{slug}", auth=needs(Permission.VIEW, ground=True), response=Site)
def site_get(request: HttpRequest, slug: str) -> Any:
    return site_out(services.site_get(slug))


@router.patch("/sites/{slug}", auth=needs(Permission.SITES, again=True), response=Site)
def site_change(request: HttpRequest, slug: str, body: SiteChange) -> Any:
    """Needs If-Match."""
    fields = {name: value for name, value in body.dict(exclude_unset=True).items() if value is not None}
    version = expected_version(request)
    return site_out(services.site_change(actor=asker(request).username, slug=slug, version=version, fields=fields))


@router.delete("/sites/{slug}", auth=needs(Permission.SITES, again=True), response={204: None})
def site_delete(request: HttpRequest, slug: str) -> Any:
    """409 while the site belongs to a pair."""
    services.site_delete(actor=asker(request).username, slug=slug)
    return Status(204, None)


@router.put("/sites/{slug}/credentials/{kind}", auth=needs(Permission.SITES, again=True), response={204: None})
def site_credential_set(request: HttpRequest, slug: str, kind: str, body: CredentialIn) -> Any:
    """Store a secret (ssh_key or opennebula_password). It can be replaced, never read."""
    services.credential_set(actor=asker(request).username, slug=slug, kind=kind, value=body.value)
    return Status(204, None)


@router.put("/sites/{slug}/host-keys", auth=needs(Permission.SITES, again=True), response=Site)
def site_host_keys_set(request: HttpRequest, slug: str, body: HostKeysIn) -> Any:
    """Accept exactly these keys. Needs If-Match."""
    version = expected_version(request)
    site = services.host_keys_set(actor=asker(request).username, slug=slug, version=version, lines=body.lines)
    return site_out(site)


@router.get("/pairs", auth=needs(Permission.VIEW), response=Pairs)
def pair_list(request: HttpRequest) -> Any:
    rows = seen(request, SitePair.objects.select_related("a", "b").order_by("pk"), ground=True)
    return {"items": [pair_out(pair) for pair in rows]}


@router.post("/pairs", auth=needs(Permission.SITES, again=True, everywhere=True), response={201: Pair})
def pair_create(request: HttpRequest, body: PairIn) -> Any:
    pair = services.pair_create(actor=asker(request).username, a=body.a, b=body.b, pools=body.pools)
    return Status(201, pair_out(pair))


@router.post("/pairs/{pair_id}/discover", auth=needs(Permission.DISCOVER), response={202: Pair})
def pair_discover(request: HttpRequest, pair_id: int) -> Any:
    """Have a worker look at both sites whole; progress is in ``discovery``."""
    return Status(202, pair_out(services.pair_discover(actor=asker(request).username, pair_id=pair_id)))
