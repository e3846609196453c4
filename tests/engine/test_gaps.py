"""Each gap is found where it is, not found where it is not, and comes with a command that names the right thing."""

from __future__ import annotations

import datetime as dt
import shlex
from dataclasses import replace

import pytest

from drportal.engine.facts import Mode, RoleFacts, Side, SideFacts
from drportal.engine.front_end_gaps import AliveVm, record_name_taken, registered_twice, twice_gaps
from drportal.engine.gap_base import Gap, GapCode, GapLevel, Host
from drportal.engine.gaps import (
    DiskGapFacts,
    ImageGapFacts,
    Room,
    VmGapFacts,
    image_gaps,
    room_gaps,
    skew_gap,
    snapshots_old,
    vm_gaps,
)
from drportal.engine.pool_gaps import PeerFacts, PoolGapFacts, pool_gaps
from drportal.engine.versions import ceph_support, opennebula_support

NOW = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
NAMES = {Side.A: "Site A", Side.B: "Site B"}
ALL = ("layering", "exclusive-lock", "journaling")
PRIMARY = RoleFacts(True, True, Mode.JOURNAL, "g", "1", None, NOW, ALL)
COPY = replace(PRIMARY, primary=False, image_id="2")
PLAIN = RoleFacts(True, None, None, None, "1", None, NOW, ("layering",))
ABSENT = RoleFacts(False, None, None, None, None, None, NOW)


def of_image(a: RoleFacts | None, b: RoleFacts | None, *, used: bool = True) -> list[Gap]:
    sides = {Side.A: SideFacts(True, a), Side.B: SideFacts(True, b)}
    return list(image_gaps(ImageGapFacts("one/one-1", used, sides), NAMES))


def codes(gaps: list[Gap]) -> list[GapCode]:
    return [gap.code for gap in gaps]


def texts(gap: Gap) -> list[str]:
    return [one.text for one in gap.commands]


def test_a_mirrored_image_has_no_gap() -> None:
    assert of_image(PRIMARY, COPY) == []
    assert of_image(PRIMARY, None) == [], "what was not read makes no gap"
    assert of_image(None, None) == []


def test_an_image_that_is_not_mirrored_is_a_gap_only_if_somebody_needs_it() -> None:
    gaps = of_image(PLAIN, ABSENT)
    assert codes(gaps) == [GapCode.NOT_MIRRORED, GapCode.FEATURES_OFF]
    assert texts(gaps[0]) == [
        "rbd feature enable one/one-1 exclusive-lock journaling && rbd mirror image enable one/one-1 journal",
        "rbd mirror image enable one/one-1 snapshot && rbd mirror snapshot schedule add --pool one --image one-1 5m",
    ], "for either mode; without exclusive-lock Ceph refuses to enable the journal"
    assert {one.site for one in gaps[0].commands} == {"Site A"}
    assert gaps[0].level is GapLevel.UNPROTECTED
    (whole,) = of_image(replace(PLAIN, features=ALL), ABSENT)
    assert texts(whole)[0] == "rbd mirror image enable one/one-1 journal"
    assert of_image(PLAIN, ABSENT, used=False) == []


def test_an_image_that_is_mirrored_and_has_no_copy_is_a_gap() -> None:
    (gap,) = of_image(PRIMARY, ABSENT)
    assert (gap.code, gap.level, gap.commands[0].site) == (GapCode.NO_COPY, GapLevel.UNPROTECTED, "Site A")
    assert "Site B has no copy of it" in gap.sentence
    (left,) = of_image(ABSENT, COPY)
    assert (left.code, left.commands[0].site) == (GapCode.NO_COPY, "Site B")
    assert "gone from Site A" in left.sentence
    assert of_image(PRIMARY, None) == [], "the other side was not read"


def test_a_stranger_under_the_same_name_is_told() -> None:
    (stranger,) = of_image(PRIMARY, replace(PLAIN, features=ALL))
    assert stranger.code is GapCode.IMAGE_COLLISION
    (rename,) = stranger.commands
    assert (rename.text, rename.site) == ("rbd mv one/one-1 one/one-1.before-mirroring", "Site B"), "not the primary"
    assert codes(of_image(PRIMARY, replace(COPY, global_id="h"))) == [GapCode.IMAGE_COLLISION]


