"""The witnesses of a pair of sites over HTTP: hosts at a third place that look by themselves."""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Any

from django.http import HttpRequest
from ninja import Field, Router, Schema, Status

from drportal.api import asker, expected_version, needs
from drportal.inventory import witnesses
from drportal.inventory.api import HostKeysIn, SshHost, SshPort, SshTest, SshUser
from drportal.inventory.models import Witness as Row
from drportal.inventory.schemas_site import HostKey
from drportal.inventory.services import fingerprint, pair_get
from drportal.roles import Permission

router = Router()


class WitnessIn(Schema):
    """Its key is made by the portal."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9 ._-]{0,59}$")]
    ssh_host: SshHost
    ssh_port: SshPort = 22
    ssh_user: SshUser
    host_keys: list[str] = []


class Witness(Schema):
    """``authorized_key``: the line for its login's ``authorized_keys``, with which the portal may look from there and
    nothing else. ``looks``: whether it could be asked when it was last; null: not yet. ``since``, ``sentence``: of
    that."""

    id: int
    version: int
    name: str
    ssh_host: str
    ssh_port: int
    ssh_user: str
    host_keys: list[HostKey]
    authorized_key: str
    looks: bool | None
    since: dt.datetime | None
    sentence: str


class Witnesses(Schema):
    items: list[Witness]
    most: int


class WitnessTest(Schema):
    """``sees``: what it sees of both sites now, a sentence for each address."""

    ssh: SshTest
    sees: list[str]


@router.get("/pairs/{pair_id}/witnesses", auth=needs(Permission.VIEW, ground=True), response=Witnesses)
def witness_list(request: HttpRequest, pair_id: int) -> Any:
    rows = Row.objects.filter(pair=pair_get(pair_id))
    return {"items": [witness_out(row) for row in rows], "most": witnesses.MOST}


@router.post("/pairs/{pair_id}/witnesses", auth=needs(Permission.SITES, again=True), response={201: Witness})
def witness_create(request: HttpRequest, pair_id: int, body: WitnessIn) -> Any:
    """The portal makes a key for it; where its line is to be put is the answer's ``authorized_key``."""
    row = witnesses.witness_create(actor=asker(request).username, pair=pair_get(pair_id), fields=body.dict())
    return Status(201, witness_out(row))


@router.put(
    "/pairs/{pair_id}/witnesses/{int:witness_id}/host-keys",
    auth=needs(Permission.SITES, again=True),
    response=Witness,
)
def witness_host_keys_set(request: HttpRequest, pair_id: int, witness_id: int, body: HostKeysIn) -> Any:
    """Accept exactly these keys. Needs If-Match."""
    row, version = witnesses.witness_get(pair_id, witness_id), expected_version(request)
    who = asker(request).username
    return witness_out(witnesses.witness_host_keys_set(actor=who, witness=row, version=version, lines=body.lines))


@router.post("/pairs/{pair_id}/witnesses/{int:witness_id}/test", auth=needs(Permission.SITES), response=WitnessTest)
def witness_test(request: HttpRequest, pair_id: int, witness_id: int) -> Any:
    """Have it look at both sites now. Host keys are shown, none is trusted."""
    return witnesses.witness_test(witnesses.witness_get(pair_id, witness_id))


@router.delete(
    "/pairs/{pair_id}/witnesses/{int:witness_id}", auth=needs(Permission.SITES, again=True), response={204: None}
)
def witness_delete(request: HttpRequest, pair_id: int, witness_id: int) -> Any:
    row = witnesses.witness_get(pair_id, witness_id)
    witnesses.witness_delete(actor=asker(request).username, witness=row)
    return Status(204, None)


def witness_out(row: Row) -> Witness:
    newest = witnesses.newest_sight(row)
    return Witness(
        id=row.pk,
        version=row.version,
        name=row.name,
        ssh_host=row.ssh_host,
        ssh_port=row.ssh_port,
        ssh_user=row.ssh_user,
        host_keys=[HostKey(type=line.split()[0], fingerprint=fingerprint(line), line=line) for line in row.host_keys],
        authorized_key=witnesses.authorized_key(row),
        looks=bool(newest.echo) if newest else None,
        since=newest.since if newest else None,
        sentence=newest.sentence if newest and not newest.echo else "",
    )
