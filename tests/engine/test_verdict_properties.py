"""What must hold for every mixture of facts, however odd."""

from __future__ import annotations

import dataclasses
import datetime as dt

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from drportal.engine.facts import JournalFacts, Mode, Position, RoleFacts, Side, SideFacts, StatusFacts
from drportal.engine.verdicts import VERDICT_TABLE, VerdictCode, VerdictPolicy, verdict, verdict_table_markdown
from tests.engine.strategies import NOW, roles, sides

POLICY = VerdictPolicy(rpo_target_entries=1000)
GOOD = {VerdictCode.PROTECTED, VerdictCode.PROTECTED_REVERSED, VerdictCode.BEHIND, VerdictCode.HANDOVER_READY}
homes = st.sampled_from(list(Side))


def fresh(moment: dt.datetime) -> bool:
    return -2.0 <= (NOW - moment).total_seconds() <= POLICY.max_age_s


@settings(max_examples=500)
@given(sides, sides, homes)
def test_verdicts_are_symmetric_in_the_sides(a: SideFacts, b: SideFacts, home: Side) -> None:
    seen = verdict(a, b, POLICY, NOW, home=home, names=("north", "south"))
    mirrored = verdict(b, a, POLICY, NOW, home=home.other, names=("south", "north"))
    assert mirrored.code is seen.code
    assert mirrored.primary_side == (seen.primary_side.other if seen.primary_side else None)
    assert (mirrored.sentence, mirrored.allowed, mirrored.needs) == (seen.sentence, seen.allowed, seen.needs)
    assert {side.other for side in mirrored.promotable} == set(seen.promotable)


@settings(max_examples=1000)
@given(sides, sides, homes)
def test_missing_or_old_inputs_never_give_a_good_word(a: SideFacts, b: SideFacts, home: Side) -> None:
    if verdict(a, b, POLICY, NOW, home=home).code not in GOOD:
        return
    for side in (a, b):
        assert side.reachable is True
        assert side.role is not None
        assert fresh(side.role.read_at)


@settings(max_examples=1000)
@given(sides, sides, homes)
def test_protected_stands_on_a_fresh_status_of_a_live_daemon(a: SideFacts, b: SideFacts, home: Side) -> None:
    seen = verdict(a, b, POLICY, NOW, home=home)
    if seen.primary_side is None or seen.code not in GOOD:
        return
    status = (b if seen.primary_side is Side.A else a).status
    assert status is not None
    assert fresh(status.read_at)
    assert status.age_s is not None
    assert -2.0 <= status.age_s <= POLICY.status_max_age_s
    assert status.state == "up+replaying"
    assert "split-brain" not in status.description


@given(sides, sides, roles, roles, homes)
def test_two_primaries_whenever_both_roles_say_primary(
    a: SideFacts, b: SideFacts, role_a: RoleFacts, role_b: RoleFacts, home: Side
) -> None:
    primary = {"exists": True, "primary": True, "read_at": NOW}
    both = [
        dataclasses.replace(side, reachable=True, role=dataclasses.replace(role, **primary))
        for side, role in ((a, role_a), (b, role_b))
    ]
    assert verdict(both[0], both[1], POLICY, NOW, home=home).code is VerdictCode.TWO_PRIMARIES


@given(sides, sides, homes)
def test_only_handover_ready_names_a_side_to_promote(a: SideFacts, b: SideFacts, home: Side) -> None:
    seen = verdict(a, b, POLICY, NOW, home=home)
    assert bool(seen.promotable) == (seen.code is VerdictCode.HANDOVER_READY)
    assert ("promote_one_side" in seen.allowed) == (seen.code is VerdictCode.HANDOVER_READY)


@given(sides, sides, homes)
def test_a_reading_that_is_lost_never_makes_the_verdict_better(a: SideFacts, b: SideFacts, home: Side) -> None:
    assume(verdict(a, b, POLICY, NOW, home=home).code not in GOOD)
    for part in ("role", "status"):
        assert verdict(dataclasses.replace(a, **{part: None}), b, POLICY, NOW, home=home).code not in GOOD


def test_each_code_has_exactly_one_published_row() -> None:
    assert sorted(row.code for row in VERDICT_TABLE) == sorted(VerdictCode)