def test_two_unmirrored_namesakes_collide_if_one_is_somebodys_disk() -> None:
    plain = replace(PLAIN, features=ALL)
    assert codes(of_image(plain, plain)) == [GapCode.NOT_MIRRORED, GapCode.IMAGE_COLLISION]
    assert of_image(plain, plain, used=False) == []


def test_a_clone_is_to_be_flattened_where_it_is_written() -> None:
    child = replace(PRIMARY, parent="one/base@snap")
    gaps = of_image(child, replace(COPY, parent="one/base@snap"))
    assert codes(gaps) == [GapCode.NOT_FLATTENED]
    assert texts(gaps[0]) == ["rbd flatten one/one-1"]
    assert "one/base@snap" in gaps[0].sentence


def test_missing_features_are_named() -> None:
    gaps = of_image(replace(PRIMARY, features=("layering",)), COPY)
    assert texts(gaps[0]) == ["rbd feature enable one/one-1 exclusive-lock journaling"]
    assert of_image(replace(PRIMARY, features=None), COPY) == [], "not read"
    snapshot = replace(PRIMARY, mode=Mode.SNAPSHOT, features=("layering",))
    assert of_image(snapshot, replace(COPY, mode=Mode.SNAPSHOT)) == []


def test_a_stuck_snapshot_schedule_is_asked_after() -> None:
    gap = snapshots_old("one/one-1", 7200, "Site A")
    assert texts(gap) == [
        "rbd mirror snapshot schedule status --pool one --image one-1",
        "rbd mirror image snapshot one/one-1",
    ]
    assert "2.0 h" in gap.sentence


VM = VmGapFacts(7, "db; rm", "Site A", (DiskGapFacts(0, "persistent", "one/one-1", True),), 60.0)


def test_disks_that_would_be_lost_are_told_with_their_number() -> None:
    assert list(vm_gaps(VM)) == []
    disks = (
        DiskGapFacts(0, "clone", "one/one-1-7-0", True),
        DiskGapFacts(1, "volatile", "", False),
        DiskGapFacts(2, "cdrom", "isos/iso.img", False),
        DiskGapFacts(3, "other", "/dev/sdb", False),
        DiskGapFacts(4, "persistent", "two/one-9", False),
    )
    gaps = list(vm_gaps(replace(VM, disks=disks)))
    assert codes(gaps) == [
        GapCode.NOT_PERSISTENT,
        GapCode.VOLATILE_DISK,
        GapCode.FOREIGN_DISK,
        GapCode.FOREIGN_DISK,
        GapCode.POOL_UNMIRRORED,
    ]
    assert [shlex.split(text) for text in texts(gaps[0])] == [
        ["onevm", "poweroff", "7"],
        ["onevm", "disk-saveas", "7", "0", "db; rm-disk-0"],
        ["oneimage", "persistent", "db; rm-disk-0"],
        ["onevm", "disk-detach", "7", "0"],
        ["onevm", "disk-attach", "7", "--image", "db; rm-disk-0"],
        ["onevm", "resume", "7"],
    ], "quoted for the shell"
    assert {one.host for one in gaps[0].commands} == {Host.FRONT_END}
    assert texts(gaps[1]) == ["onevm disk-detach 7 1"]
    assert texts(gaps[4]) == ["rbd mirror pool enable two image"]


def test_definitions_and_networks() -> None:
    assert codes(list(vm_gaps(replace(VM, definition_age_s=None)))) == [GapCode.NO_DEFINITION]
    assert codes(list(vm_gaps(replace(VM, definition_age_s=25 * 3600)))) == [GapCode.DEFINITION_OLD]
    assert codes(list(vm_gaps(replace(VM, unmapped=("lan", "dmz"))))) == [GapCode.NETWORK_UNMAPPED] * 2
    assert codes(list(vm_gaps(replace(VM, drifted="It changed.")))) == [GapCode.DEFINITION_DRIFTED]
    (device,) = vm_gaps(replace(VM, devices=((2, "10de:0863 at 02:00.0"),)))
    assert (device.code, texts(device)) == (GapCode.HOST_DEVICE, ["onevm pci-detach 7 2"])


