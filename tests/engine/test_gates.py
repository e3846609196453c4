"""Each gate by itself: met, not met, cannot tell, and the words."""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drportal.engine.facts import (
    DiskFacts,
    JournalFacts,
    MirrorSnap,
    Mode,
    Position,
    RoleFacts,
    SideFacts,
    SnapshotFacts,
    StatusFacts,
    VmFacts,
    WatcherFacts,
)
from drportal.engine.force_gates import g_fence
from drportal.engine.gates import (
    GATE_TITLES,
    GateId,
    GateOutcome,
    GateResult,
    all_of,
    confirmed,
    g_demoted,
    g_meta,
    g_off,
    g_one,
    g_path,
    g_peer_off,
    g_promoted,
    g_return,
    g_runs,
    g_sync,
)
from tests.engine.strategies import NOW, journals, roles, sides, snapshot_lists

MET, NOT_MET, CANNOT_TELL = GateOutcome.MET, GateOutcome.NOT_MET, GateOutcome.CANNOT_TELL
POSITION = Position(5, 0, 0)


def ago(seconds: float) -> dt.datetime:
    return NOW - dt.timedelta(seconds=seconds)


def vm(phase: str = "off", age_s: float = 1) -> VmFacts:
    return VmFacts(phase, phase.upper(), False, None, ago(age_s))


def role(primary: bool | None, age_s: float = 2, mode: Mode = Mode.JOURNAL) -> RoleFacts:
    return RoleFacts(True, primary, mode, "g", "i", None, ago(age_s))


def positions(local: Position | None, peer: Position | None, age_s: float = 1) -> JournalFacts:
    return JournalFacts(local, peer, True, ago(age_s))


def snapshot_list(*snaps: MirrorSnap, age_s: float = 1) -> SnapshotFacts:
    return SnapshotFacts(snaps, ago(age_s))


def watchers(*foreign: str, age_s: float = 1) -> WatcherFacts:
    return WatcherFacts(foreign, len(foreign) + 1, ago(age_s))


# --- G-OFF and G-PEER-OFF ---


@pytest.mark.parametrize("phase", ["off", "undeployed", "gone"])
def test_a_vm_without_a_process_is_off(phase: str) -> None:
    assert g_off(vm(phase), watchers(), NOW).outcome is MET
    assert g_peer_off(vm(phase), NOW).outcome is MET


@pytest.mark.parametrize("phase", ["running", "suspended", "stopped", "moving", "stuck", "pending", "hold", "new word"])
def test_a_vm_that_runs_or_may_run_or_has_its_memory_saved_is_not_off(phase: str) -> None:
    for result in (g_off(vm(phase), watchers(), NOW), g_peer_off(vm(phase), NOW)):
        assert result.outcome is NOT_MET
        assert result.remedy


def test_a_foreign_watcher_keeps_the_gate_shut_though_opennebula_says_off() -> None:
    result = g_off(vm(), watchers("10.0.0.9:0/1"), NOW)
    assert result.outcome is NOT_MET
    assert "10.0.0.9:0/1" in result.sentence


def test_what_was_not_read_or_read_long_ago_cannot_be_told() -> None:
    for seen in (
        g_off(None, watchers(), NOW),
        g_off(vm(), None, NOW),
        g_off(vm(age_s=60), watchers(), NOW),
        g_off(vm(), watchers(age_s=60), NOW),
        g_peer_off(None, NOW),
        g_peer_off(vm(age_s=60), NOW),
        g_peer_off(vm(age_s=-60), NOW),
    ):
        assert seen.outcome is CANNOT_TELL


# --- G-PATH ---


def path(
    source: dict[str, object] | None = None,
    copy: dict[str, object] | None = None,
    status: dict[str, object] | None = None,
) -> GateResult:
    written = StatusFacts("up+replaying", "replaying, {}", False, 10.0, 0, ago(1), True)
    here = SideFacts(True, role=role(True), journal=positions(POSITION, POSITION))
    there = SideFacts(True, role=role(False), status=dataclasses.replace(written, **(status or {})))
    return g_path(dataclasses.replace(there, **(copy or {})), dataclasses.replace(here, **(source or {})), NOW)


