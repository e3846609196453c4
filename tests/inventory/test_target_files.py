"""The files of a captured definition are taken by the other side's OpenNebula as they stand."""

from __future__ import annotations

from types import SimpleNamespace

from drportal.inventory.target_files import target_files
from tests.lab.nebula.conftest import Clock, Front


def test_image_files_then_the_vm_template_make_the_vm_at_the_other_side() -> None:
    clock = Clock()
    home, target = Front(clock), Front(clock)
    vm_id = home.running("web 1st", disks=2)
    disks = home.vm(vm_id).template.vectors("DISK")
    kept = SimpleNamespace(
        vm_xml=home.call("vm.info", vm_id),
        images={
            disk["DISK_ID"]: {
                "name": disk["IMAGE"], "source": disk["SOURCE"], "type_word": "OS", "size_bytes": 256 * 2**20,
                "dev_prefix": "vd",
            }
            for disk in disks
        },
    )  # fmt: skip
    plan = SimpleNamespace(network_map={"0": 0})
    vm = SimpleNamespace(
        name="web 1st", one_id=vm_id, site=SimpleNamespace(slug="site-a"),
        membership=SimpleNamespace(group=SimpleNamespace(plan=plan)),
    )  # fmt: skip
    files = target_files(vm, kept)  # type: ignore[arg-type]
    assert files.vm_template is not None, files.why_not
    assert files.vm_template.startswith('NAME="web 1st"\n'), "as the published procedure has it"
    assert f'SOURCE="{disks[0]["SOURCE"]}"\n' in files.image_files[0].text
    for disk in disks:
        target.storage.add(disk["SOURCE"], mib=256)
    taken = [target.number("image.allocate", file.text, 100) for file in files.image_files]
    made = target.number("vm.allocate", files.vm_template)
    assert [disk["IMAGE_ID"] for disk in target.vm(made).template.vectors("DISK")] == [str(one) for one in taken]
    assert [disk["SOURCE"] for disk in target.vm(made).template.vectors("DISK")] == [disk["SOURCE"] for disk in disks]
    target.wait()
    assert target.vm(made).state_name == "RUNNING"