def test_what_is_done_in_the_portal_leads_to_the_page_that_does_it() -> None:
    placed = replace(VM, vm_path="/vms/3", plan_path="/plans/9/edit", site_path="/sites/site-a")

    def paths(**changes: object) -> list[str]:
        return [gap.path for gap in vm_gaps(replace(placed, **changes))]  # type: ignore[arg-type]

    assert paths(definition_age_s=None) == ["/sites"]
    assert paths(definition_age_s=25 * 3600) == ["/sites/site-a"]
    assert paths(unmapped=("lan",)) == ["/plans/9/edit"]
    assert paths(drifted="It changed.") == ["/plans/9/edit"]


POOL = PoolGapFacts("one", "image", (PeerFacts("u1", "rx-tx"),), True)


@pytest.mark.parametrize(
    ("pool", "expected"),
    [
        (POOL, []),
        (replace(POOL, daemon_healthy=None), []),
        (replace(POOL, daemon_healthy=False), [GapCode.DAEMON_DEAD]),
        (replace(POOL, peers=(PeerFacts("u1", "tx-only"),)), [GapCode.PEER_ONE_WAY]),
        (replace(POOL, peers=()), [GapCode.NO_PEER]),
        (replace(POOL, mode="disabled", daemon_healthy=False), [GapCode.POOL_UNMIRRORED]),
        (replace(POOL, peers=(), daemon_healthy=False, gone=True), [GapCode.POOL_GONE]),
    ],
)
def test_pools(pool: PoolGapFacts, expected: list[GapCode]) -> None:
    assert codes(list(pool_gaps(pool, "Site B", POOL, "Site A"))) == expected


def test_two_pools_are_made_each_others_peers_with_what_is_typed_at_which_site() -> None:
    mine, theirs = (replace(POOL, peers=(PeerFacts(*peer),)) for peer in (("u1", "rx-only"), ("u2", "tx-only")))
    (gap,) = pool_gaps(mine, "Site B", theirs, "Site A")
    create = ("Site A", "(umask 077; rbd mirror pool peer bootstrap create one > one.peer-token)")
    take = "rbd mirror pool peer bootstrap import --direction rx-tx one one.peer-token && rm one.peer-token"
    typed = [(one.site, one.text) for one in gap.commands]
    assert typed == [
        ("Site B", "rbd mirror pool peer remove one u1"),
        ("Site A", "rbd mirror pool peer remove one u2"),
        create,
        ("Site B", take),
    ]
    (lonely,) = pool_gaps(replace(POOL, peers=()), "Site B", None, "Site A")
    assert [(one.site, one.text) for one in lonely.commands] == [create, ("Site B", take)]
    (off,) = pool_gaps(replace(POOL, mode="disabled", peers=()), "Site B", None, "Site A")
    assert texts(off)[0] == "rbd mirror pool enable one image"
    assert texts(off)[1:] == texts(lonely)


def test_clocks() -> None:
    assert skew_gap("Site A", None) is None
    assert skew_gap("Site A", 1.5) is None
    slow, fast = skew_gap("Site A", -6), skew_gap("Site A", 45)
    assert slow is not None
    assert fast is not None
    assert (slow.level, fast.level) == (GapLevel.NOTE, GapLevel.RISK)
    assert "behind" in slow.sentence


def vm(key: str, site: str, one_id: int, **fields: object) -> AliveVm:
    given: dict[str, object] = {
        "name": f"vm-{key}",
        "phase": "running",
        "copy_of": "",
        "addresses": (f"02:00:{key}",),
        "sources": {f"one/one-{key}": 0},
    }
    return AliveVm(key=key, site=site, one_id=one_id, **{**given, **fields})  # type: ignore[arg-type]


