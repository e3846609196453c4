"""The portal's commands for sites, trail and demo, as a person types them."""

from __future__ import annotations

import json
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import transaction

from drportal.audit.check import verify_database
from drportal.audit.record import record
from drportal.inventory.discovery import discover
from drportal.inventory.introduce import introduce
from drportal.inventory.models import MirroredImage, Site, SitePair
from drportal.lab.control import LabClient
from drportal.recovery.models import RecoveryPlan

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def known(lab: LabClient) -> SitePair:
    return discover(introduce(lab.description).pk)


def said(*words: str) -> tuple[int, str]:
    """Exit status and output."""
    out = StringIO()
    try:
        call_command(*words, stdout=out)
    except SystemExit as end:
        return int(end.code or 0), out.getvalue()
    return 0, out.getvalue()


def test_a_verdict_says_protected_with_exit_status_0(known: SitePair) -> None:
    image = MirroredImage.objects.first()
    status, text = said("verdict", str(image))
    assert status == 0, text
    assert text.startswith(f"{image}: protected\n")
    assert "site-a: primary" in text
    assert "site-b: not primary" in text


def test_a_verdict_reads_now_and_says_what_is_wrong_with_exit_status_1(lab: LabClient, known: SitePair) -> None:
    lab.fail("a", "site-down")
    status, text = said("verdict", str(MirroredImage.objects.first()), "--json")
    told: dict[str, Any] = json.loads(text)
    assert (status, told["verdict"]) == (1, "replica_only")
    assert told["sides"]["site-a"]["reachable"] is False


def test_with_both_sites_dark_it_cannot_tell_with_exit_status_2(lab: LabClient, known: SitePair) -> None:
    for site in ("a", "b"):
        lab.fail(site, "site-down")
    status, text = said("verdict", str(MirroredImage.objects.first()))
    assert status == 2
    assert "cannot_tell" in text


@pytest.mark.parametrize(("name", "status"), [("one/nothing-here", 3), ("one/-rf", 2), ("no-slash", 2)])
def test_a_verdict_on_nothing_is_an_error(known: SitePair, name: str, status: int) -> None:
    with pytest.raises(CommandError) as refused:
        call_command("verdict", name)
    assert refused.value.returncode == status


def test_the_trail_can_be_exported_and_checked() -> None:
    with transaction.atomic():
        record("test.one", "x", {"text": "ä"}, actor="somebody")
    status, text = said("trail", "export")
    assert status == 0
    assert json.loads(text)["payload"] == {"text": "ä"}
    assert said("trail", "verify")[0] == 0
    status, text = said("trail", "verify", "--head", f"7:{'0' * 64}")
    assert status == 1
    assert "cut off" in text


def test_the_demo_is_introduced_once_and_refreshed_after_that(lab: LabClient, settings: Any) -> None:
    settings.DEMO = True
    directory = str(lab.directory)
    status, text = said("bootstrap_demo", directory)
    assert status == 0, text
    assert User.objects.get(username="operator").check_password("operator-demo")
    plan = RecoveryPlan.objects.get(name="web-shop")
    members = {member.vm.name: member.priority for member in plan.group.members.all()}
    assert members == {"db-1": 1, "app-1": 2, "web-1": 3}
    assert len(plan.network_map) == 1
    Site.objects.filter(slug="site-a").update(ssh_port=1, host_keys=[])
    said("bootstrap_demo", directory)
    site = Site.objects.get(slug="site-a")
    assert (site.ssh_port, len(site.host_keys)) == (lab.description.sites["a"].ssh.port, 1)
    assert (Site.objects.count(), SitePair.objects.count(), RecoveryPlan.objects.count()) == (2, 1, 1)
    assert verify_database().ok


def test_known_passwords_are_made_for_a_demo_only(lab: LabClient) -> None:
    with pytest.raises(CommandError, match="DRPORTAL_DEMO=1"):
        call_command("bootstrap_demo", str(lab.directory))
    assert not User.objects.exists()


def test_the_openapi_document_names_operations_by_their_functions(tmp_path: Path, settings: Any) -> None:
    settings.BASE_DIR = tmp_path
    (tmp_path / "docs").mkdir()
    with pytest.raises(CommandError, match="not what the code says"):
        call_command("openapi", "--check")
    call_command("openapi")
    call_command("openapi", "--check")
    document = json.loads((tmp_path / "docs" / "openapi.json").read_text())
    assert document["openapi"].startswith("3.1")
    names = [operation["operationId"] for path in document["paths"].values() for operation in path.values()]
    assert len(names) == len(set(names)), "each name once"
    assert {"session_get", "site_list", "image_get", "audit_verify"} <= set(names)