def test_a_live_caught_up_copy_can_receive_a_demotion() -> None:
    assert path().outcome is MET


@pytest.mark.parametrize(
    ("source", "copy", "status", "outcome"),
    [
        ({"reachable": False}, {}, {}, CANNOT_TELL),
        ({}, {"reachable": None}, {}, CANNOT_TELL),
        ({"role": None}, {}, {}, CANNOT_TELL),
        ({"role": role(False)}, {}, {}, NOT_MET),
        ({}, {"role": role(True)}, {}, NOT_MET),
        ({}, {"role": RoleFacts(False, None, None, None, None, None, NOW)}, {}, NOT_MET),
        ({}, {"role": dataclasses.replace(role(False), global_id="x")}, {}, NOT_MET),
        ({}, {"status": None}, {}, CANNOT_TELL),
        ({}, {"daemon_healthy": False}, {}, NOT_MET),
        ({}, {}, {"age_s": None}, CANNOT_TELL),
        ({}, {}, {"age_s": -100.0}, CANNOT_TELL),
        ({}, {}, {"age_s": 61.0}, NOT_MET),
        ({}, {}, {"read_at": ago(60)}, CANNOT_TELL),
        ({}, {}, {"state": "down+replaying"}, NOT_MET),
        ({}, {}, {"state": "up+error"}, NOT_MET),
        ({}, {}, {"syncing": True}, NOT_MET),
        ({"journal": None}, {}, {}, CANNOT_TELL),
        ({"journal": positions(POSITION, None)}, {}, {}, NOT_MET),
        ({"journal": JournalFacts(POSITION, POSITION, False, NOW)}, {}, {}, NOT_MET),
    ],
)
def test_the_path_is_shut_when_a_demotion_could_not_arrive(
    source: dict[str, object], copy: dict[str, object], status: dict[str, object], outcome: GateOutcome
) -> None:
    assert path(source, copy, status).outcome is outcome


def test_a_diverged_target_is_named_and_so_is_the_way_on() -> None:
    said = path({}, {}, {"state": "up+error", "description": "split-brain"})
    assert said.outcome is NOT_MET
    assert "diverged" in said.sentence
    assert said.remedy is not None
    assert "resync, at the target, never at the source" in said.remedy


def test_in_snapshot_mode_only_copies_since_the_last_own_snapshot_count() -> None:
    snapshot_role = {"role": role(True, mode=Mode.SNAPSHOT)}
    copy = MirrorSnap(3, "non-primary", True, False, 7)
    own = MirrorSnap(4, "demoted", True, True, None)

    def with_snaps(*snaps: MirrorSnap) -> GateOutcome:
        there = {"role": role(False, mode=Mode.SNAPSHOT), "snapshots": snapshot_list(*snaps)}
        return path(snapshot_role, there).outcome

    assert with_snaps(copy) is MET
    assert with_snaps(copy, own) is NOT_MET
    assert with_snaps(dataclasses.replace(copy, complete=False)) is NOT_MET
    assert with_snaps() is NOT_MET


# --- G-SYNC ---


def test_sync_is_by_positions() -> None:
    def sync(journal: JournalFacts | None) -> GateOutcome:
        return g_sync(Mode.JOURNAL, journal, None, None, NOW).outcome

    assert sync(positions(POSITION, POSITION)) is MET
    assert sync(positions(POSITION, Position(2, 514, 2))) is NOT_MET
    assert sync(positions(POSITION, None)) is NOT_MET
    assert sync(positions(None, None)) is CANNOT_TELL
    assert sync(positions(POSITION, POSITION, age_s=60)) is CANNOT_TELL
    assert sync(None) is CANNOT_TELL


def test_sync_in_snapshot_mode_needs_the_newest_snapshot_complete_at_the_target() -> None:
    ours = snapshot_list(MirrorSnap(7, "primary", True, True, None))

    def sync(*theirs: MirrorSnap) -> GateOutcome:
        return g_sync(Mode.SNAPSHOT, None, ours, snapshot_list(*theirs), NOW).outcome

    copy = MirrorSnap(3, "non-primary", True, False, 7)
    assert sync(copy) is MET
    assert sync(dataclasses.replace(copy, complete=False)) is NOT_MET
    assert sync(dataclasses.replace(copy, complete=None)) is CANNOT_TELL
    assert sync(dataclasses.replace(copy, primary_snap_id=6)) is NOT_MET
    assert sync() is NOT_MET
    assert g_sync(Mode.SNAPSHOT, None, None, ours, NOW).outcome is CANNOT_TELL


