"""Every state of real Ceph that was recorded, through verdict(). One table says what is expected."""

from __future__ import annotations

import dataclasses

import pytest

from drportal.engine.facts import Mode, RoleFacts, Side, SideFacts
from drportal.engine.verdicts import Verdict, VerdictPolicy, verdict
from tests.engine.recorded_facts import NOW, ROOT, Reading, journal, readings, snapshots

POLICY = VerdictPolicy(rpo_target_entries=1000)
P, PR, NY, BM = "protected", "protected_reversed", "not_yet_protected", "broken_mirroring"
HN, TP, DV, RO = "handover_not_propagated", "two_primaries", "diverged", "replica_only"
SP, NM, CT = "suspect_primary", "not_mirrored", "cannot_tell"

# state -> image -> the verdict of its first, second, … reading. cannot_tell: the recording lacks one side's rbd info.
EXPECTED: dict[str, dict[str, list[str]]] = {
    "01-healthy": {"one-0-0-0": [P], "one-1": [P], "one-9-9-0": [P]},
    "02-mirroring-disabled": {"one-7": [NM]},
    "03-behind": {"one-20-20-0": [CT, CT, CT]},
    "04-demote-while-open": {"one-2-2-0": [CT], "one-20-20-0": [HN]},
    "05-syncing": {"one-31": [NM, CT, CT, CT], "one-32": [NM, CT, CT, CT], "one-33": [NM, CT, CT, CT]},
    "10-planned-0-before": {"one-0-0-0": [CT]},
    "11-seed-literal": {"one-0-0-0": [CT]},
    "12-wrong-state": {"one-0-0-0": [P], "one-1": [P], "one-9-9-0": [P]},
    "13-planned-demoted": {"one-0-0-0": [HN], "one-1": [HN], "one-9-9-0": [HN]},
    "14-planned-promote-retry": {"one-0-0-0": [CT]},
    "14-planned-promote-too-early": {"one-0-0-0": [CT]},
    "15-planned-promoted": {"one-0-0-0": [BM], "one-1": [BM], "one-9-9-0": [BM]},
    "16-planned-settled": {"one-0-0-0": [NY], "one-1": [NY], "one-9-9-0": [NY]},
    "17-planned-failback-done": {"one-0-0-0": [P], "one-1": [P], "one-9-9-0": [NY]},
    "18-both-demoted": {"one-0-0-0": [HN] * 4, "one-1": [HN] * 4, "one-9-9-0": [HN] * 4},
    "19-snapshot-mode-demoted": {"one-9-9-0": [CT, CT]},
    "20-a-dead": {"one-0-0-0": [RO] * 4, "one-1": [RO] * 4, "one-9-9-0": [RO] * 4},
    "21-force-promoted": {"one-0-0-0": [SP] * 4, "one-1": [SP] * 3, "one-9-9-0": [RO, SP, SP]},
    "22-split-brain": {"one-0-0-0": [TP] * 3, "one-1": [TP] * 3, "one-9-9-0": [TP] * 3},
    "23-a-demoted": {"one-0-0-0": [BM, DV], "one-1": [BM, DV], "one-9-9-0": [BM, DV]},
    "24-resync": {"one-0-0-0": [TP, CT, CT, CT], "one-1": [DV, CT, NM, CT, CT], "one-9-9-0": [DV, CT, NM, CT, CT]},
    "25-resynced": {"one-0-0-0": [TP], "one-1": [PR], "one-9-9-0": [PR]},
    "26-failback": {"one-0-0-0": [DV], "one-1": [P], "one-9-9-0": [P]},
    "27-split-brain-after-early-promote": {"one-0-0-0": [DV]},
    "28-force-while-a-dead": {"one-9-9-0": [SP]},
    "30-clone": {"one-60": [P, HN, NY, CT], "one-60-70-0": [P, HN, NY, CT]},
    "31-rbd-mirror-down": {"one-3": [P, P, BM, BM], "one-10-10-0": [P, P, BM, BM]},
    "32-hung": {"one-3": [CT]},
    "33-lost-copy": {"one-0-0-0": [NM]},
    "40-default-logging": {"one-0-0-0": [CT, CT], "one-9-9-0": [CT, CT]},
    "41-journal-positions": {"one-0-0-0": [CT, CT, CT], "one-1": [CT, CT], "one-3": [CT]},
}
CASES = [
    pytest.param(Reading(state, image, number), code, id=f"{state}/{image}/{number}")
    for state, images in EXPECTED.items()
    for image, codes in images.items()
    for number, code in enumerate(codes, start=1)
]


