"""Versions of a definition can be compared and taken away as the files that the published procedure asks for."""

from __future__ import annotations

import pytest

from drportal.inventory.discovery import discover
from drportal.inventory.models import CapturedDefinition, SitePair, VirtualMachine
from tests.conftest import Person

pytestmark = pytest.mark.django_db(transaction=True)


def test_versions_are_listed_compared_and_exported(viewer: Person, lab_pair: SitePair) -> None:
    discover(lab_pair.pk)
    vm = VirtualMachine.objects.get(site=lab_pair.a, name="web-1")
    first = vm.definitions.get()
    CapturedDefinition.objects.create(
        vm=vm,
        number=2,
        vm_xml=first.vm_xml.replace("<NAME>web-1</NAME>", "<NAME>web-one</NAME>"),
        images=first.images,
        sha256="1" * 64,
        captured_at=first.seen_at,
        seen_at=first.seen_at,
    )
    assert [row["number"] for row in viewer.read(f"/vms/{vm.pk}/definitions")["items"]] == [2, 1]
    lines = viewer.read(f"/vms/{vm.pk}/definitions/1/diff/2")["lines"]
    changed = [line.replace(" ", "") for line in lines if line[:1] in "+-" and line[:3] not in ("+++", "---")]
    assert changed == ["-<NAME>web-1</NAME>", "+<NAME>web-one</NAME>"]
    assert viewer.read(f"/vms/{vm.pk}/definitions/1/diff/1")["lines"] == []
    files = viewer.read(f"/vms/{vm.pk}/definitions/1/files")
    with_files = viewer.read(f"/vms/{vm.pk}/definitions")["items"][0]["disks"]
    assert with_files == [file["disk_id"] for file in files["image_files"]] != []
    disk = files["image_files"][0]
    answer = viewer.api("GET", f"/vms/{vm.pk}/definitions/1/files/image-{disk['disk_id']}")
    assert answer.status_code == 200
    assert answer.content.decode() == disk["text"]
    assert f"site-a-{vm.one_id}-1-image-" in answer["Content-Disposition"]
    assert viewer.api("GET", f"/vms/{vm.pk}/definitions/9/files").status_code == 404
    assert viewer.api("GET", f"/vms/{vm.pk}/definitions/1/files/passwd").status_code == 404
    assert viewer.api("GET", "/vms/999/definitions").status_code == 404