# --- G-DEMOTED ---


def demoted(
    journal: JournalFacts | None = None,
    source: RoleFacts | None = None,
    target: RoleFacts | None = None,
    waited_s: float = 0,
) -> GateResult:
    return g_demoted(
        Mode.JOURNAL, source or role(False), journal, None, target or role(False), None, NOW, waited_s=waited_s
    )


def test_the_demotion_has_arrived_when_the_positions_are_equal() -> None:
    result = demoted(positions(POSITION, POSITION))
    assert result.outcome is MET
    assert result.facts["peer_position"] == "tag 5 entry 0"


@pytest.mark.parametrize(
    ("result", "outcome"),
    [
        (demoted(positions(POSITION, POSITION), source=role(True)), NOT_MET),
        (demoted(positions(POSITION, POSITION), target=role(True)), NOT_MET),
        (demoted(positions(POSITION, POSITION), source=role(None)), NOT_MET),
        (demoted(positions(POSITION, POSITION), target=role(None)), NOT_MET),
        (demoted(positions(POSITION, POSITION), source=role(False, age_s=11)), CANNOT_TELL),
        (demoted(positions(POSITION, POSITION, age_s=3)), CANNOT_TELL),
        (demoted(positions(POSITION, POSITION), target=role(False, mode=Mode.SNAPSHOT)), CANNOT_TELL),
        (demoted(None), CANNOT_TELL),
    ],
    ids=[
        "source primary",
        "target primary",
        "source unmirrored",
        "target unmirrored",
        "role old",
        "position older",
        "mode",
        "none",
    ],
)
def test_equal_positions_alone_do_not_open_the_gate(result: GateResult, outcome: GateOutcome) -> None:
    assert result.outcome is outcome


def test_a_demotion_that_does_not_come_is_called_hopeless_after_a_minute_and_not_before() -> None:
    behind = positions(POSITION, Position(4, 0, 0))
    assert not demoted(behind, waited_s=20).hopeless
    late = demoted(behind, waited_s=75)
    assert (late.outcome, late.hopeless) == (NOT_MET, True)
    assert late.remedy is not None
    assert "Promote the source again" in late.remedy


def test_in_snapshot_mode_the_newest_snapshot_must_be_this_demotion_complete() -> None:
    here, there = role(False, mode=Mode.SNAPSHOT), role(False, mode=Mode.SNAPSHOT)
    own = MirrorSnap(28, "demoted", True, True, None)
    copy = MirrorSnap(26, "demoted", True, False, 28)

    def arrived(*theirs: MirrorSnap, ours: MirrorSnap = own) -> GateResult:
        return g_demoted(Mode.SNAPSHOT, here, None, snapshot_list(ours), there, snapshot_list(*theirs), NOW)

    assert arrived(copy).outcome is MET
    assert arrived(dataclasses.replace(copy, complete=False)).outcome is NOT_MET
    assert arrived(dataclasses.replace(copy, complete=None)).outcome is CANNOT_TELL
    assert arrived(dataclasses.replace(copy, primary_snap_id=24)).hopeless
    assert arrived(copy, dataclasses.replace(own, snap_id=30)).hopeless
    assert arrived(dataclasses.replace(copy, state="non-primary")).outcome is NOT_MET
    assert arrived().outcome is NOT_MET
    assert arrived(copy, ours=dataclasses.replace(own, state="primary")).outcome is NOT_MET