def test_the_published_table_has_a_line_for_every_row() -> None:
    lines = verdict_table_markdown().splitlines()
    assert len(lines) == len(VERDICT_TABLE) + 2
    assert all(line.count("|") == lines[0].count("|") for line in lines)
    assert "| yes | yes | anything | two primaries |" in verdict_table_markdown()


def pair(primary: bool = True, **copy: object) -> tuple[SideFacts, SideFacts]:
    """A primary and its copy at B, caught up; ``copy`` overrides the copy's status."""
    role = RoleFacts(True, primary, Mode.JOURNAL, "g", "i", None, NOW)
    status = StatusFacts("up+replaying", "replaying, {}", False, 10.0, 0, NOW, True)
    return (
        SideFacts(True, role=role),
        SideFacts(True, role=dataclasses.replace(role, primary=False), status=dataclasses.replace(status, **copy)),
    )


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({}, "protected"),
        ({"entries_behind": 5000}, "behind"),
        ({"syncing": True}, "not_yet_protected"),
        ({"caught_up_once": False}, "not_yet_protected"),
        ({"caught_up_once": None}, "cannot_tell"),
        ({"description": "status not found", "state": "down+unknown"}, "not_yet_protected"),
        ({"state": "down+replaying"}, "broken_mirroring"),
        ({"state": "up+error", "description": "split-brain detected"}, "diverged"),
        ({"age_s": 200.0}, "cannot_tell"),
        ({"age_s": None}, "cannot_tell"),
        ({"age_s": -100.0}, "cannot_tell"),
    ],
)
def test_what_the_copys_status_makes_of_a_pair(changes: dict[str, object], code: str) -> None:
    assert verdict(*pair(**changes), POLICY, NOW).code == code


def test_equal_positions_outweigh_a_frozen_count_of_entries_behind() -> None:
    a, b = pair(entries_behind=5000)
    position = Position(2, 9, 0)
    a = dataclasses.replace(a, journal=JournalFacts(position, position, True, NOW))
    assert verdict(a, b, POLICY, NOW).code is VerdictCode.PROTECTED


def test_positions_read_before_the_role_prove_nothing_about_the_demotion() -> None:
    a, b = pair(primary=False)
    before = JournalFacts(Position(2, 9, 0), Position(2, 9, 0), True, NOW - dt.timedelta(seconds=1))
    early = verdict(dataclasses.replace(a, journal=before), b, POLICY, NOW)
    assert early.code is VerdictCode.HANDOVER_NOT_PROPAGATED
    after = dataclasses.replace(before, read_at=NOW)
    assert verdict(dataclasses.replace(a, journal=after), b, POLICY, NOW).promotable == (Side.B,)


def test_a_lost_site_that_was_a_copy_when_last_heard_is_no_suspect() -> None:
    a, b = pair()
    old = NOW - dt.timedelta(hours=1)
    assert b.role is not None
    lost_copy = SideFacts(False, role=dataclasses.replace(b.role, read_at=old), unreachable_since=old)
    assert verdict(a, lost_copy, POLICY, NOW).code is VerdictCode.RUNNING_UNPROTECTED
    assert a.role is not None
    lost_primary = SideFacts(False, role=dataclasses.replace(a.role, read_at=old), unreachable_since=old)
    assert verdict(lost_primary, a, POLICY, NOW).code is VerdictCode.SUSPECT_PRIMARY


def test_a_site_that_answers_but_was_not_read_is_not_called_unreachable() -> None:
    a, _ = pair()
    assert verdict(a, SideFacts(True), POLICY, NOW).code is VerdictCode.CANNOT_TELL
    assert verdict(a, SideFacts(None), POLICY, NOW).code is VerdictCode.CANNOT_TELL


def test_mirroring_in_one_direction_is_named_because_there_is_no_way_back() -> None:
    a, b = pair()
    assert verdict(a, dataclasses.replace(b, peer_direction="rx-only"), POLICY, NOW).code is VerdictCode.ONE_WAY


def test_two_images_with_different_mirroring_ids_are_no_pair() -> None:
    a, b = pair()
    assert b.role is not None
    other = dataclasses.replace(b, role=dataclasses.replace(b.role, global_id="another"))
    assert verdict(a, other, POLICY, NOW).code is VerdictCode.NOT_MIRRORED
