from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drportal.drivers.opennebula_templates import TemplateError, as_file, image_template, vm_template
from drportal.lab.embedded.nebula.syntax import parse_template

ROOT = Path(__file__).resolve().parents[1] / "fixtures" / "opennebula"
DB = (ROOT / "measured-7.5.80" / "13-vm-info-running-persistent.xml").read_text()
WEB = (ROOT / "ceph-lab-7.5.80" / "20-vm-running.xml").read_text()
# What must never travel: numbers, names and secrets that mean something only at home.
HOME_ONLY = [
    *(
        "CEPH_HOST",
        "CEPH_SECRET",
        "CEPH_USER",
        "POOL_NAME",
        "SOURCE",
        "DATASTORE",
        "DATASTORE_ID",
        "IMAGE",
        "CLUSTER_ID",
    ),
    *("DISK_ID", "NIC_ID", "AR_ID", "BRIDGE", "MAC", "IP", "GATEWAY", "DNS", "SECURITY_GROUPS", "VN_MAD", "TM_MAD"),
    *("VMID", "TEMPLATE_ID", "PORT", "SCHED_REQUIREMENTS", "SCHED_MESSAGE", "ERROR", "SECURITY_GROUP_RULE", "SIZE"),
    *("AUTOMATIC_DS_REQUIREMENTS", "AUTOMATIC_REQUIREMENTS", "AUTOMATIC_NIC_REQUIREMENTS", "SNAPSHOT", "ORIGINAL_SIZE"),
    *("SUBMIT_ON_HOLD", "PERSISTENT", "CLONE", "SAVE", "PCI"),
]


def built(vm_xml: str = DB, **changes: Any) -> ET.Element:
    values: dict[str, Any] = {
        "name": "db01",
        "image_ids": {0: 70, 1: 71, 2: 72},
        "networks": {0: 9},
        "marker": "g1-2-b",
        "home_marker": "site-a/2",
    }
    return ET.fromstring(vm_template(vm_xml, **(values | changes)))


def image(**changes: Any) -> ET.Element:
    values: dict[str, Any] = {
        "name": "db01-disk-0",
        "source": "one/one-0",
        "size_bytes": 256 * 2**20,
        "type_word": "OS",
        "dev_prefix": "vd",
        "marker": "m1",
    }
    return ET.fromstring(image_template(**(values | changes)))


def changed(vm_xml: str, path: str, extra: str) -> str:
    root = ET.fromstring(vm_xml)
    parent = root.find(path)
    assert parent is not None
    parent.extend(ET.fromstring(f"<X>{extra}</X>"))
    return ET.tostring(root, encoding="unicode")


def test_disks_get_the_targets_image_numbers_in_their_order() -> None:
    disks = built().findall("DISK")
    assert [(disk.findtext("IMAGE_ID"), disk.findtext("TARGET")) for disk in disks] == [
        ("70", "vda"),
        ("71", "vdb"),
        ("72", "sda"),
    ]


@pytest.mark.parametrize("vm_xml", [DB, WEB])
def test_nothing_that_means_something_only_at_home_travels(vm_xml: str) -> None:
    tags = {element.tag for element in built(vm_xml).iter()}
    assert tags.isdisjoint(HOME_ONLY)
    assert not any(tag.startswith("ETH0_") for tag in tags)


def test_the_machine_itself_stays_the_same() -> None:
    root = built()
    kept = {tag: root.findtext(tag) for tag in ("CPU", "VCPU", "MEMORY", "OS/UUID", "OS/ARCH", "FEATURES/ACPI")}
    assert kept == {
        "CPU": "0.5",
        "VCPU": "2",
        "MEMORY": "512",
        "OS/UUID": "6adc0ea1-18a9-46e4-ae00-11fe40cd042d",
        "OS/ARCH": "x86_64",
        "FEATURES/ACPI": "YES",
    }
    assert root.findtext("GRAPHICS/TYPE") == "VNC"
    assert root.findtext("TM_MAD_SYSTEM") == "ceph"
    assert root.findtext("CONTEXT/PASSWORD_BASE64") == "c2VjcmV0"
    assert root.findtext("OWNER_TEAM") == "payments"


def test_it_carries_our_marks_once_and_not_those_of_before() -> None:
    again = changed(DB, "USER_TEMPLATE", "<DR_MARKER>old</DR_MARKER><DR_HOME>old/1</DR_HOME>")
    root = built(again)
    assert [element.text for element in root.findall("DR_MARKER")] == ["g1-2-b"]
    assert [element.text for element in root.findall("DR_HOME")] == ["site-a/2"]


def test_the_network_is_mapped_and_addresses_are_left_to_it() -> None:
    root = built()
    (nic,) = root.findall("NIC")
    assert {child.tag: child.text for child in nic} == {"NETWORK_ID": "9", "MODEL": "virtio"}
    assert root.findtext("CONTEXT/NETWORK") == "YES"
    assert built(networks={"0": 9}).findtext("NIC/NETWORK_ID") == "9"
    assert built(networks={"prod": 9}).findtext("NIC/NETWORK_ID") == "9"