@settings(max_examples=1000)
@given(
    st.sampled_from(list(Mode)), st.none() | roles, st.none() | journals, st.none() | snapshot_lists, st.none() | roles,
    st.none() | snapshot_lists, st.sampled_from([0.0, 100.0]),
)  # fmt: skip
def test_the_gate_before_a_promote_is_only_ever_met_on_fresh_proof(
    mode: Mode,
    source: RoleFacts | None,
    journal: JournalFacts | None,
    ours: SnapshotFacts | None,
    target: RoleFacts | None,
    theirs: SnapshotFacts | None,
    waited_s: float,
) -> None:
    result = g_demoted(mode, source, journal, ours, target, theirs, NOW, waited_s=waited_s)
    if not result.met:
        return
    assert source is not None
    assert target is not None
    assert source.primary is False
    assert target.primary is False
    assert 0 <= (NOW - source.read_at).total_seconds() + 2 <= 12
    if mode is Mode.JOURNAL:
        assert journal is not None
        assert journal.read_at >= source.read_at
        assert journal.local is not None
        assert journal.local == journal.peer
    else:
        assert ours is not None
        assert theirs is not None
        assert theirs.snaps[-1].complete is True
        assert theirs.snaps[-1].primary_snap_id == ours.snaps[-1].snap_id


@settings(max_examples=500)
@given(sides, sides)
def test_the_path_gate_is_only_ever_met_with_both_sites_answering(target: SideFacts, source: SideFacts) -> None:
    if g_path(target, source, NOW).met:
        assert target.reachable is source.reachable is True
        assert target.status is not None
        assert target.status.state == "up+replaying"


# --- G-PROMOTED, G-RETURN ---


@pytest.mark.parametrize(
    ("here", "there", "outcome"),
    [
        (role(True), role(False), MET),
        (role(True), RoleFacts(False, None, None, None, None, None, NOW), MET),
        (role(True), role(True), NOT_MET),
        (role(False), role(False), NOT_MET),
        (role(True), role(None), NOT_MET),
        (RoleFacts(False, None, None, None, None, None, NOW), role(False), NOT_MET),
        (role(True), None, CANNOT_TELL),
        (None, role(False), CANNOT_TELL),
        (role(True), role(False, age_s=11), CANNOT_TELL),
    ],
)
def test_primary_here_and_not_there(here: RoleFacts | None, there: RoleFacts | None, outcome: GateOutcome) -> None:
    assert g_promoted(here, there, NOW).outcome is outcome


def test_two_primaries_are_named_loudly() -> None:
    result = g_promoted(role(True), role(True), NOW)
    assert "TWO PRIMARIES" in result.sentence
    assert result.hopeless


@pytest.mark.parametrize(
    ("source", "target", "own", "sent", "outcome"),
    [
        (role(False), role(False), True, False, MET),
        (role(False), role(False), False, False, NOT_MET),
        (role(False), role(False), True, True, NOT_MET),
        (role(False), role(True), True, False, NOT_MET),
        (role(False), role(None), True, False, NOT_MET),
        (role(True), role(False), True, False, NOT_MET),
        (role(None), role(False), True, False, NOT_MET),
        (role(False), None, True, False, CANNOT_TELL),
        (role(False), role(False, age_s=11), True, False, CANNOT_TELL),
    ],
)
def test_the_source_may_return_only_if_nothing_was_promoted(
    source: RoleFacts, target: RoleFacts | None, own: bool, sent: bool, outcome: GateOutcome
) -> None:
    assert g_return(source, target, own, sent, NOW).outcome is outcome


# --- G-META, G-ONE ---


def test_a_definition_must_be_captured_fresh_and_unchanged() -> None:
    def meta(captured_s: float | None, current: str | None, captured: str | None = "h") -> GateOutcome:
        at = None if captured_s is None else ago(captured_s)
        return g_meta(at, 3, current, captured, NOW, 3600).outcome

    assert meta(60, "h") is MET
    assert meta(7200, "h") is NOT_MET
    assert meta(60, "other") is NOT_MET
    assert meta(None, "h") is NOT_MET
    assert meta(60, "h", None) is NOT_MET
    assert meta(60, None) is CANNOT_TELL
    assert meta(-60, "h") is CANNOT_TELL


GOOD_DISK = DiskFacts(0, "persistent", "one/one-0-0-0", True, None)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"kind": "clone"}, "not a persistent image"),
        ({"kind": "volatile"}, "not a persistent image"),
        ({"mirrored": False}, "not mirrored"),
        ({"parent": "one/base@snap"}, "clone of one/base@snap"),
        ({"source": None}, "no known image"),
    ],
)
def test_one_unfit_disk_shuts_the_gate(change: dict[str, object], word: str) -> None:
    assert g_one([GOOD_DISK]).outcome is MET
    result = g_one([GOOD_DISK, dataclasses.replace(GOOD_DISK, disk_id=1, **change)])
    assert result.outcome is NOT_MET
    assert word in result.sentence
    assert "disk 1" in result.sentence