def judged(reading: Reading) -> Verdict:
    return verdict(reading.side("a"), reading.side("b"), POLICY, NOW)


@pytest.mark.parametrize(("reading", "code"), CASES)
def test_each_recorded_state_gets_the_verdict_of_the_table(reading: Reading, code: str) -> None:
    assert judged(reading).code == code


def test_the_table_has_every_state_folder_and_every_recorded_reading() -> None:
    assert set(EXPECTED) == {path.name for path in ROOT.iterdir() if path.is_dir()}
    missing = [r for r in readings() if r.number > len(EXPECTED[r.state].get(r.image, []))]
    assert missing == []


def test_old_answers_of_a_healthy_state_are_not_called_protected() -> None:
    reading = Reading("01-healthy", "one-0-0-0", 1)
    later = NOW.replace(hour=NOW.hour + 1)
    assert verdict(reading.side("a"), reading.side("b"), POLICY, later).code == CT


@pytest.mark.parametrize("reading", readings(), ids=str)
def test_swapping_the_sides_of_a_recorded_state_only_mirrors_the_verdict(reading: Reading) -> None:
    a, b = reading.side("a"), reading.side("b")
    seen = verdict(a, b, POLICY, NOW, home=Side.A, names=("north", "south"))
    mirrored = verdict(b, a, POLICY, NOW, home=Side.B, names=("south", "north"))
    expected = seen.primary_side.other if seen.primary_side else None
    assert (mirrored.code, mirrored.primary_side, mirrored.sentence) == (seen.code, expected, seen.sentence)


# --- positions and snapshots recorded by themselves: the roles are those that the remarks of INDEX.md tell


def demoted_role(mode: Mode) -> RoleFacts:
    return RoleFacts(True, False, mode, "g", "i", None, NOW)


def both_demoted_journal(demoted: Side, file: str) -> Verdict:
    facts = {side: SideFacts(True, role=demoted_role(Mode.JOURNAL)) for side in Side}
    read = journal(ROOT / "41-journal-positions" / file)
    facts[demoted] = dataclasses.replace(facts[demoted], journal=read)
    return verdict(facts[Side.A], facts[Side.B], POLICY, NOW)


def test_right_after_a_demote_the_peer_is_behind() -> None:
    assert both_demoted_journal(Side.A, "a--journal-status-pool-one-image-one-0-0-0.2.json").code == HN


def test_once_the_demotion_is_replayed_exactly_the_other_side_may_be_promoted() -> None:
    ready = both_demoted_journal(Side.A, "a--journal-status-pool-one-image-one-0-0-0.3.json")
    assert (ready.code, ready.promotable) == ("handover_ready", (Side.B,))


@pytest.mark.parametrize("number", ["", ".2"])
def test_demote_promote_write_demote_is_never_ready(number: str) -> None:
    assert both_demoted_journal(Side.A, f"a--journal-status-pool-one-image-one-1{number}.json").code == HN


def test_a_quick_failback_is_not_ready() -> None:
    assert both_demoted_journal(Side.B, "b--journal-status-pool-one-image-one-3.json").code == HN


def test_the_demotion_snapshot_that_arrived_whole_is_ready_and_half_of_it_is_not() -> None:
    folder = ROOT / "19-snapshot-mode-demoted"
    source, copy = (
        snapshots(folder / "a--snap-ls-all-one-9-9-0.json"),
        snapshots(folder / "b--snap-ls-all-one-9-9-0.json"),
    )
    assert source is not None
    assert copy is not None
    # The source's list was read after its next two snapshots; its demotion that b holds is the first of them.
    first = dataclasses.replace(source, snaps=source.snaps[:1])
    role = demoted_role(Mode.SNAPSHOT)
    whole = verdict(SideFacts(True, role, snapshots=first), SideFacts(True, role, snapshots=copy), POLICY, NOW)
    assert (whole.code, whole.promotable) == ("handover_ready", (Side.B,))
    torn = dataclasses.replace(copy, snaps=(*copy.snaps[:-1], dataclasses.replace(copy.snaps[-1], complete=False)))
    assert (
        verdict(SideFacts(True, role, snapshots=first), SideFacts(True, role, snapshots=torn), POLICY, NOW).code == HN
    )
    later = verdict(SideFacts(True, role, snapshots=source), SideFacts(True, role, snapshots=copy), POLICY, NOW)
    assert later.code == HN
