"""Secrets are planted wherever the portal takes one, used, refused, and then looked for in everything it says."""

from __future__ import annotations

import io
import json
import logging
import re
import zipfile
from collections.abc import Iterator
from typing import Any

import pytest
from django.apps import apps
from django.conf import settings
from django.core.management import call_command
from django.db import connection

from drportal.api import api
from drportal.audit.models import AuditEntry
from drportal.inventory.discovery import discover
from drportal.inventory.introduce import introduce
from drportal.inventory.models import CapturedDefinition, MirroredImage, SitePair, VirtualMachine
from drportal.lab.control import LabClient
from drportal.recovery.models import RecoveryPlan
from drportal.recovery.services.plans import PlanFields, plan_create
from drportal.roles import Role
from drportal.watch.models import AlertChannel
from tests.conftest import PASSWORD, Person, make_person

OPENNEBULA = "planted-0f31-opennebula"
MAIL = "planted-7c22-mail"
TYPED = "planted-5be0-typed-wrong"
CHANNEL = f"jsons://ops:{MAIL}@127.0.0.1:1/hook"


def paths_to_read(known: dict[str, Any]) -> Iterator[str]:
    """Every GET there is, filled with what exists."""
    for path, operations in api.get_openapi_schema(path_prefix="")["paths"].items():
        if "get" in operations:
            yield re.sub(r"\{(\w+)\}", lambda found: str(known.get(found[1], 1)), path)


@pytest.fixture
def planted(lab: LabClient, transactional_db: None) -> tuple[SitePair, list[str]]:
    """The lab's two sites, discovered with the secrets that the lab gave them."""
    pair = discover(introduce(lab.description).pk)
    secrets = [OPENNEBULA, MAIL, TYPED, PASSWORD, settings.SECRET_KEY, settings.SIGNING_KEY, *settings.ENCRYPTION_KEYS]
    for site in lab.description.sites.values():
        secrets += [site.opennebula.password]
        secrets += [line for line in site.ssh.private_key.splitlines() if len(line) > 40]
    assert len(secrets) > 9
    return pair, secrets


def use_and_refuse(administrator: Person, viewer: Person) -> Iterator[str]:
    """Every way in for a secret: taken, refused as wrong, refused as forbidden, and with a fault behind it."""
    secret = {"value": OPENNEBULA}
    for person, path, body in [
        (administrator, "/sites/site-b/credentials/opennebula_password", secret),
        (administrator, "/sites/site-b/credentials/ssh_key", secret),
        (administrator, "/sites/site-b/credentials/nothing", secret),
        (administrator, "/sites/site-b/credentials/opennebula_password", {"value": [OPENNEBULA]}),
        (administrator, "/sites/site-b/credentials/opennebula_password", {"secret": OPENNEBULA}),
        (viewer, "/sites/site-b/credentials/opennebula_password", secret),
    ]:
        yield person.api("PUT", path, body).content.decode()
    for person, path, body in [
        (administrator, "/alert-channels", {"name": "mail", "address": CHANNEL}),
        (administrator, "/alert-channels", {"name": "mail", "address": CHANNEL}),
        (administrator, "/alert-channels", {"name": "file", "address": f"file:///{MAIL}"}),
        (viewer, "/alert-channels", {"name": "other", "address": CHANNEL}),
        (viewer, "/session", {"username": "viewer", "password": TYPED}),
        (viewer, "/session", {"username": "viewer", "password": [TYPED]}),
        (viewer, "/session", {"username": "viewer", "password": TYPED * 100}),
    ]:
        yield person.api("POST", path, body).content.decode()
    channel = AlertChannel.objects.get()
    yield administrator.api("POST", f"/alert-channels/{channel.pk}/test").content.decode()
    yield administrator.api("GET", f"/nothing/here?password={TYPED[:3]}").content.decode()


def exported(person: Person) -> Iterator[str]:
    answer = person.api("GET", "/audit/export")
    with zipfile.ZipFile(io.BytesIO(b"".join(answer))) as made:  # type: ignore[arg-type]
        for name in made.namelist():
            yield made.read(name).decode()


def on_the_command_line() -> Iterator[str]:
    for words in (["trail", "export"], ["secrets", "status"], ["secrets", "rotate"]):
        out = io.StringIO()
        call_command(*words, stdout=out)
        yield out.getvalue()


def everything_kept() -> Iterator[str]:
    """Every row of every table: a dump of the database."""
    tables = set(connection.introspection.table_names())
    kept = [model for model in apps.get_models() if model._meta.db_table in tables]  # django-rq names one without
    assert len(kept) > 30
    for model in kept:
        for row in model._default_manager.values():
            yield f"{model.__name__}: {row!r} {json.dumps(row, default=str)}"


def test_planted_secrets_are_nowhere(
    lab: LabClient,
    planted: tuple[SitePair, list[str]],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pair, secrets = planted
    with caplog.at_level(logging.DEBUG):
        people = {role: make_person(role.value, role) for role in Role}
        administrator, manager = people[Role.ADMINISTRATOR], people[Role.MANAGER]
        said = list(use_and_refuse(administrator, people[Role.VIEWER]))
        token = administrator.api("POST", "/tokens", {"name": "planted", "days": 1}).json()["token"]
        discover(pair.pk)  # with the password that is wrong now
        lab.fail("a", "site-down")
        discover(pair.pk)
        vm, image = VirtualMachine.objects.filter(definitions__isnull=False).first(), MirroredImage.objects.first()
        assert vm is not None
        assert image is not None
        plan = plan_of(pair, vm)
        known = {
            "slug": "site-a", "pair_id": pair.pk, "image_id": image.pk, "vm_id": vm.pk, "name": image.pool,
            "plan_id": plan.pk, "group_id": plan.group_id, "seq": AuditEntry.objects.count(),
            "number": CapturedDefinition.objects.filter(vm=vm).first().number,  # type: ignore[union-attr]
        }  # fmt: skip
        paths = list(paths_to_read(known))
        found = 0
        for role, person in people.items():
            for path in paths:
                if path == "/audit/export":
                    continue
                answer = person.api("GET", path)
                found += answer.status_code == 200
                content = b"".join(answer) if answer.streaming else answer.content  # type: ignore[arg-type]
                said.append(f"{role} {path} {answer.status_code} {content.decode()}")
        said.append(administrator.get("/metrics", headers={"Authorization": f"Bearer {token}"}).content.decode())
        said += [*on_the_command_line(), *exported(manager)]
        monkeypatch.setattr("drportal.sealing.fernet", fault)
        broken = administrator.api("PUT", "/sites/site-b/credentials/opennebula_password", {"value": OPENNEBULA})
        assert (broken.status_code, broken.json()["code"]) == (500, "internal")
        said.append(broken.content.decode())
    said += [caplog.text, *everything_kept()]
    assert "unforeseen error in PUT" in caplog.text
    assert found > 25 * 4
    for secret in [*secrets, token]:
        assert not [text[:120] for text in said if secret in text], f"{secret[:12]}… is in there"
    assert administrator.api("GET", "/session").status_code == 200


def fault() -> Any:
    raise RuntimeError("a fault of the portal's own")


def plan_of(pair: SitePair, vm: VirtualMachine) -> RecoveryPlan:
    wanted = PlanFields(name="shop", group_name="shop", pair_id=pair.pk, home_site=vm.site.slug, members=[(vm.pk, 3)])
    return plan_create(fields=wanted, actor="test")