def test_what_only_one_may_have() -> None:
    home = vm("1", "Site A", 1)
    copy = vm("2", "Site B", 9, name="vm-1", copy_of="1", addresses=home.addresses, sources=home.sources)
    assert list(twice_gaps([home, replace(copy, phase="off")])) == [], "a copy at rest is what a failover leaves behind"
    assert codes(list(twice_gaps([home, copy]))) == [GapCode.ADDRESS_TWICE]
    (unknown,) = twice_gaps([home, copy])
    assert len(unknown.commands) == 2, "in no group: nobody here knows which one is meant to run"
    for active, other in (("Site A", copy), ("Site B", home)):
        (gap,) = twice_gaps([replace(home, active_at=active), replace(copy, active_at=active)])
        typed = [(one.text, one.site) for one in gap.commands]
        assert typed == [(f"onevm poweroff {other.one_id}", other.site)], "never the one that serves"
    stranger = vm("3", "Site B", 4, name="vm-1")
    assert codes(list(twice_gaps([home, stranger]))) == [GapCode.NAME_TAKEN]
    same_disk = vm("4", "Site A", 5, sources=home.sources, phase="off")
    gaps = list(twice_gaps([home, same_disk]))
    assert codes(gaps) == [GapCode.SOURCE_TWICE]
    assert "vm-1 (Site A VM 1), vm-4 (Site A VM 5)" in gaps[0].sentence
    assert texts(gaps[0]) == ["onevm disk-detach 1 0", "onevm disk-detach 5 0"]


def test_a_record_that_shares_its_disk_is_locked_never_deleted() -> None:
    gap = registered_twice("one/one-1", "Site A", {12, 3})
    assert texts(gap) == ["oneimage lock 3", "oneimage lock 12"]


def test_a_name_under_which_nothing_can_be_registered_is_told_before_a_run_stops_at_it() -> None:
    gap = record_name_taken("web", "Site B", "Site A", [("one/one-1", 1)], 7)
    assert (gap.code, gap.level, gap.subject) == (GapCode.NAME_TAKEN, GapLevel.RISK, "image web at Site B")
    assert "one/one-1" in gap.sentence
    assert [(one.text, one.site) for one in gap.commands] == [("oneimage rename 7 web-7", "Site B")]
    both = record_name_taken("web", "Site B", "Site A", [("one/one-1", 1), ("one/one-2", 2)], None)
    typed = [(one.text, one.site) for one in both.commands]
    assert typed == [("oneimage rename 1 web-1", "Site A"), ("oneimage rename 2 web-2", "Site A")]


def test_room() -> None:
    needed = Room(4096, 8, 51200)

    def gaps(*free: float | None) -> list[Gap]:
        return list(room_gaps("shop", "Site B", needed, Room(*free), "100"))

    assert gaps(None, None, None) == [], "not read"
    assert gaps(4096, 8, 51200) == []
    memory, cpus, disk = gaps(2048, 7.5, 10240)
    assert "4.0 GiB of memory; the hosts of Site B have 2.0 GiB free" in memory.sentence
    assert "need 8 CPUs; the hosts of Site B have 7.5 free" in cpus.sentence
    assert "largest disk has 50.0 GiB" in disk.sentence
    assert "10.0 GiB are free" in disk.sentence
    assert texts(disk) == [
        "onedatastore show 100",
        "echo DATASTORE_CAPACITY_CHECK=NO | onedatastore update 100 /dev/stdin --append",
    ]
    assert {gap.code for gap in (memory, cpus, disk)} == {GapCode.NO_ROOM}
    assert [gap.level for gap in (memory, cpus, disk)] == [GapLevel.RISK, GapLevel.RISK, GapLevel.NOTE]


def test_versions() -> None:
    assert ceph_support("16.2.15").ok is True
    assert ceph_support("14.2.22").ok is False
    assert ceph_support("20.1.0").ok is False
    assert ceph_support("").ok is None
    assert opennebula_support("7.5.80").ok is True
    assert opennebula_support("5.12.0").ok is False