def test_a_vm_without_known_disks_cannot_be_told() -> None:
    assert g_one([]).outcome is CANNOT_TELL


# --- G-RUNS ---


@pytest.mark.parametrize("phase", ["off", "gone", "starting", "stopping", "unknown"])
def test_a_copy_is_kept_until_its_vm_runs_where_it_went(phase: str) -> None:
    assert g_runs(vm("running"), NOW).outcome is MET
    result = g_runs(vm(phase), NOW)
    assert result.outcome is NOT_MET
    assert "could be gone back to" in result.sentence
    assert g_runs(None, NOW).outcome is CANNOT_TELL
    assert g_runs(vm("running", age_s=60), NOW).outcome is CANNOT_TELL


# --- two readings, many subjects ---


def test_two_readings_agree_only_when_both_are_met_on_the_same_figures() -> None:
    first = demoted(positions(POSITION, POSITION))
    later = demoted(positions(POSITION, POSITION), waited_s=3)
    assert confirmed(first, later)
    assert not confirmed(None, later)
    assert not confirmed(demoted(positions(POSITION, Position(2, 0, 0))), later)
    moved = demoted(positions(Position(6, 1, 0), Position(6, 1, 0)))
    assert not confirmed(moved, later)
    assert not confirmed(g_peer_off(vm(), NOW), later)


def test_the_worst_of_several_counts_and_is_named() -> None:
    good, open_, unread = g_peer_off(vm(), NOW), g_peer_off(vm("running"), NOW), g_peer_off(None, NOW)
    assert all_of(GateId.PEER_OFF, [("one", good), ("two", good)]).outcome is MET
    mixed = all_of(GateId.PEER_OFF, [("one", good), ("two", unread), ("three", open_)])
    assert mixed.outcome is NOT_MET
    assert "three: " in mixed.sentence
    assert "one: " not in mixed.sentence
    assert all_of(GateId.PEER_OFF, [("one", good), ("two", unread)]).outcome is CANNOT_TELL
    assert all_of(GateId.PEER_OFF, []).outcome is CANNOT_TELL


def test_every_gate_has_a_title() -> None:
    assert set(GATE_TITLES) == set(GateId)


@pytest.mark.parametrize("check", [g_demoted, g_sync])
def test_snapshot_lists_that_were_not_read_cannot_be_told(check: Callable[..., GateResult]) -> None:
    here = role(False, mode=Mode.SNAPSHOT)
    if check is g_demoted:
        result = check(Mode.SNAPSHOT, here, None, None, here, None, NOW)
    else:
        result = check(Mode.SNAPSHOT, None, None, None, NOW)
    assert result.outcome is CANNOT_TELL


WAITS = ("hold", "pending", "suspended", "stopped", "stuck")


@pytest.mark.parametrize("phase", WAITS)
def test_what_must_not_run_is_never_told_to_be_started(phase: str) -> None:
    """At a site that came back, or at the other side of a move, a second one would run."""
    told = {
        g_off(vm(phase), WatcherFacts((), 1, ago(1)), NOW, may_run=False).remedy,
        g_peer_off(vm(phase), NOW).remedy,
        g_fence(vm(phase), "olga", "power cut", NOW).remedy,
    }
    assert len(told) == 1, "one word for it, whichever gate asks"
    (remedy,) = told
    assert remedy is not None
    assert not [
        word for word in ("onevm release", "esume it there", "ower it off", "(onevm recover)") if word in remedy
    ]


@pytest.mark.parametrize(("phase", "way"), [("hold", "onevm release"), ("suspended", "resume it there")])
def test_where_its_group_runs_it_is_started_first_for_only_what_runs_is_powered_off(phase: str, way: str) -> None:
    remedy = str(g_off(vm(phase), WatcherFacts((), 1, ago(1)), NOW).remedy)
    assert way in remedy
    assert "terminate" not in remedy
