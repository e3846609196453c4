"""The loss as it was measured: a figure, nothing, or *not measurable*, and never one for the other."""

from __future__ import annotations

import datetime as dt

from drportal.engine.exact_loss import base_snapshot, loss_sentence, measured, not_measurable
from drportal.engine.facts import MirrorSnap, Mode, SnapshotFacts

NOW = dt.datetime(2026, 1, 2, 3, 4, 5, tzinfo=dt.UTC)


def snaps(*found: MirrorSnap) -> SnapshotFacts:
    return SnapshotFacts(snaps=found, read_at=NOW)


def snap(number: int, *, here: bool, complete: bool = True, of: int | None = None) -> MirrorSnap:
    state = "primary" if here else "non-primary"
    return MirrorSnap(snap_id=number, state=state, complete=complete, made_here=here, primary_snap_id=of)


def test_a_figure_says_how_it_was_had() -> None:
    journal = measured(Mode.JOURNAL, 13090, 53616640, "A", "B")
    assert loss_sentence(journal, "A", "B") == "13090 writes, 53616640 bytes at A that B never had."
    assert "journal inspect at A" in journal.how
    blocks = measured(Mode.SNAPSHOT, None, 196608, "A", "B")
    assert loss_sentence(blocks, "A", "B") == "196608 bytes at A that B never had."
    assert loss_sentence(measured(Mode.JOURNAL, 1, 512, "A", "B"), "A", "B").startswith("1 write, ")


def test_nothing_and_not_measurable_are_not_the_same() -> None:
    nothing = measured(Mode.JOURNAL, 0, 0, "A", "B")
    assert nothing.measurable
    assert loss_sentence(nothing, "A", "B") == "Nothing: A holds no write that B did not have."
    unknown = not_measurable("its snapshot is gone.")
    assert not unknown.measurable
    assert unknown.size_bytes is None
    assert loss_sentence(unknown, "A", "B") == "Not measurable: its snapshot is gone."


def test_the_evidence_knows_which_snapshot_was_whole_and_the_survivor_perhaps_still() -> None:
    """A forced promotion takes the survivor's own record of it away (seen on 16.2.15)."""
    assert base_snapshot(9, snaps(snap(29, here=True))) == 9
    assert base_snapshot(None, snaps(snap(29, here=True))) is None
    theirs = snaps(snap(8, here=False, of=9), snap(11, here=False, of=12), snap(13, here=False, complete=False, of=14))
    assert base_snapshot(None, theirs) == 12, "one that is whole"
    assert base_snapshot(None, None) is None