@pytest.mark.parametrize("gap", [{"image_ids": {0: 70, 1: 71}}, {"networks": {}}, {"networks": {1: 9}}])
def test_a_disk_or_network_without_a_counterpart_is_refused_and_not_left_out(gap: dict[str, Any]) -> None:
    with pytest.raises(TemplateError, match="other side"):
        built(**gap)


def test_a_boot_order_follows_the_new_numbers_of_the_disks() -> None:
    root = ET.fromstring(DB)
    template = root.find("TEMPLATE")
    assert template is not None
    template.remove(template.findall("DISK")[0])
    boot = template.find("OS/BOOT")
    assert boot is not None
    boot.text = "disk1,nic0"
    made = built(ET.tostring(root, encoding="unicode"))
    assert [disk.findtext("IMAGE_ID") for disk in made.findall("DISK")] == ["71", "72"]
    assert made.findtext("OS/BOOT") == "disk0,nic0", "what was disk 1 at home is disk 0 here"


@pytest.mark.parametrize("word", ["DISK", "NIC", "OS", "disk", "CONTEXT", "PCI", "MEMORY", "NIC_ALIAS"])
def test_a_users_attribute_cannot_become_a_part_of_the_machine(word: str) -> None:
    smuggled = changed(DB, "USER_TEMPLATE", f"<{word}><IMAGE_ID>1</IMAGE_ID></{word}>")
    before, after = built(), built(smuggled)
    assert [child.tag for child in after] == [child.tag for child in before]


@given(st.text(alphabet=st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=60))
def test_no_value_can_add_an_attribute(text: str) -> None:
    hostile = text + '"]\nDISK=[IMAGE_ID="1"]</DESCRIPTION><DISK><IMAGE_ID>1</IMAGE_ID></DISK><DESCRIPTION>'
    root = ET.fromstring(DB)
    user = root.find("USER_TEMPLATE")
    assert user is not None
    ET.SubElement(user, "DESCRIPTION").text = hostile
    try:
        made = built(ET.tostring(root, encoding="unicode"), marker=hostile)
    except TemplateError as error:
        assert "XML" in str(error)
        return
    assert len(made.findall("DISK")) == 3
    assert made.findtext("DR_MARKER") == hostile.replace("\r", "\n")


@pytest.mark.parametrize("vm_xml", ["", "<VM>", "<VM><ID>1</ID></VM>", "<IMAGE><TEMPLATE/></IMAGE>", "no"])
def test_a_capture_that_is_no_vm_is_refused(vm_xml: str) -> None:
    with pytest.raises(TemplateError):
        built(vm_xml)


def test_an_image_record_names_the_rbd_image_and_its_true_size() -> None:
    assert {child.tag: child.text for child in image()} == {
        "NAME": "db01-disk-0",
        "TYPE": "OS",
        "PERSISTENT": "YES",
        "SOURCE": "one/one-0",
        "FORMAT": "raw",
        "SIZE": "256",
        "DEV_PREFIX": "vd",
        "DR_MARKER": "m1",
    }
    assert image(size_bytes=256 * 2**20 + 1).findtext("SIZE") == "257"
    assert image(size_bytes=1).findtext("SIZE") == "1"


@pytest.mark.parametrize(
    "wrong",
    [
        {"size_bytes": 0},
        {"size_bytes": -5},
        {"type_word": "CDROM"},
        {"type_word": "0"},
        {"name": ""},
        {"name": "a/b"},
        {"name": 'a"b'},
        {"name": "x" * 129},
        {"marker": "a\x00b"},
    ],
)
def test_an_image_record_that_opennebula_would_wrongly_accept_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(TemplateError):
        image(**wrong)


@given(st.dictionaries(st.sampled_from(["A", "B_2", "C-3"]), st.text('aB1 "\\],#=[<&>\n', max_size=8).map(str.strip)))
def test_a_file_in_opennebulas_own_notation_says_what_the_template_says(values: dict[str, str]) -> None:
    root = ET.Element("TEMPLATE")
    for tag, text in values.items():
        ET.SubElement(root, tag).text = text
    vector = ET.SubElement(root, "CONTEXT")
    for tag, text in values.items():
        ET.SubElement(vector, tag).text = text
    ET.SubElement(vector, "NETWORK").text = "YES"
    written = ET.tostring(root, encoding="unicode")
    assert list(parse_template(as_file(written)).items()) == list(parse_template(written).items())


def test_what_that_notation_cannot_carry_stays_xml() -> None:
    def kept(text: str, tag: str = "A") -> bool:
        root = ET.Element("TEMPLATE")
        ET.SubElement(root, tag).text = text
        return as_file(ET.tostring(root, encoding="unicode")).startswith("<")

    assert not kept('a "quoted" word, C:\\dir')
    assert all(kept(text) for text in ('its \\" stays', "C:\\", "a[b[0]]>c"))
    assert kept("1", "NOT-PLAIN")
